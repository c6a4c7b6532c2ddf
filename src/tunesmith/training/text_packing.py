"""Whether an encoder may read the texts of a batch in one row, found out on it before it is trained.

BERT, DistilBERT, RoBERTa with XLM-R, and ModernBERT give the same for packed texts. MPNet adds a bias by distance in an
attention of its own that cannot be chosen; a causal encoder must not see what follows. Such texts are padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tunesmith.core.errors import ModelError
from tunesmith.models.encoder import Encoder
from tunesmith.models.quiet import unwarned

# Relative L2 difference of vectors in float32 between packed texts and texts alone: rounding, in another order.
SAME = 1e-5
_SHORTEST, _LONGEST = 3, 1


@dataclass(frozen=True)
class TextPacking:
    """packed: read texts of a batch in one row. gap: what was measured, None if nothing was. why: for people."""

    packed: bool
    why: str
    gap: float | None = None

    @property
    def choice(self) -> str:
        """As it is written into decisions."""
        return "packed" if self.packed else "padded"


def choose_text_packing(encoder: Encoder, ids: Sequence[Sequence[int]], *, asked: str = "auto") -> TextPacking:
    """Packed where the encoder gives the same vectors for packed texts as for texts alone, else padded.

    ids: windows of the texts to be trained on. asked: "padded" is taken; anything else has to be proved.
    """
    if asked == "padded":
        return TextPacking(False, "you asked for it")
    try:
        gap = packed_gap(encoder, ids)
    except ModelError as error:
        return TextPacking(False, error.message)
    if gap <= SAME:
        return TextPacking(True, f"packed texts give the vectors of texts alone (relative difference {gap:.1e})", gap)
    return TextPacking(False, f"packed texts change this encoder's vectors (relative difference {gap:.1e})", gap)


@torch.no_grad()
def packed_gap(encoder: Encoder, ids: Sequence[Sequence[int]]) -> float:
    """|packed - alone| / |alone| over vectors of a few short windows and the longest, where sliding windows show."""
    order = sorted((i for i in range(len(ids)) if len(ids[i])), key=lambda i: (len(ids[i]), i))
    some = [ids[i] for i in sorted({*order[:_SHORTEST], *order[-_LONGEST:]})]
    if not some:
        return 0.0
    was = encoder.module.training
    encoder.module.eval()
    try:
        with unwarned():  # an attention that cannot be chosen is recognised, and said in our own words
            packed = encoder.forward([*some, some[0]], packed=True)
        alone = torch.cat([encoder.forward([row]) for row in [*some, some[0]]])
    finally:
        encoder.module.train(was)
    gap = float((packed.double() - alone.double()).norm() / alone.double().norm().clamp(min=1e-30))
    return gap if gap == gap else float("inf")  # not a number is not the same
