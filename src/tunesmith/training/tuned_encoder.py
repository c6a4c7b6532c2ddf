"""An encoder with an adapter: trained by the common loop, saved in PEFT's layout, read back merged.

What it is trained for (labels, or likeness) is the caller's loss; this module knows neither rows nor rungs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from tunesmith.core.checks import Check
from tunesmith.core.context import Context
from tunesmith.models.encoder import Encoder
from tunesmith.models.methods import method as methods
from tunesmith.models.resolve import fetch
from tunesmith.models.spec import ModelSpec
from tunesmith.training.gradients import Loss

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Batches are cut from pools of so many batches, sorted by length: short texts are not padded to a long one's length.
_POOL = 16
# Tokens, pads included, that go through the encoder together in training; bounds the memory for long texts.
_TOKENS_AT_ONCE = 8192
# Texts are packed where less than so much of a padded batch would be text: what padding costs then is more than what
# gathering texts inside attention does (measured, docs/log.md).
_WORTH_PACKING = 0.8
# Largest difference of a unit vector's coordinate. Merging rounds each weight once.
SAME_VECTORS = 1e-6
MERGED_VECTORS = 1e-4


class Tuned(torch.nn.Module):
    """An encoder with an adapter on, and a linear head on its unit vectors.

    The head's weights are kept divided by `gain`, so that with Adam they move `gain` times as fast as the
    adapter under one learning rate: a head on unit vectors needs steps of about 0.01, an adapter of 0.001.
    packed: batches of unlike lengths are read in one row without padding (`text_packing` says whether they may be).
    """

    def __init__(
        self,
        encoder: Encoder,
        weight: NDArray[np.float32],
        bias: NDArray[np.float32],
        *,
        gain: float,
        packed: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.packed = packed
        self.adapted = encoder.module
        self.gain = gain
        self.weight = torch.nn.Parameter(torch.tensor(weight / gain, device=encoder.device))
        self.bias = torch.nn.Parameter(torch.tensor(bias / gain, device=encoder.device))

    def vectors(self, batch: Batch) -> torch.Tensor:
        """(texts, width) unit vectors of the texts of a batch; windows of one text are averaged."""
        packed = self.packed and batch.live <= _WORTH_PACKING
        parts = self.encoder.forward(batch.ids, packed=packed)  # (windows, width)
        if len(batch.ids) == batch.n:
            return parts
        weight = torch.tensor(batch.weight, dtype=parts.dtype, device=parts.device)
        owner = torch.tensor(batch.owner, device=parts.device)
        sums = torch.zeros(batch.n, parts.shape[1], dtype=parts.dtype, device=parts.device)
        return torch.nn.functional.normalize(sums.index_add(0, owner, parts * weight[:, None]), dim=-1)

    def logits(self, vectors: torch.Tensor) -> torch.Tensor:
        """(texts, k) of (texts, width)."""
        return (vectors @ self.weight.T + self.bias) * self.gain

    def head(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(k, width) weight and (k,) bias as they act."""
        weight = (self.weight.detach() * self.gain).cpu().numpy()
        return weight, (self.bias.detach() * self.gain).cpu().numpy()


@dataclass(frozen=True)
class Batch:
    """Some texts as windows of token ids. rows: their positions. owner: which of the n texts a window belongs to."""

    ids: list[list[int]]
    owner: list[int]
    weight: list[float]
    rows: NDArray[np.int64]

    @property
    def n(self) -> int:
        """Texts in the batch."""
        return len(self.rows)

    @property
    def live(self) -> float:
        """Share of the batch, padded, that is text and not padding."""
        return sum(map(len, self.ids)) / max(1, len(self.ids) * max(map(len, self.ids)))


class TextBatches:
    """Texts tokenised once; `batches(step)` gives the step's texts, every one once per epoch.

    A pure function of (seed, step): shuffled, sorted by length within pools, cut, and the cuts shuffled.
    """

    def __init__(self, encoder: Encoder, texts: Sequence[str], *, size: int, seed: int) -> None:
        windows = encoder.tokenize(texts)
        self._windows: list[list[int]] = [[] for _ in texts]
        for at, owner in enumerate(windows.owner):
            self._windows[int(owner)].append(at)
        self._ids, self._weight = windows.ids, windows.weight
        self._tokens = np.array([sum(len(windows.ids[w]) for w in own) for own in self._windows])
        self.size, self.seed = max(1, min(size, len(texts))), seed
        self._epoch = lru_cache(maxsize=2)(self._cut)

    @property
    def ids(self) -> list[list[int]]:
        """Every window of every text."""
        return self._ids

    def __call__(self, step: int) -> list[Batch]:
        """The micro-batches of an optimizer step: one, unless its texts are long."""
        epoch, at = divmod(step, self.steps_per_epoch)
        return self.batches_of(self._epoch(epoch)[at])

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps that see every text once."""
        return max(1, -(-len(self._windows) // self.size))

    def batches_of(self, rows: NDArray[np.int64]) -> list[Batch]:
        """These texts in as few batches as the bound on tokens allows."""
        found: list[Batch] = []
        some: list[int] = []
        longest = windows = 0
        for row in rows:
            own = [self._ids[w] for w in self._windows[row]]
            longest_now = max(longest, *(len(ids) for ids in own))
            if some and longest_now * (windows + len(own)) > _TOKENS_AT_ONCE:
                found.append(self._batch(some))
                some, windows, longest_now = [], 0, max(len(ids) for ids in own)
            some.append(int(row))
            windows, longest = windows + len(own), longest_now
        return [*found, self._batch(some)]

    def whole_batch(self, rows: NDArray[np.int64]) -> Batch:
        """These texts in one batch."""
        return self._batch([int(row) for row in rows])

    def _batch(self, rows: Sequence[int]) -> Batch:
        windows = [(at, w) for at, row in enumerate(rows) for w in self._windows[row]]
        return Batch(
            [self._ids[w] for _, w in windows],
            [at for at, _ in windows],
            [float(self._weight[w]) for _, w in windows],
            np.array(rows, dtype=np.int64),
        )

    def _cut(self, epoch: int) -> list[NDArray[np.int64]]:
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(self._windows))
        cuts = []
        for start in range(0, len(order), self.size * _POOL):
            pool = order[start : start + self.size * _POOL]
            pool = pool[np.argsort(self._tokens[pool], kind="stable")]
            cuts += [pool[at : at + self.size] for at in range(0, len(pool), self.size)]
        # A pool that is no multiple of the batch size leaves a small cut at its end; there is one pool like that.
        return [cuts[i] for i in rng.permutation(len(cuts))]


def adapted_encoder(
    spec: ModelSpec, settings: Mapping[str, float | int | str | bool], ctx: Context, *, seed: int
) -> Encoder:
    """A fresh copy of the encoder with an untrained adapter on. settings: method, rank, layers.

    layers: share of the transformer's layers, from the top, that learn; what lies below needs no backward pass. With
    the method `full` every weight learns that the vectors depend on, whatever the share.
    """
    encoder = Encoder.load(fetch(spec, ctx.emit), ctx.limits)
    # transformers' pooler follows the hidden states that are used here; an adapter on it would never learn.
    model = methods.get(str(settings["method"])).apply(encoder.module, settings, seed=seed)
    if settings["method"] == "full":
        for name, tensor in model.named_parameters():
            tensor.requires_grad_("pooler" not in name)
    else:
        _freeze_below(model, float(settings["layers"]))
    return encoder.with_module(model)


def _freeze_below(model: torch.nn.Module, share: float) -> None:
    import re

    numbered = re.compile(r"\.(?:layer|layers|h|block|blocks)\.(\d+)\.")
    depth = {name: int(m[1]) for name, _ in model.named_parameters() if (m := numbered.search(name))}
    lowest = round((1 - share) * (max(depth.values(), default=-1) + 1))
    learning = 0
    for name, tensor in model.named_parameters():
        if tensor.requires_grad and (name not in depth or depth[name] < lowest):
            tensor.requires_grad_(False)
        learning += int(tensor.requires_grad)
    if not learning:  # layers that are not numbered: all of them learn
        for name, tensor in model.named_parameters():
            tensor.requires_grad_("lora_" in name and "pooler" not in name)


def start_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Copies of what is trained, to be compared with what it becomes."""
    return {name: tensor.detach().clone() for name, tensor in model.named_parameters() if tensor.requires_grad}


def check_untrained(encoder: Encoder, bare: NDArray[np.float32], texts: Sequence[str], *, system: str) -> Check:
    """That an adapter changes nothing before it is trained. bare: the vectors of the frozen encoder."""
    gap = _gap(encoder.embed(texts), bare)
    return Check(
        "vectors of an untrained adapter = base", gap, f"<= {MERGED_VECTORS}", gap <= MERGED_VECTORS,
        "the method does not start at the base model; use another (train.method).", system,
    )  # fmt: skip


def check_moved(start: Mapping[str, torch.Tensor], model: torch.nn.Module, *, system: str) -> Check:
    """That every trained weight is finite and the adapter left its start. value: largest move."""
    now = dict(model.named_parameters())
    finite = all(bool(torch.isfinite(now[name]).all()) for name in start)
    adapter = [name for name in start if "lora_" in name] or list(start)
    moved = max(float((now[name].detach() - start[name]).abs().max()) for name in adapter) if finite else float("nan")
    return Check(
        "adapter finite and moved from its start", moved if finite else "not finite", "finite, > 0",
        finite and moved > 0.0, "lower train.rate if it is not finite, raise it if it did not move.", system,
    )  # fmt: skip


def check_reloaded(
    trained: Encoder, beside: Encoder, merged: Encoder, texts: Sequence[str], *, system: str
) -> list[Check]:
    """That what was saved is what was trained, and that folding the adapter in changes nothing that matters."""
    now = trained.embed(texts)
    saved, folded = _gap(now, beside.embed(texts)), _gap(now, merged.embed(texts))
    return [
        Check("saved and reloaded = in memory", saved, f"<= {SAME_VECTORS}", saved <= SAME_VECTORS,
              "the disk or the PEFT version damaged the adapter: run again, then report it.", system),
        Check("merged = adapter", folded, f"<= {MERGED_VECTORS}", folded <= MERGED_VECTORS,
              "train with dtype float32, or with a method that merges exactly.", system),
    ]  # fmt: skip


def _gap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.abs(a.astype(np.float64) - b).max()) if a.size else 0.0


def label_loss(codes: NDArray[np.int64], weights: NDArray[np.float32], *, smoothing: float) -> Loss[Batch]:
    """Cross-entropy of the head, summed over a batch with the rows' weights: a loss for the loop."""
    targets, row_weights = torch.tensor(codes), torch.tensor(weights)

    def loss(model: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, float]:
        tuned = cast("Tuned", model)
        logits = tuned.logits(tuned.vectors(batch))
        rows = torch.tensor(batch.rows)
        each = torch.nn.functional.cross_entropy(
            logits, targets[rows].to(logits.device), label_smoothing=smoothing, reduction="none"
        )
        weight = row_weights[rows].to(logits.device)
        return (each * weight).sum(), float(weight.sum())

    return loss


def set_loss(truth: NDArray[np.bool_], weights: NDArray[np.float32], *, smoothing: float) -> Loss[Batch]:
    """Cross-entropy of every label by itself, summed over labels and a batch with the rows' weights, for the loop.

    truth: (n, k), several labels to a row, or none. smoothing: how far from 0 and 1 the targets are held.
    """
    targets = torch.tensor(truth, dtype=torch.float32) * (1 - 2 * smoothing) + smoothing
    row_weights = torch.tensor(weights)

    def loss(model: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, float]:
        tuned = cast("Tuned", model)
        logits = tuned.logits(tuned.vectors(batch))
        rows = torch.tensor(batch.rows)
        each = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, targets[rows].to(logits.device), reduction="none"
        ).sum(dim=1)
        weight = row_weights[rows].to(logits.device)
        return (each * weight).sum(), float(weight.sum())

    return loss


def likeness_batches(
    texts: TextBatches, codes: NDArray[np.int64], *, size: int, seed: int
) -> Callable[[int], list[Batch]]:
    """Steps of `size` texts in one batch: equal numbers, two at least, of labels drawn at random.

    Labels with a single text come alone: they are pushed away from others. A pure function of (seed, step).
    """
    own = [np.flatnonzero(codes == label) for label in np.unique(codes)]

    def batches(step: int) -> list[Batch]:
        rng = np.random.default_rng([seed, step])
        labels = rng.permutation(len(own))[: max(2, size // 2)]
        each = max(2, size // max(1, len(labels)))
        rows = [rng.permutation(own[label])[:each] for label in labels]
        # One batch, whatever its tokens: likeness is between all of its texts.
        return [texts.whole_batch(np.concatenate(rows)[:size])]

    return batches


def likeness_loss(codes: NDArray[np.int64], *, sharpness: float) -> Loss[Batch]:
    """Supervised contrastive loss of a batch, weighted by its texts: a loss for the loop.

    sharpness: the temperature of the likenesses, sane between 0.05 and 0.2.
    """
    targets = torch.tensor(codes)

    def loss(model: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, float]:
        vectors = cast("Tuned", model).vectors(batch)
        labels = targets[torch.tensor(batch.rows)].to(vectors.device)
        alone = torch.eye(batch.n, dtype=torch.bool, device=vectors.device)
        likeness = (vectors @ vectors.T / sharpness).masked_fill(alone, -1e4)
        same = ((labels[:, None] == labels[None, :]) & ~alone).to(vectors.dtype)
        friends = same.sum(dim=1)
        each = -(torch.log_softmax(likeness, dim=1) * same).sum(dim=1) / friends.clamp(min=1.0)
        counted = float((friends > 0).sum())
        return each.sum(), max(counted, 1.0)

    return loss
