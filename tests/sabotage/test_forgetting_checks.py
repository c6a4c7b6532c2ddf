"""For each check of forgetting and of rolling back: a real run with a fault fails by it, and by nothing before it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lm_case import context_of, tickets
from schooled_case import schooled_job

from tunesmith.core.checks import Check
from tunesmith.core.errors import CheckFailed
from tunesmith.training import keeping, loop
from tunesmith.training.drift import Suite
from tunesmith.training.guard import Guard, Seen
from tunesmith.training.keeping import Keeping
from tunesmith.training.systems import Job, system

Patch = pytest.MonkeyPatch


def run(folder: Path, job: Job) -> list[Check]:
    checks: list[Check] = []
    system.get("lm").fit(tickets(16), tickets(8, start=100), job, context_of(folder / "w", checks))
    return checks


def fails_by(name: str, folder: Path, job: Job) -> CheckFailed:
    with pytest.raises(CheckFailed, match=name) as caught:
        run(folder, job)
    assert caught.value.hint, "a failed check says what to do"
    return caught.value


def held(folder: Path, **options: Any) -> Job:
    return schooled_job(folder, **{"steps": 8, "forget_at_most": 2.0, "forget_controls": "hold", **options})


def test_without_a_fault_the_same_run_passes(tmp_path: Path) -> None:
    checks = run(tmp_path, held(tmp_path))
    assert all(check.passed in (True, None) for check in checks)
    names = [check.name for check in checks]
    assert "rows that probe A, probe B and replay share" in names
    assert "points forgotten on probe B: the base's own text" in names


def test_a_probe_that_judges_what_it_steered(tmp_path: Path, monkeypatch: Patch) -> None:
    real = keeping._part
    monkeypatch.setattr(keeping, "_part", lambda encoded, rows: real(encoded, range(len(rows))))
    assert "measured 192" in str(fails_by("rows that probe A, probe B and replay share", tmp_path, held(tmp_path)))


def test_a_measure_that_sees_forgetting_where_there_is_none(tmp_path: Path, monkeypatch: Patch) -> None:
    real = Suite.measure

    def shifted(self: Suite, model: torch.nn.Module) -> Any:
        found = real(self, model)
        return replace(found, points=found.points + 1.0)

    monkeypatch.setattr(Suite, "measure", shifted)
    fails_by("points forgotten before the first step", tmp_path, held(tmp_path))


def test_a_loop_that_keeps_what_is_over_the_budget(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Seen, "within", lambda self, at_most: True)
    job = held(tmp_path, forget_at_most=0.01, rate=2e-2)
    monkeypatch.setattr(keeping.Measured, "interval", lambda self, seed: (0.0, 0.0))  # the judge is asleep as well
    fails_by("points forgotten on probe A by what is kept", tmp_path, job)


def test_a_judge_who_still_finds_too_much_after_rolling_back(tmp_path: Path, monkeypatch: Patch) -> None:
    real = Keeping._measured

    def more(self: Keeping, model: torch.nn.Module) -> Any:
        return {name: replace(one, points=one.points + 9.0) for name, one in real(self, model).items()}

    monkeypatch.setattr(Keeping, "_measured", more)
    fails_by("points forgotten on probe B", tmp_path, held(tmp_path))


def test_weights_that_are_not_those_it_should_go_back_to(tmp_path: Path, monkeypatch: Patch) -> None:
    real = Keeping.guard

    def other(self: Keeping, model: torch.nn.Module, start: Any) -> Guard:
        return real(self, model, {name: tensor + 1e-3 for name, tensor in start.items()})

    monkeypatch.setattr(Keeping, "guard", other)
    monkeypatch.setattr(Seen, "why_back", lambda self, *a: (0, "it did harm"))
    name = "distance from the untuned model after rolling back to it"
    fails_by(name, tmp_path, schooled_job(tmp_path, steps=4))


def test_a_loop_that_keeps_what_did_harm(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Seen, "why_back", lambda self, *a: (None, ""))
    scores = itertools.chain([10.0], itertools.repeat(None))
    real = loop._evaluate

    def better_before(model: torch.nn.Module, score: Any, step: int, group: Any, **more: Any) -> float:
        found = real(model, score, step, group, **more)
        first = next(scores) if not more else None
        return found if first is None else first

    monkeypatch.setattr(loop, "_evaluate", better_before)
    fails_by("dev score of what is kept, less the untuned model's", tmp_path, schooled_job(tmp_path, steps=4))
