"""Methods that train weights of the base itself: what is trained, in which dtype, and what is on disk."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tunesmith.core.context import Limits
from tunesmith.core.errors import MissingExtra, ModelError
from tunesmith.models.lm import LanguageModel, computing
from tunesmith.models.methods import method, saved_with
from tunesmith.models.spec import ModelSpec
from tunesmith.testing import tiny_lm

IDS = torch.tensor([[5, 6, 7, 8, 9, 10, 11, 12, 40, 41, 42, 43]])


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


def step(model: Any, rate: float = 5e-3) -> Any:
    optimizer = torch.optim.AdamW([t for t in model.parameters() if t.requires_grad], lr=rate)
    with computing(model):
        logits = model(IDS).logits.float()
    torch.nn.functional.cross_entropy(logits[0, :-1], IDS[0, 1:]).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return model


@pytest.mark.parametrize("name", ["full", "head", "layernorm"])
def test_a_bfloat16_base_keeps_its_arithmetic_and_learns_in_float32(folder: Path, tmp_path: Path, name: str) -> None:
    how = method.get(name)
    model: Any = how.apply(base(folder, "bfloat16"), {}, seed=0).eval()
    assert torch.equal(said(model), said(base(folder, "bfloat16")))
    trained = [tensor for tensor in model.parameters() if tensor.requires_grad]
    assert {tensor.dtype for tensor in trained} == {torch.float32}
    before = [tensor.detach().clone() for tensor in trained]
    step(model, rate=1e-6)  # far below what bfloat16 can hold beside 1.0
    assert all((b != tensor).any() for b, tensor in zip(before, trained, strict=True))
    how.save(model, tmp_path)
    assert torch.equal(said(how.load(base(folder, "bfloat16"), tmp_path)), said(model))
    merged = how.merge(step(model))
    assert {tensor.dtype for tensor in merged.parameters()} == {torch.bfloat16}
    assert torch.equal(said(merged), said(model))


def test_a_tied_head_is_untied_trained_saved_and_found_again(folder: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    how = method.get("head")
    plain = base(folder)
    assert plain.lm_head.weight is plain.model.embed_tokens.weight
    embedding = plain.model.embed_tokens.weight.detach().clone()
    model: Any = step(how.apply(plain, {}, seed=0))
    assert [name for name, t in model.named_parameters() if t.requires_grad] == ["lm_head.weight"]
    assert torch.equal(model.model.embed_tokens.weight, embedding)
    assert not torch.equal(model.lm_head.weight, embedding)
    how.save(model, tmp_path / "adapter")
    learned = said(model)
    torch.testing.assert_close(said(how.load(base(folder), tmp_path / "adapter")), learned, rtol=0, atol=0)
    how.merge(model).save_pretrained(tmp_path / "merged")  # type: ignore[operator]
    shipped = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    torch.testing.assert_close(said(shipped), learned, rtol=0, atol=1e-6)
    shipped.tie_weights()
    torch.testing.assert_close(said(shipped), learned, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["head", "layernorm", "ia3"])
def test_peft_itself_reads_what_was_saved(folder: Path, tmp_path: Path, name: str) -> None:
    from peft import PeftModel

    how = method.get(name)
    model = step(how.apply(base(folder), {}, seed=0), rate=5e-2)
    how.save(model, tmp_path)
    assert (said(model) - said(base(folder))).abs().max() > 1e-2
    theirs = PeftModel.from_pretrained(base(folder), str(tmp_path))
    torch.testing.assert_close(said(theirs), said(model), rtol=0, atol=1e-5)
    (tmp_path / "method.json").unlink()
    if name != "head":  # an adapter that PEFT wrote says its kind
        torch.testing.assert_close(said(saved_with(tmp_path).load(base(folder), tmp_path)), said(model))


def test_full_tuning_writes_only_what_changed_and_a_tied_weight_once(folder: Path, tmp_path: Path) -> None:
    how = method.get("full")
    model: Any = how.apply(base(folder), {}, seed=0)
    how.save(model, tmp_path / "untouched")
    assert load_file(tmp_path / "untouched" / "weights.safetensors") == {}
    assert torch.equal(said(how.load(base(folder), tmp_path / "untouched")), said(base(folder)))
    with torch.no_grad():
        model.model.norm.weight += 0.5
        model.lm_head.weight *= 1.25
    how.save(model, tmp_path / "two")
    assert sorted(load_file(tmp_path / "two" / "weights.safetensors")) == [
        "model.embed_tokens.weight",
        "model.norm.weight",
    ]
    again: Any = how.load(base(folder), tmp_path / "two")
    assert again.lm_head.weight is again.model.embed_tokens.weight
    assert torch.equal(said(again), said(model))


@pytest.mark.parametrize("name", ["head", "layernorm", "full"])
def test_a_file_that_does_not_fit_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    how = method.get(name)
    how.save(step(how.apply(base(folder), {}, seed=0)), tmp_path)
    path = next(tmp_path.glob("*.safetensors"))
    tensors = load_file(path)
    first = sorted(tensors)[-1]
    save_file({**tensors, "model.layers.9.nothing.weight": torch.ones(2)}, path)
    with pytest.raises(ModelError, match=r"no place for.*model\.layers\.9\.nothing"):
        how.load(base(folder), tmp_path)
    save_file({**tensors, first: torch.ones(3)}, path)
    with pytest.raises(ModelError, match=r"\(3,\)"):
        how.load(base(folder), tmp_path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ModelError, match="damaged"):
        how.load(base(folder), tmp_path)


def test_a_head_that_is_not_in_the_file_is_not_silently_the_bases(folder: Path, tmp_path: Path) -> None:
    how = method.get("head")
    how.save(step(how.apply(base(folder), {}, seed=0)), tmp_path)
    save_file({}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(ModelError, match=r"lacks 1 of its tensors \(lm_head\.weight\)"):
        how.load(base(folder), tmp_path)


def test_a_folder_without_an_adapter_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="holds no adapter"):
        saved_with(folder)


def test_bitfit_says_what_to_use_on_a_base_without_biases(folder: Path) -> None:
    with pytest.raises(ModelError, match="no biases") as caught:
        method.get("bitfit").apply(base(folder), {}, seed=0)
    assert "layernorm" in str(caught.value)


def test_ia3_says_so_where_it_does_not_know_the_layers() -> None:
    with pytest.raises(ModelError, match="does not know"):
        method.get("ia3").apply(torch.nn.Sequential(torch.nn.Linear(4, 4)), {}, seed=0)


def test_qlora_without_its_library_says_what_to_type(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(MissingExtra) as caught:
        method.get("qlora").apply(base(folder), {}, seed=0)
    assert 'pip install "tunesmith[qlora]"' in str(caught.value)


@pytest.mark.parametrize("options", [{}, {"dora": True}, {"pissa": True}], ids=str)
def test_qlora_rounds_the_linears_to_four_bits_and_is_what_it_says_after_merging(
    folder: Path, tmp_path: Path, options: dict[str, bool]
) -> None:
    pytest.importorskip("bitsandbytes")
    how = method.get("qlora")
    rounded: Any = how.prepare(base(folder, "bfloat16"))
    before = said(rounded)
    assert not torch.equal(before, said(base(folder, "bfloat16")))
    assert rounded.model.layers[0].mlp.up_proj.weight.nbytes == 32 * 96 // 2
    assert rounded.lm_head.weight.shape == rounded.model.embed_tokens.weight.shape
    model: Any = how.apply(rounded, {"rank": 4, **options}, seed=0).eval()
    torch.testing.assert_close(said(model), before, rtol=0, atol=1e-5)
    step(model)
    how.save(model, tmp_path)
    again = how.load(base(folder, "bfloat16"), tmp_path)
    torch.testing.assert_close(said(again), said(model), rtol=0, atol=1e-6)
    exact = again.float()
    beside = said(exact)
    torch.testing.assert_close(said(how.merge(exact)), beside, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in method.names() if name != "bitfit"])
def test_the_memory_of_a_spec_is_that_of_the_model_where_its_folder_is_here(folder: Path, name: str) -> None:
    spec = ModelSpec("folder", str(folder), "lm", parameters=49_312)
    assert method.get(name).memory(spec, {"rank": 4}) == method.get(name).memory(base(folder), {"rank": 4})


def test_a_moved_adapter_folder_is_the_same_adapter(folder: Path, tmp_path: Path) -> None:
    how = method.get("layernorm")
    model = step(how.apply(base(folder), {}, seed=0))
    how.save(model, tmp_path / "a")
    shutil.move(tmp_path / "a", tmp_path / "b")
    assert torch.equal(said(how.load(base(folder), tmp_path / "b")), said(model))
