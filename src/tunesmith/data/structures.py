"""Answers that are objects or lists: found in a table, put together from columns, spans sorted and freed of offsets.

What is learned of a span is its text and its type; its offsets follow from the text, and are given again with an answer
(`tasks/quotes.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tunesmith.core.errors import DataError
from tunesmith.data.mending import mend
from tunesmith.data.table import LIST_MARK, Table
from tunesmith.tasks.quotes import quotes
from tunesmith.tasks.schema import read_schema
from tunesmith.tasks.values import Shape, dump, fault, read_as

# Columns of these names are conversations, not answers, unless they are named.
_CONVERSATIONS = ("messages", "conversations", "conversation", "chosen", "rejected", "prompt", "completion")
_STARTS, _ENDS = ("start", "begin", "from", "offset"), ("end", "stop", "to")
_TEXTS = ("text", "value", "word", "surface", "quote")
# A column of JSON is one if at most this part of its cells is something else.
_STRANGE = 0.1
_OFF = 0.02


@dataclass(frozen=True)
class Structures:
    """The answers of a table, as they were read. values: None where a row has none. columns: what they were made of."""

    name: str
    values: tuple[Any, ...]
    columns: tuple[str, ...]
    why: str


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


def structures_of(flat: Table, nested: Callable[[], Table], *, target: str, task: str) -> Structures | None:
    """The answers that `target` ("auto": whichever column) holds as objects or lists; None if it holds none.

    nested: reads the same rows with objects and lists whole. task: "extract" makes objects of plain columns too.
    Several targets are named with commas between them. Raises DataError for a cell that is no JSON.
    """
    named = [] if target == "auto" else [target] if target in flat.names else [n.strip() for n in target.split(",")]
    if len(named) > 1 and task in ("auto", "extract"):
        whole = nested()
        columns = [[_plain_or_json(value) for value in whole.values(name)] for name in named]
        rows = [dict(zip(named, cells, strict=True)) for cells in zip(*columns, strict=True)]
        values = tuple(row if any(v is not None for v in row.values()) else None for row in rows)
        return Structures(", ".join(named), values, tuple(named), "you named several columns: each is a field")
    if len(named) == 1 and (task == "extract" or (task == "auto" and named[0] not in flat.names)):
        whole = nested()
        if named[0] not in whole.names:
            flat.column(named[0])
        if _is_json(whole, named[0]):
            return Structures(named[0], _loaded(whole, named[0]), (named[0],), f"'{named[0]}' holds objects or lists")
        if task == "extract":
            cells = [_plain_or_json(value) for value in whole.values(named[0])]
            values = tuple(None if cell is None else {named[0]: cell} for cell in cells)
            return Structures(named[0], values, (named[0],), f"'{named[0]}' is the one field")
        return None
    if target != "auto" or task not in ("auto", "extract"):
        return None
    return _found(flat, nested, task)


def _found(flat: Table, nested: Callable[[], Table], task: str) -> Structures | None:
    """The only column of objects, if there is one and no column is called as answers of other tasks are."""
    from tunesmith.data.words import TARGET_STRONG, name_words

    inner = {name.partition(".")[0] for name in flat.names if "." in name}
    texts = [n for n in flat.names if _is_json(flat, n)]
    if not inner and not texts:
        return None
    whole = nested()
    found = [n for n in whole.names if n in (*inner, *texts) and n not in _CONVERSATIONS and _is_json(whole, n)]
    rivals = [n for n in flat.names if "." not in n and n not in found and name_words(n)[0] in TARGET_STRONG]
    if task == "auto" and (rivals or any(name in inner for name in _CONVERSATIONS)):
        return None
    if len(found) != 1:
        if task == "extract":
            raise DataError(
                f"{'no column holds' if not found else 'several columns hold'} objects or lists to extract"
                f"{': ' + ', '.join(found) if found else ''}.",
                hint="name the column with --target; plain columns make an object:  --target name --target date",
            )
        return None
    return Structures(found[0], _loaded(whole, found[0]), (found[0],), f"'{found[0]}' is the one column of objects")


def without(table: Table, made: Structures) -> Table:
    """The table with one column for the answers, as their plain values in words, in the place of all that they were."""
    import pyarrow as pa

    dropped = [n for n in table.names if n == made.name or any(n == c or n.startswith(f"{c}.") for c in made.columns)]
    words = [None if value is None else " ".join(_words(value)) or "-" for value in made.values]
    data = table.data.drop_columns(dropped)
    return table.with_columns(data.append_column(made.name, pa.chunked_array([pa.array(words, pa.string())])))


def with_json(table: Table, made: Structures) -> Table:
    """The table with the answers as JSON in their column."""
    import pyarrow as pa

    cells = pa.array([None if value is None else dump(value) for value in made.values], pa.string())
    at = table.data.column_names.index(made.name)
    return table.with_columns(table.data.set_column(at, made.name, pa.chunked_array([cells])))


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


def obeying(values: Sequence[Any], shape: Shape, where: Callable[[int], str], *, strict: bool) -> list[str | None]:
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


def _freed_shape(shape: Shape, one: Spans) -> Shape:
    if shape.items is None or shape.items.kind != "object":
        return shape
    kept = tuple((n, inner) for n, inner in shape.items.fields if n not in (one.start, one.end))
    if one.text not in dict(kept):
        kept = (*kept, (one.text, Shape("string")))
    needed = (shape.items.required - {one.start, one.end}) | {one.text}
    return replace(shape, items=replace(shape.items, fields=kept, required=needed))


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


def _is_json(table: Table, name: str) -> bool:
    """Whether the filled cells are JSON objects, or lists of objects, of lists or of texts."""
    cells = [value for value in table.data[name].slice(0, 400).to_pylist() if value and value.strip()]
    return len(cells) >= 2 and sum(map(_is_structure, cells)) >= (1 - _STRANGE) * len(cells) and any(
        cell.strip() not in ("[]", "{}") for cell in cells
    )  # fmt: skip


def _is_structure(cell: str) -> bool:
    if cell.lstrip()[:1] not in ("{", "["):
        return False
    try:
        value = json.loads(cell)
    except (json.JSONDecodeError, RecursionError):
        return False
    return isinstance(value, dict) or (isinstance(value, list) and all(isinstance(i, (dict, list, str)) for i in value))


def _loaded(table: Table, name: str) -> tuple[Any, ...]:
    values: list[Any] = []
    for at, cell in enumerate(table.values(name)):
        try:
            values.append(json.loads(cell) if cell and cell.strip() else None)
        except (json.JSONDecodeError, RecursionError) as error:
            raise DataError(
                f"{table.file[at].as_py()}: row {table.row[at].as_py()}, column '{name}': not JSON ({error}).",
                hint="mend or empty that cell: rows without an answer take no part.",
            ) from error
        if values[-1] is not None and not isinstance(values[-1], (dict, list)):
            raise DataError(
                f"{table.file[at].as_py()}: row {table.row[at].as_py()}, column '{name}': a plain value, where other "
                "rows hold objects or lists.",
                hint="write it as the other rows are written.",
            )
    return tuple(values)


def _plain_or_json(cell: str | None) -> Any:
    if cell is None or not cell.strip():
        return None
    if cell.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(cell)
        except (json.JSONDecodeError, RecursionError):
            return cell
    return cell.replace(LIST_MARK, ", ")


def _words(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [word for inner in value.values() for word in _words(inner)]
    if isinstance(value, list):
        return [word for item in value for word in _words(item)]
    return [str(value)] if value not in (None, "") else []


def _parts(name: str) -> list[str]:
    return name.casefold().replace("_", " ").replace("-", " ").split()


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _shown(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"
