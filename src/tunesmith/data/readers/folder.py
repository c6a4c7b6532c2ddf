"""A folder: of text files sorted into one folder per label, or of tables."""

from __future__ import annotations

from pathlib import Path

from tunesmith.core.errors import DataError
from tunesmith.data.encoding import decode, read_bytes
from tunesmith.data.readers import Reading, reader, suffixes
from tunesmith.data.table import Table, check_cells, stack, table_of, with_split
from tunesmith.data.words import SPLIT_VALUES

_PROSE = {".txt", ".md", ".text", ".markdown"}
_TABLES = {".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".pq", ".xlsx"}
_DOCUMENTS = {".pdf", ".docx", ".html", ".htm", ".eml"}


@reader("folder")
@suffixes()
def read(path: Path, how: Reading) -> Table:
    """The rows of a folder: `label/one.txt` gives one row with that label; otherwise its tables, stacked.

    A first level called train, dev or test gives the split.
    """
    files = sorted(p for p in path.rglob("*") if p.is_file() and not _is_hidden(p, path))
    if not files:
        raise DataError(f"{path.name} is an empty folder.", hint="put one folder per label into it, with text files.")
    tables = [p for p in files if p.suffix.lower() in _TABLES]
    prose = [
        p for p in files if p.suffix.lower() in _PROSE | _DOCUMENTS and p.stem.lower() not in ("readme", "license")
    ]
    sorted_prose = [p for p in prose if p.parent != path]
    if sorted_prose and len(sorted_prose) >= len(tables):
        return _labelled(path, sorted_prose, how)
    if tables:
        return _tables(path, tables, how)
    if prose:
        raise DataError(
            f"{path.name} holds {len(prose)} texts but no folders: a folder's name is the label of the texts in it.",
            hint="sort the files into one folder per label.",
        )
    raise DataError(
        f"{path.name} holds no file that can be read (first: {files[0].name}).",
        hint="put tables or text files into it.",
    )


def _labelled(root: Path, files: list[Path], how: Reading) -> Table:
    from tunesmith.data.reading import read_path

    texts: list[str | None] = []
    labels: list[str] = []
    names: list[str] = []
    splits: list[str | None] = []
    repairs: dict[str, int] = {}
    for file in files:
        parts = list(file.relative_to(root).parts[:-1])
        split = SPLIT_VALUES.get(parts[0].lower()) if len(parts) > 1 else None
        if split is not None:
            parts = parts[1:]
        if file.suffix.lower() in _DOCUMENTS:
            pages = read_path(file, how)
            text = "\n\n".join(value or "" for value in pages.values("text"))
        elif file.stat().st_size == 0:
            text = ""
            repairs["empty files"] = repairs.get("empty files", 0) + 1
        else:
            decoded = decode(read_bytes(file), file.name, how.encoding)
            text = decoded.text
            for kind, count in decoded.repairs.items():
                repairs[kind] = repairs.get(kind, 0) + count
        texts.append(text.strip() or None)
        labels.append("/".join(parts))
        names.append(file.relative_to(root).as_posix())
        splits.append(split)
    table = check_cells(table_of({"file": names, "text": texts, "label": labels}, file=root.name, repairs=repairs))
    from dataclasses import replace

    import pyarrow as pa

    ones = pa.chunked_array([pa.repeat(pa.scalar(1, pa.int64()), len(names))])
    table = replace(table, file=pa.chunked_array([pa.array(names, pa.string())]), row=ones)
    if not any(splits):
        return table
    return replace(table, split=pa.chunked_array([pa.array(splits, pa.string())]))


def _tables(root: Path, files: list[Path], how: Reading) -> Table:
    from tunesmith.data.reading import read_path, split_of_name

    read_all = [(file, read_path(file, how)) for file in files]
    main = set(read_all[0][1].names)
    for file, table in read_all[1:]:
        if not (set(table.names) & main):
            raise DataError(
                f"{root.name}: {file.name} and {files[0].name} have no column in common.",
                hint="name one of them: tunesmith run FILE.",
            )
    splits = [split_of_name(file.name) for file in files]
    if "train" in splits:
        return stack([t if s is None else with_split(t, s) for (_, t), s in zip(read_all, splits, strict=True)])
    return stack([table for _, table in read_all])


def _is_hidden(path: Path, root: Path) -> bool:
    return path.name == "reviews.jsonl" or any(  # people's decisions about the data are no data
        part.startswith((".", "__")) for part in path.relative_to(root).parts
    )
