"""Attention over packed rows, as a function that transformers models call in place of their own.

    with attending(model):                                       # any family on the attention registry
        model(input_ids=ids, position_ids=at, blocks=blocks_of(tree, device), use_cache=False)

A causal model reads a tree of shared beginnings. A bidirectional one cannot share any: what a token becomes depends on
all that follows it. It reads whole texts one after the other (`blocks_of_texts`), each seeing itself and no other.

Who may look at whom falls into blocks: a segment and itself (causal; segments of like length together), and all that
hangs on a segment and that segment (one product of matrices, as a subtree is a contiguous range). Each block gives a
partial softmax; they are merged by their log-sums. Backward computes probabilities again from the merged log-sums, so
what is kept grows with the tokens and not with their pairs. Source: Milakov and Gimelshein 2018 (merging softmaxes);
Dao et al. 2022, section 3 (the backward from log-sums).
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch

from tunesmith.core.errors import ModelError
from tunesmith.models.tree import Segment, Tree

# Segments down to this share of the longest one's length share its block: the rest is padding.
_ALIKE = 0.7
# Rows of a score matrix at once for long segments: half of what is computed would lie above the diagonal.
_TILE = 256
_LOG2_E = math.log2(math.e)
# What reaches an attention function and is honoured or harmless. Anything else changes the arithmetic in a way
# that is not known here (attention sinks, biases): such a family is refused, never computed wrongly.
_HONOURED = {"dropout", "scaling", "sliding_window", "softcap", "blocks"}
_HARMLESS = {"position_ids", "use_cache", "cache_position", "output_attentions", "is_causal", "position_embeddings",
             "output_hidden_states", "return_dict", "logits_to_keep", "num_items_in_batch",
             "deterministic"}  # fmt: skip


# Tensors inside: x (g, e, n, d) has g groups of heads that share keys and values, e heads in each, n packed tokens.
# A block takes its rows of x as (…, e * rows, d) and its keys of k or v (g, n, d) as (…, keys, d): one product per
# group (and segment), whatever the number of heads.


@dataclass(frozen=True, eq=False)
class _Side:
    """Short segments that look at themselves, side by side, padded to the longest.

    index: (b, l) packed indices, 0 for padding. lengths: (b,) tokens. live: where in b * l there is no padding, where:
    the packed indices there. Every token is in one such block or _Range.
    """

    index: torch.Tensor
    lengths: torch.Tensor
    live: torch.Tensor
    where: torch.Tensor
    sets: bool = True

    @property
    def even(self) -> bool:
        """Nothing is padding."""
        return len(self.live) == self.index.numel()

    def rows(self, x: torch.Tensor) -> torch.Tensor:
        b, width = self.index.shape
        part = x.index_select(2, self.index.view(-1))
        part = part.view(*x.shape[:2], b, width, *x.shape[3:]).transpose(1, 2)  # (g, b, e, l, …)
        return part.reshape(part.shape[0], b, -1, *part.shape[4:])

    def keys(self, k: torch.Tensor) -> torch.Tensor:
        return k.index_select(1, self.index.view(-1)).view(k.shape[0], *self.index.shape, -1)

    def put(self, x: torch.Tensor, part: torch.Tensor, *, more: bool = False) -> None:
        b, width = self.index.shape
        part = part.view(part.shape[0], b, -1, width, *part.shape[3:]).transpose(1, 2).flatten(2, 3)  # (g, e, b l, …)
        part = part if self.even else part.index_select(2, self.live)
        x.index_add_(2, self.where, part) if more else x.index_copy_(2, self.where, part)

    def put_keys(self, k: torch.Tensor, part: torch.Tensor) -> None:
        part = part.flatten(1, 2)
        k.index_add_(1, self.where, part if self.even else part.index_select(1, self.live))

    def hide(self, scores: torch.Tensor, blocks: Blocks, window: int | None, value: float) -> None:
        b, width = self.index.shape
        if self.even and not blocks.causal and window is None:
            return
        order = torch.arange(width, device=self.index.device)
        padding = order >= self.lengths[:, None]  # (b, l)
        # Rows of padding too: in backward they would add to the gradients of keys.
        hidden = padding[:, None, :] | padding[:, :, None]  # (b, l, l)
        if blocks.causal or window is not None:
            hidden |= _beyond(order[:, None], order, blocks, window)
        scores.view(scores.shape[0], b, -1, width, width).masked_fill_(hidden[:, None], value)


@dataclass(frozen=True)
class _Range:
    """Tokens top … bottom-1 that look at tokens first … last-1. own: both are of one segment, so keys up to the row.

    sets: the first block of these rows, which sets the output that others add to.
    """

    top: int
    bottom: int
    first: int
    last: int
    own: bool

    @property
    def sets(self) -> bool:
        return self.own

    def rows(self, x: torch.Tensor) -> torch.Tensor:
        part = x[:, :, self.top : self.bottom]
        return part.reshape(part.shape[0], -1, *part.shape[3:])

    def keys(self, k: torch.Tensor) -> torch.Tensor:
        return k[:, self.first : self.last]

    def put(self, x: torch.Tensor, part: torch.Tensor, *, more: bool = False) -> None:
        here = x[:, :, self.top : self.bottom]
        part = part.view(here.shape)
        here.add_(part) if more else here.copy_(part)

    def put_keys(self, k: torch.Tensor, part: torch.Tensor) -> None:
        k[:, self.first : self.last] += part

    def hide(self, scores: torch.Tensor, blocks: Blocks, window: int | None, value: float) -> None:
        if not (self.own and blocks.causal) and (window is None or blocks.longest <= window):
            return
        first = self.first
        if self.own and blocks.causal and (window is None or blocks.longest <= window):
            first, window = self.top, None  # all keys before the rows themselves are seen
        mine, its = blocks.at[self.top : self.bottom, None], blocks.at[first : self.last]
        hidden = _beyond(mine, its, blocks, window)  # nothing that hangs on a segment comes before it
        view = scores.view(scores.shape[0], -1, self.bottom - self.top, self.last - self.first)
        view[..., first - self.first :].masked_fill_(hidden, value)


@dataclass(frozen=True, eq=False)
class Blocks:
    """Everything attention has to know of packed rows, blocks that set rows first.

    at: (n,) positions, for layers whose window slides. longest: tokens of the longest row.
    causal: nobody sees what comes after it; otherwise windows reach both ways.
    """

    at: torch.Tensor
    blocks: tuple[_Side | _Range, ...]
    longest: int
    causal: bool = True


def _beyond(mine: torch.Tensor, its: torch.Tensor, blocks: Blocks, window: int | None) -> torch.Tensor:
    """Which keys at positions `its` are out of sight of rows at positions `mine`."""
    if not blocks.causal:
        return (mine - its).abs() >= (blocks.longest if window is None else window)
    return its > mine if window is None else (its > mine) | (mine - its >= window)


def blocks_of(tree: Tree, device: torch.device | str = "cpu") -> Blocks:
    """The blocks of a tree, once for all layers and steps that use it."""
    blocks = [block for group in _alike(tree.segments) for block in _own(group, device)]
    blocks += [_Range(s.end, s.last, s.start, s.end, own=False) for s in tree.segments if s.last > s.end]
    at = torch.from_numpy(tree.at).to(device)
    return Blocks(at, tuple(blocks), int(tree.at.max(initial=-1)) + 1)


def blocks_of_texts(lengths: Sequence[int], device: torch.device | str = "cpu") -> Blocks:
    """The blocks of whole texts one after the other, for a model that reads both ways. lengths: in tokens."""
    ends = itertools.accumulate(lengths)
    segments = [Segment(end - n, end, end, -1) for n, end in zip(lengths, ends, strict=True) if n]
    blocks = [block for group in _alike(segments) for block in _own(group, device, causal=False)]
    at = torch.tensor([at for n in lengths for at in range(n)], dtype=torch.long, device=device)
    return Blocks(at, tuple(blocks), max(lengths, default=0), causal=False)


def _alike(segments: Sequence[Segment]) -> list[list[Segment]]:
    groups: list[list[Segment]] = []
    for segment in sorted(segments, key=lambda s: (s.start - s.end, s.start)):
        length = segment.end - segment.start
        if groups:
            first = groups[-1][0]
            longest = first.end - first.start
            if longest <= _TILE and length >= _ALIKE * longest:
                groups[-1].append(segment)
                continue
        groups.append([segment])
    return groups


def _own(group: Sequence[Segment], device: torch.device | str, *, causal: bool = True) -> list[_Side | _Range]:
    if len(group) == 1:
        s = group[0]
        tiles = [(top, min(s.end, top + _TILE)) for top in range(s.start, s.end, _TILE)]
        return [_Range(top, bottom, s.start, bottom if causal else s.end, own=True) for top, bottom in tiles]
    lengths = torch.tensor([s.end - s.start for s in group])
    order = torch.arange(int(lengths.max()))
    live = order < lengths[:, None]
    index = (torch.tensor([s.start for s in group])[:, None] + order).masked_fill_(~live, 0)
    flat = live.view(-1).nonzero()[:, 0]
    return [_Side(index.to(device), lengths.to(device), flat.to(device), index[live].to(device))]


@dataclass(frozen=True)
class Form:
    """What a layer does with scores: scale, then the cap tanh(s / cap) cap, then the window in positions.

    dropout: share of the probabilities that are dropped. seed: of the draw, so that backward can draw the same again.
    """

    scale: float
    cap: float | None
    window: int | None
    dropout: float = 0.0
    seed: int = 0

    def draw(self, device: torch.device) -> torch.Generator | None:
        """What decides on dropping, block after block; None if nothing is dropped."""
        return torch.Generator(device).manual_seed(self.seed) if self.dropout else None

    def kept(self, scores: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """0 where a probability is dropped, 1 / (1 - dropout) elsewhere; scores' shape."""
        share = 1.0 - self.dropout
        return torch.empty_like(scores).bernoulli_(share, generator=generator).div_(share)


class _TreeAttention(torch.autograd.Function):
    """q: (g, e, n, d); k, v: (g, n, d). Returns (g, e, n, d)."""

    @staticmethod
    def forward(
        ctx: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, blocks: Blocks, form: Form
    ) -> torch.Tensor:
        out, log_sum = torch.empty_like(q), q.new_empty(q.shape[:-1])
        draw = form.draw(q.device)
        for block in blocks.blocks:
            scores, _ = _scores(block, q, k, blocks, form)
            top = scores.amax(dim=-1, keepdim=True)
            total = scores.sub_(top).exp2_().sum(dim=-1, keepdim=True)
            if draw is not None:
                scores.mul_(form.kept(scores, draw))
            part = scores.matmul(block.keys(v)).div_(total)
            part_sum = (top + total.log2_())[..., 0]
            if block.sets:
                block.put(out, part)
                block.put(log_sum, part_sum)
                continue
            old = block.rows(log_sum)
            both = torch.logaddexp2(old, part_sum)
            kept = block.rows(out) * (old - both).exp2_()[..., None]
            block.put(out, kept.add_(part.mul_((part_sum - both).exp2_()[..., None])))
            block.put(log_sum, both)
        ctx.save_for_backward(q, k, v, out, log_sum)
        ctx.blocks, ctx.form = blocks, form
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """dS = P (dP - D) with D = sum(dO O) by row; dQ = dS K, dK = dS' Q, dV = P' dO.

        What dropout keeps, M: dP becomes M dP, dV = (M P)' dO; D is unchanged, as sum(P M dP) = sum(dO O).
        """
        q, k, v, out, log_sum = ctx.saved_tensors
        blocks, form = ctx.blocks, ctx.form
        grad = grads[0].contiguous()
        dq, dk, dv = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
        inner = (grad * out).sum(dim=-1)  # (g, e, n)
        draw = form.draw(q.device)
        for block in blocks.blocks:
            scores, slope = _scores(block, q, k, blocks, form)
            share = scores.sub_(block.rows(log_sum)[..., None]).exp2_()
            back = block.rows(grad)
            bent = back.matmul(block.keys(v).mT)
            if draw is None:
                block.put_keys(dv, share.mT.matmul(back))
            else:
                kept = form.kept(share, draw)
                bent.mul_(kept)
                block.put_keys(dv, kept.mul_(share).mT.matmul(back))
            bent.sub_(block.rows(inner)[..., None]).mul_(share)
            if slope is not None:
                bent.mul_(slope)
            bent.mul_(form.scale)
            block.put(dq, bent.matmul(block.keys(k)), more=True)
            block.put_keys(dk, bent.mT.matmul(block.rows(q)))
        return dq, dk, dv, None, None


def _scores(
    block: _Side | _Range, q: torch.Tensor, k: torch.Tensor, blocks: Blocks, form: Form
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """(…, rows, keys) scores in units of log 2, hidden ones at a very low number, and the cap's slope if there is one.

    Powers of two: the exp of a CPU's vector library takes 15 to 45 times as long where the result underflows, as it
    does for every hidden score; its exp2 does not.
    """
    scores = block.rows(q).matmul(block.keys(k).mT)
    slope = None
    if form.cap is None:
        scores.mul_(form.scale * _LOG2_E)
    else:
        bent = scores.mul_(form.scale / form.cap).tanh_()
        slope = 1.0 - bent.square()
        scores = bent.mul_(form.cap * _LOG2_E)
    # Not minus infinity: a row that sees nothing of a block would give inf - inf. Its share is 0 this way too.
    block.hide(scores, blocks, form.window, torch.finfo(scores.dtype).min / 2)
    return scores, slope


def tree_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **given: Any,
) -> tuple[torch.Tensor, None]:
    """What transformers calls: query (1, h, n, d), key and value (1, g, n, d), and the keyword `blocks`.

    Returns (1, n, h, d). Raises ModelError where the family asks for what is not known here.
    """
    blocks, form = form_of(module, query, attention_mask, given)
    _, heads, n, width = query.shape
    groups = key.shape[1]
    q = query[0].reshape(groups, heads // groups, n, width)
    out = _TreeAttention.apply(q, key[0], value[0], blocks, form)  # type: ignore[no-untyped-call]
    return out.reshape(heads, n, -1).transpose(0, 1)[None], None


def form_of(
    module: torch.nn.Module, query: torch.Tensor, attention_mask: torch.Tensor | None, given: dict[str, Any]
) -> tuple[Any, Form]:
    """The `blocks` that the model was called with, and what this layer does with scores.

    given: the keywords that reached an attention function. Raises ModelError where one of them is not known here.
    """
    unknown = sorted(name for name in set(given) - _HONOURED - _HARMLESS if given[name] is not None)
    blocks = given.get("blocks")
    dropout = float(given.get("dropout") or 0.0)
    shared = dropout > 0.0 and getattr(blocks, "causal", True)  # rows would share what is dropped of a beginning
    if unknown or blocks is None or attention_mask is not None or shared:
        what = ", ".join(unknown) or ("attention dropout" if shared else "a mask instead of blocks")
        raise ModelError(
            f"{type(module).__name__} asks its attention for {what}, which packed rows do not serve.",
            hint="train it on padded batches (train.packing: padded).",
        )
    scale = given.get("scaling")
    scale = query.shape[-1] ** -0.5 if scale is None else float(scale)
    seed = int(torch.randint(2**62, ())) if dropout else 0
    return blocks, Form(scale, given.get("softcap"), given.get("sliding_window"), dropout, seed)


def _no_mask(*_: Any, **__: Any) -> None:
    """Blocks say who sees whom; a mask made from positions that restart would hide the shared beginning."""


def read_tree(model: torch.nn.Module, tree: Tree) -> torch.Tensor:
    """The model's logits for the packed row: (n, vocabulary), or fewer rows where a hook on its head keeps fewer."""
    device = next(model.parameters()).device
    with attending(model):
        found: torch.Tensor = model(
            input_ids=torch.from_numpy(tree.ids)[None].to(device),
            position_ids=torch.from_numpy(tree.at)[None].to(device),
            blocks=blocks_of(tree, device),
            use_cache=False,
        ).logits[0]
    return found


def read_texts(model: torch.nn.Module, ids: Sequence[Sequence[int]], *, first: int = 0) -> torch.Tensor:
    """What a bidirectional model makes of texts' tokens, one text after the other: (n, width).

    first: the position of a text's first token; not 0 in RoBERTa and its kin.
    """
    device = next(model.parameters()).device
    blocks = blocks_of_texts([len(row) for row in ids], device)
    tokens = torch.tensor([token for row in ids for token in row], device=device)
    with attending(model):
        found: torch.Tensor = model(
            input_ids=tokens[None], position_ids=blocks.at[None] + first, blocks=blocks
        ).last_hidden_state[0]
    return found


@contextmanager
def attending(model: torch.nn.Module, *, by: Callable[..., Any] = tree_attention) -> Iterator[None]:
    """Inside the block the model's attention is `by`, which gets the keyword `blocks` that the model is called with.

    Raises ModelError if the family cannot switch, or takes no position ids: packed rows could not restart them.
    """
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    name = f"tunesmith_{by.__name__}"
    AttentionInterface.register(name, by)
    AttentionMaskInterface.register(name, _no_mask)
    base: Any = cast("Any", model).get_base_model() if hasattr(model, "get_base_model") else model
    if "position_ids" not in inspect.signature(type(base).forward).parameters:
        raise _unserved(base, "takes no position ids")
    before = base.config._attn_implementation
    try:
        base.set_attn_implementation(name)
    except (ValueError, AttributeError) as error:
        raise _unserved(base, "does not let its attention be chosen") from error
    if base.config._attn_implementation != name:  # a family with an attention of its own only logs it
        raise _unserved(base, "does not let its attention be chosen")
    try:
        yield
    finally:
        base.set_attn_implementation(before)


def _unserved(model: torch.nn.Module, why: str) -> ModelError:
    return ModelError(f"{type(model).__name__} {why}.", hint="train it on padded batches (train.packing: padded).")
