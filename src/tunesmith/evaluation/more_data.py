"""More data or more tuning? What further labels would bring, beside what tuning has brought, in the run's own report.

A learning curve of the cheap probe through nested parts of the train rows, judged on dev, and the verdict's difference
between tuned and untuned. Both have intervals; one is said to pay more only where the intervals lie apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tunesmith.core.dataset import Dataset
from tunesmith.core.events import Emit, progress
from tunesmith.evaluation.arms import Replay, codes_of
from tunesmith.evaluation.learning_curve import Curve, subset_sizes
from tunesmith.evaluation.trainers import probe_trainer
from tunesmith.evaluation.value_bench import ORDERS, Bench
from tunesmith.evaluation.verdict import Verdict

# Labels that a person gives in an hour or two.
LABELS = 100
_FEWEST_TRAINED, _FEWEST_JUDGED = 40, 20
# A curve through so many rows tells as much, and takes seconds.
_MOST_TRAINED, _MOST_JUDGED = 4_000, 2_000


def more_data(data: Dataset, found: Verdict, *, seed: int, emit: Emit) -> dict[str, Any]:
    """{"curve", "forecasts", "tuning", "said"} for report.json; {"why"} where nothing can be said.

    forecasts: of LABELS more rows and of twice the rows, in the probe's macro-F1. tuning: the verdict's difference.
    """
    if data.task != "classify":
        return {"why": f"rows are counted by a cheap probe for labels, and this task is {data.task}."}
    train, replay = data.rows("train"), Replay(data, ())
    n, judged = len(train), len(replay.judged)
    if n < _FEWEST_TRAINED or judged < _FEWEST_JUDGED:
        need = f"{_FEWEST_TRAINED} and {_FEWEST_JUDGED} are needed"
        return {"why": f"{n:,} train and {judged:,} dev rows are too few for a learning curve; {need}."}
    rng = np.random.default_rng([seed, 53])
    some = np.sort(rng.permutation(n)[:_MOST_TRAINED])
    asked = np.sort(rng.permutation(judged)[:_MOST_JUDGED])
    rows, texts = train.take(some.tolist()), replay.arm(()).ask
    ask, truth = [texts[int(i)] for i in asked], [replay.truth[int(i)] for i in asked]
    names = tuple(sorted({*rows.targets, *truth}))
    code = {name: at for at, name in enumerate(names)}
    trainer = probe_trainer([*rows.texts, *ask], (rows.texts, rows.targets), names)
    bench = Bench(
        trainer, trainer.at(rows.texts), codes_of(rows.targets, code), trainer.at(ask), codes_of(truth, code), seed
    )
    sizes = subset_sizes(len(rows), least=max(2 * len(names), 30))
    with progress(emit, "learning curve", ORDERS * len(sizes)) as tick:
        bench.tick = tick
        curve = bench.curve(np.arange(len(rows)), sizes, seed)
    if curve is None:
        return {"why": f"{n:,} train rows make too few sizes for a learning curve."}
    return {**_told(curve, n, found), "trained": trainer.about, "judged": len(truth), "of_train": len(rows)}


def _told(curve: Curve, n: int, found: Verdict) -> dict[str, Any]:
    forecasts = [{"labels": more, **_gain(curve, n, n + more)} for more in (LABELS, n)]
    tuning = None
    if found.candidate is not None and found.difference is not None and found.interval is not None:
        tuning = {
            "candidate": found.candidate, "reference": found.reference, "metric": found.metric,
            "gain": found.difference, "interval": list(found.interval), "n": found.n,
        }  # fmt: skip
    return {
        "curve": {
            "sizes": curve.sizes.tolist(), "scores": curve.scores.mean(axis=0).tolist(),
            "spread": curve.scores.std(axis=0, ddof=1).tolist(),
        },
        "forecasts": forecasts, "tuning": tuning, "said": _said(forecasts[-1], tuning),
    }  # fmt: skip


def _gain(curve: Curve, n: int, then: int) -> dict[str, Any]:
    """What the probe's score is expected to gain from n rows to `then`, with a 95 % interval."""
    gain = curve.at(then) - curve.at(n)
    astray = np.random.default_rng(0).normal(size=len(gain)) * curve.miss * np.log2(then / n)
    low, high = np.quantile(gain + astray, [0.025, 0.975])
    ahead = curve.forecast(then)
    return {
        "rows": then, "gain": float(np.median(gain)), "interval": [float(low), float(high)],
        "score": ahead.score, "score_interval": list(ahead.interval),
    }  # fmt: skip


def _said(twice: dict[str, Any], tuning: dict[str, Any] | None) -> str:
    """Which of the two is shown to pay more, in a sentence."""
    low, high = twice["interval"]
    if tuning is None:
        if low > 0:
            return "More labels are expected to help; nothing was tuned to compare that with."
        return "It is not shown that more labels would help, and nothing was tuned."
    below, above = tuning["interval"]
    if low > max(above, 0.0):
        return "More labels are expected to pay more than tuning has."
    if below > max(high, 0.0):
        return "Tuning has paid more than twice the labels are expected to."
    if low <= 0 and below <= 0:
        return "Neither twice the labels nor tuning is shown to pay."
    return "Which of the two pays more cannot be told: the intervals overlap."
