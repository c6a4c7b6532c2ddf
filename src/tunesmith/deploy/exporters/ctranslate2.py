"""A language model for CTranslate2: answers on processors without torch, with weights of 8 bits."""

from __future__ import annotations

import shutil
from pathlib import Path

from tunesmith.core.errors import ConfigError
from tunesmith.core.files import write_json
from tunesmith.deploy.exporters import EXACT, Bounds, Made, exporter
from tunesmith.deploy.exporters._parts import WORDS, copy_fitted, merged_folder, why_no_lm
from tunesmith.deploy.runtime import BASE
from tunesmith.deploy.shipped import Shipped
from tunesmith.models.ct2_lm import ABOUT
from tunesmith.models.loading import CT2

# Activations are rounded as well, word by word: of the whole vocabulary, logits move more than where weights alone are.
_EIGHT_BITS = Bounds(logits=0.75, agreement=0.95, score=0.02, by_mean=True)
_COMPUTED = {"int8": "int8_float32", "none": "float32"}
_USAGE = """`base/lm/ctranslate2` is read by `ctranslate2.Generator`, the tokenizer beside it by transformers or
tokenizers. How to word the prompt is in `export.json`; an answer ends at one of `stops` in
`base/lm/ctranslate2.json`."""


class Ctranslate2:
    """A language model for CTranslate2, int8 or float32; for tuned language models, without torch."""

    name = "ctranslate2"
    quantisations = ("int8", "none")
    extra = ("ctranslate2", ("ctranslate2",))

    def why_not(self, model: Shipped) -> tuple[str, str] | None:
        if model.job.task.output == "json":
            return "its answers are bound to a schema, which this engine cannot do.", "use --to merged."
        return why_no_lm(model)

    def write(self, model: Shipped, draft: Path, quantisation: str) -> Made:
        from ctranslate2.converters import TransformersConverter

        from tunesmith.models.quiet import silent

        copy_fitted(model, draft, adapter=False)
        place = draft / BASE / "lm"
        place.mkdir(parents=True)
        with merged_folder(model) as (folder, lm):
            about = {"compute": _COMPUTED[quantisation], **lm}
            for name in ("config.json", *WORDS):
                if (folder / name).is_file():
                    shutil.copyfile(folder / name, place / name)
            try:
                with silent():
                    converter = TransformersConverter(str(folder), low_cpu_mem_usage=True)
                    converter.convert(str(place / CT2), quantization="int8" if quantisation == "int8" else "float32")
            except (ValueError, KeyError, AttributeError, NotImplementedError) as error:
                raise ConfigError(
                    f"--to {self.name}: its converter does not know this family: {str(error)[:200]}",
                    hint="use --to gguf or --to merged.",
                ) from error
        write_json(place / ABOUT, about)
        bounds = _EIGHT_BITS if quantisation == "int8" else EXACT
        roots = ("tunesmith.models.ct2_lm",)
        return Made("ctranslate2", bounds, without=("torch", "peft", "accelerate"), usage=_USAGE, roots=roots)


exporter("ctranslate2")(Ctranslate2())
