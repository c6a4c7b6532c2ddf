"""Turns a GGUF file into an ordinary transformers folder: bf16 safetensors, tokenizer, chat template.

Loading GGUF takes a minute each time and cannot be saved again as it is, so this is done once.
De-quantised weights stay rounded to the few bits they were stored in.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from tunesmith.core.errors import ModelError
from tunesmith.models.quiet import silent

_MAGIC = b"GGUF"


def convert(gguf: Path, folder: Path, *, chat: bool) -> None:
    """Write the model in `gguf` as a transformers folder (created here; not atomic, the caller sees to that).

    chat: a chat template is expected. Raises ModelError if the file is no GGUF of a causal language model, if a
    weight is missing or not finite, or if the expected chat template is absent.
    """
    with gguf.open("rb") as handle:
        if handle.read(4) != _MAGIC:
            raise ModelError(f"{gguf.name} is not a GGUF file.")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with silent(), contextlib.redirect_stderr(io.StringIO()):  # one bar there cannot be switched off
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        model, about = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype=torch.float32, output_loading_info=True
        )
        if about["missing_keys"] or about["unexpected_keys"]:
            raise ModelError(
                f"{gguf.name}: weights missing {sorted(about['missing_keys'])[:3]}, "
                f"unexpected {sorted(about['unexpected_keys'])[:3]}."
            )
        if chat and not tokenizer.chat_template:
            raise ModelError(f"{gguf.name} has no chat template.")
        # save_pretrained refuses a model that it believes to be quantised; the weights are plain floats by now.
        model.hf_quantizer = None
        model.is_quantized = False
        model.config.__dict__.pop("quantization_config", None)
        model = model.to(torch.bfloat16)
        for name, weight in model.named_parameters():
            if not torch.isfinite(weight).all():
                raise ModelError(f"{gguf.name}: weight {name} is not finite.")
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
