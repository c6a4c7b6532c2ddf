"""Decides what kind of task a target makes, and refuses targets that cannot be learned."""

from __future__ import annotations

from tunesmith.core.errors import DataError, did_you_mean
from tunesmith.data.code_columns import columns_of_code
from tunesmith.data.columns import Column, is_integer, is_number
from tunesmith.data.decisions import A_KIND, Asked, Decision, Unsure, command
from tunesmith.data.table import Table
from tunesmith.data.targets import MOST_CLASSES, MOST_INTEGER_CLASSES
from tunesmith.data.words import TARGET_STRONG, name_words


def find_task(table: Table, target: Column, task: str, asked: Asked) -> Decision:
    """The task for the target; raises DataError for a target that cannot be learned."""
    from tunesmith.tasks import task as tasks

    if asked.task != "auto" and asked.task not in tasks.names():
        raise DataError(f"no task is called '{asked.task}'.", hint=did_you_mean(asked.task, tasks.names()))
    wanted = asked.task if asked.task != "auto" else task
    if target.kind in ("empty", "constant"):
        what = "is empty" if target.kind == "empty" else "has one value only"
        raise DataError(
            f"{asked.file}: the target column '{target.name}' {what}: there is nothing to tell apart.",
            hint="choose another column with --target, or bring rows of a second class.",
        )
    if wanted == "auto" and target.name in columns_of_code(table, {target.name: target}):
        return Decision("task", "code", f"'{target.name}' holds code", 0.9)
    if wanted == "code":
        return Decision("task", "code", "you said so" if asked.task == "code" else f"'{target.name}' holds code", 0.95)
    numeric = target.kind in ("number", "integer") or (target.kind == "id" and _is_numeric(table, target.name))
    if numeric and wanted in ("auto", "classify"):
        _refuse_measurement(table, target, asked)
        return Decision("task", "classify", f"'{target.name}' has {target.distinct:,} whole numbers as values", 0.9)
    if wanted == "classify":
        if target.distinct > max(MOST_CLASSES, 2) or target.distinct > 0.5 * target.filled:
            raise DataError(
                f"{asked.file}: '{target.name}' has {target.distinct:,} different values in {target.filled:,} rows; "
                f"that is no set of classes.",
                hint=f"choose another column, or if the texts in it are to be written:  "
                f"{command(asked, target.name, 'rewrite')}",
            )
        why = f"'{target.name}' has {target.distinct:,} different values in {target.filled:,} rows"
        return Decision("task", "classify", why, 1.0 if asked.task == "classify" else 0.95)
    if wanted not in ("auto",):
        return Decision("task", wanted, "you said so" if asked.task == wanted else "the target holds texts", 1.0)
    if target.kind in ("category", "split"):
        why = f"'{target.name}' has {target.distinct:,} different values in {target.filled:,} rows"
        return Decision("task", "classify", why, 0.95)
    if target.is_text and (target.words >= 5 or target.distinct > 0.5 * target.filled):
        return Decision("task", "rewrite", f"'{target.name}' holds texts of {target.words:.0f} words on average", 0.9)
    if target.distinct <= min(MOST_CLASSES, 0.5 * target.filled):
        why = f"'{target.name}' has {target.distinct:,} different values in {target.filled:,} rows"
        return Decision("task", "classify", why, 0.7)
    if target.kind == "short" and target.filled >= 5:
        raise Unsure(
            f"{asked.file}: '{target.name}' has {target.distinct:,} different short values in {target.filled:,} rows: "
            f"classes or texts?",
            hint=f"say which:  {command(asked, target.name, 'classify')}   or --task rewrite",
            question=f"Does '{target.name}' hold classes to choose from, or texts to be written?",
            option="task",
            choices=("classify", "rewrite"),
        )
    raise DataError(
        f"{asked.file}: '{target.name}' looks like {A_KIND.get(target.kind, 'nothing that can be learned')}: "
        f"{target.distinct:,} different values in {target.filled:,} rows.",
        hint="choose another column with --target.",
    )


def _refuse_measurement(table: Table, target: Column, asked: Asked) -> None:
    values = [v.strip() for v in table.values(target.name) if v and v.strip()]
    broken = [v for v in values if is_number(v) and not is_integer(v)]
    low, high = min(map(_number, values)), max(map(_number, values))
    remedy = (
        f"make classes of it in a new column (for instance low, medium, high by its thirds) and name that column "
        f"with --target; measurements from {low:g} to {high:g} are not learned here."
    )
    if broken:
        raise DataError(
            f"{asked.file}: the target column '{target.name}' holds measurements such as {broken[0]}, not classes.",
            hint=remedy,
        )
    few = target.distinct <= MOST_INTEGER_CLASSES
    words = name_words(target.name)
    named = any(w in TARGET_STRONG for w in words)
    as_classes = few or asked.task == "classify" or (named and target.distinct <= 0.2 * target.filled)
    if as_classes and target.distinct <= max(2, min(MOST_CLASSES, target.filled // 2)):
        return
    raise DataError(
        f"{asked.file}: the target column '{target.name}' holds {target.distinct:,} different numbers from {low:g} to "
        f"{high:g}: that is a measurement, not a set of classes.",
        hint=remedy + f" If the numbers do stand for classes:  {command(asked, target.name, 'classify')}",
    )


def _is_numeric(table: Table, name: str) -> bool:
    values = [v.strip() for v in table.data[name].slice(0, 500).to_pylist() if v and v.strip()]
    return bool(values) and sum(map(is_number, values)) >= 0.98 * len(values)


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        try:
            return float(value.replace(",", "."))
        except ValueError:
            return 0.0
