"""Where base models come from. One file each: wheel, hub, folder."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from tunesmith.core.events import Emit
from tunesmith.core.registry import Registry
from tunesmith.models.spec import ModelSpec


class Source(Protocol):
    """A place that base models can be had from."""

    def search(self, wanted: str) -> list[ModelSpec]:
        """Models here whose id matches `wanted` ("" lists all that the source can name offline)."""
        ...

    def pin(self, spec: ModelSpec) -> ModelSpec:
        """The same spec with its exact revision; offline where the model is cached."""
        ...

    def local(self, spec: ModelSpec) -> Path | None:
        """The folder that `fetch` would give, if it is here already; touches no network and changes nothing."""
        ...

    def fetch(self, spec: ModelSpec, emit: Emit) -> Path:
        """A local transformers folder (config, safetensors, tokenizer). Idempotent, resumable, offline if cached."""
        ...


source: Registry[Source] = Registry("source", __name__)
