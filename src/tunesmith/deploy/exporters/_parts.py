"""What several forms write alike: the fitted system, its base model, and the merged weights."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core.errors import ModelError
from tunesmith.core.files import read_json, write_json
from tunesmith.deploy.runtime import BASE, FITTED
from tunesmith.deploy.shipped import Shipped
from tunesmith.models.resolve import fetch

if TYPE_CHECKING:
    from tunesmith.models.lm import LanguageModel

# What of a base model's folder is of no use to whoever answers with it.
_LEFT_OUT = shutil.ignore_patterns(".*", "*.bin", "*.pt", "*.pth", "*.onnx", "*.gguf", "*.h5", "*.msgpack", "*.ot")
# Files of a tokenizer, and of its chat template.
WORDS = (
    "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json", "tokenizer.model",
    "added_tokens.json", "vocab.json", "merges.txt",
)  # fmt: skip


def why_no_lm(model: Shipped) -> tuple[str, str] | None:
    """Why the system is no tuned language model, and what to do instead; None if it is one."""
    if model.rung.needs != "lm":
        return f"the system {model.name} is no language model.", "use --to bundle (or onnx, for encoders)."
    if model.adapter is None:
        return f"the system {model.name} asks the base as it came; nothing of it was tuned.", "use --to bundle."
    return None


def copy_fitted(model: Shipped, draft: Path, *, adapter: bool) -> Path:
    """The folder of the fitted system in the draft; its base is called by where it lies in an export."""
    place = draft / FITTED
    ignored = _LEFT_OUT if adapter else shutil.ignore_patterns(".*", "adapter")
    shutil.copytree(model.path, place, ignore=ignored)
    about = place / "system.json"
    if model.rung.needs == "lm" and about.exists():
        write_json(about, {**read_json(about), "base": f"export:{BASE}/lm"})
    return place


def base_folder(model: Shipped) -> Path:
    """Where the base model lies on this machine. Raises ModelError for a system that stands on none."""
    if model.base is None:
        raise ModelError(f"the system {model.name} stands on no base model.")
    return fetch(model.base, model.ctx.emit)


def copy_base(model: Shipped, draft: Path) -> None:
    """The base model as base/encoder or base/lm; nothing for a system that stands on none."""
    if model.base is not None:
        shutil.copytree(base_folder(model), draft / BASE / model.base.kind, ignore=_LEFT_OUT)


def merged_lm(model: Shipped) -> LanguageModel:
    """The language model with the adapter folded into its weights, float32."""
    from tunesmith.models.lm import LanguageModel
    from tunesmith.models.methods import saved_with

    assert model.adapter is not None
    lm = LanguageModel.load(base_folder(model), model.ctx.limits, adapter=model.adapter)
    lm.model = saved_with(model.adapter).merge(lm.model).eval()
    return lm


@contextmanager
def merged_folder(model: Shipped) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A passing transformers folder of the merged language model, float32, and what else answering with it takes.

    The latter: context (tokens), vocabulary (rows of the output head), stops (ids that end an answer).
    """
    from tunesmith.models.lm import release_memory
    from tunesmith.models.quiet import silent

    lm = merged_lm(model)
    about = {"context": lm.context, "vocabulary": lm.vocabulary, "stops": list(lm.stops)}
    with tempfile.TemporaryDirectory(prefix="tunesmith-merged-") as scratch:
        inner: Any = lm.model
        with silent():
            inner.save_pretrained(scratch)
            lm.template.tokenizer.save_pretrained(scratch)
        lm.let_go()
        del inner
        release_memory()  # the converters need what it took
        yield Path(scratch), about


def save_merged_lm(model: Shipped, place: Path, *, half: bool = False) -> None:
    """The merged language model as a transformers folder of safetensors. half: in float16."""
    import torch

    from tunesmith.models.quiet import silent

    lm = merged_lm(model)
    inner: Any = lm.model
    with silent():
        inner = inner.to(torch.float16) if half else inner
        inner.save_pretrained(place)
        lm.template.tokenizer.save_pretrained(place)


def save_merged_encoder(model: Shipped, place: Path, *, half: bool = False) -> None:
    """The tuned encoder, adapter folded in, as a transformers folder with its pooling. half: in float16."""
    import torch

    from tunesmith.models.quiet import silent
    from tunesmith.training.adapters import load_adapter

    assert model.adapter is not None
    assert model.job.encoder is not None
    encoder: Any = load_adapter(model.adapter, model.job.encoder, model.ctx)
    with silent():
        (encoder.module.to(torch.float16) if half else encoder.module).save_pretrained(place)
        encoder.tokenizer.save_pretrained(place)
    source = base_folder(model)
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        if (source / name).is_file():
            shutil.copyfile(source / name, place / name)
    if (source / "1_Pooling").is_dir():
        shutil.copytree(source / "1_Pooling", place / "1_Pooling", dirs_exist_ok=True)
