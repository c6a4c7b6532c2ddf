"""Writes the table that came back out, cleaned: its own format, columns and order; only what changed is changed.

A csv stays a csv, JSON lines keep every untouched line as it is, parquet keeps its types; other kinds become csv.
A change that cannot be put back into the columns it came from goes into a column `curated_text` or `curated_target`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from tunesmith.core.dataset import Dataset
from tunesmith.core.files import whole
from tunesmith.data.encoding import decode, read_bytes
from tunesmith.data.ingest import IngestOptions
from tunesmith.data.labels import clean_labels
from tunesmith.data.mending import mend
from tunesmith.data.readers import Reading
from tunesmith.data.reading import read_path, read_paths
from tunesmith.data.rendering import render_inputs
from tunesmith.data.table import LIST_MARK, Table

if TYPE_CHECKING:
    import pyarrow as pa

TEXT, TARGET = "curated_text", "curated_target"
# position in the table -> column -> new value
Edits = Mapping[int, Mapping[str, str]]


def write_cleaned(before: Dataset, after: Dataset, options: IngestOptions, folder: Path) -> list[Path]:
    """Write cleaned.<ending> (and cleaned.test, cleaned.dev for ready-made parts) into `folder`; gives the paths.

    before, after: the Dataset as *ingest* and as *curate* left it. Rows that took no part (no target) are kept.
    """
    how = Reading(options.delimiter, options.encoding, options.sheet)
    paths = options.path if isinstance(options.path, tuple) else (options.path,)
    parts: list[tuple[str, Table, tuple[Path, ...]]] = [("cleaned", read_paths(paths, how), paths)]
    for name, path in (("test", options.test), ("dev", options.dev)):
        if path is not None:
            parts.append((f"cleaned.{name}", read_path(path, how), (path,)))
    targets = _targets([table for _, table, _ in parts], before)
    written, start = [], 0
    for stem, table, sources in parts:
        rows = range(start, start + len(table))
        kept = [i - start for i in after.table["id"].to_pylist() if i in rows]
        edits = _edits(before, after, table, targets, start)
        written.append(_write(folder, stem, table, sources, kept, edits, how))
        start += len(table)
    return written


def _targets(tables: Sequence[Table], data: Dataset) -> list[str | None]:
    """The target of every row as *ingest* cleans it, of test rows too: they are the user's own cells, not the seal."""
    raw = [v for t in tables for v in (t.values(data.target) if data.target in t.names else [None] * len(t))]
    if data.task == "classify":
        return list(clean_labels(raw).values)
    mended = mend([(value or "").strip() for value in raw]).texts
    return [None if value is None or LIST_MARK in value else text for value, text in zip(raw, mended, strict=True)]


def _edits(
    before: Dataset, after: Dataset, table: Table, targets: Sequence[str | None], start: int
) -> dict[int, dict[str, str]]:
    edits: dict[int, dict[str, str]] = {}
    plain = set(before.inputs) <= set(table.names)
    raw_texts = render_inputs(table, before.inputs) if plain else None
    cells = {name: table.values(name) for name in before.inputs} if plain else {}
    raw_targets = table.values(before.target) if before.target in table.names else None
    was = dict(zip(before.table["id"].to_pylist(), before.table["target"].to_pylist(), strict=True))
    rows = zip(*(after.table[name].to_pylist() for name in ("id", "text", "target", "changes")), strict=True)
    for number, text, target, changes in rows:
        at = number - start
        if not 0 <= at < len(table):
            continue
        made: dict[str, str] = {}
        if raw_texts is not None and text != raw_texts[at]:
            filled = [name for name in before.inputs if (cells[name][at] or "").strip()]
            split = {before.inputs[0]: text} if len(before.inputs) == 1 else _split_text(text, filled)
            made.update({TEXT: text} if split is None else split)
        elif raw_texts is None and changes:
            made[TEXT] = text
        if raw_targets is None:
            if target is not None and target != was[number]:
                made[TARGET] = target
        else:
            new = targets[number] if target is None else target
            raw = raw_targets[at] or ""
            relabelled = target is not None and target != was[number]
            # A set of labels is JSON here, however the file writes it: only what was changed is written anew.
            as_told = LIST_MARK in raw or before.task == "tag"
            if new is not None and new != raw and (relabelled or not as_told):
                made[before.target] = new
        if made:
            edits[at] = made
    return edits


def _split_text(text: str, names: Sequence[str]) -> dict[str, str] | None:
    """The columns of a text of several, as `render_inputs` puts them together; None if they cannot be told apart."""
    found: dict[str, str] = {}
    rest = text
    for name, following in zip(names, [*names[1:], None], strict=True):
        if not rest.startswith(f"{name}: "):
            return None
        rest = rest.removeprefix(f"{name}: ")
        if following is not None:
            mark = f"\n{following}: "
            if rest.count(mark) != 1:
                return None
            found[name], _, rest = rest.partition(mark)
            rest = f"{following}: {rest}"
        else:
            found[name] = rest
    return found


def _write(
    folder: Path, stem: str, table: Table, sources: Sequence[Path], kept: Sequence[int], edits: Edits, how: Reading
) -> Path:
    name = PurePath(sources[0].name)
    ending = (PurePath(name.stem).suffix if name.suffix.lower() == ".gz" else name.suffix).lower()
    alone = len(sources) == 1 and sources[0].is_file()
    if alone and ending in (".jsonl", ".ndjson") and table.line is not None:
        path = folder / f"{stem}.jsonl"
        with whole(path) as draft:
            _write_lines(draft, sources[0], table, kept, edits, how)
    elif alone and ending in (".parquet", ".pq"):
        path = folder / f"{stem}.parquet"
        with whole(path) as draft:
            _write_parquet(draft, sources[0], kept, edits)
    else:
        tabs = alone and ending in (".tsv", ".tab")
        path = folder / f"{stem}.{'tsv' if tabs else 'csv'}"
        with whole(path) as draft:
            _write_csv(draft, table, kept, edits, "\t" if tabs else (alone and how.delimiter) or ",")
    return path


def _write_csv(path: Path, table: Table, kept: Sequence[int], edits: Edits, delimiter: str) -> None:
    extra = sorted({name for made in edits.values() for name in made} - set(table.names))
    columns = {name: table.values(name) for name in table.names}
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, delimiter=delimiter, lineterminator="\n")
        writer.writerow([*columns, *extra])
        for at in kept:
            made = edits.get(at, {})
            cells = [(made[name] if name in made else values[at]) or "" for name, values in columns.items()]
            writer.writerow([*(c.replace(LIST_MARK, "; ") for c in cells), *(made.get(name, "") for name in extra)])


def _write_lines(path: Path, source: Path, table: Table, kept: Sequence[int], edits: Edits, how: Reading) -> None:
    assert table.line is not None
    lines = decode(read_bytes(source), source.name, how.encoding).text.split("\n")
    numbers = table.line.to_pylist()
    with path.open("w", encoding="utf-8", newline="") as handle:
        for at in kept:
            line = lines[numbers[at] - 1].strip()
            if at in edits:
                value = json.loads(line)
                value = value if isinstance(value, dict) else {"text": value}
                for name, new in edits[at].items():
                    if not _put(value, name, new):
                        value[TEXT if name != TARGET else TARGET] = new
                line = json.dumps(value, ensure_ascii=False)
            handle.write(line + "\n")


def _put(value: dict[str, Any], name: str, new: str) -> bool:
    """Set the plain value that was read as column `name` ("a.b" is nested); False if there is none."""
    if name in value or "." not in name:
        if isinstance(value.get(name), dict | list):
            return False
        value[name] = new
        return True
    first, _, rest = name.partition(".")
    inner = value.get(first)
    return isinstance(inner, dict) and _put(inner, rest, new)


def _write_parquet(path: Path, source: Path, kept: Sequence[int], edits: Edits) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = pq.read_table(source)
    for name in sorted({name for made in edits.values() for name in made}):
        new = {at: made[name] for at, made in edits.items() if name in made}
        if name not in data.column_names:
            values = [new.get(at) for at in range(data.num_rows)]
            data = data.append_column(name, pa.array(values, pa.string()))
            continue
        data = data.set_column(data.column_names.index(name), name, _replaced(data[name], new))
    with pa.OSFile(str(path), "wb") as sink:
        pq.write_table(data.take(kept), sink)


def _replaced(column: pa.ChunkedArray, new: Mapping[int, str]) -> pa.ChunkedArray:
    """The column with some values replaced, of its own type where the new values are of it, else of strings."""
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    values = [new.get(at, None if v is None else str(v)) for at, v in enumerate(column.to_pylist())]
    made = pa.array(values, pa.string())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pa.chunked_array([made.cast(kind)])
    try:
        return pa.chunked_array([made.cast(kind)])
    except pa.ArrowInvalid:
        return pa.chunked_array([made])
