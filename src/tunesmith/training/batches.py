"""Which Examples make up an optimizer step, and how they are laid out for the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tunesmith.core.dataset import Rows
from tunesmith.models.template import Asker

# A row at least this share of the longest one's length shares its batch: the rest is padding.
_ALIKE = 0.6
# Padded tokens from which on a batch keeps one or two cores busy by itself.
_BUSY = 384


def sample(n: int, *, size: int, seed: int, step: int) -> NDArray[np.int64]:
    """Positions of the Examples of one step: every epoch visits each of the n once, in an order of its own.

    A pure function of its arguments. The last step of an epoch may be smaller than `size`.
    """
    per_epoch = steps_per_epoch(n, size)
    epoch, at = divmod(step, per_epoch)
    order = np.random.default_rng([seed, epoch]).permutation(n)
    return order[at * size : (at + 1) * size].astype(np.int64)


def steps_per_epoch(n: int, size: int) -> int:
    """Optimizer steps that see every one of n Examples once."""
    return max(1, -(-n // size))


@dataclass(frozen=True)
class Encoded:
    """Rows as token ids, and what did not fit.

    ids: prompt and answer of each row. n_prompt: tokens of each prompt. weights: per row.
    n_end:         tokens at the end of each row that close the answer (0 where it was cut).
    answer_tokens: of all rows before cutting; answer_lost, source_lost: tokens that did not fit.
    """

    ids: tuple[tuple[int, ...], ...]
    n_prompt: tuple[int, ...]
    n_end: tuple[int, ...]
    weights: tuple[float, ...]
    answer_tokens: int = 0
    answer_lost: int = 0
    source_lost: int = 0

    def __len__(self) -> int:
        return len(self.ids)


def encode(rows: Rows, asker: Asker, *, max_tokens: int, room: int) -> Encoded:
    """Every row as its prompt in at most `room` tokens (cut as in prediction) and its answer in what is left."""
    ids: list[tuple[int, ...]] = []
    n_prompt, n_end = [], []
    answer_tokens = answer_lost = source_lost = 0
    for text, target in zip(rows.texts, rows.targets, strict=True):
        asked = asker.ask(text, room=room)
        answer = asker.template.answer_ids(target)
        kept = answer[: max(0, max_tokens - len(asked.ids))]
        ids.append((*asked.ids, *kept))
        n_prompt.append(len(asked.ids))
        n_end.append(1 if len(kept) == len(answer) else 0)
        answer_tokens += len(answer)
        answer_lost += len(answer) - len(kept)
        source_lost += asked.lost
    weights = tuple(float(w) for w in rows.weights)
    return Encoded(tuple(ids), tuple(n_prompt), tuple(n_end), weights, answer_tokens, answer_lost, source_lost)


def supervised(encoded: Encoded, row: int) -> range:
    """Columns of a row whose token is learned: the answer with its end and nothing of the prompt."""
    return range(encoded.n_prompt[row], len(encoded.ids[row]))


@dataclass(frozen=True)
class TokenBatch:
    """Some rows side by side, padded on the right, where causal attention never looks.

    ids: (b, t). keep: (n,), (n,) rows and columns from which a supervised token is predicted; the head is
    computed there and nowhere else. targets: (n,) those tokens. weights: (n,) of their rows.
    large: one row that is longer than a micro-batch should be; its activations are recomputed, not kept.
    """

    ids: torch.Tensor
    keep: tuple[torch.Tensor, torch.Tensor]
    targets: torch.Tensor
    weights: torch.Tensor
    large: bool = False


def batch_of(encoded: Encoded, rows: Sequence[int], *, large: bool = False) -> TokenBatch:
    """The padded batch of these rows; padding is token 0, which is neither seen nor learned."""
    longest = max(len(encoded.ids[i]) for i in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    at, columns, targets, weights = [], [], [], []
    for row, i in enumerate(rows):
        ids[row, : len(encoded.ids[i])] = torch.tensor(encoded.ids[i])
        for column in supervised(encoded, i):
            at.append(row)
            columns.append(column - 1)
            targets.append(encoded.ids[i][column])
            weights.append(encoded.weights[i])
    return TokenBatch(
        ids, (torch.tensor(at, dtype=torch.long), torch.tensor(columns, dtype=torch.long)),
        torch.tensor(targets, dtype=torch.long), torch.tensor(weights, dtype=torch.float32), large,
    )  # fmt: skip


def micro_batches(encoded: Encoded, rows: Sequence[int], *, max_tokens: int) -> list[TokenBatch]:
    """The rows in batches of at most `max_tokens` padded tokens, similar lengths together; longest first.

    A row longer than that is a batch of its own. Rows much shorter than the first of their batch begin another
    one as soon as the batch is large enough to keep the arithmetic busy.
    """
    order = sorted(rows, key=lambda i: (-len(encoded.ids[i]), i))
    groups: list[list[int]] = []
    for i in order:
        if groups:
            group = groups[-1]
            longest = len(encoded.ids[group[0]])
            wasteful = len(encoded.ids[i]) < _ALIKE * longest and longest * len(group) >= _BUSY
            if longest * (len(group) + 1) <= max_tokens and not wasteful:
                group.append(i)
                continue
        groups.append([i])
    return [batch_of(encoded, group, large=len(encoded.ids[group[0]]) > max_tokens) for group in groups]


@dataclass(frozen=True)
class TokenBatches:
    """The micro-batches of every optimizer step: a pure function of (seed, step).

    size: rows in an optimizer step. max_tokens: padded tokens in a micro-batch, which bounds the memory.
    """

    encoded: Encoded
    size: int
    seed: int
    max_tokens: int

    def __call__(self, step: int) -> list[TokenBatch]:
        rows = sample(len(self.encoded), size=self.size, seed=self.seed, step=step)
        return micro_batches(self.encoded, rows.tolist(), max_tokens=self.max_tokens)
