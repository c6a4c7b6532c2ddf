"""Writes that are whole or absent, and content hashes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`; it takes `path`'s name only if the block ends well.

    Works for files and folders. The content is on disk before the name appears, so that a kill
    leaves either the old thing or the new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    holder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    draft = holder / path.name
    try:
        yield draft
        if draft.is_dir():
            for file in sorted(draft.rglob("*")):
                if file.is_file():
                    sync(file)
            if path.exists():
                path.rename(holder / "replaced")  # a rename cannot replace a folder that has files
        else:
            sync(draft)
        draft.replace(path)
        sync(path.parent)
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def sync(path: Path) -> None:
    """Force a file's or folder's content to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with whole(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all; NaN is refused (it is not JSON)."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False, sort_keys=False) + "\n")


def read_json(path: Path) -> Any:
    """The value of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def canonical(value: Any) -> bytes:
    """One byte string per JSON value, whatever the order of its keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sha256_bytes(content: bytes) -> str:
    """Hex SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's content, read in pieces."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def sha256_path(path: Path) -> str:
    """Hex SHA-256 of a file's content, or of a folder's relative names and contents."""
    if path.is_file():
        return sha256_file(path)
    parts = {
        file.relative_to(path).as_posix(): sha256_file(file)
        for file in sorted(path.rglob("*"))
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts)
    }
    return sha256_bytes(canonical(parts))


def stored_bytes(path: Path) -> int:
    """Bytes on disk of a file or of everything in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def append_line(path: Path, line: bytes) -> None:
    """Append a line in one write, so that two processes never mix; a line cut short by a kill is closed off first."""
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(handle).st_size
        cut = size and os.pread(handle, 1, size - 1) != b"\n"
        os.write(handle, (b"\n" if cut else b"") + line + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)
