"""An optional local file of what was asked and answered, with pseudonyms in the place of personal data.

    {"when": "2026-01-31T10:00:00+00:00", "model": "tickets", "row": {"message": "…"}, "answer": "refund",
     "confidence": 0.71, "accepted": false}

A line is written before its answer is sent: whoever has an answer finds its line here, whatever happens to the server.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from tunesmith.core.errors import ConfigError
from tunesmith.data.personal.find import finder, kinds_of
from tunesmith.data.personal.pseudonyms import Pseudonyms
from tunesmith.deploy.server.served import Answer, Offered

_log = logging.getLogger(__name__)


class Kept:
    """The file, opened for appending. most_bytes: beyond it nothing more is written, and that is said once.

    Values get the same pseudonym for as long as the server runs; the key is drawn at its start and kept nowhere, so
    that a guess cannot be tested. Raises ConfigError if the file cannot be written.
    """

    def __init__(self, path: Path, *, most_bytes: int = 256 << 20) -> None:
        self._path, self._most = path, most_bytes
        self._find = finder((), kinds=kinds_of(("all",)))
        self._pseudonyms = Pseudonyms([secrets.token_hex(32)])
        self._lock = Lock()
        self._told = False
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            size = os.fstat(self._handle).st_size
            if size and os.pread(self._handle, 1, size - 1) != b"\n":
                os.write(self._handle, b"\n")  # closes off what a kill left half-written
        except OSError as error:
            raise ConfigError(
                f"--keep-inputs {path}: {error.strerror}.", hint="name a file in a folder that is there."
            ) from error

    def __call__(self, offered: Offered, rows: Sequence[Any], answers: Sequence[Answer]) -> None:
        """Append one line per row; what cannot be written is logged without its contents, and answered all the same."""
        when = datetime.now(UTC).isoformat(timespec="seconds")
        one_of = offered.task.output in ("label", "labels")
        with self._lock:
            lines = []
            for row, answer in zip(rows, answers, strict=True):
                given = row if isinstance(row, Mapping) else {offered.inputs[0] if offered.inputs else "text": row}
                said = answer.value if one_of or answer.value is None else self._clean(answer.value)
                told = {
                    "when": when, "model": offered.name, "row": {k: self._clean(v) for k, v in given.items()},
                    "answer": said, "confidence": answer.confidence, "accepted": answer.accepted,
                }  # fmt: skip
                lines.append(json.dumps(told, ensure_ascii=False) + "\n")
            self._append("".join(lines).encode())

    def _clean(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return self._pseudonyms.replace(value, self._find([value])[0])

    def _append(self, lines: bytes) -> None:
        try:
            full = os.fstat(self._handle).st_size + len(lines) > self._most
            if not full:
                os.write(self._handle, lines)
        except OSError as error:
            full = True
            _log.error("inputs are not kept: %s", error.strerror)
        if full and not self._told:
            self._told = True
            _log.error("no more inputs are kept: %s", self._path.name)
