from __future__ import annotations

import csv
import itertools

import numpy as np
import pytest
from conftest import shared_data

from tunesmith.core.predictions import Predictions
from tunesmith.core.statistics import holm, mcnemar, permute_macro_f1
from tunesmith.evaluation.verdict import Answers, verdict
from tunesmith.tasks import task

LABELS = ("a", "b", "c", "d")
CLASSIFY, REWRITE = task.get("classify"), task.get("rewrite")


def _answers(truth, share, *, seed, rows=None):
    rng = np.random.default_rng(seed)
    said = np.where(rng.random(len(truth)) < share, truth, rng.integers(0, 4, len(truth)))
    said = said if rows is None else said[rows]
    return Answers(Predictions(tuple(LABELS[i] for i in said)), rows)


def _judged(n=800, *, tuned=0.9, reference=0.8, seed=0, more=None, rows=None, **options):
    truth = np.random.default_rng(seed + 100).integers(0, 4, n)
    answers = {
        "lora": _answers(truth, tuned, seed=seed + 1, rows=rows),
        "fusion": _answers(truth, reference, seed=seed + 2),
        **{name: _answers(truth, share, seed=seed + 3 + i) for i, (name, share) in enumerate((more or {}).items())},
    }
    options = {"candidate": "lora", "reference": "fusion", "permutations": 999, "resamples": 300} | options
    targets = [LABELS[i] for i in truth]
    return verdict(CLASSIFY, targets, sources=[""] * n, labels=LABELS, answers=answers, **options), answers, truth


def test_a_clear_lead_is_better_and_ships():
    found, _, _ = _judged()
    assert (found.claim, found.winner, found.against) == ("better", "lora", "fusion")
    low, high = found.interval
    assert 0 < low < found.difference < high
    assert found.p_value < 0.05
    assert found.n == 800
    assert "Tuning paid off" in found.sentence
    assert "800 test rows" in found.sentence


def test_a_clear_loss_is_worse_and_the_reference_ships():
    found, _, _ = _judged(tuned=0.7, reference=0.85)
    assert (found.claim, found.winner, found.against) == ("worse", "fusion", "lora")
    assert found.difference < 0
    assert found.interval[1] < 0


def test_no_difference_on_a_large_test_is_no_evidence():
    truth = np.random.default_rng(0).integers(0, 4, 4_000)
    base = _answers(truth, 0.9, seed=1)
    other = list(base.predictions.values)
    for i in range(60):  # the two differ on few rows, and as often one way as the other
        other[i * 60] = LABELS[(LABELS.index(other[i * 60]) + 1) % 4]
    targets = [LABELS[i] for i in truth]
    half = [t if i % 120 == 0 else v for i, (t, v) in enumerate(zip(targets, base.predictions.values, strict=True))]
    found = verdict(
        CLASSIFY, targets, sources=[""] * 4_000, labels=LABELS,
        answers={"lora": Answers(Predictions(tuple(half))), "fusion": base},
        candidate="lora", reference="fusion", permutations=999, resamples=300,
    )  # fmt: skip
    assert (found.claim, found.winner) == ("no evidence", "fusion")
    assert found.comparisons[0].detectable <= 0.02
    assert found.p_value >= 0.05


def test_no_difference_on_a_small_test_is_underpowered_and_says_how_many_rows_would_do():
    found, _, _ = _judged(n=100, tuned=0.8, reference=0.8)
    needed = found.comparisons[0].needs_n
    assert found.claim == f"underpowered (needs n = {needed})"
    assert needed > 100
    assert f"{needed:,} rows are needed" in found.sentence
    assert found.winner == "fusion"


def test_five_rows_without_a_disagreement_prove_nothing():
    targets = list("abcda")
    same = Answers(Predictions(tuple(targets)))
    found = verdict(
        CLASSIFY, targets, sources=[""] * 5, labels=LABELS, answers={"x": same, "y": same}, candidate="x", reference="y"
    )
    assert found.claim.startswith("underpowered")
    assert found.p_value == 1.0
    assert found.interval[0] < -0.2 < 0.2 < found.interval[1]


@pytest.mark.parametrize("said", ["classify", "tag"])
def test_the_interval_holds_the_difference_where_one_is_always_right_and_the_other_never(said):
    labels = ("a", "b") if said == "classify" else ('["a"]', '["b"]')
    truth = [labels[i % 2] for i in range(40)]
    wrong = [labels[(i + 1) % 2] for i in range(40)]
    answers = {"lora": Answers(Predictions(tuple(truth))), "fusion": Answers(Predictions(tuple(wrong)))}
    found = verdict(
        task.get(said), truth, sources=[""] * 40, labels=("a", "b"), answers=answers, candidate="lora",
        reference="fusion", permutations=199, resamples=200,
    )  # fmt: skip
    assert found.difference == 1.0
    assert 0.8 < found.interval[0] < found.interval[1] == 1.0


def test_the_comparison_is_the_permutation_test_and_accuracy_stands_beside_it_with_mcnemar():
    found, answers, truth = _judged()
    main, beside = found.comparisons
    a, b = ([LABELS.index(v) for v in answers[name].predictions.values] for name in ("lora", "fusion"))
    assert (main.metric, main.test) == ("macro_f1", "paired permutation")
    assert main.p_value == pytest.approx(permute_macro_f1(truth, a, b, 4, permutations=999, seed=5), abs=0.01)
    assert (beside.metric, beside.test) == ("accuracy", "exact McNemar")
    assert beside.p_value == pytest.approx(mcnemar(np.array(a) == truth, np.array(b) == truth))
    assert beside.difference == pytest.approx(np.mean(np.array(a) == truth) - np.mean(np.array(b) == truth))


def test_a_metric_of_which_only_the_whole_is_known_is_permuted_too():
    found, _, _ = _judged(n=120, tuned=0.95, reference=0.6, permutations=99, resamples=50)

    class Balanced:
        """classify, but for another name of its metric: no shortcut applies."""

        name, leads, output, lower, guards = "balanced", "mean_f1", "label", (), ()

        def row_scores(self, *_):
            return {}

        def corpus_scores(self, *given):
            return {"mean_f1": CLASSIFY.corpus_scores(*given)["macro_f1"]}

    _, answers, truth = _judged(n=120, tuned=0.95, reference=0.6, permutations=99, resamples=50)
    slow = verdict(
        Balanced(), [LABELS[i] for i in truth], sources=[""] * 120, labels=LABELS, answers=answers, candidate="lora",
        reference="fusion", permutations=99, resamples=50,
    )  # fmt: skip
    assert slow.difference == pytest.approx(found.difference)
    assert slow.claim == found.claim == "better"
    assert slow.interval == pytest.approx(found.interval, abs=0.05)


def test_p_is_adjusted_by_holm_over_the_untuned_systems_of_the_leading_metric():
    found, _, _ = _judged(tuned=0.83, more={"tfidf": 0.8, "frozen": 0.79, "majority": 0.2})
    family = [c for c in found.comparisons if c.metric == "macro_f1"]
    assert [c.b for c in family] == ["fusion", "tfidf", "frozen", "majority"]
    assert [c.p_adjusted for c in family] == pytest.approx(holm([c.p_value for c in family]))
    assert found.p_value == family[0].p_adjusted


def test_only_the_systems_named_make_the_family():
    found, _, _ = _judged(more={"tfidf": 0.8, "other_lora": 0.9}, against=["fusion", "tfidf", "never ran"])
    assert {c.b for c in found.comparisons} == {"fusion", "tfidf"}


def test_a_candidate_on_a_subset_is_compared_on_its_rows_only():
    rows = np.sort(np.random.default_rng(0).permutation(800)[:200])
    found, answers, truth = _judged(rows=rows)
    a = np.array([LABELS.index(v) for v in answers["lora"].predictions.values])
    b = np.array([LABELS.index(v) for v in answers["fusion"].predictions.values])[rows]
    beside = next(c for c in found.comparisons if c.metric == "accuracy")
    assert (found.n, beside.n) == (200, 200)
    assert beside.difference == pytest.approx(np.mean(a == truth[rows]) - np.mean(b == truth[rows]))


def test_two_subsets_meet_on_their_common_rows():
    truth = np.random.default_rng(0).integers(0, 4, 300)
    one, other = np.arange(0, 200), np.arange(150, 300)
    answers = {"lora": _answers(truth, 0.9, seed=1, rows=one), "zero": _answers(truth, 0.5, seed=2, rows=other)}
    found = verdict(
        CLASSIFY, [LABELS[i] for i in truth], sources=[""] * 300, labels=LABELS, answers=answers, candidate="lora",
        reference="zero", permutations=199, resamples=50,
    )  # fmt: skip
    assert found.n == 50


def test_without_a_candidate_the_reference_ships_and_is_compared_with_the_others():
    found, _, _ = _judged(candidate=None, more={"tfidf": 0.7})
    assert (found.claim, found.winner, found.against, found.difference) == (None, "fusion", None, None)
    assert {(c.a, c.b) for c in found.comparisons} == {("fusion", "lora"), ("fusion", "tfidf")}
    assert found.sentence.startswith("No system that tunes weights was run")


def test_the_same_seed_gives_the_same_verdict():
    first, _, _ = _judged(seed=3)
    again, _, _ = _judged(seed=3)
    assert first == again


def test_equal_systems_are_rarely_told_apart():
    wrong = sum(
        _judged(n=150, tuned=0.7, reference=0.7, seed=10 * s, permutations=199, resamples=20)[0].claim
        in ("better", "worse")
        for s in range(100)
    )
    assert wrong <= 13  # Binomial(100, 0.05) exceeds 13 in 1 of 2,000


# ---------------------------------------------------------------- texts

SOURCES = [
    f"Doctor: How old are you? Patient: I am {20 + i} and take {i + 3} mg daily. Any fever? No." for i in range(60)
]
NOTES = [f"{20 + i}-year-old on {i + 3} mg daily, no fever." for i in range(60)]


def _text_verdict(candidate, *, copy=None, sources=SOURCES, notes=NOTES):
    answers = {"lm_lora": Answers(Predictions(tuple(candidate))), "copy": Answers(Predictions(tuple(copy or sources)))}
    return verdict(
        REWRITE, notes, sources=sources, labels=(), answers=answers, candidate="lm_lora", reference="copy",
        permutations=999, resamples=300,
    )  # fmt: skip


def test_a_faithful_writer_is_better():
    found = _text_verdict([f"{20 + i} on {i + 3} mg daily, no fever." for i in range(60)])
    assert found.claim == "better"
    (guard,) = found.guards
    assert (guard.metric, guard.best, guard.candidate_value) == ("unsupported_rate", "copy", 0.0)


def test_a_writer_ahead_that_invents_numbers_is_not_better():
    invented = [n if i % 3 else n.replace(f"{i + 3} mg", f"{i + 90} mg") for i, n in enumerate(NOTES)]
    found = _text_verdict(invented)
    assert found.difference > 0
    assert found.comparisons[0].p_value < 0.05
    assert (found.claim, found.winner) == ("no evidence", "copy")
    assert "of the facts that lm_lora states are not in its source" in found.sentence
    assert found.guards[0].broken


def test_a_test_too_small_to_rule_out_harm_is_underpowered():
    # one wrong number in ten notes: nothing is significant, and nothing is excluded either
    candidate = [f"{20 + i} on {i + 3} mg daily, no fever." for i in range(10)]
    candidate[4] = candidate[4].replace("7 mg", "77 mg")
    found = _text_verdict(candidate, sources=SOURCES[:10], notes=NOTES[:10])
    assert found.comparisons[0].p_value < 0.05
    assert not found.guards[0].broken
    assert not found.guards[0].holds
    assert found.claim == f"underpowered (needs n = {found.guards[0].needs_n})"


def test_on_real_notes_copying_is_beaten_in_facts_but_not_by_invention():
    with (shared_data("mts_dialog") / "MTS-Dialog-ValidationSet.csv").open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    sources, notes = [r["dialogue"] for r in rows], [r["section_text"] for r in rows]
    swapped = [n if i % 2 else notes[i - 2] for i, n in enumerate(notes)]
    found = _text_verdict(swapped, sources=sources, notes=notes)
    assert found.difference > 0
    assert found.claim != "better"


@pytest.mark.parametrize(("name", "leads"), itertools.product(("better", "worse"), ("accuracy", "macro_f1")))
def test_the_words_follow_the_sign_whatever_leads(name, leads):
    pair = {"tuned": 0.9, "reference": 0.75}
    if name == "worse":
        pair = {"tuned": 0.75, "reference": 0.9}
    found, _, _ = _judged(leads=leads, **pair)
    assert found.claim == name
    assert found.metric == leads
