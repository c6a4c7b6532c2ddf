"""Attention of new branches of a packed row over everything read before them, forwards only.

    with attending(model, by=branch_attention):                        # reading.py
        model(input_ids=new, position_ids=at, past_key_values=cache, blocks=layout, use_cache=True)

As in tree_attention.py each block gives a partial softmax and they are merged by their log-sums (Milakov and Gimelshein
2018). Here keys outnumber queries, nothing is kept for a backward, and scores stay small enough for the processor's
cache: what this costs is moving them, not multiplying. Computed in float32 at least, whatever the model computes in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from tunesmith.models.lm import wide
from tunesmith.models.tree_attention import Form, form_of

# Scores at once in long blocks: a megabyte of them.
_SCORES = 1 << 18


@dataclass(frozen=True, eq=False)
class Near:
    """Short branches side by side, each looking at what only it looks at: itself and its private beginning.

    index, live: (b, l) which of the new tokens, and what is no padding. keys: (b, k) packed indices.
    seen: (b, l, k), padding of neither.
    """

    index: torch.Tensor
    live: torch.Tensor
    keys: torch.Tensor
    seen: torch.Tensor


@dataclass(frozen=True)
class Far:
    """New tokens top … bottom-1 that look at tokens first … last-1 of the packed row. own: up to themselves only."""

    top: int
    bottom: int
    first: int
    last: int
    own: bool


@dataclass(frozen=True, eq=False)
class Layout:
    """Who looks at whom in one pass. Every new token is live in one Near, or in one Far that is its own.

    at: (n,) positions of the whole packed row. held: tokens of it that were read before. longest: of a path, in tokens.
    """

    at: torch.Tensor
    held: int
    longest: int
    near: tuple[Near, ...]
    far: tuple[Far, ...]


def branch_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **given: Any,
) -> tuple[torch.Tensor, None]:
    """What transformers calls: query (1, h, n, d) of the new tokens, key and value (1, g, held + n, d), and `blocks`.

    Returns (1, n, h, d). Raises ModelError where the family asks for what is not known here.
    """
    layout, form = form_of(module, query, attention_mask, given)
    with torch.autocast(query.device.type, enabled=False):
        found = _attend(wide(query[0]), wide(key[0]), wide(value[0]), layout, form)
    return found.to(query.dtype).transpose(0, 1)[None], None


def _attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, layout: Layout, form: Form) -> torch.Tensor:
    """q: (h, n, d); k, v: (g, held + n, d). Returns (h, n, d)."""
    heads, n, width = q.shape
    groups = k.shape[0]
    q = (q * form.scale).reshape(groups, heads // groups, n, width)  # heads that share keys stand together
    out = q.new_empty(*q.shape[:3], v.shape[-1])
    log_sum = q.new_empty(q.shape[:3])
    window = form.window if form.window is not None and layout.longest > form.window else None
    for near in layout.near:
        rows = q[:, :, near.index].transpose(1, 2)  # (g, b, e, l, d)
        g, b, e, length, _ = rows.shape
        scores = _capped(rows.reshape(g, b, e * length, width).matmul(k[:, near.keys].mT), form.cap)
        seen = near.seen
        if window is not None:
            mine, its = layout.at[near.index + layout.held], layout.at[near.keys]
            seen = seen & (mine[:, :, None] - its[:, None, :] < window)
        scores.view(g, b, e, length, -1).masked_fill_(~seen[:, None], _hidden(scores))
        part, part_sum = _softmax(scores, v[:, near.keys])
        where = near.index[near.live]
        out[:, :, where] = part.view(g, b, e, length, -1).transpose(1, 2)[:, :, near.live]
        log_sum[:, :, where] = part_sum.view(g, b, e, length).transpose(1, 2)[:, :, near.live]
    for far in layout.far:
        keys, values = k[:, far.first : far.last], v[:, far.first : far.last]
        for top, bottom in _tiles(far, heads):
            scores = _capped(q[:, :, top:bottom].reshape(groups, -1, width).matmul(keys.mT), form.cap)
            _hide(scores, far, top, bottom, layout, window)
            part, part_sum = _softmax(scores, values)
            here, sums = out[:, :, top:bottom], log_sum[:, :, top:bottom]
            part, part_sum = part.view(here.shape), part_sum.view(sums.shape)
            if far.own:
                here.copy_(part)
                sums.copy_(part_sum)
                continue
            both = torch.logaddexp(sums, part_sum)
            here.mul_((sums - both).exp_()[..., None]).add_(part.mul_((part_sum - both).exp_()[..., None]))
            sums.copy_(both)
    return out.reshape(heads, n, -1)


def _tiles(far: Far, heads: int) -> Iterator[tuple[int, int]]:
    rows = max(16, _SCORES // (heads * (far.last - far.first)))
    for top in range(far.top, far.bottom, rows):
        yield top, min(far.bottom, top + rows)


def _hide(scores: torch.Tensor, far: Far, top: int, bottom: int, layout: Layout, window: int | None) -> None:
    if not far.own and window is None:
        return
    mine, its = layout.at[layout.held + top : layout.held + bottom, None], layout.at[far.first : far.last]
    hidden = its > mine if far.own else torch.zeros_like(mine > its)
    if window is not None:
        hidden |= mine - its >= window
    scores.view(scores.shape[0], -1, bottom - top, far.last - far.first).masked_fill_(hidden, _hidden(scores))


def _hidden(scores: torch.Tensor) -> float:
    # Not minus infinity: a row that sees nothing of a block would give inf - inf. Its share is 0 this way too.
    return torch.finfo(scores.dtype).min / 2


def _capped(scores: torch.Tensor, cap: float | None) -> torch.Tensor:
    return scores if cap is None else scores.div_(cap).tanh_().mul_(cap)


def _softmax(scores: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The partial softmax's output and the log of its sum: the largest share is exp(largest score) over that sum."""
    top = scores.amax(dim=-1)
    share = scores.softmax(dim=-1)
    return share.matmul(values), top.sub_(share.amax(dim=-1).log_())
