"""Parameter-efficient methods, one file each: how a method puts itself on a model and takes itself off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tunesmith.core.errors import ModelError
from tunesmith.core.files import read_json
from tunesmith.core.registry import Registry
from tunesmith.models.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

Options = Mapping[str, float | int | str | bool]


@dataclass(frozen=True)
class Choice:
    """A setting with a few sensible values."""

    values: tuple[float | int | str | bool, ...]


@dataclass(frozen=True)
class Range:
    """A setting between two numbers; log: magnitudes matter, not differences."""

    low: float
    high: float
    log: bool = False


Space = Mapping[str, Choice | Range]


class Method(Protocol):
    """A way of adapting a frozen model with few weights."""

    @property
    def name(self) -> str:
        """The registered name."""
        ...

    def prepare(self, model: nn.Module) -> nn.Module:
        """The base as this method stands on it (4-bit for qlora, as it is for the others); in place.

        A fresh adapter must equal *this* model. Preparing twice changes nothing.
        """
        ...

    def apply(self, model: nn.Module, options: Options, *, seed: int) -> nn.Module:
        """Put on: prepare and freeze the base, train float32 weights that change nothing yet.

        Same seed, same weights. Raises ModelError if the model has nothing that this method could train, ConfigError
        if an option of its own makes no sense; options that it does not know are not its business.
        """
        ...

    def merge(self, model: nn.Module) -> nn.Module:
        """Take off: a plain transformers model with what was learned in its weights (in place, in the base's dtype)."""
        ...

    def save(self, model: nn.Module, folder: Path, *, base: str | None = None) -> None:
        """Write what was learned into `folder` (made if absent): safetensors and JSON, PEFT's layout where it has one.

        base: the base's uri, written down so that a reader knows it. The same weights give the same bytes.
        """
        ...

    def load(self, model: nn.Module, folder: Path) -> nn.Module:
        """Put what `save` wrote on a fresh base model: the same function as in memory, frozen, in eval mode.

        Raises ModelError if a tensor is missing, left over or of another shape: nothing stays silently untrained.
        """
        ...

    def rates(self, model: nn.Module, options: Options) -> Mapping[str, float]:
        """Trained parameter (by its name in named_parameters) to multiple of the learning rate; absent: 1."""
        ...

    def search_space(self, spec: ModelSpec) -> Space:
        """What may be varied, by option name."""
        ...

    def memory(self, base: ModelSpec | nn.Module, options: Options) -> int:
        """Bytes held while training, frozen weights left out: trained weights, gradients, two Adam moments, starts.

        base: a model, plain or with the method on; or a spec, exact if its folder is on this machine, else a guess
        from the number of its parameters.
        """
        ...


method: Registry[Method] = Registry("method", __name__)

METHOD_FILE = "method.json"
# In an adapter's folder: another adapter, which was folded into the base before this one was trained on it.
BENEATH = "beneath"
_BY_PEFT_TYPE = {"LORA": "lora", "IA3": "ia3", "LN_TUNING": "layernorm"}


def saved_with(folder: Path) -> Method:
    """The method whose `load` reads this folder; adapters that PEFT itself wrote are recognised as well.

    Raises ModelError if the folder holds no adapter.
    """
    if (folder / METHOD_FILE).is_file():
        return method.get(str(read_json(folder / METHOD_FILE)["method"]))
    if (folder / "adapter_config.json").is_file():
        kind = str(read_json(folder / "adapter_config.json").get("peft_type"))
        if kind in _BY_PEFT_TYPE:
            return method.get(_BY_PEFT_TYPE[kind])
        raise ModelError(f"{folder} holds a PEFT adapter of the kind {kind}, which no method here reads.")
    raise ModelError(
        f"{folder} holds no adapter: there is neither {METHOD_FILE} nor adapter_config.json.",
        hint="give the folder that training wrote (adapter/ in the folder of the system).",
    )
