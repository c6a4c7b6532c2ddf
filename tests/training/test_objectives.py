"""The tuned language model for other objectives: pairs and teachers go through the whole rung and its checks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lm_case import context_of, echoes, job_of

from tunesmith.core.checks import Check
from tunesmith.core.config import load_options
from tunesmith.core.dataset import Rows
from tunesmith.core.errors import CheckFailed, ConfigError, DataError, ModelError
from tunesmith.core.run import keyed
from tunesmith.models.lm import LanguageModel
from tunesmith.testing import tiny_lm
from tunesmith.training import objectives
from tunesmith.training.prompted import asker_for
from tunesmith.training.systems import RungPlan, system
from tunesmith.training.teaching import ask_teacher
from tunesmith.training.train import TrainOptions
from tunesmith.training.tuned_lm import LmFitted

Limited = dict[str, Any]


def compared(n: int, *, start: int = 0) -> Rows:
    """Rows whose chosen answer names the order and whose rejected one does not."""
    rows = echoes(n, start=start)
    return replace(rows, rejected=tuple(f"Nothing is known about {i}, sorry." for i in range(n)))


def fit(folder: Path, job: Any, train: Rows, dev: Rows, checks: list[Check] | None = None) -> LmFitted:
    fitted = system.get("lm").fit(train, dev, job, context_of(folder, checks))
    assert isinstance(fitted, LmFitted)
    return fitted


def test_rows_with_rejected_answers_are_learned_as_preferences(tmp_path: Path) -> None:
    checks: list[Check] = []
    job = job_of(tmp_path, text=True, steps=16, rate=1e-2, batch=4)
    fitted = fit(tmp_path / "w", job, compared(12), compared(4, start=50), checks)
    assert fitted.settings["objective"] == "dpo"
    assert [c.name for c in checks if c.applies and not c.passed] == []
    on_dev = fitted.about["on_dev"]
    assert on_dev["pairs"] == 4
    assert on_dev["reward_accuracy"] == 1.0
    assert on_dev["reward_margin"] > 0.1
    assert fitted.curve[-1]["dev_loss"] is not None
    assert fitted.curve[-1]["dev_loss"] < 0.69  # of a model that prefers neither: log 2
    # Both answers of a pair are supervised, so both are counted in what was encoded and cut.
    assert next(c for c in checks if c.name == "rows with no supervised token").value == 0

    frozen = replace(job, frozen=True, options=fitted.settings, plan=RungPlan("lm", steps=3))
    again = fit(tmp_path / "v", frozen, compared(14), compared(0))
    assert again.settings["objective"] == "dpo"
    assert again.about["on_dev"] == {}


def test_pairs_may_be_padded_and_have_a_supervised_term(tmp_path: Path) -> None:
    job = job_of(tmp_path, text=True, steps=3, packing="padded", chosen_weight=0.5, smoothing=0.1, batch=4)
    fitted = fit(tmp_path / "w", job, compared(8), compared(4, start=50))
    assert fitted.settings["packing"] == "padded"


def test_supervised_training_ignores_rejected_answers_where_it_was_asked_for(tmp_path: Path) -> None:
    job = job_of(tmp_path, text=True, steps=2, objective="supervised")
    fitted = fit(tmp_path / "w", job, compared(8), compared(4, start=50))
    assert fitted.settings["objective"] == "supervised"
    assert fitted.about["on_dev"] == {}


def test_data_without_rejected_answers_cannot_be_learned_as_preferences(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no rejected answers") as caught:
        fit(tmp_path / "w", job_of(tmp_path, text=True, steps=2, objective="dpo"), echoes(8), echoes(4, start=50))
    assert caught.value.hint


def test_a_few_pairs_that_say_nothing_are_left_out_and_many_stop_the_run(tmp_path: Path) -> None:
    rows = compared(12)
    few = replace(rows, rejected=("", *rows.rejected[1:]))
    job, checks = job_of(tmp_path, text=True, steps=2, batch=4), []
    fit(tmp_path / "w", job, few, compared(4, start=50), checks)
    left_out = next(c for c in checks if c.name.startswith("train pairs left out"))
    assert left_out.value == pytest.approx(1 / 12, abs=1e-6)
    same = replace(rows, rejected=(*rows.targets[:6], *rows.rejected[6:]))
    with pytest.raises(CheckFailed, match="train pairs left out"):
        fit(tmp_path / "v", job, same, compared(4, start=50))


def test_a_local_teacher_is_asked_once_and_its_answers_are_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_lm(tmp_path / "teacher", seed=7)
    asked: list[int] = []
    own = objectives.ask_teacher

    def counted(*given: Any, **named: Any) -> Any:
        asked.append(1)
        return own(*given, **named)

    monkeypatch.setattr(objectives, "ask_teacher", counted)
    options: Limited = {"objective": "distill", "teacher": str(tmp_path / "teacher"), "teacher_top": 8}
    job = job_of(tmp_path, text=True, steps=6, teacher_share=1.0, **options)
    checks: list[Check] = []
    first = fit(tmp_path / "w", job, echoes(8), echoes(4, start=50), checks)
    assert first.settings["objective"] == "distill"
    assert [c.name for c in checks if c.applies and not c.passed] == []
    fit(tmp_path / "w", job, echoes(8), echoes(4, start=50))  # the same work folder, as after a kill
    assert len(asked) == 1


def test_a_teachers_file_is_learned_from_and_one_of_other_rows_is_refused(tmp_path: Path) -> None:
    job = job_of(tmp_path, text=True, steps=2, batch=4)
    tiny_lm(tmp_path / "teacher", seed=7)
    ctx = context_of(tmp_path / "w")
    teacher, student = (LanguageModel.load(tmp_path / name, ctx.limits) for name in ("teacher", "tiny"))
    rows, dev = echoes(8), echoes(4, start=50)
    path = tmp_path / "said.jsonl"
    limits = {"max_tokens": 512, "room": 400, "at_once": 600}
    ask_teacher(teacher, rows + dev, asker_for(student, job), top=4, **limits).save(path)
    options = {**job.options, "objective": "distill", "teacher": str(path)}
    fitted = fit(tmp_path / "w", replace(job, options=options), rows, dev)
    assert fitted.settings["objective"] == "distill"
    with pytest.raises(DataError, match=r"none for 3 of 15 rows"):
        fit(tmp_path / "v", replace(job, options=options), echoes(11), dev)
    path.write_text(path.read_text().replace('"tokenizer": "', '"tokenizer": "0'))
    with pytest.raises(ModelError, match="is not the student's"):
        fit(tmp_path / "u", replace(job, options=options), rows, dev)


def test_an_objective_that_lacks_something_is_refused_with_a_remedy(tmp_path: Path) -> None:
    for options in ({"objective": "distill"}, {"objective": "grpo"}):
        with pytest.raises(ConfigError, match=r"train\.objective"):
            fit(tmp_path / "w", job_of(tmp_path, text=True, steps=2, **options), echoes(8), echoes(4, start=50))


def test_options_reach_the_rung_by_name_and_files_count_by_content(tmp_path: Path) -> None:
    table = {"objective": "dpo", "dpo": {"beta": 0.3}, "distill": {"temperature": 2}, "teacher": "big"}
    options = load_options(TrainOptions, table, where="config.train")
    given = options.for_rungs()
    assert given == {"objective": "dpo", "beta": 0.3, "temperature": 2.0, "teacher": "big", "allow_truncation": False}
    assert TrainOptions().for_rungs() == {"allow_truncation": False}
    with pytest.raises(ConfigError, match=r"config\.train\.dpo\.betta"):
        load_options(TrainOptions, {"dpo": {"betta": 1}}, where="config.train")
    assert keyed(options)["teacher"] == ["big"]
    path = tmp_path / "said.jsonl"
    keys = []
    for content in ("one", "two"):
        path.write_text(content)
        keys.append(keyed(TrainOptions(teacher=str(path)))["teacher"])
    assert keys[0] != keys[1]
