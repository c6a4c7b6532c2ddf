"""Every method, found by itself: puts on without changing anything, trains, merges, says its space and memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tunesmith.core.context import Limits
from tunesmith.models.lm import LanguageModel
from tunesmith.models.methods import Choice, Range, method
from tunesmith.models.spec import ModelSpec
from tunesmith.testing import tiny_lm

IDS = torch.tensor([[5, 6, 7, 8, 9, 10, 11, 12]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_lm(tmp_path_factory.mktemp("lm") / "tiny")


@pytest.fixture(params=method.names())
def how(request: pytest.FixtureRequest) -> Any:
    return method.get(request.param)


def test_it_is_named_like_its_file(how: Any) -> None:
    assert method.module(how.name) == f"tunesmith.models.methods.{how.name}"


def test_it_changes_nothing_until_trained_and_then_learns(how: Any, folder: Path) -> None:
    lm = LanguageModel.load(folder, Limits())
    before = lm.model(IDS).logits
    model = how.apply(lm.model, {}, seed=0)
    model.eval()
    torch.testing.assert_close(model(IDS).logits, before, rtol=0, atol=1e-5)
    trained = [t for t in model.parameters() if t.requires_grad]
    assert trained
    assert {t.dtype for t in trained} == {torch.float32}
    optimizer = torch.optim.AdamW(trained, lr=1e-2)
    losses = []
    for _ in range(8):
        loss = torch.nn.functional.cross_entropy(model(IDS).logits[0, :-1], IDS[0, 1:])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.05
    beside = model(IDS).logits
    torch.testing.assert_close(how.merge(model)(IDS).logits, beside, rtol=0, atol=1e-3)


def test_it_says_what_may_be_varied_and_what_it_takes(how: Any) -> None:
    spec = ModelSpec("wheel", "smollm2-135m-instruct", "lm", parameters=134_515_008)
    space = how.search_space(spec)
    assert space
    for options in space.values():
        assert isinstance(options, Choice | Range)
        if isinstance(options, Range):
            assert options.low < options.high
        else:
            assert len(set(options.values)) == len(options.values) > 1
    assert 0 < how.memory(spec, {}) < 16 * spec.parameters
