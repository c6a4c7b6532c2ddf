"""Writes the adapter of a tuned encoder, and reads the tuned encoder back."""

from __future__ import annotations

import shutil
from pathlib import Path

from tunesmith.core.context import Context
from tunesmith.core.files import whole
from tunesmith.models.encoder import Encoder
from tunesmith.models.methods import METHOD_FILE, saved_with
from tunesmith.models.methods import method as methods
from tunesmith.models.quiet import silent
from tunesmith.models.resolve import fetch
from tunesmith.models.spec import ModelSpec


def save_adapter(encoder: Encoder, folder: Path, spec: ModelSpec, *, method: str) -> None:
    """Write the adapter in PEFT's layout; the same weights give the same bytes."""
    if folder.exists():
        shutil.rmtree(folder)
    with whole(folder) as draft, silent():
        methods.get(method).save(encoder.module, draft, base=spec.uri)


def load_adapter(folder: Path, spec: ModelSpec, ctx: Context, *, merge: bool = True) -> Encoder:
    """The encoder with the adapter of `folder`, folded into its weights: as fast as the bare encoder.

    An export may hold the whole tuned encoder where a run holds its adapter; that one is read as it is.
    """
    if not (folder / METHOD_FILE).exists() and not (folder / "adapter_config.json").exists():
        return Encoder.load(folder, ctx.limits)
    encoder = Encoder.load(fetch(spec, ctx.emit), ctx.limits)
    how = saved_with(folder)
    adapted = how.load(encoder.module, folder)
    module = how.merge(adapted) if merge else adapted
    return encoder.with_module(module.eval().requires_grad_(False))
