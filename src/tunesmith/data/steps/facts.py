"""Answers with a number, a word or a "no" that their source lacks or contradicts as if it had been swapped."""

from __future__ import annotations

from typing import Any

import numpy as np

from tunesmith.core.dataset import Dataset
from tunesmith.core.findings import Finding
from tunesmith.data.grounding import KINDS, grounding
from tunesmith.data.steps import CannotRun, step

_FEWEST = 50  # answers that the weight of evidence can be learnt from
_MOST = 20_000  # answers that are looked at together: more are taken in parts


@step("facts")
def facts(data: Dataset, *, wrong: float = 0.05, surest: float = 0.5, **options: Any) -> list[Finding]:  # noqa: ARG001
    """Flag train and dev answers with a fact that looks swapped, at most one finding a kind and row.

    wrong: share of answers with a swapped fact of a kind that is expected beforehand, 0.001 to 0.5; it moves the line
    and the scores, not the order. surest: least probability of a finding, 0 to 1.
    Raises CannotRun for answers that are labels, and for fewer than 50 rows.
    """
    if data.labels:
        raise CannotRun("the answers are labels, which state no facts.")
    splits = data.table["split"].to_numpy(zero_copy_only=False)
    at = np.flatnonzero((splits == "train") | (splits == "dev"))
    if len(at) < _FEWEST:
        raise CannotRun(
            f"what an answer may add to its source cannot be learnt from {len(at)} rows; it takes {_FEWEST}."
        )
    prior = np.log(wrong / (1 - wrong))
    found = []
    parts = np.array_split(at, -(-len(at) // _MOST))
    for part in parts:
        rows = data.table.take(part)
        ids = rows["id"].to_pylist()
        seen = grounding(
            [text or "" for text in rows["text"].to_pylist()], [t or "" for t in rows["target"].to_pylist()]
        )
        for kind in KINDS:
            chance = 1 / (1 + np.exp(-(seen.nats[kind] + prior)))
            for row in np.flatnonzero(chance > surest).tolist():
                reason = f"may be swapped, by its source: {seen.worst[kind][row]}"
                found.append(Finding("facts", ids[row], "flag", reason, float(chance[row]), kind=kind))
    return sorted(found, key=lambda finding: finding.id)
