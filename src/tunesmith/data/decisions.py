"""What was decided about a table's columns, how surely, and the question that is asked instead of a guess."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tunesmith.core.errors import DataError
from tunesmith.data.columns import Column

# Asked for as the target, this says that there is none: rows to look at, not to learn from.
NO_TARGET = "none"


@dataclass(frozen=True)
class Decision:
    """One thing that was decided without being asked: what, which way, why, and how surely (0 to 1)."""

    what: str
    choice: str
    why: str
    confidence: float = 1.0


class Unsure(DataError):
    """The table allows several readings. `question` is for a person, `option` names what to set.

    option: "target", "task" or "inputs". choices: the values it could have, likeliest first.
    """

    def __init__(self, message: str, *, hint: str, question: str, option: str, choices: Sequence[str]) -> None:
        super().__init__(message, hint=hint)
        self.question = question
        self.option = option
        self.choices = tuple(choices)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_unsure, (self.message, self.hint, self.question, self.option, self.choices))


def _rebuild_unsure(message: str, hint: str, question: str, option: str, choices: tuple[str, ...]) -> Unsure:
    return Unsure(message, hint=hint, question=question, option=option, choices=choices)


@dataclass(frozen=True)
class Asked:
    """What the user fixed; "auto" means: find out."""

    file: str
    target: str = "auto"
    inputs: tuple[str, ...] | str = "auto"
    task: str = "auto"
    reserved: tuple[str, ...] = ()  # group, time and split columns: never inputs or target


@dataclass(frozen=True)
class Detected:
    """The parts of the columns. ignored: column -> why it is left out."""

    target: str
    inputs: tuple[str, ...]
    task: str
    split: str | None
    ignored: Mapping[str, str] = field(default_factory=dict)
    decisions: tuple[Decision, ...] = ()
    warnings: tuple[str, ...] = ()
    columns: Mapping[str, Column] = field(default_factory=dict)


A_KIND = {
    "empty": "an empty column", "constant": "one value in every row", "id": "an identifier", "date": "a date",
    "url": "an address", "email": "an e-mail address", "file": "a file name", "hash": "a hash",
    "list": "a list of short values", "number": "a measurement", "integer": "whole numbers",
    "category": "a few repeated values", "split": "a split",
}  # fmt: skip


def command(asked: Asked, target: str, task: str | None = None) -> str:
    """The line to type that settles the question."""
    line = f"tunesmith run {shlex.quote(asked.file)} --target {shlex.quote(target)}"
    return line if task is None else f"{line} --task {task}"
