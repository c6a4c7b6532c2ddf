"""What a language model wrote, and where it began to repeat itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# An answer that has said the same thing so many times in a row, and at least so many tokens of it, says nothing more.
_LOOP_TIMES, _LOOP_TOKENS, LONGEST_LOOP = 4, 24, 48


@dataclass(frozen=True)
class Generated:
    """One answer's token ids without the token that ended it. ended: False if it ran into the token limit."""

    ids: list[int]
    ended: bool


def before_loop(ids: Sequence[int]) -> int | None:
    """How many of the ids to keep if they end in a loop: up to the end of its first time; None if they do not."""
    n = len(ids)
    for period in range(1, min(LONGEST_LOOP, n // _LOOP_TIMES) + 1):
        times = max(_LOOP_TIMES, -(-_LOOP_TOKENS // period))
        if n < period * times or ids[-1] != ids[-1 - period]:
            continue
        tail = ids[n - period * times :]
        if all(tail[j] == tail[j - period] for j in range(period, len(tail))):
            return n - period * (times - 1)
    return None
