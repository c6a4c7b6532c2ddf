"""Decides which column is the answer, which are the question, and what kind of task that makes.

Names, structure and a measured probe vote together; where they do not agree clearly, Unsure is raised
with one question instead of a guess.
"""

from __future__ import annotations

from collections.abc import Mapping

from tunesmith.core.errors import DataError
from tunesmith.data.columns import Column, describe_columns
from tunesmith.data.decisions import NO_TARGET, Asked, Decision, Detected, Unsure
from tunesmith.data.inputs import find_inputs
from tunesmith.data.table import Table
from tunesmith.data.targets import find_target
from tunesmith.data.task_choice import find_task
from tunesmith.data.words import SPLIT_VALUES, TARGET_STRONG, name_words

__all__ = ["Asked", "Decision", "Detected", "Unsure", "detect", "detect_unmeasured"]


def detect(table: Table, asked: Asked) -> Detected:
    """Every column's part. Raises Unsure when the table allows several readings, DataError when none."""
    columns = describe_columns(table)
    for name in (*asked.reserved, *(() if isinstance(asked.inputs, str) else asked.inputs)):
        table.column(name)
    if asked.target != "auto":
        table.column(asked.target)
    split = next((c.name for c in columns.values() if c.kind == "split" and c.name != asked.target), None)
    table = _without_test(table, split)
    taken = {*asked.reserved, split}
    free = {name: column for name, column in columns.items() if name not in taken}
    decisions = []
    if asked.target == "auto":
        target, task, decision = find_target(table, free, asked)
        decisions.append(decision)
    else:
        target, task = asked.target, asked.task
    kind_decision = find_task(table, columns[target], task, asked)
    decisions.append(kind_decision)
    task = kind_decision.choice
    inputs, ignored, input_decision, warnings = find_inputs(table, free, target, task, asked)
    decisions.append(input_decision)
    if split is not None:
        decisions.append(Decision("split", split, f"its values are {_values(table, split)}", 0.98))
        ignored = {**ignored, split: "it says which split each row belongs to"}
    for name in asked.reserved:
        ignored = {**ignored, name: "it only steers the split"}
    return Detected(target, inputs, task, split, ignored, tuple(decisions), warnings, columns)


def detect_unmeasured(table: Table, asked: Asked) -> Detected:
    """Every column's part where nothing will be learned or measured: what is missing is left out, not refused.

    The target is "" and the task "none" where no column is one. Raises Unsure as `detect` does, DataError only for
    columns that were named and do not exist, or where no column holds anything.
    """
    if asked.target != NO_TARGET or NO_TARGET in table.names:
        try:
            return detect(table, asked)
        except Unsure:
            raise
        except DataError:
            for name in (asked.target, *(() if isinstance(asked.inputs, str) else asked.inputs)):
                if name != "auto":
                    table.column(name)
    columns = describe_columns(table)
    named = asked.target in columns
    target = asked.target if named and columns[asked.target].kind != "empty" else _only_class(columns, asked)
    task = "none" if not target else "rewrite" if columns[target].is_text else "classify"
    inputs = tuple(asked.inputs) if not isinstance(asked.inputs, str) else _texts_of(columns, asked, target)
    if not inputs:
        raise DataError(
            f"{asked.file}: no column holds texts. Columns: {', '.join(table.names[:8])}.",
            hint="name the columns yourself with --input.",
        )
    ignored = {name: "not among the inputs" for name in columns if name not in (target, *inputs)}
    decisions = (
        Decision("target", target or "none", "the only column of repeated values" if target else "no column is one"),
        Decision("inputs", ", ".join(inputs), "the columns that hold the longest texts"),
    )
    return Detected(target, inputs, task, None, ignored, decisions, (), columns)


def _only_class(columns: Mapping[str, Column], asked: Asked) -> str:
    """The column that would be the target if its classes were enough: one of few values, called as answers are."""
    if asked.target == NO_TARGET:
        return ""
    found = [
        name
        for name, column in columns.items()
        if column.kind in ("constant", "category", "integer")
        and name_words(name)[0] in TARGET_STRONG
        and name not in (*asked.inputs, *asked.reserved)
    ]
    return found[0] if len(found) == 1 else ""


def _texts_of(columns: Mapping[str, Column], asked: Asked, target: str) -> tuple[str, ...]:
    free = [c for c in columns.values() if c.name not in (target, *asked.reserved) and c.kind not in ("empty", "split")]
    texts = [c.name for c in free if c.is_text]
    if texts or not free:
        return tuple(texts)
    return (max(free, key=lambda c: (c.characters, c.name)).name,)


def _values(table: Table, name: str) -> str:
    import pyarrow.compute as pc

    return ", ".join(sorted(str(v) for v in pc.unique(table.data[name]).to_pylist() if v)[:6])


def _without_test(table: Table, split: str | None) -> Table:
    """The rows that are not said to be test rows: what a column is good for is judged by these alone."""
    import numpy as np

    tested = np.zeros(len(table), dtype=bool)
    if table.split is not None:
        tested |= np.array([value == "test" for value in table.split.to_pylist()])
    if split is not None:
        tested |= np.array([SPLIT_VALUES.get((value or "").strip().lower()) == "test" for value in table.values(split)])
    return table if not tested.any() or tested.all() else table.take(np.flatnonzero(~tested))
