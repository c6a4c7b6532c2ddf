"""Train and dev rows that copy a test row, and train rows that copy a dev row."""

from __future__ import annotations

from typing import Any

import numpy as np

from tunesmith.core.dataset import Dataset
from tunesmith.core.findings import Finding
from tunesmith.data.duplicates import copies_of, near_groups_of
from tunesmith.data.steps import step


@step("leaks")
def leaks(data: Dataset, *, keep: bool = False, **options: Any) -> list[Finding]:  # noqa: ARG001
    """Drop train and dev rows whose text equals or nearly equals a test row's, and train rows that copy a dev row.

    keep: flag them instead. Only the inputs of test rows are looked at.
    """
    splits = data.table["split"].to_numpy(zero_copy_only=False)
    used = np.flatnonzero(splits != "none")
    part = data.table.take(used)
    texts, ids, splits = part["text"].to_pylist(), part["id"].to_pylist(), splits[used]
    if not (splits == "test").any():
        return []
    groups = near_groups_of(data, used)
    of_test = copies_of(texts, groups, splits == "test")
    of_dev = copies_of(texts, groups, splits == "dev") & (splits == "train") & ~of_test
    action = "flag" if keep else "drop"
    return [
        Finding("leaks", ids[int(at)], action, "copies a test row" if of_test[at] else "copies a dev row")  # type: ignore[arg-type]
        for at in np.flatnonzero(of_test | of_dev)
    ]
