"""Finds out the shape of the answers of a table: types, closed sets where few values come back, null where absent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tunesmith.core.errors import DataError
from tunesmith.tasks.values import Shape, dump, kind_of

# Texts are a closed set where few of them come back again and again.
_MOST_CHOICES, _LEAST_TIMES, _LEAST_ROWS, _LONGEST_CHOICE = 24, 3, 20, 60


def infer(values: Sequence[Any], texts: Sequence[str]) -> Shape:
    """The Shape of some answers: types, closed sets where few values come back, null where one is absent.

    texts: what each was extracted from: values that are quoted from it are never a closed set.
    Raises DataError where a field is an object here and a plain value there.
    """
    shape = _infer([(value, text) for value, text in zip(values, texts, strict=True) if value is not None], "")
    if shape.kind not in ("object", "array"):
        raise DataError(f"the answers are {shape.named}s, not objects or lists.")
    return shape


def _infer(values: Sequence[tuple[Any, str]], place: str) -> Shape:
    kinds = Counter(kind_of(value) for value, _ in values)
    nested = {"object", "array"} & set(kinds)
    if nested and len(kinds) > 1:
        held_kinds = " in some rows and ".join(f"a value of type {kind}" for kind in kinds)
        raise DataError(
            f"the field '{place or 'answer'}' holds {held_kinds} in others.",
            hint="make all of one type, or give a --schema and mend these rows.",
        )
    if "object" in kinds:
        names = list(dict.fromkeys(name for value, _ in values for name in value))
        fields = []
        for name in names:
            held = [(value[name], text) for value, text in values if value.get(name) is not None]
            inner = _infer(held, f"{place}.{name}" if place else name)
            absent = len(held) < len(values) and inner.kind != "array"
            fields.append((str(name), replace(inner, nullable=absent)))
        return Shape("object", fields=tuple(fields), required=frozenset(name for name, _ in fields))
    if "array" in kinds:
        held = [(item, text) for value, text in values for item in value if item is not None]
        return Shape("array", items=_infer(held, f"{place}[]"))
    if set(kinds) <= {"boolean"} and kinds:
        return Shape("boolean")
    if set(kinds) <= {"integer", "number"} and kinds:
        return Shape("integer" if set(kinds) == {"integer"} else "number")
    return Shape("string", choices=_choices([(v if isinstance(v, str) else dump(v), t) for v, t in values]))


def _choices(values: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    counts = Counter(value for value, _ in values)
    few = 0 < len(counts) <= _MOST_CHOICES and len(values) >= _LEAST_ROWS
    if not few or min(counts.values()) < _LEAST_TIMES or max(map(len, counts)) > _LONGEST_CHOICE:
        return ()
    quoted = sum(value.casefold() in text.casefold() for value, text in values)
    return () if quoted > 0.5 * len(values) else tuple(sorted(counts))
