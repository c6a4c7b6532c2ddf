"""Checkpoints that are whole or absent, and that know when they are damaged.

    checkpoints/step-00000120/
        state.safetensors   tensors: weights, optimizer moments, best weights
        state.json          counters, curve, scores
        manifest.json       sha256 of both; written with them in one rename

No pickle: what is read back can hold numbers and nothing else. The newest two are kept, so that a damaged
one costs the work since the one before it. Whatever claims a later step than the one that is written is no past of
this training (damaged, or of another one), and goes with the drafts that a kill left behind.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core.errors import RunError
from tunesmith.core.events import Emit
from tunesmith.core.files import read_json, sha256_file, whole, write_json

if TYPE_CHECKING:
    import torch

_KEEP = 2
_TENSORS, _STATE, _MANIFEST = "state.safetensors", "state.json", "manifest.json"


def save(folder: Path, step: int, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> Path:
    """Write the checkpoint of `step` under `folder` and drop all but it and the one before it.

    tensors: any devices and dtypes, no memory in common; written from where they lie, without a copy on a CPU.
    state: JSON values.
    Raises RunError where the disk refuses (full, no permission); the checkpoints before it stay.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    target = folder / f"step-{step:08d}"
    for draft in folder.glob(".step-*"):  # a training killed while it wrote; they are as large as a checkpoint
        shutil.rmtree(draft, ignore_errors=True)
    try:
        with whole(target) as draft:
            draft.mkdir()
            plain = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(tensors.items())}
            save_file(plain, draft / _TENSORS)
            write_json(draft / _STATE, dict(state))
            write_json(draft / _MANIFEST, {name: sha256_file(draft / name) for name in (_TENSORS, _STATE)})
    except (OSError, SafetensorError) as error:
        raise RunError(
            f"the checkpoint of step {step} could not be written to {folder}: {error}",
            hint="free some disk space, then repeat the command: it goes on from the last checkpoint.",
        ) from error
    past = [path for path in sorted(folder.glob("step-*")) if path.name <= target.name]
    for other in set(folder.glob("step-*")) - set(past[-_KEEP:]):
        shutil.rmtree(other, ignore_errors=True)
    return target


def latest(folder: Path, emit: Emit) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """The newest checkpoint that is what was written, or None; damaged ones are named in an event, and so is it if
    all are."""
    from safetensors.torch import load_file

    found = sorted(folder.glob("step-*"), reverse=True)
    for path in found:
        fault = damage(path)
        if fault is None:
            return load_file(path / _TENSORS), read_json(path / _STATE)
        emit("checkpoint.damaged", path=path.name, reason=fault)
    if found:
        emit("checkpoint.none", reason=f"all {len(found)} checkpoints are damaged; starting anew")
    return None


def damage(path: Path) -> str | None:
    """Why this checkpoint cannot be used, or None if its files are what the manifest says."""
    try:
        manifest = read_json(path / _MANIFEST)
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        return f"its manifest cannot be read ({error})"
    if not isinstance(manifest, dict) or set(manifest) != {_TENSORS, _STATE}:
        return "its manifest does not name its two files"
    for name, expected in manifest.items():
        if not (path / name).is_file():
            return f"{name} is missing"
        if sha256_file(path / name) != expected:
            return f"{name} is not what was written (sha256 differs)"
    return None
