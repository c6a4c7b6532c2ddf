"""Reads each text once with an encoder that stays as it is, and learns a head per label on the vectors.

The heads are linear (logistic regression) or a radial-basis kernel, whichever cross-validation prefers.
"""

from __future__ import annotations

from tunesmith.training.experts import vector_seconds
from tunesmith.training.several import SetsSystem
from tunesmith.training.systems import Workload, system


def _seconds(work: Workload) -> tuple[float, float]:
    fit = 3.0 + work.reading_s * work.n_train + vector_seconds(work)
    return fit, 0.2 + work.answering_s * work.n_predict


system("frozen_tags")(SetsSystem("frozen_tags", ("linear", "kernel"), _seconds, alone=True))
