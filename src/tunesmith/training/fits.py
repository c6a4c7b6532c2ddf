"""What of a base model fits on a device, from its config alone: tuned by each method, and only served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from tunesmith.core.errors import ModelError
from tunesmith.models.methods import Options
from tunesmith.models.methods import method as methods
from tunesmith.training.memory import BYTES_IN_4_BITS, Needs, needs_of

# What a process holds before a model is there: interpreter and libraries in main memory; on a GPU, its context.
LIBRARIES = 500_000_000
_SHARE_FREE = 0.02  # of a device, for the allocator

# (what, method whose shapes count, dtype of the base, whether its linear layers are in 4 bits)
_WAYS: tuple[tuple[str, str, str, bool], ...] = (
    ("full fine-tuning, float32", "full", "float32", False),
    ("LoRA, float32", "lora", "float32", False),
    ("LoRA, bfloat16", "lora", "bfloat16", False),
    ("QLoRA, 4 bits", "lora", "bfloat16", True),
)
# Bytes of a weight, for a model of which only the count is known: its weights, and what training adds at least.
_PER_PARAMETER = {"full fine-tuning, float32": 24.0, "LoRA, float32": 4.0, "LoRA, bfloat16": 2.0}


@dataclass(frozen=True)
class Way:
    """One way of using a base on a device. Bytes; `needed` is the least with which it works.

    weights: of the base. parameters_that_fit: how large a model of the same shape could be, roughly.
    """

    what: str
    weights: int
    needed: int
    fits: bool
    parameters_that_fit: int


@dataclass(frozen=True)
class Fit:
    """Every way, dearest first. parameters: of the base. tokens: of the row or the context that was counted with.

    exact: False where only the count of parameters was known: weights alone, so a lower bound.
    """

    parameters: int
    tokens: int
    device: int
    exact: bool
    ways: tuple[Way, ...]


def fits(config: Any, device: int, *, tokens: int = 1024) -> Fit:
    """What of a transformers config fits into `device` bytes, trained on rows of `tokens` or serving one such context.

    Raises ModelError for a config that is no causal language model.
    """
    whole = _empty(config)
    parameters = sum(t.numel() for t in whole.parameters())
    made = []
    for what, name, dtype, four_bits in _WAYS:
        options: Options = {}
        needs = needs_of(config, methods.get(name), options, dtype=dtype, four_bits=four_bits)
        needed = needs.least(tokens, answers=max(1, tokens // 4), resident=LIBRARIES)
        made.append(_way(what, needs.weights, needed, device, parameters))
    cache = kept_keys(config) * tokens
    for what, weights in _served(whole, needs):
        made.append(_way(what, weights, LIBRARIES + weights + cache, device, parameters))
    return Fit(parameters, tokens, device, True, tuple(made))


def fits_by_count(parameters: int, device: int) -> Fit:
    """The same from a count of parameters: weights and what training must add, and no activations."""
    made = [
        _way(what, int(4 * parameters if "32" in what else 2 * parameters), int(each * parameters), device, parameters)
        for what, each in _PER_PARAMETER.items()
    ]
    four = int(BYTES_IN_4_BITS * parameters)
    made.append(_way("QLoRA, 4 bits", four, four, device, parameters))
    for what, each in (("serving, bfloat16", 2.0), ("serving, 8 bits", 1.0), ("serving, 4 bits", BYTES_IN_4_BITS)):
        made.append(_way(what, int(each * parameters), int(each * parameters), device, parameters))
    return Fit(parameters, 0, device, False, tuple(made))


def kept_keys(config: Any) -> int:
    """Bytes of keys and values that one token leaves in all layers, in 2 bytes a number."""
    text = config.get_text_config()
    heads = int(getattr(text, "num_key_value_heads", None) or text.num_attention_heads)
    width = int(getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads)
    return 2 * 2 * int(text.num_hidden_layers) * heads * width


def lines(fit: Fit) -> list[str]:
    """The answer for people."""
    size = f"{fit.parameters / 1e9:.2f} billion" if fit.parameters >= 1e9 else f"{fit.parameters / 1e6:.0f} million"
    how = f"rows of {fit.tokens:,} tokens" if fit.exact else "weights alone: give a config for activations and caches"
    made = [f"{size} parameters on {fit.device / 1e9:.3g} GB ({how})", ""]
    for way in fit.ways:
        mark = "fits   " if way.fits else "too big"
        room = "" if way.fits else f"   up to about {way.parameters_that_fit / 1e9:.2g} billion parameters would"
        made.append(f"{mark} {way.what:<28} {_gb(way.needed):>9}, of it weights {_gb(way.weights):>9}{room}")
    if not any(way.fits for way in fit.ways):
        made += ["", f"nothing fits: the least is {_gb(min(way.needed for way in fit.ways))}."]
    return made


def _gb(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"


def _way(what: str, weights: int, needed: int, device: int, parameters: int) -> Way:
    room = device * (1 - _SHARE_FREE)
    fixed = min(LIBRARIES, needed - weights) if needed > weights else 0
    each = (needed - fixed) / parameters
    return Way(what, weights, needed, needed <= room, max(0, int((room - fixed) / each)))


def _served(whole: torch.nn.Module, four: Needs) -> list[tuple[str, int]]:
    numbers = sum(t.numel() for t in whole.parameters())
    return [("serving, bfloat16", 2 * numbers), ("serving, 8 bits", numbers), ("serving, 4 bits", four.weights)]


def _empty(config: Any) -> torch.nn.Module:
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            made: torch.nn.Module = AutoModelForCausalLM.from_config(config)
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError(
            f"this config makes no causal language model: {str(error).splitlines()[0]}",
            hint="give the config of a model that generates text.",
        ) from error
    return made
