"""What every rung must keep, found by itself: a new file in training/systems/ is tested without an edit here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tunesmith.core.context import Context, Limits
from tunesmith.core.dataset import Rows, rows_of
from tunesmith.core.library import Library, Passage
from tunesmith.models.lm import LanguageModel
from tunesmith.models.methods import method
from tunesmith.models.spec import ModelSpec
from tunesmith.tasks import task
from tunesmith.tasks.citations import gold_of, verify_citations
from tunesmith.tasks.label_sets import dump_set, read_set
from tunesmith.tasks.schema import read_schema
from tunesmith.tasks.values import fault
from tunesmith.testing import tiny_encoder, tiny_lm
from tunesmith.training.folds import row_folds
from tunesmith.training.systems import Job, RungPlan, Workload, system

NAMES = system.names()
CROSS_FITTED = [name for name in NAMES if hasattr(system.get(name), "cross_fit")]
CARD = ["the card is late", "my card was lost", "where is the new card", "the card does not work"]
MONEY = ["send my money back", "I want a refund", "the refund is missing", "give the money back"]


def _rows(n: int) -> Rows:
    texts = [f"{(CARD, MONEY)[i % 2][i // 2 % 4]} {i // 8}" for i in range(n)]
    return rows_of(texts, [("card", "money")[i % 2] for i in range(n)])


TRAIN, DEV = _rows(48), _rows(64).take(range(48, 64))
PASSAGES = {("cards", str(i)): text for i, text in enumerate(CARD)} | {
    ("money", str(i)): t for i, t in enumerate(MONEY)
}
# What rows of the task extract are to hold: their number and their topic.
SCHEMA = """{"type": "object", "properties": {"number": {"type": ["string", "null"]},
"topic": {"enum": ["card", "money"]}}, "required": ["number", "topic"]}"""
LIBRARY = Library(tuple(Passage(document, passage, text) for (document, passage), text in PASSAGES.items()))


def _asked(name: str, rows: Rows) -> Rows:
    """The rows with the targets that the rung's task has."""
    if _task(system.get(name)) == "extract":
        pairs = zip(rows.texts, rows.targets, strict=True)
        return replace(rows, targets=tuple(f'{{"number":"{t.split()[-1]}","topic":"{label}"}}' for t, label in pairs))
    if _task(system.get(name)) == "tag":
        sets = [{"card", "money"} if i % 5 == 0 else {label} for i, label in enumerate(rows.targets)]
        return replace(rows, targets=tuple(dump_set(one) for one in sets))
    if "citations" not in system.get(name).outputs:
        return rows
    golds = {text: gold_of([reference]) for reference, text in PASSAGES.items()}
    return replace(rows, targets=tuple(golds[text.rpartition(" ")[0]] for text in rows.texts))


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> dict[str, ModelSpec]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "encoder": ModelSpec("folder", str(tiny_encoder(folder / "encoder")), "encoder"),
        "lm": ModelSpec("folder", str(tiny_lm(folder / "lm")), "lm"),
    }


@pytest.fixture(scope="session")
def read(models, tmp_path_factory) -> Path:
    """What the tiny language model might have learnt from documents."""
    folder = tmp_path_factory.mktemp("read") / "adapter"
    lm = LanguageModel.load(Path(models["lm"].id), Limits())
    how = method.get("lora")
    lm.model = how.apply(lm.model, {"rank": 2}, seed=1)
    for name, tensor in lm.model.named_parameters():
        if "lora_B" in name:
            tensor.data.fill_(0.01)
    how.save(lm.model, folder)
    return folder


@pytest.fixture
def job(models, read):
    def made(name: str, **changes) -> Job:
        rung = system.get(name)
        what = task.get(_task(rung))
        labels = ("card", "money") if what.output in ("label", "labels") else ()
        prompt = what.prompt(labels, inputs=("text",), target="topic")
        prompt = replace(prompt, schema=SCHEMA if what.output == "json" else "")
        plan = RungPlan(name, steps=3 if rung.kind == "tuned" else None)
        made_for = Job(what, labels, prompt, models["encoder"], models["lm"], plan, library=LIBRARY)
        if getattr(rung, "asked_by", ""):
            made_for = replace(made_for, options={rung.asked_by: str(read)})
        return replace(made_for, **changes)

    return made


def _task(rung) -> str:
    first = {"label": "classify", "text": "rewrite", "json": "extract", "citations": "answer", "labels": "tag"}
    return next(name for output, name in first.items() if output in rung.outputs)


def _context(folder: Path) -> Context:
    folder.mkdir(parents=True, exist_ok=True)
    # The checks that a rung records are about models that learned something; three steps teach a random model nothing.
    return Context(folder, check=lambda check: None)


def test_the_rungs_are_found():
    assert {"majority", "tfidf", "frozen", "fusion", "encoder", "contrastive"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_rung_says_what_it_is(name):
    rung = system.get(name)
    assert rung.name == name
    assert rung.kind in ("tuned", "untuned")
    assert rung.needs in ("nothing", "encoder", "lm")
    assert set(rung.outputs) <= {"label", "labels", "text", "json", "citations"}
    assert rung.outputs


@pytest.mark.parametrize("name", NAMES)
def test_what_is_read_back_answers_as_what_was_saved(name, job, tmp_path):
    ctx, rung = _context(tmp_path / "work"), system.get(name)
    fitted = rung.fit(_asked(name, TRAIN), _asked(name, DEV), job(name), ctx)
    fitted.save(tmp_path / "saved")
    again = rung.load(tmp_path / "saved", job(name), _context(tmp_path / "other"))
    before, after = fitted.predict(DEV.texts, ctx), again.predict(DEV.texts, ctx)
    assert fitted.system == again.system == name
    assert before.values == after.values
    assert len(before) == len(DEV)
    if "citations" in rung.outputs:
        assert not any(verify_citations(value, LIBRARY) for value in before.values)
        assert np.abs(before.confidences - after.confidences).max() <= 1e-9
    if _task(rung) == "extract":
        assert all(fault(json.loads(value), read_schema(SCHEMA)) is None for value in before.values)
    if _task(rung) == "tag":
        assert all(read_set(value) <= {"card", "money"} for value in before.values)
        assert np.abs(before.marginals - after.marginals).max() <= 1e-9
        assert np.abs(before.confidences - after.confidences).max() <= 1e-9
    if "label" in rung.outputs:
        assert set(before.values) <= {"card", "money"}
        assert np.allclose(before.probabilities.sum(axis=1), 1.0)
        assert np.abs(before.probabilities - after.probabilities).max() <= 1e-9
    written = [file.suffix for file in (tmp_path / "saved").rglob("*") if file.is_file()]
    assert not {".pkl", ".pickle", ".joblib", ".pt", ".bin"} & set(written)


@pytest.mark.parametrize("name", NAMES)
def test_no_texts_give_no_answers(name, job, tmp_path):
    ctx = _context(tmp_path)
    assert len(system.get(name).fit(_asked(name, TRAIN), _asked(name, DEV), job(name), ctx).predict([], ctx)) == 0


@pytest.mark.parametrize("name", [n for n in NAMES if system.get(n).needs != "lm"])
def test_the_same_seed_gives_the_same_bytes(name, job, tmp_path):
    contents = []
    for attempt in ("one", "two"):
        fitted = system.get(name).fit(_asked(name, TRAIN), _asked(name, DEV), job(name), _context(tmp_path / attempt))
        fitted.save(tmp_path / f"{attempt}-saved")
        files = sorted(p for p in (tmp_path / f"{attempt}-saved").rglob("*") if p.is_file())
        contents.append([(file.name, file.read_bytes()) for file in files])
    assert contents[0] == contents[1]


@pytest.mark.parametrize("name", [n for n in NAMES if system.get(n).needs != "lm"])
def test_refitting_with_frozen_settings_chooses_nothing_anew(name, job, tmp_path):
    rung = system.get(name)
    train, dev = _asked(name, TRAIN), _asked(name, DEV)
    first = rung.fit(train, dev, job(name), _context(tmp_path / "first"))
    settings = dict(getattr(first, "settings", {}))
    refit = job(name, options=settings, frozen=True)
    if "best_step" in settings:
        refit = replace(refit, plan=RungPlan(name, steps=int(settings["best_step"])))
    again = rung.fit(train + dev, train.take([]), refit, _context(tmp_path / "again"))
    kept = {key: getattr(again, "settings", {})[key] for key in settings if key != "schedule_steps"}
    assert kept == {key: value for key, value in settings.items() if key != "schedule_steps"}


@pytest.mark.parametrize("name", CROSS_FITTED)
def test_cross_fitting_answers_every_row_without_having_seen_it(name, job, tmp_path):
    # The targets are noise: whoever had seen a row could know it, whoever had not is right half of the time.
    rng = np.random.default_rng(0)
    rows = rows_of([f"word{i} thing{i}" for i in range(80)], [("card", "money")[j] for j in rng.integers(0, 2, 80)])
    folds = row_folds(rows, k=4, seed=0)
    if _task(system.get(name)) == "tag":
        rows = replace(rows, targets=tuple(dump_set({target}) for target in rows.targets))
    answers = system.get(name).cross_fit(rows, folds, job(name), _context(tmp_path))
    right = np.mean([a == b for a, b in zip(answers.values, rows.targets, strict=True)])
    if _task(system.get(name)) == "tag":
        assert answers.marginals.shape == (80, 2)
    else:
        assert answers.probabilities.shape == (80, 2)
        assert np.allclose(answers.probabilities.sum(axis=1), 1.0)
    assert right < 0.75  # 0.5 expected, standard error 0.056


@pytest.mark.parametrize("name", [n for n in NAMES if "label" in system.get(n).outputs and system.get(n).needs != "lm"])
def test_a_label_without_train_rows_and_texts_without_words_do_no_harm(name, job, tmp_path):
    labels = ("card", "money", "never seen")
    base = job(name)
    prompt = base.task.prompt(labels, inputs=("text",), target="topic")
    ctx = _context(tmp_path)
    fitted = system.get(name).fit(TRAIN, DEV, replace(base, labels=labels, prompt=prompt), ctx)
    answers = fitted.predict(["", "   ", "!!!", "日本語のテキスト", "the card is late\x00"], ctx)
    assert np.isfinite(answers.probabilities).all()
    assert "never seen" not in answers.values


@pytest.mark.parametrize("name", NAMES)
def test_the_forecast_grows_with_the_work(name):
    def forecast(n_train, n_predict):
        return system.get(name).seconds(Workload(n_train, n_predict, 5, 100.0, 500.0, 30.0))

    small, large = forecast(500, 100), forecast(5000, 10_000)
    assert min(small) >= 0.0
    assert large[0] >= small[0]
    assert large[1] > small[1] or name in ("copy", "lead")
