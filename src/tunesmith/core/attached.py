"""Files that judge answers, such as a database: named by their content, found where the run keeps them.

References name such a file by its key, so that they say the same wherever the run lies. Whoever opens a Dataset
attaches its files; the place is known for the life of the process.
"""

from __future__ import annotations

from pathlib import Path

from tunesmith.core.errors import RunError
from tunesmith.core.files import sha256_bytes

_PLACES: dict[str, Path] = {}


def attach(path: Path) -> str:
    """The key of the file (16 hex digits of its content); `attached` finds it from now on."""
    key = sha256_bytes(path.read_bytes())[:16]
    _PLACES[key] = path
    return key


def attached(key: str) -> Path:
    """Where the file with this key lies. Raises RunError if it was not attached or is gone."""
    path = _PLACES.get(key)
    if path is None or not path.exists():
        raise RunError(f"the file {key} that judges answers is gone.", hint="delete 01-ingest and run again.")
    return path
