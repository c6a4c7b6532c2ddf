"""Full tuning: every weight, in float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunesmith.core.files import sha256_bytes
from tunesmith.models.methods import Options, Range, Space, method
from tunesmith.models.methods._own import OnBase, by_base_name
from tunesmith.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Full(OnBase):
    """Everything learns; what is written are the tensors that changed, by the base's names, in float32.

    A base in bfloat16 still computes in bfloat16; its weights are held in float32 and rounded on the way into each
    layer. Tied weights stay tied and are written once.
    """

    name: str = "full"

    def choose(self, model: nn.Module) -> list[str]:
        return list(by_base_name(model))

    def apply(self, model: nn.Module, options: Options, *, seed: int) -> nn.Module:
        adapted = super().apply(model, options, seed=seed)
        weights = by_base_name(adapted)
        adapted.started_as = {name: _digest(tensor) for name, tensor in weights.items()}  # type: ignore[assignment]
        return adapted

    def learned(self, model: nn.Module) -> dict[str, torch.Tensor]:
        started: dict[str, str] = model.started_as  # type: ignore[assignment]
        return {name: tensor for name, tensor in by_base_name(model).items() if _digest(tensor) != started[name]}

    @property
    def whole(self) -> bool:
        return False

    def search_space(self, spec: ModelSpec) -> Space:
        return {"rate": Range(5e-6, 2e-4, log=True)}


def _digest(tensor: torch.Tensor) -> str:
    return "" if tensor.is_meta else sha256_bytes(tensor.detach().cpu().numpy().tobytes())


method("full")(Full())
