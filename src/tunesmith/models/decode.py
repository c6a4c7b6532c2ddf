"""Text from a language model, greedy or drawn, many prompts at once.

A prefix shared by all prompts is read once and its keys and values kept. In float32 it is what asking one prompt at a
time would give.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from tunesmith.models.padded import PaddedReader
from tunesmith.models.written import Generated, before_loop

if TYPE_CHECKING:
    from tunesmith.models.lm import LanguageModel
    from tunesmith.models.structured import Bound, Walk

# Writing wants many rows at once, because a step reads all weights for however few rows there are.
_WRITTEN_AT_ONCE = 4096


def generate(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    prefix: Sequence[int] = (),
    rows: int = 16,
    break_loops: bool = False,
    bound: Bound | None = None,
    draw: torch.Generator | None = None,
) -> list[Generated]:
    """The greedy continuation of each prompt, in order, up to a stop token or `max_new_tokens`.

    prompts: token ids, none empty. prefix: ids that prompts are known to begin with; read once.
    rows:    prompts at once; a step of a few rows costs little more than a step of one.
    break_loops: end an answer that repeats itself for the fourth time in a row, and keep the first time. Greedy
             writing of small models hardly ever leaves such a loop, and would fill the limit with it.
    bound:   what every answer has to obey; of the tokens that may come next the likeliest is taken.
    draw:    draw each token by its probability (temperature 1), with this generator of the CPU; None: the likeliest.
    """
    reader = PaddedReader(lm, prompts, prefix)
    stops = torch.tensor(lm.stops, device=lm.device)
    answers: list[Generated] = [Generated([], False)] * len(prompts)
    for batch in reader.batches(rows=rows, grow=min(max_new_tokens, 32), tokens=_WRITTEN_AT_ONCE):
        read, last = reader.start(batch)
        cache, keys_at, at = read.cache, read.keys_at, read.lengths
        rows_left = list(batch)
        written: dict[int, list[int]] = {i: [] for i in batch}
        walks = [None if bound is None else bound.begin() for _ in batch]
        token = _next(last, walks, stop=lm.stops[0], draw=draw)
        for _ in range(max_new_tokens):
            done = torch.isin(token, stops)
            for row, (i, word, over) in enumerate(zip(rows_left, token.tolist(), done.tolist(), strict=True)):
                if i >= 0 and over:
                    answers[i] = Generated(written[i], True)
                    rows_left[row] = -1
                elif i >= 0:
                    written[i].append(word)
                    kept = before_loop(written[i]) if break_loops else None
                    walk = walks[row]
                    if kept is not None:
                        answers[i] = Generated(written[i][:kept], True)
                        rows_left[row] = -1
                    elif walk is not None and not walk.take(word):
                        answers[i] = Generated(written[i], True)
                        rows_left[row] = -1
                if rows_left[row] < 0:
                    walks[row] = None
            live = [row for row, i in enumerate(rows_left) if i >= 0 and len(written[i]) < max_new_tokens]
            if not live:
                break
            if len(live) <= len(rows_left) // 2:  # copying the cache costs more than a few idle rows
                index = torch.tensor(live, device=lm.device)
                cache.batch_select_indices(index)
                keys_at, at, token = keys_at[index], at[index], token[index]
                rows_left, walks = [rows_left[row] for row in live], [walks[row] for row in live]
            keys_at = torch.cat([keys_at, at[:, None]], dim=1)
            keep = (torch.arange(len(rows_left), device=lm.device), torch.zeros_like(at))
            step = lm.logits(token[:, None], at=at[:, None], keys_at=keys_at, keep=keep, cache=cache)
            token = _next(step, walks, stop=lm.stops[0], draw=draw)
            at = at + 1
        for i in batch:
            if not answers[i].ended:
                answers[i] = Generated(written[i], False)
    return answers


def _next(
    logits: torch.Tensor, walks: Sequence[Walk | None], *, stop: int, draw: torch.Generator | None
) -> torch.Tensor:
    """(n,) the token that follows in each row."""
    if draw is None:
        return likeliest(logits, walks, stop=stop)
    assert not any(walks), "what is drawn obeys nothing"
    shares = torch.softmax(logits.float().cpu(), dim=1)
    return torch.multinomial(shares, 1, generator=draw)[:, 0].to(logits.device)


def likeliest(logits: torch.Tensor, walks: Sequence[Walk | None], *, stop: int) -> torch.Tensor:
    """(n,) the likeliest token of each row that its walk allows; `stop` where the walk is over."""
    if not any(walks):
        return logits.argmax(dim=1)
    with torch.inference_mode():  # the logits come from there, and may only be changed there
        for row, walk in enumerate(walks):
            if walk is None:
                continue
            forbidden = walk.forbidden()
            if forbidden is None:
                logits[row] = -torch.inf
                logits[row, stop] = 0.0
            else:
                logits[row].masked_fill_(torch.from_numpy(forbidden).to(logits.device), -torch.inf)
        return logits.argmax(dim=1)
