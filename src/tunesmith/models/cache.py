"""Where fetched base models lie, how large they are, and how to get rid of them.

    <root>/models/<name>-<12 hex digits>/   a transformers folder and its manifest, tunesmith.json
    <root>/files/<16 hex digits>/…          data files out of wheels
    <root>/wheels/*.whl                     wheels that a person put here for a machine without network
    <root>/trunks/<24 hex digits>/          activations of frozen layers, which fits of the same data share
    <root>/texts/<24 hex digits>/           what base models write of themselves, by which forgetting is measured
    <root>/fingerprints/                    content hashes of folders, so that a gigabyte is read once
    <root>/locks/                           one file per thing being made

Models of the Hugging Face hub lie in the hub's own cache (HF_HOME), which other programs share: not listed here.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from tunesmith.core.errors import ConfigError, ModelError, did_you_mean
from tunesmith.core.events import Emit
from tunesmith.core.files import stored_bytes
from tunesmith.core.places import cache_root

T = TypeVar("T")

_USED = ".used"  # touched whenever the entry is handed out; hidden, so no content hash sees it


@dataclass(frozen=True)
class CacheEntry:
    """One thing in the cache. used: when it was last handed out (or made), UTC."""

    name: str
    path: Path
    bytes: int
    used: datetime


def root() -> Path:
    """The machine-wide folder (core.places), absolute; not created here."""
    return cache_root().absolute()


def entries() -> list[CacheEntry]:
    """Every model, data file and trunk in the cache, by name."""
    found = []
    for kind in ("models", "files", "wheels", "trunks", "texts"):
        room = root() / kind
        for path in sorted(room.iterdir()) if room.is_dir() else ():
            if path.name.startswith("."):
                continue  # a draft that a killed process left
            marker = path / _USED
            when = (marker if marker.exists() else path).stat().st_mtime
            found.append(CacheEntry(f"{kind}/{path.name}", path, stored_bytes(path), datetime.fromtimestamp(when, UTC)))
    return found


def total_bytes() -> int:
    """Bytes of everything under the root, drafts and hashes included."""
    return stored_bytes(root()) if root().is_dir() else 0


def remove(name: str) -> int:
    """Delete the entry called `name` ("models/…"; the part after the slash is enough); returns the bytes freed.

    Raises ConfigError with the nearest name if there is none.
    """
    known = {entry.name: entry for entry in entries()}
    short = {entry.name.partition("/")[2]: entry for entry in known.values()}
    entry = known.get(name) or short.get(name)
    if entry is None:
        raise ConfigError(f"the cache has no entry '{name}'.", hint=did_you_mean(name, known))
    with room_for_writing():
        if entry.path.is_dir():
            # Renamed first: a kill in the middle must not leave an entry that looks whole.
            doomed = entry.path.with_name("." + entry.path.name)
            shutil.rmtree(doomed, ignore_errors=True)
            entry.path.rename(doomed)
            shutil.rmtree(doomed)
        else:
            entry.path.unlink()
    return entry.bytes


def touch(path: Path) -> None:
    """Note that the entry at `path` was handed out now."""
    try:
        (path / _USED).touch()
    except OSError:
        # A cache on a read-only disk serves as well; only the date of use is lost.
        return


def once(name: str, find: Callable[[], T | None], make: Callable[[], T], emit: Emit) -> T:
    """What `find` finds, or else what `make` makes; of several processes only one makes it.

    name: of the lock. The lock is the system's and falls with the process that holds it.
    """
    found = find()
    if found is not None:
        return found
    import filelock

    with room_for_writing():
        (root() / "locks").mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(root() / "locks" / f"{name}.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            emit("cache.wait", what=name)  # another process is making it
            lock.acquire()
        try:
            found = find()
            return make() if found is None else found
        finally:
            lock.release()


def sweep(path: Path) -> None:
    """Delete drafts of `path` that killed processes left. Call only under the lock of that name."""
    if path.parent.is_dir():
        for draft in path.parent.glob(f".{path.name}.*"):
            shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def room_for_writing() -> Iterator[None]:
    """Turns a full disk or a forbidden folder inside the block into a ModelError with a remedy."""
    try:
        yield
    except OSError as error:
        hint = "free some space there, or set TUNESMITH_CACHE to a folder on a disk that has more."
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ModelError(f"no space left for base models in {root()}.", hint=hint) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise ModelError(
                f"base models cannot be stored in {error.filename or root()}: {error.strerror}.",
                hint="set TUNESMITH_CACHE to a folder you may write to.",
            ) from error
        raise
