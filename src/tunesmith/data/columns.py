"""What each column of a table holds: texts, classes, identifiers, dates, measurements, ...

Judged from a fixed random sample of the rows; says nothing of a column's part in the task.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING, Literal

from tunesmith.data.table import LIST_MARK, Table
from tunesmith.data.words import SPLIT_NAMES, SPLIT_VALUES, canonical_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Kind = Literal[
    "empty", "constant", "split", "id", "date", "url", "email", "file", "hash", "list",
    "number", "integer", "category", "text", "short",
]  # fmt: skip

SAMPLE = 4000

_NUMBER = re.compile(r"^[+-]?(\d{1,3}(,\d{3})+|\d+)?([.,]\d+)?([eE][+-]?\d+)?$")
_INTEGER = re.compile(r"^[+-]?\d+([.,]0+)?$")
_DATE = re.compile(
    r"^(\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{1,2}:\d{2}(:\d{2})?|"
    r"(mon|tue|wed|thu|fri|sat|sun)[a-z]*,? .*\d{4}.*|"
    r"(\d{1,2} )?(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.? \d{1,2}?,? ?\d{2,4})"
    r"([ T]\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?)?\s*(z|utc|am|pm|[+-]\d{2}:?\d{2})?$",
    re.IGNORECASE,
)
_URL = re.compile(r"^(https?://|www\.)\S+$", re.IGNORECASE)
_EMAIL = re.compile(r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$", re.IGNORECASE)
_FILE = re.compile(r"^\S*[\w)]\.[a-z][a-z0-9]{1,4}$|^(/|\./|[a-z]:\\)\S+$", re.IGNORECASE)
_HASH = re.compile(r"^([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{16,64})$", re.IGNORECASE)
_CODE = re.compile(r"^(?=.*\d)[\w.#:/-]+$", re.ASCII)
WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f\u1000-\u109f\u1780-\u17ff]")


@dataclass(frozen=True)
class Column:
    """One column in numbers.

    kind: see Kind. n: rows. filled: rows that hold something. distinct: different values among the filled.
    words, characters: mean per filled cell of the sample.
    """

    name: str
    kind: Kind
    n: int
    filled: int
    distinct: int
    words: float
    characters: float

    @property
    def is_text(self) -> bool:
        return self.kind == "text"


def sample_rows(n: int, *, most: int = SAMPLE, seed: int = 0) -> NDArray[np.int64]:
    """Sorted positions of a random sample without replacement, all of them when few."""
    import numpy as np

    if n <= most:
        return np.arange(n, dtype=np.int64)
    return np.sort(np.random.default_rng(seed).choice(n, size=most, replace=False)).astype(np.int64)


def describe_columns(table: Table) -> dict[str, Column]:
    """Every column of the table, by name, in table order."""
    at = sample_rows(len(table))
    return {name: _describe(table, name, at) for name in table.names}


def _describe(table: Table, name: str, at: NDArray[np.int64]) -> Column:
    import pyarrow.compute as pc

    column = pc.utf8_trim_whitespace(table.data[name])
    blank = pc.equal(column, "")
    column = pc.if_else(pc.fill_null(blank, True), None, column)
    n = len(table)
    filled = n - column.null_count
    distinct = int(pc.count_distinct(column, mode="only_valid").as_py())
    sample = [value for value in column.take(at).to_pylist() if value is not None]
    if not sample and filled:
        sample = column.drop_null().slice(0, SAMPLE).to_pylist()
    words = fmean(map(count_words, sample)) if sample else 0.0
    characters = fmean(map(len, sample)) if sample else 0.0
    kind = _kind(name, sample, filled, distinct, words)
    return Column(name, kind, n, filled, distinct, words, characters)


def count_words(text: str) -> int:
    """Words between spaces; two wide characters (Chinese, Japanese, Thai, ...) count as one word."""
    wide = len(WIDE.findall(text))
    return len(text.split()) + wide // 2


def share(pattern: re.Pattern[str], values: Sequence[str]) -> float:
    """The share of values that match."""
    return sum(pattern.match(value) is not None for value in values) / len(values) if values else 0.0


def is_number(value: str) -> bool:
    """Whether the cell is a plain number."""
    return bool(value) and any(c.isdigit() for c in value) and _NUMBER.match(value) is not None


def is_integer(value: str) -> bool:
    """Whether the cell is a whole number (1 and 1.0 both are)."""
    return _INTEGER.match(value) is not None


def most_classes(filled: int) -> int:
    """How many different values a column of classes may have at this many rows."""
    return max(2, int(0.2 * filled), min(20, filled // 2))


def _kind(name: str, sample: Sequence[str], filled: int, distinct: int, words: float) -> Kind:
    if filled == 0:
        return "empty"
    if distinct == 1:
        return "constant"
    lowered = {value.lower() for value in sample}
    if lowered <= set(SPLIT_VALUES) and _are_splits(name, lowered):
        return "split"
    if sum(LIST_MARK in value for value in sample) > 0.02 * len(sample):
        items = [item for value in sample[:500] for item in value.split(LIST_MARK) if item]
        if items and fmean(map(count_words, items)) < 3:
            return "list"  # numbers, tags, names: several answers to a row are no class
    if sum(map(is_number, sample)) >= 0.98 * len(sample):
        if sum(map(is_integer, sample)) < 0.99 * len(sample):
            return "number"
        return "id" if filled >= 8 and distinct >= 0.95 * filled and distinct > 20 else "integer"
    unique = distinct >= 0.8 * filled
    for pattern, kind in ((_DATE, "date"), (_URL, "url"), (_EMAIL, "email"), (_HASH, "hash")):
        if share(pattern, sample) >= 0.9:
            return kind  # type: ignore[return-value]
    if distinct > most_classes(filled) or unique:
        if share(_FILE, sample) >= 0.9:
            return "file"
        if share(_CODE, sample) >= 0.9:
            return "id"
    few = distinct <= most_classes(filled) and (not unique or filled <= 4)
    if few and (words <= 6 or distinct <= min(300, 0.1 * filled)) and median(map(len, sample)) <= 120:
        return "category"
    letters = sum(any(c.isalpha() for c in value) for value in sample) / len(sample)
    if words >= 3.5 and letters >= 0.8:
        return "text"
    return "short"


def _are_splits(name: str, values: set[str]) -> bool:
    parts = {SPLIT_VALUES[value] for value in values}
    named = canonical_name(name) in SPLIT_NAMES or canonical_name(name).split("_")[-1] in SPLIT_NAMES
    return "train" in parts and len(parts) >= 2 and (named or values & {"train", "training"} != set())
