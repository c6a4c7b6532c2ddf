"""The norms' own weights and biases, a thousandth of the model (Zhao et al. 2023, "Tuning LayerNorm in Attention")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core.errors import ModelError
from tunesmith.models.methods import method
from tunesmith.models.methods._own import OnBase, names_in, norms
from tunesmith.models.methods._peft import task_type

if TYPE_CHECKING:
    from torch import nn

# PEFT's name of a weight of the norm N is base_model.model.N.ln_tuning_layers.<weight>.
_BEFORE, _AFTER = "base_model.model.", ".ln_tuning_layers."


@dataclass(frozen=True)
class LayerNorm(OnBase):
    """Every norm of the model, those of queries and keys included; written in the layout of PEFT's LN tuning.

    Not PEFT's own class: it trains copies in the base's dtype, in which small updates to bfloat16 norms vanish, and
    knows a list of families.
    """

    name: str = "layernorm"

    def choose(self, model: nn.Module) -> list[str]:
        found = names_in(model, norms(model))
        if not found:
            raise ModelError(
                "this base has no norms with weights, so layernorm has nothing to train.", hint="use lora."
            )
        return found

    def save(self, model: nn.Module, folder: Path, *, base: str | None = None) -> None:
        from tunesmith.models.methods import _files

        learned = self.learned(model)
        tensors = {_to_peft(name): tensor for name, tensor in learned.items()}
        modules = sorted({name.rpartition(".")[0] for name in learned})
        config = _config(modules, task_type(model))
        top = getattr(model, "top_layers", None)
        _files.write(folder, _files.ADAPTER, tensors, name=self.name, base=base, config=config, top_layers=top)

    def load(self, model: nn.Module, folder: Path) -> nn.Module:
        from tunesmith.models.methods import _files

        stored = _files.read(folder, _files.ADAPTER)
        return self.filled(model, {_from_peft(name): tensor for name, tensor in stored.items()}, folder)


def _config(modules: list[str], task: str | None) -> Mapping[str, Any]:
    from peft import LNTuningConfig

    config: dict[str, Any] = LNTuningConfig(target_modules=modules, task_type=task, inference_mode=True).to_dict()
    return config


def _to_peft(name: str) -> str:
    module, _, weight = name.rpartition(".")
    return f"{_BEFORE}{module}{_AFTER}{weight}"


def _from_peft(name: str) -> str:
    return name.removeprefix(_BEFORE).replace(_AFTER, ".")


method("layernorm")(LayerNorm())
