"""The schema of a table's answers: found out from train rows, or given; and the answers as they obey it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.core.errors import DataError
from tunesmith.data.offsets import Learned, marked, without_offsets
from tunesmith.tasks.quotes import quotes
from tunesmith.tasks.schema import read_schema, to_schema
from tunesmith.tasks.values import Shape, dump, fault, kind_of, read_as

if TYPE_CHECKING:
    from numpy.typing import NDArray

Where = Callable[[int], str]

# Texts are a closed set where few of them come back again and again.
_MOST_CHOICES, _LEAST_TIMES, _LEAST_ROWS, _LONGEST_CHOICE = 24, 3, 20, 60


def bound_answers(
    parts: Learned, schema: Path | None, texts: Sequence[str], splits: NDArray[np.str_], where: Where
) -> tuple[str, list[str | None]]:
    """(the schema, the answers as JSON that obeys it). schema: a file; None: found out, knowing nothing of test rows.

    Raises DataError for a schema that contradicts itself, and for the first row that does not obey one that was given.
    """
    if schema is not None:
        shape = without_offsets(read_schema(_text_of(schema), where=schema.name), parts.spans)
    else:
        seen = np.flatnonzero((splits == "train") if (splits == "train").any() else splits != "test")
        shape = infer([parts.values[int(i)] for i in seen], [texts[int(i)] for i in seen])
    return dump(marked(to_schema(shape), parts.spans)), obeying(parts.values, shape, where, strict=schema is not None)


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


def describe_answers(parts: Learned, schema: str, texts: Sequence[str], splits: Any) -> dict[str, Any]:
    """What the report shows: the schema, how many values there are and how many of them are quoted from their text.

    Counted on train and dev rows.
    """
    shape = read_schema(schema)
    found = [
        quote
        for at, value in enumerate(parts.values)
        if value is not None and splits[at] in ("train", "dev")
        for quote in quotes(value, shape, texts[at])
    ]
    return {"schema": schema, "values": len(found), "quoted": sum(q.start is not None for q in found), **parts.notes}


def obeying(values: Sequence[Any], shape: Shape, where: Where, *, strict: bool) -> list[str | None]:
    """The answers as compact JSON with the fields in the schema's order, absent ones null, numbers read from texts.

    strict: raise DataError for the first that does not obey the schema; else it stays as it is.
    """
    out: list[str | None] = []
    for at, value in enumerate(values):
        if value is None:
            out.append(None)
            continue
        made = _ordered(value, shape)
        wrong = fault(made, shape)
        if wrong is not None and strict:
            raise DataError(
                f"{where(at)}: {wrong}, so it does not obey the schema.",
                hint="mend the row, or widen the schema (a value more in an enum, null allowed, another type).",
            )
        out.append(dump(made))
    return out


def _ordered(value: Any, shape: Shape) -> Any:
    if isinstance(value, Mapping) and shape.kind == "object":
        known = dict(shape.fields)
        made = {
            name: _ordered(value.get(name), inner)
            for name, inner in shape.fields
            if name in value or (name in shape.required and (inner.nullable or inner.kind == "array"))
        }
        return {**made, **{name: inner for name, inner in value.items() if name not in known}}
    if value is None and shape.kind == "array" and not shape.nullable and not shape.low:
        return []
    if isinstance(value, list) and shape.items is not None:
        return [_ordered(item, shape.items) for item in value]
    if isinstance(value, str) and shape.kind in ("integer", "number", "boolean"):
        read = read_as(value, shape)
        return value if read is None else read
    if isinstance(value, (int, float)) and shape.kind == "string":
        return value if isinstance(value, bool) else dump(value)
    return value


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot read the schema: {error}.", hint="give a file with a JSON Schema.") from error
