"""Which setting a study tries next, and which trial is not worth its second half. A pure function of what ended before.

    point = suggest(dials, ended, number=7, seed=0, sampler="tpe", n_rows=2400)

Asked again after a kill with the same trials behind it, it gives the same point.
Sources: Bergstra et al. 2011 (tree-structured Parzen estimator, as Optuna builds it); Li et al. 2020, algorithm 2
(asynchronous successive halving), with two levels: a third of a trial's steps, and all of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tunesmith.core.errors import MissingExtra
from tunesmith.models.methods import Choice
from tunesmith.training.dials import Dial, Dials, Point, first_points, usual

if TYPE_CHECKING:
    from tunesmith.training.trials import Trial

Sampler = Literal["tpe", "random"]

# Of the trials that reached the pause, one in so many goes on; a trial pauses after 1 / _REDUCTION of its steps.
REDUCTION = 3
# Draws before TPE models anything, and draws per suggestion in the search for a point that was not tried.
_STARTUP, _TRIES = 5, 20


def suggest(
    dials: Dials, ended: Sequence[Trial], *, number: int, seed: int, sampler: Sampler, n_rows: int,
    waiting: Sequence[Point] = (),
) -> Point:  # fmt: skip
    """The point of trial `number`: first where the data's size points to, then what the sampler draws.

    ended: trials on dev whose outcome is known, the default among them. waiting: points whose is not yet. A point that
    was tried or is waiting is drawn again.
    Raises MissingExtra where Optuna is asked for and absent.
    """
    tried = [*(trial.point for trial in ended), *waiting]
    for point in first_points(dials, n_rows=n_rows):
        if point not in tried:
            return point
    point = usual(dials)
    for turn in range(_TRIES):
        at = [seed, number, turn]
        point = _by_tpe(dials, ended, at) if sampler == "tpe" else _at_random(dials, np.random.default_rng(at))
        if point not in tried:
            break
    return point


def goes_on(score: float, others: Sequence[float]) -> bool:
    """Whether a trial at its pause is among the best third of those that reached it, or among the best two."""
    reached = sorted([*others, score], reverse=True)
    return bool(score >= reached[min(len(reached), max(2, len(reached) // REDUCTION)) - 1])


def _at_random(dials: Dials, rng: np.random.Generator) -> Point:
    return {name: _draw(dial, rng) for name, dial in dials.items()}


def _draw(dial: Dial, rng: np.random.Generator) -> Any:
    span = dial.span
    if isinstance(span, Choice):
        return span.values[int(rng.integers(len(span.values)))]
    if span.log:
        return float(np.exp(rng.uniform(np.log(span.low), np.log(span.high))))
    return float(rng.uniform(span.low, span.high))


def _by_tpe(dials: Dials, ended: Sequence[Trial], at: Sequence[int]) -> Point:
    try:
        import optuna
    except ImportError as error:
        raise MissingExtra("the TPE sampler", "tune") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spans: dict[str, Any] = {
        name: optuna.distributions.CategoricalDistribution(list(dial.span.values))
        if isinstance(dial.span, Choice)
        else optuna.distributions.FloatDistribution(dial.span.low, dial.span.high, log=dial.span.log)
        for name, dial in dials.items()
    }
    drawn = int(np.random.default_rng(list(at)).integers(2**31))
    sampler = optuna.samplers.TPESampler(seed=drawn, n_startup_trials=_STARTUP)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    states = {"complete": optuna.trial.TrialState.COMPLETE, "pruned": optuna.trial.TrialState.PRUNED}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for trial in ended:
            paused = {} if trial.paused_at is None else {1: trial.paused_at}
            study.add_trial(
                optuna.trial.create_trial(
                    state=states.get(trial.state, optuna.trial.TrialState.FAIL),
                    value=trial.score if trial.state != "failed" else None,
                    params=trial.point,
                    distributions=spans,
                    intermediate_values=paused,
                )
            )
        return dict(study.ask(spans).params)
