"""JSON lines: one object a line."""

from __future__ import annotations

from pathlib import Path

from tunesmith.data.encoding import decode, read_bytes
from tunesmith.data.readers import Reading, reader, suffixes
from tunesmith.data.readers._objects import read_lines
from tunesmith.data.table import Table


@reader("jsonl")
@suffixes(".jsonl", ".ndjson")
def read(path: Path, how: Reading) -> Table:
    """The rows of a file with one JSON object per line."""
    text = decode(read_bytes(path), path.name, how.encoding)
    return read_lines(text.text, path.name, dict(text.repairs), nested=how.nested)
