"""What several forms write alike: the fitted system, its base model, and the merged weights."""

from __future__ import annotations

import shutil
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
