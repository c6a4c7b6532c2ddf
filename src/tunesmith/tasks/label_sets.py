"""Sets of labels as one line of JSON, and as tables of zeros and ones.

    dump_set({"late", "damaged"})   ->  '["damaged","late"]'

The line is the same for the same set, so that equal sets are equal texts wherever rows are compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def dump_set(labels: Iterable[str]) -> str:
    """The set as compact JSON, in the order of the alphabet."""
    return json.dumps(sorted(set(labels)), ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=65_536)
def read_set(value: str | None) -> frozenset[str] | None:
    """The labels that a line holds; None for what is no list of texts."""
    try:
        found = json.loads(value or "")
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        return None
    return frozenset(found)


def indicators(values: Sequence[str | None], labels: Sequence[str]) -> NDArray[np.bool_]:
    """(n, k) whether each value's set holds each label. None, and labels that are not among `labels`, hold nothing."""
    place = {label: code for code, label in enumerate(labels)}
    made = np.zeros((len(values), len(labels)), dtype=bool)
    for row, value in zip(made, values, strict=True):
        for label in read_set(value) or ():
            if label in place:
                row[place[label]] = True
    return made


def names_of(labels: Sequence[str], *values: Sequence[str | None]) -> tuple[str, ...]:
    """The known labels in their order, then any other that occurs in a set, sorted."""
    seen = {label for some in values for value in some for label in read_set(value) or ()}
    return (*labels, *sorted(seen - set(labels)))
