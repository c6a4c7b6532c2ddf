"""What people decided about findings: one append-only reviews.jsonl beside the data.

    {"row": "9f86d081884c7d65", "step": "label_errors", "kind": "", "verdict": "edit", "field": "target",
     "value": "refund", "does": "fix", "when": "2026-01-31T10:00:00+00:00", "by": "anna"}

A decision is matched by *content* (the hash of the row's text and target as they were read), so that it holds when
the data comes again in another order or another file. For one row, step and kind the last decision wins; earlier
ones stay in the file. A damaged line is reported with its number and passed over; it is never removed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from tunesmith.core.errors import DataError
from tunesmith.core.findings import Field, Verdict

NAME = "reviews.jsonl"


@dataclass(frozen=True)
class Ruling:
    """What holds for a row, step and kind, without when and by whom: what *curate* applies.

    row: content hash of the row. value: the new value of `field`, where there is one. does: what acceptance means,
    "fix", "drop" or "" (nothing to do).
    """

    row: str
    step: str
    kind: str
    verdict: Verdict
    field: Field = "text"
    value: str | None = None
    does: Literal["fix", "drop", ""] = ""


@dataclass(frozen=True)
class Review:
    """One line of reviews.jsonl: a Ruling, when it was made (ISO 8601) and by whom."""

    ruling: Ruling
    when: str
    by: str


@dataclass(frozen=True)
class Reviews:
    """A file of reviews. damaged: (line number, what is wrong) of the lines that were passed over."""

    lines: tuple[Review, ...] = ()
    damaged: tuple[tuple[int, str], ...] = ()

    def holding(self) -> tuple[Ruling, ...]:
        """The last Ruling for each row, step and kind that was not withdrawn, in order of row, step and kind."""
        last = {(r.ruling.row, r.ruling.step, r.ruling.kind): r.ruling for r in self.lines}
        return tuple(last[key] for key in sorted(last) if last[key].verdict != "withdraw")


def reviews_beside(paths: Sequence[Path]) -> Path:
    """Where the reviews of some data lie: reviews.jsonl in the folder that holds the first file or folder."""
    first = paths[0] if paths else Path()
    return first.absolute().parent / NAME


def read_reviews(path: Path) -> Reviews:
    """Every whole line in order; no file means no reviews. Raises DataError if the file cannot be read."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Reviews()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.", hint="check the path.") from error
    lines, damaged = [], []
    for number, raw in enumerate(content.split(b"\n"), start=1):
        if not raw.strip():
            continue
        try:
            lines.append(_review_from(json.loads(raw.decode("utf-8", "surrogatepass"))))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            damaged.append((number, f"{type(error).__name__}: {str(error)[:80]}"))
    return Reviews(tuple(lines), tuple(damaged))


def append_reviews(path: Path, reviews: Iterable[Review]) -> int:
    """Add lines at the end, whole and under a lock, whoever else is writing; returns how many.

    A last line that a kill left without its end is closed off first. Raises DataError if the file cannot be written.
    """
    lines = [_line(review) for review in reviews]
    if not lines:
        return 0
    try:
        with path.open("a+b") as handle, _locked(handle.fileno()):
            size = os.fstat(handle.fileno()).st_size
            if size:
                handle.seek(size - 1)
                if handle.read(1) != b"\n":
                    lines.insert(0, "\n")
            handle.write("".join(lines).encode("utf-8", "surrogatepass"))
            handle.flush()
            os.fsync(handle.fileno())
    except OSError as error:
        raise DataError(
            f"{path}: the decisions cannot be written: {error.strerror or error}.",
            hint="name another file with --reviews, and the same one whenever the data is used.",
        ) from error
    return sum(line != "\n" for line in lines)


def _line(review: Review) -> str:
    return json.dumps({**asdict(review.ruling), "when": review.when, "by": review.by}, ensure_ascii=False) + "\n"


def _review_from(table: Any) -> Review:
    if not isinstance(table, Mapping):
        raise TypeError("not an object")
    known = {f.name for f in fields(Ruling)}
    ruling = Ruling(**{key: value for key, value in table.items() if key in known})
    texts = (ruling.row, ruling.step, ruling.kind, "" if ruling.value is None else ruling.value)
    if not all(isinstance(text, str) for text in texts) or not ruling.row or not ruling.step:
        raise ValueError("row, step, kind and value are texts")
    if ruling.verdict not in get_args(Verdict) or ruling.field not in get_args(Field):
        raise ValueError(f"no verdict '{ruling.verdict}' on '{ruling.field}'")
    if ruling.does not in ("fix", "drop", "") or (ruling.verdict == "edit" and ruling.value is None):
        raise ValueError("an edit has a value; does is 'fix', 'drop' or ''")
    return Review(ruling, str(table.get("when", "")), str(table.get("by", "")))


@contextmanager
def _locked(handle: int) -> Iterator[None]:
    """Hold the file alone; waits for whoever has it."""
    if os.name == "nt":
        import msvcrt

        os.lseek(handle, 0, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined,unused-ignore]
        try:
            yield
        finally:
            os.lseek(handle, 0, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)
