"""From how much each label is favoured to a set of labels: probabilities, thresholds, and how sure of the whole set.

Scores of one or several opinions become log-odds by one logistic regression over all pairs of a row and a label:
its few numbers are the same for every label, so that labels with three rows borrow from the others. Knows nothing of
texts or rungs. All of it is fitted on scores of rows that the opinions had not seen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.core.predictions import Predictions
from tunesmith.tasks.label_sets import dump_set
from tunesmith.training.choice import Choice, Settings, best_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tunesmith.core.dataset import Rows
    from tunesmith.training.systems import Job

# Pairs of a row and a label that the regression is fitted on: its numbers move little with more.
_MOST_PAIRS = 400_000
# A label's own threshold needs so many rows that have it; fewer take the common one.
_OWN_THRESHOLD = 15
_CLIP = 1e-9
_FARTHEST = 12.0  # log-odds of a label's rate


@dataclass(frozen=True)
class Decider:
    """How scores become sets.

    weights: of each opinion's scores, none negative. prior: of the log-odds of a label's share among the train rows.
    thresholds: (k,) from which probability on a label is given. least: labels that every row has at least.
    sure: (a, b): a whole set is right with probability sigmoid(a + b l), l the log-odds of the product of its labels'.
    """

    weights: Mapping[str, float]
    prior: float
    bias: float
    thresholds: NDArray[np.float64]
    least: int
    sure: tuple[float, float]

    @property
    def settings(self) -> Settings:
        """As a rung's settings, flat; `decider_of` reads them."""
        return {
            **{f"{name}.weight": float(w) for name, w in self.weights.items()},
            "prior": self.prior,
            "bias": self.bias,
            "thresholds": json.dumps([round(float(t), 6) for t in self.thresholds]),
            "least": self.least,
            "sure": json.dumps(list(self.sure)),
        }

    def log_odds(self, scores: Mapping[str, NDArray[np.float64]], rates: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, k) of (n, k) scores by opinion. rates: (k,) shares of the labels."""
        total = sum(self.weights[name] * found for name, found in scores.items() if self.weights.get(name))
        return np.asarray(total + self.prior * _logit(rates) + self.bias, dtype=np.float64)

    def predictions(
        self, scores: Mapping[str, NDArray[np.float64]], rates: NDArray[np.float64], labels: Sequence[str]
    ) -> Predictions:
        """A set for every row, how sure of it, and the probability of every label."""
        p = sigmoid(self.log_odds(scores, rates))
        given = decide(p, self.thresholds, least=self.least)
        values = tuple(dump_set(labels[int(j)] for j in np.flatnonzero(row)) for row in given)
        return Predictions(values, None, sigmoid(self.sure[0] + self.sure[1] * _whole_set(p, given)), p)


def decider_of(settings: Settings, names: Sequence[str], n_labels: int) -> Decider:
    """The Decider that `Decider.settings` wrote; the default for what is not there."""
    thresholds = np.array(json.loads(str(settings.get("thresholds", "[]"))) or [0.5] * n_labels, dtype=np.float64)
    a, b = json.loads(str(settings.get("sure", "[0.0, 1.0]")))
    return Decider(
        {name: float(settings.get(f"{name}.weight", 1.0)) for name in names},
        float(settings.get("prior", 0.0)),
        float(settings.get("bias", 0.0)),
        thresholds,
        int(settings.get("least", 0)),
        (float(a), float(b)),
    )


def fit_decider(
    scores: Mapping[str, NDArray[np.float64]],
    truth: NDArray[np.bool_],
    rates: NDArray[np.float64],
    rows: Rows,
    job: Job,
    *,
    alone: bool = False,
    must: str | None = None,
    least: int | None = None,
    seed: int = 0,
) -> Decider:
    """The best Decider for these scores.

    scores: opinion to (n, k) scores of `rows`, made without having seen them. truth: (n, k). rates: (k,) of train rows.
    alone: one opinion only may have a say. must: an opinion that has one. Among mixtures that are as good by the
    leading metric, the one with the least log loss. least: labels of every row; None: as few as any of these has.
    """
    names = list(scores)
    sizes = (1,) if alone else range(1, len(names) + 1)
    parts = [some for size in sizes for some in combinations(names, size) if must is None or must in some]
    least = fewest_labels(truth) if least is None else least
    made = [
        _mixed({name: scores[name] for name in some}, truth, rates, rows, job, least=least, seed=seed) for some in parts
    ]
    best = best_of([choice for _, choice in made])
    decider = next(decider for decider, choice in made if choice is best)
    p = sigmoid(best.log_probabilities)
    thresholds = choose_thresholds(p, truth, least=least, seed=seed)
    given = decide(p, thresholds, least=least)
    sure = _whole_set_right(_whole_set(p, given), (given == truth).all(axis=1))
    weights = dict.fromkeys(names, 0.0) | dict(decider.weights)
    return Decider(weights, decider.prior, decider.bias, thresholds, least, sure)


def best_scores(
    candidates: Sequence[tuple[Settings, NDArray[np.float64]]],
    truth: NDArray[np.bool_],
    rates: NDArray[np.float64],
    rows: Rows,
    job: Job,
    *,
    seed: int = 0,
) -> tuple[Settings, NDArray[np.float64]]:
    """Of one opinion's scores (n, k) with several settings: those that decide best alone, as `fit_decider` judges."""
    least = fewest_labels(truth)
    made = [_mixed({"": scores}, truth, rates, rows, job, least=least, seed=seed)[1] for _, scores in candidates]
    best = best_of(made)
    return next(candidate for candidate, choice in zip(candidates, made, strict=True) if choice is best)


def _mixed(
    scores: Mapping[str, NDArray[np.float64]],
    truth: NDArray[np.bool_],
    rates: NDArray[np.float64],
    rows: Rows,
    job: Job,
    *,
    least: int,
    seed: int,
) -> tuple[Decider, Choice]:
    """These opinions added up, with one threshold for all labels: what they decide, and how well."""
    weights, rate, bias = _regression(list(scores.values()), truth, rates, seed=seed)
    named = dict(zip(scores, weights, strict=True))
    plain = Decider(named, rate, bias, np.full(truth.shape[1], 0.5), least, (0.0, 1.0))
    z = plain.log_odds(scores, rates)
    common = np.full(truth.shape[1], common_threshold(sigmoid(z), truth, least=least))
    found = Decider(named, rate, bias, common, least, (0.0, 1.0))
    said = found.predictions(scores, rates, job.labels)
    lead = float(job.task.score(said, rows.targets, rows.texts, job.labels)[job.task.leads])
    return found, Choice({}, z, lead, float(np.logaddexp(0.0, np.where(truth, -z, z)).mean()))


def decide(p: NDArray[np.float64], thresholds: NDArray[np.float64], *, least: int) -> NDArray[np.bool_]:
    """(n, k) labels given: those at or above their threshold, and never fewer than the `least` likeliest."""
    given = p >= thresholds
    if least:
        short = np.flatnonzero(given.sum(axis=1) < least)
        if short.size:
            # By how near they come to their own threshold: a rare label with a low one is not passed over.
            top = np.argsort(-(p[short] / thresholds), axis=1, kind="stable")[:, :least]
            given[short[:, None], top] = True
    return given


def common_threshold(p: NDArray[np.float64], truth: NDArray[np.bool_], *, least: int) -> float:
    """The one threshold with the best micro-F1; 0.5 where there is nothing to choose by.

    At calibrated probabilities one threshold for all labels is the best for micro-F1, and it is half of the F1 reached
    (Lipton, Elkan & Naryanaswamy 2014, theorem 1).
    """
    if not truth.any():
        return 0.5
    q, its = p.copy(), truth
    if least:  # what is given whatever the threshold comes first
        q[np.arange(len(p)), p.argmax(axis=1)] = np.inf
    order = np.argsort(-q, axis=None, kind="stable")
    values, hits = q.ravel()[order], np.cumsum(its.ravel()[order])
    scores = 2.0 * hits / (np.arange(1, len(order) + 1) + int(its.sum()))
    # A cut is possible where the next probability is smaller, and after everything that is given anyway.
    ends = np.append(values[1:] < values[:-1], True) & np.append(np.isfinite(values[1:]), True)
    at = int(np.argmax(np.where(ends, scores, -1.0)))
    above = values[at] if np.isfinite(values[at]) else 1.0
    below = values[at + 1] if at + 1 < len(values) else 0.0
    return float(np.clip((above + below) / 2, 0.02, 0.98))


def choose_thresholds(
    p: NDArray[np.float64], truth: NDArray[np.bool_], *, least: int, seed: int = 0
) -> NDArray[np.float64]:
    """(k,) thresholds: the common one, or one per label where halves of the rows show that these are better.

    Thresholds chosen label by label on few rows fit their noise. They are taken only if, chosen on one half and
    looked at on the other, both ways, they reach a better micro-F1 than the common one does in the same way.
    """
    n, k = truth.shape
    everywhere = np.full(k, common_threshold(p, truth, least=least))
    if n < 4 * _OWN_THRESHOLD:
        return everywhere
    half = np.random.default_rng([seed, 23]).permutation(n) < n // 2
    own, shared = np.zeros((n, k), dtype=bool), np.zeros((n, k), dtype=bool)
    for here in (half, ~half):
        common = np.full(k, common_threshold(p[here], truth[here], least=least))
        shared[~here] = decide(p[~here], common, least=least)
        own[~here] = decide(p[~here], _own_thresholds(p[here], truth[here], common), least=least)
    gain = micro_f1(own, truth) - micro_f1(shared, truth)
    return _own_thresholds(p, truth, everywhere) if gain > 0.25 / np.sqrt(n) else everywhere


def _own_thresholds(
    p: NDArray[np.float64], truth: NDArray[np.bool_], common: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Each label's threshold with the best micro-F1, the other labels at the common one."""
    given = p >= common
    hit, said, true = int((given & truth).sum()), int(given.sum()), int(truth.sum())
    made = common.copy()
    for label in np.flatnonzero(truth.sum(axis=0) >= _OWN_THRESHOLD):
        its_p, its = p[:, label], truth[:, label]
        tried = np.unique(np.concatenate([common[label : label + 1], np.quantile(its_p, np.linspace(0.02, 0.98, 33))]))
        now = its_p[None, :] >= tried[:, None]  # (thresholds, n)
        hits = hit - int((given[:, label] & its).sum()) + (now & its).sum(axis=1)
        says = said - int(given[:, label].sum()) + now.sum(axis=1)
        scores = 2.0 * hits / np.maximum(says + true, 1)
        best = float(scores.max())
        if best > scores[np.searchsorted(tried, common[label])] + 1e-12:
            made[label] = float(np.clip(np.median(tried[scores >= best - 1e-12]), 0.02, 0.98))
    return made


def micro_f1(given: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """2 TP / (given + true) over all rows and labels; 1 where there is neither."""
    whole = int(given.sum()) + int(truth.sum())
    return 2.0 * int((given & truth).sum()) / whole if whole else 1.0


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * np.asarray(x, dtype=np.float64))), dtype=np.float64)


def fewest_labels(truth: NDArray[np.bool_]) -> int:
    """Labels that every row has at least: 1 or 0. A row in two hundred without any may be a slip."""
    counts = truth.sum(axis=1)
    return int(len(counts) > 0 and float((counts == 0).mean()) < 0.005)


def _regression(
    scores: Sequence[NDArray[np.float64]], truth: NDArray[np.bool_], rates: NDArray[np.float64], *, seed: int
) -> tuple[list[float], float, float]:
    """(a weight per opinion, that of the labels' rates, bias) with the least log loss over pairs of row and label.

    Held to little by the weight of one pair, so that scores which tell everything stay finite.
    """
    from scipy.optimize import minimize

    n, k = truth.shape
    if not truth.size or not truth.any():
        return [1.0] * len(scores), 0.0, 0.0
    at: NDArray[np.int64] = np.arange(n * k)
    if n * k > _MOST_PAIRS:
        at = np.sort(np.random.default_rng([seed, 17]).choice(n * k, _MOST_PAIRS, replace=False))
    rate = np.broadcast_to(_logit(rates), (n, k)).ravel()[at]
    x = np.stack([*(s.ravel()[at] for s in scores), rate, np.ones(len(at))], axis=1)
    sign = np.where(truth.ravel()[at], 1.0, -1.0)
    scale = np.maximum(x.std(axis=0), 1e-6)
    scale[-1] = 1.0
    x = x / scale
    ridge = 1.0 / len(at)

    def loss(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = sign * (x @ w)
        pull = -sign * sigmoid(-margin)
        return float(np.logaddexp(0.0, -margin).mean() + ridge * (w @ w)), x.T @ pull / len(sign) + 2 * ridge * w

    bounds = [(0.0, None)] * len(scores) + [(0.0, 2.0 * scale[-2]), (None, None)]
    start = np.array([1.0] * len(scores) + [0.0, 0.0])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x / scale
    return [float(w) for w in found[: len(scores)]], float(found[-2]), float(found[-1])


def _whole_set(p: NDArray[np.float64], given: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n,) log-odds of the product of the probabilities that each label is, or is not, as decided."""
    q = np.clip(np.where(given, p, 1.0 - p), _CLIP, 1.0 - _CLIP)
    product = np.clip(np.exp(np.log(q).sum(axis=1)), _CLIP, 1.0 - _CLIP)
    return np.asarray(np.log(product) - np.log1p(-product), dtype=np.float64)


def _whole_set_right(log_odds: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[float, float]:
    """(a, b) with the least log loss, held to (0, 1) by the weight of one row. Source: Platt 1999, section 2."""
    from scipy.optimize import minimize

    sign = np.where(right, 1.0, -1.0)

    def loss(w: NDArray[np.float64]) -> float:
        return float(np.logaddexp(0.0, -sign * (w[0] + w[1] * log_odds)).sum() + w[0] ** 2 + (w[1] - 1.0) ** 2)

    found = minimize(loss, [0.0, 1.0], method="L-BFGS-B", bounds=[(-20.0, 20.0), (0.01, 20.0)])
    return float(found.x[0]), float(found.x[1])


def _logit(p: NDArray[np.float64]) -> NDArray[np.float64]:
    p = np.clip(p, 1e-6, 1.0 - 1e-6)
    return np.asarray(np.clip(np.log(p) - np.log1p(-p), -_FARTHEST, _FARTHEST), dtype=np.float64)
