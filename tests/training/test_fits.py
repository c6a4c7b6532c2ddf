"""What fits on a device, from a config alone."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, BertConfig, LlamaConfig

from tunesmith.core.errors import ModelError
from tunesmith.models.methods import method as methods
from tunesmith.training import memory
from tunesmith.training.fits import fits, fits_by_count, kept_keys, lines


def llama(**changes: int) -> LlamaConfig:
    shapes = {
        "vocab_size": 300, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
    }  # fmt: skip
    return LlamaConfig(**{**shapes, **changes})


def test_weights_are_those_of_the_model_and_dearer_ways_need_more() -> None:
    config = llama()
    fit = fits(config, 10_000_000_000, tokens=64)
    assert fit.parameters == sum(t.numel() for t in AutoModelForCausalLM.from_config(config).parameters())
    by_name = {way.what: way for way in fit.ways}
    assert by_name["LoRA, float32"].weights == 4 * fit.parameters
    assert by_name["serving, 8 bits"].weights == fit.parameters
    needed = [way.needed for way in fit.ways[:4]]
    assert needed == sorted(needed, reverse=True)
    assert all(way.fits for way in fit.ways)


def test_seventy_billion_do_not_fit_into_24_gb_even_in_4_bits() -> None:
    config = llama(
        vocab_size=32000, hidden_size=8192, intermediate_size=28672, num_hidden_layers=80, num_attention_heads=64,
        num_key_value_heads=8,
    )  # fmt: skip
    fit = fits(config, 24_000_000_000, tokens=512)
    four = next(way for way in fit.ways if way.what == "QLoRA, 4 bits")
    assert 35e9 < four.weights < 37e9
    assert not four.fits
    assert four.parameters_that_fit < fit.parameters
    assert "nothing fits" in lines(fit)[-1]
    by_count = next(way for way in fits_by_count(70_000_000_000, 24_000_000_000).ways if way.what == "QLoRA, 4 bits")
    assert by_count.needed == pytest.approx(36.1e9, rel=0.01)


def test_a_model_counted_in_a_slim_copy_keeps_what_the_wide_one_keeps() -> None:
    config = llama(hidden_size=4096, intermediate_size=8192, num_attention_heads=32, num_key_value_heads=8)
    lora = methods.get("lora")
    wide, slim = (memory.count(memory._small(config, lora, {}, layers=1, slim=s, dtype=torch.float32)) for s in (1, 4))
    assert 4 * slim.per_token == pytest.approx(wide.per_token, rel=0.03)
    assert 4 * slim.recomputed == wide.recomputed


def test_keys_and_values_are_counted_by_the_heads_that_have_them() -> None:
    assert kept_keys(llama()) == 2 * 2 * 3 * 2 * 16


def test_a_config_that_generates_no_text_is_refused() -> None:
    class Odd(BertConfig):
        model_type = "odd"

    with pytest.raises(ModelError, match="no causal language model"):
        fits(Odd(), 1_000_000_000)
    assert isinstance(AutoConfig.for_model("llama"), LlamaConfig)
