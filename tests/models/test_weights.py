"""Weights read tensor by tensor are those that transformers reads; files that are not whole are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tunesmith.core.context import Limits
from tunesmith.core.errors import ModelError
from tunesmith.models import weights
from tunesmith.models.lm import LanguageModel
from tunesmith.testing.tiny import tiny_lm


def config_of(folder: Path) -> Any:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_tensor_is_what_transformers_reads(tmp_path: Path, dtype: torch.dtype) -> None:
    from transformers import AutoModelForCausalLM

    folder = tiny_lm(tmp_path / "tiny")
    ours: Any = weights.load(folder, config_of(folder), dtype=dtype, attention="sdpa")
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa")
    found, wanted = ours.state_dict(), theirs.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) and found[name].dtype == wanted[name].dtype for name in wanted)
    assert all(torch.equal(a, b) for a, b in zip(ours.buffers(), theirs.buffers(), strict=True))
    assert ours.get_output_embeddings().weight is ours.get_input_embeddings().weight
    assert ours.generation_config.eos_token_id == theirs.generation_config.eos_token_id
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(ours.eval()(ids).logits, theirs.eval()(ids).logits)


def test_tensors_larger_than_a_piece_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_lm(tmp_path / "tiny")
    whole: Any = weights.load(folder, config_of(folder), dtype=torch.float32, attention="sdpa")
    monkeypatch.setattr(weights, "_PIECE", 52)
    pieces: Any = weights.load(folder, config_of(folder), dtype=torch.float32, attention="sdpa")
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), pieces.parameters(), strict=True))


def test_names_that_are_not_the_models_own_are_left_to_transformers(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tiny_lm(tmp_path / "tiny")
    tensors = load_file(folder / "model.safetensors")
    save_file({f"other.{name}": tensor for name, tensor in tensors.items()}, folder / "model.safetensors")
    assert weights.load(folder, config_of(folder), dtype=torch.float32, attention="sdpa") is None


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    folder = tiny_lm(tmp_path / "tiny")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="cannot be read"):
        LanguageModel.load(folder, Limits())
    file.write_bytes(b"{}")
    with pytest.raises(ModelError, match="cannot be read"):
        LanguageModel.load(folder, Limits())
