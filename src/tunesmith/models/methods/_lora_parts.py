"""The parts of LoRA that are not plain: principal start (PiSSA) and column magnitudes (DoRA), on an untouched base.

PiSSA (Meng et al. 2024) starts A and B at the r largest singular directions of W and trains beside the residual
W - s B0 A0. Rewriting W would round it anew (a bfloat16 base would no longer be the base) and would give every
adapter a base of its own. Here the same function is written W + s (B A - B0 A0): the base stays as it is, the start
is a frozen second half of A and B, and what is saved is a plain LoRA of rank 2r that any reader of PEFT's layout
understands. It costs the arithmetic of rank 2r.

DoRA (Liu et al. 2024) scales each column of W + s B A to a learned length. PEFT takes the present length in the dtype
of the activations, and in bfloat16 it differs from the learned one by up to 0.4 % before anything is learned. Here it
is taken in float32.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from peft.tuners.lora.dora import DoraLinearLayer
from peft.utils.integrations import dequantize_module_weight
from torch import nn
from torch.nn.utils import parametrize

from tunesmith.core.errors import ConfigError
from tunesmith.models.methods._peft import adapter_layers

# Beyond this many rows and columns the whole decomposition takes minutes; the leading part is found by iteration.
_WHOLE_SVD = 2048
_ITERATIONS = 16


class Beside(nn.Module):
    """A trained weight with a frozen one beside it: rows below (dim 0) or columns to the right (dim 1)."""

    start: torch.Tensor

    def __init__(self, start: torch.Tensor, dim: int) -> None:
        super().__init__()
        self.register_buffer("start", start)
        self.dim = dim

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """(r, in) to (2r, in), or (out, r) to (out, 2r)."""
        return torch.cat([weight, self.start.to(weight.dtype)], self.dim)


class Magnitude(DoraLinearLayer):  # type: ignore[misc]
    """PEFT's DoRA layer with the columns' lengths in float32, or in float64 where the adapter is."""

    def __init__(self, layer: LoraLayer, learned: nn.Parameter) -> None:
        super().__init__(layer.fan_in_fan_out)
        self.weight = learned
        self.base = (layer.get_base_layer(),)  # in a tuple: it is no part of this module

    def get_weight_norm(
        self, weight: torch.Tensor, lora_weight: torch.Tensor, scaling: float, adapter_name: str | None = None
    ) -> torch.Tensor:
        """(out,) lengths of the rows of W + scaling * B A, which are the columns of the paper's transposed W.

        weight is W rounded to the dtype of the activations; W itself is taken instead.
        """
        exact = dequantize_module_weight(self.base[0])
        with torch.autocast(weight.device.type, enabled=False):
            norm: torch.Tensor = super().get_weight_norm(
                exact.to(self.weight.dtype), lora_weight.to(self.weight.dtype), scaling, adapter_name=adapter_name
            )
        return norm


def exact_magnitudes(model: nn.Module) -> None:
    """Give every DoRA layer lengths in float32; what is learned or read stays."""
    for layer in adapter_layers(model, LoraLayer):
        for name, theirs in list(layer.lora_magnitude_vector.items()):
            if isinstance(theirs, DoraLinearLayer):
                layer.lora_magnitude_vector[name] = Magnitude(layer, theirs.weight)


def fresh_magnitudes(model: nn.Module) -> None:
    """Learned lengths at those of the base's own columns, in float32."""
    exact_magnitudes(model)
    for layer in adapter_layers(model, LoraLayer):
        for ours in layer.lora_magnitude_vector.values():
            if not ours.weight.is_meta:
                ours.weight = nn.Parameter(ours.weight.detach().float())
                nothing = torch.zeros((), dtype=torch.float32, device=ours.weight.device)
                with torch.no_grad():
                    ours.weight.copy_(ours.get_weight_norm(nothing, nothing, 1.0))


def principal_start(model: nn.Module) -> None:
    """A and B at the largest singular directions of each W, the same frozen beside them with the opposite sign.

    Raises ConfigError where the rank exceeds what a layer has.
    """
    for layer in adapter_layers(model, LoraLayer):
        down, up = layer.lora_A["default"], layer.lora_B["default"]
        rank = int(layer.r["default"])
        if min(layer.in_features, layer.out_features) < rank:
            raise ConfigError(
                f"rank: {rank} is more than the {min(layer.in_features, layer.out_features)} singular directions that "
                "the smallest layer has, which pissa starts from.",
                hint="lower rank, or leave pissa out.",
            )
        if not down.weight.is_meta:
            a, b = _principal(layer, rank)
            down.weight.data, up.weight.data = a, b
        # PEFT's merge and the saved file see the whole of A and B; the loop sees the trained half.
        parametrize.register_parametrization(down, "weight", Beside(down.weight.detach().clone(), 0), unsafe=True)
        parametrize.register_parametrization(up, "weight", Beside(-up.weight.detach(), 1), unsafe=True)


def has_principal_start(model: nn.Module) -> bool:
    """Whether A and B carry a frozen start beside them."""
    return any(isinstance(module, Beside) for module in model.modules())


def _principal(layer: Any, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(rank, in) and (out, rank) with s B A = the best approximation of W of that rank."""
    weight = dequantize_module_weight(layer.get_base_layer()).detach().float()
    if layer.fan_in_fan_out:
        weight = weight.T
    if min(weight.shape) <= _WHOLE_SVD:
        u, size, vt = torch.linalg.svd(weight, full_matrices=False)
        u, size, vt = u[:, :rank], size[:rank], vt[:rank]
    else:
        u, size, v = torch.svd_lowrank(weight, rank, niter=_ITERATIONS)
        vt = v.T
    root = (size / float(layer.scaling["default"])).sqrt()
    return (root[:, None] * vt).contiguous(), (u * root).contiguous()
