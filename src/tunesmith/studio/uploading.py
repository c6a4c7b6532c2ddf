"""A file that a browser sends: under a name of plain letters, no larger than allowed, whole or absent."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import AsyncIterator
from pathlib import Path, PurePosixPath

from tunesmith.core.errors import DataError

UPLOADS = "uploads"
# Left free on the disk whatever comes: runs need it more.
_SPARE_BYTES = 256 << 20
_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")


def plain_name(name: str) -> str:
    """A file name of letters, digits, dots and dashes out of what a browser says: no folder, not hidden, not long.

    Raises DataError if nothing is left of it, or it has no ending, by which files are read.
    """
    last = PurePosixPath(name.replace("\\", "/")).name
    path = PurePosixPath(_PLAIN.sub("-", last).strip(".-"))
    stem, ending = path.stem[:60].strip(".-"), path.suffix[:20]
    if not stem or len(ending) < 2:
        raise DataError(f"'{last[:80]}' is no name of a table.", hint="it needs an ending, such as tickets.csv.")
    return stem + ending


async def receive(root: Path, name: str, pieces: AsyncIterator[bytes], *, most: int) -> Path:
    """Write a file piece by piece to root/uploads/<mark>/<name>, beside which its reviews.jsonl will lie.

    Raises DataError for a name that cannot be used, for nothing, for more than `most` bytes, and for a full disk.
    """
    folder = root / UPLOADS / secrets.token_hex(4)
    path = folder / plain_name(name)
    folder.mkdir(parents=True)
    draft, brought = folder / ".part", 0
    try:
        with draft.open("xb") as handle:
            async for piece in pieces:
                brought += len(piece)
                if brought > most:
                    raise DataError(
                        f"the file has more than {most:,} bytes.", hint="start the studio with a larger --max-upload."
                    )
                if shutil.disk_usage(folder).free < _SPARE_BYTES + len(piece):
                    raise DataError("the disk is nearly full.", hint="free some space, then send it again.")
                handle.write(piece)
        if not brought:
            raise DataError(f"{path.name} is empty.", hint="send a file with rows.")
        draft.replace(path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return path


def fresh_run(root: Path, file: Path) -> Path:
    """A run folder for a file that nothing has: its stem, and a number where that is taken."""
    folder, number = root / file.stem, 2
    while folder.exists() or folder.name == UPLOADS:
        folder, number = root / f"{file.stem}-{number}", number + 1
    return folder
