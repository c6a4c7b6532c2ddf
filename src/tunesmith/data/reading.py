"""Paths to one Table: a file of any readable kind, several files, a folder, an archive."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path, PurePath

from tunesmith.core.errors import DataError, did_you_mean
from tunesmith.data.readers import Reading, reader
from tunesmith.data.table import Table, stack, with_split
from tunesmith.data.words import SPLIT_VALUES


def read_path(path: Path, how: Reading = Reading()) -> Table:  # noqa: B008 - frozen
    """The rows of a file or folder. Raises DataError for anything that cannot be used."""
    try:
        exists, is_folder = path.exists(), path.is_dir()
    except (OSError, ValueError) as error:
        raise DataError(f"'{str(path)[:120]}' is no usable path ({error}).", hint="check the path.") from error
    if not exists:
        near = did_you_mean(path.name, [p.name for p in path.parent.iterdir()]) if path.parent.is_dir() else None
        raise DataError(f"{path}: there is no such file.", hint=near or "check the path and the spelling.")
    if is_folder:
        return reader.get("folder")(path, how)
    return reader.get(kind_of(path))(path, how)


def read_paths(paths: Sequence[Path], how: Reading) -> Table:
    """Several files under one another; a file called train, dev or test says the split of its rows."""
    if not paths:
        raise DataError("no file was named.", hint="give the path of a table.")
    tables = [read_path(path, how) for path in paths]
    if len(tables) > 1:
        splits = [split_of_name(path.name) for path in paths]
        if "train" in splits:
            tables = [
                t if s is None or t.split is not None else with_split(t, s) for t, s in zip(tables, splits, strict=True)
            ]
    return stack(tables)


def kind_of(path: PurePath) -> str:
    """The name of the reader for a path's ending; raises DataError listing the known endings."""
    ending = path.suffix.lower()
    if ending == ".gz":
        ending = PurePath(path.stem).suffix.lower()
    known = _endings()
    if ending in known:
        return known[ending]
    raise DataError(
        f"{path.name}: files ending in '{ending or 'nothing'}' are not read here.",
        hint=f"convert it to csv. Read are: {' '.join(sorted(known))} and folders.",
    )


def is_readable(path: PurePath) -> bool:
    """Whether some reader is for files of this ending."""
    ending = path.suffix.lower()
    return (PurePath(path.stem).suffix.lower() if ending == ".gz" else ending) in _endings()


def split_of_name(name: str) -> str | None:
    """The split that a file name speaks of (`drugsCom_test.tsv`, `ObliQA_dev.json`, `TrainingSet.csv`), if one."""
    import re

    stem = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", PurePath(name).stem)
    words = [word for word in re.split(r"[^A-Za-z]+", stem.lower()) if len(word) > 2]
    found = {SPLIT_VALUES[word] for word in words if word in SPLIT_VALUES}
    return found.pop() if len(found) == 1 else None


@cache
def _endings() -> dict[str, str]:
    return {ending: name for name, read in reader.items() for ending in read.suffixes}
