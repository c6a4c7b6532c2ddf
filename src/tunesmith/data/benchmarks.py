"""Texts of public benchmarks that a user names, and which rows of a table hold one of them.

A row holds a benchmark's text if it equals it after normalising, is a near copy (`near.near_pairs`), or contains it:
four fifths of its windows of eight words (Brown et al. 2020, appendix C, look for one window of 8 to 13 words and
remove more; a quotation is no copy).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

from tunesmith.data.duplicates import normalise
from tunesmith.data.near import near_pairs
from tunesmith.data.reading import read_path
from tunesmith.data.table import LIST_MARK

# A column of shorter values holds labels, names or numbers: rows that share them copy nothing.
_FEWEST_WORDS = 3
_WINDOW, _CONTAINED = 8, 0.8


@dataclass(frozen=True)
class Benchmark:
    """The texts of one file. where: "row n" of each text, of equal length."""

    name: str
    texts: tuple[str, ...]
    where: tuple[str, ...]

    def held_by(self, texts: Sequence[str]) -> list[tuple[int, str]]:
        """(position, reason) of the texts that equal, nearly copy or contain one of the benchmark's."""
        n = len(texts)
        if not n or not self.texts:
            return []
        near = near_pairs([*texts, *self.texts])
        source: dict[int, int] = {}
        for at, number in enumerate(near.exact[n:].tolist()):
            source.setdefault(number, at)
        like: dict[int, int] = {}
        for pair in near.pairs:
            for own, other in ((pair.one, pair.other), (pair.other, pair.one)):
                if other in source:
                    like.setdefault(own, source[other])
        found = []
        for at, number in enumerate(near.exact[:n].tolist()):
            if number in source:
                found.append((at, f"equals {self.where[source[number]]} of {self.name}"))
            elif number in like:
                found.append((at, f"nearly copies {self.where[like[number]]} of {self.name}"))
            else:
                inner = self._inside(texts[at])
                if inner is not None:
                    found.append((at, f"contains {self.where[inner]} of {self.name}"))
        return found

    @cached_property
    def _windows(self) -> tuple[dict[int, list[int]], list[int]]:
        """(hash of a window -> texts that have it, windows of each text)."""
        index: dict[int, list[int]] = {}
        counts = []
        for at, text in enumerate(self.texts):
            own = set(_windows(text))
            counts.append(len(own))
            for window in own:
                index.setdefault(window, []).append(at)
        return index, counts

    def _inside(self, text: str) -> int | None:
        index, counts = self._windows
        seen: dict[int, int] = {}
        for window in set(_windows(text)):
            for at in index.get(window, ()):
                seen[at] = seen.get(at, 0) + 1
        inner = [at for at, count in seen.items() if count >= _CONTAINED * counts[at]]
        return min(inner, default=None)


def read_benchmark(path: Path) -> Benchmark:
    """All texts of all columns that hold texts (three words at the median). Raises DataError if it cannot be read."""
    table = read_path(path)
    texts: dict[str, str] = {}
    rows = table.row.to_pylist()
    for name in table.names:
        values = [(row, value) for row, value in zip(rows, table.values(name), strict=True) if value and value.strip()]
        if not values or median(len(value.split()) for _, value in values) < _FEWEST_WORDS:
            continue
        for row, value in values:
            for part in value.split(LIST_MARK):
                if len(normalise(part).split()) >= _FEWEST_WORDS or not part.isascii():
                    texts.setdefault(part, f"row {row}")
    return Benchmark(path.name, tuple(texts), tuple(texts.values()))


def _windows(text: str) -> Iterator[int]:
    """Hashes of every run of eight words; none for shorter texts."""
    words = normalise(text).split()
    for at in range(len(words) - _WINDOW + 1):
        yield hash(tuple(words[at : at + _WINDOW]))
