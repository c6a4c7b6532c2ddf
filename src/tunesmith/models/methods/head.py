"""The output head alone, on a frozen model; on a model that shares it with the embedding, a copy of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.core.errors import ModelError
from tunesmith.models.methods import Options, method
from tunesmith.models.methods._own import OnBase, names_in, output_head
from tunesmith.models.methods._peft import task_type

if TYPE_CHECKING:
    from torch import nn

_BEFORE = "base_model.model."


@dataclass(frozen=True)
class Head(OnBase):
    """The output head, untied, written as what PEFT calls a module to save (so that PEFT reads it too)."""

    name: str = "head"

    def choose(self, model: nn.Module) -> list[str]:
        return names_in(model, [_place(model)])

    def apply(self, model: nn.Module, options: Options, *, seed: int) -> nn.Module:
        from tunesmith.models.methods._own_parts import untie

        _place(model)
        untie(model)
        return super().apply(model, options, seed=seed)

    def save(self, model: nn.Module, folder: Path, *, base: str | None = None) -> None:
        from peft import LoraConfig

        from tunesmith.models.methods import _files

        place = _place(model)
        config = LoraConfig(
            # PEFT's own word for "no layer": LoRA with nothing but a module that is stored whole.
            target_modules="dummy-target-modules",
            modules_to_save=[place.rpartition(".")[2]],
            task_type=task_type(model),
            inference_mode=True,
        )
        tensors = {_BEFORE + name: tensor for name, tensor in self.learned(model).items()}
        top = getattr(model, "top_layers", None)
        _files.write(
            folder, _files.ADAPTER, tensors, name=self.name, base=base, config=config.to_dict(), top_layers=top
        )

    def load(self, model: nn.Module, folder: Path) -> nn.Module:
        from tunesmith.models.methods import _files

        stored = _files.read(folder, _files.ADAPTER)
        return self.filled(model, {name.removeprefix(_BEFORE): value for name, value in stored.items()}, folder)


def _place(model: nn.Module) -> str:
    """Where the output head lies in the model. Raises ModelError if it has none."""
    head = output_head(model)
    if head is None:
        raise ModelError("this base has no output head to train: it only encodes.", hint="use lora or layernorm.")
    return str(next(name for name, module in model.named_modules() if module is head))


method("head")(Head())
