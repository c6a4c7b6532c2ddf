"""Decides which columns a model is given, and why each other column is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tunesmith.core.errors import DataError
from tunesmith.data.columns import Column, sample_rows
from tunesmith.data.decisions import A_KIND, Asked, Decision, command
from tunesmith.data.giveaway import gives_away
from tunesmith.data.probe import predictability
from tunesmith.data.table import Table
from tunesmith.data.targets import shared_words
from tunesmith.data.words import ABOUT, AFTERWARDS, INPUT, canonical_name, name_words


def find_inputs(
    table: Table, free: Mapping[str, Column], target: str, task: str, asked: Asked
) -> tuple[tuple[str, ...], dict[str, str], Decision, tuple[str, ...]]:
    """(inputs, ignored, decision, warnings)."""
    answers = _answers(table, target) if task == "classify" else None
    telling = {} if answers is None else _telling(table, free, target, answers)
    warnings: list[str] = []
    if not isinstance(asked.inputs, str):
        if target in asked.inputs:
            raise DataError(f"'{target}' cannot be both the target and an input.", hint="take it out of the inputs.")
        warnings += [f"the input '{n}' gives the answer away: {telling[n]}." for n in asked.inputs if n in telling]
        ignored = {
            name: _why_not(column, name, task) or "not among the inputs"
            for name, column in free.items()
            if name not in asked.inputs and name != target
        }
        ignored.update({n: f"gives the answer away: {why}" for n, why in telling.items() if n in ignored})
        return tuple(asked.inputs), ignored, Decision("inputs", ", ".join(asked.inputs), "you said so"), tuple(warnings)
    ignored = {}
    chosen: list[str] = []
    for name, column in free.items():
        if name == target:
            continue
        why = _why_not(column, name, task)
        if name in telling:
            ignored[name] = f"gives the answer away: {telling[name]}"
        elif why is not None:
            ignored[name] = why
        else:
            chosen.append(name)
    if not chosen:
        chosen = _second_choice(free, target, ignored, telling)
        for name in chosen:
            ignored.pop(name, None)
    if not chosen:
        raise DataError(
            f"{asked.file}: besides the target '{target}' no column holds texts to learn from"
            + (f" ({'; '.join(f'{n}: {w}' for n, w in list(ignored.items())[:4])})." if ignored else "."),
            hint=f"name the columns yourself:  {command(asked, target, None)} --input COLUMN",
        )
    if task not in ("classify", "tag"):
        chosen, dropped = _sources_of(table, chosen, target)
        ignored.update(dropped)
    if answers is not None and len(chosen) > 1:
        chosen, dropped = _without_noise(table, chosen, answers)
        ignored.update(dropped)
    for name in chosen:
        if name in telling:
            warnings.append(f"the only input '{name}' gives the answer away: {telling[name]}.")
    why = (
        "the column that holds texts"
        if len(chosen) == 1
        else "several columns hold texts; each is shown under its name"
    )
    return (
        tuple(chosen),
        ignored,
        Decision("inputs", ", ".join(chosen), why, 0.95 if len(chosen) == 1 else 0.8),
        tuple(warnings),
    )


def _why_not(column: Column, name: str, task: str) -> str | None:
    """Why the column is no input, or None if it may be one."""
    words = name_words(name)
    if column.kind in A_KIND:
        return A_KIND[column.kind]
    if column.kind == "short":
        if words[0] in INPUT or (words[2:] and words[2] in INPUT):
            return None
        return "short values without sentences"
    if task in ("classify", "tag") and words[0] in AFTERWARDS:
        return f"'{name}' is written after the answer is known"
    if words[0] in ABOUT and words[0] not in INPUT and column.words < 4:
        return f"'{name}' describes the row"
    return None


def _second_choice(
    free: Mapping[str, Column], target: str, ignored: Mapping[str, str], telling: Mapping[str, str]
) -> list[str]:
    """Where no column holds sentences: one that holds short texts, else a repeated one with letters."""
    others = [c for c in free.values() if c.name != target]
    for kinds in (("text", "short"), ("category",)):
        found = [c for c in others if c.kind in kinds and c.name not in telling]
        named = [c for c in found if name_words(c.name)[0] in INPUT]
        if named or len(found) == 1:
            return [c.name for c in (named or found)]
        if found and kinds == ("text", "short"):
            return [max(found, key=lambda c: (c.characters, c.name)).name]
    texts = [c for c in others if c.kind == "text"]
    return [texts[0].name] if len(texts) == 1 and ignored else []


def _sources_of(table: Table, names: Sequence[str], target: str) -> tuple[list[str], dict[str, str]]:
    """For a text that is to be written: its main source, and what is commonly given beside one."""
    if len(names) == 1:
        return list(names), {}
    beside = {
        "instruction",
        "question",
        "query",
        "context",
        "input",
        "passage",
        "prompt",
        "system",
        "subject",
        "document",
    }
    rows = table.take(sample_rows(len(table), most=300, seed=3))
    length = {name: sum(len(v or "") for v in rows.values(name)) for name in names}
    overlap = {name: shared_words(table, name, target) for name in names}
    main = max(names, key=lambda name: (overlap[name] + 0.15 * length[name] / max(length.values()), name))
    kept = [name for name in names if name == main or canonical_name(name) in beside]
    return kept, {name: f"'{main}' is the text that '{target}' is made from" for name in names if name not in kept}


def _without_noise(
    table: Table, names: Sequence[str], answers: Sequence[str | None]
) -> tuple[list[str], dict[str, str]]:
    """Texts that say nothing about the answer are left out, if enough rows show it and another text says much."""
    at = sample_rows(len(table), most=3000, seed=4)
    kept_rows = [int(i) for i in at if answers[int(i)]]
    if len(kept_rows) < 300:
        return list(names), {}
    labels = [str(answers[i]) for i in kept_rows]
    rows = table.take(kept_rows)
    lift = {name: predictability([v or "" for v in rows.values(name)], labels) for name in names}
    best = max(lift.values())
    idle = [n for n in names if lift[n] < 0.02 and best >= 0.1 and name_words(n)[0] not in INPUT]
    return [n for n in names if n not in idle], {
        n: f"its texts say nothing about the answer ({lift[n]:.2f} of the way from guessing to certainty)" for n in idle
    }


def _answers(table: Table, target: str) -> list[str | None]:
    return [value.strip() or None if value else None for value in table.values(target)]


def _telling(table: Table, columns: Mapping[str, Column], target: str, answers: Sequence[str | None]) -> dict[str, str]:
    """Columns that give the answer away, with how."""
    at = [int(i) for i in sample_rows(len(table), seed=5) if answers[int(i)]]
    labels = [str(answers[i]) for i in at]
    rows = table.take(at)
    found = {}
    for name, column in columns.items():
        if name == target or column.kind in ("empty", "constant"):
            continue
        why = gives_away(rows.values(name), labels)
        if why is not None:
            found[name] = why
    return found
