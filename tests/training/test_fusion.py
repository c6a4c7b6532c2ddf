from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.core.context import Context
from tunesmith.core.dataset import rows_of
from tunesmith.models.spec import ModelSpec
from tunesmith.tasks import task
from tunesmith.testing import tiny_encoder
from tunesmith.training import experts
from tunesmith.training.calibrate import log_loss, log_softmax
from tunesmith.training.folds import row_folds
from tunesmith.training.mixture import _least_log_loss, choose_mixture, mix
from tunesmith.training.systems import Job, system

LABELS = ("a", "b", "c")


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> Job:
    spec = ModelSpec("folder", str(tiny_encoder(tmp_path_factory.mktemp("encoder"))), "encoder")
    what = task.get("classify")
    return Job(what, LABELS, what.prompt(LABELS, inputs=("text",), target="topic"), spec)


def opinions(n: int = 900):
    """Two experts that each know half of the rows, and one that knows nothing."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, n)
    truth = np.eye(3)[codes] * 4
    half = (np.arange(n) % 2 == 0)[:, None]
    made = {
        "even": log_softmax(np.where(half, truth, 0.3 * rng.normal(size=(n, 3)))),
        "odd": log_softmax(np.where(half, 0.3 * rng.normal(size=(n, 3)), truth)),
        "noise": log_softmax(2 * rng.normal(size=(n, 3))),
    }
    return made, codes, rows_of([str(i) for i in range(n)], [LABELS[c] for c in codes])


def test_experts_that_know_different_rows_are_added_and_noise_gets_no_say(job):
    made, codes, rows = opinions()
    settings = choose_mixture(made, rows, codes, job)
    assert settings["even.weight"] > 0.3
    assert settings["odd.weight"] > 0.3
    assert settings["noise.weight"] < 0.1
    mixed = mix(made, settings, np.zeros(3))
    assert (mixed.argmax(1) == codes).mean() > 0.98
    assert max((np.argmax(o, 1) == codes).mean() for o in made.values()) < 0.75


def test_an_opinion_that_must_have_a_say_has_one(job):
    made, codes, rows = opinions()
    assert choose_mixture(made, rows, codes, job, with_share="noise")["noise.weight"] > 0


def test_a_mixture_by_hand():
    p = {"x": np.log([[0.5, 0.3, 0.2]]), "y": np.log([[0.2, 0.6, 0.2]])}
    mixed = mix(p, {"x.weight": 0.5, "y.weight": 0.5, "temperature": 1.0}, np.zeros(3))
    root = np.sqrt([0.5 * 0.2, 0.3 * 0.6, 0.2 * 0.2])
    assert np.allclose(mixed, [root / root.sum()])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000))
def test_fitted_weights_are_no_worse_than_any_single_expert(seed):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, 200)
    stacked = np.stack(
        [log_softmax(np.eye(3)[codes] * strength + rng.normal(size=(200, 3))) for strength in (0.5, 1, 2)]
    )
    weights = _least_log_loss(stacked, codes)
    fitted = log_loss(log_softmax(np.tensordot(weights, stacked, axes=1)), codes)
    assert (weights >= 0).all()
    assert fitted <= min(log_loss(one, codes) for one in stacked) + 1e-6


def test_it_says_who_has_a_say_and_keeps_only_them(job, tmp_path):
    texts = [f"{word} {i}" for i in range(40) for word in ("late card", "money back", "broken app")]
    rows = rows_of(texts, list(LABELS) * 40)
    fitted = system.get("fusion").fit(rows, rows.take([]), job, Context(tmp_path / "work"))
    fitted.save(tmp_path / "saved")
    kept = {name for name in ("counts", "linear", "kernel") if fitted.settings[f"{name}.weight"] > 0}
    assert set(fitted.experts) == kept
    assert {file.stem for file in (tmp_path / "saved").glob("*.safetensors")} == kept | {"fusion"}
    assert all(name in fitted.method for name in kept)


def test_what_other_rungs_have_fitted_is_not_fitted_again_gives_the_same_answers_and_is_charged(
    job, tmp_path, monkeypatch
):
    texts = [f"{word} {i % 9} {i}" for i in range(60) for word in ("late card", "money back", "broken app")]
    rows = rows_of(texts, [LABELS[j] if (i + j) % 5 else LABELS[(i + 1) % 3] for i in range(60) for j in range(3)])
    folds = row_folds(rows, k=3, seed=1)
    ctx = Context(tmp_path)

    def fitted(name: str, job: Job):
        found = system.get(name).fit(rows, rows.take([]), job, ctx)
        chosen = replace(job, options=found.settings, frozen=True)
        return found.settings, system.get(name).cross_fit(rows, folds, chosen, ctx).probabilities

    alone, answers = fitted("fusion", job)
    together = replace(job, made={})
    for name in ("tfidf", "frozen"):
        fitted(name, together)
    fits, charges = [], []
    for kind in ("fit_margins", "fit_logistic", "fit_kernel"):
        fit = getattr(experts, kind)
        monkeypatch.setattr(experts, kind, lambda *a, fit=fit, **k: (fits.append(1), fit(*a, **k))[1])
    monkeypatch.setattr(experts, "borrow", charges.append)
    again, same = fitted("fusion", together)
    assert again == alone
    assert np.array_equal(same, answers)
    # The heads on all rows, and on three folds at most the kind that the frozen rung did not choose.
    assert len(fits) <= 3 + len(folds)
    assert len(charges) >= 1 + len(experts.LINEAR_GRID) + len(experts.KERNEL_GRID)  # of the choice alone
    assert sum(charges) > 0.0


def test_rows_times_labels_beyond_what_is_kept_are_answered_anew(job, tmp_path, monkeypatch):
    monkeypatch.setattr(experts, "_MOST_SHARED", 10)
    rows = rows_of([f"text {i}" for i in range(30)], list(LABELS) * 10)
    made: dict[tuple[object, ...], object] = {}
    system.get("tfidf").fit(rows, rows.take([]), replace(job, made=made), Context(tmp_path))
    assert not made
