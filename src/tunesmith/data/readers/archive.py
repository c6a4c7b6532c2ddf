"""A zip archive with a table in it, a train and a test table, or text files in one folder per label."""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from tunesmith.core.errors import DataError
from tunesmith.data.encoding import read_bytes
from tunesmith.data.readers import Reading, reader, suffixes
from tunesmith.data.table import Table

# An archive that unpacks to more than this is taken for a trap.
_MOST_BYTES = 4_000_000_000
_MOST_FILES = 200_000


@reader("archive")
@suffixes(".zip")
def read(path: Path, how: Reading) -> Table:
    """The rows of the archive's files, read as a folder of them would be."""
    from tunesmith.data.reading import is_readable, read_path

    read_bytes(path)  # names what is wrong with a file that is absent, locked or empty
    with tempfile.TemporaryDirectory(prefix="tunesmith-zip-") as place:
        root = Path(place) / path.stem
        root.mkdir()
        try:
            with zipfile.ZipFile(path) as archive:
                _unpack(archive, root, path.name)
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            NotImplementedError,
            RuntimeError,
            ValueError,
        ) as error:
            raise DataError(
                f"{path.name} is not a whole zip archive ({str(error)[:120] or type(error).__name__}).",
                hint="fetch it again; an archive with a password must be unpacked first.",
            ) from error
        files = sorted(p for p in root.rglob("*") if p.is_file())
        if not files:
            raise DataError(f"{path.name} is an empty archive.", hint="put a table into it.")
        tables = [
            p
            for p in files
            if (is_readable(p) and p.suffix.lower() not in (".txt", ".zip")) or (p.suffix == ".txt" and len(files) == 1)
        ]
        if len(tables) == 1:
            return read_path(tables[0], how)
        return read_path(root, how)


def _unpack(archive: zipfile.ZipFile, root: Path, name: str) -> None:
    members = [m for m in archive.infolist() if not m.is_dir() and not _is_hidden(m.filename)]
    if len(members) > _MOST_FILES or sum(m.file_size for m in members) > _MOST_BYTES:
        raise DataError(f"{name} unpacks to more than can be read here.", hint="unpack it and name the table.")
    for member in members:
        archive.extract(member, root)  # zipfile keeps names inside the folder


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__")) for part in PurePosixPath(name).parts)
