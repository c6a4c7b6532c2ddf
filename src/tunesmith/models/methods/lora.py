"""LoRA: a low-rank update beside every linear layer (Hu et al. 2021, W' = W + (alpha / r) B A), and its relatives."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.models.methods import method
from tunesmith.models.methods._low_rank import LowRank


@dataclass(frozen=True)
class Lora(LowRank):
    """LoRA on every linear layer but the output head, rank 16 and alpha 2r unless told otherwise.

    Dropout is 0 by default: with it, a prefix shared by several Examples would get one mask instead of one each.
    """

    name: str = "lora"


method("lora")(Lora())
