"""Shots: spread over the labels, the same for the same seed, shown before every row, never a row that judges them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from lm_case import context_of, echoes, job_of, tickets

from tunesmith.core.dataset import rows_of
from tunesmith.training.prompting import PromptedFitted
from tunesmith.training.systems import system
from tunesmith.training.systems.few_shot import choose_shots


def test_shots_are_spread_over_the_labels_and_depend_on_the_seed() -> None:
    rows = tickets(40)
    chosen = choose_shots(rows, ("billing", "login"), seed=3)
    assert Counter(rows.targets[i] for i in chosen) == {"billing": 4, "login": 4}
    assert chosen == choose_shots(rows, ("billing", "login"), seed=3)
    assert chosen != choose_shots(rows, ("billing", "login"), seed=4)


def test_with_more_labels_than_shots_no_label_is_shown_twice() -> None:
    rows = rows_of([f"text {i}" for i in range(60)], [f"label {i % 20}" for i in range(60)])
    shown = [rows.targets[i] for i in choose_shots(rows, tuple(sorted(set(rows.targets))), seed=0)]
    assert len(shown) == len(set(shown)) == 8


def test_long_rows_are_shown_only_where_there_are_no_others() -> None:
    rows = rows_of(["long " * 400] * 5 + ["short one"] * 5, ["answer"] * 10)
    assert all(i >= 5 for i in choose_shots(rows, (), seed=0))


def test_the_shots_stand_before_every_row_and_are_saved(tmp_path: Path) -> None:
    job, ctx = job_of(tmp_path), context_of(tmp_path)
    fitted = system.get("few_shot").fit(tickets(30), tickets(0), job, ctx)
    assert isinstance(fitted, PromptedFitted)
    shots = fitted.about["shots"]
    assert len(shots) == 8
    answers = fitted.predict(tickets(4, start=50).texts, ctx)
    assert set(answers.values) <= {"billing", "login"}
    asked = fitted._answers
    assert asked is not None
    prompt = asked.asker.text("a new text")
    assert all(text in prompt for text, _ in shots)
    assert prompt.index(shots[0][0]) < prompt.index(shots[-1][0]) < prompt.index("a new text")
    fitted.save(tmp_path / "saved")
    again = system.get("few_shot").load(tmp_path / "saved", job, ctx)
    assert again.predict(tickets(4, start=50).texts, ctx).values == answers.values


def test_for_text_the_draw_with_the_likelier_answers_is_kept(tmp_path: Path) -> None:
    fitted = system.get("few_shot").fit(echoes(20), echoes(0), job_of(tmp_path, text=True), context_of(tmp_path))
    assert isinstance(fitted, PromptedFitted)
    assert len(fitted.about["shots"]) == 2
    assert len(fitted.predict(echoes(2, start=40).texts, context_of(tmp_path))) == 2


def test_fewer_rows_than_shots_are_enough(tmp_path: Path) -> None:
    fitted = system.get("few_shot").fit(tickets(3), tickets(0), job_of(tmp_path), context_of(tmp_path))
    assert isinstance(fitted, PromptedFitted)
    assert len(fitted.about["shots"]) == 3


def test_refitting_shows_the_same_shots(tmp_path: Path) -> None:
    job, ctx = job_of(tmp_path), context_of(tmp_path)
    fitted = system.get("few_shot").fit(tickets(30), tickets(0), job, ctx)
    assert isinstance(fitted, PromptedFitted)
    frozen = replace(job, frozen=True, options=fitted.settings)
    again = system.get("few_shot").fit(tickets(60), tickets(0), frozen, ctx)
    assert isinstance(again, PromptedFitted)
    assert again.about == fitted.about
    texts = tickets(3, start=80).texts
    assert again.predict(texts, ctx).values == fitted.predict(texts, ctx).values
