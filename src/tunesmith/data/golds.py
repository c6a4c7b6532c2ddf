"""Links a table of questions to the passages that answer them, whatever form the table names them in.

Gold passages may be given as document and passage id, as one id, as both in one text ("3 § 18.8.2", "a.md#4"), or as
the passage's text or a part of it; a cell may hold several. Which columns those are is decided by how many of them are
found in the library, not by their names alone.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from tunesmith.core.errors import DataError, did_you_mean
from tunesmith.core.library import Library, Passage, Reference, in_order
from tunesmith.data.decisions import Decision
from tunesmith.data.documents import PassageColumns, passage_columns, rows_of_passages, shelve
from tunesmith.data.table import LIST_MARK, Table
from tunesmith.tasks.citations import gold_of

GOLD = "gold passages"
_QUESTION_NAMES = ("question", "query", "q", "questiontext", "prompt", "ask", "input", "text")
_LEAST_FOUND = 0.5  # of the rows that name passages: below this the column or the library is a wrong one
_SEPARATORS = (" § ", "§", "#", "::", "/", "|", ":", " ")
_LEAST_PART = 24  # characters: what is shorter stands in many passages by chance
_LIST = re.compile(r"\s*[;,\n]\s*")


@dataclass(frozen=True)
class Linked:
    """Questions and the library that they are answered from.

    table: with the column GOLD (JSON, tasks/citations.py) in the place of those that named or held passages.
    question: the column with the question.
    """

    table: Table
    question: str
    library: Library
    decisions: tuple[Decision, ...]
    warnings: tuple[str, ...]


def link(table: Table, library: Library | None, *, target: str, inputs: Sequence[str] | str, file: str) -> Linked:
    """The questions linked to the library. library: None to make it of the passages that the rows carry.

    target: column with the passages, the common beginning of several (`Passages` for `Passages.PassageID`), or "auto".
    Raises DataError where no column names passages of the library, or none holds questions.
    """
    question, why = _question(table, inputs, file)
    given = _named(table, target, question)
    decisions = [Decision("question", question, why)]
    warnings: list[str] = []
    own = passage_columns(given, apart_from=(question,))
    if library is None:
        if own.text is None:
            raise DataError(
                f"{file}: there are no documents to answer from: the rows carry no passages.",
                hint="name the documents:  --documents FOLDER_OR_FILE",
            )
        library = _carried(table, own, file)
        decisions.append(
            Decision(
                "documents", f"{len(library):,} passages of {len(library.documents):,} documents",
                "the passages that the questions carry; name others with --documents",
            )
        )  # fmt: skip
    else:
        said = f"{len(library):,} passages of {len(library.documents):,} documents"
        decisions.append(Decision("documents", said, "you named them"))
    warnings += library.warnings
    finder = _Finder(library)
    tried = _tried(table, given, own, question, finder)
    if not tried:
        raise DataError(
            f"{file}: no column but '{question}' says which passages answer a question.",
            hint="name the column with --target: it holds passage ids, or the passages' texts.",
        )
    best = max(tried, key=lambda one: one.share)
    if best.share < _LEAST_FOUND:
        raise DataError(
            f"{file}: of {best.named:,} rows that name passages in {best.told}, {best.found:,} name one that is in the "
            f"library ({len(library):,} passages). Not found: {best.missing}.",
            hint=finder.nearest(best.missing) or "check --documents and --target.",
        )
    decisions.append(
        Decision("target", best.told, f"{best.found:,} of {best.named:,} rows name passages of the library")
    )
    lost = best.named - best.found
    if lost or best.partly:
        warnings.append(
            f"gold passages that are not in the library: {lost:,} rows have no other and take no part, {best.partly:,} "
            f"rows lost some (first: {best.missing})"
        )
    empty = sum(not (value or "").strip() for value in table.values(question))
    if empty:
        warnings.append(f"{empty:,} {'row has' if empty == 1 else 'rows have'} no question and take no part")
    return Linked(
        _replaced(table, best, own, question), question, library, tuple(decisions), tuple(dict.fromkeys(warnings))
    )


def _carried(table: Table, own: PassageColumns, file: str) -> Library:
    """The passages of all rows. Without ids they are numbered in the order of texts: it tells nothing of rows."""
    passages = [p for row in rows_of_passages(table, own, file=file) for p in row]
    if own.passage is None:
        numbers: Counter[str] = Counter()
        texts = sorted({(p.document, p.text) for p in passages})
        passages = []
        for document, text in texts:
            numbers[document] += 1
            passages.append(Passage(document, str(numbers[document]), text))
    return shelve(in_order(passages))


@dataclass(frozen=True)
class _Try:
    """What some columns say of the passages. golds: JSON per row, None where nothing was found."""

    columns: tuple[str, ...]
    golds: tuple[str | None, ...]
    named: int
    partly: int
    missing: str

    @property
    def found(self) -> int:
        return sum(gold is not None for gold in self.golds)

    @property
    def share(self) -> float:
        return self.found / max(1, self.named)

    @property
    def told(self) -> str:
        return ", ".join(f"'{name}'" for name in self.columns)


class _Finder:
    """Finds passages by whatever names them."""

    def __init__(self, library: Library) -> None:
        self.library = library

    @cached_property
    def _by_text(self) -> Mapping[str, list[Reference]]:
        made: dict[str, list[Reference]] = {}
        for p in self.library:
            made.setdefault(" ".join(p.text.split()), []).append(p.reference)
        return made

    @cached_property
    def _by_id(self) -> Mapping[str, Reference | None]:
        """The passage by its id alone, and by document and id in one text; None where several are called so."""
        count = Counter(p.passage for p in self.library)
        made: dict[str, Reference | None] = {}
        for p in self.library:
            made[p.passage] = p.reference if count[p.passage] == 1 else None
        for p in self.library:
            for sign in _SEPARATORS:
                made.setdefault(f"{p.document}{sign}{p.passage}", p.reference)
        return made

    def of(self, asked: Passage) -> Reference | None:
        """The passage that document, id and text (any may be empty) speak of; None if there is none or several."""
        text = " ".join(asked.text.split())
        if asked.document and asked.passage:
            exact = self.library.at.get(asked.reference)
            if exact is not None:
                found = self.library.passages[exact]
                if text and " ".join(found.text.split()) != text:  # a second text under this id
                    return self._named_alike(asked, text) or found.reference
                return found.reference
        if asked.passage and not asked.document:
            by_id = self._by_id.get(asked.passage)
            if by_id is not None:
                return by_id
        alike = self._with(text) if text else []
        here = [r for r in alike if not asked.document or r[0] == asked.document] or alike
        return here[0] if here else None

    def _with(self, text: str) -> list[Reference]:
        """The passages with this text, or else the only one that a long enough part of it stands in."""
        alike = self._by_text.get(text)
        if alike is not None or len(text) < _LEAST_PART:
            return alike or []
        whole, starts = self._joined
        at = whole.find(text)
        if at < 0:
            return []
        first, last = (bisect_right(starts, place) - 1 for place in (at, whole.rfind(text)))
        return [self.library.passages[first].reference] if first == last else []

    @cached_property
    def _joined(self) -> tuple[str, list[int]]:
        """All texts in one, with a sign between them that no text has, and where each begins."""
        texts = [" ".join(p.text.split()) for p in self.library]
        return LIST_MARK.join(texts), list(accumulate((len(text) + 1 for text in texts[:-1]), initial=0))

    def _named_alike(self, asked: Passage, text: str) -> Reference | None:
        alike = self._by_text.get(text, [])
        return next((r for r in alike if r[0] == asked.document and r[1].startswith(asked.passage)), None)

    def nearest(self, name: str) -> str | None:
        """A hint that names the nearest ids."""
        return did_you_mean(name, [p.passage for p in self.library] + [str(p) for p in self.library])


def _question(table: Table, inputs: Sequence[str] | str, file: str) -> tuple[str, str]:
    if not isinstance(inputs, str):
        if len(inputs) != 1:
            raise DataError(f"{file}: a question is one column, got {', '.join(inputs)}.", hint="give one --input.")
        table.column(inputs[0])
        return inputs[0], "you said so"
    plain = {re.sub(r"[^a-z]", "", name.lower()): name for name in reversed(table.names)}
    for word in _QUESTION_NAMES:
        if word in plain:
            return plain[word], "its name says so"
    asking = {name: sum((value or "").rstrip().endswith("?") for value in table.values(name)) for name in table.names}
    best = max(asking, key=lambda name: asking[name], default="")
    if not best or asking[best] < 0.3 * len(table):
        raise DataError(
            f"{file}: no column holds questions. Columns: {', '.join(table.names[:8])}.",
            hint="name the column with --input.",
        )
    return best, f"{asking[best]:,} of {len(table):,} cells end with a question mark"


def _named(table: Table, target: str, question: str) -> list[str]:
    """The columns that may name passages."""
    if target == "auto" or target == GOLD:
        return [name for name in table.names if name != question]
    under = [name for name in table.names if name.startswith(f"{target}.")]
    if under:
        return under
    table.column(target)
    return [target]


def _tried(table: Table, given: Sequence[str], own: PassageColumns, question: str, finder: _Finder) -> list[_Try]:
    tried = []
    if own.passage is not None or own.text is not None:
        whole = tuple(name for name in (own.document, own.passage, own.text) if name is not None)
        rows = rows_of_passages(table, own)
        if own.passage is None:  # numbers that stand for missing ids name nothing
            rows = [[Passage(p.document, "", p.text) for p in row] for row in rows]
        empty = [
            all(not (value or "").strip() for value in cells) for cells in zip(*map(table.values, whole), strict=True)
        ]
        tried.append(_try(whole, [[] if none else row for row, none in zip(rows, empty, strict=True)], finder))
    for name in given:
        if name == question:
            continue
        cells = [(value or "").strip() for value in table.values(name)]
        tried.append(_try((name,), [_asked(cell, finder) for cell in cells], finder))
    return [one for one in tried if one.named]


def _asked(cell: str, finder: _Finder) -> list[Passage]:
    """What a cell may name: the whole of it as an id or a text, or several of them."""
    if not cell:
        return []
    whole = [Passage("", cell, cell)]
    if LIST_MARK in cell:
        return [Passage("", part.strip(), part) for part in cell.split(LIST_MARK) if part.strip()]
    if finder.of(whole[0]) is not None:
        return whole
    parts = _listed(cell)
    return [Passage("", part, part) for part in parts] if len(parts) > 1 else whole


def _listed(cell: str) -> list[str]:
    if cell[:1] == "[":
        try:
            made = json.loads(cell)
            return [" § ".join(map(str, one)) if isinstance(one, list) else str(one) for one in made]
        except (ValueError, TypeError, RecursionError):
            pass
    return [part for part in _LIST.split(cell) if part]


def _try(columns: tuple[str, ...], rows: Sequence[Sequence[Passage]], finder: _Finder) -> _Try:
    golds: list[str | None] = []
    named = partly = 0
    missing = ""
    for row in rows:
        found = [finder.of(asked) for asked in row]
        held = [reference for reference in found if reference is not None]
        named += bool(row)
        if len(held) < len(row):
            partly += bool(held)
            lost = next(asked for asked, reference in zip(row, found, strict=True) if reference is None)
            missing = missing or " § ".join(part for part in (lost.document, lost.passage[:80]) if part)
        golds.append(gold_of(held) if held else None)
    return _Try(columns, tuple(golds), named, partly, missing)


def _replaced(table: Table, best: _Try, own: PassageColumns, question: str) -> Table:
    """The table with GOLD, and without the columns that name passages or hold them: they would give the answer away."""
    import pyarrow as pa

    away = {*best.columns, own.text, own.passage, own.document, GOLD} - {question, None}
    data = table.data.drop_columns([name for name in table.names if name in away])
    return table.with_columns(data.append_column(GOLD, pa.chunked_array([pa.array(best.golds, pa.string())])))
