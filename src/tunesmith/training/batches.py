"""Which Examples make up an optimizer step, and how they are laid out for the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from tunesmith.core.dataset import Rows
from tunesmith.models.template import Asker
from tunesmith.models.tree import LEAST_SAVED, Tree, plant

# tree: rows share their beginnings in one packed row. padded: side by side, for models that a tree cannot serve.
Packing = Literal["tree", "padded"]

# A row at least this share of the longest one's length shares its batch: the rest is padding.
_ALIKE = 0.6
# Padded tokens from which on a batch keeps one or two cores busy by itself.
_BUSY = 384
# Where activations are computed again, a token keeps about a tenth of what it keeps otherwise (one activation per
# layer, and one layer's at a time), and costs a third more (a second forward pass).
RECOMPUTED_AT_ONCE = 8
_RECOMPUTING = 1.35


@dataclass(frozen=True)
class Cut:
    """How the rows of a step are cut into micro-batches; see `micro_batches`."""

    max_tokens: int
    max_recomputed: int | None
    packing: Packing

    def told(self) -> dict[str, Any]:
        """The same as keywords."""
        return asdict(self)


_Groups = list[tuple[int, list[int]]]  # [(tokens, rows)]


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


def encode(
    rows: Rows, asker: Asker, *, max_tokens: int, room: int, answers: Sequence[Sequence[int]] | None = None
) -> Encoded:
    """Every row as its prompt in at most `room` tokens (cut as in prediction) and its answer in what is left.

    answers: token ids to learn in place of the rows' targets.
    """
    ids: list[tuple[int, ...]] = []
    n_prompt, n_end = [], []
    answer_tokens = answer_lost = source_lost = 0
    if answers is None:
        answers = [asker.template.answer_ids(target) for target in rows.targets]
    for text, answer in zip(rows.texts, answers, strict=True):
        asked = asker.ask(text, room=room)
        kept = answer[: max(0, max_tokens - len(asked.ids))]
        ids.append((*asked.ids, *kept))
        n_prompt.append(len(asked.ids))
        n_end.append(1 if 0 < len(kept) == len(answer) and kept[-1] == asker.template.end_id else 0)
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
    """Some rows, packed as a tree or padded on the right, where causal attention never looks.

    ids: (1, t) packed or (b, t) padded. keep: (n,), (n,) where a supervised token is predicted from; the head is
    computed there and nowhere else. targets: (n,) those tokens. weights: (n,) of their rows. rows: (n,) which of the
    batch's rows each belongs to. tree: how the packed row hangs together; None where padded.
    large: more tokens than a micro-batch should have; activations are recomputed, not kept.
    """

    ids: torch.Tensor
    keep: tuple[torch.Tensor, torch.Tensor]
    targets: torch.Tensor
    weights: torch.Tensor
    rows: torch.Tensor
    tree: Tree | None = None
    large: bool = False

    @property
    def cost(self) -> float:
        """What a step on it costs, in tokens of a step that keeps its activations."""
        return self.ids.numel() * (_RECOMPUTING if self.large else 1.0)


def batch_of(encoded: Encoded, rows: Sequence[int], *, packing: Packing = "tree", large: bool = False) -> TokenBatch:
    """The batch of these rows; where padded, padding is token 0, which is neither seen nor learned."""
    tree = plant([encoded.ids[i] for i in rows]) if packing == "tree" else None
    if tree is not None:
        ids = torch.from_numpy(tree.ids)[None]
    else:
        ids = torch.zeros(len(rows), max(len(encoded.ids[i]) for i in rows), dtype=torch.long)
    owner, at, columns, targets, weights = [], [], [], [], []
    for row, i in enumerate(rows):
        if tree is None:
            ids[row, : len(encoded.ids[i])] = torch.tensor(encoded.ids[i])
        for column in supervised(encoded, i):
            owner.append(row)
            at.append(row if tree is None else 0)
            columns.append(column - 1 if tree is None else int(tree.where[row][column - 1]))
            targets.append(encoded.ids[i][column])
            weights.append(encoded.weights[i])
    whole = [torch.tensor(values, dtype=torch.long) for values in (at, columns, targets, owner)]
    return TokenBatch(
        ids, (whole[0], whole[1]), whole[2], torch.tensor(weights, dtype=torch.float32), whole[3], tree, large
    )


def micro_batches(
    encoded: Encoded,
    rows: Sequence[int],
    *,
    max_tokens: int,
    max_recomputed: int | None = None,
    packing: Packing = "tree",
    parts: int = 1,
) -> list[TokenBatch]:
    """The rows in batches whose activations are kept for at most `max_tokens` tokens.

    A batch that is larger keeps one activation per layer and computes the rest again (`large`): a padded one if a
    single row is longer than that, a packed one too where reading a shared beginning once outweighs the recomputing.
    max_recomputed: tokens of such a batch, which a single row may exceed; None: eight times max_tokens. max_tokens 0:
    all are recomputed.
    parts: processes that compute them at the same time; there is a batch for each, as even as the rows allow.
    """
    groups = row_groups(
        encoded, rows, max_tokens=max_tokens, max_recomputed=max_recomputed, packing=packing, parts=parts
    )
    return [batch_of(encoded, group, packing=packing, large=large) for group, large in groups]


def row_groups(
    encoded: Encoded,
    rows: Sequence[int],
    *,
    max_tokens: int,
    max_recomputed: int | None = None,
    packing: Packing = "tree",
    parts: int = 1,
) -> list[tuple[list[int], bool]]:
    """[(rows, large)] of `micro_batches`, for objectives that add to a batch what only they know of its rows."""
    again = RECOMPUTED_AT_ONCE * max_tokens if max_recomputed is None else max_recomputed
    if packing == "padded":
        groups = _alike(encoded, rows, max_tokens or again)
    else:
        groups = min(
            (_trees(encoded, rows, tokens) for tokens in ((max_tokens, again) if max_tokens else (again,))),
            key=lambda found: sum(price(n, max_tokens) for n, _ in found),
        )
    if parts > 1:
        cut = _alike if packing == "padded" else _trees
        groups = _even(groups, lambda most: cut(encoded, rows, most), parts)
    return [(group, n > max_tokens) for n, group in groups]


def price(tokens: int, max_tokens: int) -> float:
    """What a batch costs, in tokens of a step that keeps its activations."""
    return tokens if tokens <= max_tokens else _RECOMPUTING * tokens


def _even(groups: _Groups, cut: Callable[[int], _Groups], parts: int) -> _Groups:
    """The rows cut so that the largest batch is small: as many batches as there are, or up to a multiple of parts."""
    number = parts * -(-len(groups) // parts)
    low, high = 1, max(n for n, _ in groups)
    while low < high:
        middle = (low + high) // 2
        found = cut(middle)
        if len(found) <= number:
            groups, high = found, middle
        else:
            low = middle + 1
    return groups


def _trees(encoded: Encoded, rows: Sequence[int], max_tokens: int) -> list[tuple[int, list[int]]]:
    """[(tokens, rows)]: in the order of their tokens, so that rows which share most stand together; each adds what it
    alone has."""
    groups: list[list[int]] = []
    sizes: list[int] = []
    for i in sorted(rows, key=lambda i: (encoded.ids[i], i)):
        row = encoded.ids[i]
        common = _common(encoded.ids[groups[-1][-1]], row) if groups else 0
        added = len(row) - (common if common >= LEAST_SAVED else 0)  # short ones are not shared, see `plant`
        if groups and sizes[-1] + added <= max_tokens:
            groups[-1].append(i)
            sizes[-1] += added
        else:
            groups.append([i])
            sizes.append(len(row))
    return list(zip(sizes, groups, strict=True))


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    n = min(len(a), len(b))
    differ = np.flatnonzero(np.asarray(a[:n]) != np.asarray(b[:n]))
    return int(differ[0]) if len(differ) else n


def _alike(encoded: Encoded, rows: Sequence[int], max_tokens: int) -> list[tuple[int, list[int]]]:
    """[(padded tokens, rows)]: similar lengths together, longest first. Rows much shorter than the first of their
    batch begin another one as soon as the batch is large enough to keep the arithmetic busy."""
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
    return [(len(encoded.ids[group[0]]) * len(group), group) for group in groups]


@dataclass(frozen=True)
class TokenBatches:
    """The micro-batches of every optimizer step: a pure function of (seed, step).

    size: rows in an optimizer step. max_tokens, max_recomputed: of a micro-batch, which bounds the memory. parts:
    processes that share a step.
    """

    encoded: Encoded
    size: int
    seed: int
    max_tokens: int
    packing: Packing = "tree"
    parts: int = 1
    max_recomputed: int | None = None

    def __call__(self, step: int) -> list[TokenBatch]:
        rows = sample(len(self.encoded), size=self.size, seed=self.seed, step=step)
        return micro_batches(
            self.encoded, rows.tolist(), max_tokens=self.max_tokens, max_recomputed=self.max_recomputed,
            packing=self.packing, parts=self.parts,
        )  # fmt: skip
