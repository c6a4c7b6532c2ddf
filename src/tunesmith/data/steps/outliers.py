"""Rows far from all others: another domain, another language, or the wrong file."""

from __future__ import annotations

from typing import Any

import numpy as np

from tunesmith.core.dataset import Dataset
from tunesmith.core.findings import Finding
from tunesmith.data.distances import far_out
from tunesmith.data.outlying import lexical_vectors, neighbour_distances
from tunesmith.data.steps import CannotRun, step
from tunesmith.data.vectors import ENCODER, sentence_vectors

_FEWEST = 50  # rows of which one can be called far from the others


@step("outliers")
def outliers(
    data: Dataset,
    *,
    deviations: float = 3.0,
    encoder: str = ENCODER,
    **options: Any,  # noqa: ARG001
) -> list[Finding]:
    """Flag rows whose text is far from its nearest neighbours; test rows too, by their inputs.

    deviations: robust standard deviations of the distance beyond which a row is flagged, 2 to 6.
    encoder: sentence encoder; where it is not on this machine, words alone are compared, and the reason says so.
    Raises CannotRun for fewer than 50 rows.
    """
    texts = [text or "" for text in data.table["text"].to_pylist()]
    if len(texts) < _FEWEST:
        raise CannotRun(f"nothing is an outlier among {len(texts)} rows; it takes {_FEWEST}.")
    vectors = sentence_vectors(texts, encoder=encoder)
    how = "in meaning" if vectors is not None else "in words; no encoder is here"
    distances = neighbour_distances(lexical_vectors(texts) if vectors is None else vectors)
    out, score = far_out(distances, least=0.0, deviations=deviations)
    ids = data.table["id"].to_pylist()
    usual = float(np.median(distances))
    return [
        Finding("outliers", ids[at], "flag", f"far from every other row {how} ({distances[at]:.2f}; usual {usual:.2f})",
                float(score[at]))
        for at in out.tolist()
    ]  # fmt: skip
