"""Answers that are objects or lists: found in a table, or put together from several of its columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.core.errors import DataError
from tunesmith.data.offsets import are_spans
from tunesmith.data.table import LIST_MARK, Table
from tunesmith.tasks.values import dump

# Columns of these names are conversations, not answers, unless they are named.
_CONVERSATIONS = ("messages", "conversations", "conversation", "chosen", "rejected", "prompt", "completion")
# What columns of fields and spans are called.
_ANSWERS = frozenset(
    {
        *(
            "fields",
            "field",
            "entities",
            "entity",
            "spans",
            "span",
            "labels",
            "label",
            "ner",
            "annotations",
            "annotation",
        ),
        *("extracted", "extraction", "extractions", "slots", "json", "output", "target", "completion", "answer"),
        *("answers", "result", "parsed", "structured"),
    }
)
# A column of JSON is one if at most this part of its cells is something else.
_STRANGE = 0.1


@dataclass(frozen=True)
class Structures:
    """The answers of a table, as they were read. values: None where a row has none. columns: what they were made of.

    task: what such answers are learned as.
    """

    name: str
    values: tuple[Any, ...]
    columns: tuple[str, ...]
    why: str
    task: str = "extract"


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
    from tunesmith.data.words import INPUT, TARGET_STRONG, TEXT_TARGET, name_words

    inner = {name.partition(".")[0] for name in flat.names if "." in name}
    texts = [n for n in flat.names if _is_json(flat, n)]
    if not inner and not texts:
        return None
    whole = nested()
    found = [n for n in whole.names if n in (*inner, *texts) and n not in _CONVERSATIONS and _is_json(whole, n)]
    if task == "auto":
        plain = [name_words(n)[0] for n in flat.names if "." not in n and n not in found]
        read = sum(word in INPUT for word in plain)  # a note beside a dialogue is written, a note alone is read
        rivals = [w for w in plain if w in TARGET_STRONG or (w in TEXT_TARGET and (w not in INPUT or read > 1))]
        # Objects beside a text are often what is known of the row: only what looks or sounds like an answer is one.
        found = [n for n in found if {*name_words(n)} & _ANSWERS or _are_spans(whole, n)]
        if rivals or any(name in inner for name in _CONVERSATIONS):
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


def _are_spans(table: Table, name: str) -> bool:
    cells = [value for value in table.data[name].slice(0, 100).to_pylist() if value and _is_structure(value)]
    return any(are_spans(json.loads(cell)) for cell in cells)


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
