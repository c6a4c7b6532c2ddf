"""Proofs that a language model was trained on what it should have been, and that what was saved is what was trained.

Each function measures one thing and returns a Check with its bound; the `lm` system records them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from tunesmith.core.checks import Check
from tunesmith.models.lm import LanguageModel, computing, head_at
from tunesmith.models.template import Asker
from tunesmith.training.batches import Encoded, Packing, TokenBatch, micro_batches
from tunesmith.training.losses import answer_logits

SYSTEM = "lm"
MOST_LOST = 0.01  # share of answer tokens that may be cut unless truncation was allowed
SAME_LOSS = 1e-4  # nats per token
SAME_LOGITS = 1e-4  # largest difference of logits read back, in the dtype they were computed in
MERGED_LOGITS = 1e-3  # in float32: folding an adapter into the weights rounds each of them once
LEAST_END = 0.05  # mean probability of ending where the reference answer ends,
END_GAIN = 3.0  # or this many times what the base gave it: a weak model is sure of nothing
END_ROWS = 16
STEPS_TO_LEARN_END = 20
# Tokens that are read together, and prompts that two forms of a model are compared by.
AT_ONCE = 1024
_COMPARED = 4


def unsupervised_rows(batches: Sequence[TokenBatch], n_rows: int) -> Check:
    """Rows that teach nothing, counted in the very batches that the loop will see."""
    taught = 0
    for batch in batches:
        live = batch.rows[(batch.targets >= 0) & (batch.weights > 0)]
        taught += int(torch.unique(live).numel())
    return Check(
        "rows with no supervised token",
        n_rows - taught,
        "= 0",
        taught == n_rows,
        "drop rows with empty answers or weight 0, or allow a longer context: their whole answer was cut off.",
        SYSTEM,
    )


def lost_answer_tokens(encoded: Encoded, *, allowed: bool) -> Check:
    """Share of the answers' tokens that did not fit into the context."""
    share = encoded.answer_lost / max(1, encoded.answer_tokens)
    bound = "any (truncation allowed)" if allowed else f"<= {MOST_LOST}"
    return Check(
        "answer tokens lost to truncation",
        round(share, 6),
        bound,
        allowed or share <= MOST_LOST,
        "shorten the rows, choose a base with a longer context, or set train.allow_truncation: true.",
        SYSTEM,
    )


def ends_supervised(encoded: Encoded, batches: Sequence[TokenBatch], end_id: int) -> Check:
    """Uncut rows whose last supervised token is not the one that ends an answer, in the loop's own batches."""
    closed = 0
    for batch in batches:
        last = {int(row): int(token) for row, token in zip(batch.rows, batch.targets, strict=True)}
        closed += sum(token == end_id for token in last.values())
    missing = sum(1 for n in encoded.n_end if n) - closed
    return Check(
        "answers whose end is not supervised",
        missing,
        "= 0",
        missing <= 0,
        "the model would never learn to stop; this is a fault in the masking of this version: please report it.",
        SYSTEM,
    )


def same_template(trained: Asker, serving: Asker, texts: Sequence[str]) -> Check:
    """Rows whose prompt, as the saved system words it, differs in any byte or token from the one trained on."""
    different = sum(
        trained.text(text) != serving.text(text) or trained.ask(text).ids != serving.ask(text).ids for text in texts
    )
    if trained.template.fingerprint != serving.template.fingerprint:
        different = max(different, 1)
    return Check(
        "prompts that differ between training and prediction",
        different,
        "= 0",
        different == 0,
        "the chat template or tokenizer changed after training; delete the folder of this system and run again.",
        SYSTEM,
    )


def untrained_adapter(base_loss: float, adapted_loss: float) -> Check:
    """A fresh adapter must change nothing: the loss with it is the loss of the base."""
    gap = abs(base_loss - adapted_loss)
    return Check(
        "loss of the untrained adapter minus loss of the base",
        _number(gap),
        f"<= {SAME_LOSS}",
        gap <= SAME_LOSS,
        "the method changes the model before any training; choose another method.",
        SYSTEM,
    )


def adapter_moved(start: Mapping[str, torch.Tensor], end: Mapping[str, torch.Tensor], *, back: bool = False) -> Check:
    """Length of the way from the adapter's first weights to its last; not a number if any weight is not finite.

    back: the training was rolled back to the untuned model, so that nothing may have moved.
    """
    if back:
        why = "the training was rolled back to the untuned model"
        return Check.not_applicable(
            "distance that the adapter moved from its start", "> 0 and finite", why, system=SYSTEM
        )
    gaps = [(end[name].detach() - start[name]).cpu().double() for name in start]  # mps has no float64
    squares = sum(float(gap.square().sum()) for gap in gaps)
    moved = math.sqrt(squares) if math.isfinite(squares) else float("nan")
    return Check(
        "distance that the adapter moved from its start",
        _number(moved),
        "> 0 and finite",
        math.isfinite(moved) and moved > 0.0,
        "nothing was learned, or it exploded: check the learning rate (train.rate).",
        SYSTEM,
    )


def end_learned(after: float | None, before: float | None, *, steps: int, taught: bool = True) -> Check:
    """Probability of ending where reference answers end, on held-out rows, against what the base gave it.

    taught: False where the loss only compares answers (preference pairs): the end need not be learned, but must not be
    lost either.
    """
    name = "probability of ending where an answer ends"
    least, words = (END_GAIN, f"{END_GAIN:g} times") if taught else (1.0 / END_GAIN, f"a {END_GAIN:g}rd of")
    bound = f">= {LEAST_END}, or {words} the base's"
    if steps < STEPS_TO_LEARN_END:
        return Check.not_applicable(name, bound, f"{steps} steps are too few to judge by", system=SYSTEM)
    if after is None or before is None:
        return Check.not_applicable(name, bound, "there are no held-out rows with a whole answer", system=SYSTEM)
    return Check(
        name,
        _number(after),
        bound + f" {before:.3g}",
        after >= min(LEAST_END, least * before),
        "answers would run on to the token limit: train longer, or choose an instruct base with a chat template.",
        SYSTEM,
    )


def reloaded(memory: torch.Tensor, disk: torch.Tensor) -> Check:
    """Largest difference between logits of the trained model and of the one read back from what was saved."""
    gap = _gap(memory, disk)
    return Check(
        "saved and reloaded against memory, logits",
        _number(gap),
        f"<= {SAME_LOGITS}",
        gap <= SAME_LOGITS,
        "what was saved is not what was trained: check the disk, delete this system's folder and run again.",
        SYSTEM,
    )


def merged(adapter: torch.Tensor, folded: torch.Tensor) -> Check:
    """Largest difference between logits with the adapter beside the weights and folded into them, float32."""
    gap = _gap(adapter, folded)
    return Check(
        "merged against adapter, logits",
        _number(gap),
        f"<= {MERGED_LOGITS}",
        gap <= MERGED_LOGITS,
        "this method cannot be merged into this base: ship the adapter, or choose another method.",
        SYSTEM,
    )


@torch.no_grad()
def probe_logits(model: torch.nn.Module, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
    """(n, vocabulary) float32 logits after each prompt, one at a time: what two forms of a model are compared by."""
    device = next(model.parameters()).device
    rows = []
    for prompt in prompts:
        last = (torch.tensor([0], device=device), torch.tensor([len(prompt) - 1], device=device))
        with computing(model), head_at(model, last):
            out = model(input_ids=torch.tensor([list(prompt)], device=device), use_cache=False).logits
        rows.append(out[0, 0].float().cpu())
    return torch.stack(rows)


def float32(lm: LanguageModel) -> LanguageModel:
    """The same model with every weight in float32, in place."""
    lm.model.float()
    return lm


@torch.no_grad()
def end_probability(
    model: torch.nn.Module, encoded: Encoded, *, end_id: int, packing: Packing = "padded"
) -> float | None:
    """Mean probability of the end token where the first 16 uncut answers end; None if there are none."""
    rows = [i for i in range(len(encoded)) if encoded.n_end[i]][:END_ROWS]
    found: list[float] = []
    for batch in micro_batches(encoded, rows, max_tokens=AT_ONCE, max_recomputed=AT_ONCE, packing=packing):
        ends = torch.cat([batch.rows[1:] != batch.rows[:-1], torch.ones(1, dtype=torch.bool)])  # the last of each row
        there = replace(batch, keep=(batch.keep[0][ends], batch.keep[1][ends]))  # no other logits are made
        found += torch.softmax(answer_logits(model, there).float(), dim=1)[:, end_id].tolist()
    return sum(found) / len(found) if found else None


def few(prompts: Sequence[Sequence[int]]) -> range:
    """Positions of the first prompts that are enough to compare two forms of a model by: at most 4, of long ones 2."""
    tokens = list(itertools.accumulate(len(prompt) for prompt in prompts[:_COMPARED]))
    return range(min(len(tokens), max(2, sum(n <= AT_ONCE for n in tokens))))


def _gap(a: torch.Tensor, b: torch.Tensor) -> float:
    gap = float((a - b).abs().max())
    return gap if math.isfinite(gap) else float("inf")


def _number(value: float) -> float | str:
    """As a JSON number, or in words."""
    return float(f"{value:.6g}") if math.isfinite(value) else "not finite"
