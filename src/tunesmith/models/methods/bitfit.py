"""BitFit: the biases alone (Zaken et al. 2022); for bases that have some, such as GPT-2, Phi, Qwen 2 and encoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunesmith.core.errors import ModelError
from tunesmith.models.methods import method
from tunesmith.models.methods._own import OnBase, by_base_name

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class BitFit(OnBase):
    """Every bias of linear layers and norms. PEFT has no such method; the file holds the biases by the base's names."""

    name: str = "bitfit"

    def choose(self, model: nn.Module) -> list[str]:
        found = [name for name in by_base_name(model) if name.rpartition(".")[2] == "bias"]
        if not found:
            raise ModelError(
                "this base has no biases, so bitfit has nothing to train (Llama, Gemma, Mistral and Qwen 3 have none).",
                hint="use layernorm, which trains the norms' weights and is as small.",
            )
        return found


method("bitfit")(BitFit())
