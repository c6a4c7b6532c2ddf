"""Whether a model can be trained from a trunk on disk: found out before it is trained, proved on what was trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tunesmith.core.checks import Check
from tunesmith.core.errors import ModelError
from tunesmith.core.events import Emit
from tunesmith.models.lm import LanguageModel, computing, head_at
from tunesmith.models.rounding import bound_of
from tunesmith.models.tree_attention import read_tree
from tunesmith.models.trunk import entering, plain, stack_of
from tunesmith.training.batches import Encoded, Packing, TokenBatch, batch_of
from tunesmith.training.trunk import Row, Trunk, held, stored

_ROWS, _TOKENS = 3, 256
_CHECK = "cached trunk against the whole model, logits"


class CannotCut(ModelError):
    """This model's lower layers cannot be computed apart from the top ones."""


@dataclass(frozen=True)
class Decided:
    """trunk: None: every step runs the whole model. why: for people. gap: what was measured, None if nothing was."""

    trunk: Trunk | None
    why: str
    gap: float | None = None


def choose_trunk(
    lm: LanguageModel,
    rows: Sequence[Encoded],
    *,
    top: int | None,
    packing: Packing,
    emit: Emit,
    asked: str = "auto",
) -> Decided:
    """The trunk of all these rows, if training through it is what training the whole model is.

    lm.model: as it will be trained. rows: train, which comes first, and dev, as encoded. asked: "auto" or "never".
    Raises ModelError where the cache has no room.
    """
    if top is None or asked == "never":
        return Decided(None, "all layers learn" if top is None else "you asked for none")
    below = _trained_below(lm.model, top)
    if below:
        return Decided(None, f"the method trains {below}, which lies below the top {top} layers")
    every = (row for encoded in rows for row in encoded.ids)
    few = [row[:_TOKENS] for row in _shortest(rows[0])]
    try:
        trunk = stored(
            lm,
            every,
            top=top,
            packing=packing,
            emit=emit,
            first=lambda: _probe(lm.model, few, top=top, packing=packing),
        )
    except CannotCut as error:
        return Decided(None, error.message)
    gap = trunk_gap(lm.model, trunk, _shortest(rows[0]), packing=packing)
    if not gap <= bound_of(lm.model):
        return Decided(None, f"the trunk on disk gives other logits (relative difference {gap:.1e})", gap)
    size = f"{trunk.bytes / 1e6:.0f} MB for {len(trunk.states)} tokens of {len(trunk.where)} rows"
    how = "found" if trunk.found else "made"
    return Decided(trunk, f"{how}: {size} (relative difference of logits {gap:.1e})", gap)


def _probe(model: torch.nn.Module, few: Sequence[Row], *, top: int, packing: Packing) -> None:
    """Raises CannotCut unless the model in two parts is the whole one on a few rows."""
    try:
        gap = trunk_gap(model, held(model, few, top=top, packing=packing), few, packing=packing)
    except ModelError as error:
        raise CannotCut(error.message) from error
    except (RuntimeError, TypeError, IndexError, AttributeError) as error:
        # A family whose layers are called or answer in another way than those known here.
        raise CannotCut(f"{type(plain(model)).__name__} cannot be run in two parts: {error}") from error
    if not gap <= bound_of(model):
        raise CannotCut(f"cut in two, this model gives other logits (relative difference {gap:.1e})")


def cached_as_whole(
    model: torch.nn.Module, encoded: Encoded, decided: Decided, *, packing: Packing, system: str
) -> Check:
    """The proof on the model as it was trained: had a layer of the trunk moved, its stored states would be stale."""
    bound = bound_of(model)
    if decided.trunk is None:
        return Check.not_applicable(_CHECK, f"<= {bound:g}", f"there is no trunk: {decided.why}", system=system)
    gap = trunk_gap(model, decided.trunk, _shortest(encoded), packing=packing)
    return Check(
        _CHECK, float(f"{gap:.3g}"), f"<= {bound:g}", gap <= bound,
        "train without it (train.trunk: never), and report this base model.", system,
    )  # fmt: skip


@torch.no_grad()
def trunk_gap(model: torch.nn.Module, trunk: Trunk, rows: Sequence[Row], *, packing: Packing) -> float:
    """|cut - whole| / |whole| over the logits of rows, in one batch, in the dtype that the model computes in.

    Leaves the model in eval mode.
    """
    model.eval()
    ones = (1,) * len(rows)
    batch = batch_of(Encoded(tuple(rows), ones, ones, (1.0,) * len(rows)), range(len(rows)), packing=packing)
    whole_model = _logits(model, batch).double()
    with entering(model, trunk.top, trunk.of(batch).to(whole_model.device)):
        cut = _logits(model, batch).double()
    return float((cut - whole_model).norm() / whole_model.norm().clamp(min=1e-30))


def _logits(model: torch.nn.Module, batch: TokenBatch) -> torch.Tensor:
    device = next(model.parameters()).device
    keep = (batch.keep[0].to(device), batch.keep[1].to(device))
    with computing(model), head_at(model, keep):
        if batch.tree is not None:
            return read_tree(model, batch.tree)
        found: torch.Tensor = model(input_ids=batch.ids.to(device), use_cache=False).logits[0]
    return found


def _shortest(encoded: Encoded) -> list[Row]:
    order = sorted((i for i in range(len(encoded)) if len(encoded.ids[i]) > 1), key=lambda i: len(encoded.ids[i]))
    return [encoded.ids[i] for i in order[:_ROWS]]


def _trained_below(model: torch.nn.Module, top: int) -> str | None:
    """A trained weight of the layers below the top ones or of the input embedding, by name."""
    lower = list(stack_of(model).layers)[:-top]
    parts = [*lower, plain(model).get_input_embeddings()]  # type: ignore[operator]
    below = {id(tensor) for part in parts for tensor in part.parameters()}
    return next((name for name, t in model.named_parameters() if t.requires_grad and id(t) in below), None)
