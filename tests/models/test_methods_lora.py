"""LoRA's relatives are what their papers say, start at the base to rounding, and are read by PEFT itself."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tunesmith.core.context import Limits
from tunesmith.core.errors import ConfigError, ModelError
from tunesmith.core.files import read_json
from tunesmith.models.lm import LanguageModel, computing
from tunesmith.models.methods import method, saved_with
from tunesmith.testing import tiny_encoder, tiny_lm

IDS = torch.tensor([[5, 6, 7, 8, 9, 10, 11, 12, 40, 41, 42, 43]])
LORA = method.get("lora")
VARIANTS = [{"dora": True}, {"pissa": True}, {"pissa": True, "dora": True}, {"rank_stabilised": True, "pissa": True}]
Q = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_lm(tmp_path_factory.mktemp("lm") / "tiny")


def base(folder: Path, dtype: str = "float32") -> Any:
    return LanguageModel.load(folder, Limits(dtype=dtype)).model


@torch.no_grad()
def said(model: Any) -> torch.Tensor:
    with computing(model):
        logits: torch.Tensor = model(IDS).logits
    return logits.float()


def loss_of(model: Any) -> torch.Tensor:
    with computing(model):
        logits = model(IDS).logits.float()
    return torch.nn.functional.cross_entropy(logits[0, :-1], IDS[0, 1:])


def steps(model: Any, n: int = 4, rate: float = 5e-3) -> Any:
    optimizer = torch.optim.AdamW([t for t in model.parameters() if t.requires_grad], lr=rate)
    for _ in range(n):
        optimizer.zero_grad()
        loss_of(model).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model


@pytest.mark.parametrize("options", VARIANTS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_untrained_loss_is_the_bases_to_float32_rounding_in_either_dtype(
    folder: Path, options: dict[str, bool], dtype: str
) -> None:
    before = float(loss_of(base(folder, dtype)))
    after = float(loss_of(LORA.apply(base(folder, dtype), {"rank": 8, **options}, seed=0).eval()))
    assert after == pytest.approx(before, abs=2e-6)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_trained_variant_reads_back_exactly_and_merges(
    folder: Path, tmp_path: Path, options: dict[str, bool], dtype: str
) -> None:
    model = steps(LORA.apply(base(folder, dtype), {"rank": 4, **options}, seed=0)).eval()
    LORA.save(model, tmp_path)
    again = saved_with(tmp_path).load(base(folder, dtype), tmp_path)
    torch.testing.assert_close(said(again), said(model), rtol=0, atol=1e-6)
    exact = again.float()
    beside = said(exact)
    torch.testing.assert_close(said(LORA.merge(exact)), beside, rtol=0, atol=1e-4)
    assert (said(base(folder)) - beside).abs().max() > 1e-2
    if dtype == "float32":
        torch.testing.assert_close(said(LORA.merge(model)), beside, rtol=0, atol=1e-4)


def test_pissa_leaves_the_base_as_it_is_and_is_written_as_plain_lora_of_twice_the_rank(
    folder: Path, tmp_path: Path
) -> None:
    from peft import PeftModel

    for stable, scale in ((False, 2.0), (True, math.sqrt(2))):
        model = steps(
            LORA.apply(base(folder), {"rank": 4, "alpha": 6, "pissa": True, "rank_stabilised": stable}, seed=0)
        )
        kept = model.get_submodule(Q).base_layer.weight  # type: ignore[union-attr]
        assert torch.equal(kept, base(folder).model.layers[0].self_attn.q_proj.weight)  # type: ignore[arg-type]
        LORA.save(model, tmp_path / str(stable))
        config = read_json(tmp_path / str(stable) / "adapter_config.json")
        assert (config["r"], config["init_lora_weights"]) == (8, True)
        assert config["lora_alpha"] == pytest.approx(6 * scale)
        theirs = PeftModel.from_pretrained(base(folder), str(tmp_path / str(stable)))
        torch.testing.assert_close(said(theirs), said(model), rtol=0, atol=1e-5)


def test_pissa_starts_and_learns_as_peft_does_on_a_rewritten_base(folder: Path) -> None:
    """The start up to the sign of each direction, and the gradients of A and B."""
    from peft import LoraConfig, get_peft_model

    ours: Any = LORA.apply(base(folder), {"rank": 4, "pissa": True}, seed=0)
    config = LoraConfig(
        r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights="pissa", task_type="CAUSAL_LM"
    )
    theirs: Any = get_peft_model(base(folder), config)
    for model in (ours, theirs):
        loss_of(model).backward()  # type: ignore[no-untyped-call]
    compared = 0
    for name, layer in theirs.named_modules():
        if hasattr(layer, "lora_A") and "default" in layer.lora_A:
            mine = ours.get_submodule(name)
            for part in ("lora_A", "lora_B"):
                trained = getattr(mine, part)["default"].parametrizations.weight.original
                weight = getattr(layer, part)["default"].weight
                torch.testing.assert_close(trained, weight, rtol=1e-4, atol=1e-5)
                torch.testing.assert_close(trained.grad, weight.grad, rtol=1e-3, atol=1e-5)
                compared += 1
    assert compared == 2 * 7 * 2


def test_dora_is_what_the_paper_says(folder: Path) -> None:
    """m (W + s B A) / |W + s B A|, column by column, by hand."""
    model: Any = steps(LORA.apply(base(folder), {"rank": 4, "dora": True}, seed=0))
    layer = model.get_submodule(Q)
    whole = layer.base_layer.weight + 2.0 * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    magnitude = layer.lora_magnitude_vector["default"].weight
    assert not torch.allclose(magnitude, layer.base_layer.weight.norm(dim=1), atol=1e-4), "it did not learn"
    by_hand = magnitude[:, None] * whole / whole.norm(dim=1, keepdim=True)
    x = torch.randn(3, 32, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(layer(x), x @ by_hand.T)


def test_rank_stabilised_divides_by_the_root_of_the_rank(folder: Path) -> None:
    def scale(**options: Any) -> float:
        model: Any = LORA.apply(base(folder), options, seed=0)
        return float(model.get_submodule(Q).scaling["default"])

    assert scale(rank=4, alpha=6, rank_stabilised=True) == pytest.approx(3.0)
    assert scale(rank=16, rank_stabilised=True) == pytest.approx(2.0)
    assert scale(rank=16) == pytest.approx(2.0)


@pytest.mark.parametrize("options", [{}, {"pissa": True}])
def test_lora_plus_gives_every_b_and_nothing_else_a_rate_of_its_own(folder: Path, options: dict[str, bool]) -> None:
    model = LORA.apply(base(folder), options, seed=0)
    assert LORA.rates(model, {}) == {}
    rates = LORA.rates(model, {"plus_ratio": 8})
    trained = {name for name, tensor in model.named_parameters() if tensor.requires_grad}
    assert set(rates) == {name for name in trained if "lora_B" in name}
    assert set(rates.values()) == {8.0}
    assert set(LORA.rates(model, {"plus_ratio": True}).values()) == {16.0}


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"rank": 0}, "rank"),
        ({"rank": 2.5}, "rank"),
        ({"alpha": 0}, "alpha"),
        ({"dropout": 1.0}, "dropout"),
        ({"dora": "yes"}, "dora"),
        ({"pissa": True, "dropout": 0.1}, "dropout"),
        ({"pissa": True, "rank": 64}, "rank: 64"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(folder: Path, options: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        LORA.apply(base(folder), options, seed=0)


def test_an_adapter_with_a_tensor_missing_or_of_another_base_is_refused(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    LORA.save(LORA.apply(base(folder), {"rank": 4}, seed=0), tmp_path)
    path = tmp_path / "adapter_model.safetensors"
    tensors = load_file(path)
    lost = next(name for name in sorted(tensors) if "lora_B" in name)
    save_file({name: tensor for name, tensor in tensors.items() if name != lost}, path)
    with pytest.raises(ModelError, match="lacks 1 of its tensors"):
        LORA.load(base(folder), tmp_path)
    path.unlink()
    (tmp_path / "adapter_model.bin").write_bytes(b"a pickle")
    with pytest.raises(ModelError, match="pickles"):
        LORA.load(base(folder), tmp_path)


@pytest.mark.parametrize("name", ["lora", "ia3", "layernorm", "bitfit", "full"])
def test_encoders_are_served_too(name: str, tmp_path: Path) -> None:
    from transformers import AutoModel

    place = tiny_encoder(tmp_path / "encoder")

    def hidden(model: Any) -> torch.Tensor:
        found: torch.Tensor = model(IDS).last_hidden_state
        return found

    before = hidden(AutoModel.from_pretrained(place).eval())
    model = method.get(name).apply(AutoModel.from_pretrained(place), {"rank": 4}, seed=0).eval()
    torch.testing.assert_close(hidden(model), before, rtol=0, atol=1e-5)
    trained = [tensor for tensor in model.parameters() if tensor.requires_grad]
    hidden(model).square().sum().backward()  # type: ignore[no-untyped-call]
    torch.optim.SGD(trained, lr=1e-4).step()
    method.get(name).save(model, tmp_path / "adapter")
    again = saved_with(tmp_path / "adapter").load(AutoModel.from_pretrained(place), tmp_path / "adapter")
    torch.testing.assert_close(hidden(again), hidden(model), rtol=0, atol=1e-6)


def test_a_head_is_not_to_be_had_from_an_encoder(tmp_path: Path) -> None:
    from transformers import AutoModel

    encoder = AutoModel.from_pretrained(tiny_encoder(tmp_path / "encoder"))
    with pytest.raises(ModelError, match="no output head"):
        method.get("head").apply(encoder, {}, seed=0)
