"""Learns how much each opinion about a passage counts, from questions whose passages are known.

A conditional logit over each question's candidates: P(passage) is proportional to exp(w · features). With few questions
the weights stay near those that add the opinions up without learning.
Source: McFadden 1974 (conditional logit); as a ranking loss it is ListNet's top-one loss, Cao et al. 2007, eq. 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.core.checks import Check
from tunesmith.models.retrieve import FEATURES, MEANING, PIECES, WORDS, Finding, Found

if TYPE_CHECKING:
    from numpy.typing import NDArray

# How sharply the unlearned sum of opinions tells passages apart, and how firmly few questions are held to it.
_SHARPNESS, _HOLD = 10.0, 1.0


@dataclass(frozen=True)
class Weights:
    """score = ((features - mean) / scale) · weight. All (len(FEATURES),) float64."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weight: NDArray[np.float64]

    def rank(self, finding: Finding) -> Found:
        """The candidates in the order of their scores; ties stay in the order in which they came."""
        if not finding.at.size:
            return Found(finding.at, np.zeros(finding.at.shape))
        score = ((finding.features - self.mean) / self.scale) @ self.weight
        order = np.argsort(-score, axis=1, kind="stable")
        return Found(np.take_along_axis(finding.at, order, axis=1), np.take_along_axis(score, order, axis=1))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What to save, by name."""
        return {"mean": self.mean, "scale": self.scale, "weight": self.weight}


def fit_weights(finding: Finding, golds: Sequence[set[int]]) -> Weights:
    """The weights under which gold passages are likeliest. golds: positions in the library, one set per question.

    Questions with no gold passage among their candidates teach nothing here. Several gold passages share a question.
    """
    from scipy.optimize import minimize

    if not finding.features.size:
        zeros = np.zeros(len(FEATURES))
        return Weights(zeros, zeros + 1.0, _unlearned())
    flat = finding.features.reshape(-1, finding.features.shape[-1]).astype(np.float64)
    mean, scale = flat.mean(axis=0), np.maximum(flat.std(axis=0), 1e-6)
    start = _unlearned() * scale
    hit = _hits(finding, golds)
    seen = hit.any(axis=1)
    if not seen.any():
        return Weights(mean, scale, start)
    x = (finding.features[seen] - mean) / scale  # (n, k, d) float64
    truth = hit[seen] / hit[seen].sum(axis=1, keepdims=True)

    def loss(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        score = x @ w
        score -= score.max(axis=1, keepdims=True)
        total = np.exp(score).sum(axis=1, keepdims=True)
        said = np.exp(score) / total
        value = -float((truth * (score - np.log(total))).sum()) + 0.5 * _HOLD * float(((w - start) ** 2).sum())
        return value, np.tensordot(said - truth, x, axes=([0, 1], [0, 1])) + _HOLD * (w - start)

    made = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return Weights(mean, scale, np.asarray(made.x, dtype=np.float64))


def learned(weights: Weights, finding: Finding, golds: Sequence[set[int]]) -> Check:
    """The learned ranking is finite, and gold passages are no less likely under it than under the unlearned one."""
    name, bound = "the ranking has learned", ">= the unlearned ranking's mean log-likelihood of gold passages"
    hit = _hits(finding, golds)
    if not hit.any():
        return Check.not_applicable(name, bound, "no gold passage is among the candidates.", system="ranked")
    plain = replace(weights, weight=_unlearned() * weights.scale)
    mine, its = (_log_likelihood(w, finding, hit) for w in (weights, plain))
    passed = bool(np.isfinite(weights.weight).all() and mine >= its - 1e-9)
    return Check(name, f"{mine:.3f}, unlearned {its:.3f}", bound, passed, "look at the train questions.", "ranked")


def _log_likelihood(weights: Weights, finding: Finding, hit: NDArray[np.bool_]) -> float:
    score = ((finding.features - weights.mean) / weights.scale) @ weights.weight
    score = score - score.max(axis=1, keepdims=True)
    logs = score - np.log(np.exp(score).sum(axis=1, keepdims=True))
    seen = hit.any(axis=1)
    return float((np.where(hit, logs, 0.0).sum(axis=1)[seen] / hit.sum(axis=1)[seen]).mean())


def _hits(finding: Finding, golds: Sequence[set[int]]) -> NDArray[np.bool_]:
    """(n, k) which candidates are gold."""
    rows = [[int(at) in gold for at in row] for row, gold in zip(finding.at, golds, strict=True)]
    return np.array(rows, dtype=bool).reshape(finding.at.shape)


def _unlearned() -> NDArray[np.float64]:
    plain = {"words": WORDS, "pieces": PIECES, "meaning": MEANING}
    return np.array([_SHARPNESS * plain.get(name, 0.0) for name in FEATURES])
