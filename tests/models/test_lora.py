"""LoRA puts itself on without changing anything, is seeded by itself, and comes off into the weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tunesmith.core.context import Limits
from tunesmith.models.lm import LanguageModel
from tunesmith.models.methods import method
from tunesmith.models.spec import ModelSpec
from tunesmith.testing import tiny_lm

IDS = torch.tensor([[5, 6, 7, 8, 9, 10]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_lm(tmp_path_factory.mktemp("lm") / "tiny")


def adapted(folder: Path, *, seed: int = 0, dtype: str = "float32", **options: float) -> torch.nn.Module:
    return method.get("lora").apply(LanguageModel.load(folder, Limits(dtype=dtype)).model, options, seed=seed)


def test_a_fresh_adapter_changes_no_logit(folder: Path) -> None:
    base = LanguageModel.load(folder, Limits()).model(IDS).logits
    assert torch.equal(adapted(folder)(IDS).logits, base)


def test_only_the_adapter_is_trained_in_float32_beside_every_linear_but_the_head(folder: Path) -> None:
    model = adapted(folder, dtype="bfloat16", rank=4)
    trained = {name: t for name, t in model.named_parameters() if t.requires_grad}
    assert all("lora_" in name for name in trained)
    assert {t.dtype for t in trained.values()} == {torch.float32}
    assert len(trained) == 2 * 7 * 2  # A and B, seven linears, two layers
    assert not any("lm_head" in name for name in trained)
    assert {t.shape[0] for name, t in trained.items() if "lora_A" in name} == {4}
    frozen = [t for t in model.parameters() if not t.requires_grad]
    assert {t.dtype for t in frozen} == {torch.bfloat16}


def test_the_start_depends_on_the_seed_and_on_nothing_else(folder: Path) -> None:
    def start(seed: int) -> bytes:
        tensors = [t for t in adapted(folder, seed=seed).parameters() if t.requires_grad]
        return b"".join(t.detach().numpy().tobytes() for t in tensors)

    torch.manual_seed(1)
    first = start(3)
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    assert start(3) == first
    assert torch.equal(torch.random.get_rng_state(), before), "the global generator was moved"
    assert start(4) != first


def test_merging_gives_the_same_logits_as_the_adapter_beside_the_weights(folder: Path) -> None:
    model = adapted(folder)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if "lora_B" in name:
                tensor.normal_(0.0, 0.05, generator=torch.Generator().manual_seed(1))
    beside = model(IDS).logits
    folded = method.get("lora").merge(model)(IDS).logits  # type: ignore[arg-type]
    torch.testing.assert_close(folded, beside, rtol=0, atol=1e-5)
    assert not torch.allclose(beside, LanguageModel.load(folder, Limits()).model(IDS).logits, atol=1e-3)


def test_lora_is_what_the_paper_says(folder: Path) -> None:
    """W x + (alpha / r) B A x, by hand, for one linear layer."""
    model = adapted(folder, rank=4, alpha=12)
    layer = model.get_submodule("base_model.model.model.layers.0.mlp.up_proj")
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight  # type: ignore[index, union-attr]
    with torch.no_grad():
        b.normal_(generator=torch.Generator().manual_seed(0))  # type: ignore[operator, union-attr]
    x = torch.randn(3, 32, generator=torch.Generator().manual_seed(5))
    by_hand = x @ layer.base_layer.weight.T + 12 / 4 * (x @ a.T @ b.T)  # type: ignore[union-attr, operator]
    torch.testing.assert_close(layer(x), by_hand)


def test_memory_is_within_a_factor_of_two_of_the_real_adapter_of_a_135m_model() -> None:
    spec = ModelSpec("wheel", "smollm2-135m-instruct", "lm", parameters=134_515_008)
    real = 16 * 4_884_480  # weights of rank 16 on SmolLM2-135M, 16 bytes each
    assert real / 2 < method.get("lora").memory(spec, {"rank": 16}) < real * 2
    assert method.get("lora").memory(spec, {"rank": 32}) == pytest.approx(
        2 * method.get("lora").memory(spec, {"rank": 16}), rel=0.01
    )
