"""Asks systems of finished runs, each in a process of its own (`answerer`) that stays for the next question."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.errors import RunError, TunesmithError

# Systems in memory at once: what ships and what it is compared with, of the run that was asked last.
_MOST = 2
# Reading a language model takes a while on a busy machine; an answer of it, too.
_READ_S, _ANSWER_S = 300.0, 120.0
_LINE = 1 << 24


@dataclass(frozen=True)
class Said:
    """An answer. told: as people read it. others: the likeliest labels with their probabilities, the answer's first.

    accepted: whether the run's promise lets it go out (None: it made none), and why_not. seconds: wall time; None of
    the first answer, with which the model was read.
    """

    answer: str | None
    told: str
    confidence: float | None
    others: tuple[tuple[str, float], ...]
    accepted: bool | None
    why_not: str
    seconds: float | None


class Answering:
    """The processes, the one asked last at the end. For one event loop."""

    def __init__(self) -> None:
        self._open: OrderedDict[tuple[Path, str], asyncio.subprocess.Process] = OrderedDict()
        self._turn = asyncio.Lock()

    async def ask(self, folder: Path, system: str, row: Mapping[str, str]) -> Said:
        """What a system of a run says of a row. Raises TunesmithError with what its process complained of."""
        async with self._turn:  # one at a time: two would take each other's cores
            process = await self._process(folder, system)
            assert process.stdin is not None
            process.stdin.write(json.dumps({"row": dict(row)}, ensure_ascii=False).encode() + b"\n")
            told = await self._line(folder, system, _ANSWER_S)
        return Said(**{**told, "others": tuple((str(name), float(p)) for name, p in told["others"])})

    async def _process(self, folder: Path, system: str) -> asyncio.subprocess.Process:
        key = (folder, system)
        process = self._open.get(key)
        if process is not None and process.returncode is None:
            self._open.move_to_end(key)
            return process
        self._open.pop(key, None)
        while len(self._open) >= _MOST:
            self._end(next(iter(self._open)))
        self._open[key] = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "tunesmith.studio.answerer", str(folder), system,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            limit=_LINE,
        )  # fmt: skip
        try:
            await self._line(folder, system, _READ_S)
        except TunesmithError:
            self._open.pop(key, None)
            raise
        return self._open[key]

    async def _line(self, folder: Path, system: str, patience_s: float) -> dict[str, Any]:
        """The next line of a process; one that complains while it begins, dies or keeps silent is let go."""
        process = self._open[folder, system]
        assert process.stdout is not None
        try:
            raw = await asyncio.wait_for(process.stdout.readline(), patience_s)
            told: dict[str, Any] = json.loads(raw)
        except (TimeoutError, ValueError) as error:
            self._end((folder, system))
            raise RunError(
                f"{system} gave no answer.", hint=f"try:  tunesmith predict {folder} --system {system}"
            ) from error
        if "message" in told:
            raise TunesmithError(told["message"], hint=told["hint"])
        return told

    def _end(self, key: tuple[Path, str]) -> None:
        with suppress(ProcessLookupError):
            self._open.pop(key).kill()

    async def close(self) -> None:
        """End every process."""
        ending = list(self._open.values())
        for key in list(self._open):
            self._end(key)
        for process in ending:
            await process.wait()
