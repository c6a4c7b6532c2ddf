"""What the methods that train weights of the base itself share (norms, biases, the output head, everything).

A base in bfloat16 keeps its arithmetic: the trained weight is a float32 parameter, and the layer sees it rounded to the
base's dtype. So a fresh method changes nothing at all, small updates add up, and gradients arrive in float32.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.core.errors import ModelError
from tunesmith.models.methods import Options, Range, Space
from tunesmith.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch
    from torch import nn

FILE = "weights.safetensors"
# A parametrised weight keeps its float32 original under this name.
_ORIGINAL = re.compile(r"\.parametrizations\.(\w+)\.original$")


class OnBase:
    """A method that trains some of the base's own weights; what is its own is `choose`."""

    name: str

    def choose(self, model: nn.Module) -> list[str]:
        """Names of the weights to train, as a plain base has them. Raises ModelError if it has none."""
        raise TypeError(f"{type(self).__name__} does not say which weights it trains")

    def chosen(self, model: nn.Module, *, top: int | None) -> list[str]:
        """Those of `choose` that lie in the top layers or after them; top: None for all. Raises ModelError."""
        from tunesmith.models.trunk import above

        names = self.choose(model)
        if top is None:
            return names
        kept = set(above(model, list(by_base_name(model)), top=top))
        found = [name for name in names if name in kept]
        if not found:
            raise ModelError(
                f"{self.name} has nothing to train in the top {top} layers of this base.",
                hint="raise train.top_layers, or use lora.",
            )
        return found

    def prepare(self, model: nn.Module) -> nn.Module:
        return model

    def apply(self, model: nn.Module, options: Options, *, seed: int) -> nn.Module:
        from tunesmith.models.methods._own_parts import train_these
        from tunesmith.models.trunk import top_of

        top = top_of(options, model)
        train_these(model, self.chosen(model, top=top))
        model.top_layers = top  # type: ignore[assignment]
        return model

    def merge(self, model: nn.Module) -> nn.Module:
        from tunesmith.models.methods._own_parts import plain_again

        plain_again(model)
        return model

    def save(self, model: nn.Module, folder: Path, *, base: str | None = None) -> None:
        from tunesmith.models.methods import _files

        top = getattr(model, "top_layers", None)
        _files.write(folder, FILE, self.learned(model), name=self.name, base=base, top_layers=top)

    def load(self, model: nn.Module, folder: Path) -> nn.Module:
        from tunesmith.models.methods import _files

        return self.filled(model, _files.read(folder, FILE), folder)

    def learned(self, model: nn.Module) -> dict[str, torch.Tensor]:
        """What `save` writes, by the base's names."""
        weights = by_base_name(model)
        return {name: weights[name] for name in self.chosen(model, top=getattr(model, "top_layers", None))}

    def filled(self, model: nn.Module, stored: Mapping[str, torch.Tensor], folder: Path) -> nn.Module:
        """The method on a fresh base with stored weights in it, frozen; raises ModelError where they do not fit."""
        import torch

        from tunesmith.models.methods import _files

        adapted = self.apply(model, _files.restricted(folder), seed=0)
        weights = by_base_name(adapted)
        wanted = self.chosen(adapted, top=getattr(adapted, "top_layers", None))
        _files.same_names(stored, wanted if self.whole else set(stored) & set(wanted), folder)
        with torch.no_grad():
            for name, value in stored.items():
                if weights[name].shape != value.shape:
                    raise ModelError(
                        f"{name} in {folder} is {tuple(value.shape)}, in this base {tuple(weights[name].shape)}.",
                        hint="use the base that the adapter names.",
                    )
                weights[name].copy_(value)
        adapted.requires_grad_(False)
        adapted.eval()
        return adapted

    @property
    def whole(self) -> bool:
        """Whether a file without one of the weights is damaged, or says that it did not change."""
        return True

    def rates(self, model: nn.Module, options: Options) -> Mapping[str, float]:
        return {}

    def search_space(self, spec: ModelSpec) -> Space:
        return {"rate": Range(1e-4, 1e-2, log=True)}

    def memory(self, base: ModelSpec | nn.Module, options: Options) -> int:
        from tunesmith.models.methods._count import training_bytes

        return training_bytes(self.apply, base, options)


def by_base_name(model: nn.Module) -> dict[str, torch.Tensor]:
    """Every weight, as trained, by the name that the plain base gives it; tied ones once."""
    return {_ORIGINAL.sub(r".\1", name): tensor for name, tensor in model.named_parameters()}


def output_head(model: nn.Module) -> nn.Module | None:
    """The layer that scores the next token; None for a model that only encodes."""
    found = getattr(model, "get_output_embeddings", None)
    head: nn.Module | None = found() if callable(found) else None
    return head


def norms(model: nn.Module) -> list[str]:
    """The modules that normalise, by name."""
    return [name for name, module in model.named_modules() if "norm" in type(module).__name__.lower()]


def names_in(model: nn.Module, modules: Sequence[str]) -> list[str]:
    """The weights that lie directly in these modules, in the model's order."""
    inside = set(modules)
    return [name for name in by_base_name(model) if name.rpartition(".")[0] in inside]
