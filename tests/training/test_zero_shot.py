"""The base model as it is: exact label probabilities, a prior that is taken off only where that helps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lm_case import LABELS, context_of, echoes, job_of, tickets

from tunesmith.core.dataset import rows_of
from tunesmith.models.labels import label_log_probs
from tunesmith.training import prompting
from tunesmith.training.prompted import Prompted, softmax
from tunesmith.training.prompting import PromptedFitted
from tunesmith.training.systems import system


def fit(folder: Path, *, text: bool = False) -> PromptedFitted:
    rows = echoes(12) if text else tickets(12)
    fitted = system.get("zero_shot").fit(rows, rows.take([]), job_of(folder, text=text), context_of(folder / "w"))
    assert isinstance(fitted, PromptedFitted)
    return fitted


def test_probabilities_are_those_of_whole_answers_among_the_labels(tmp_path: Path) -> None:
    fitted = fit(tmp_path)
    texts = tickets(3, start=40).texts
    answers = fitted.predict(texts, context_of(tmp_path))
    asked = fitted._answers
    assert asked is not None
    prompts = [asked.asker.ask(text).ids for text in texts]
    scores = label_log_probs(asked.lm, prompts, asked.label_ids)
    prior = fitted.about["prior"]
    expected = softmax(scores - (0.0 if prior is None else np.array(prior)))
    np.testing.assert_allclose(answers.probabilities, expected, atol=1e-5)  # type: ignore[arg-type]
    assert answers.values == tuple(LABELS[i] for i in expected.argmax(axis=1))


def test_saved_and_loaded_it_answers_the_same(tmp_path: Path) -> None:
    fitted, ctx = fit(tmp_path), context_of(tmp_path)
    fitted.save(tmp_path / "saved")
    again = system.get("zero_shot").load(tmp_path / "saved", job_of(tmp_path), ctx)
    texts = tickets(4, start=60).texts
    assert np.array_equal(fitted.predict(texts, ctx).probabilities, again.predict(texts, ctx).probabilities)  # type: ignore[arg-type]


def test_text_is_written_within_the_length_of_train_answers(tmp_path: Path) -> None:
    fitted = fit(tmp_path, text=True)
    answers = fitted.predict(echoes(5, start=30).texts, context_of(tmp_path))
    assert len(answers) == 5
    assert answers.probabilities is None
    asked = fitted._answers
    assert asked is not None
    for value in answers.values:
        tokens = asked.asker.template.tokenizer.encode(value or "", add_special_tokens=False)
        assert len(tokens) <= asked.lengths.max_new_tokens + 2


def test_answers_come_back_in_the_order_of_the_texts(tmp_path: Path) -> None:
    fitted, ctx = fit(tmp_path), context_of(tmp_path)
    texts = list(tickets(9, start=10).texts)
    texts[3] = texts[3] * 12
    together = fitted.predict(texts, ctx).probabilities
    alone = [fitted.predict([text], ctx).probabilities for text in texts]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-4)  # type: ignore[arg-type]


def test_a_prejudiced_model_gets_its_prior_taken_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It always prefers the first label, but by less where the second is right."""
    fitted = fit(tmp_path)
    asked = fitted._answers
    assert asked is not None
    judges = tickets(8)

    def prejudiced(self: object, prompts: list[list[int]]) -> np.ndarray:
        return np.array([[-1.0, -6.0 if target == LABELS[0] else -3.0] for target in judges.targets])

    monkeypatch.setattr(type(asked), "log_probs", prejudiced)
    loss, prior = prompting._label_loss(asked, judges)
    assert prior is not None
    assert loss < 0.1
    assert prior[0] > prior[1]


def test_texts_longer_than_the_room_are_cut_and_that_is_told(tmp_path: Path) -> None:
    fitted = fit(tmp_path)
    told: list[tuple[str, dict[str, int]]] = []
    ctx = context_of(tmp_path, emit=lambda event, **fields: told.append((event, fields)))
    fitted.predict([tickets(1).texts[0] * 200], ctx)
    cut = [fields for event, fields in told if event == "prompts.cut"]
    assert len(cut) == 1
    assert cut[0]["rows"] == 1
    assert cut[0]["tokens"] > 500


def test_no_rows_give_no_answers(tmp_path: Path) -> None:
    fitted = fit(tmp_path)
    answers = fitted.predict([], context_of(tmp_path))
    assert answers.probabilities is not None
    assert answers.probabilities.shape == (0, 2)
    assert rows_of([]).texts == answers.values


def test_the_wording_that_does_better_on_train_rows_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = prompting._label_loss

    def judged(asked: Prompted, judges: object) -> tuple[float, list[float] | None]:
        loss, prior = real(asked, judges)  # type: ignore[arg-type]
        return loss + (0.0 if asked.asker.prompt.instruction.startswith("You are") else 10.0), prior

    monkeypatch.setattr(prompting, "_label_loss", judged)
    fitted = fit(tmp_path)
    assert fitted.about["instruction"].startswith("You are a helpful assistant. Read the text")
    asked = fitted._answers
    assert asked is not None
    assert "You are a helpful assistant." in asked.asker.text("x")
    fitted.save(tmp_path / "saved")
    again = system.get("zero_shot").load(tmp_path / "saved", job_of(tmp_path), context_of(tmp_path))
    assert isinstance(again, PromptedFitted)
    again.predict(["x"], context_of(tmp_path))
    assert again._answers is not None
    assert "You are a helpful assistant." in again._answers.asker.text("x")
