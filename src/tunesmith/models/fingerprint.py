"""Content hashes of model folders, read again only when size or time of a file changed.

Hashing a gigabyte takes seconds; every plan and every resume asks for it.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from tunesmith.core.files import canonical, sha256_bytes, sha256_file, write_json
from tunesmith.models import cache

# A file written less than this before it was hashed may change again without its time changing.
_TRUST_AFTER_NS = 2_000_000_000


def fingerprint(folder: Path) -> str:
    """SHA-256 over the names and contents of a folder's files; equals core.files.sha256_path(folder)."""
    return sha256_bytes(canonical(contents(folder)))


def contents(folder: Path) -> dict[str, str]:
    """Relative name -> SHA-256 of every file of a folder, hidden ones left out."""
    folder = folder.resolve()
    store = cache.root() / "fingerprints" / f"{sha256_bytes(str(folder).encode())[:24]}.json"
    known = _read(store)
    now: dict[str, list[int | str]] = {}
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder)
        if not file.is_file() or any(part.startswith(".") for part in name.parts):
            continue
        stat = file.stat()
        old = known.get(name.as_posix())
        if old is not None and old[:2] == [stat.st_size, stat.st_mtime_ns]:
            now[name.as_posix()] = old
        else:
            now[name.as_posix()] = [stat.st_size, stat.st_mtime_ns, sha256_file(file)]
    if now != known:
        _write(store, now)
    return {name: str(about[2]) for name, about in now.items()}


def _read(store: Path) -> dict[str, list[int | str]]:
    try:
        known = json.loads(store.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # never hashed, or half a file: hash again
    return known if isinstance(known, dict) else {}


def _write(store: Path, now: dict[str, list[int | str]]) -> None:
    settled = time.time_ns() - _TRUST_AFTER_NS
    try:
        write_json(store, {name: about for name, about in now.items() if int(about[1]) < settled})
    except OSError:
        # A cache that cannot be written costs time, not correctness.
        return
