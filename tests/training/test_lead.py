"""Copying baselines: as much of the source's beginning as scores best on train, or all of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from lm_case import context_of

from tunesmith.core.dataset import Rows, rows_of
from tunesmith.tasks import Prompt, task
from tunesmith.training.systems import Job, system
from tunesmith.training.systems.lead import beginning

TEXT = "The order 12 came late. Nobody called about it! Was the box broken? It was. I want 40 dollars back."


def rows(words: int, n: int = 12) -> Rows:
    texts = [TEXT.replace("12", str(i)) for i in range(n)]
    return rows_of(texts, [" ".join(text.split()[:words]) for text in texts])


def job() -> Job:
    return Job(task.get("rewrite"), (), Prompt("Shorten it."))


@pytest.mark.parametrize("words", [5, 10])
def test_the_length_is_the_one_that_scores_best_on_train(tmp_path: Path, words: int) -> None:
    fitted = system.get("lead").fit(rows(words), rows(words, 2), job(), context_of(tmp_path))
    answers = fitted.predict(rows(words).texts, context_of(tmp_path))
    score = job().task.score(answers, rows(words).targets, rows(words).texts, ())
    assert score["fact_f1"] == pytest.approx(1.0)


def test_the_length_is_saved_and_frozen(tmp_path: Path) -> None:
    ctx = context_of(tmp_path)
    fitted = system.get("lead").fit(rows(10), rows(10, 2), job(), ctx)
    fitted.save(tmp_path / "saved")
    assert system.get("lead").load(tmp_path / "saved", job(), ctx) == fitted
    settings = fitted.settings  # type: ignore[attr-defined]
    frozen = Job(task.get("rewrite"), (), Prompt(""), options=settings, frozen=True)
    assert system.get("lead").fit(rows(5), rows(5, 2), frozen, ctx) == fitted


def test_words_and_sentences_by_hand() -> None:
    assert beginning("One two. Three four!  Five", "words", 3) == "One two. Three"
    assert beginning("One two. Three four!  Five", "sentences", 2) == "One two. Three four!"
    assert beginning("Line one\nLine two", "sentences", 1) == "Line one"
    assert beginning("", "sentences", 3) == ""


def test_an_empty_source_gets_no_answer(tmp_path: Path) -> None:
    ctx = context_of(tmp_path)
    for name in ("lead", "copying"):
        fitted = system.get(name).fit(rows(5), rows(5, 2), job(), ctx)
        assert fitted.predict(["", "  "], ctx).values == (None, None)


def test_copying_gives_the_source(tmp_path: Path) -> None:
    ctx = context_of(tmp_path)
    fitted = system.get("copying").fit(rows(5), rows(5, 2), job(), ctx)
    fitted.save(tmp_path / "saved")
    assert system.get("copying").load(tmp_path / "saved", job(), ctx).predict([TEXT], ctx).values == (TEXT,)
