"""Answers for tables and streams: columns and order kept, prediction and confidence added, in pieces."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

from tunesmith.core.errors import DataError
from tunesmith.core.files import whole
from tunesmith.data.reading import read_path
from tunesmith.pipeline import SavedRun

# Large enough for full batches, small enough that the first answers come soon.
_PIECE = 512


def predict_table(saved: SavedRun, path: Path, out: Path | None, *, as_json: bool) -> None:
    """Write every row of a table with `prediction` and `confidence` added: csv, or JSON lines with as_json."""
    as_json = as_json or (out is not None and out.suffix == ".jsonl")
    table = read_path(path)
    if not len(table):
        raise DataError(f"{path}: no rows.", hint="give a table with at least one row.")
    texts = saved.texts_of(table)
    names = table.names
    prediction, confidence = _free("prediction", names), _free("confidence", names)
    with _sink(out) as sink:
        writer: Any = None
        for start in range(0, len(texts), _PIECE):
            answers = saved.predict(texts[start : start + _PIECE])
            sure = answers.confidence
            rows = table.data.slice(start, _PIECE).to_pylist()
            for at, row in enumerate(rows):
                row[prediction] = answers.values[at]
                if sure is not None:
                    row[confidence] = round(float(sure[at]), 6)
                if as_json:
                    sink.write(json.dumps(row, ensure_ascii=False) + "\n")
                    continue
                if writer is None:
                    writer = csv.DictWriter(sink, list(row), lineterminator="\n")
                    writer.writeheader()
                writer.writerow(row)
            sink.flush()


def predict_lines(saved: SavedRun, lines: Iterable[str], out: Path | None, *, as_json: bool) -> None:
    """One answer per line of text, as the lines come."""
    size = 1 if lines is sys.stdin and os.isatty(0) else _PIECE  # someone types: answer each line
    with _sink(out) as sink:
        for piece in _pieces((line.rstrip("\n") for line in lines), size):
            answers = saved.predict(piece)
            sure = answers.confidence
            for at, text in enumerate(piece):
                answer = answers.values[at]
                if as_json:
                    made = {"text": text, "prediction": answer}
                    more = {} if sure is None else {"confidence": round(float(sure[at]), 6)}
                    sink.write(json.dumps({**made, **more}, ensure_ascii=False) + "\n")
                else:
                    sink.write(f"{answer or ''}\n" if sure is None else f"{answer}\t{sure[at]:.4f}\n")
            sink.flush()


def _free(name: str, taken: Iterable[str]) -> str:
    """`name`, or `name_` and so on where the table has such a column already."""
    known = set(taken)
    while name in known:
        name += "_"
    return name


def _pieces(rows: Iterable[str], size: int) -> Iterator[list[str]]:
    source = iter(rows)
    while piece := list(islice(source, size)):
        yield piece


@contextmanager
def _sink(out: Path | None) -> Iterator[IO[str]]:
    """stdout, or a file that appears when it is whole."""
    if out is None:
        yield sys.stdout
        return
    with whole(out) as draft, draft.open("w", encoding="utf-8", newline="") as handle:
        yield handle
