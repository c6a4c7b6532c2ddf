"""Train rows that repeat another train row, and equal texts with different answers."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from tunesmith.core.dataset import Dataset
from tunesmith.core.findings import Finding
from tunesmith.data.duplicates import group_texts, near_groups_of
from tunesmith.data.steps import step


@step("duplicates")
def duplicates(data: Dataset, *, near: str = "flag", **options: Any) -> list[Finding]:  # noqa: ARG001
    """Drop train rows that equal an earlier train row in text (normalised) and answer; keep the first.

    near: what to do with near duplicates that share their answer, "flag" or "drop". Equal texts whose answers
    differ are flagged in train and dev: one of the answers must be wrong, and dropping cannot say which.
    """
    table = data.table
    splits = table["split"].to_numpy(zero_copy_only=False)
    at = np.flatnonzero((splits == "train") | (splits == "dev"))
    part = table.take(at)
    ids, targets = part["id"].to_pylist(), part["target"].to_pylist()
    exact = group_texts(part["text"].to_pylist(), near=False).exact.tolist()
    wider = near_groups_of(data, at).tolist()
    answers: dict[int, set[str]] = defaultdict(set)
    for group, target in zip(exact, targets, strict=True):
        answers[group].add(target)
    found = []
    first: dict[tuple[int, str], int] = {}
    like: dict[tuple[int, str], int] = {}
    for position, (own, wide) in enumerate(zip(exact, wider, strict=True)):
        target, row = targets[position], ids[position]
        if len(answers[own]) > 1:
            others = ", ".join(sorted(repr(a) for a in answers[own] if a != target)[:3])
            found.append(Finding("duplicates", row, "flag", f"the same text also has the answer {others}"))
        if splits[at[position]] != "train":
            continue
        if (own, target) in first:
            found.append(Finding("duplicates", row, "drop", f"repeats row {first[own, target]} word for word"))
        elif (wide, target) in like:
            action = "drop" if near == "drop" else "flag"
            found.append(Finding("duplicates", row, action, f"nearly repeats row {like[wide, target]}", 0.8))  # type: ignore[arg-type]
        first.setdefault((own, target), row)
        like.setdefault((wide, target), row)
    return found
