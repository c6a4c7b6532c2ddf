"""Short measurements of this machine, made once before the plan and written into it."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from tunesmith.core.context import Limits
from tunesmith.core.dataset import Rows
from tunesmith.tasks import Prompt, Task

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from tunesmith.models.encoder import Encoder
    from tunesmith.training.batches import TokenBatch
    from tunesmith.training.systems import Workload

# Seconds to read a small base model from the cache.
LOAD_S = 3.0

# A LoRA step's commonest product, a few hundred tokens through a linear layer of a small model.
_TOKENS, _WIDTH, _INNER = 384, 576, 1536
# bfloat16 must win clearly: it costs digits, and both timings are noisy.
_CLEAR_WIN = 1.2
# A token that is written, in tokens whose logits are asked for; measured on two tables (docs/log.md): 2.4 where many
# rows of like length are written at once, 4.4 to 5.1 where long ones leave room for fewer.
_WRITTEN = 4.0
# Tokens that are enough to time a step.
_TIMED_TOKENS = 800


def probe_dtype(threads: int, device: str = "cpu") -> tuple[Literal["bfloat16", "float32"], str]:
    """The dtype in which this device trains faster, with the reason. Takes about a second, on the CPU on `threads`."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        seconds = {}
        for dtype in (torch.float32, torch.bfloat16):
            x = torch.ones(_TOKENS, _WIDTH, dtype=dtype, device=device)
            w = torch.ones(_INNER, _WIDTH, dtype=dtype, device=device)
            seconds[dtype] = _quickest(partial(torch.nn.functional.linear, x, w), on=device)
    finally:
        torch.set_num_threads(before)
    gain = seconds[torch.float32] / seconds[torch.bfloat16]
    flops = 2 * _TOKENS * _WIDTH * _INNER / 1e9
    where = f"{threads} thread{'s' if threads > 1 else ''}" if device == "cpu" else device
    measured = (
        f"a layer's product runs at {flops / seconds[torch.bfloat16]:.0f} GFLOP/s in bfloat16 and "
        f"{flops / seconds[torch.float32]:.0f} in float32 on {where}"
    )
    if gain >= _CLEAR_WIN:
        return "bfloat16", f"{measured}: {gain:.1f}x faster"
    return "float32", f"{measured}: bfloat16 does not pay"


@dataclass(frozen=True)
class LmSpeed:
    """What a base model does on this machine with these rows.

    train_s: seconds of a training step per Example, the rows of a step packed as in training.
    tokens_per_s: of a forward pass. text_tokens: mean tokens of a row's text alone. row_tokens: of all of it.
    label_tokens: of all labels, what they begin with in common once. written_tokens: mean of a row's answer.
    asked_token: a token whose logits are asked for, in tokens that are only read: 1 and the head's share.
    """

    train_s: float
    tokens_per_s: float
    text_tokens: float
    row_tokens: float
    label_tokens: float
    written_tokens: float
    asked_token: float


def probe_lm(folder: Path, rows: Rows, task: Task, prompt: Prompt, limits: Limits) -> LmSpeed:
    """How fast a base model is on rows like these, trained with rank-16 LoRA as by default; some seconds.

    A few rows are timed; what a step of all of them costs follows from their packed tokens.
    """
    import torch

    from tunesmith.models.lm import LanguageModel
    from tunesmith.models.methods import method
    from tunesmith.models.template import Asker
    from tunesmith.training.batches import encode, micro_batches
    from tunesmith.training.losses import answer_loss, mean_loss
    from tunesmith.training.memory import cut_for
    from tunesmith.training.packing import choose_packing
    from tunesmith.training.prompted import lengths_of
    from tunesmith.training.tuned_lm import BATCH

    lm = LanguageModel.load(folder, limits)
    lengths = lengths_of(lm.template, rows.targets, lm.context)
    encoded = encode(rows, Asker(lm.template, task, prompt), max_tokens=lengths.max_tokens, room=lengths.room)
    packing = choose_packing(lm.model, encoded).packing
    lm.model = method.get("lora").apply(lm.model, {}, seed=0)
    cut = cut_for(lm.model, encoded, packing, limit=limits.max_memory_bytes)

    def batched(some: Sequence[int]) -> list[TokenBatch]:
        return micro_batches(encoded, some, **cut.told())

    def priced(some: Sequence[int]) -> float:
        return sum(batch.cost for batch in batched(some))

    most, typical = min(BATCH, len(encoded)), typical_first([len(ids) for ids in encoded.ids])
    timed = next((typical[:n] for n in range(1, most) if priced(typical[:n]) >= _TIMED_TOKENS), typical[:most])
    batches = batched(timed)

    def step() -> None:
        for batch in batches:
            total, weight = answer_loss(lm.model, batch)
            (total / weight).backward()  # type: ignore[no-untyped-call]

    with torch.no_grad():
        forward = _quickest(lambda: mean_loss(lm.model, batches), for_s=1.5, on=limits.device)
    per_token = _quickest(step, for_s=2.0, on=limits.device) / priced(timed)
    steps = [range(start, min(start + BATCH, len(encoded))) for start in range(0, len(encoded), BATCH)]
    per_row = sum(map(priced, steps)) / len(encoded)
    texts = lm.template.tokenizer(list(rows.texts), add_special_tokens=False)["input_ids"]
    labels = (tuple(lm.template.answer_ids(label)) for label in prompt.labels)
    return LmSpeed(
        per_token * per_row,
        sum(batch.ids.numel() for batch in batches) / forward,
        sum(map(len, texts)) / len(encoded),
        sum(map(len, encoded.ids)) / len(encoded),
        len({label[:n] for label in labels for n in range(1, len(label) + 1)}),
        encoded.answer_tokens / len(encoded),
        asked_token(lm.model),
    )


def asked_token(model: torch.nn.Module) -> float:
    """What a token costs whose logits are asked for, in tokens that are only read, by the weights that it meets."""
    head = model.get_output_embeddings().weight  # type: ignore[operator]
    tables = {id(part.weight): part.weight.numel() for part in (model.get_input_embeddings(),)}  # type: ignore[operator]
    tables[id(head)] = head.numel()
    body = sum(tensor.numel() for tensor in model.parameters()) - sum(tables.values())
    return 1.0 + float(head.numel()) / max(1.0, float(body))


def answer_tokens(work: Workload, *, whole_tree: bool = False) -> float:
    """What answering one text costs, in tokens of forward pass.

    Labels: the prompt (less, as its shared prefix is read once) and the part of the label tree that is looked at,
    all of it where `whole_tree`. Text: the prompt, and written tokens, each of which costs as much as several read.
    Where logits are asked for comes what the head does, which for a large vocabulary is more than all the rest.
    """
    if work.n_labels:
        tree = work.label_tokens or 5.0 * work.n_labels
        return work.tokens_per_text + work.asked_token * (tree if whole_tree else min(tree, 60.0))
    return work.tokens_per_text + _WRITTEN * work.asked_token * (work.written_tokens or work.tokens_per_text)


def _quickest(work: Callable[[], object], *, for_s: float = 0.25, on: str = "cpu") -> float:
    """Seconds of the fastest of several calls: other programs only ever make it slower.

    on: the device, whose queue is waited for: a call may come back before its arithmetic is done.
    """
    _run(work, on)
    best, began = float("inf"), time.perf_counter()
    while True:
        start = time.perf_counter()
        _run(work, on)
        now = time.perf_counter()
        best = min(best, now - start)
        if now - began >= for_s:
            return best


def _run(work: Callable[[], object], on: str) -> None:
    work()
    if on != "cpu":
        import torch

        torch.accelerator.synchronize()


def probe_encoder(folder: Path, texts: Sequence[str], limits: Limits) -> float:
    """Texts per second that the encoder reads as they come: what forecasts of its training count in."""
    from tunesmith.models.encoder import Encoder

    encoder = Encoder.load(folder, limits)
    return len(texts) / _quickest(lambda: encoder.embed(texts), for_s=1.0, on=limits.device)


@dataclass(frozen=True)
class Reading:
    """What the frozen encoder takes on this machine: seconds of a call, of a token, of a pair of tokens, of a text.

    A call reads texts of equal length together. Pairs: attention grows with the square of the length.
    """

    call_s: float
    token_s: float
    pair_s: float
    text_s: float

    def each(self, lengths: Sequence[int], *, n: int, at_most: int) -> float:
        """Seconds of a text when `n` texts whose lengths are distributed like `lengths` are read in one go.

        at_most: tokens of a call. Expected calls for a length: at least one if any of the n texts has it.
        """
        total = 0.0
        for length, count in Counter(lengths).items():
            texts = n * count / len(lengths)
            calls = max(1.0 - math.exp(-texts), texts / max(1, at_most // max(1, length)))
            total += calls * self.call_s + texts * (self.token_s * length + self.pair_s * length * length)
        return total / n + self.text_s


def probe_reading(folder: Path, texts: Sequence[str], limits: Limits, *, n: int, piece: int) -> tuple[float, float]:
    """Texts per second that the frozen encoder reads: all `n` in one go, and `piece` at a time. About three seconds.

    texts: some of the n. Calls of three lengths (at sixths of all tokens) and three sizes are timed; what they
    take is call + tokens + pairs, fitted by least squares of relative errors. Real reading sorts texts into calls of
    equal length, so texts timed as they come would look slower.
    """
    from tunesmith.models.encoder import TOKENS_PER_BATCH, Encoder

    encoder = Encoder.load(folder, limits)
    start = time.perf_counter()
    windows = encoder.tokenize(texts)
    text_s = (time.perf_counter() - start) / len(texts)
    lengths = sorted(max(1, len(ids)) for ids in windows.ids)
    mass = np.cumsum(lengths)
    shapes = {}
    for share in (1 / 6, 1 / 2, 5 / 6):
        at = int(np.searchsorted(mass, share * mass[-1]))
        row = next(ids for ids in windows.ids if max(1, len(ids)) == lengths[at])
        full = max(1, TOKENS_PER_BATCH // lengths[at])
        shapes.update({(size, lengths[at]): [row] * size for size in (1, -(-full // 4), full)})
    took = _passes({shape: partial(_read, encoder, ids) for shape, ids in shapes.items()}, on=limits.device)
    columns = np.array([[1.0, size * length, size * length**2] for size, length in took])
    call_s, token_s, pair_s = _positive_fit(columns, np.array(list(took.values())))
    speed = Reading(call_s, token_s, pair_s, text_s)
    # A text of several windows is as many calls' rows.
    share = len(lengths) / len(texts)

    def per_s(together: int) -> float:
        rows = max(1, round(share * together))
        return 1.0 / (share * (speed.each(lengths, n=rows, at_most=TOKENS_PER_BATCH) - text_s) + text_s)

    return per_s(max(1, n)), per_s(max(1, min(piece, n)))


def _read(encoder: Encoder, ids: Sequence[Sequence[int]]) -> None:
    import torch

    with torch.inference_mode():
        encoder.forward(ids)


def _passes(
    works: dict[tuple[int, int], Callable[[], object]], *, for_s: float = 2.0, on: str = "cpu"
) -> dict[tuple[int, int], float]:
    """Seconds of the fastest of several calls of each, taken in turn, at least twice."""
    best = dict.fromkeys(works, float("inf"))
    began, passes = time.perf_counter(), 0
    while passes < 2 or time.perf_counter() - began < for_s:
        for shape, work in works.items():
            start = time.perf_counter()
            _run(work, on)
            best[shape] = min(best[shape], time.perf_counter() - start)
        passes += 1
    return best


def typical_first(lengths: Sequence[int]) -> list[int]:
    """Rows in the order in which their length is near to the mean of the lengths, each counted as often as it is long.

    A row takes a l + b l^2 seconds, the latter for attention. One of length E[l^2] / E[l] takes per token what all rows
    take per token together, where one of mean length would leave out how much dearer long rows are.
    """
    target = sum(n * n for n in lengths) / max(1, sum(lengths))
    return sorted(range(len(lengths)), key=lambda i: (abs(lengths[i] - target), i))


def _positive_fit(columns: NDArray[np.float64], seconds: NDArray[np.float64]) -> tuple[float, ...]:
    """Weights of the columns, none below 0, by least squares of relative errors: the most negative goes, fit anew."""
    found = np.zeros(columns.shape[1])
    kept = list(range(columns.shape[1]))
    relative = columns / seconds[:, None]
    while kept:
        weights = np.linalg.lstsq(relative[:, kept], np.ones(len(seconds)), rcond=None)[0]
        if (weights >= 0).all():
            found[kept] = weights
            break
        del kept[int(np.argmin(weights * relative[:, kept].mean(axis=0)))]
    return tuple(float(weight) for weight in found)


def count_words(texts: Sequence[str]) -> float:
    """Mean words of a text, for forecasts where there is no tokenizer."""
    return sum(len(text.split()) for text in texts) / max(1, len(texts))
