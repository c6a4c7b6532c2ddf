"""A GGUF file becomes the same model in safetensors, or an error."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tunesmith.core.errors import ModelError
from tunesmith.models.gguf import convert
from tunesmith.testing import tiny_lm


def write_gguf(
    model: Path, target: Path, *, leave_out: str = "", spoil: float | None = None, template: bool = True
) -> None:
    """The tiny Llama as GGUF in fp32, as llama.cpp's converter lays it out (query and key rows interleaved)."""
    from gguf import GGUFWriter
    from safetensors.numpy import load_file

    config = json.loads((model / "config.json").read_text())
    words = json.loads((model / "tokenizer.json").read_text())["model"]
    weights = load_file(model / "model.safetensors")
    heads, shared, width = config["num_attention_heads"], config["num_key_value_heads"], config["hidden_size"]

    def interleave(w: np.ndarray, n: int) -> np.ndarray:
        return w.reshape(n, 2, w.shape[0] // n // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)

    writer = GGUFWriter(target, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(width)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(shared)
    writer.add_rope_dimension_count(width // heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    tokens = sorted(words["vocab"], key=words["vocab"].__getitem__)
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token.startswith("<|") else 1 for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in words["merges"]])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    if template:
        writer.add_chat_template((model / "chat_template.jinja").read_text())
    names = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    tensors = {
        "token_embd.weight": weights["model.embed_tokens.weight"],
        "output_norm.weight": weights["model.norm.weight"],
    }
    for block in range(config["num_hidden_layers"]):
        for theirs, ours in names.items():
            w = weights[f"model.layers.{block}.{theirs}.weight"]
            if ours in ("attn_q", "attn_k"):
                w = interleave(w, heads if ours == "attn_q" else shared)
            tensors[f"blk.{block}.{ours}.weight"] = w
    for name, tensor in tensors.items():
        if name == leave_out:
            continue
        tensor = np.ascontiguousarray(tensor)
        if spoil is not None and name == "blk.1.ffn_up.weight":
            tensor = tensor.copy()
            tensor[0, 0] = spoil
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def lm(tmp_path_factory) -> Path:
    return tiny_lm(tmp_path_factory.mktemp("lm") / "tiny", context=128)


@pytest.fixture(scope="module")
def converted(lm, tmp_path_factory) -> Path:
    room = tmp_path_factory.mktemp("converted")
    write_gguf(lm, room / "model.gguf")
    convert(room / "model.gguf", room / "out", chat=True)
    return room / "out"


def test_logits_and_tokens_survive(lm, converted):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    texts = ["My card 4411 has not arrived.", "<|im_start|>user\nÄrger — 20 mg?<|im_end|>\n"]
    before, after = AutoTokenizer.from_pretrained(lm), AutoTokenizer.from_pretrained(converted)
    assert after(texts)["input_ids"] == before(texts)["input_ids"]
    assert after.chat_template == before.chat_template
    assert (after.eos_token_id, after.pad_token_id) == (before.eos_token_id, before.pad_token_id)
    one = AutoModelForCausalLM.from_pretrained(lm, dtype=torch.float32)
    two = AutoModelForCausalLM.from_pretrained(converted, dtype=torch.float32)
    for old, new in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(old.bfloat16().float(), new), "bf16 of the same numbers, nothing else"
    assert two.config.tie_word_embeddings


def test_what_is_written_is_an_ordinary_folder(converted):
    from tunesmith.models.layout import describe

    about = describe(converted)
    assert (about.kind, about.parameters, about.context, about.chat) == ("lm", 49_312, 128, True)
    assert "quantization_config" not in json.loads((converted / "config.json").read_text())


def test_something_else_is_refused(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"PK\x03\x04 a zip")
    with pytest.raises(ModelError, match="not a GGUF file"):
        convert(tmp_path / "model.gguf", tmp_path / "out", chat=False)


def test_missing_weights_are_refused(lm, tmp_path):
    write_gguf(lm, tmp_path / "model.gguf", leave_out="blk.1.attn_v.weight")
    with pytest.raises(ModelError, match="weights missing"):
        convert(tmp_path / "model.gguf", tmp_path / "out", chat=True)


def test_weights_that_are_not_finite_are_refused(lm, tmp_path):
    write_gguf(lm, tmp_path / "model.gguf", spoil=float("nan"))
    with pytest.raises(ModelError, match="not finite"):
        convert(tmp_path / "model.gguf", tmp_path / "out", chat=True)


def test_a_chat_model_without_template_is_refused(lm, tmp_path):
    write_gguf(lm, tmp_path / "model.gguf", template=False)
    with pytest.raises(ModelError, match="no chat template"):
        convert(tmp_path / "model.gguf", tmp_path / "out", chat=True)
