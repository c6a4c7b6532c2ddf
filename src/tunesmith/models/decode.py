"""Text from a language model, greedy or drawn, many prompts at once.

A prefix shared by all prompts is read once and its keys and values kept. A row that ends makes room for a prompt that
waits. In float32 it is what asking one prompt at a time would give.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from tunesmith.models.continuous import Writer, Writing
from tunesmith.models.padded import PaddedReader
from tunesmith.models.written import Generated

if TYPE_CHECKING:
    from tunesmith.models.lm import LanguageModel
    from tunesmith.models.structured import Bound

# Writing wants many rows at once, because a step reads all weights for however few rows there are: rows, and tokens
# that all of them hold. Rows that outgrow it are read again later, which costs little beside writing.
_ROWS, _HELD = 64, 16384
# An answer is expected to be at least so long when it is asked whether there is room for it.
_GROW = 32
# Tokens of prompts in one forward pass: so many at most, for memory's sake; fewer are not worth a pass of their own
# while others are written.
_READ, _WORTH_READING = 2048, 256


def generate(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    prefix: Sequence[int] = (),
    rows: int = _ROWS,
    break_loops: bool = False,
    bound: Bound | None = None,
    draw: torch.Generator | None = None,
    ended: Callable[[], object] = lambda: None,
) -> list[Generated]:
    """The greedy continuation of each prompt, in order, up to a stop token or `max_new_tokens`, at least one.

    prompts: token ids, none empty. prefix: ids that prompts are known to begin with; read once.
    rows:    prompts at once; a step of a few rows costs little more than a step of one.
    break_loops: end an answer that repeats itself for the fourth time in a row, and keep the first time. Greedy
             writing of small models hardly ever leaves such a loop, and would fill the limit with it.
    bound:   what every answer has to obey; of the tokens that may come next the likeliest is taken.
    draw:    draw each token by its probability (temperature 1), with this generator of the CPU; None: the likeliest.
    ended:   called once for each answer, when it has ended.
    """
    assert bound is None or draw is None, "what is drawn obeys nothing"

    def took(one: Writing) -> None:
        if one.finish:
            one.walk = None  # which takes memory
            ended()

    answers = [
        Writing(prompt, max_new_tokens, took, break_loops, temperature=0.0 if draw is None else 1.0, draw=draw)
        for prompt in prompts
    ]
    writer = Writer(lm, rows=rows, tokens=_HELD, kept_tokens=0)
    texts = [list(prompt) for prompt in prompts]
    reader = PaddedReader(lm, texts, prefix)
    number = {id(one): i for i, one in enumerate(answers)}
    waiting = sorted(range(len(texts)), key=lambda i: (-len(texts[i]), i))
    while waiting or writer.active:
        batch = _next_batch(writer, [len(texts[i]) for i in waiting[:rows]], len(reader.prefix))
        if batch:
            some, waiting = waiting[:batch], waiting[batch:]
            for one in (answers[i] for i in some if bound):
                one.walk = one.walk or bound.begin()  # type: ignore[union-attr]
            writer.join_read([answers[i] for i in some], *reader.start(some))
        back = [number[id(one)] for one in writer.put_back()]
        for i in back:
            texts[i][:] = [*prompts[i], *answers[i].written]
        waiting = sorted([*waiting, *back], key=lambda i: (-len(texts[i]), i)) if back else waiting
        writer.step()
    return [Generated(one.written, one.finish == "stop") for one in answers]


def _next_batch(writer: Writer, lengths: Sequence[int], shared: int) -> int:
    """How many of the next ones, of these lengths, longest first, are to be read now.

    shared: tokens of the prefix, which are not read.
    """
    if not lengths:
        return 0
    held, own = len(writer.active), lengths[0] - shared
    room = writer.tokens // max(writer.longest, lengths[0] + _GROW)
    n = max(0, min(len(lengths), min(writer.rows, room) - held, max(1, _READ // own)))
    if not held:  # whatever its length, one has to be written
        return max(1, n)
    return n if n == len(lengths) or sum(lengths[:n]) - n * shared >= _WORTH_READING else 0
