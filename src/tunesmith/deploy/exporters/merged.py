"""The adapter folded into the weights of the base, as a transformers folder of safetensors."""

from __future__ import annotations

from pathlib import Path

from tunesmith.deploy.exporters import EXACT, HALF, Made, exporter
from tunesmith.deploy.exporters._parts import copy_base, copy_fitted, save_merged_encoder, save_merged_lm
from tunesmith.deploy.runtime import BASE
from tunesmith.deploy.shipped import Shipped

_LM = """Other programs read `base/lm` as it is, a transformers folder: `vllm serve FOLDER/base/lm`, or
`AutoModelForCausalLM.from_pretrained("FOLDER/base/lm")`. How to word the prompt is in `export.json`."""
_ENCODER = """Other programs read `fitted/adapter` as it is, a transformers folder (`AutoModel.from_pretrained`,
sentence-transformers): the tuned encoder, its adapter folded in. Its heads are beside it as safetensors."""


class Merged:
    """Safetensors with the adapter folded in, for transformers, vLLM and others; for tuned systems."""

    name = "merged"
    quantisations = ("none", "f16")
    extra = None

    def why_not(self, model: Shipped) -> tuple[str, str] | None:
        if model.adapter is None:
            return f"the system {model.name} has no adapter to fold in.", "use --to bundle."
        return None

    def write(self, model: Shipped, draft: Path, quantisation: str) -> Made:
        half = quantisation == "f16"
        bounds = HALF if half else EXACT
        place = copy_fitted(model, draft, adapter=False)
        if model.rung.needs == "lm":
            save_merged_lm(model, draft / BASE / "lm", half=half)
            return Made("torch", bounds, usage=_LM)
        save_merged_encoder(model, place / "adapter", half=half)
        if model.reads_frozen:
            copy_base(model, draft)
        return Made("torch", bounds, usage=_ENCODER)


exporter("merged")(Merged())
