"""The user's documents as plain text to read: found, mended of copies, split, and kept apart from the task's rows.

A document is a file of text, or a row of a table (rows with one document id are one). Equal documents are taken once;
near-duplicates stay on one side of the split (duplicates.py). A document that holds the text of a dev or test row is
left out: whoever has read the question, or the answer, before is not tested by it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import DataError, did_you_mean
from tunesmith.data import documents
from tunesmith.data.duplicates import group_texts, normalise
from tunesmith.data.encoding import decode, read_bytes
from tunesmith.data.readers import Reading
from tunesmith.data.reading import read_path
from tunesmith.data.shapes import expand_json
from tunesmith.data.table import LIST_MARK, Table

# Words of a window, and the share of a row's windows that a document must hold to hold the row. Eight words that two
# texts have in common are seldom chance; a row of fewer says too little to be looked for.
WINDOW, HELD = 8, 0.8
# Fewer groups of documents than this are cut into parts, so that there is something to hold out.
FEWEST = 10
_PART = 4_000  # characters of a part
_SHARE, _MOST_HELD_OUT = 0.1, 200  # of the groups
_LEAST_HELD_OUT = 5

Place = Literal["train", "held out", "copy", "holds a row"]


@dataclass(frozen=True)
class Document:
    """name: file, row or id. group: equal numbers for documents that are nearly the same."""

    name: str
    text: str
    group: int = 0


@dataclass(frozen=True)
class Corpus:
    """Documents to learn from, and others to judge by. left_out: [(name, place)] of the rest.

    parts: whether documents were so few that they were cut. rows, short: dev and test texts that were looked for in
    the documents, and how many of them are too short to be found in longer ones. warnings: what could not be read.
    """

    train: tuple[Document, ...]
    held_out: tuple[Document, ...]
    left_out: tuple[tuple[str, Place], ...]
    parts: bool
    rows: int
    short: int
    warnings: tuple[str, ...] = ()

    def count(self, place: Place) -> int:
        """Documents that were left out for this reason."""
        return sum(one == place for _, one in self.left_out)


def read_documents(
    paths: Sequence[Path],
    *,
    column: str | None = None,
    how: Reading = Reading(),  # noqa: B008 - frozen
) -> tuple[list[Document], list[str]]:
    """(documents with text, warnings). column: of tables, where their text stands; None: found by its name.

    Raises DataError if nothing holds any text. What of a folder cannot be read is left out with a warning.
    """
    found: list[Document] = []
    warnings: list[str] = []
    for name, made in documents.each_read(paths, lambda f, n: _read(f, n, column, how), "--domain", warnings):
        if not made:
            warnings.append(documents.without_text(name))
        found += made
    if not found:
        said = "; ".join(warnings[:3]) or "there are no files of a kind that is read"
        raise DataError(
            f"--domain: no text was found in the documents ({said}).",
            hint="give texts (txt, md, pdf, docx, html) or a table with a column of texts. A scan needs OCR first.",
        )
    return found, warnings


def corpus_of(found: Sequence[Document], data: Dataset, *, seed: int, warnings: Sequence[str] = ()) -> Corpus:
    """The documents without copies, without those that hold dev or test rows, split by groups of near-duplicates.

    Of the test only inputs are looked at, of dev also answers. Raises DataError where too little is left.
    """
    rows, short = rows_to_keep_out(data)
    kept, left_out = _once(found)
    parts = len({document.group for document in kept}) < FEWEST
    if parts:
        kept, copies = _once([part for document in kept for part in _parts(document)])
        left_out += copies
    holds = holding(kept, rows)
    left_out += [(one.name, "holds a row") for one, holds_one in zip(kept, holds, strict=True) if holds_one]
    kept = [one for one, holds_one in zip(kept, holds, strict=True) if not holds_one]
    groups = sorted({document.group for document in kept})
    if len(groups) < FEWEST:
        lost = f", {sum(holds)} left out because they hold dev or test rows" if any(holds) else ""
        raise DataError(
            f"--domain: {len(groups)} different documents of {len(found)} are too few to learn from some and judge by "
            f"others{lost}; {FEWEST} are needed.",
            hint=f"give more text: a long document counts as one for every {_PART:,} characters.",
        )
    order = np.random.default_rng([seed, 71]).permutation(len(groups))
    n = min(_MOST_HELD_OUT, max(_LEAST_HELD_OUT, round(_SHARE * len(groups))))
    judged = {groups[int(i)] for i in order[:n]}
    return Corpus(
        tuple(one for one in kept if one.group not in judged),
        tuple(one for one in kept if one.group in judged),
        tuple(left_out), parts, len(rows), short, tuple(warnings),
    )  # fmt: skip


def rows_to_keep_out(data: Dataset) -> tuple[list[str], int]:
    """(different texts of dev and test, how many are too short for windows): inputs, and the answers of dev."""
    dev = data.rows("dev")
    texts = [*data.rows("test", blind=True).texts, *dev.texts, *([] if data.labels else dev.targets)]
    different = [text for text in dict.fromkeys(texts) if text.strip()]
    return different, sum(len(normalise(text).split()) < WINDOW for text in different)


def holding(found: Sequence[Document], rows: Sequence[str]) -> list[bool]:
    """Which documents hold a row: four fifths of its different windows of eight words, after normalising.

    A row of fewer words is held by a document that says nothing else.
    """
    whole = {normalise(row) for row in rows}
    owners: dict[str, list[int]] = defaultdict(list)
    sizes = []
    for number, row in enumerate(rows):
        windows = _windows(row)
        sizes.append(len(windows))
        for window in windows:
            owners[window].append(number)
    made = []
    for document in found:
        seen: dict[int, int] = defaultdict(int)
        for window in _windows(document.text) if owners else ():
            for number in owners.get(window, ()):
                seen[number] += 1
        held = any(count >= HELD * sizes[number] for number, count in seen.items())
        made.append(held or normalise(document.text) in whole)
    return made


def _windows(text: str) -> set[str]:
    words = normalise(text).split()
    return {" ".join(words[at : at + WINDOW]) for at in range(len(words) - WINDOW + 1)}


def _once(found: Sequence[Document]) -> tuple[list[Document], list[tuple[str, Place]]]:
    """(different documents with their groups, the names of copies)."""
    groups = group_texts([document.text for document in found])
    first: dict[int, Document] = {}
    copies: list[tuple[str, Place]] = []
    for document, exact, near in zip(found, groups.exact.tolist(), groups.near.tolist(), strict=True):
        if exact in first:
            copies.append((document.name, "copy"))
        else:
            first[exact] = replace(document, group=near)
    return list(first.values()), copies


def _parts(document: Document) -> list[Document]:
    """A long document in parts of some pages that begin and end with paragraphs or sentences."""
    made: list[Document] = []
    begin = end = -1
    for start, stop, _ in documents.cut(document.text):
        begin = start if begin < 0 else begin
        end = stop
        if end - begin >= _PART:
            made.append(Document(f"{document.name}, part {len(made) + 1}", document.text[begin:end]))
            begin = -1
    if begin >= 0:
        made.append(Document(f"{document.name}, part {len(made) + 1}", document.text[begin:end]))
    return made


def _read(file: Path, name: str, column: str | None, how: Reading) -> list[Document]:
    ending = file.suffix.lower()
    if ending in documents.PROSE:
        content = read_bytes(file)
        texts = [decode(content, file.name, how.encoding).text if content.strip() else ""]
    elif ending in documents.BOUND:
        texts = ["\n\n".join(page for page in read_path(file, how).values("text") if page)]
    else:
        return _rows(expand_json(read_path(file, how)), name, file, column)
    return [Document(name, text.strip()) for text in texts if text.strip()]


def _rows(table: Table, name: str, file: Path, column: str | None) -> list[Document]:
    """Rows of a table; those with one document id joined in their order."""
    named = documents.passage_columns(table.names, apart_from=() if column is None else (column,))
    text = named.text if column is None else column
    if text is None or text not in table.names:
        near = None if column is None else did_you_mean(column, table.names)
        raise DataError(
            f"{file.name}: {'no column' if column is None else f'no column {column!r}'} holds documents. "
            f"Columns: {', '.join(table.names[:8])}.",
            hint=near or "name the column with the text:  --set domain.column=NAME",
        )
    cells = [(value or "").replace(LIST_MARK, "\n").strip() for value in table.values(text)]
    if named.document is None:
        return [Document(f"{name} row {row}", cell) for row, cell in enumerate(cells, start=1) if cell]
    joined: dict[str, list[str]] = defaultdict(list)
    for row, (key, cell) in enumerate(zip(table.values(named.document), cells, strict=True), start=1):
        if cell:
            joined[key or f"row {row}"].append(cell)
    return [Document(f"{name} {key}", "\n\n".join(texts)) for key, texts in joined.items()]
