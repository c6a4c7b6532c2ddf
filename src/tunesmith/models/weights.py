"""Reads a model's weights one tensor after the other, so that loading never holds more than the model.

transformers maps the whole file and converts: while it loads, a float32 model from a bfloat16 file takes half as much
again. Here each tensor goes from the file straight to its place.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
# Bytes of a tensor that are read at once.
_PIECE = 8 << 20
# A header that is longer is not one.
_LONGEST_HEADER = 100_000_000


@dataclass(frozen=True)
class _Stored:
    """Where a tensor lies in a safetensors file."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int  # of its first byte in the file
    bytes: int


def load(folder: Path, config: Any, *, dtype: torch.dtype, attention: str) -> torch.nn.Module | None:
    """The causal language model of a transformers folder, or None where transformers itself must read it."""
    from transformers import AutoModelForCausalLM, GenerationConfig
    from transformers.initialization import no_init_weights

    if not all(file.is_file() for file in _files(folder)):
        return None
    with no_init_weights():
        model: Any = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation=attention)
    if getattr(model, "_keep_in_fp32_modules", None) or getattr(model, "_keep_in_fp32_modules_strict", None):
        return None
    model.tie_weights()
    if not read_into(model, folder):
        return None
    if (folder / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)
    found: torch.nn.Module = model
    return found


def read_into(model: torch.nn.Module, folder: Path) -> bool:
    """Fill the model's weights from the safetensors files of `folder`, converted to the model's dtype.

    Returns False, and changes nothing, where names or shapes are not the model's own (transformers knows how to
    rename them) or a number format is not a plain one. Raises OSError or ValueError for a file that cannot be read.
    """
    stored = {tensor: where for file in _files(folder) for tensor, where in _header(file)}
    places = _places(model)
    fits = set(stored) == set(places) and all(stored[n].shape == tuple(t.shape) for n, t in places.items())
    if not fits or any(where.dtype not in _DTYPES for where in stored.values()):
        return False
    for name, place in places.items():
        _copy(stored[name], place)
    return True


def _places(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The tensors that a file of this model holds, by name; tied ones once, under the name that is written."""
    state = model.state_dict()
    tied = getattr(model, "all_tied_weights_keys", None) or {}
    return {name: tensor for name, tensor in state.items() if name not in tied}


def _files(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        return [folder / name for name in sorted(names)]
    return [folder / "model.safetensors"]


def _header(file: Path) -> Iterator[tuple[str, _Stored]]:
    """Names and places in a safetensors file: 8 bytes of length, JSON, then the tensors."""
    size = file.stat().st_size
    with file.open("rb") as handle:
        first = handle.read(8)
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else size
        if length > min(size - 8, _LONGEST_HEADER):
            raise ValueError(f"{file.name} is not a safetensors file, or is cut off")
        table: dict[str, Any] = json.loads(handle.read(length))
    for name, about in table.items():
        if name == "__metadata__":
            continue
        begin, end = about["data_offsets"]
        where = _Stored(file, about["dtype"], tuple(about["shape"]), 8 + length + begin, end - begin)
        if begin < 0 or end < begin or where.start + where.bytes > size:
            raise ValueError(f"{file.name} is cut off in {name}")
        yield name, where


def _copy(stored: _Stored, place: torch.Tensor) -> None:
    import torch

    dtype = getattr(torch, _DTYPES[stored.dtype])
    if stored.bytes != math.prod(stored.shape) * dtype.itemsize:
        raise ValueError(f"{stored.file.name} has a tensor of {stored.bytes} bytes for the shape {stored.shape}")
    flat = place.detach().view(-1)
    with stored.file.open("rb") as handle:
        handle.seek(stored.start)
        for at in range(0, flat.numel(), _PIECE // dtype.itemsize):
            here = flat[at : at + _PIECE // dtype.itemsize]
            piece = bytearray(here.numel() * dtype.itemsize)
            if handle.readinto(piece) != len(piece):
                raise ValueError(f"{stored.file.name} is cut off")
            here.copy_(torch.frombuffer(piece, dtype=dtype))
