"""IA3: learned multiples of the keys, the values and the inner activations (Liu et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunesmith.core.errors import ModelError
from tunesmith.models.methods import Options, Range, Space, method
from tunesmith.models.methods._peft import OnPeft, adapter_layers, linear_layers, task_type
from tunesmith.models.spec import ModelSpec

if TYPE_CHECKING:
    from peft import IA3Config, PeftModel
    from torch import nn

# What the families call the layers whose outputs are keys and values; where query, key and value are one layer, all
# three are scaled.
_KEYS_AND_VALUES = (
    "k_proj", "v_proj", "key", "value", "k_lin", "v_lin", "key_proj", "value_proj",
    "qkv_proj", "query_key_value", "c_attn", "Wqkv", "in_proj",
)  # fmt: skip
# The layers whose inputs are the inner activations.
_OUT_OF_INNER = ("down_proj", "fc2", "fc_out", "dense_4h_to_h", "lin2", "w2", "wo", "mlp.c_proj", "mlp.Wo")
# BERT and its like call it as they call attention's output.
_BERT_LIKE = "output.dense"


@dataclass(frozen=True)
class IA3(OnPeft):
    """IA3 with every multiple starting at 1; the fewest weights of all methods that reach inside the layers."""

    name: str = "ia3"

    def config(self, model: nn.Module, options: Options) -> IA3Config:
        from peft import IA3Config

        from tunesmith.models.trunk import in_top, top_of

        linear, top = linear_layers(model), top_of(options, model)
        if top is not None:
            linear = in_top(model, linear, top=top)
        out = [name for name in linear if _ends(name, _KEYS_AND_VALUES)]
        inner = [name for name in linear if _ends(name, _OUT_OF_INNER)]
        inner += [
            name for name in linear if _ends(name, (_BERT_LIKE,)) and not _ends(name, ("attention." + _BERT_LIKE,))
        ]
        if not out or not inner:
            raise ModelError(
                "ia3 does not know how this base calls its keys, values and inner activations "
                f"(its layers: {', '.join(sorted({name.rpartition('.')[2] for name in linear}))}).",
                hint="use lora, which takes every linear layer.",
            )
        return IA3Config(target_modules=out + inner, feedforward_modules=inner, task_type=task_type(model))

    def dress(self, model: PeftModel, options: Options | None) -> None:
        from peft.tuners.ia3 import IA3Layer

        for layer in adapter_layers(model, IA3Layer):
            # peft.helpers.disable_input_dtype_casting reads this of every layer, and only LoRA's layers have it.
            layer.cast_input_dtype_enabled = True

    def search_space(self, spec: ModelSpec) -> Space:
        return {"rate": Range(1e-3, 3e-2, log=True)}


def _ends(name: str, endings: tuple[str, ...]) -> bool:
    return any(name == ending or name.endswith("." + ending) for ending in endings)


method("ia3")(IA3())
