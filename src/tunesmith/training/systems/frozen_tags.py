"""Reads each text once with an encoder that stays as it is, and learns a head per label on the vectors.

The heads are linear (logistic regression) or a radial-basis kernel, whichever cross-validation prefers.
"""

from __future__ import annotations

from tunesmith.training.experts import vector_seconds
from tunesmith.training.several import SetsSystem
from tunesmith.training.systems import Workload, system


def _seconds(work: Workload) -> tuple[float, float]:
    reading = 1.0 / max(work.encoder_texts_per_s, 1e-9)
    return 3.0 + reading * work.n_train + vector_seconds(work), 0.2 + reading * work.n_predict


system("frozen_tags")(SetsSystem("frozen_tags", ("linear", "kernel"), _seconds, alone=True))
