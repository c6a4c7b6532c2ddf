"""The user's documents read into a Library: a folder of texts, pdf and docx, or tables of passages with ids.

Texts are cut at blank lines into passages of a few sentences, each an exact slice of its document's text. Tables of
passages are taken as they are; the ids are the user's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TypeVar

from tunesmith.core.errors import DataError
from tunesmith.core.library import Library, Passage, in_order, sentences, trimmed
from tunesmith.data.encoding import decode, read_bytes
from tunesmith.data.readers import Reading
from tunesmith.data.reading import read_path
from tunesmith.data.shapes import expand_json
from tunesmith.data.table import LIST_MARK, Table

T = TypeVar("T")

PROSE = frozenset({".txt", ".md", ".text", ".markdown"})
BOUND = frozenset({".pdf", ".docx", ".html", ".htm", ".eml"})
_TABLES = frozenset({".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".pq", ".xlsx"})
# Words. Shorter paragraphs are joined with the next, longer ones cut between sentences.
_FEWEST, _MOST = 40, 220
_BLANK, _LINE = re.compile(r"\n[ \t\r\f\v]*\n\s*"), re.compile(r"\n\s*")
_LONG_LINE = 100  # characters: a text without blank lines whose usual line is longer has a paragraph in each
_HEADING = re.compile(r"(#{1,6}\s+.+|\d+(\.\d+)*\.?\s+\S.{0,80}|[^.!?\n]{3,80})")

# The last part of a column's name, lower case and without signs, that says what is in it.
_DOCUMENT_NAMES = ("documentid", "docid", "document", "doc", "file", "filename", "source", "book", "title")
_PASSAGE_NAMES = (
    "passageid", "chunkid", "sectionid", "clauseid", "paragraphid", "pid", "section", "clause", "id", "key", "number",
    "passage", "paragraph", "chunk",
)  # fmt: skip
_TEXT_NAMES = (
    "passage",
    "passagetext",
    "text",
    "content",
    "contents",
    "body",
    "paragraph",
    "chunk",
    "clause",
    "context",
)


@dataclass(frozen=True)
class PassageColumns:
    """Columns of a table that hold a passage's text, its id and its document's; None: there is none."""

    text: str | None
    passage: str | None
    document: str | None


def read_library(paths: Sequence[Path], how: Reading = Reading()) -> Library:  # noqa: B008 - frozen
    """The Library in some files and folders. Raises DataError if no text is found in them.

    What holds no text, or cannot be read, is left out and told in `warnings`.
    """
    passages: list[Passage] = []
    warnings: list[str] = []
    unordered = False
    for name, (made, is_table) in each_read(paths, lambda f, n: _passages(f, n, how), "--documents", warnings):
        if not made:
            warnings.append(without_text(name))
        passages += made
        unordered = unordered or is_table
    if not passages:
        said = "; ".join(warnings[:3]) or "there are no files of a kind that is read"
        raise DataError(
            f"no text was found in the documents ({said}).",
            hint="give texts (txt, md, pdf, docx, html) or a table with a column of passages. A scan needs OCR first.",
        )
    return shelve(in_order(passages) if unordered else passages, warnings)


def each_read(
    paths: Sequence[Path], read: Callable[[Path, str], T], option: str, warnings: list[str]
) -> Iterator[tuple[str, T]]:
    """(name, what `read` gives) of every file in some files and folders, in order.

    What of a folder cannot be read is left out and told in `warnings`. Raises DataError where a path does not exist,
    or a file that was named cannot be read. option: where the paths were given.
    """
    for path in paths:
        if not path.exists():
            raise DataError(f"{path}: there is no such file or folder of documents.", hint=f"check {option}.")
        for file, name in files_below(path) if path.is_dir() else [(path, path.name)]:
            try:
                made = read(file, name)
            except DataError as error:
                if not path.is_dir():
                    raise
                warnings.append(f"left out: {error.message}")
                continue
            yield name, made


def without_text(name: str) -> str:
    """The warning about a file that was read and is empty."""
    return f"left out: {name} holds no text that can be read"


def shelve(passages: Iterable[Passage], warnings: Sequence[str] = ()) -> Library:
    """A Library of passages: copies are taken once, a second text under one id gets a number behind the id.

    Passages without text are left out. Both are told in `warnings`.
    """
    kept: dict[tuple[str, str], Passage] = {}
    doubled: dict[str, None] = {}
    empty = 0
    for passage in passages:
        if not passage.text.strip():
            empty += 1
            continue
        made, number = passage, 1
        while made.reference in kept and kept[made.reference].text != made.text:
            number += 1
            made = replace(passage, passage=f"{passage.passage} ({number})")
            doubled[str(passage)] = None
        kept.setdefault(made.reference, made)
    told = list(warnings)
    if empty:
        told.append(f"{empty:,} {'passage has' if empty == 1 else 'passages have'} no text and are left out")
    if doubled:
        named = ", ".join(list(doubled)[:3])
        told.append(
            f"{len(doubled):,} {'id stands' if len(doubled) == 1 else 'ids stand'} for several texts ({named}); the "
            "later ones got a number behind the id"
        )
    return Library(tuple(kept.values()), tuple(told))


def passage_columns(names: Sequence[str], *, apart_from: Sequence[str] = ()) -> PassageColumns:
    """Which columns of a table hold passages, by their names; `Passages.PassageID` counts as `PassageID`."""
    free = [name for name in names if name not in apart_from]

    def first(wanted: Sequence[str], taken: Sequence[str | None] = ()) -> str | None:
        for word in wanted:
            for name in free:
                if name not in taken and _plain(name) == word:
                    return name
        return None

    text = first(_TEXT_NAMES)
    document = first(_DOCUMENT_NAMES, (text,))
    passage = first(_PASSAGE_NAMES, (text, document))
    return PassageColumns(text, passage, document)


def rows_of_passages(table: Table, columns: PassageColumns, *, file: str = "") -> list[list[Passage]]:
    """The passages of each row of a table; a row with lists holds several. What has no id gets its number."""
    n = len(table)
    cells = [
        [None] * n if name is None else table.values(name) for name in (columns.text, columns.passage, columns.document)
    ]
    made: list[list[Passage]] = []
    for row, (text, passage, document) in enumerate(zip(*cells, strict=True), start=1):
        texts = (text or "").split(LIST_MARK)
        ids = (passage or "").split(LIST_MARK)
        documents = (document or "").split(LIST_MARK)
        many = max(len(texts), len(ids), len(documents))
        here = []
        for at in range(many):
            one = _at(documents, at, many) or file
            number = _at(ids, at, many) or (f"{row}" if many == 1 else f"{row}.{at + 1}")
            here.append(Passage(one.strip(), number.strip(), _at(texts, at, many)))
        made.append(here)
    return made


def cut(text: str, *, by_line: bool = False) -> list[tuple[int, int, str]]:
    """(start, end, heading) of the passages of a text: text[start:end] has no space at its ends.

    Paragraphs end at blank lines; short ones are joined with what follows, long ones cut between sentences.
    by_line: a paragraph is a line, as in what word processors write; also found out where no line is blank.
    """
    paragraphs: list[tuple[int, int]] = []
    begin = 0
    gaps = _LINE if by_line or _has_a_paragraph_per_line(text) else _BLANK
    for gap in [*gaps.finditer(text), None]:
        end = len(text) if gap is None else gap.start()
        piece = trimmed(text, begin, end)
        if piece is not None:
            paragraphs.append(piece)
        begin = len(text) if gap is None else gap.end()
    made: list[tuple[int, int, str]] = []
    heading, open_from, open_to = "", -1, -1
    for start, end in paragraphs:
        piece_text = text[start:end]
        if not set("\n|") & set(piece_text) and _HEADING.fullmatch(piece_text) and len(piece_text.split()) <= 12:
            if open_from >= 0:
                made.append((open_from, open_to, heading))
            heading, open_from, open_to = piece_text.lstrip("# ").strip(), start, end
            continue
        if open_from >= 0 and len(text[open_from:end].split()) > _MOST:
            made.append((open_from, open_to, heading))
            open_from = -1
        if open_from < 0:
            open_from = start
        open_to = end
        if len(text[open_from:open_to].split()) >= _FEWEST:
            made += [(s, e, heading) for s, e in _between_sentences(text, open_from, open_to)]
            open_from = -1
    if open_from >= 0:
        made.append((open_from, open_to, heading))
    return made


def files_below(folder: Path) -> list[tuple[Path, str]]:
    """(file, its name below the folder) of every kind that holds documents; hidden ones left out."""
    found = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix.lower() in PROSE | BOUND | _TABLES)
    named = [(p, p.relative_to(folder).as_posix()) for p in found]
    return [(p, name) for p, name in named if not any(part.startswith((".", "__")) for part in name.split("/"))]


def _passages(file: Path, name: str, how: Reading) -> tuple[list[Passage], bool]:
    """(the passages of a file, whether it is a table of them)."""
    ending = file.suffix.lower()
    if ending in PROSE:
        content = read_bytes(file)
        return _of_text(name, decode(content, file.name, how.encoding).text if content.strip() else ""), False
    if ending in BOUND:
        pages = [value or "" for value in read_path(file, how).values("text")]
        # Pages of a pdf and e-mails break lines where the paper ends; the others where a paragraph does.
        return _of_pages(name, pages, by_line=ending not in (".pdf", ".eml")), False
    table = expand_json(read_path(file, how))
    columns = passage_columns(table.names)
    if columns.text is None:
        raise DataError(
            f"{file.name}: no column holds passages. Columns: {', '.join(table.names[:8])}.",
            hint="name the column with the text 'passage', and those with ids 'document_id' and 'passage_id'.",
        )
    return [p for row in rows_of_passages(table, columns, file=Path(name).stem) for p in row], True


def _has_a_paragraph_per_line(text: str) -> bool:
    lines = [line for line in text.splitlines() if line.strip()]
    return len(lines) > 1 and _BLANK.search(text.strip()) is None and median(map(len, lines)) > _LONG_LINE


def _of_text(name: str, text: str, *, by_line: bool = False) -> list[Passage]:
    return [
        Passage(name, str(number), text[start:end], heading, number - 1, start)
        for number, (start, end, heading) in enumerate(cut(text, by_line=by_line), start=1)
    ]


def _of_pages(name: str, pages: Sequence[str], *, by_line: bool) -> list[Passage]:
    """Passages of the pages of a document; their ids say page and number, their starts count over all pages."""
    if len(pages) == 1:
        return _of_text(name, pages[0], by_line=by_line)
    made: list[Passage] = []
    before = 0
    for page, text in enumerate(pages, start=1):
        for number, (start, end, heading) in enumerate(cut(text), start=1):
            made.append(Passage(name, f"{page}.{number}", text[start:end], heading, len(made), before + start))
        before += len(text) + 2  # as if pages were joined by a blank line
    return made


def _between_sentences(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The span, or where it is long, parts of it that end with sentences."""
    if len(text[start:end].split()) <= _MOST:
        return [(start, end)]
    made: list[tuple[int, int]] = []
    opened = start
    last = start
    for s, e in sentences(text[start:end]):
        if last > opened and len(text[opened : start + e].split()) > _MOST:
            made.append((opened, last))
            opened = start + s
        last = start + e
    return [*made, (opened, last)]


def _at(values: Sequence[str], at: int, many: int) -> str:
    """The item, or the only one where there is one for all."""
    if len(values) == 1 and many > 1:
        return values[0]
    return values[at] if at < len(values) else ""


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.rpartition(".")[2].lower())
