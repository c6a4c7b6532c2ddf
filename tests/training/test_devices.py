"""Every tensor of a step follows the model's device. There need be no GPU here: the meta device is one more device."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tunesmith.models.tree import plant
from tunesmith.models.tree_attention import blocks_of
from tunesmith.training.batches import Encoded, TokenBatch, batch_of
from tunesmith.training.losses import answer_loss

# Lengths so unlike that no two segments share a block: choosing by a mask needs values, which meta has not.
ROWS = Encoded(
    ((7,) * 20 + tuple(range(30, 60)), (7,) * 20 + tuple(range(60, 68))), (40, 24), (1, 1), (1.0, 1.0)
)  # fmt: skip


class OneDevice(TorchDispatchMode):
    """Fails at the first operation, forward or backward, whose tensors live on two devices; copying is allowed."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = [t for t in tree_leaves((args, kwargs or {})) if isinstance(t, torch.Tensor) and t.dim()]
        found = sorted({t.device.type for t in given})
        if len(found) > 1 and "copy" not in str(func):
            raise AssertionError(f"{func} mixes {' and '.join(found)}")
        return func(*args, **(kwargs or {}))


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> torch.nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    # Meta has shapes and no values; the one truth that is asked for is whether positions run on without a restart.
    monkeypatch.setattr(torch.Tensor, "__float__", lambda _: 1.0)
    monkeypatch.setattr(torch.Tensor, "__bool__", lambda _: True)
    config = LlamaConfig(vocab_size=128, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2)  # fmt: skip
    with torch.device("meta"):
        made: torch.nn.Module = LlamaForCausalLM(config)
    return made


def step(model: torch.nn.Module, batch: TokenBatch) -> None:
    with OneDevice():
        total, _ = answer_loss(model, batch)
        total.backward()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("packing", ["tree", "padded"])
@pytest.mark.parametrize("large", [False, True])
def test_a_step_stays_on_the_models_device(model: torch.nn.Module, packing: Any, large: bool) -> None:
    step(model, batch_of(ROWS, [0, 1], packing=packing, large=large))
    assert {t.grad.device.type for t in model.parameters() if t.grad is not None} == {"meta"}
    assert all(t.grad is not None for t in model.parameters())


def test_a_tensor_that_stays_behind_is_noticed(model: torch.nn.Module) -> None:
    class Stays(torch.Tensor):
        def to(self, *_: Any, **__: Any) -> torch.Tensor:
            return self.as_subclass(torch.Tensor)

    batch = batch_of(ROWS, [0, 1])
    with pytest.raises(AssertionError, match="mixes cpu and meta"):
        step(model, replace(batch, targets=batch.targets.as_subclass(Stays)))


def test_blocks_of_segments_side_by_side_are_made_on_the_device_they_are_for() -> None:
    blocks = blocks_of(plant([(1, 2, 3, 4), (1, 2, 5, 6), (1, 2, 7, 8)], least=1), "meta")
    tensors = [blocks.at, *(t for block in blocks.blocks for t in vars(block).values() if isinstance(t, torch.Tensor))]
    assert len(tensors) >= 3
    assert {t.device.type for t in tensors} == {"meta"}
