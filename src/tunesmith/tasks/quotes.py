"""Where in a text the values of an answer are quoted from, by character offsets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.tasks.values import Shape, dump


@dataclass(frozen=True)
class Quote:
    """One plain value of an answer. field: its place, such as items[2].name. start, end: None if it is not quoted."""

    field: str
    text: str
    start: int | None
    end: int | None


def quotes(value: Any, shape: Shape, text: str) -> list[Quote]:
    """Every text and number of the answer that is not one of a closed set, in order, with its place in the text.

    A value that stands there several times takes the first place that no earlier value of the answer has taken.
    """
    taken: list[tuple[int, int]] = []
    found = []
    for field, one in plain_values(value, shape):
        said = one if isinstance(one, str) else dump(one)
        at = place_of(said, text, taken)
        if at is not None:
            taken.append(at)
        found.append(Quote(field, said, *(at or (None, None))))
    return found


def plain_values(value: Any, shape: Shape, field: str = "") -> Iterator[tuple[str, Any]]:
    """(place, value) of every text and number of an answer that could be quoted: no closed sets, nothing empty."""
    if shape.kind == "object" and isinstance(value, Mapping):
        for name, inner in shape.fields:
            yield from plain_values(value.get(name), inner, f"{field}.{name}" if field else name)
    elif shape.items is not None and isinstance(value, list):
        for i, item in enumerate(value):
            yield from plain_values(item, shape.items, f"{field}[{i}]")
    elif value not in (None, "") and not isinstance(value, bool) and not shape.choices:
        yield field, value


def place_of(said: str, text: str, taken: list[tuple[int, int]]) -> tuple[int, int] | None:
    """(start, end) of a value in the text: free places before taken ones, whole words before parts of words,
    the same letters before others' case and spaces; None if it does not stand there."""
    words = said.split()
    if not words:
        return None
    best: tuple[tuple[bool, bool, bool, int], tuple[int, int]] | None = None
    for match in re.finditer(r"\s+".join(map(re.escape, words)), text, re.IGNORECASE):
        start, end = match.span()
        inside = _joins(text, start) or _joins(text, end)
        rank = (any(start < b and a < end for a, b in taken), inside, match.group() != said, start)
        if best is None or rank < best[0]:
            best = rank, (start, end)
    return None if best is None else best[1]


def _joins(text: str, at: int) -> bool:
    """Whether a word goes on across this place."""
    return 0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum()
