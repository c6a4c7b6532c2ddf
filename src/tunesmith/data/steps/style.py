"""Answers, or texts, that are not written in the manner of the table's others."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from tunesmith.core.dataset import Dataset
from tunesmith.core.findings import Finding
from tunesmith.data.distances import far_out
from tunesmith.data.steps import CannotRun, step
from tunesmith.data.style import style_of

_FEWEST = 50  # texts that a house style can be read from


@step("style")
def style(
    data: Dataset,
    *,
    of: Literal["auto", "answers", "texts"] = "auto",
    surest: float = 8.0,
    **options: Any,  # noqa: ARG001
) -> list[Finding]:
    """Flag texts whose manner (function words, vocabulary, capitals, person and tense) is off the house style.

    of: "answers" (train and dev rows), "texts" (all rows), "auto": the answers where they are written, else the texts.
    surest: nats beyond which a text is flagged, 3 to 20; besides, it must be far out of the table's own spread.
    Raises CannotRun for fewer than 50 texts, and for the answers of a task whose answers are labels.
    """
    table = data.table
    splits = table["split"].to_numpy(zero_copy_only=False)
    answers = of == "answers" or (of == "auto" and not data.labels)
    if answers and data.labels:
        raise CannotRun("the answers are labels, which have no style.")
    at = np.flatnonzero((splits == "train") | (splits == "dev")) if answers else np.arange(len(splits))
    part = table.take(at)
    texts = [text or "" for text in part["target" if answers else "text"].to_pylist()]
    if len(texts) < _FEWEST:
        raise CannotRun(f"a house style cannot be read from {len(texts)} texts; it takes {_FEWEST}.")
    found = style_of(texts)
    out, score = far_out(found.nats, least=surest)
    ids = part["id"].to_pylist()
    kind = "answer" if answers else "text"
    return [
        Finding("style", ids[row], "flag", f"the {kind} is off the house style ({found.why(row)})", float(score[row]))
        for row in out.tolist()
    ]
