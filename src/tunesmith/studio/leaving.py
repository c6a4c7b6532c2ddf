"""How a model leaves a run from the studio: exports and the server, as processes of the command line."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tunesmith.core.errors import RunError, TunesmithError
from tunesmith.core.files import read_json

_TUNESMITH = (sys.executable, "-P", "-m", "tunesmith")
# What the server prints, its key included, and its number; both for the owner's eyes only.
_SAID, _NUMBER = ".server", ".server.pid"
_BEGUN_S = 5.0
_ADDRESS = re.compile(r"^serving .* at (http://\S+)$", re.MULTILINE)
_KEY = re.compile(r"^key [^:]*: (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Form:
    """One way to export a run. kinds: of its weights. why_not: why it cannot be had, or None."""

    to: str
    kinds: tuple[str, ...]
    why_not: str | None


@dataclass(frozen=True)
class Made:
    """An export in the run's folder: of n held rows, the share that it answered as the original does."""

    name: str
    agreement: float
    n: int


@dataclass(frozen=True)
class Serving:
    """A server that answers for a run. address and key: "" until it has said them."""

    address: str
    key: str


async def forms(folder: Path) -> list[Form]:
    """Every form of `tunesmith export RUN`. Raises TunesmithError with what it complained of."""
    said = await _command("export", str(folder), "--json")
    return [Form(one["to"], tuple(one["quantize"]), one["why_not"]) for one in said]


async def export(folder: Path, to: str) -> None:
    """Export and verify; raises TunesmithError with what went wrong. It goes on if nobody waits for it."""
    await _command("export", str(folder), "--to", to, "--json")


def exports(folder: Path) -> list[Made]:
    """What was exported and verified, by name."""
    made = []
    for file in sorted((folder / "11-export").glob("*/verified.json")):
        try:
            told = read_json(file)
            made.append(Made(file.parent.name, float(told["agreement"]), int(told["n"])))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return made


def serving(folder: Path) -> Serving | None:
    """The server that the studio started for a run, if it is alive."""
    if _server(folder) is None:
        return None
    try:
        said = (folder / _SAID).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    address, key = _ADDRESS.search(said), _KEY.search(said)
    return Serving(address[1] if address else "", key[1] if key else "")


def start_server(folder: Path) -> None:
    """Start `tunesmith serve RUN` on a free port of this machine. Raises RunError if one is up already."""
    if _server(folder) is not None:
        raise RunError(f"{folder.name} is being served already.")
    handle = os.open(folder / _SAID, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as said:
        process = subprocess.Popen(
            [*_TUNESMITH, "serve", str(folder), "--port", "0"],
            stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    _begun(process)
    (folder / _NUMBER).write_text(f"{process.pid}\n", encoding="utf-8")


def stop_server(folder: Path) -> None:
    """Ask the server of a run to end; its key is forgotten."""
    process = _server(folder)
    if process is not None:
        process.send_signal(signal.SIGTERM)
    (folder / _SAID).unlink(missing_ok=True)


def complaint_of(folder: Path) -> str | None:
    """What a server that is not alive said last, if it said that something was wrong."""
    if _server(folder) is not None or not (folder / _SAID).exists():
        return None
    said = (folder / _SAID).read_text(encoding="utf-8", errors="replace")
    return next((line for line in said.splitlines() if line.startswith("tunesmith: ")), None)


def _begun(process: subprocess.Popen[bytes]) -> None:
    """Wait until the process shows its command line, by which it is found again: at first it has none."""
    ends = time.monotonic() + _BEGUN_S
    while process.poll() is None and time.monotonic() < ends:
        try:
            if psutil.Process(process.pid).cmdline():
                return
        except psutil.Error:
            return
        time.sleep(0.01)


def _server(folder: Path) -> psutil.Process | None:
    try:
        process = psutil.Process(int((folder / _NUMBER).read_text(encoding="utf-8")))
        words = process.cmdline()
        alive = process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, psutil.Error):
        return None
    return process if alive and "serve" in words and str(folder) in words else None


async def _command(*words: str) -> Any:
    """The JSON that a command prints. Raises TunesmithError with its complaint."""
    process = await asyncio.create_subprocess_exec(
        *_TUNESMITH, *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, complained = await process.communicate()
    if process.returncode != 0:
        lines = complained.decode(errors="replace").split("tunesmith: ", 1)[-1].strip().splitlines()
        raise TunesmithError(lines[0] if lines else "it failed.", hint=" ".join(lines[1:3]).strip() or None)
    return json.loads(out)
