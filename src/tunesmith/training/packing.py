"""Whether a model can be trained on rows that share their beginnings, found out before it is trained.

Who cannot is padded. Between the two would stand rows packed without sharing anything, under a mask by blocks, but that
needs the same three things of a model as a tree does: positions that restart, attention that can be told who sees whom,
and nothing else that runs along the row. Who is padded, and for want of what:

    BLOOM, MPT, RWKV, Mamba                   take no position ids: a bias by distance, or a state, runs along the row
    Jamba, LFM2, Qwen3-Next                   convolutions or states beside attention run from one row into the next
    GPT-J, Falcon, CodeGen                    compute attention themselves; it cannot be chosen
    GPT-OSS                                   adds sinks to its softmax, which the attention here does not know
    dropout of attention or adapter           rows would share what is dropped of a shared beginning
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tunesmith.core.checks import Check
from tunesmith.core.errors import ModelError
from tunesmith.models.lm import computing, head_at
from tunesmith.models.rounding import bound_of, widened
from tunesmith.models.tree import plant
from tunesmith.models.tree_attention import read_tree
from tunesmith.training.batches import Encoded, Packing

_ROWS, _TOKENS = 3, 256
# Logits of so many last tokens of each row are compared, a whole vocabulary each: what went wrong earlier shows there.
_COMPARED = 16
_CHECK = "packed rows against rows alone, logits"


@dataclass(frozen=True)
class Decided:
    """packing: what to train with. gap: what was measured, None if nothing was. why: for people."""

    packing: Packing
    why: str
    gap: float | None = None


def choose_packing(model: torch.nn.Module, encoded: Encoded, *, asked: str = "auto", dropout: float = 0.0) -> Decided:
    """A tree where the model gives the same for packed rows as for rows alone, else padded rows.

    asked: "auto", or "tree" or "padded", which is then taken. dropout: of the adapter; rows that share a beginning
    would share its mask too, which is another step than the padded one.
    """
    if asked == "padded":
        return Decided("padded", "you asked for it")
    if dropout > 0.0 and asked == "auto":
        return Decided("padded", f"dropout {dropout:g}: rows that share a beginning would share its mask")
    try:
        with widened(model):
            gap, bound = packed_gap(model, encoded), bound_of(model)
    except ModelError as error:
        if asked == "tree":
            raise
        return Decided("padded", error.message)
    if gap <= bound or asked == "tree":
        return Decided("tree", f"packed rows give the logits of rows alone (relative difference {gap:.1e})", gap)
    return Decided("padded", f"packed rows change this model's logits (relative difference {gap:.1e})", gap)


def packed_as_alone(model: torch.nn.Module, encoded: Encoded, decided: Decided, *, system: str) -> Check:
    """The proof for the model as it will be trained; does not apply to padded rows."""
    with widened(model):
        bound = bound_of(model)
        gap = packed_gap(model, encoded) if decided.packing == "tree" else 0.0
    if decided.packing == "padded":
        return Check.not_applicable(_CHECK, f"<= {bound:g}", f"rows are padded: {decided.why}", system=system)
    return Check(
        _CHECK, float(f"{gap:.3g}"), f"<= {bound:g}", gap <= bound,
        "train on padded rows (train.packing: padded), and report this base model.", system,
    )  # fmt: skip


@torch.no_grad()
def packed_gap(model: torch.nn.Module, encoded: Encoded) -> float:
    """|packed - alone| / |alone| over the logits of a few short rows, in the dtype that the model computes in."""
    order = sorted(range(len(encoded)), key=lambda i: (len(encoded.ids[i]), i))
    rows = [encoded.ids[i][:_TOKENS] for i in order[:_ROWS]]
    rows.append((*rows[-1][:-1], rows[0][-1]))  # one that shares nearly all of another, however unlike the rows are
    tree = plant(rows, least=1)
    keep = torch.cat([torch.from_numpy(where[-_COMPARED:]) for where in tree.where])
    device = next(model.parameters()).device
    with computing(model), head_at(model, (torch.zeros_like(keep).to(device), keep.to(device))):
        packed = read_tree(model, tree)
    alone = torch.cat(
        [_alone(model, row, keep=len(where[-_COMPARED:])) for row, where in zip(rows, tree.where, strict=True)]
    )
    packed, alone = packed.cpu().double(), alone.cpu().double()  # there and only there: mps has no float64
    return float((packed - alone).norm() / alone.norm().clamp(min=1e-30))


def _alone(model: torch.nn.Module, row: Sequence[int], *, keep: int) -> torch.Tensor:
    ids = torch.tensor([list(row)], device=next(model.parameters()).device)
    last = torch.arange(len(row) - keep, len(row), device=ids.device)
    with computing(model), head_at(model, (torch.zeros_like(last), last)):
        found: torch.Tensor = model(input_ids=ids, use_cache=False).logits[0]
    return found
