"""LoRA: a low-rank update beside every linear layer (Hu et al. 2021, W' = W + (alpha / r) B A)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunesmith.models.methods import Choice, Options, Range, Space, method
from tunesmith.models.spec import ModelSpec

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import nn

# Weight, gradient and two Adam moments, float32 each.
_BYTES_PER_WEIGHT = 16


@dataclass(frozen=True)
class Lora:
    """LoRA on every linear layer but the output head, rank 16 and alpha 2r unless told otherwise.

    Dropout is 0 by default: with it, a prefix shared by several Examples would get one mask instead of one each.
    Options: rank (4-64), alpha (None: twice the rank), dropout.
    """

    name: str = "lora"

    def apply(self, model: nn.Module, options: Options, *, seed: int) -> PeftModel:
        import torch
        from peft import LoraConfig, get_peft_model

        rank = int(options.get("rank", 16))
        config = LoraConfig(
            r=rank,
            lora_alpha=float(options.get("alpha", 2 * rank)),
            lora_dropout=float(options.get("dropout", 0.0)),
            target_modules="all-linear",
            bias="none",
            task_type="CAUSAL_LM" if hasattr(model, "lm_head") else None,
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            adapted: PeftModel = get_peft_model(model, config, autocast_adapter_dtype=True)
        for tensor in adapted.parameters():
            if tensor.requires_grad:
                tensor.data = tensor.data.float()
        return adapted

    def merge(self, model: PeftModel) -> nn.Module:
        merged: nn.Module = model.merge_and_unload()
        return merged

    def search_space(self, spec: ModelSpec) -> Space:
        del spec
        return {"rank": Choice((4, 8, 16, 32, 64)), "rate": Range(1e-4, 3e-3, log=True)}

    def memory(self, spec: ModelSpec, options: Options) -> int:
        """From the parameter count alone: transformer layers of width h have about 12 h^2 weights in seven
        linears whose widths sum to about 20 h, and small models have about h / 20 layers."""
        weights = max(spec.parameters, 1)
        width = (weights * 20 / 12) ** (1 / 3)
        layers = width / 20
        return int(_BYTES_PER_WEIGHT * int(options.get("rank", 16)) * 20 * width * layers)


method("lora")(Lora())
