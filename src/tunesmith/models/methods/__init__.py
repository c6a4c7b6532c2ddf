"""Parameter-efficient methods, one file each: how a method puts itself on a model and takes itself off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tunesmith.core.registry import Registry
from tunesmith.models.spec import ModelSpec

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import nn

Options = Mapping[str, float | int | str | bool]


@dataclass(frozen=True)
class Choice:
    """A setting with a few sensible values."""

    values: tuple[float | int | str | bool, ...]


@dataclass(frozen=True)
class Range:
    """A setting between two numbers; log: magnitudes matter, not differences."""

    low: float
    high: float
    log: bool = False


Space = Mapping[str, Choice | Range]


class Method(Protocol):
    """A way of adapting a frozen model with few weights."""

    @property
    def name(self) -> str:
        """The registered name."""
        ...

    def apply(self, model: nn.Module, options: Options, *, seed: int) -> PeftModel:
        """Put on: freeze the base, add float32 weights that change nothing yet. Same seed, same weights."""
        ...

    def merge(self, model: PeftModel) -> nn.Module:
        """Take off: the base model with the adapter folded into its weights (in place, in the base's dtype)."""
        ...

    def search_space(self, spec: ModelSpec) -> Space:
        """What may be varied, by option name."""
        ...

    def memory(self, spec: ModelSpec, options: Options) -> int:
        """Bytes for weights, gradients and optimizer moments of the method (without the base): an estimate."""
        ...


method: Registry[Method] = Registry("method", __name__)
