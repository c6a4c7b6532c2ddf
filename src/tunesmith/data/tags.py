"""Answers that are sets of labels: lists in a cell, labels joined by a mark, or a column of yes and no for each.

Each way of writing is guessed only where the cells bear it out: labels come again in other company, rows have several
of them, and where marks stand between them the same label stands in different places. Whoever names the task is
believed with less.
"""

from __future__ import annotations

import ast
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tunesmith.core.errors import DataError
from tunesmith.data.columns import count_words, describe_columns, sample_rows
from tunesmith.data.labels import Labels, clean_labels
from tunesmith.data.probe import predictability
from tunesmith.data.structures import Structures
from tunesmith.data.table import LIST_MARK, Table
from tunesmith.data.targets import MOST_CLASSES
from tunesmith.data.words import ABOUT, INPUT, TARGET_STRONG, TEXT_TARGET, name_words
from tunesmith.tasks.label_sets import dump_set, read_set

# What columns of several labels are called, besides what columns of one are.
_NAMES = frozenset(
    ("tags", "tag", "categories", "topics", "classes", "genres", "emotions", "intents", "themes", "keywords", "codes")
)
# Columns of yes and no that are called so tell of the row.
_OF_THE_ROW = frozenset(("is", "has", "was", "had", "contains", "with"))
_YES, _NO = frozenset(("1", "true", "yes", "y", "t")), frozenset(("0", "false", "no", "n", "f"))
# Marks between labels, and how they are spoken of.
_MARKS = {
    r"\|": "'|'", ";": "';'", ",": "','", "[;,]": "';' and ','", "[|,]": "'|' and ','", r"\n": "line breaks",
    r">\s*<": "'><'",
}  # fmt: skip
_LOOKED_AT, _DESCRIBED = 4000, 20_000
_FEWEST_SEVERAL, _SEVERAL_SHARE = 3, 0.02
_LONGEST, _MOST_WORDS = 60, 6
_LEAST_LIFT = 0.05
_NUMERIC = ("number", "integer", "id")
_DECIMAL = re.compile(r"\d+,\d+")


@dataclass(frozen=True)
class _Written:
    """How the cells of a column are read as sets, and how many labels that makes."""

    sets: list[list[str] | None]
    how: str
    labels: int


def tags_of(
    flat: Table, nested: Callable[[], Table], *, target: str, task: str, taken: Sequence[str]
) -> Structures | None:
    """The sets of labels that `target` ("auto": whichever column or columns) holds; None if they are none.

    nested: reads the same rows with lists whole. task: "tag" takes the columns named for what they are called; with
    "auto" the cells must show it; "classify" is taken to mean several labels where cells are lists. taken: columns with
    another part. Raises DataError where the task is tag and no column, or none of those named, holds such sets.
    """
    if task not in ("auto", "tag", "classify"):
        return None
    named = [] if target == "auto" else [target] if target in flat.names else [n.strip() for n in target.split(",")]
    if len(named) > 1:
        return _of_columns(flat, named, task)
    if named:
        made = _of_column(flat, nested, named[0], task)
        if made is None and task == "tag":
            raise DataError(
                f"'{named[0]}': no row has more than one label, whatever stands between them.",
                hint="for one label per row:  --task classify;  for several, write them as a list or with '|' between.",
            )
        return made
    if task == "classify":
        return None
    found = _found(flat, nested, task, taken)
    if found is None and task == "tag":
        raise DataError(
            "no column holds several labels per row: none has lists, labels with '|', ';' or ',' between them, and "
            "there are no columns of 0 and 1.",
            hint="name the column with --target, or one column of 0 and 1 per label:  --target a --target b",
        )
    return found


def clean_sets(cells: Sequence[str | None]) -> tuple[list[str | None], Labels]:
    """(every set as one line of JSON, what was done to its labels): one spelling per label, as for single labels."""
    sets = [None if cell is None else json.loads(cell) for cell in cells]
    flat: list[str | None] = [label for found in sets for label in found or ()]
    cleaned = clean_labels(flat)
    spelled = dict(zip(flat, cleaned.values, strict=True))
    made = [None if s is None else dump_set(name for label in s if (name := spelled[label])) for s in sets]
    return made, Labels(tuple(made), cleaned.counts)


def label_counts(answers: Sequence[str | None]) -> Counter[str]:
    """Rows per label."""
    return Counter(label for answer in answers for label in read_set(answer) or ())


def strata(answers: Sequence[str | None]) -> list[str]:
    """Each row's label that fewest rows have ("" for none): what parts are drawn by, so that rare labels are spread."""
    counts = label_counts(answers)
    return [min(read_set(a) or [""], key=lambda label: (counts[label], label)) for a in answers]


def require_tags(answers: Sequence[str | None], *, file: str, target: str) -> None:
    """DataError unless some label of these train rows tells rows apart."""
    counts = label_counts(answers)
    if any(n < len(answers) for n in counts.values()):
        return
    shared = ", ".join(sorted(counts)[:5]) or "none"
    raise DataError(
        f"{file}: the training rows of '{target}' all have the same labels ({shared}).",
        hint="bring rows with other labels, or choose another column with --target.",
    )


# -- one column -------------------------------------------------------------------------------------------------


def _of_column(flat: Table, nested: Callable[[], Table], name: str, task: str) -> Structures | None:
    table = flat
    if name not in flat.names or _may_be_lists(flat, name):
        table = nested()
    if name not in table.names:
        return None
    cells = table.values(name)
    lists = _lists(cells) if _lists(cells[:_LOOKED_AT]) is not None else None
    if lists is not None:
        if task != "tag" and _repeats(lists):
            return None  # a list that says the same twice is a sequence
        lists = [None if found is None else list(dict.fromkeys(found)) for found in lists]
        given = _Written(lists, "lists", len({i for s in lists for i in s or ()}))
        if task != "tag" and not (_closed(lists) and _has_several(lists)):
            return None
        if task == "auto" and not _is_named(name) and _quoted(flat, lists):
            return None
        return _made(name, given, task) if task != "tag" or _has_several(lists, least=1) else None
    if task == "classify":
        return None
    written = _joined(cells, strict=task == "auto")
    return None if written is None else _made(name, written, task)


def _made(name: str, written: _Written, task: str) -> Structures:
    several = sum(len(s) > 1 for s in written.sets if s is not None)
    rows = sum(s is not None for s in written.sets)
    why = f"'{name}' holds {written.how}: {written.labels:,} labels, several of them in {several:,} of {rows:,} rows"
    if task == "auto":
        why += "; for one class per combination:  --task classify" if written.how != "lists" else ""
    if task == "classify":
        why += "; several labels per text are the task tag"
    return Structures(name, tuple(written.sets), (name,), why, "tag")


def _may_be_lists(table: Table, name: str) -> bool:
    head = [value for value in table.data[name].slice(0, 1000).to_pylist() if value and value.strip()]
    return any(LIST_MARK in value or value.lstrip()[:1] == "[" for value in head)


def _lists(cells: Sequence[str | None]) -> list[list[str] | None] | None:
    """The cells as lists; None unless nearly all that are filled are lists of plain values."""
    made = [_items(cell) for cell in cells]
    filled = [cell for cell in cells if cell and cell.strip()]
    read = sum(found is not None for found in made)
    if not filled or read < 0.98 * len(filled):
        return None
    return made


def _items(cell: str | None) -> list[str] | None:
    """A list in a cell, as JSON or as Python writes it."""
    told = (cell or "").strip()
    if not (told.startswith("[") and told.endswith("]")) or len(told) > 20_000:
        return None
    try:
        found: Any = json.loads(told)
    except (ValueError, RecursionError):
        try:
            found = ast.literal_eval(told)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None
    if not isinstance(found, list) or any(isinstance(item, (dict, list, tuple, set)) for item in found):
        return None
    return [str(item).strip() for item in found if item is not None and str(item).strip()]


def _joined(cells: Sequence[str | None], *, strict: bool) -> _Written | None:
    """The cells cut at the mark that makes the fewest labels; None if no mark makes sets of them.

    strict: the labels must also be few against their combinations, short, and stand in different places.
    """
    filled = list(islice((cell.strip() for cell in cells if cell and cell.strip()), _LOOKED_AT))
    made: list[tuple[int, str, str]] = []
    for mark, told in _MARKS.items():
        if not any(re.search(mark, cell) for cell in filled):
            continue
        sets = [_cut(cell, mark) for cell in filled]
        if not _has_several(sets, least=None if strict else 1):
            continue
        if strict and not (_closed(sets) and _moves(sets) and _few(sets, filled)):
            continue
        if (
            strict
            and mark == ","
            and max(map(len, sets)) < 3
            and all(map(_DECIMAL.fullmatch, _of_several(sets, filled)))
        ):
            continue  # 3,5 and 4,5 are numbers
        made.append((len({label for found in sets for label in found}), mark, told))
    if not made:
        return None
    labels, mark, told = min(made, key=lambda one: one[0])
    whole = [None if not cell or not cell.strip() else _cut(cell.strip(), mark) for cell in cells]
    return _Written(list(whole), f"labels with {told} between them", labels)


def _of_several(sets: Sequence[Sequence[str]], cells: Sequence[str]) -> list[str]:
    return [cell for found, cell in zip(sets, cells, strict=True) if len(found) > 1]


def _cut(cell: str, mark: str) -> list[str]:
    found = _items(cell)
    if found is not None:  # a set that was written back after curation, or "[]" for none
        return list(dict.fromkeys(found))
    if "<" in mark:  # <python><pandas>
        cell = cell.removeprefix("<").removesuffix(">")
    return [part.strip() for part in re.split(mark, cell) if part.strip()]


def _has_several(sets: Sequence[Sequence[str] | None], *, least: int | None = None) -> bool:
    rows = [found for found in sets if found is not None]
    several = sum(len(found) > 1 for found in rows)
    return several >= (max(_FEWEST_SEVERAL, _SEVERAL_SHARE * len(rows)) if least is None else least)


def _closed(sets: Sequence[Sequence[str] | None]) -> bool:
    """Whether the items are labels: short, and nearly all of them come again."""
    counts = Counter(label for found in sets for label in found or ())
    given = sum(counts.values())
    if not 2 <= len(counts) <= MOST_CLASSES or given < 3 * len(counts):
        return False
    short = sum(n for label, n in counts.items() if len(label) <= _LONGEST and count_words(label) <= _MOST_WORDS)
    again = sum(n for n in counts.values() if n >= 3)
    return short >= 0.95 * given and again >= 0.8 * given


def _moves(sets: Sequence[Sequence[str]]) -> bool:
    """Whether labels stand now first, now later: what is a path (News|Sports) or a name with a comma does not."""
    places: dict[str, set[int]] = defaultdict(set)
    company: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for found in sets:
        for place, label in enumerate(found):
            places[label].add(min(place, 1))
            company[label].add(tuple(found))
    counts = Counter(label for found in sets for label in found)
    given = sum(counts.values())
    moving = sum(n for label, n in counts.items() if len(places[label]) > 1)
    mixing = sum(n for label, n in counts.items() if len(company[label]) > 1)
    whole = sum(len(set(found)) == len(found) for found in sets)
    return moving >= 0.4 * given and mixing >= 0.8 * given and whole >= 0.98 * len(sets)


def _few(sets: Sequence[Sequence[str]], cells: Sequence[str]) -> bool:
    """Whether the labels are fewer than what they make together."""
    return len({label for found in sets for label in found}) <= 0.75 * len(set(cells))


def _quoted(flat: Table, sets: Sequence[Sequence[str] | None]) -> bool:
    """Whether most items stand in the row's other cells: then they are quoted from a text, not chosen for it."""
    some = flat.take(sample_rows(len(flat), most=_DESCRIBED))
    texts = [name for name, column in describe_columns(some).items() if column.is_text]
    at = [int(i) for i in sample_rows(len(flat), most=300, seed=8) if sets[int(i)]]
    given = found = 0
    rows = [flat.take(at).values(name) for name in texts]
    for place, row in enumerate(at):
        text = " ".join((cells[place] or "") for cells in rows).casefold()
        for label in sets[row] or ():
            given += 1
            found += label.casefold() in text
    return given > 0 and found >= 0.5 * given


def _repeats(sets: Sequence[Sequence[str] | None]) -> bool:
    rows = [found for found in sets if found]
    return sum(len(set(found)) < len(found) for found in rows) > 0.02 * len(rows)


def _is_rival(name: str) -> bool:
    """Whether a column is called as the one answer of another task is."""
    word = name_words(name)[0]
    return word in TARGET_STRONG or (word in TEXT_TARGET and word not in INPUT)


def _is_named(name: str) -> bool:
    words = {*name_words(name)}
    return bool(words & (_NAMES | TARGET_STRONG))


# -- which column, or columns ------------------------------------------------------------------------------------


def _found(flat: Table, nested: Callable[[], Table], task: str, taken: Sequence[str]) -> Structures | None:
    """The one column, else the columns of yes and no, that hold several labels."""
    some = flat.take(sample_rows(len(flat), most=_DESCRIBED))
    columns = {name: c for name, c in describe_columns(some).items() if name not in taken and c.kind != "split"}
    plain = [n for n, c in columns.items() if c.kind not in ("list", "empty") and _is_rival(n)]
    made: list[Structures] = []
    for name, column in columns.items():
        # Numbers of labels with commas between them ("3,14") look like measurements.
        joined = column.kind in ("category", "short", "text", "list") or (_is_named(name) and column.kind in _NUMERIC)
        joined = joined and column.characters <= 4 * _LONGEST
        if "." in name or not (_may_be_lists(flat, name) or joined):
            continue
        one = _of_column(flat, nested, name, "auto")
        if one is not None and (task == "tag" or _is_named(name) or _may_be_lists(flat, name)):
            made.append(one)
    if not made and task == "tag":  # what is called so is believed with less
        likely = [name for name in columns if "." not in name and _is_named(name)]
        made = [one for name in likely if (one := _of_column(flat, nested, name, task)) is not None]
    called = [one for one in made if _is_named(one.name)]
    if len(called or made) == 1:
        best = (called or made)[0]
        return best if task == "tag" or not [name for name in plain if name != best.name] else None
    if made:
        if task != "tag":
            return None
        names = ", ".join(one.name for one in made)
        raise DataError(f"several columns hold several labels per row: {names}.", hint="name one with --target.")
    few = [name for name, column in columns.items() if 1 <= column.distinct <= 2]
    flags = [name for name in few if _is_flag(flat, name) and not _tells_of_the_row(name)]
    if task == "tag":
        return _of_columns(flat, flags, "tag") if len(flags) >= 2 else None
    generic = {"label", "labels", "target", "class", "y", "gold", "ground_truth"}
    if len(flags) < 3 or any(name_words(n)[0] in generic for n in flags) or [n for n in plain if n not in flags]:
        return None
    flagged = _of_columns(flat, flags, "auto")
    if flagged is None or not _has_several(flagged.values):
        return None
    return flagged if _texts_tell(flat, flags, columns) else None


def _of_columns(flat: Table, names: Sequence[str], task: str) -> Structures | None:
    """A set per row of columns of yes and no, each named like its label."""
    for name in names:
        flat.column(name)
    strange = next((name for name in names if not _is_flag(flat, name)), None)
    if strange is not None:
        if task == "tag":
            raise DataError(
                f"'{strange}' holds more than 0 and 1 (or yes and no, true and false), so it is no label of its own.",
                hint="name one column that holds the labels, or only columns of 0 and 1.",
            )
        return None
    sets: list[list[str] | None] = []
    for cells in zip(*(flat.values(name) for name in names), strict=True):
        told = [(cell or "").strip().casefold() for cell in cells]
        sets.append([name for name, cell in zip(names, told, strict=True) if _truth(cell)] if any(told) else None)
    several = sum(len(s) > 1 for s in sets if s is not None)
    why = f"{len(names)} columns of yes and no are a label each, several of them in {several:,} rows"
    if task == "auto":
        why += "; for one of them alone:  --target COLUMN;  for an object with them as fields:  --task extract"
    return Structures(", ".join(names), tuple(sets), tuple(names), why, "tag")


def _truth(cell: str) -> bool:
    return cell in _YES or cell == "1.0"


def _is_flag(table: Table, name: str) -> bool:
    import pyarrow.compute as pc

    values = {str(v).strip().casefold() for v in pc.unique(table.data[name]).to_pylist() if v and v.strip()}
    values = {v.removesuffix(".0") for v in values}
    return bool(values & _YES) and values <= _YES | _NO and len(values) <= 2


def _tells_of_the_row(name: str) -> bool:
    words = name_words(name)
    return words[0] in ABOUT or words[0].split("_")[0] in _OF_THE_ROW


def _texts_tell(table: Table, names: Sequence[str], columns: dict[str, Any]) -> bool:
    """Whether the texts tell at least half of these columns a little: columns about the row they tell not at all."""
    texts = [name for name, column in columns.items() if column.is_text]
    if not texts:
        return False
    rows = table.take(sample_rows(len(table), most=1500, seed=9))
    joined = [" ".join(cell or "" for cell in cells) for cells in zip(*(rows.values(t) for t in texts), strict=True)]
    told = 0
    for name in names[:8]:
        pairs = [(t, v.strip()) for t, v in zip(joined, rows.values(name), strict=True) if v and v.strip()]
        if len(pairs) >= 20 and len({v for _, v in pairs}) == 2:
            told += predictability([t for t, _ in pairs], [v for _, v in pairs]) >= _LEAST_LIFT
    return 2 * told >= len(names[:8])
