"""Slices that the labels serve worse, predictions that hang on gender, and slices with few rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from tunesmith.core.dataset import Dataset
from tunesmith.core.findings import Finding
from tunesmith.data.bias import errors_and_swaps, gaps, scarce
from tunesmith.data.steps import CannotRun, step

_FEWEST = 60  # rows that a probe can be fitted on


@step("bias")
def bias(data: Dataset, *, alpha: float = 0.05, share: float = 0.1, **options: Any) -> list[Finding]:  # noqa: ARG001
    """Flag rows that a probe gets wrong in slices with more errors than the rest (kind "gap"), rows whose prediction
    changes when gendered words are exchanged ("swap"), and the rows of slices with hardly any ("few").

    alpha: chance of calling any slice worse that is not, over all slices (Holm), 0.01 to 0.1.
    share: slices with less than this share of an equal part of the rows are called scarce, 0.01 to 0.5.
    Train and dev rows only. Raises CannotRun for written answers, fewer than 60 rows, and one class.
    """
    if data.task == "tag":
        raise CannotRun("texts have several labels, and the probe of this step gives one.")
    if not data.labels:
        raise CannotRun("bias is measured on labels, and the answers are written.")
    splits = data.table["split"].to_numpy(zero_copy_only=False)
    part = data.table.take(np.flatnonzero((splits == "train") | (splits == "dev")))
    targets = part["target"].to_pylist()
    names, codes = np.unique(np.asarray(targets, dtype=object).astype(str), return_inverse=True)
    if len(targets) < _FEWEST or len(names) < 2:
        raise CannotRun(
            f"a probe cannot be fitted on {len(targets)} rows of {len(names)} classes; it takes {_FEWEST} of 2."
        )
    texts = [text or "" for text in part["text"].to_pylist()]
    wrong, swapped = errors_and_swaps(texts, codes.astype(np.int64), part["group"].to_numpy())
    slices = {name.removeprefix("slice."): [value or "" for value in part[name].to_pylist()]
              for name in part.column_names if name.startswith("slice.")}  # fmt: skip
    ids = part["id"].to_pylist()
    found = []
    for gap in gaps(wrong, slices, alpha=alpha):
        low, high = gap.interval
        reason = (
            f"{gap.column} {gap.value!r}: a probe errs in {gap.errors:.0%} ({low:.0%} to {high:.0%}) "
            f"of {gap.rows:,} rows, elsewhere in {gap.elsewhere:.0%}"
        )
        inside = np.array([value == gap.value for value in slices[gap.column]])
        found += [
            Finding("bias", ids[at], "flag", reason, 1 - gap.p, kind="gap") for at in np.flatnonzero(inside & wrong)
        ]
    if swapped.share is not None:
        low, high = swapped.share
        of = f"{len(swapped.changed):,} of {len(swapped.at):,} such rows, {low:.0%} to {high:.0%}"
        reason = f"a probe answers otherwise when gendered words are exchanged ({of})"
        found += [Finding("bias", ids[at], "flag", reason, 0.5, kind="swap") for at in swapped.changed.tolist()]
    for column, value, rows in scarce(slices, share=share):
        reason = f"{column} {value!r} has {rows:,} of {len(ids):,} rows"
        found += [Finding("bias", ids[at], "flag", reason, 0.5, kind="few")
                  for at, other in enumerate(slices[column]) if other == value]  # fmt: skip
    return found
