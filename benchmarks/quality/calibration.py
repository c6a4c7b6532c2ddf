"""How far stated confidence lies from the share that is right: the calibrator that ships, and each family alone.

Out-of-fold answers of the fusion rung, cut at random: calibrated on 1,000 rows, measured on all others, 20 times. ECE
over 15 groups of equal size; `floor` is what answers that are right just as often as they say would show.
"""

from __future__ import annotations

import argparse
from typing import Any

import judged
import numpy as np
import report

_DEV, _SPLITS = 1_000, 20
_BARRED = {"banking77", "vader"}


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    from tunesmith.evaluation.calibration import calibration
    from tunesmith.tasks.metrics import expected_calibration_error
    from tunesmith.training.calibrate import KINDS, fit_calibrator, fit_family, keeps_answers

    splits = 4 if asked.quick else _SPLITS
    rows = []
    for name in judged.SETS:
        found = judged.judged(name, asked.shared, asked.work)
        seen: dict[str, list[float]] = {}
        chosen, changed = [], 0
        for seed in range(splits):
            dev, test = judged.cut(found, _DEV, seed)
            right = test.probabilities.argmax(axis=1) == test.codes
            maps = {kind: fit_family(kind, dev.probabilities, dev.codes) for kind in KINDS}
            shipped = fit_calibrator(dev.probabilities, dev.targets, dev.labels, seed=seed)
            chosen.append(shipped.kind)
            for kind, calibrator in maps.items():
                sure = calibrator(test.probabilities).max(axis=1)
                seen.setdefault(kind, []).append(expected_calibration_error(sure, right))
            p = shipped(test.probabilities)
            changed += not keeps_answers(test.probabilities, p).passed
            made = calibration(judged.predictions(test, p), test.targets, test.labels)
            assert made is not None
            seen.setdefault("shipped", []).append(made.ece)
            seen.setdefault("width", []).append(made.ece_width)
            seen.setdefault("floor", []).append(made.ece_floor)
            raw = test.probabilities.max(axis=1)
            seen.setdefault("before", []).append(expected_calibration_error(raw, right))
        value = float(np.mean(seen["shipped"]))
        rows.append(report.row(
            f"ECE of the shipped calibrator, {name}", value, bar=0.03 if name in _BARRED else None, higher=False,
            unit="ECE", cell="calibration", n=len(found.codes) - _DEV, seeds=splits,
            interval=[float(np.min(seen["shipped"])), float(np.max(seen["shipped"]))],
            interval_is="least and most of the splits", 
            splits_within_bar=float(np.mean(np.array(seen["shipped"]) <= 0.03)),
            floor=float(np.mean(seen["floor"])), before=float(np.mean(seen["before"])),
            equal_width=float(np.mean(seen["width"])),
            families={kind: float(np.mean(seen[kind])) for kind in KINDS},
            chosen={kind: chosen.count(kind) for kind in KINDS}, splits_with_changed_answers=changed,
        ))  # fmt: skip
    return rows
