import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.kernel_ridge import KernelRidge

from tunesmith.training import heads
from tunesmith.training.heads import KernelHead, fit_kernel
from tunesmith.training.linear import LinearHead, fit_logistic, fit_margins, load_arrays, save_arrays


def clusters(n: int, seed: int = 0):
    """Unit vectors in four clusters; opposite ones share a label, so no plane tells the two labels apart."""
    rng = np.random.default_rng(seed)
    centres = np.array([[1, 1, 0], [-1, -1, 0], [1, -1, 0], [-1, 1, 0]], dtype=float)
    which = rng.integers(0, 4, n)
    x = centres[which] + 0.2 * rng.normal(size=(n, 3))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), (which >= 2).astype(np.int64)


def test_it_is_kernel_ridge_regression_onto_the_labels():
    x, codes = clusters(150)
    head = fit_kernel(x, codes, np.ones(150), n_labels=2, ridge=0.3)
    prior = np.bincount(codes) / 150
    reference = KernelRidge(alpha=0.3, kernel="rbf", gamma=1 / head.scale).fit(x, np.eye(2)[codes] - prior)
    other, _ = clusters(40, seed=1)
    assert np.allclose(head.logits(other), reference.predict(other) + prior, atol=2e-4)  # float32 against float64


def test_it_tells_apart_what_no_plane_can():
    x, codes = clusters(300)
    other, truth = clusters(200, seed=2)
    kernel = fit_kernel(x, codes, np.ones(300), n_labels=2, ridge=0.3)
    plane = fit_logistic(x, codes, np.ones(300), n_labels=2, C=5.0)
    assert (kernel.logits(other).argmax(1) == truth).mean() > 0.97
    assert (plane.logits(other).argmax(1) == truth).mean() < 0.8


def test_many_rows_are_solved_in_the_span_of_some(monkeypatch):
    x, codes = clusters(600)
    other, _ = clusters(100, seed=3)
    whole = fit_kernel(x, codes, np.ones(600), n_labels=2, ridge=0.3)
    monkeypatch.setattr(heads, "MOST_CENTRES", 200)
    part = fit_kernel(x, codes, np.ones(600), n_labels=2, ridge=0.3)
    assert len(part.centres) == 200
    assert np.abs(part.logits(other) - whole.logits(other)).max() < 0.1
    assert (part.logits(other).argmax(1) == whole.logits(other).argmax(1)).mean() > 0.98


def test_a_row_of_weight_two_counts_as_two_rows():
    x, codes = clusters(60)
    twice = np.concatenate([x, x[:20]]), np.concatenate([codes, codes[:20]])
    weights = np.array([2.0] * 20 + [1.0] * 40)
    a = fit_kernel(x, codes, weights, n_labels=2, ridge=0.5)
    b = fit_kernel(*twice, np.ones(80), n_labels=2, ridge=0.5)
    scaled = KernelHead(b.centres, b.alpha, b.prior, a.scale)
    assert a.prior == pytest.approx(b.prior)
    assert np.abs(a.logits(x) - scaled.logits(x)).max() < 0.05  # the median distance differs a little


def test_in_the_span_of_some_it_solves_the_weighted_normal_equations(monkeypatch):
    x, codes = clusters(700)
    monkeypatch.setattr(heads, "MOST_CENTRES", 120)
    monkeypatch.setattr(heads, "_ROWS_AT_ONCE", 256)  # several pieces, the last one not full
    weights = np.random.default_rng(4).uniform(0.2, 3.0, 700)
    head = fit_kernel(x, codes, weights, n_labels=2, ridge=0.3)
    across = np.exp(-cdist(x, head.centres, "sqeuclidean") / head.scale)
    among = np.exp(-cdist(head.centres, head.centres, "sqeuclidean") / head.scale)
    system = across.T @ (weights[:, None] * across) + 0.3 * among
    system += np.eye(120) * heads._JITTER * np.trace(system) / 120
    targets = np.eye(2)[codes] - np.bincount(codes, weights=weights) / weights.sum()
    alpha = np.linalg.solve(system, across.T @ (weights[:, None] * targets))
    assert np.allclose(head.logits(x), across @ alpha + head.prior, atol=2e-3)  # float32 against float64


def test_texts_that_are_all_alike_do_no_harm():
    x = np.tile(np.array([[1.0, 0.0]], dtype=np.float32), (10, 1))
    head = fit_kernel(x, np.array([0] * 7 + [1] * 3), np.ones(10), n_labels=2, ridge=0.3)
    assert np.isfinite(head.logits(x)).all()
    assert head.logits(x).argmax(1).tolist() == [0] * 10


@pytest.mark.parametrize("fit", [fit_margins, fit_logistic])
def test_two_labels_of_three_leave_the_third_impossible(fit):
    x, codes = clusters(80)
    head = fit(x[codes < 2], codes, np.ones(80), n_labels=3, C=1.0)
    assert head.logits(x).shape == (80, 3)
    assert (head.logits(x).argmax(1) < 2).all()


def test_heads_read_back_as_they_were(tmp_path):
    x, codes = clusters(50)
    linear = fit_logistic(x, codes, np.ones(50), n_labels=2, C=1.0)
    kernel = fit_kernel(x, codes, np.ones(50), n_labels=2, ridge=0.3)
    save_arrays(tmp_path / "linear.safetensors", linear.arrays())
    save_arrays(tmp_path / "kernel.safetensors", kernel.arrays())
    linear_again = LinearHead.from_arrays(load_arrays(tmp_path / "linear.safetensors"))
    kernel_again = KernelHead.from_arrays(load_arrays(tmp_path / "kernel.safetensors"))
    assert np.array_equal(linear_again.logits(x), linear.logits(x))
    assert np.array_equal(kernel_again.logits(x), kernel.logits(x))


def test_the_kernel_is_what_it_says():
    x, _ = clusters(20)
    kernel = heads._kernel(x, x, 0.7)
    assert np.allclose(kernel, np.exp(-cdist(x, x, "sqeuclidean") / 0.7), atol=1e-5)
