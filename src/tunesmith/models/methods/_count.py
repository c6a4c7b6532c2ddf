"""Bytes that training needs besides the frozen weights, counted on a model of the same shapes without numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from tunesmith.models.methods import Options
from tunesmith.models.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

# Weight, gradient and two Adam moments, float32 each.
_BYTES_PER_WEIGHT = 16
Apply = Callable[..., "nn.Module"]


def training_bytes(apply: Apply, base: ModelSpec | nn.Module, options: Options) -> int:
    """16 bytes for each trained weight, and what the method keeps beside them; exact where the shapes are known.

    base: a model with the method on is counted as it is; a plain one, or a spec, by a copy without numbers.
    """
    if isinstance(base, ModelSpec):
        model = apply(_skeleton(base), options, seed=0)
    elif any(tensor.requires_grad for tensor in base.parameters()) and _is_adapted(base):
        model = base
    else:
        with torch.device("meta"):
            model = type(base)(base.config)
        model = apply(model.requires_grad_(False), options, seed=0)
    trained = sum(tensor.numel() for tensor in model.parameters() if tensor.requires_grad)
    beside = sum(tensor.nbytes for name, tensor in model.named_buffers() if name.endswith(".start"))
    return _BYTES_PER_WEIGHT * trained + beside


def _is_adapted(model: nn.Module) -> bool:
    return hasattr(model, "peft_config") or any(not tensor.requires_grad for tensor in model.parameters())


def _skeleton(spec: ModelSpec) -> Any:
    """The model of a spec on the meta device: no numbers, and no network."""
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

    from tunesmith.models.resolve import local

    folder = local(spec)
    kind = AutoModelForCausalLM if spec.kind == "lm" else AutoModel
    config = _guess(spec) if folder is None else AutoConfig.from_pretrained(folder, local_files_only=True)
    with torch.device("meta"):
        model = kind.from_config(config)
    return model.requires_grad_(False)


def _guess(spec: ModelSpec) -> Any:
    """A Llama of about as many parameters: layers of width h have about 12 h^2, and small models h / 20 layers."""
    from transformers import LlamaConfig

    heads = max(1, round((max(spec.parameters, 1) * 20 / 12) ** (1 / 3) / 64))
    return LlamaConfig(
        hidden_size=64 * heads,
        intermediate_size=64 * heads * 8 // 3,
        num_hidden_layers=max(1, round(64 * heads / 20)),
        num_attention_heads=heads,
        num_key_value_heads=max(1, heads // 3) if heads % max(1, heads // 3) == 0 else heads,
        vocab_size=32_000,
        tie_word_embeddings=True,
    )
