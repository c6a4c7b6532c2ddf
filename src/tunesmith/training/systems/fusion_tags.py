"""Puts three opinions on every label together: n-gram counts, and linear and kernel heads on a frozen encoder.

Their scores are added with weights that are chosen out of fold, so an opinion that does not help gets no say.
"""

from __future__ import annotations

from tunesmith.training.experts import count_seconds, vector_seconds
from tunesmith.training.several import SetsSystem
from tunesmith.training.systems import Workload, system


def _seconds(work: Workload) -> tuple[float, float]:
    # What it shares with the frozen rung, the reading of the texts, is paid for once there.
    counts = count_seconds(work)
    return counts[0] + vector_seconds(work), counts[1] + 1e-4 * work.n_predict


system("fusion_tags")(SetsSystem("fusion_tags", ("counts", "linear", "kernel"), _seconds))
