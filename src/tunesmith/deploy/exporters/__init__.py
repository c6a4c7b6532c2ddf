"""Forms in which a model leaves the house, one file each. Each says which systems it is for, and writes one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from tunesmith.core.registry import Registry
from tunesmith.deploy.shipped import Shipped


@dataclass(frozen=True)
class Bounds:
    """How far an export may be from the original.

    logits: largest difference of a logit (exact forms), or mean one (quantised forms). agreement: share of answers that
    must be equal. score: points (0 to 1) of the leading metric that may be lost.
    """

    logits: float
    agreement: float
    score: float
    by_mean: bool = False


# The same arithmetic in another order.
EXACT = Bounds(logits=1e-3, agreement=0.995, score=0.005)
# Weights in float16.
HALF = Bounds(logits=0.05, agreement=0.98, score=0.01, by_mean=True)


@dataclass(frozen=True)
class Made:
    """What an exporter wrote into the draft.

    engine:  what reads the weights: "torch", "onnx", "ctranslate2" or "gguf".
    without: modules that the verifying process must do without, so that the form stands on its own runtime.
    needs:   distributions that its users install, besides what the sources import.
    arguments: of predict.py when it is verified. usage: lines for the README, about other programs that read it.
    holds_base: whether the base model lies inside. roots: modules of Tunesmith that its engine is.
    about: more keys of export.json.
    """

    engine: str
    bounds: Bounds
    without: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    usage: str = ""
    holds_base: bool = True
    roots: tuple[str, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)


class Exporter(Protocol):
    """One form. quantisations: the first is what is written if none is asked for. extra: what must be installed."""

    @property
    def name(self) -> str: ...
    @property
    def quantisations(self) -> tuple[str, ...]: ...
    @property
    def extra(self) -> tuple[str, tuple[str, ...]] | None: ...

    def why_not(self, model: Shipped) -> tuple[str, str] | None:
        """Why this system cannot have the form, and what to do instead; None if it can."""
        ...

    def write(self, model: Shipped, draft: Path, quantisation: str) -> Made:
        """Write the weights and what is beside them to `draft`: base/, fitted/ and whatever others read."""
        ...


@runtime_checkable
class Packs(Protocol):
    """A form that is one file, made of what `write` wrote once that is verified."""

    def pack(self, model: Shipped, draft: Path) -> Path:
        """The wheel, in the draft; what is in it is gone from there."""
        ...


exporter: Registry[Exporter] = Registry("export format", __name__)
