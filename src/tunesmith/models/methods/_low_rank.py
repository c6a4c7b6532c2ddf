"""What lora and qlora share: LoRA's options, PEFT's description of them, the rates of LoRA+."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tunesmith.core.errors import ConfigError
from tunesmith.models.methods import Choice, Options, Range, Space
from tunesmith.models.methods._peft import OnPeft, linear_layers, task_type
from tunesmith.models.spec import ModelSpec

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel
    from torch import nn

RANK = 16
# rsLoRA divides by the root of the rank: 8 / sqrt(16) is the same multiple, 2, that alpha = 2r gives everywhere.
_STABLE_ALPHA = 8.0
# Hayou et al. 2024, section 5: B learns well about 16 times as fast as A.
PLUS_RATIO = 16.0


class LowRank(OnPeft):
    """LoRA on every linear layer but the output head.

    Options: rank (16; 4-64), alpha (twice the rank; 8 if rank_stabilised), dropout (0), rank_stabilised (divide by the
    root of the rank: Kalajdzievski 2023), dora (Liu et al. 2024), pissa (Meng et al. 2024), plus_ratio (1; LoRA+'s
    multiple of the rate for B, True: 16), top_layers (auto, all; k: only the last k layers).
    """

    def config(self, model: nn.Module, options: Options) -> LoraConfig:
        from peft import LoraConfig

        from tunesmith.models.trunk import in_top, stack_of, top_of

        rank = _number(options, "rank", RANK, least=1)
        stable = _switch(options, "rank_stabilised")
        alpha = _number(options, "alpha", _STABLE_ALPHA if stable else 2 * rank, least=0)
        dropout = _number(options, "dropout", 0.0, least=0)
        if dropout and _switch(options, "pissa"):
            raise ConfigError(
                "dropout does not go with pissa: its start cancels only while both halves see the same input.",
                hint="leave out dropout, or pissa.",
            )
        if rank != int(rank) or dropout >= 1 or alpha == 0:
            raise ConfigError(
                f"lora: rank must be a whole number, alpha above 0 and dropout below 1; "
                f"got rank {rank:g}, alpha {alpha:g}, dropout {dropout:g}."
            )
        places: dict[str, Any] = {"target_modules": "all-linear"}
        top = top_of(options, model)
        if top is not None:
            stack = stack_of(model)
            n = len(stack.layers)
            linear = {name.rpartition(".")[2] for name in in_top(model, linear_layers(model), top=top)}
            places = {
                "target_modules": sorted(linear),
                "layers_to_transform": list(range(n - top, n)),
                "layers_pattern": stack.attribute,
            }
        return LoraConfig(
            r=int(rank),
            lora_alpha=alpha,
            lora_dropout=dropout,
            use_rslora=stable,
            use_dora=_switch(options, "dora"),
            bias="none",
            task_type=task_type(model),
            **places,
        )

    def dress(self, model: PeftModel, options: Options | None) -> None:
        from tunesmith.models.methods import _lora_parts as parts

        if options is None:
            parts.exact_magnitudes(model)
            return
        parts.fresh_magnitudes(model)
        if _switch(options, "pissa"):
            parts.principal_start(model)

    def undressed(self, model: PeftModel, config: dict[str, Any]) -> dict[str, Any]:
        from tunesmith.models.methods import _lora_parts as parts

        if not parts.has_principal_start(model):
            return config
        # A and B of twice the rank with the scale they were trained with.
        widened = math.sqrt(2) if config["use_rslora"] else 2.0
        return {**config, "r": 2 * config["r"], "lora_alpha": config["lora_alpha"] * widened}

    def rates(self, model: nn.Module, options: Options) -> Mapping[str, float]:
        given = options.get("plus_ratio", 1.0)
        ratio = PLUS_RATIO if given is True else _number({"plus_ratio": given or 1.0}, "plus_ratio", 1.0, least=0)
        if ratio == 1.0:
            return {}
        return {
            name: ratio
            for name, tensor in model.named_parameters()
            if tensor.requires_grad and ("lora_B." in name or "lora_embedding_B." in name)
        }

    def search_space(self, spec: ModelSpec) -> Space:
        return {"rank": Choice((4, 8, 16, 32, 64)), "rate": Range(1e-4, 3e-3, log=True)}


def _number(options: Options, name: str, default: float, *, least: float) -> float:
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < least:
        raise ConfigError(f"{name}: expected a number of at least {least:g}, got {value!r}.")
    return float(value)


def _switch(options: Options, name: str) -> bool:
    value = options.get(name, False)
    if not isinstance(value, bool):
        raise ConfigError(f"{name}: expected true or false, got {value!r}.")
    return value
