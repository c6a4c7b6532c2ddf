from __future__ import annotations

import numpy as np
import pytest

from tunesmith.core.dataset import rows_of
from tunesmith.tasks import task
from tunesmith.tasks.label_sets import dump_set
from tunesmith.training.deciding import (
    choose_thresholds,
    common_threshold,
    decide,
    decider_of,
    fit_decider,
    micro_f1,
    sigmoid,
)
from tunesmith.training.systems import Job

LABELS = tuple("abcd")


def _drawn(n: int = 2000, k: int = 4, *, seed: int = 0):
    """Calibrated probabilities and the labels drawn by them."""
    rng = np.random.default_rng(seed)
    p = sigmoid(rng.normal(-1.0, 1.5, (n, k)))
    return p, rng.random((n, k)) < p


def _job() -> Job:
    tag = task.get("tag")
    return Job(tag, LABELS, tag.prompt(LABELS, inputs=("text",), target="tags"))


def test_the_common_threshold_is_half_of_the_f1_it_reaches():
    p, truth = _drawn(50_000)
    t = common_threshold(p, truth, least=0)
    reached = micro_f1(decide(p, np.full(4, t), least=0), truth)
    assert t == pytest.approx(reached / 2, abs=0.02)  # Lipton et al. 2014; the optimum is flat
    assert reached > micro_f1(decide(p, np.full(4, 0.5), least=0), truth) + 0.02


@pytest.mark.parametrize("least", [0, 1])
def test_no_other_threshold_is_better_on_these_rows(least):
    p, truth = _drawn(300, seed=1)
    best = micro_f1(decide(p, np.full(4, common_threshold(p, truth, least=least)), least=least), truth)
    others = [micro_f1(decide(p, np.full(4, t), least=least), truth) for t in np.linspace(0.02, 0.98, 200)]
    assert best >= max(others) - 1e-12


def test_rows_get_at_least_as_many_labels_as_asked():
    p = np.array([[0.1, 0.2, 0.05], [0.9, 0.8, 0.1]])
    assert decide(p, np.full(3, 0.5), least=1).tolist() == [[False, True, False], [True, True, False]]
    assert not decide(p, np.full(3, 0.5), least=0)[0].any()


def test_labels_get_thresholds_of_their_own_only_where_that_holds_up():
    p, truth = _drawn(600, seed=2)
    same = choose_thresholds(p, truth, least=0)
    assert len(set(same.tolist())) == 1
    bent = p.copy()
    bent[:, 0] = p[:, 0] ** 4  # a label that is never thought likely
    own = choose_thresholds(bent, truth, least=0)
    assert own[0] < own[1] - 0.05
    assert micro_f1(decide(bent, own, least=0), truth) > micro_f1(
        decide(bent, np.full(4, common_threshold(bent, truth, least=0)), least=0), truth
    )


def test_scores_become_probabilities_that_mean_what_they_say():
    p, truth = _drawn(3000, seed=3)
    scores = {"one": 0.2 * (np.log(p) - np.log1p(-p)) + 3.0, "noise": np.random.default_rng(0).normal(size=p.shape)}
    rows = rows_of(["x"] * len(p), [dump_set(LABELS[j] for j in np.flatnonzero(row)) for row in truth])
    rates = truth.mean(axis=0)
    decider = fit_decider(scores, truth, rates, rows, _job())
    again = sigmoid(decider.log_odds(scores, rates))
    assert np.abs(again - p).mean() < 0.03
    said = decider.predictions(scores, rates, LABELS)
    right = np.array([a == b for a, b in zip(said.values, rows.targets, strict=True)])
    assert abs(said.confidences.mean() - right.mean()) < 0.02
    sure = said.confidences > np.median(said.confidences)
    assert right[sure].mean() > right[~sure].mean() + 0.1


def test_what_was_chosen_can_be_given_back():
    p, truth = _drawn(400, seed=4)
    rows = rows_of(["x"] * len(p), [dump_set(LABELS[j] for j in np.flatnonzero(row)) for row in truth])
    scores, rates = {"counts": np.log(p)}, truth.mean(axis=0)
    decider = fit_decider(scores, truth, rates, rows, _job(), alone=True)
    again = decider_of(decider.settings, ["counts"], 4)
    assert again.settings == decider.settings
    assert again.predictions(scores, rates, LABELS).values == decider.predictions(scores, rates, LABELS).values


def test_rows_without_any_label_anywhere_do_no_harm():
    scores, truth = {"counts": np.zeros((30, 4))}, np.zeros((30, 4), dtype=bool)
    rows = rows_of(["x"] * 30, ["[]"] * 30)
    said = fit_decider(scores, truth, np.full(4, 0.01), rows, _job()).predictions(scores, np.full(4, 0.01), LABELS)
    assert np.isfinite(said.confidences).all()
