"""Whether promises of --accept-at hold: made on 1,000 judged rows, looked at on all the others, over many random cuts.

A promise is kept when at least the promised share of the accepted answers is right; it may be made and broken in 10 %
of the cuts. Short of a promise: by how many points the accepted answers were less right, 95th percentile. The curve's
gap: how far the share that is right lies from that of the judged rows, at equal shares sent to a person. Confidences
are calibrated by a temperature, which is what ships most often.
"""

from __future__ import annotations

import argparse
from typing import Any

import judged
import numpy as np
import report

_DEV, _SPLITS = 1_000, 200
_MORE = (2_000, 4_000)  # judged rows for which the curve's gap is told beside that for _DEV: runs often have more
_TARGETS = (0.8, 0.9, 0.95, 0.98, 0.99)
_SENT = (0.0, 0.1, 0.2, 0.3, 0.5)


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    from tunesmith.core.statistics import clopper_pearson
    from tunesmith.training.calibrate import fit_family
    from tunesmith.training.promises import DOUBT, Judged

    splits = 20 if asked.quick else _SPLITS
    rows = []
    for name in judged.SETS:
        found = judged.judged(name, asked.shared, asked.work)
        right = found.probabilities.argmax(axis=1) == found.codes
        base = float(right.mean())
        made: dict[float, list[tuple[float, float]]] = {}
        gaps: dict[float, list[float]] = {}
        wider: dict[int, list[float]] = {n: [] for n in _MORE if 2 * n <= len(right)}
        for seed in range(splits):
            order = np.random.default_rng(seed).permutation(len(right))
            dev, test = order[:_DEV], order[_DEV:]
            calibrator = fit_family("temperature", found.probabilities[dev], found.codes[dev])
            sure = calibrator(found.probabilities).max(axis=1)
            a, b = Judged(sure[dev], right[dev]), Judged(sure[test], right[test])
            for target in _TARGETS:
                promise = a.promise(target)
                if target < base - 0.02 or promise.threshold is None:
                    continue
                n, hits = b.kept(promise.threshold)
                if n:
                    made.setdefault(target, []).append((1.0 - n / len(b), hits / n))
            for sent in _SENT:
                gaps.setdefault(sent, []).append(abs(_right_at(a, sent) - _right_at(b, sent)))
            for n, seen in wider.items():
                seen.append(_mean_gap(found.probabilities, found.codes, right, order, n))
        for target, seen in sorted(made.items()):
            sent, got = np.array(seen).T
            kept = int((got >= target).sum())
            short = np.maximum(0.0, target - got) * 100
            whole = splits - (len(seen) - kept)
            rows.append(report.row(
                f"no promise of {target:.0%} right broken, {name}", whole / splits, bar=1 - DOUBT, unit="share of cuts",
                cell="abstention", n=splits, seeds=splits, interval=list(clopper_pearson(whole, splits)),
                kept_of_those_promised=kept / len(seen),
                sent_to_a_person=float(sent.mean()), right=float(got.mean()), full_acceptance=base,
                promised_in_cuts=len(seen) / splits,
            ))  # fmt: skip
            rows.append(report.row(
                f"short of a promise of {target:.0%}, {name}", float(np.quantile(short, 0.95)), bar=1.0, higher=False,
                unit="points, 95th percentile", cell="abstention", n=len(seen), seeds=splits, most=float(short.max()),
                share_within_1_point=float((short <= 1.0).mean()),
            ))  # fmt: skip
        # What chance alone puts between two shares of so many rows.
        chance = {s: _by_chance(1 - s, right, len(right) - _DEV) for s in gaps}
        mean = float(np.mean([np.mean(seen) for seen in gaps.values()])) * 100
        rows.append(report.row(
            f"curve of dev against the test's, {name}", mean, bar=1.0, higher=False, unit="points, mean gap",
            cell="abstention", n=len(right) - _DEV, seeds=splits,
            chance_alone=100 * float(np.mean(list(chance.values()))),
            at={f"{100 * sent:.0f} % sent": 100 * float(np.mean(seen)) for sent, seen in gaps.items()},
            with_more_judged_rows={n: 100 * float(np.mean(seen)) for n, seen in wider.items()},
        ))  # fmt: skip
    return rows


def _mean_gap(probabilities: np.ndarray, codes: np.ndarray, right: np.ndarray, order: np.ndarray, n: int) -> float:
    """Mean distance of the curves of the first n rows of a cut and of all the others, calibrated on the former."""
    from tunesmith.training.calibrate import fit_family
    from tunesmith.training.promises import Judged

    dev, test = order[:n], order[n:]
    sure = fit_family("temperature", probabilities[dev], codes[dev])(probabilities).max(axis=1)
    a, b = Judged(sure[dev], right[dev]), Judged(sure[test], right[test])
    return float(np.mean([abs(_right_at(a, sent) - _right_at(b, sent)) for sent in _SENT]))


def _by_chance(share: float, right: np.ndarray, n_test: int) -> float:
    """Mean distance of the shares of right answers of two random draws, as large as dev and test, of the rows kept."""
    p = float(right.mean())
    return float(np.sqrt(2 / np.pi * p * (1 - p) * (1 / (share * _DEV) + 1 / (share * n_test))))


def _right_at(judged_rows: Any, sent: float) -> float:
    order = np.argsort(-judged_rows.confidence, kind="stable")
    return float(judged_rows.right[order[: round((1.0 - sent) * len(order))]].mean())
