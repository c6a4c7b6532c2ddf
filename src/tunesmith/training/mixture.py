"""Adds up the opinions of several experts, with weights chosen on rows that none of them learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.core.dataset import Rows
from tunesmith.training.calibrate import log_softmax, softmax
from tunesmith.training.choice import Settings, choose, choose_lift

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tunesmith.training.systems import Job

# Below so many rows weights fitted by log loss are noise; alone or in equal parts is all that can be told apart.
_ENOUGH_TO_FIT = 400


def choose_mixture(
    opinions: Mapping[str, NDArray[np.float64]],
    rows: Rows,
    codes: NDArray[np.int64],
    job: Job,
    *,
    with_share: str | None = None,
) -> Settings:
    """ "NAME.weight" for each opinion, "temperature" of their sum and "lift" of rare labels.

    opinions: name to (n, k) log-probabilities of `rows` by an expert that did not see them.
    with_share: the opinion that must have a say. On few rows the log loss decides, which is less noisy.
    """
    names = list(opinions)
    stacked = np.stack([opinions[name] for name in names])
    weights = _candidates(stacked, codes)
    if with_share is not None:
        weights = [weight for weight in weights if weight[names.index(with_share)] > 0.0]
    candidates: list[Settings] = [
        {f"{name}.weight": float(w) for name, w in zip(names, weight, strict=True)} for weight in weights
    ]

    def mixed(settings: Settings) -> NDArray[np.float64]:
        return np.tensordot([float(settings[f"{name}.weight"]) for name in names], stacked, axes=1)

    # Cross-validated opinions (with_share None) are about all train rows; opinions on dev about few of its own.
    near = 1.0 if with_share is not None and len(rows) < _ENOUGH_TO_FIT else None
    best = choose(candidates, mixed, rows, codes, job, near=near)
    return {**best.settings, "lift": choose_lift(best.log_probabilities, rows, codes, job)}


def mix(
    opinions: Mapping[str, NDArray[np.float64]], settings: Settings, offset: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n, k) probabilities: the weighted sum of log-probabilities at its temperature, plus the offset (k,)."""
    return softmax(added(opinions, settings) + offset)


def added(opinions: Mapping[str, NDArray[np.float64]], settings: Settings) -> NDArray[np.float64]:
    """(n, k) the weighted sum of log-probabilities at its temperature."""
    total = sum(float(settings[f"{name}.weight"]) * opinion for name, opinion in opinions.items())
    return np.asarray(total) / float(settings["temperature"])


def with_say(settings: Settings, names: Sequence[str]) -> list[str]:
    """The names that have a weight."""
    return [name for name in names if float(settings[f"{name}.weight"]) > 0.0]


def named(settings: Settings, name: str) -> Settings:
    """The settings of one expert: those that begin with "NAME.", without it."""
    return {key.removeprefix(f"{name}."): value for key, value in settings.items() if key.startswith(f"{name}.")}


def _candidates(opinions: NDArray[np.float64], codes: NDArray[np.int64]) -> list[NDArray[np.float64]]:
    """Weights for m opinions (m, n, k), each summing to 1: each alone, every equal mix, the best by log loss."""
    from itertools import combinations

    m = len(opinions)
    found = []
    for size in range(1, m + 1):
        for some in combinations(range(m), size):
            weight = np.zeros(m)
            weight[list(some)] = 1.0 / size
            found.append(weight)
    if len(codes) >= _ENOUGH_TO_FIT:
        fitted = _least_log_loss(opinions, codes)
        if fitted.sum() > 0:
            found.append(fitted / fitted.sum())
    return found


def _least_log_loss(opinions: NDArray[np.float64], codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """(m,) weights, none negative, whose product of opinions has the least log loss (convex in the weights)."""
    from scipy.optimize import minimize

    n = len(codes)
    right = opinions[:, np.arange(n), codes]  # (m, n)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        found = log_softmax(np.tensordot(weights, opinions, axes=1))
        value = -float(found[np.arange(n), codes].mean())
        slope = (np.einsum("mnk,nk->mn", opinions, np.exp(found)) - right).mean(axis=1)
        return value, slope

    m = len(opinions)
    found = minimize(loss, np.full(m, 1.0 / m), jac=True, method="L-BFGS-B", bounds=[(0.0, 4.0)] * m)
    return np.asarray(found.x, dtype=np.float64)
