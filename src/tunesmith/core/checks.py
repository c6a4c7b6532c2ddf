"""Records proofs: what was measured, the bound it had to meet, and whether it did.

A check is a function beside what it proves; it returns a Check. The stage hands it to `ctx.check`, which
writes it down and stops the run if it does not hold. A check that does not apply is listed, never passed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.errors import CheckFailed
from tunesmith.core.files import read_json, write_json


@dataclass(frozen=True)
class Check:
    """One recorded proof.

    name:    stable words, e.g. "rows with no supervised token".
    value:   what was measured (number or short text); None when it does not apply.
    bound:   what it had to be, in words with the number: "= 0", "<= 0.001".
    passed:  None when it does not apply.
    remedy:  what to do when it fails.
    system:  the rung it speaks of, or None for the whole run.
    """

    name: str
    value: float | str | None
    bound: str
    passed: bool | None
    remedy: str = ""
    system: str | None = None

    @property
    def applies(self) -> bool:
        return self.passed is not None

    @classmethod
    def not_applicable(cls, name: str, bound: str, why: str, *, system: str | None = None) -> Check:
        """A check that says nothing here, with the reason in `remedy`."""
        return cls(name, None, bound, None, why, system)

    def to_dict(self) -> dict[str, Any]:
        """The row of report.json: every field, and `applies`."""
        return {**asdict(self), "applies": self.applies}

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> Check:
        return cls(**{key: value for key, value in row.items() if key != "applies"})


def require(check: Check) -> None:
    """Raise CheckFailed if the check applies and does not hold."""
    if check.passed is False:
        who = f" ({check.system})" if check.system else ""
        raise CheckFailed(
            f"check failed: {check.name}{who}: measured {check.value}, must be {check.bound}.",
            hint=check.remedy or None,
        )


class Kept:
    """Records checks and keeps them in a file, so that work found finished after a kill still has its proofs.

    Use `kept.record` in place of `ctx.check`; `kept.save()` when the work has ended, `Kept.replay` when it is found.
    """

    def __init__(self, record: Callable[[Check], None], path: Path) -> None:
        self._record, self._path = record, path
        self._made: list[Check] = []

    def record(self, check: Check) -> None:
        """Keep the check and hand it on."""
        self._made.append(check)
        self._record(check)

    def save(self) -> None:
        """Write what was recorded."""
        write_json(self._path, [check.to_dict() for check in self._made])

    @classmethod
    def replay(cls, record: Callable[[Check], None], path: Path) -> None:
        """Record once more what finished work had recorded."""
        for row in read_json(path):
            record(Check.from_dict(row))
