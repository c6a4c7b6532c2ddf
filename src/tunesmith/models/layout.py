"""Looks at a transformers folder without loading it: what model it is, and whether it may be used at all.

A folder is usable if its config is of a model type that transformers itself knows, its weights are safetensors
(pickles run code when they are read) with whole headers, and it has a tokenizer. Code that a folder brings along
(`auto_map`) is never run; where transformers knows the model type as well, its own code is used instead.
"""

from __future__ import annotations

import json
import struct
from math import prod
from pathlib import Path
from typing import Any, Literal

from tunesmith.core.errors import ModelError
from tunesmith.models.spec import ModelSpec

_TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.txt",
    "vocab.json",
)
PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")
# A header names tensors; 100 MB is the format's own limit.
_MAX_HEADER_BYTES = 100_000_000
_CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "n_ctx", "max_sequence_length")
TO_SAFETENSORS = (
    "save it as safetensors where you trust it:  "
    "AutoModel.from_pretrained(FOLDER).save_pretrained(OTHER)   (or name a model that has model.safetensors)"
)


def describe(folder: Path) -> ModelSpec:
    """The spec of the model in a folder (source "folder", not pinned); every check of this module applied.

    Raises ModelError with what is wrong and what to do. Reads headers only, never weights.
    """
    config = read_config(folder)
    check_code(config, folder)
    shapes = check_weights(folder)
    check_tokenizer(folder)
    return ModelSpec(
        source="folder",
        id=str(folder),
        kind=_kind(config, folder),
        parameters=sum(prod(shape) for shape in shapes.values()),
        context=_context(config),
        chat=_has_chat_template(folder),
    )


def kind_of(folder: Path) -> Literal["encoder", "lm"]:
    """ "lm" for a causal language model, "encoder" for anything that only encodes or is meant to embed."""
    return _kind(read_config(folder), folder)


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a model folder; raises ModelError if it is absent or no JSON object."""
    path = folder / "config.json"
    if not folder.is_dir():
        raise ModelError(f"there is no folder {folder}.")
    if not path.is_file():
        adapter = " It holds an adapter, not a base model." if (folder / "adapter_config.json").exists() else ""
        raise ModelError(
            f"{folder} is not a transformers model: it has no config.json.{adapter}",
            hint="give the folder that save_pretrained wrote (config.json, model.safetensors, tokenizer.json).",
        )
    config = _json(path)
    if not isinstance(config.get("model_type"), str):
        raise ModelError(f"{path} names no model_type.")
    return config


def check_code(config: dict[str, Any], folder: Path) -> None:
    """Refuses a model that only its own Python code can run."""
    if "auto_map" not in config:
        return
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    if config["model_type"] not in CONFIG_MAPPING_NAMES:
        raise ModelError(
            f"{folder} needs Python code of its own (auto_map, model_type '{config['model_type']}'), "
            "which Tunesmith never runs.",
            hint="choose a model whose type transformers knows; see:  tunesmith list models",
        )


def check_weights(folder: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every weight, out of the safetensors headers.

    Raises ModelError if there is no safetensors file, a header is damaged, a file is shorter than its header says,
    or a file of the index is missing.
    """
    files = sorted(folder.glob("*.safetensors"))
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        wanted = {str(name) for name in dict(_json(index).get("weight_map") or {}).values()}
        missing = sorted(wanted - {file.name for file in files})
        if missing:
            raise ModelError(f"{folder}: weights are missing: {', '.join(missing[:3])}.", hint="copy the folder again.")
    if not files:
        pickled = sorted(file.name for pattern in PICKLES for file in folder.glob(pattern))
        if pickled:
            raise ModelError(
                f"{folder}: weights are pickled ({pickled[0]}); reading a pickle runs code, so it is refused.",
                hint=TO_SAFETENSORS,
            )
        raise ModelError(f"{folder} has no weights (*.safetensors).", hint="copy the folder again.")
    return {name: shape for file in files for name, shape in _header(file).items()}


def check_tokenizer(folder: Path) -> None:
    """Raises ModelError if no tokenizer file is there."""
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise ModelError(
            f"{folder} has no tokenizer.", hint="save it beside the model:  tokenizer.save_pretrained(FOLDER)"
        )


def _header(file: Path) -> dict[str, tuple[int, ...]]:
    """Source of the layout: the safetensors format, 8 bytes of length, JSON, data."""

    def damaged(why: str) -> ModelError:
        return ModelError(f"{file} is damaged: {why}.", hint="copy or download the file again.")

    size = file.stat().st_size
    with file.open("rb") as handle:
        start = handle.read(8)
        if len(start) < 8:
            raise damaged("it is shorter than a safetensors header")
        (length,) = struct.unpack("<Q", start)
        if length > min(_MAX_HEADER_BYTES, size - 8):
            raise damaged("its header is longer than the file")
        try:
            header = json.loads(handle.read(length))
            tensors = {name: about for name, about in header.items() if name != "__metadata__"}
            end = max((int(about["data_offsets"][1]) for about in tensors.values()), default=0)
            shapes = {
                name: tuple(int(n) for n in about["shape"])
                for name, about in tensors.items()
                if not about["dtype"].startswith(("I6", "I3", "BOOL"))  # tables of positions are no parameters
            }
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise damaged("its header cannot be read") from error
    if 8 + length + end != size:
        raise damaged(f"it has {size} bytes, its header says {8 + length + end}")
    return shapes


def _kind(config: dict[str, Any], folder: Path) -> Literal["encoder", "lm"]:
    if (folder / "modules.json").is_file() or (folder / "1_Pooling").is_dir():
        return "encoder"  # made for sentence embeddings, whatever its architecture
    names = [str(name) for name in config.get("architectures") or []]
    if any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in names):
        return "lm"
    if config.get("is_encoder_decoder"):
        raise ModelError(
            f"{folder} is an encoder-decoder ({config['model_type']}), which is not supported.",
            hint="choose an encoder or a causal language model; see:  tunesmith list models",
        )
    # Gemma 3 of 4B and more and its like read images too, yet answer in text.
    return "lm" if any(name.endswith("ForConditionalGeneration") for name in names) else "encoder"


def _context(config: dict[str, Any]) -> int:
    inner = config.get("text_config")
    places = [config, inner] if isinstance(inner, dict) else [config]
    found = [place[key] for place in places for key in _CONTEXT_KEYS if isinstance(place.get(key), int)]
    return int(found[0]) if found else 0


def _has_chat_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    path = folder / "tokenizer_config.json"
    return path.is_file() and bool(_json(path).get("chat_template"))


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ModelError(f"{path} cannot be read: {error}.", hint="copy or download the file again.") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} is not a JSON object.", hint="copy or download the file again.")
    return value
