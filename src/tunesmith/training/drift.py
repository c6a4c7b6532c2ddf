"""How much a tuned model has forgotten: points of accuracy lost on text that it is not tuned for.

The unit is the point: of 100 next words (tokens) so many fewer are got right than by the untuned model. What is right
is said by the text: what the base itself wrote, the user's texts, the user's answers; where the user gives several
choices, of 100 questions so many fewer. Negative points are a gain.

On text that the base drew from itself the number of right words is known in expectation, and no single draw blurs it:
a model whose first choice is w gets p_base(w) of them, the base max p_base. So the points of a position are
100 (max p_base - p_base(w)), never negative. Beside it stands KL(base || tuned), in nats a token, over the base's 64
likeliest tokens and all others as one: a lower bound of the whole divergence, and close to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from tunesmith.core.statistics import Interval, binomial_at_most, bootstrap_mean, proportion_difference
from tunesmith.models.lm import LanguageModel, wide
from tunesmith.training.batches import Encoded, Packing, TokenBatch, batch_of, row_groups
from tunesmith.training.losses import answer_logits
from tunesmith.training.teaching import Teaching, taught_by

# The base's tokens per position that are remembered; 64 hold nearly all of its probability.
TOP = 64
# Tokens in a pass, and positions whose logits are widened at once.
_AT_ONCE, _ROWS_AT_ONCE = 256, 64
_LEAST_CHANCE = 0.05  # confidence that the base is above chance: one minus this
Kind = Literal["expected", "words", "choices"]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Items:
    """What a suite asks, in tokens. name: for people. kind: how points are counted (see the module).

    item: (rows,) which item each row belongs to; of choices an item has several rows. right: per item of choices the
    row that is right; () for other kinds.
    """

    name: str
    kind: Kind
    encoded: Encoded
    item: tuple[int, ...]
    right: tuple[int, ...] = ()

    @property
    def n(self) -> int:
        """Items."""
        return max(self.item, default=-1) + 1


@dataclass(frozen=True, eq=False)
class Suite:
    """Items, what the untuned model says of them, and the micro-batches to ask a model in: [(rows, batch)]."""

    items: Items
    told: Teaching
    log_probs: tuple[Floats, ...]  # of each row's own tokens, by the untuned model
    batches: tuple[tuple[tuple[int, ...], TokenBatch], ...]

    @classmethod
    def of(cls, lm: LanguageModel, items: Items, *, packing: Packing) -> Suite:
        """Asks the model, which must be untuned and without a method on it."""
        encoded = items.encoded
        names = [str(row) for row in range(len(encoded))]
        told = taught_by(lm, encoded, names, top=TOP, at_once=_AT_ONCE, packing=packing)
        groups = row_groups(encoded, range(len(encoded)), max_tokens=_AT_ONCE, packing=packing)
        batches = tuple((tuple(rows), batch_of(encoded, rows, packing=packing)) for rows, _ in groups)
        said = _asked(lm.model, batches, told)
        return cls(items, told, tuple(one.log_probs for one in said), batches)

    def why_not(self) -> str | None:
        """Why nothing can be learnt from it: choices that the untuned model gets right no more often than by chance."""
        if self.items.kind != "choices":
            return None
        right = self._picks(self.log_probs) == np.array(self.items.right)
        chance = float(np.mean([1.0 / np.sum(np.array(self.items.item) == i) for i in range(self.items.n)]))
        k = int(right.sum())
        if 1.0 - binomial_at_most(k - 1, len(right), chance) < _LEAST_CHANCE:
            return None
        return f"the untuned model gets {k} of {len(right)} right, no more than by chance ({chance:.0%})"

    def base_accuracy(self) -> float:
        """What the untuned model gets right, in per cent."""
        if self.items.kind == "choices":
            return 100.0 * float(np.mean(self._picks(self.log_probs) == np.array(self.items.right)))
        rows = range(len(self.items.encoded))
        if self.items.kind == "expected":
            parts = [np.exp(self.told.top_log_probs[i][:, 0].astype(np.float64)) for i in rows]
        else:
            parts = [(self.told.top_ids[i][:, 0] == self._targets(i)).astype(np.float64) for i in rows]
        return 100.0 * float(np.mean([part.mean() for part in parts]))

    def measure(self, model: torch.nn.Module) -> Measured:
        """What the model has lost against the untuned one, item by item."""
        said = _asked(model, self.batches, self.told)
        rise = np.array([float((was - one.log_probs).mean()) for was, one in zip(self.log_probs, said, strict=True)])
        kl = np.array([float(one.kl.mean()) for one in said])
        tokens = np.array([len(one.kl) for one in said], dtype=np.float64)
        if self.items.kind == "choices":
            right = np.array(self.items.right)
            before = self._picks(self.log_probs) == right
            after = self._picks([one.log_probs for one in said]) == right
            points = 100.0 * (before.astype(np.float64) - after)
        else:
            points = np.array([self._lost(row, one) for row, one in enumerate(said)])
        return Measured(points, kl, rise, tokens, self.items.kind)

    def _lost(self, row: int, said: _Said) -> float:
        """Points of one row: the mean over its tokens."""
        ids, logs = self.told.top_ids[row], self.told.top_log_probs[row].astype(np.float64)
        if self.items.kind == "expected":
            held = np.where(ids == said.best[:, None], np.exp(logs), 0.0).sum(axis=1)  # beyond the 64: nothing
            return 100.0 * float((np.exp(logs[:, 0]) - held).mean())
        targets = self._targets(row)
        return 100.0 * float(((ids[:, 0] == targets).astype(np.float64) - (said.best == targets)).mean())

    def _targets(self, row: int) -> NDArray[np.int64]:
        encoded = self.items.encoded
        return np.array(encoded.ids[row][encoded.n_prompt[row] :], dtype=np.int64)

    def _picks(self, log_probs: Sequence[Floats]) -> NDArray[np.int64]:
        """Per item the row whose answer is likeliest, per token: long answers are not thereby unlikely."""
        means = np.array([float(logs.mean()) for logs in log_probs])
        item = np.array(self.items.item)
        found = []
        for i in range(self.items.n):
            rows = np.flatnonzero(item == i)
            found.append(int(rows[int(means[rows].argmax())]))
        return np.array(found, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Measured:
    """What a model has lost on a suite. points: per item. kl, rise: per row, nats a token; tokens: of each row.

    rise: of the negative log-likelihood of the text's own tokens.
    """

    points: Floats
    kl: Floats
    rise: Floats
    tokens: Floats
    kind: Kind = "expected"

    @property
    def mean(self) -> float:
        """Points, the mean over items; not a number if the model's numbers are none."""
        sound = bool(np.isfinite(self.points).all() and np.isfinite(self.rise).all())
        return float(self.points.mean()) if sound else float("nan")

    def interval(self, *, seed: int) -> Interval:
        """95 % interval of the points: items are drawn anew, each with what it lost (paired); of choices, by counts."""
        if self.kind == "choices":
            lost, won = int((self.points > 0).sum()), int((self.points < 0).sum())
            low, high = proportion_difference(lost, won, len(self.points))
            return 100.0 * low, 100.0 * high
        return bootstrap_mean(self.points, seed=seed)

    @property
    def kl_per_token(self) -> float:
        """KL(base || tuned), nats a token."""
        return float(np.average(self.kl, weights=self.tokens))

    @property
    def perplexity_ratio(self) -> float:
        """Perplexity of the text for this model over that for the untuned one."""
        return float(np.exp(np.average(self.rise, weights=self.tokens)))


def worst(suites: Sequence[Suite], model: torch.nn.Module) -> float:
    """Points lost on the suite that lost most; of no suite 0."""
    found = [suite.measure(model).mean for suite in suites]
    return float("nan") if any(np.isnan(found)) else max(found, default=0.0)


@dataclass(frozen=True, eq=False)
class _Said:
    """What a model says at the supervised tokens of a row: its first choice, log P of the row's own token, KL."""

    best: NDArray[np.int64]
    log_probs: Floats
    kl: Floats


@torch.no_grad()
def _asked(
    model: torch.nn.Module, batches: Sequence[tuple[tuple[int, ...], TokenBatch]], told: Teaching
) -> list[_Said]:
    found: dict[int, _Said] = {}
    for rows, batch in batches:
        logits = answer_logits(model, batch)
        ids = torch.from_numpy(np.concatenate([told.top_ids[row] for row in rows])).to(logits.device)
        logs = torch.from_numpy(np.concatenate([told.top_log_probs[row] for row in rows])).to(logits.device)
        parts = [torch.split(t, _ROWS_AT_ONCE) for t in (logits, batch.targets.to(logits.device), ids, logs)]
        best, own, kl = (torch.cat(pieces).cpu().numpy() for pieces in zip(*map(_part, *parts), strict=True))
        owner = batch.rows.numpy()
        for at, row in enumerate(rows):
            mine = owner == at
            found[row] = _Said(best[mine], own[mine].astype(np.float64), kl[mine].astype(np.float64))
    return [found[row] for row in range(len(found))]


def _part(
    logits: torch.Tensor, targets: torch.Tensor, ids: torch.Tensor, logs: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(first choice, log P of the target, KL over the listed tokens and all others as one) of some positions."""
    log_probs = torch.log_softmax(wide(logits), dim=1)
    listed = log_probs.gather(1, ids).double()
    was = logs.double()
    shares = was.exp()
    kl = torch.where(shares > 0, shares * (was - listed), torch.zeros_like(shares)).sum(dim=1)
    if ids.shape[1] < logits.shape[1]:
        left = (1.0 - shares.sum(dim=1)).clamp(min=0.0)
        others = log_probs.scatter(1, ids, float("-inf")).logsumexp(dim=1).double()
        kl = kl + torch.where(left > 0, left * (left.clamp(min=1e-30).log() - others), torch.zeros_like(left))
    return log_probs.argmax(dim=1), log_probs.gather(1, targets[:, None])[:, 0], kl
