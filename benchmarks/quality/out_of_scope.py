"""How many foreign texts are flagged, and how many that are none: intents held out of banking77, and other sets' texts.

A fifth of the 77 intents is held out; a logistic head on the frozen encoder learns the others, 800 of whose rows are
dev. Flagged: conformal p-value of at most 2 %. Near is what the held-out intents are, far are the other sets' texts.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import judged
import numpy as np
import report

_TRIALS, _TRAIN, _DEV, _SHOWN = 3, 4_000, 800, 1_500


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    from tunesmith.training.scope import FLAGGED

    trials = 1 if asked.quick else _TRIALS
    bank = judged.judged("banking77", asked.shared, asked.work)
    others = {name: judged.judged(name, asked.shared, asked.work).texts[:600] for name in judged.SETS[1:]}
    seen: dict[str, list[float]] = {}
    for seed in range(trials):
        for kind in ("vectors", "ngrams"):
            for key, value in _trial(bank, others, kind, seed, asked.work).items():
                seen.setdefault(f"{key}, {kind}", []).append(value)
    rows = []
    for key, values in sorted(seen.items()):
        mean = float(np.mean(values))
        more: dict[str, Any] = {"interval": [min(values), max(values)], "interval_is": "least and most of the trials"}
        if key.startswith("flagged of its own kind"):
            # What chance adds to 2 % in 99 of 100 such measurements.
            slack = 2.33 * (FLAGGED * (1 - FLAGGED) * (1 / _SHOWN + 1 / _DEV) / trials) ** 0.5
            more |= {"bar": FLAGGED + slack, "higher": False, "promised": FLAGGED}
        rows.append(report.row(key, mean, unit="share", cell="out_of_scope", seeds=trials, **{"bar": None, **more}))
    return rows


def _trial(bank: judged.Judged, others: dict[str, list[str]], kind: str, seed: int, work: Path) -> dict[str, float]:
    from sklearn.metrics import roc_auc_score

    from tunesmith.core.context import Context
    from tunesmith.core.dataset import rows_of
    from tunesmith.models.resolve import resolve
    from tunesmith.training.calibrate import fit_temperature_to, softmax
    from tunesmith.training.embeddings import embed
    from tunesmith.training.linear import fit_logistic, fit_margins
    from tunesmith.training.ngrams import learn_vocabulary
    from tunesmith.training.scope import FLAGGED, Yardstick, fit_scopes

    draw = np.random.default_rng(seed)
    out = draw.permutation(len(bank.labels))[: len(bank.labels) // 5]
    foreign = np.isin(bank.codes, out)
    inside, outside = (draw.permutation(np.flatnonzero(mask)) for mask in (~foreign, foreign))
    train, dev = inside[:_TRAIN], inside[_TRAIN : _TRAIN + _DEV]
    same, near = inside[_TRAIN + _DEV :][:_SHOWN], outside[:_SHOWN]
    encoder = resolve("all-minilm-l6-v2", "encoder")
    ctx = Context(work / "banking77", seed=seed)
    texts = lambda at: [bank.texts[i] for i in at]  # noqa: E731
    scopes = fit_scopes(rows_of(texts(train)), rows_of(texts(dev)), encoder, ctx)
    scope = next(s for s in scopes if s.kind == kind)
    weights = np.ones(len(train), dtype=np.float32)
    k = len(bank.labels)
    if kind == "vectors":
        head = fit_logistic(embed(texts(train), encoder, ctx), bank.codes[train], weights, n_labels=k, C=20.0)
        logits = lambda some: head.logits(embed(some, encoder, Context(work / "others"), keep=True))  # noqa: E731
    else:
        known = learn_vocabulary(texts(train))
        head = fit_margins(known.rows(texts(train)), bank.codes[train], weights, n_labels=k, C=1.0, seed=seed)
        logits = lambda some: head.logits(known.rows(some))  # noqa: E731
    temperature = fit_temperature_to(logits(texts(dev)), bank.codes[dev])
    sure = lambda some: softmax(logits(some), temperature=temperature).max(axis=1)  # noqa: E731
    at = [int(i) for i in scope.dev_ids]
    both = Yardstick.of(scope.dev_distances, sure([bank.texts[dev[i]] for i in at]))
    alone = Yardstick.of(scope.dev_distances)
    groups = {"its own kind": texts(same), "held-out intents": texts(near), **others}
    p = {name: both.p_values(scope.distances(some, ctx), sure(some)) for name, some in groups.items()}
    far = {name: alone.p_values(scope.distances(some, ctx)) for name, some in groups.items()}
    made = {f"flagged of {name}": float((values <= FLAGGED).mean()) for name, values in p.items()}
    for name in groups:
        if name != "its own kind":
            truth = np.r_[np.zeros(len(same)), np.ones(len(groups[name]))]
            made[f"area under ROC, {name}"] = float(roc_auc_score(truth, -np.r_[p["its own kind"], p[name]]))
    truth = np.r_[np.zeros(len(same)), np.ones(len(near))]
    by_distance = -np.r_[far["its own kind"], far["held-out intents"]]
    made["area under ROC, held-out intents by distance alone"] = float(roc_auc_score(truth, by_distance))
    return made
