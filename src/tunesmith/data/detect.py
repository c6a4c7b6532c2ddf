"""Decides which column is the answer, which are the question, and what kind of task that makes.

Names, structure and a measured probe vote together; where they do not agree clearly, Unsure is raised
with one question instead of a guess.
"""

from __future__ import annotations

from tunesmith.data.columns import describe_columns
from tunesmith.data.decisions import Asked, Decision, Detected, Unsure
from tunesmith.data.inputs import find_inputs
from tunesmith.data.table import Table
from tunesmith.data.targets import find_target
from tunesmith.data.task_choice import find_task
from tunesmith.data.words import SPLIT_VALUES

__all__ = ["Asked", "Decision", "Detected", "Unsure", "detect"]


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
