"""The tuned language model as a rung: learns, is saved, resumed and refitted, and says what it did."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lm_case import LABELS, context_of, echoes, job_of, tickets

from tunesmith.core.checks import Check
from tunesmith.core.errors import ModelError
from tunesmith.core.files import sha256_path
from tunesmith.training import loop
from tunesmith.training.systems import RungPlan, Workload, system
from tunesmith.training.tuned_lm import LmFitted


def fit(folder: Path, job: Any, *, n: int = 24, rows: Any = tickets, checks: list[Check] | None = None) -> LmFitted:
    fitted = system.get("lm").fit(rows(n), rows(8, start=100), job, context_of(folder, checks))
    assert isinstance(fitted, LmFitted)
    return fitted


def test_it_learns_to_tell_labels_apart_and_every_check_passes(tmp_path: Path) -> None:
    checks: list[Check] = []
    fitted = fit(tmp_path / "w", job_of(tmp_path, steps=40), checks=checks)
    rows = tickets(16, start=200)
    answers = fitted.predict(rows.texts, context_of(tmp_path / "w"))
    assert answers.values == rows.targets
    assert answers.probabilities is not None
    np.testing.assert_allclose(answers.probabilities.sum(axis=1), 1.0)
    assert [c.name for c in checks if c.applies and not c.passed] == []
    assert len({c.name for c in checks}) == 17
    assert all(c.system == "lm" for c in checks)


def test_it_learns_to_write_and_stops_by_itself(tmp_path: Path) -> None:
    job = job_of(tmp_path, text=True, steps=60, rank=32, rate=2e-2)
    fitted = fit(tmp_path / "w", job, rows=echoes)
    before = system.get("zero_shot").fit(echoes(24), echoes(0), job, context_of(tmp_path / "z"))
    rows = echoes(4, start=50)
    score = [
        job.task.score(f.predict(rows.texts, context_of(tmp_path / "w")), rows.targets, rows.texts, ())["rouge_l"]
        for f in (before, fitted)
    ]
    assert score[1] > score[0] + 0.2
    assert fitted.answers(context_of(tmp_path)).lengths.max_new_tokens < 40


def test_what_is_saved_predicts_the_same_bytes_in_a_new_object(tmp_path: Path) -> None:
    job, ctx = job_of(tmp_path), context_of(tmp_path / "w")
    fitted = fit(tmp_path / "w", job)
    fitted.save(tmp_path / "saved")
    again = system.get("lm").load(tmp_path / "saved", job, ctx)
    texts = tickets(8, start=300).texts
    one, two = fitted.predict(texts, ctx), again.predict(texts, ctx)
    assert one.values == two.values
    assert np.array_equal(one.probabilities, two.probabilities)  # type: ignore[arg-type]


def test_the_folder_holds_adapter_tokenizer_and_the_bases_uri_and_no_pickle(tmp_path: Path) -> None:
    job = job_of(tmp_path)
    fit(tmp_path / "w", job).save(tmp_path / "saved")
    names = {p.relative_to(tmp_path / "saved").as_posix() for p in (tmp_path / "saved").rglob("*") if p.is_file()}
    assert {"system.json", "adapter/adapter_model.safetensors", "adapter/adapter_config.json"} <= names
    assert {"adapter/tokenizer.json", "adapter/chat_template.jinja"} <= names
    assert not any(name.endswith((".bin", ".pt", ".pkl")) for name in names)
    config = json.loads((tmp_path / "saved/adapter/adapter_config.json").read_text())
    assert job.lm is not None
    assert config["base_model_name_or_path"] == job.lm.uri
    assert config["target_modules"] == sorted(config["target_modules"])
    about = json.loads((tmp_path / "saved/system.json").read_text())
    assert about["base"] == job.lm.uri
    assert about["settings"]["rank"] == 16


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    job = job_of(tmp_path, steps=6)
    digests = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        ctx = replace(context_of(tmp_path / name), seed=seed)
        system.get("lm").fit(tickets(16), tickets(4, start=50), job, ctx).save(tmp_path / name / "saved")
        digests.append(sha256_path(tmp_path / name / "saved"))
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_a_killed_fit_resumes_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    real = loop.accumulate

    def killed_at_nine(*args: Any, step: int, **kwargs: Any) -> Any:
        if step == 9:
            raise Killed
        return real(*args, step=step, **kwargs)

    job = job_of(tmp_path, steps=14)
    monkeypatch.setattr(loop.train, "__kwdefaults__", {**(loop.train.__kwdefaults__ or {}), "checkpoint_every_s": 0.0})
    fit(tmp_path / "a", job).save(tmp_path / "a/saved")
    with monkeypatch.context() as patch:
        patch.setattr(loop, "accumulate", killed_at_nine)
        with pytest.raises(Killed):
            fit(tmp_path / "b", job)
    fit(tmp_path / "b", job).save(tmp_path / "b/saved")
    assert sha256_path(tmp_path / "a/saved") == sha256_path(tmp_path / "b/saved")


def test_refitting_does_the_planned_steps_of_the_same_schedule_without_dev_rows(tmp_path: Path) -> None:
    job = job_of(tmp_path, steps=12)
    first = fit(tmp_path / "a", job)
    frozen = replace(job, frozen=True, options=first.settings, plan=RungPlan("lm", steps=9))
    again = system.get("lm").fit(tickets(30), tickets(0), frozen, context_of(tmp_path / "b"))
    assert isinstance(again, LmFitted)
    assert again.settings["best_step"] == 9
    assert again.settings["schedule_steps"] == round(12 * 9 / int(first.settings["best_step"]))
    for name in ("rank", "rate", "batch", "max_tokens", "max_new_tokens", "method"):
        assert again.settings[name] == first.settings[name]
    assert again.curve[-1]["step"] == 9


def test_the_pause_is_judged_by_the_tasks_own_metric_on_dev(tmp_path: Path) -> None:
    seen: list[float] = []

    def no(score: float) -> bool:
        seen.append(score)
        return False

    job = replace(job_of(tmp_path), plan=RungPlan("lm", steps=20, pause_steps=5), promising=no)
    fitted = fit(tmp_path / "w", job)
    assert fitted.about["stopped"] == "not promising"
    assert fitted.curve[-1]["step"] == 5
    assert len(seen) == 1
    assert 0.0 <= seen[0] <= 1.0


def test_an_adapter_of_another_base_is_refused(tmp_path: Path) -> None:
    job = job_of(tmp_path, steps=2)
    fit(tmp_path / "w", job).save(tmp_path / "saved")
    (tmp_path / "other").mkdir()
    with pytest.raises(ModelError, match="this adapter was trained on"):
        system.get("lm").load(tmp_path / "saved", job_of(tmp_path / "other"), context_of(tmp_path / "w"))


def test_rates_that_explode_stop_the_run_naming_the_step(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"training stopped at step [1-9]"):
        fit(tmp_path / "w", job_of(tmp_path, rate=1e30))


def test_bfloat16_weights_train_float32_adapters(tmp_path: Path) -> None:
    from tunesmith.core.context import Limits

    ctx = replace(context_of(tmp_path / "w"), limits=Limits(dtype="bfloat16"))
    fitted = system.get("lm").fit(tickets(24), tickets(8, start=100), job_of(tmp_path, steps=40), ctx)
    rows = tickets(8, start=200)
    assert fitted.predict(rows.texts, ctx).values == rows.targets


def test_forecasts_grow_with_rows_steps_and_labels() -> None:
    few, many = Workload(100, 10, 2, 0.0, 1000.0, 100.0), Workload(1000, 100, 77, 0.0, 1000.0, 100.0)
    for name in ("lm", "zero_shot", "few_shot"):
        rung = system.get(name)
        assert 0 <= rung.seconds(few)[0] <= rung.seconds(many)[0]
        assert 0 < rung.seconds(few)[1] < rung.seconds(many)[1]
    nothing, ten, twenty = (system.get("lm").seconds(replace(many, steps=s))[0] for s in (0, 10, 20))
    assert twenty - ten == pytest.approx(ten - nothing)


def test_until_a_label_was_seen_often_all_labels_are_looked_at() -> None:
    work = Workload(5000, 100, 77, 0.0, 1000.0, 30.0, label_tokens=500.0)
    few, many = (system.get("lm").seconds(replace(work, steps=s))[1] for s in (16, 400))
    assert few - many == pytest.approx(100 * (500.0 - 60.0) / 1000.0)


def test_a_large_vocabulary_makes_answers_dear_and_reading_no_dearer() -> None:
    work = Workload(5000, 100, 77, 0.0, 1000.0, 30.0, label_tokens=500.0, tokens_per_row=60.0)
    for labels in (77, 0):
        plain = replace(work, n_labels=labels)
        small, large = (system.get("lm").seconds(replace(plain, asked_token=a)) for a in (1.25, 2.7))
        assert large[1] > 1.3 * small[1]
        assert large[0] == small[0]
    written = [system.get("lm").seconds(replace(work, n_labels=0, written_tokens=w))[1] for w in (10.0, 210.0)]
    assert written[1] - written[0] > 100 * 200 / 1000.0  # a written token costs more than one that is read


def test_what_the_head_costs_is_read_off_the_weights(tmp_path: Path) -> None:
    from tunesmith.core.context import Limits
    from tunesmith.models.lm import LanguageModel
    from tunesmith.testing import tiny_lm
    from tunesmith.training.probe import asked_token

    lm = LanguageModel.load(tiny_lm(tmp_path / "tiny"), Limits())
    vocabulary, width = lm.model.get_output_embeddings().weight.shape
    whole = sum(tensor.numel() for tensor in lm.model.parameters())
    tied = lm.model.get_input_embeddings().weight is lm.model.get_output_embeddings().weight
    body = whole - vocabulary * width * (1 if tied else 2)
    assert asked_token(lm.model) == pytest.approx(1 + vocabulary * width / body)


def test_labels_are_those_of_the_job(tmp_path: Path) -> None:
    assert fit(tmp_path / "w", job_of(tmp_path, steps=2)).about["labels"] == list(LABELS)


@pytest.mark.slow
def test_two_processes_with_other_hash_seeds_write_the_same_bytes(tmp_path: Path) -> None:
    import os
    import subprocess
    import sys

    script = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from lm_case import context_of, job_of, tickets
from tunesmith.core.files import sha256_path
from tunesmith.training.systems import system
folder = Path(sys.argv[1])
ctx = context_of(folder / sys.argv[3])
fitted = system.get("lm").fit(tickets(16), tickets(4, start=50), job_of(folder, steps=4), ctx)
fitted.save(folder / sys.argv[3] / "saved")
print(sha256_path(folder / sys.argv[3] / "saved"))
"""
    tests = str(Path(__file__).parents[1])
    digests = []
    for seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path), tests, f"w{seed}"],
            env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        digests.append(run.stdout.split()[-1])
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    "options",
    [
        {"method": "ia3"},
        {"method": "layernorm"},
        {"method": "head"},
        {"method": "full"},
        {"method": "lora", "dora": True},
        {"method": "lora", "pissa": True, "rank": 4},
        {"method": "lora", "rank_stabilised": True, "plus_ratio": 16.0},
        {"method": "lora", "dropout": 0.1},
    ],
    ids=str,
)
def test_every_method_goes_through_the_whole_rung_and_its_checks(tmp_path: Path, options: dict[str, Any]) -> None:
    checks: list[Check] = []
    rate = {"full": 2e-3, "head": 5e-3}.get(options["method"], 1e-2)
    job = job_of(tmp_path, steps=8, **{"rate": rate, **options})
    fitted = system.get("lm").fit(tickets(16), tickets(8, start=100), job, context_of(tmp_path / "w", checks))
    assert [c.name for c in checks if c.applies and not c.passed] == []
    fitted.save(tmp_path / "saved")
    assert not [p for p in (tmp_path / "saved").rglob("*") if p.suffix in (".bin", ".pt", ".pkl")]
    again = system.get("lm").load(tmp_path / "saved", job, context_of(tmp_path / "w2"))
    texts = list(tickets(6, start=200).texts)
    ours, theirs = (f.predict(texts, context_of(tmp_path / "w3")) for f in (fitted, again))
    assert ours.values == theirs.values
    packed = next(c for c in checks if c.name.startswith("packed rows"))
    assert packed.applies == ("dropout" not in options)


def test_a_method_that_the_base_cannot_have_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="bias") as caught:
        system.get("lm").fit(tickets(16), tickets(8), job_of(tmp_path, method="bitfit"), context_of(tmp_path / "w"))
    assert caught.value.hint


def test_a_trials_wording_and_rate_are_trained_with_saved_and_answered_with(tmp_path: Path) -> None:
    job, rung = job_of(tmp_path, steps=4), system.get("lm")
    dials = rung.dials(job, n_rows=24)
    assert set(dials) == {"rate", "steps", "rank", "method", "top_layers", "wording"}
    point = {"rate": 0.5, "steps": 2.0, "rank": 8, "method": "lora", "top_layers": 0, "wording": "terse"}
    options = rung.options_of(point, job)
    plain = fit(tmp_path / "plain", replace(job, options={"rank": 8}))
    fitted = fit(tmp_path / "w", replace(job, options=options))
    assert fitted.settings["rate"] == pytest.approx(0.5 * plain.settings["rate"])
    assert fitted.settings["instruction"].startswith("One of")
    fitted.save(tmp_path / "saved")
    again = rung.load(tmp_path / "saved", job, context_of(tmp_path))
    assert again.answers(context_of(tmp_path)).asker.prompt.instruction == fitted.settings["instruction"]
    refit = replace(job, options=fitted.settings, frozen=True, plan=RungPlan("lm", steps=2))
    frozen = rung.fit(tickets(32), tickets(0), refit, context_of(tmp_path / "again"))
    assert {k: frozen.settings[k] for k in ("rate", "rank", "instruction")} == {
        k: fitted.settings[k] for k in ("rate", "rank", "instruction")
    }
