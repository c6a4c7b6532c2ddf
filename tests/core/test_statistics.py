from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import stats
from sklearn.metrics import f1_score

from tunesmith.core import statistics as st

counts = some.integers(0, 60)
seeds = some.integers(0, 10_000)


def _labels(seed: int, n: int, k: int, accuracy: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, n)
    a, b = (np.where(rng.random(n) < accuracy, truth, rng.integers(-1, k, n)) for _ in "ab")
    return truth, a, b


# ---------------------------------------------------------------- proportions


@given(some.integers(0, 40), some.integers(0, 40), some.floats(0.05, 0.95))
def test_the_binomial_test_is_scipys(successes, failures, p):
    expected = stats.binomtest(successes, successes + failures, p).pvalue if successes + failures else 1.0
    assert st.binomial_two_sided(successes, successes + failures, p) == pytest.approx(expected, rel=1e-6)


def test_mcnemar_by_hand():
    # 1 row only a has right, 5 only b: 2 * (C(6,0) + C(6,1)) / 2^6 = 14/64
    a = [True, False, False, False, False, False, True, False]
    b = [False, True, True, True, True, True, True, False]
    assert st.discordant(a, b) == (1, 5)
    assert st.mcnemar(a, b) == pytest.approx(14 / 64)
    assert st.mcnemar(a, a) == 1.0


@given(counts, counts)
def test_mcnemar_is_the_binomial_test_of_a_half_and_symmetric(b, c):
    expected = stats.binomtest(b, b + c, 0.5).pvalue if b + c else 1.0
    assert st.mcnemar_counts(b, c) == pytest.approx(expected)
    assert st.mcnemar_counts(b, c) == st.mcnemar_counts(c, b)


def test_mcnemar_of_many_rows_does_not_overflow():
    assert 0 < st.mcnemar_counts(49_000, 51_000) < 1e-8


@given(some.integers(0, 200), some.integers(1, 200))
def test_wilson_is_scipys(successes, extra):
    n = successes + extra
    expected = stats.binomtest(successes, n).proportion_ci(method="wilson")
    assert st.wilson(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_of_nothing_is_everything():
    assert st.wilson(0, 0) == (0.0, 1.0)


@given(counts, counts, some.integers(0, 100))
def test_the_difference_of_paired_proportions_lies_inside_its_interval(b, c, rest):
    n = b + c + rest
    low, high = st.proportion_difference(b, c, n)
    assert low < high
    if n:
        # shrunk towards 0 by the two added rows
        assert low <= (b - c) / (n + 2) <= high
    mirrored = st.proportion_difference(c, b, n)
    assert mirrored == pytest.approx((-high, -low))


@given(some.integers(0, 30), some.integers(1, 30), some.integers(0, 30), some.integers(1, 30))
def test_fisher_is_scipys(in_hits, in_misses, out_hits, out_misses):
    expected = stats.fisher_exact([[in_hits, in_misses], [out_hits, out_misses]]).pvalue
    found = st.fisher(in_hits, in_hits + in_misses, out_hits, out_hits + out_misses)
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-12)


# ---------------------------------------------------------------- means


@given(some.lists(some.integers(-5, 5), min_size=1, max_size=10))
def test_few_differences_are_enumerated(differences):
    d = np.array(differences, dtype=float)
    sums = [abs(np.dot(signs, d)) for signs in itertools.product((1, -1), repeat=len(d))]
    expected = np.mean(np.array(sums) >= abs(d.sum()) - 1e-9)
    assert st.sign_flip(d) == pytest.approx(expected)


def test_many_differences_agree_with_scipy():
    d = np.random.default_rng(0).normal(0.08, 0.5, 120)
    made = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=20_000, random_state=1)
    assert st.sign_flip(d, permutations=20_000) == pytest.approx(made.pvalue, abs=0.01)
    one = stats.permutation_test(
        (d,), np.mean, permutation_type="samples", n_resamples=20_000, alternative="greater", random_state=1
    )
    assert st.sign_flip(d, permutations=20_000, alternative="greater") == pytest.approx(one.pvalue, abs=0.01)


def test_a_permutation_p_is_never_zero_and_repeats_with_its_seed():
    d = np.ones(100)
    assert st.sign_flip(d, permutations=999) == 1 / 1000
    x = np.random.default_rng(0).normal(size=50)
    assert st.sign_flip(x, seed=4) == st.sign_flip(x, seed=4)
    assert st.sign_flip(np.zeros(20)) == 1.0


@given(seeds)
@settings(max_examples=20)
def test_swapping_the_systems_leaves_p_as_it_is(seed):
    d = np.random.default_rng(seed).normal(0.1, 1, 12)
    assert st.sign_flip(d) == st.sign_flip(-d)


def test_bca_agrees_with_scipy_on_a_skewed_sample():
    v = np.random.default_rng(3).exponential(size=80)
    made = stats.bootstrap((v,), np.mean, n_resamples=20_000, method="BCa", random_state=1).confidence_interval
    assert st.bootstrap_mean(v, resamples=20_000) == pytest.approx((made.low, made.high), abs=0.01)
    plain = stats.bootstrap((v,), np.mean, n_resamples=20_000, method="percentile", random_state=1).confidence_interval
    found = st.bootstrap_mean(v, resamples=20_000, method="percentile")
    assert found == pytest.approx((plain.low, plain.high), abs=0.01)


def test_a_bootstrap_of_one_row_or_of_equal_rows_has_no_width():
    assert st.bootstrap_mean([0.4]) == (0.4, 0.4)
    assert st.bootstrap_mean([0.4] * 9) == pytest.approx((0.4, 0.4))
    assert all(math.isnan(end) for end in st.bootstrap_mean([]))


def test_a_group_that_differs_is_found_and_one_that_does_not_is_not():
    rng = np.random.default_rng(0)
    values = rng.normal(size=300)
    inside = np.arange(300) < 60
    assert st.permute_groups(values, inside) > 0.05
    assert st.permute_groups(values - inside, inside) < 0.001
    assert st.permute_groups(values, np.ones(300, bool)) == 1.0


# ---------------------------------------------------------------- macro-F1


@given(seeds, some.integers(2, 6))
@settings(max_examples=30)
def test_macro_f1_is_sklearns_over_the_classes_of_the_references(seed, k):
    truth, a, _ = _labels(seed, 60, k, 0.6)
    expected = f1_score(truth, a, average="macro", labels=sorted(set(truth)), zero_division=0)
    assert st.macro_f1(truth, a, k) == pytest.approx(expected)


def test_macro_f1_by_hand_and_no_answer_agrees_with_nothing():
    # class 0: TP 1, said 1, true 2 -> 2/3; class 1: TP 1, said 2, true 1 -> 2/3
    assert st.macro_f1([0, 0, 1], [0, 1, 1], 2) == pytest.approx(2 / 3)
    assert st.macro_f1([0, 1], [-1, 1], 2) == pytest.approx(0.5)
    assert st.macro_f1([0, 0], [0, 0], 3) == 1.0  # classes 1 and 2 are not in this test
    assert math.isnan(st.macro_f1([], [], 2))


def _slow_permutation(truth, a, b, k, draws):
    rng = np.random.default_rng(9)
    seen = abs(st.macro_f1(truth, a, k) - st.macro_f1(truth, b, k))
    hits = 0
    for _ in range(draws):
        swap = rng.random(len(truth)) < 0.5
        x, y = np.where(swap, b, a), np.where(swap, a, b)
        hits += abs(st.macro_f1(truth, x, k) - st.macro_f1(truth, y, k)) >= seen - 1e-9
    return (1 + hits) / (1 + draws)


@pytest.mark.parametrize(("seed", "k"), [(0, 2), (1, 3), (2, 5), (3, 12)])
def test_permuting_counts_of_cells_is_permuting_rows(seed, k):
    truth, a, b = _labels(seed, 90, k, 0.7)
    slow = _slow_permutation(truth, a, b, k, 3_000)
    assert st.permute_macro_f1(truth, a, b, k, permutations=20_000) == pytest.approx(slow, abs=0.03)


def test_permuting_equal_answers_gives_one_and_a_clear_gap_the_least_p():
    truth, a, _ = _labels(0, 300, 4, 0.9)
    assert st.permute_macro_f1(truth, a, a, 4) == 1.0
    assert st.permute_macro_f1(truth, truth, (truth + 1) % 4, 4, permutations=999) == 1 / 1000


@given(seeds)
@settings(max_examples=15, deadline=None)
def test_permutation_p_values_of_equal_systems_are_not_too_small(seed):
    small = 0
    for i in range(40):
        truth, a, b = _labels(1_000 * seed + i, 50, 3, 0.7)
        small += st.permute_macro_f1(truth, a, b, 3, permutations=199, seed=i) <= 0.05
    assert small <= 9  # Binomial(40, 0.05) exceeds 9 once in 50,000


def test_10_000_permutations_of_3_000_rows_and_77_classes_take_seconds():
    import time

    truth, a, b = _labels(0, 3_000, 77, 0.93)
    began = time.process_time()
    st.permute_macro_f1(truth, a, b, 77, permutations=10_000)
    assert time.process_time() - began < 8


@pytest.mark.parametrize("paired", [False, True])
def test_bootstrapping_cells_is_bootstrapping_rows(paired):
    truth, a, b = _labels(5, 200, 4, 0.75)
    rng = np.random.default_rng(2)
    draws = []
    for _ in range(3_000):
        at = rng.integers(0, 200, 200)
        score = st.macro_f1(truth[at], a[at], 4)
        draws.append(score - st.macro_f1(truth[at], b[at], 4) if paired else score)
    expected = np.quantile(draws, [0.025, 0.975])
    if paired:
        found, error = st.bootstrap_macro_f1_difference(truth, a, b, 4, resamples=6_000, method="percentile")
        assert error == pytest.approx(np.std(draws), rel=0.05)
    else:
        found = st.bootstrap_macro_f1(truth, a, 4, resamples=6_000, method="percentile")
    assert found == pytest.approx(tuple(expected), abs=0.01)


def test_the_bca_interval_of_macro_f1_holds_its_value_near_the_edge():
    truth = np.array([0] * 95 + [1] * 5)
    said = truth.copy()
    said[-1] = 0
    low, high = st.bootstrap_macro_f1(truth, said, 2)
    assert low < st.macro_f1(truth, said, 2) <= high <= 1


def test_equal_answers_differ_by_nothing():
    truth, a, _ = _labels(0, 80, 3, 0.8)
    assert st.bootstrap_macro_f1_difference(truth, a, a, 3) == ((0.0, 0.0), 0.0)


# ---------------------------------------------------------------- families and power


def test_holm_by_hand():
    # sorted 0.01, 0.02, 0.04 -> 3*0.01, 2*0.02, 1*0.04, then never falling
    assert st.holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert st.holm([0.6, 0.5]) == [1.0, 1.0]
    assert st.holm([]) == []


@given(some.lists(some.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_a_p_and_keeps_their_order(p_values):
    adjusted = st.holm(p_values)
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True))
    assert max(adjusted) <= 1
    by_p = [adjusted[i] for i in np.argsort(p_values, kind="stable")]
    assert by_p == sorted(by_p)


def test_holm_rejects_what_the_step_down_rule_rejects():
    rng = np.random.default_rng(0)
    for _ in range(200):
        p = rng.random(6) ** 3
        ranked = np.sort(p)
        rejected = 0
        while rejected < 6 and ranked[rejected] < 0.05 / (6 - rejected):
            rejected += 1
        assert sum(a < 0.05 for a in st.holm(p.tolist())) == rejected


@given(some.floats(0.01, 1.0), some.floats(0.005, 0.3))
def test_the_required_n_is_the_least_that_finds_the_difference(sd, difference):
    n = st.required_n(sd, difference)
    assert st.detectable(sd, n) <= difference + 1e-12
    assert n == 1 or st.detectable(sd, n - 1) > difference


def test_the_required_n_is_the_textbooks():
    # (1.959964 + 0.841621)^2 = 7.8489; sd 0.3, difference 0.02 -> 7.8489 * 225 = 1765.99
    assert st.required_n(0.3, 0.02) == 1766
    assert st.detectable(1.0, 0) == math.inf


def test_no_disagreement_seen_is_not_taken_for_proof():
    assert st.discordant_sd(0, 0, 8) == pytest.approx(math.sqrt(2 / 10))
    assert st.paired_sd(np.zeros(8)) == pytest.approx(math.sqrt(0.5 / 10))
    assert st.paired_sd(np.array([-0.3, 0.3] * 5_000)) == pytest.approx(0.3, abs=0.001)


def test_clopper_pearson_is_that_of_scipy_and_covers():
    from scipy.stats import binomtest

    for k, n in ((0, 10), (3, 10), (10, 10), (97, 100), (480, 500)):
        exact = binomtest(k, n).proportion_ci(0.9, method="exact")
        assert st.clopper_pearson(k, n, confidence=0.9) == pytest.approx((exact.low, exact.high), abs=1e-9)
    assert st.clopper_pearson(0, 0) == (0.0, 1.0)


def test_the_binomial_tail_is_that_of_scipy():
    from scipy.stats import binom

    for k, n, p in ((0, 5, 0.3), (2, 50, 0.02), (49, 50, 0.9), (-1, 5, 0.5), (5, 5, 0.5)):
        assert st.binomial_at_most(k, n, p) == pytest.approx(binom.cdf(k, n, p), abs=1e-10)


def _f1(sums):
    return 2 * sums[:, 0] / np.maximum(sums[:, 1] + sums[:, 2], 1.0)


def _counts(rng, n, right):
    due = rng.integers(0, 4, n).astype(float)
    hit = rng.binomial(due.astype(int), right).astype(float)
    return np.stack([hit, hit + rng.binomial(1, 0.3, n), due], axis=1)


def test_a_score_of_sums_is_permuted_like_the_mean_it_is():
    # With one unit per row the ratio is a mean, so that the test must agree with sign_flip.
    rng = np.random.default_rng(0)
    a, b = (np.stack([rng.random(60) < share, np.ones(60)], axis=1).astype(float) for share in (0.8, 0.55))
    p = st.permute_sums(a, b, lambda s: s[:, 0] / s[:, 1], permutations=20_000)
    assert p == pytest.approx(st.sign_flip(a[:, 0] - b[:, 0], permutations=20_000), abs=0.01)


def test_equal_systems_rarely_differ_in_a_score_of_sums():
    rng = np.random.default_rng(1)
    found = []
    for _ in range(200):
        both = _counts(rng, 80, 0.6), _counts(rng, 80, 0.6)
        due = both[0][:, 2]
        other = np.minimum(both[1], np.stack([due, due + 1, due], axis=1))
        other[:, 2] = due
        swap = rng.random(80) < 0.5
        one = np.where(swap[:, None], other, both[0])
        two = np.where(swap[:, None], both[0], other)
        found.append(st.permute_sums(one, two, _f1, permutations=400, seed=1))
    assert np.mean(np.array(found) < 0.05) <= 0.09  # 5 % expected, standard error 1.5 %


def test_intervals_of_a_score_of_sums_cover_it():
    rng = np.random.default_rng(2)
    large = _counts(rng, 200_000, 0.6)
    truth = float(_f1(large.sum(axis=0)[None])[0])
    inside = 0
    for _ in range(150):
        (low, high), _ = st.bootstrap_sums([_counts(rng, 120, 0.6)], _f1, resamples=400)
        inside += low <= truth <= high
    assert inside / 150 >= 0.89  # 95 % expected, standard error 1.8 %


def test_a_difference_of_scores_of_sums_has_an_interval_around_it():
    rng = np.random.default_rng(3)
    a, b = _counts(rng, 150, 0.8), _counts(rng, 150, 0.5)
    (low, high), error = st.bootstrap_sums([a, b], _f1)
    value = float(_f1(a.sum(axis=0)[None])[0] - _f1(b.sum(axis=0)[None])[0])
    assert low < value < high
    assert (high - low) / 4 == pytest.approx(error, rel=0.2)
