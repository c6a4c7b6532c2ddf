"""Learns which of two answers to a prompt is better, from pairs, with nothing but the adapter in memory.

    pairs      prompt 0 + chosen 0, prompt 0 + rejected 0, prompt 1 + chosen 1, …        rows 0, 1, 2, … of an Encoded
    reference  log P of every answer by the untrained model: read once, before anything is trained, and kept
    batches    both answers of a pair share their micro-batch, and in a tree their prompt, which is read once

With h = (log p(chosen) - log ref(chosen)) - (log p(rejected) - log ref(rejected)), sums over an answer's tokens and
its end, a pair costs -log sigmoid(beta h): Rafailov et al. 2023, eq. 7. Where a share e of the pairs may be labelled
the wrong way round: -(1 - e) log sigmoid(beta h) - e log sigmoid(-beta h) (Mitchell 2023, conservative DPO). The chosen
answer's mean negative log-likelihood per token may be added with a weight (Pang et al. 2024, eq. 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from tunesmith.core.dataset import Rows
from tunesmith.core.errors import ConfigError, DataError
from tunesmith.models.template import Asker
from tunesmith.training.batches import Encoded, Packing, TokenBatch, batch_of, encode, row_groups, sample
from tunesmith.training.losses import answer_logits, token_log_probs


def encode_pairs(rows: Rows, asker: Asker, *, max_tokens: int, room: int) -> Encoded:
    """2n rows: 2i is the prompt of row i with its target, the chosen answer; 2i + 1 the same with `rows.rejected[i]`.

    Prompts are cut to `room` tokens as in prediction, answers to what is left; tokens cut off either are counted.
    Raises DataError if a rejected answer is missing or equals the chosen one, also after cutting: it teaches nothing.
    """
    if len(rows.rejected) != len(rows):
        raise DataError(
            f"{len(rows):,} rows have {len(rows.rejected):,} rejected answers.",
            hint="learning from preferences needs a chosen and a rejected answer in every row.",
        )
    refuse_unusable(rows)
    chosen = encode(rows, asker, max_tokens=max_tokens, room=room)
    rejected = encode(replace(rows, targets=rows.rejected), asker, max_tokens=max_tokens, room=room)
    alike = [i for i in range(len(rows)) if chosen.ids[i] == rejected.ids[i]]
    if alike:
        raise DataError(
            f"row {int(rows.ids[alike[0]])}: chosen and rejected answer are the same to the model "
            f"({len(alike):,} such rows; {max_tokens} tokens fit).",
            hint="drop these rows, shorten the prompts, or choose a base model with a longer context.",
        )
    both = [by_turns for pair in zip(chosen.ids, rejected.ids, strict=True) for by_turns in pair]
    ends = [end for pair in zip(chosen.n_end, rejected.n_end, strict=True) for end in pair]
    return Encoded(
        tuple(both),
        tuple(n for n in chosen.n_prompt for _ in range(2)),
        tuple(ends),
        tuple(w for w in chosen.weights for _ in range(2)),
        chosen.answer_tokens + rejected.answer_tokens,
        chosen.answer_lost + rejected.answer_lost,
        chosen.source_lost,
    )


def refuse_unusable(rows: Rows) -> None:
    """Raises DataError, naming the first row, where a rejected answer is empty or the same text as the chosen one."""
    empty = [i for i, answer in enumerate(rows.rejected) if not answer.strip()]
    if empty:
        raise DataError(
            f"row {int(rows.ids[empty[0]])}: the rejected answer is empty ({len(empty):,} such rows).",
            hint="give every row a rejected answer, or drop the rows without one.",
        )
    same = [i for i, answer in enumerate(rows.rejected) if answer.strip() == rows.targets[i].strip()]
    if same:
        raise DataError(
            f"row {int(rows.ids[same[0]])}: the rejected answer is the chosen one ({len(same):,} such rows).",
            hint="drop these rows: two equal answers say nothing about which is better.",
        )


def chosen_rows(pairs: Encoded) -> Encoded:
    """The chosen answers alone, as rows to learn or to measure on."""
    return Encoded(pairs.ids[::2], pairs.n_prompt[::2], pairs.n_end[::2], pairs.weights[::2])


@dataclass(frozen=True, eq=False)
class PairBatch:
    """Some pairs: rows 2i and 2i + 1 of `tokens` are chosen and rejected. reference: (b, 2); weights: (b,) of pairs."""

    tokens: TokenBatch
    reference: torch.Tensor
    weights: torch.Tensor


def pair_batches(
    pairs: Encoded,
    reference: torch.Tensor,
    some: Sequence[int],
    *,
    max_tokens: int,
    max_recomputed: int | None = None,
    packing: Packing = "tree",
) -> list[PairBatch]:
    """Pairs `some` (numbers of pairs, not of rows) in micro-batches; no pair is torn apart.

    reference: (n, 2) of all pairs, from `reference_log_probs`. max_tokens, max_recomputed: as for `micro_batches`.
    """
    batches = []
    rows = _side_by_side(pairs, packing)
    for group, large in row_groups(rows, some, max_tokens=max_tokens, max_recomputed=max_recomputed, packing=packing):
        tokens = batch_of(pairs, [row for i in group for row in (2 * i, 2 * i + 1)], packing=packing, large=large)
        weights = torch.tensor([pairs.weights[2 * i] for i in group], dtype=torch.float32)
        batches.append(PairBatch(tokens, reference[group], weights))
    return batches


def _side_by_side(pairs: Encoded, packing: Packing) -> Encoded:
    """A pair as one row with as many tokens as it will take up, so that pairs are put together like rows."""
    ids: list[tuple[int, ...]] = []
    for chosen, rejected in zip(pairs.ids[::2], pairs.ids[1::2], strict=True):
        if packing == "padded":
            ids.append((*chosen, *(0,) * (2 * max(len(chosen), len(rejected)) - len(chosen))))
        else:
            n = min(len(chosen), len(rejected))
            differ = np.flatnonzero(np.asarray(chosen[:n]) != np.asarray(rejected[:n]))
            ids.append((*chosen, *rejected[int(differ[0]) if len(differ) else n :]))
    return replace(pairs, ids=tuple(ids))


@dataclass(frozen=True, eq=False)
class PairBatches:
    """The micro-batches of every optimizer step, a pure function of (seed, step). size: pairs in a step."""

    pairs: Encoded
    reference: torch.Tensor
    size: int
    seed: int
    max_tokens: int
    packing: Packing = "tree"
    max_recomputed: int | None = None

    def __call__(self, step: int) -> list[PairBatch]:
        some = sample(len(self.pairs) // 2, size=self.size, seed=self.seed, step=step).tolist()
        return pair_batches(
            self.pairs, self.reference, some, max_tokens=self.max_tokens, max_recomputed=self.max_recomputed,
            packing=self.packing,
        )  # fmt: skip


@torch.no_grad()
def reference_log_probs(
    model: torch.nn.Module, pairs: Encoded, *, max_tokens: int, packing: Packing = "tree"
) -> torch.Tensor:
    """(n, 2) log P(chosen), log P(rejected) of every pair by the model as it is: call it before anything is trained."""
    found: torch.Tensor | None = None
    n = len(pairs) // 2
    for group, _ in row_groups(_side_by_side(pairs, packing), range(n), max_tokens=max_tokens, packing=packing):
        tokens = batch_of(pairs, [row for i in group for row in (2 * i, 2 * i + 1)], packing=packing)
        log_probs = answer_log_probs(model, tokens).view(-1, 2).cpu()
        if found is None:
            found = log_probs.new_zeros(n, 2)
        found[group] = log_probs
    return torch.zeros(0, 2) if found is None else found


def answer_log_probs(model: torch.nn.Module, batch: TokenBatch) -> torch.Tensor:
    """(rows,) log P(answer and its end | prompt) in nats, a sum over the answer's tokens."""
    logits = answer_logits(model, batch)
    log_probs = token_log_probs(logits, batch.targets.to(logits.device))
    rows = batch.rows.to(logits.device)
    return log_probs.new_zeros(_rows_in(batch)).index_add(0, rows, log_probs)


def _rows_in(batch: TokenBatch) -> int:
    return int(batch.ids.shape[0]) if batch.tree is None else len(batch.tree.where)


@dataclass(frozen=True)
class PreferenceLoss:
    """What a pair costs; a Loss of the training loop over PairBatch: (sum over pairs by weight, their weight).

    beta:       how firmly the model is held to the untrained one; 0.01 (far) to 0.5 (near), 0.1 in the paper.
    smoothing:  share of pairs thought to be labelled the wrong way round, 0 to below 0.5.
    supervised: weight of the chosen answer's mean negative log-likelihood per token; 0 leaves it out, 1 counts it like
                the preference. It keeps the chosen answer likely, which preference alone does not.
    Raises ConfigError for values outside these bounds.
    """

    beta: float = 0.1
    smoothing: float = 0.0
    supervised: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 < self.beta < float("inf"):
            raise ConfigError(f"beta is {self.beta:g}.", hint="it must be above 0; 0.1 is usual.")
        if not 0.0 <= self.smoothing < 0.5:
            raise ConfigError(
                f"smoothing is {self.smoothing:g}.",
                hint="it is the share of pairs labelled the wrong way round: from 0 to below 0.5.",
            )
        if not 0.0 <= self.supervised < float("inf"):
            raise ConfigError(f"the weight of the supervised term is {self.supervised:g}.", hint="0 leaves it out.")

    def __call__(self, model: torch.nn.Module, batch: PairBatch) -> tuple[torch.Tensor, float]:
        log_probs = answer_log_probs(model, batch.tokens).view(-1, 2)  # (b, 2)
        margins = _margins(self.beta, log_probs, batch)
        losses = -functional.logsigmoid(margins)
        if self.smoothing:
            losses = (1 - self.smoothing) * losses - self.smoothing * functional.logsigmoid(-margins)
        if self.supervised:
            counted = torch.bincount(batch.tokens.rows, minlength=2 * len(losses)).to(losses)
            losses = losses - self.supervised * log_probs[:, 0] / counted[::2].clamp(min=1.0)
        return (losses * batch.weights.to(losses)).sum(), float(batch.weights.sum())


def _margins(beta: float, log_probs: torch.Tensor, batch: PairBatch) -> torch.Tensor:
    """(b,) the chosen answer's reward less the rejected one's: beta times the gain over the reference."""
    gains = log_probs - batch.reference.to(log_probs)
    return beta * (gains[:, 0] - gains[:, 1])


@dataclass(frozen=True)
class Preferred:
    """What a model prefers on n pairs, counted by their weights.

    accuracy: share whose chosen answer has the larger reward, beta (log p - log ref). margin: by how much, on average.
    loss:     of the pairs, without a supervised term. Before training these are 0, 0 and log 2.
    """

    n: int
    accuracy: float
    margin: float
    loss: float


@torch.no_grad()
def preferred(model: torch.nn.Module, batches: Sequence[PairBatch], loss: PreferenceLoss) -> Preferred:
    """What the model, as it is, prefers on these pairs."""
    right = margin = cost = weight = 0.0
    n = 0
    for batch in batches:
        margins = _margins(loss.beta, answer_log_probs(model, batch.tokens).view(-1, 2), batch).double().cpu()
        weights = batch.weights.double()
        smooth = loss.smoothing
        losses = -(1 - smooth) * functional.logsigmoid(margins) - smooth * functional.logsigmoid(-margins)
        right += float(weights[margins > 0].sum())
        margin += float((weights * margins).sum())
        cost += float((weights * losses).sum())
        weight += float(weights.sum())
        n += len(margins)
    whole = max(weight, 1e-12)
    return Preferred(n, right / whole, margin / whole, cost / whole)
