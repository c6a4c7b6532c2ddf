"""Spans: their offsets are checked against the text, taken out of what is learned, and given back with an answer.

What is learned of a span is its type and its text; where that stands in a text is found again (`tasks/quotes.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tunesmith.core.errors import DataError
from tunesmith.data.mending import mend
from tunesmith.tasks.quotes import quotes
from tunesmith.tasks.schema import read_schema
from tunesmith.tasks.values import Shape

_STARTS, _ENDS = ("start", "begin", "from", "offset"), ("end", "stop", "to")
_TEXTS = ("text", "value", "word", "surface", "quote")
_OFF = 0.02  # of the spans may disagree with their text


@dataclass(frozen=True)
class Spans:
    """A list of spans among the answers. field: its name, "" for the answer itself. start, end, text: names of keys."""

    field: str
    start: str
    end: str
    text: str


@dataclass(frozen=True)
class Learned:
    """The answers as they are learned. spans: lists whose offsets were taken out. notes: counts for the report."""

    values: tuple[Any, ...]
    spans: tuple[Spans, ...] = ()
    notes: Mapping[str, int] = field(default_factory=dict)


def learned(values: Sequence[Any], raw: Sequence[str], where: Callable[[int], str]) -> Learned:
    """The answers without offsets, texts mended as their sources are, spans in the order of the text.

    raw: what each was extracted from, as it was read: offsets count its characters. where: names a row in messages.
    Raises DataError where offsets and texts of spans do not agree.
    """
    lists: dict[str, list[tuple[int, Any]]] = {}
    values = [_as_objects(value) for value in values]
    for at, value in enumerate(values):
        if isinstance(value, list):
            lists.setdefault("", []).append((at, value))
        elif isinstance(value, Mapping):
            for key, inner in value.items():
                if isinstance(inner, list):
                    lists.setdefault(str(key), []).append((at, inner))
    out, found = list(values), []
    notes: dict[str, int] = {}
    for name, rows in lists.items():
        spans = _spans(name, rows, raw, where)
        if spans is None:
            continue
        found.append(spans)
        notes["spans"] = notes.get("spans", 0) + sum(len(items) for _, items in rows)
        for at, items in rows:
            freed = [
                _freed(item, spans, raw[at]) for item in sorted(items, key=lambda i: (i[spans.start], i[spans.end]))
            ]
            out[at] = freed if not name else {**out[at], name: freed}
    return Learned(tuple(None if value is None else _mended(value) for value in out), tuple(found), notes)


def are_spans(value: Any) -> bool:
    """Whether a value is a list of spans: objects with a start and an end, or [start, end, type]."""
    items = value if isinstance(value, list) else []
    return bool(items) and all(
        _is_triple(item) or (isinstance(item, Mapping) and _counted(item, _STARTS) and _counted(item, _ENDS))
        for item in items
    )


def _counted(item: Mapping[str, Any], words: Sequence[str]) -> bool:
    return any(_is_count(inner) and any(word in _parts(str(key)) for word in words) for key, inner in item.items())


def marked(schema: Mapping[str, Any], spans: Sequence[Spans]) -> dict[str, Any]:
    """The schema with a note of which lists are spans, and how their offsets were called."""
    about = {one.field: {"start": one.start, "end": one.end, "text": one.text} for one in spans}
    return {**schema, **({"x-spans": about} if about else {})}


def without_offsets(shape: Shape, spans: Sequence[Spans]) -> Shape:
    """The shape of answers whose offsets were taken out; the text of a span that has none is put in."""
    for one in spans:
        if not one.field:
            shape = _freed_shape(shape, one)
        else:
            fields = tuple((n, _freed_shape(inner, one) if n == one.field else inner) for n, inner in shape.fields)
            shape = replace(shape, fields=fields)
    return shape


def placed(answer: str, schema: str, text: str) -> tuple[Any, list[dict[str, Any]]]:
    """(the answer with the offsets of its spans called as they were in the data, the place of every quoted value).

    answer: JSON that obeys the schema (as `marked` made it). A place is {"field", "text", "start", "end"}.
    """
    value, form = json.loads(answer), json.loads(schema)
    found = quotes(value, read_schema(schema), text)
    places = {quote.field: quote for quote in found}
    for name, keys in form.get("x-spans", {}).items():
        items = value if not name else value.get(name)
        for i, item in enumerate(items if isinstance(items, list) else ()):
            quote = places.get(f"{name}[{i}].{keys['text']}")
            item[keys["start"]], item[keys["end"]] = (None, None) if quote is None else (quote.start, quote.end)
    return value, [{"field": q.field, "text": q.text, "start": q.start, "end": q.end} for q in found]


def _freed_shape(shape: Shape, one: Spans) -> Shape:
    if shape.items is None or shape.items.kind != "object":
        return shape
    kept = tuple((n, inner) for n, inner in shape.items.fields if n not in (one.start, one.end))
    if one.text not in dict(kept):
        kept = (*kept, (one.text, Shape("string")))
    needed = (shape.items.required - {one.start, one.end}) | {one.text}
    return replace(shape, items=replace(shape.items, fields=kept, required=needed))


def _as_objects(value: Any) -> Any:
    """Spans written as [start, end, type] as objects; everything else as it is."""
    if isinstance(value, Mapping):
        return {key: _as_objects(inner) if isinstance(inner, list) else inner for key, inner in value.items()}
    if isinstance(value, list) and value and all(map(_is_triple, value)):
        return [{"start": a, "end": b, "type": kind} for a, b, kind in value]
    return value


def _is_triple(item: Any) -> bool:
    """[start, end, type]"""
    three = isinstance(item, list) and len(item) == 3
    return three and _is_count(item[0]) and _is_count(item[1]) and isinstance(item[2], str)


def _spans(name: str, rows: Sequence[tuple[int, Any]], raw: Sequence[str], where: Callable[[int], str]) -> Spans | None:
    items = [(at, item) for at, held in rows for item in held]
    if not items or not all(isinstance(item, Mapping) for _, item in items):
        return None
    keys = [k for k in items[0][1] if all(_is_count(item.get(k)) for _, item in items)]
    starts = [k for k in keys if any(w in _parts(k) for w in _STARTS)]
    ends = [k for k in keys if any(w in _parts(k) for w in _ENDS) and k not in starts[:1]]
    if not starts or not ends:
        return None
    start, end = starts[0], ends[0]
    texts = [k for k in items[0][1] if all(isinstance(item.get(k), str) for _, item in items)]
    strange = {
        key: [(at, item) for at, item in items if raw[at][item[start] : item[end]].strip() != item[key].strip()]
        for key in texts
    }
    text = min(strange, key=lambda key: len(strange[key]), default="")
    if text and len(strange[text]) <= _OFF * len(items):
        return Spans(name, start, end, text)
    quoted = next((key for key in texts if any(word in _parts(key) for word in _TEXTS)), None)
    outside = [(at, item) for at, item in items if not 0 <= item[start] < item[end] <= len(raw[at])]
    if quoted is not None or outside:
        at, item = (strange[quoted] if quoted is not None else outside)[0]
        says = f"but '{quoted}' says '{_shown(item[quoted])}'" if quoted is not None else "outside of the text"
        raise DataError(
            f"{where(at)}: the span {item[start]} to {item[end]} of the input is "
            f"'{_shown(raw[at][item[start] : item[end]])}', {says}.",
            hint="offsets count the characters of the one input column from 0, the end not included: check --input.",
        )
    return Spans(name, start, end, next(key for key in ("text", "value", "quote") if key not in items[0][1]))


def _freed(item: Mapping[str, Any], spans: Spans, source: str) -> dict[str, Any]:
    kept = {key: inner for key, inner in item.items() if key not in (spans.start, spans.end)}
    return kept if spans.text in kept else {**kept, spans.text: source[item[spans.start] : item[spans.end]]}


def _mended(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _mended(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_mended(item) for item in value]
    return mend([value]).texts[0].strip() if isinstance(value, str) else value


def _parts(name: str) -> list[str]:
    return name.casefold().replace("_", " ").replace("-", " ").split()


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _shown(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"
