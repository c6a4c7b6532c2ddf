"""Tables of separated values: any delimiter, with or without a header, well quoted or not.

Large well-formed UTF-8 files go through pyarrow; everything else through a reader that mends as it goes:
a record whose quotes do not close properly is read with its quotes as plain characters, a record with too
many cells has its surplus joined into the column that holds the texts.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.core.errors import DataError
from tunesmith.data.encoding import decode, read_bytes
from tunesmith.data.readers import Reading, reader, suffixes
from tunesmith.data.readers._header import column_names, has_header
from tunesmith.data.table import LONGEST_CELL, Table, check_cells, table_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DELIMITERS = (",", "\t", ";", "|")
_FAST_FROM_BYTES = 4_000_000
_SAMPLE_RECORDS = 400
# A quoted cell that spans more lines than this was never closed.
_MOST_LINES = 5_000
_MOST_RAGGED = 0.2


@reader("csv")
@suffixes(".csv", ".tsv", ".tab", ".psv", ".txt")
def read(path: Path, how: Reading) -> Table:
    """The rows of a csv, tsv or otherwise separated file."""
    content = read_bytes(path)
    text = decode(content, path.name, how.encoding)
    delimiter = how.delimiter or find_delimiter(text.text, path)
    if len(delimiter) != 1:
        raise DataError(f"a delimiter is one character, got '{delimiter}'.", hint="for tabs write '\\t'.")
    if len(content) >= _FAST_FROM_BYTES and text.encoding == "utf-8" and not text.repairs:
        table = _fast(content, text.text, delimiter, path)
        if table is not None:
            return check_cells(table)
    return check_cells(_careful(text.text, delimiter, path, dict(text.repairs)))


def find_delimiter(text: str, path: Path) -> str:
    """The character that splits the first records most evenly into more than one cell."""
    best, best_score = ",", 0.0
    sample = _head(text, 262_144)
    for delimiter in _DELIMITERS:
        counts = Counter(len(r.cells) for r in parse(sample, delimiter, path.name, limit=_SAMPLE_RECORDS) if r.cells)
        if not counts:
            continue
        width, hits = counts.most_common(1)[0]
        if width < 2:
            continue
        even = hits / sum(counts.values())
        # A tab hardly ever occurs in running text, a comma nearly always does.
        score = even + (0.15 if delimiter == "\t" else 0.0) + (0.02 if delimiter == "," else 0.0)
        if path.suffix.lower() in (".tsv", ".tab"):
            score += 0.3 if delimiter == "\t" else 0.0
        if even >= 0.5 and score > best_score:
            best, best_score = delimiter, score
    return best


@dataclass
class Record:
    """One record: its cells, the physical line it starts on (1-based), and whether its quotes were broken."""

    cells: list[str]
    line: int
    broken: bool = False
    escaped: bool = False


def parse(text: str, delimiter: str, name: str, *, limit: int | None = None) -> list[Record]:
    """Split text into records; never fails on quotes, raises DataError only for a cell beyond LONGEST_CELL."""
    csv.field_size_limit(2**31 - 1)
    lines = text.splitlines(keepends=True) if "\r" not in text else io.StringIO(text, newline=None).readlines()
    if any(c in text for c in "\x0b\x0c\x1c\x1d\x85\u2028\u2029"):  # splitlines cuts at these, csv must not
        lines = io.StringIO(text, newline=None).readlines()
    records: list[Record] = []
    at, n = 0, len(lines)
    while at < n and (limit is None or len(records) < limit):
        line = lines[at]
        if '"' not in line:
            bare = line[:-1] if line.endswith("\n") else line
            if bare.strip(" \t" if delimiter != "\t" else " "):
                records.append(Record(bare.split(delimiter), at + 1))
            at += 1
            continue
        record, used = _quoted(lines, at, delimiter)
        records.append(record)
        if max(map(len, record.cells), default=0) > LONGEST_CELL:
            column = max(range(len(record.cells)), key=lambda c: len(record.cells[c]))
            raise DataError(
                f"{name}: line {at + 1}, column {column + 1}: one cell has {len(record.cells[column]):,} characters; "
                f"the limit is {LONGEST_CELL:,}.",
                hint="a quote that is never closed does this; otherwise cut the text or take the row out.",
            )
        at += used
    return records


def _quoted(lines: Sequence[str], at: int, delimiter: str) -> tuple[Record, int]:
    """The record that starts at lines[at] and the number of lines it takes."""
    for escape in (None, "\\"):
        source = csv.reader(
            _window(lines, at),
            delimiter=delimiter,
            strict=True,
            escapechar=escape,
        )
        try:
            cells = next(source)
        except (csv.Error, StopIteration):
            continue
        return Record(cells, at + 1, escaped=escape is not None), source.line_num
    cells = [_unquote(cell) for cell in lines[at].rstrip("\n").split(delimiter)]
    return Record(cells, at + 1, broken=True), 1


def _window(lines: Sequence[str], at: int) -> Iterator[str]:
    characters = 0
    for i in range(at, min(len(lines), at + _MOST_LINES)):
        yield lines[i]
        characters += len(lines[i])
        if characters > LONGEST_CELL + len(lines[at]):
            return


def _unquote(cell: str) -> str:
    if len(cell) >= 2 and cell[0] == cell[-1] == '"':
        return cell[1:-1].replace('""', '"')
    return cell


def _careful(text: str, delimiter: str, path: Path, repairs: dict[str, int]) -> Table:
    records = parse(text, delimiter, path.name)
    if not records:
        raise DataError(f"{path.name} has no rows.", hint="give a file with a header and some rows.")
    repairs["rows with broken quotes"] = sum(r.broken for r in records)
    repairs["rows with backslash-escaped quotes"] = sum(r.escaped for r in records)
    width = Counter(len(r.cells) for r in records).most_common(1)[0][0]
    headed = has_header([r.cells for r in records[:_SAMPLE_RECORDS]])
    if headed:
        width = max(len(records[0].cells), 1)
        while width > 1 and not records[0].cells[width - 1].strip() and all(len(r.cells) < width for r in records[1:]):
            width -= 1  # a trailing delimiter in the header only
        names, body = records[0].cells[:width], records[1:]
    else:
        names, body = [f"column_{i + 1}" for i in range(width)], records
    if not body:
        raise DataError(f"{path.name} has a header and no rows.", hint="give a file with some rows.")
    rows = _even(body, width, path, repairs)
    columns = column_names(names, rows, path.name)
    warnings = () if headed else (f"{path.name} has no header; columns are called column_1 to column_{width}.",)
    return table_of(
        {name: [row[i] or None for row in rows] for name, i in columns.items()},
        file=path.name,
        repairs=repairs,
        warnings=warnings,
        lines=[record.line for record in body],
    )


def _even(records: Sequence[Record], width: int, path: Path, repairs: dict[str, int]) -> list[list[str]]:
    """Every record with `width` cells: short ones filled, long ones joined into the column of texts."""
    short = sum(len(r.cells) < width for r in records)
    long = [r for r in records if len(r.cells) > width and any(c.strip() for c in r.cells[width:])]
    if len(long) > _MOST_RAGGED * len(records) or short > 0.5 * len(records):
        worst = long[0] if long else next(r for r in records if len(r.cells) < width)
        raise DataError(
            f"{path.name}: line {worst.line} has {len(worst.cells)} cells where {width} are expected, and so have "
            f"{max(len(long), short):,} of {len(records):,} rows.",
            hint="put texts that hold the delimiter in double quotes, or name the delimiter with --delimiter.",
        )
    into = 0
    if long:
        good = [r.cells for r in records if len(r.cells) == width][:2000]
        mean = [sum(len(row[i]) for row in good) for i in range(width)]
        into = max(range(width), key=lambda i: mean[i]) if good else width - 1
    delimiter_note = ", "
    rows = []
    for record in records:
        cells = record.cells
        if len(cells) < width:
            cells = cells + [""] * (width - len(cells))
        elif len(cells) > width:
            extra = len(cells) - width
            if any(c.strip() for c in cells[width:]):
                cells = [
                    *cells[:into],
                    delimiter_note.join(c.strip() for c in cells[into : into + extra + 1]),
                    *cells[into + extra + 1 :],
                ]
            else:
                cells = cells[:width]
        rows.append(cells)
    repairs["rows with too few cells filled"] = short
    repairs["rows with too many cells joined"] = len(long)
    return rows


def _fast(content: bytes, text: str, delimiter: str, path: Path) -> Table | None:
    """The rows by way of pyarrow, or None where the file is not clean enough for it."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    if "\r" in text.replace("\r\n", "") or not _quotes_are_regular(content, delimiter):
        return None
    head = [r.cells for r in parse(_head(text, 262_144), delimiter, path.name, limit=_SAMPLE_RECORDS)]
    width = Counter(map(len, head)).most_common(1)[0][0]
    headed = has_header(head)
    names = head[0] if headed else [f"column_{i + 1}" for i in range(width)]
    if len(names) != width or len({n.strip() for n in names}) != width or not all(n.strip() for n in names):
        return None
    try:
        data = arrow_csv.read_csv(
            pa.BufferReader(content),
            read_options=arrow_csv.ReadOptions(
                column_names=[n.strip() for n in names],
                skip_rows=1 if headed else 0,
                use_threads=False,
                block_size=1 << 24,
            ),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=b'"' in content),
            convert_options=arrow_csv.ConvertOptions(
                column_types={n.strip(): pa.string() for n in names},
                strings_can_be_null=True,
                null_values=[""],
                quoted_strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid:
        return None
    if data.num_rows == 0:
        return None
    warnings = () if headed else (f"{path.name} has no header; columns are called column_1 to column_{width}.",)
    lines = _record_lines(content)[1 if headed else 0 :]
    known = lines if len(lines) == data.num_rows else None
    return table_of({n: data[n] for n in data.column_names}, file=path.name, warnings=warnings, lines=known)


def _record_lines(content: bytes) -> NDArray[np.int64]:
    """The 1-based lines on which records begin, where all quotes are regular; empty lines are none."""
    letters = np.frombuffer(content, dtype=np.uint8)
    ends = np.flatnonzero(letters == ord("\n"))
    quotes = np.flatnonzero(letters == ord('"'))
    outside = np.searchsorted(quotes, ends) % 2 == 0  # the line after an end within quotes goes on with the record
    starts = np.concatenate([[0], ends + 1])
    begins = np.concatenate([[True], outside])
    stops = np.concatenate([ends, [len(letters)]])
    carriage = (stops > starts) & (letters[np.maximum(stops - 1, 0)] == ord("\r"))
    return np.flatnonzero(begins & (stops - carriage > starts)).astype(np.int64) + 1


def _quotes_are_regular(content: bytes, delimiter: str) -> bool:
    """Whether every quote opens a cell, closes one, or is doubled inside one."""
    if b'"' not in content:
        return True
    if content.count(b'"') % 2:
        return False
    edge = re.escape(delimiter.encode())
    return re.search(rb"(?<![" + edge + rb'\n"])"(?![' + edge + rb'\r\n"])', content) is None


def _head(text: str, size: int) -> str:
    """The first lines of a text, about `size` characters."""
    if len(text) <= size:
        return text
    end = text.rfind("\n", 0, size)
    return text[: end + 1] if end > 0 else text[:size]
