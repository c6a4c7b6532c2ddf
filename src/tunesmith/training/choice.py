"""Chooses settings by out-of-fold answers, and how far to lift rare labels.

Knows nothing of features: it is given logits that each setting made for rows it had not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from tunesmith.core.dataset import Rows
from tunesmith.core.predictions import Predictions
from tunesmith.training.calibrate import fit_temperature_to, log_loss, log_softmax, softmax
from tunesmith.training.folds import rest_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tunesmith.training.systems import Job

Settings: TypeAlias = dict[str, float | int | str | bool]

# Differences in the leading metric below these say nothing; the log loss then decides, which is less noisy.
_NEAR = 0.001
_NEAR_TIMES_ROOT_N = 0.1  # about one standard error of a difference between settings that mostly agree
_LIFTS = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Choice:
    """The settings that cross-validation preferred, and what it measured.

    log_probabilities: (n, k) out of fold, at the temperature with the least log loss, which `settings` holds.
    """

    settings: Settings
    log_probabilities: NDArray[np.float64]
    lead: float
    loss: float


def choose(
    candidates: Sequence[Settings],
    out_of_fold: Callable[[Settings], NDArray[np.float64]],
    rows: Rows,
    codes: NDArray[np.int64],
    job: Job,
    *,
    near: float | None = None,
) -> Choice:
    """The candidate with the best leading metric out of fold; among those as good, the one with least log loss.

    out_of_fold: settings to (n, k) logits of every row, by models that did not see it.
    near: how much less is as good; None: about one standard error of a difference. 1: the log loss alone decides.
    """
    tried = []
    for settings in candidates:
        logits = out_of_fold(settings)
        temperature = fit_temperature_to(logits, codes)
        found = log_softmax(logits / temperature)
        lead = leading_score(found, rows, job)
        tried.append(Choice({**settings, "temperature": temperature}, found, lead, log_loss(found, codes)))
    return best_of(tried, near=near)


def best_of(tried: Sequence[Choice], *, near: float | None = None) -> Choice:
    """The choice that `choose` would make of these."""
    if near is None:
        near = max(_NEAR, _NEAR_TIMES_ROOT_N / np.sqrt(max(1, len(tried[0].log_probabilities))))
    best = max(choice.lead for choice in tried)
    return min((choice for choice in tried if choice.lead >= best - near), key=lambda choice: choice.loss)


def choose_lift(log_probabilities: NDArray[np.float64], rows: Rows, codes: NDArray[np.int64], job: Job) -> float:
    """How much of the labels' log-frequencies to take off the log-probabilities, by the leading metric.

    0 where labels are about equally frequent or where the gain is noise. With macro-F1 as the leading metric a
    rare label is worth answering before it is the most probable one. Source: Menon et al. 2021, section 3.
    """
    if not is_lopsided(codes, n_labels=len(job.labels)):
        return 0.0
    prior = log_prior(codes, n_labels=len(job.labels))
    plain = leading_score(log_probabilities, rows, job)
    tried = [(leading_score(log_probabilities - lift * prior, rows, job), -lift) for lift in _LIFTS]
    best, minus_lift = max(tried)
    enough = max(_NEAR, _NEAR_TIMES_ROOT_N / np.sqrt(max(1, len(codes))))
    return -minus_lift if best > plain + enough else 0.0


def log_prior(codes: NDArray[np.int64], *, n_labels: int) -> NDArray[np.float64]:
    """(k,) log of the labels' shares, with one imaginary row each."""
    counts = np.bincount(codes, minlength=n_labels) + 1.0
    return np.asarray(np.log(counts / counts.sum()), dtype=np.float64)


def lift_offset(settings: Settings, codes: NDArray[np.int64], *, n_labels: int) -> NDArray[np.float64]:
    """(k,) what `lift` adds to the log-probabilities of labels as frequent as in `codes`."""
    return -float(settings["lift"]) * log_prior(codes, n_labels=n_labels)


def lifted(
    log_probabilities: NDArray[np.float64],
    codes: NDArray[np.int64],
    folds: Sequence[Sequence[int]],
    settings: Settings,
) -> NDArray[np.float64]:
    """(n, k) out-of-fold probabilities with rare labels lifted, by how rare they are outside the row's fold."""
    found = np.zeros_like(log_probabilities)
    for held_out in folds:
        rest = codes[rest_of(held_out, len(codes))]
        offset = lift_offset(settings, rest, n_labels=log_probabilities.shape[1])
        found[held_out] = softmax(log_probabilities[held_out] + offset)
    return found


def leading_score(logits: NDArray[np.float64], rows: Rows, job: Job) -> float:
    """The task's leading metric of the most probable labels."""
    said = Predictions.from_probabilities(np.exp(log_softmax(logits)), job.labels)
    return float(job.task.score(said, rows.targets, rows.texts, job.labels)[job.task.leads])


def is_lopsided(codes: NDArray[np.int64], *, n_labels: int) -> bool:
    """Whether some label has twice the rows of another, so that lifting rare labels is worth trying."""
    counts = np.bincount(codes, minlength=n_labels)
    counts = counts[counts > 0]
    return bool(counts.max(initial=1) >= 2 * counts.min(initial=1))


def can_choose(rows: Rows) -> bool:
    """Whether cross-validation has anything to go by: two labels and two groups."""
    return len(set(rows.targets)) >= 2 and len(set(rows.groups.tolist())) >= 2
