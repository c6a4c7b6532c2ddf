from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.core.context import Context
from tunesmith.core.predictions import Predictions
from tunesmith.training.calibrate import (
    Calibrated,
    Calibrator,
    apply_temperature,
    copy_calibrator,
    expected_calibration_error,
    fit_calibrator,
    fit_temperature_to,
    keeps_answers,
    load_calibrated,
    load_calibrator,
    log_softmax,
    save_calibrator,
    softmax,
)

LABELS = ("a", "b", "c")


def drawn(temperature: float, n: int = 4000) -> tuple[np.ndarray, list[str]]:
    """Probabilities that are too sure by `temperature`, and targets drawn from the true ones."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n, 3)) * 1.5
    truth = softmax(logits)
    targets = [LABELS[rng.choice(3, p=row)] for row in truth]
    return softmax(logits * temperature), targets


def fitted(p: np.ndarray, targets: list[str]) -> float:
    return fit_temperature_to(np.log(np.maximum(p, 1e-12)), np.array([LABELS.index(t) for t in targets]))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_was_put_on_is_found(temperature: float) -> None:
    p, targets = drawn(temperature)
    assert fitted(p, targets) == pytest.approx(temperature, rel=0.08)  # 4,000 draws: about 3 % error


def test_calibration_lowers_the_error_of_sure_answers() -> None:
    p, targets = drawn(4.0)
    before = expected_calibration_error(p, targets, LABELS)
    after = expected_calibration_error(apply_temperature(p, fitted(p, targets)), targets, LABELS)
    assert before > 0.1
    assert after < 0.03


def test_calibration_error_by_hand() -> None:
    p = np.array([[0.9, 0.1, 0.0], [0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.6, 0.4, 0.0]])
    # Bin of 0.9: one of two right, gap 0.4; bin of 0.6: both right, gap 0.4.
    assert expected_calibration_error(p, ["a", "b", "a", "a"], LABELS) == pytest.approx(0.4)


@settings(max_examples=50, deadline=None)
@given(st.floats(0.1, 10.0), st.integers(0, 10_000))
def test_a_temperature_never_changes_the_answer(temperature: float, seed: int) -> None:
    p = softmax(np.random.default_rng(seed).normal(size=(20, 3)))
    q = apply_temperature(p, temperature)
    assert q.argmax(axis=1).tolist() == p.argmax(axis=1).tolist()
    assert np.allclose(q.sum(axis=1), 1.0)


def test_rows_that_are_all_right_do_not_ask_for_certainty() -> None:
    p = softmax(np.eye(3)[[0, 1, 2] * 5])
    found = apply_temperature(p, fitted(p, list(LABELS) * 5))
    assert 0.9 < found.max() < 0.999


def test_softmax_and_its_logarithm_agree_for_large_logits() -> None:
    logits = np.array([[1000.0, 999.0, -1000.0]])
    assert np.allclose(np.exp(log_softmax(logits)), softmax(logits))


@dataclass
class Fixed:
    system = "fixed"
    method = "none"
    p: np.ndarray

    def predict(self, texts: object, ctx: Context) -> Predictions:
        return Predictions.from_probabilities(self.p, LABELS)

    def save(self, folder: Path) -> None:
        (folder / "fixed.txt").write_text("x")


def test_a_calibrated_system_saves_its_temperature_and_reads_it_back(tmp_path: Path) -> None:
    inner = Fixed(softmax(np.array([[2.0, 1.0, 0.0]])))
    calibrated = Calibrated(inner, Calibrator("temperature", (2.0,)))
    calibrated.save(tmp_path)
    again = load_calibrated(inner, tmp_path)
    assert (again.system, again.method) == ("fixed", "none")
    expected = apply_temperature(inner.p, 2.0)
    assert np.array_equal(again.predict(["x"], Context(tmp_path)).probabilities, expected)
    assert not np.allclose(expected, inner.p)


def test_a_system_without_a_temperature_is_left_as_it_is(tmp_path: Path) -> None:
    inner = Fixed(np.ones((1, 3)) / 3)
    assert load_calibrated(inner, tmp_path) is inner


@pytest.mark.parametrize("kind", ["temperature", "mixture", "beta"])
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 5.0), st.floats(0.0, 1.0), st.floats(0.0, 9.0))
def test_no_calibrator_changes_an_answer_or_leaves_the_simplex(
    kind: str, seed: int, t: float, a: float, m: float
) -> None:
    p = softmax(np.random.default_rng(seed).normal(size=(30, 4)) * 4)
    p[0] = [1.0, 0.0, 0.0, 0.0]
    values = {"temperature": (t,), "mixture": (t, a / 2, (1 - a) / 2), "beta": (t, m, a, m - 5)}[kind]
    q = Calibrator(kind, values)(p)
    assert keeps_answers(p, q).passed


def test_a_calibrator_that_changes_answers_fails_its_check() -> None:
    p = softmax(np.random.default_rng(0).normal(size=(30, 3)))
    assert keeps_answers(p, p[:, ::-1]).passed is False
    assert keeps_answers(p, p * 1.01).passed is False
    assert keeps_answers(p, np.where(p > 0, np.nan, p)).passed is False


def test_a_bend_that_no_temperature_makes_is_found_and_preferred() -> None:
    rng = np.random.default_rng(1)
    p = softmax(rng.normal(size=(3000, 3)) * 3)
    # As sure as it may be, a fifth of its answers is wrong.
    right = rng.random(3000) < np.minimum(p.max(axis=1), 0.8)
    targets = [LABELS[i] if ok else LABELS[(i + 1) % 3] for i, ok in zip(p.argmax(axis=1), right, strict=True)]
    found = fit_calibrator(p, targets, LABELS)
    assert found.kind != "temperature"
    warmed = Calibrator("temperature", (fitted(p, targets),))
    before, after = (expected_calibration_error(c(p), targets, LABELS) for c in (warmed, found))
    assert after < 0.8 * before
    assert fit_calibrator(p[:100], targets[:100], LABELS).kind == "temperature"


def test_a_calibrator_goes_with_its_system_and_older_runs_are_read(tmp_path: Path) -> None:
    save_calibrator(Calibrator("beta", (1.5, 1.0, 0.9, 0.1)), tmp_path / "a")
    copy_calibrator(tmp_path / "a", tmp_path / "b")
    assert load_calibrator(tmp_path / "b") == Calibrator("beta", (1.5, 1.0, 0.9, 0.1))
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "temperature.json").write_text('{"temperature": 2.5}')
    assert load_calibrator(tmp_path / "old") == Calibrator("temperature", (2.5,))
    copy_calibrator(tmp_path / "none", tmp_path / "c")
    assert load_calibrator(tmp_path / "c") is None
