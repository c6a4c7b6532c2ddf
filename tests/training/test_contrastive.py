import numpy as np
import pytest
import torch

from tunesmith.core.context import Context
from tunesmith.models.spec import ModelSpec
from tunesmith.testing import tiny_encoder
from tunesmith.training.systems.contrastive import forecast_steps
from tunesmith.training.tuned_encoder import (
    TextBatches,
    Tuned,
    adapted_encoder,
    likeness_batches,
    likeness_loss,
)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    spec = ModelSpec("folder", str(tiny_encoder(tmp_path_factory.mktemp("encoder"))), "encoder")
    return adapted_encoder(
        spec, {"method": "lora", "rank": 4, "layers": 1.0}, Context(tmp_path_factory.mktemp("w")), seed=0
    )


def test_the_loss_by_hand(encoder):
    texts, codes = ["one", "two words", "three words here", "quite another thing"], np.array([0, 0, 1, 1])
    model = Tuned(encoder, np.zeros((2, 32), np.float32), np.zeros(2, np.float32), gain=1.0)
    batch = TextBatches(encoder, texts, size=4, seed=0).whole_batch(np.arange(4))
    with torch.no_grad():
        total, n = likeness_loss(codes, sharpness=0.1)(model, batch)
    v = encoder.embed(texts).astype(float)
    expected = 0.0
    for i, friend in enumerate([1, 0, 3, 2]):
        likeness = v @ v[i] / 0.1
        expected -= likeness[friend] - np.log(sum(np.exp(likeness[j]) for j in range(4) if j != i))
    assert float(total) == pytest.approx(expected, rel=1e-4)
    assert n == 4.0


def test_a_text_without_a_friend_adds_nothing_but_still_pushes(encoder):
    model = Tuned(encoder, np.zeros((2, 32), np.float32), np.zeros(2, np.float32), gain=1.0)
    batch = TextBatches(encoder, ["one", "two words", "three"], size=3, seed=0).whole_batch(np.arange(3))
    with torch.no_grad():
        with_stranger, n = likeness_loss(np.array([0, 0, 1]), sharpness=0.1)(model, batch)
    assert n == 2.0
    assert float(with_stranger) > 0.0  # two friends alone would have a loss of 0


def test_a_step_has_two_texts_of_each_label_drawn(encoder):
    codes = np.repeat(np.arange(20), 5)
    texts = TextBatches(encoder, [f"text {i}" for i in range(100)], size=16, seed=0)
    batches = likeness_batches(texts, codes, size=16, seed=1)
    for step in range(5):
        rows = batches(step)[0].rows
        counts = np.unique(codes[rows], return_counts=True)[1]
        assert counts.tolist() == [2] * 8
        assert len(set(rows.tolist())) == 16
    assert batches(3)[0].rows.tolist() == likeness_batches(texts, codes, size=16, seed=1)(3)[0].rows.tolist()
    assert batches(3)[0].rows.tolist() != batches(4)[0].rows.tolist()


def test_few_labels_fill_the_step_with_more_texts_each(encoder):
    codes = np.array([0] * 30 + [1] * 30)
    texts = TextBatches(encoder, [f"text {i}" for i in range(60)], size=16, seed=0)
    rows = likeness_batches(texts, codes, size=16, seed=0)(0)[0].rows
    assert np.bincount(codes[rows]).tolist() == [8, 8]


def test_training_on_likeness_draws_friends_together(encoder):
    texts = [f"card {i}" for i in range(8)] + [f"money {i}" for i in range(8)]
    codes = np.repeat([0, 1], 8)
    model = Tuned(encoder, np.zeros((2, 32), np.float32), np.zeros(2, np.float32), gain=1.0)
    batch = TextBatches(encoder, texts, size=16, seed=0).whole_batch(np.arange(16))
    loss = likeness_loss(codes, sharpness=0.1)
    optimizer = torch.optim.Adam([p for p in encoder.module.parameters() if p.requires_grad], lr=1e-2)
    values = []
    for _ in range(8):
        total, n = loss(model, batch)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        values.append(float(total) / n)
    assert values[-1] < values[0] - 0.1


def test_the_forecast_of_steps_is_bounded():
    assert forecast_steps(100_000) == forecast_steps(770)
    assert forecast_steps(64) < forecast_steps(770)
