"""QLoRA: LoRA beside a base whose linear layers are rounded to 4 bits (Dettmers et al. 2023; bitsandbytes, nf4)."""

from __future__ import annotations

import importlib
import logging
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

from tunesmith.core.errors import MissingExtra, ModelError
from tunesmith.models.methods import Options, method
from tunesmith.models.methods._low_rank import LowRank
from tunesmith.models.methods._own import output_head
from tunesmith.models.methods._peft import adapter_layers

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import nn


@dataclass(frozen=True)
class Qlora(LowRank):
    """LoRA, with its options, on nf4 weights with doubly quantised scales: about 4.13 bits per weight.

    The embedding, the norms and the output head stay as they are. Rounding the base costs accuracy before anything is
    learned, and is worth it only where the base would not fit otherwise. `merge` gives the rounded base, written out
    in full, with the adapter in it: what was trained, and not the base before rounding with an adapter made for
    another one.
    """

    name: str = "qlora"

    def prepare(self, model: nn.Module) -> nn.Module:
        """Round the linear layers to 4 bits, one after the other, in place. Raises MissingExtra."""
        import torch
        from torch.nn import Linear

        if next(model.parameters()).is_meta:
            return model  # counted only
        bitsandbytes = _bitsandbytes()
        if any(isinstance(module, bitsandbytes.nn.Linear4bit) for module in model.modules()):
            return model
        head = output_head(model)
        for name, layer in list(model.named_modules()):
            if type(layer) is not Linear or layer is head:
                continue
            with torch.device("meta"):
                small = bitsandbytes.nn.Linear4bit(
                    layer.in_features, layer.out_features, layer.bias is not None, quant_type="nf4"
                )
            small.weight = bitsandbytes.nn.Params4bit(
                layer.weight.detach(), requires_grad=False, quant_type="nf4", compress_statistics=True, module=small
            ).to(layer.weight.device)
            small.bias = layer.bias
            # Computes in the dtype of what arrives; left alone, it keeps to the first dtype that it ever saw.
            small.compute_dtype, small.compute_type_is_set = None, True
            # Its other form for evaluation repacks the weights for good and computes in bfloat16 whatever is asked.
            small.support_avx512bf16_for_cpu = False
            model.set_submodule(name, small)
        if not any(isinstance(module, bitsandbytes.nn.Linear4bit) for module in model.modules()):
            raise ModelError("this base has no linear layer that could be rounded to 4 bits.", hint="use lora.")
        model.is_loaded_in_4bit = True  # type: ignore[assignment]  # what PEFT asks for
        return model

    def dress(self, model: PeftModel, options: Options | None) -> None:
        import torch
        from peft.tuners.lora import LoraLayer

        for layer in adapter_layers(model, LoraLayer):
            state = getattr(layer.get_base_layer().weight, "quant_state", None)
            if layer.lora_magnitude_vector and state is not None:
                state.dtype = torch.float32  # lengths of the columns as they are, not rounded to bfloat16 first
        super().dress(model, options)

    def merge(self, model: nn.Module) -> nn.Module:
        """The rounded base in full numbers with the adapter folded in; PEFT's own merge would round it once more."""
        with TemporaryDirectory() as folder:
            self.save(model, Path(folder))
            base = _in_full(cast("PeftModel", model).unload())
            return super().merge(self.filled(base, Path(folder)))


def _in_full(model: nn.Module) -> nn.Module:
    """Every 4-bit layer as a plain one, with the rounded numbers in the dtype of what was not rounded; in place."""
    from torch.nn import Linear, Parameter

    bitsandbytes = _bitsandbytes()
    dtype = model.get_input_embeddings().weight.dtype  # type: ignore[operator]
    for name, small in list(model.named_modules()):
        if isinstance(small, bitsandbytes.nn.Linear4bit):
            state = copy(small.weight.quant_state)
            state.dtype = dtype  # else the dtype that was rounded from, whatever the model was turned into since
            full = Linear(small.in_features, small.out_features, bias=False, device="meta")
            full.weight = Parameter(
                bitsandbytes.functional.dequantize_4bit(small.weight.data, state), requires_grad=False
            )
            full.bias = small.bias
            model.set_submodule(name, full)
    model.is_loaded_in_4bit = False  # type: ignore[assignment]
    return model


def _bitsandbytes() -> Any:
    """The library, imported without its notes about kernels that it would like to download."""
    logger = logging.getLogger("bitsandbytes")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        library = importlib.import_module("bitsandbytes")
    except ImportError as error:
        raise MissingExtra("the method qlora", "qlora") from error
    finally:
        logger.setLevel(level)
    return library


method("qlora")(Qlora())
