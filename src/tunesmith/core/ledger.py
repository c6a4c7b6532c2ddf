"""Counts how often each sealed test set was opened on this machine.

One line per opening in ledger.jsonl under the cache folder. A test set that was opened many times is
no longer quite unseen: whoever looked may have chosen by it. The report prints the count.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from tunesmith.core.errors import RunError
from tunesmith.core.files import append_line
from tunesmith.core.places import cache_root


@dataclass(frozen=True)
class Opening:
    """One opening of a sealed test set.

    test: fingerprint of the test set (texts and targets). by: what opened it (the key of the work, so that
    the same work done again after a kill counts once). when: UTC, ISO 8601.
    """

    test: str
    by: str
    when: str


class Ledger:
    """The openings on this machine; `path` None means ledger.jsonl in the cache folder."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or cache_root() / "ledger.jsonl"

    def opened(self, test: str, *, by: str) -> int:
        """Write down that `by` opens `test`; returns how often it has been opened now, this time included.

        The same `by` is written once: a stage that was killed after the opening and redone is one look.
        Raises RunError if the ledger cannot be written: an opening that cannot be counted must not happen.
        """
        line = json.dumps(asdict(Opening(test, by, datetime.now(UTC).isoformat(timespec="seconds"))))
        try:
            if not any(opening.by == by for opening in self.openings(test)):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                append_line(self.path, line.encode())
            return self.count(test)
        except OSError as error:
            raise RunError(
                f"the ledger of test openings cannot be written: {self.path} ({error.strerror}).",
                hint="point TUNESMITH_CACHE to a folder that you may write to.",
            ) from error

    def count(self, test: str) -> int:
        """How often `test` has been opened on this machine."""
        return len({opening.by for opening in self.openings(test)})

    def openings(self, test: str | None = None) -> list[Opening]:
        """Every opening (of one test set), oldest first; a line cut by a kill is left out. OSError is the caller's."""
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            try:
                opening = Opening(**json.loads(line))
            except (json.JSONDecodeError, TypeError):
                continue
            if test is None or opening.test == test:
                found.append(opening)
        return found
