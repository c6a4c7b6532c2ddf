"""What a method writes: one safetensors file and JSON, the same weights giving the same bytes, and never a pickle."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from tunesmith.core.errors import ModelError
from tunesmith.core.files import read_json, whole, write_json
from tunesmith.models.methods import METHOD_FILE

ADAPTER = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"


def write(
    folder: Path,
    file: str,
    tensors: Mapping[str, torch.Tensor],
    *,
    name: str,
    base: str | None,
    config: Mapping[str, Any] | None = None,
    top_layers: int | None = None,
) -> None:
    """Write `tensors` (float32, sorted by name) to folder/file, the method's name, and PEFT's config if there is one.

    name: the method; base: the base model's uri, never a path of this machine. top_layers: to how many layers, counted
    from the top, the method was restricted; None: to none.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    ready = {key: tensors[key].detach().to("cpu", torch.float32).contiguous().clone() for key in sorted(tensors)}
    with whole(folder / file) as draft:
        save_file(ready, draft, metadata={"format": "pt"})
    if config is not None:
        about = {**config, "base_model_name_or_path": base}
        write_json(folder / ADAPTER_CONFIG, {key: _plain(about[key]) for key in sorted(about)})
    restricted_to = {} if top_layers is None else {"top_layers": top_layers}
    write_json(folder / METHOD_FILE, {"base": base, "method": name, "version": 1, **restricted_to})


def restricted(folder: Path) -> dict[str, int]:
    """The option that restricted the method which wrote this folder to the top layers; empty if none did."""
    about = read_json(folder / METHOD_FILE) if (folder / METHOD_FILE).is_file() else {}
    return {"top_layers": int(about["top_layers"])} if "top_layers" in about else {}


def read(folder: Path, file: str) -> dict[str, torch.Tensor]:
    """The tensors of folder/file. Raises ModelError if it is absent or damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not (folder / file).is_file():
        raise ModelError(
            f"{folder} has no {file}; weights in any other form (pickles) are not read.",
            hint="save the adapter as safetensors where you trust it, or train it again.",
        )
    try:
        tensors: dict[str, torch.Tensor] = load_file(folder / file)
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{folder / file} is damaged: {error}.", hint="copy the folder again.") from error
    return tensors


def same_names(found: Collection[str], wanted: Collection[str], folder: Path) -> None:
    """Raises ModelError unless the file has exactly the tensors that the method has on this base."""
    for what, names in (
        ("lacks", sorted(set(wanted) - set(found))),
        ("has, and this base has no place for,", sorted(set(found) - set(wanted))),
    ):
        if names:
            raise ModelError(
                f"the adapter in {folder} {what} {len(names)} of its tensors ({names[0]}).",
                hint="it was made for another base model, or its file was changed; use the base that it names.",
            )


def _plain(value: Any) -> Any:
    """As JSON: sets sorted (their order differs between processes), enumerations by value."""
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, dict):
        return {str(key): _plain(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return getattr(value, "value", value)
