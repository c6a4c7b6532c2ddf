"""Finds the column that holds the answer: classes to tell apart, or texts to be written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunesmith.core.errors import DataError
from tunesmith.data.code_columns import CODE_TARGET, columns_of_code
from tunesmith.data.columns import Column, sample_rows
from tunesmith.data.decisions import A_KIND, Asked, Decision, Unsure, command
from tunesmith.data.probe import predictability
from tunesmith.data.table import Table
from tunesmith.data.words import ABOUT, AFTERWARDS, INPUT, TARGET_MEDIUM, TARGET_STRONG, TEXT_TARGET, name_words

# More classes than this are not a choice between named things any more.
MOST_CLASSES = 1000
# Whole numbers with more values than this are a measurement unless the column is called a label.
MOST_INTEGER_CLASSES = 20
# What the best column must score, alone or with rivals, and how far ahead of the next it must be.
_ENOUGH = 1.2
_ENOUGH_ALONE = 0.15
_AHEAD = 0.9
_NO_RIVAL = -0.9


@dataclass(frozen=True)
class _Scored:
    name: str
    score: float
    why: str


def find_target(table: Table, columns: Mapping[str, Column], asked: Asked) -> tuple[str, str, Decision]:
    """(column, task or "auto", decision). Raises Unsure if several columns could be it, DataError if none."""
    given = () if isinstance(asked.inputs, str) else asked.inputs
    open_columns = {name: c for name, c in columns.items() if name not in given}
    texts = [c for c in columns.values() if _could_be_input(c)]
    code = {} if asked.task not in ("auto", "code") else columns_of_code(table, open_columns)
    plain = {name: c for name, c in open_columns.items() if name not in code}
    labels = [] if asked.task not in ("auto", "classify") else _label_candidates(table, plain, texts)
    written = [] if asked.task in ("classify", "code") else _text_candidates(table, plain, texts, given)
    found = sorted([*labels, *written, *_code_candidates(code, texts)], key=lambda c: -c.score)
    if not found:
        raise _nothing_to_predict(columns, asked)
    best = found[0]
    rest = [c for c in found[1:] if c.name != best.name]
    ahead = best.score - (rest[0].score if rest else 0.0)
    task = (
        "code"
        if best.name in code
        else "classify"
        if best in labels
        else (asked.task if asked.task != "auto" else "auto")
    )
    flags = [c.name for c in (best, *rest) if c.score > -1.5 and _is_flag(table, columns[c.name])]
    alone = not any(c.score > _NO_RIVAL for c in rest)
    if best.score < (_ENOUGH_ALONE if alone else _ENOUGH) or (rest and ahead < _AHEAD):
        raise _unsure_target(table, best, rest, asked, together=flags)
    if task == "classify" and _is_one_of_many_flags(table, columns, best, rest):
        raise _unsure_target(table, best, rest, asked, together=flags)
    confidence = 1 / (1 + math.exp(-(0.6 * best.score + 0.8 * min(ahead, 3.0) - 0.3)))
    return best.name, task, Decision("target", best.name, best.why, round(min(confidence, 0.99), 2))


def _code_candidates(code: Mapping[str, str], texts: Sequence[Column]) -> list[_Scored]:
    """Columns of code that could be written from a text that is none, each with its score."""
    if all(column.name in code for column in texts):
        return []
    found = []
    for name, language in code.items():
        words = {*name_words(name)[:2], name.casefold()}
        told = {"sql": "SQL", "python": "Python"}[language]
        named = bool(words & CODE_TARGET)
        found.append(_Scored(name, 3.5 if named else 1.0, f"'{name}' holds {told}, beside a text that asks for it"))
    return found


def _label_candidates(table: Table, columns: Mapping[str, Column], texts: Sequence[Column]) -> list[_Scored]:
    """Columns that could be classes, each with its score."""
    names = list(columns)
    at = sample_rows(len(table), most=3000, seed=1)
    found = []
    for column in columns.values():
        if not _could_be_label(column):
            continue
        score, why = _label_name_score(column)
        reading = [t.name for t in texts if t.name != column.name]
        lift = _lift(table, reading, column.name, at)
        if lift is not None:
            score += min(1.5, 3.0 * max(lift, 0.0)) - (1.0 if lift < 0.05 and len(at) >= 200 else 0.0)
            why.append(
                f"the texts tell it {'well' if lift >= 0.3 else 'a little' if lift >= 0.05 else 'hardly'} "
                f"({lift:.2f} of the way from guessing to certainty)"
            )
        score += 0.2 if column.name == names[-1] else 0.1 if column.name == names[0] else 0.0
        found.append(_Scored(column.name, score, f"{column.distinct:,} different values; " + "; ".join(why)))
    return found


def _could_be_label(column: Column) -> bool:
    if column.kind == "category":
        return 2 <= column.distinct <= MOST_CLASSES
    if column.kind in ("short", "id", "file") and name_words(column.name)[0] in TARGET_STRONG:
        return 2 <= column.distinct <= min(MOST_CLASSES, column.filled // 2)  # many classes, few rows
    if column.kind == "integer":
        words = name_words(column.name)
        named = words[0] in TARGET_STRONG or words[-1] in TARGET_STRONG or any(w in TARGET_STRONG for w in words)
        most = min(MOST_CLASSES, column.filled // 3) if named else MOST_INTEGER_CLASSES
        return 2 <= column.distinct <= max(2, most)
    return False


def _label_name_score(column: Column) -> tuple[float, list[str]]:
    words = name_words(column.name)
    whole, parts = words[:2], words[2:]
    last = parts[0] if parts else ""
    if any(w in TARGET_STRONG for w in whole):
        return 3.0, [f"'{column.name}' is what answers are usually called"]
    if any(w in ABOUT for w in whole) or last in ABOUT:
        return -2.0, [f"'{column.name}' usually describes the row rather than answers anything"]
    if any(w in AFTERWARDS for w in whole):
        return 0.5, []
    if any(w in TARGET_MEDIUM for w in whole):
        return (2.2 if whole[0] in ("rating", "stars", "type", "kind", "tag", "department", "queue") else 1.2), [
            f"'{column.name}' may be an answer"
        ]
    if any(w in TARGET_STRONG for w in parts):
        return 2.2, [f"'{column.name}' sounds like an answer"]
    if any(w in TARGET_MEDIUM for w in parts):
        return 0.8, [f"'{column.name}' may be an answer"]
    if any(w in INPUT for w in whole):
        return -0.5, [f"'{column.name}' is what inputs are usually called"]
    return 0.0, []


def _lift(table: Table, texts: Sequence[str], target: str, at: object) -> float | None:
    """How well all texts together tell the column, or None without texts."""
    if not texts:
        return None
    rows = table.take(at)
    joined = [" ".join(cell or "" for cell in cells) for cells in zip(*(rows.values(t) for t in texts), strict=True)]
    pairs = [
        (text, label.strip())
        for text, label in zip(joined, rows.values(target), strict=True)
        if label and label.strip()
    ]
    if len(pairs) < 20:
        return None
    return predictability([text for text, _ in pairs], [label for _, label in pairs])


def _is_one_of_many_flags(table: Table, columns: Mapping[str, Column], best: _Scored, rest: Sequence[_Scored]) -> bool:
    """Whether the best column is a yes-or-no beside others of its kind: then each may be a label of its own."""
    flags = [c for c in rest if c.score > _NO_RIVAL and _is_flag(table, columns[c.name])]
    if not flags or not _is_flag(table, columns[best.name]):
        return False
    return len(flags) >= 2 or _label_name_score(columns[best.name])[0] < 2.2


def _is_flag(table: Table, column: Column) -> bool:
    import pyarrow.compute as pc

    if column.distinct != 2:
        return False
    values = {str(v).strip().lower() for v in pc.unique(table.data[column.name]).to_pylist() if v and v.strip()}
    return values in ({"0", "1"}, {"true", "false"}, {"yes", "no"}, {"y", "n"}, {"t", "f"})


def _text_candidates(
    table: Table, columns: Mapping[str, Column], texts: Sequence[Column], given: Sequence[str]
) -> list[_Scored]:
    """Columns that could be texts to be written, each with its score."""
    found = []
    for column in columns.values():
        others = [t for t in texts if t.name != column.name] or [c for c in columns.values() if c.name in given]
        if column.kind not in ("text", "short") or not (others or given) or _could_be_label(column):
            continue
        words = name_words(column.name)
        score, why = 0.0, "a text beside another text"
        if words[0] in TEXT_TARGET:
            score, why = 3.0, f"'{column.name}' is what written answers are usually called"
            if any(name_words(o.name)[0] in TEXT_TARGET and name_words(o.name)[0] in INPUT for o in others):
                score -= 0.0
            if words[0] in INPUT:
                score -= 1.5  # an abstract or a note may be either side
        elif words[0] in AFTERWARDS:
            score, why = 1.6, f"'{column.name}' is written after the fact"
        elif any(w in TEXT_TARGET and w not in INPUT for w in words[2:]):
            score, why = 1.8, f"'{column.name}' sounds like a written answer"
        elif words[0] in INPUT:
            score = -1.0
        overlap = max((shared_words(table, o.name, column.name) for o in others), default=0.0)
        if overlap > 0.15:
            score += 0.6
            why += f"; it shares words with its source ({overlap:.2f} more than by chance)"
        if column.kind == "short":
            score -= 1.0
        found.append(_Scored(column.name, score, why))
    return found


def shared_words(table: Table, source: str, target: str) -> float:
    """Share of the target's longer words that its own source holds, less the share another row's source holds."""
    rows = table.take(sample_rows(len(table), most=300, seed=2))
    sources = [set((value or "").lower().split()) for value in rows.values(source)]
    targets = [{w for w in (value or "").lower().split() if len(w) > 3} for value in rows.values(target)]
    own = others = n = 0.0
    for at, words in enumerate(targets):
        if not words:
            continue
        n += 1
        own += len(words & sources[at]) / len(words)
        others += len(words & sources[(at + len(sources) // 2) % len(sources)]) / len(words)
    return (own - others) / n if n else 0.0


def _could_be_input(column: Column) -> bool:
    return column.kind == "text" or (column.kind == "short" and column.words >= 1.5)


def _unsure_target(
    table: Table, best: _Scored, rest: Sequence[_Scored], asked: Asked, *, together: Sequence[str] = ()
) -> Unsure:
    """together: columns that may also be learned all at once, as labels of which a text may have several."""
    found = [best, *[c for c in rest if c.score > -1.5]][:6]
    names = [c.name for c in found]
    if len(names) == 1:
        message = f"{asked.file}: is '{best.name}' the answer to learn? ({best.why})"
        question = f"Is '{best.name}' the column to learn? If not, which one?"
    else:
        message = f"{asked.file}: several columns could be the answer to learn: {', '.join(names)}."
        question = "Which column holds the answer to learn?"
    hint = f"say which:  {command(asked, best.name, None)}"
    if len(together) > 1:
        hint += f"\n  or all, each a label that a text may have:  {command(asked, ','.join(together), 'tag')}"
    return Unsure(
        message,
        hint=hint,
        question=question,
        option="target",
        choices=[*names, *[n for n in table.names if n not in names]],
    )


def _nothing_to_predict(columns: Mapping[str, Column], asked: Asked) -> DataError:
    numbers = [c.name for c in columns.values() if c.kind in ("number", "integer")]
    seen = ", ".join(f"{c.name} ({A_KIND.get(c.kind, 'texts')})" for c in list(columns.values())[:8])
    if numbers:
        return DataError(
            f"{asked.file}: no column holds classes or texts to learn; '{numbers[0]}' holds measurements. "
            f"Columns: {seen}.",
            hint=f"make classes of '{numbers[0]}' in a new column (low, medium, high) and name it with --target.",
        )
    return DataError(
        f"{asked.file}: no column holds an answer to learn. Columns: {seen}.",
        hint="add a column with the label or the text wanted for each row, and name it with --target.",
    )
