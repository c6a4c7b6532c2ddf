"""Harm is seen, ended and undone: by the loss, by dev, by the drift, by numbers that are none."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tunesmith.core.errors import ModelError
from tunesmith.training.blame import NotFinite
from tunesmith.training.guard import HARM, Guard, Seen
from tunesmith.training.loop import LoopResult, Recipe, Steering, train, trainable

X = torch.randn(64, 5, generator=torch.Generator().manual_seed(1))
Y = (X @ torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0])).unsqueeze(1)


def net() -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return torch.nn.Linear(5, 1)


def squared(model: torch.nn.Module, rows: torch.Tensor) -> tuple[torch.Tensor, float]:
    return ((model(X[rows]) - Y[rows]) ** 2).sum(), float(len(rows))


def run(
    folder: Path,
    *,
    rate: float = 0.01,
    steps: int = 40,
    at_most: float = math.inf,
    ruin: float = math.inf,
    drift: Callable[[torch.nn.Module], float] | None = None,
    score: Callable[[torch.nn.Module], float] | None = None,
    loss: Any = squared,
    told: Any = None,
    guarded: bool = True,
) -> tuple[torch.nn.Module, dict[str, torch.Tensor], LoopResult]:
    model = net()
    start = {name: tensor.detach().clone() for name, tensor in trainable(model).items()}
    guard = Guard(start, None if drift is None else lambda: drift(model), at_most, ruin, told)
    by = score or (lambda model: -float(squared(model, torch.arange(64))[0]) / 64)

    def batches(step: int) -> Sequence[torch.Tensor]:
        return [torch.arange(8 * step, 8 * step + 8) % 64]

    steering = Steering(score=lambda: by(model), guard=guard if guarded else None)
    recipe = Recipe(steps, rate, evaluate_every=5, clip=None)
    result = train(model, batches, loss, recipe=recipe, folder=folder, emit=lambda *a, **k: None, steering=steering)
    return model, start, result


def same(model: torch.nn.Module, weights: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, weights[name]) for name, tensor in trainable(model).items())


def test_a_training_that_goes_well_is_what_it_is_without_a_guard(tmp_path: Path) -> None:
    model, _, result = run(tmp_path / "a")
    free, _, other = run(tmp_path / "b", guarded=False)
    for ours, theirs in zip(model.parameters(), free.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)  # sums may differ by where memory lies
    assert result.rolled_back == ""
    assert result.stopped == other.stopped == "all steps"
    assert result.untuned is not None
    assert result.best_score is not None
    assert result.best_score > result.untuned


def test_a_loss_that_is_no_number_goes_back_to_the_best_step(tmp_path: Path) -> None:
    calls = 0

    def broken(model: torch.nn.Module, rows: torch.Tensor) -> tuple[torch.Tensor, float]:
        nonlocal calls
        calls += 1  # four of them before the first step
        total, weight = squared(model, rows)
        return (total * float("nan") if calls > 16 else total), weight

    model, start, result = run(tmp_path, loss=broken)
    assert (result.stopped, result.best_step, result.steps_done) == (HARM, 10, 12)
    assert "loss is nan" in result.rolled_back
    assert not same(model, start)


def test_before_the_first_good_state_what_is_not_finite_is_an_error(tmp_path: Path) -> None:
    def broken(model: torch.nn.Module, rows: torch.Tensor) -> tuple[torch.Tensor, float]:
        total, weight = squared(model, rows)
        return (total * float("inf") if int(rows[0]) == 16 else total), weight

    with pytest.raises(ModelError, match="step 2"):
        run(tmp_path, loss=broken)


def test_a_base_that_gives_no_numbers_is_an_error_still(tmp_path: Path) -> None:
    def broken(model: torch.nn.Module, rows: torch.Tensor) -> tuple[torch.Tensor, float]:
        return squared(model, rows)[0] * float("nan"), 8.0

    with pytest.raises(ModelError, match="step 0"):
        run(tmp_path, loss=broken)


def test_a_rate_that_makes_the_loss_climb_is_ended_early(tmp_path: Path) -> None:
    model, start, result = run(tmp_path, rate=30.0)
    assert result.stopped == HARM
    assert result.steps_done < 40
    assert "times the untuned model's" in result.rolled_back
    assert result.best_step == 0
    assert same(model, start)


def test_dev_that_falls_below_the_untuned_model_ends_it(tmp_path: Path) -> None:
    scores = iter([1.0, 1.2, 0.5, 0.4, 0.3])
    _, _, result = run(tmp_path, score=lambda _: next(scores))
    assert (result.stopped, result.best_step, result.steps_done) == (HARM, 5, 15)
    assert result.rolled_back == "dev fell from 1 untuned to 0.4 at step 15"


def test_without_a_step_as_good_the_untuned_model_is_kept(tmp_path: Path) -> None:
    scores = itertools.chain([1.0], itertools.repeat(0.98))
    model, start, result = run(tmp_path, score=lambda _: next(scores))
    assert result.best_step == 0
    assert result.rolled_back.startswith("no step was as good on dev")
    assert same(model, start)


def moved(model: torch.nn.Module) -> float:
    return float((trainable(model)["weight"] - trainable(net())["weight"]).detach().norm())


def test_only_states_within_the_budget_are_kept(tmp_path: Path) -> None:
    free, _, _ = run(tmp_path / "free")
    model, _, result = run(tmp_path / "held", drift=moved, at_most=0.5 * moved(free))
    assert 0 < result.best_step < 40
    assert moved(model) <= 0.5 * moved(free)
    drifts = dict(result.drifts)
    assert drifts[result.best_step] == moved(model)
    assert result.rolled_back.endswith(f"{0.5 * moved(free):.3g} allowed")
    assert all("drift" in at for at in result.curve)
    assert result.most is not None
    assert result.best_score is not None
    assert result.most > result.best_score


def test_a_drift_that_leaves_another_model_ends_it(tmp_path: Path) -> None:
    _, _, result = run(tmp_path, drift=moved, at_most=1e-3, ruin=1e-2)
    assert (result.stopped, result.best_step, result.steps_done) == (HARM, 0, 10)


def test_who_holds_is_told_every_drift(tmp_path: Path) -> None:
    told: list[int] = []
    run(tmp_path, drift=moved, told=lambda drifts: told.append(len(drifts)))
    assert told == list(range(9))


def test_what_is_remembered_survives_a_checkpoint() -> None:
    seen = Seen()
    seen.usual = 1.0
    seen.lost(1, 2.0)
    seen.drifted(1, 0.5, Guard({}))
    from dataclasses import asdict

    assert Seen.of(asdict(seen)) == seen


def test_the_error_keeps_whose_fault_it_was() -> None:
    import pickle

    error = NotFinite("the loss is nan", hint="lower it")
    error.frozen = True
    again = pickle.loads(pickle.dumps(error))  # as it crosses from one process to another
    assert (again.message, again.hint, again.frozen) == (error.message, error.hint, True)
