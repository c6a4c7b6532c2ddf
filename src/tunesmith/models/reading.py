"""Batches of prompts read as one packed row that grows: nothing is padded, and what prompts share is read once.

    prefix | own 0 | own 1 a | own 1 b | …      read; then, behind it,      | more 0 | more 1 a | …

The row is a tree of branches (tree.py) whose keys and values are kept, so that answers can be hung on any prompt and
followed. A branch looks at itself and at all branches between it and the root. New tokens stand in depth-first order:
those that look at one branch are then a contiguous range, and one product of matrices serves them all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from tunesmith.core.errors import ModelError
from tunesmith.models.branch_attention import Far, Layout, Near, branch_attention
from tunesmith.models.lm import computing, head_at
from tunesmith.models.padded import Twig, new_cache, shared_prefix
from tunesmith.models.rounding import bound_of, widened
from tunesmith.models.tree import plant
from tunesmith.models.tree_attention import attending

if TYPE_CHECKING:
    from tunesmith.models.lm import LanguageModel

# Tokens in one forward pass, the prefix not counted. Steps that read few tokens cost as much as reading all weights;
# the more prompts share them, the less that is.
_AT_ONCE = 2048
# Branches longer than this are not put side by side with others, nor copied for the one branch that looks at them.
_SHORT = 256
# Rows at once of a long branch that looks at itself: half of what is computed would lie above the diagonal.
_ROWS = 64


@dataclass(frozen=True)
class _Branch:
    """Tokens start … end-1 of the packed row, the first at position `at`. path: numbers of all branches above it."""

    start: int
    end: int
    at: int
    path: tuple[int, ...]


@dataclass(frozen=True)
class _New:
    """A branch about to be read. parents: index within it of the token that each follows; -1: what is above it."""

    tokens: tuple[int, ...]
    above: tuple[int, ...]  # numbers of the branches above it
    parents: tuple[int, ...] | None = None  # None: each follows the one before


class PackedReader:
    """Reads batches of prompts; see the module. What all of them begin with is read once.

    Whether a model can be read so is for `packs` to say. Use inside `packing(lm)`.
    """

    def __init__(self, lm: LanguageModel, prompts: Sequence[Sequence[int]]) -> None:
        self.lm, self.prompts = lm, prompts
        self.prefix = shared_prefix(prompts, prompts[0]) if prompts else []
        self._cache = new_cache()
        self._branches: list[_Branch] = []
        self._at: list[int] = []
        self._tip: dict[int, int] = {}  # prompt -> the branch that ends with its last token

    def batches(self, *, grow: int = 0) -> Iterator[list[int]]:
        """Positions of prompts, those with like beginnings together; grow: tokens that each adds to what is read."""
        order = sorted(range(len(self.prompts)), key=lambda i: (tuple(self.prompts[i]), i))
        p, batch, tokens = len(self.prefix), list[int](), 0
        for i in order:
            own = len(self.prompts[i]) - p + grow
            if batch and tokens + own > _AT_ONCE:
                yield batch
                batch, tokens = [], 0
            batch.append(i)
            tokens += own
        if batch:
            yield batch

    def read(self, batch: Sequence[int], *, words: torch.Tensor | None = None) -> torch.Tensor:
        """(b, vocabulary or words) logits after these prompts, which `follow` and `look` then go on from."""
        keep_prefix = len(batch) < len(self.prompts)  # else the tree of the only batch has it
        if keep_prefix and not self._branches and self.prefix:
            self._pass([_New(tuple(self.prefix), ())], keep=[0], words=words)
        root = (0,) if keep_prefix and self.prefix else ()
        self._forget(len(root))
        p = len(self.prefix) if root else 0
        tree = plant([self.prompts[i][p:] for i in batch])
        first, new, paths = len(self._branches), list[_New](), list[tuple[int, ...]]()
        for segment in tree.segments:
            paths.append(root if segment.parent < 0 else (*paths[segment.parent], first + segment.parent))
            new.append(_New(tuple(tree.ids[segment.start : segment.end].tolist()), paths[-1]))
        ends = {segment.end - 1: first + number for number, segment in enumerate(tree.segments)}
        last = [int(where[-1]) for where in tree.where]
        self._tip = {i: ends[end] for i, end in zip(batch, last, strict=True)}
        return self._pass(new, keep=last, words=words)

    def follow(self, chains: Mapping[int, Sequence[int]], *, words: torch.Tensor | None = None) -> torch.Tensor:
        """(n, vocabulary or words) logits after prompts grown by these tokens; prompts not named are forgotten."""
        first = len(self._branches)
        order = sorted(chains, key=self._path)
        new = [_New(tuple(chains[i]), self._path(i)) for i in order]
        ends: list[int] = []
        for branch in new:
            ends.append(len(branch.tokens) + (ends[-1] if ends else 0))
        logits = self._pass(new, keep=[end - 1 for end in ends], words=words)
        self._tip = {i: first + number for number, i in enumerate(order)}
        place = {i: number for number, i in enumerate(order)}
        return logits[[place[i] for i in chains]]

    def look(self, twigs: Mapping[int, Twig]) -> torch.Tensor:
        """(all nodes, vocabulary) logits after every node of trees that hang on prompts; nothing of it is kept."""
        first, new, keep = len(self._branches), list[_New](), list[tuple[int, int]]()
        starts = dict(zip(twigs, _starts([len(t.tokens) for t in twigs.values()]), strict=True))
        for i in sorted(twigs, key=self._path):
            for nodes in _bushes(twigs[i]):
                within = {node: j for j, node in enumerate(nodes)}
                tokens = tuple(twigs[i].tokens[node] for node in nodes)
                parents = tuple(within.get(twigs[i].parents[node], -1) for node in nodes)
                keep += [(starts[i] + node, packed) for packed, node in enumerate(nodes, start=len(keep))]
                new.append(_New(tokens, self._path(i), parents))
        logits = self._pass(new, keep=[packed for _, packed in sorted(keep)])
        self._forget(first)
        return logits

    def _path(self, i: int) -> tuple[int, ...]:
        return (*self._branches[self._tip[i]].path, self._tip[i])

    def _forget(self, branches: int) -> None:
        """Keep only so many branches of the packed row."""
        del self._branches[branches:]
        end = self._branches[-1].end if self._branches else 0
        if end < len(self._at):
            self._cache.crop(end - len(self._at))
            del self._at[end:]

    def _pass(self, new: Sequence[_New], *, keep: Sequence[int], words: torch.Tensor | None = None) -> torch.Tensor:
        """Read these branches, in depth-first order of the whole tree; logits after tokens `keep` of them, float32."""
        held, device = len(self._at), self.lm.device
        for branch in new:
            start = len(self._at)
            above = self._branches[branch.above[-1]] if branch.above else _Branch(0, 0, 0, ())
            # A chain that hangs on a chain: positions go on. Nothing ever hangs on a bush, so `at` is the whole path.
            at = above.at + above.end - above.start
            depths = range(1, len(branch.tokens) + 1) if branch.parents is None else _depths(branch.parents)
            self._at += [at + depth - 1 for depth in depths]
            self._branches.append(_Branch(start, len(self._at), at, branch.above))
        at_all = torch.tensor(self._at, device=device)
        near, far = _blocks(self._branches, new, held, device)
        layout = Layout(at_all, held, max(self._at) + 1, near, far)
        spots = torch.tensor(keep, device=device)
        model = self.lm.model
        with torch.inference_mode(), computing(model), head_at(model, (torch.zeros_like(spots), spots), words=words):
            out = model(
                input_ids=torch.tensor([[token for branch in new for token in branch.tokens]], device=device),
                position_ids=at_all[None, held:],
                past_key_values=self._cache,
                blocks=layout,
                use_cache=True,
            ).logits
        return out[0].float()  # type: ignore[no-any-return]


@contextmanager
def packing(lm: LanguageModel) -> Iterator[None]:
    """Inside the block a PackedReader may read. Raises ModelError if the family's attention cannot be chosen."""
    with attending(lm.model, by=branch_attention):
        yield


def packs(lm: LanguageModel) -> bool:
    """Whether the model gives for packed rows what it gives for rows alone; measured on a few tokens."""
    words = torch.arange(0, lm.vocabulary, 3)[:64].to(lm.device)
    ids = [(7919 * j + 13) % lm.vocabulary for j in range(24)]
    rows = [[*ids[:8], *ids[9:12]], [*ids[:8], *ids[14:21]], [*ids[:8], *ids[9:10]]]
    more = ids[21:24]
    twig = Twig((*more, ids[5], ids[6], ids[7], ids[5]), (-1, 0, 1, 2, 3, 3, 2))
    with widened(lm.model):
        bound = bound_of(lm.model)
        alone = torch.cat([_alone(lm, [*row, *more]) for row in rows])
        seen = _alone(lm, [*rows[1], *more, ids[5], ids[7]])
        try:
            with packing(lm):
                reader = PackedReader(lm, [*rows, [*ids[:8], ids[22]]])
                reader.read([0, 1, 2])
                looked = reader.look({1: twig})
                packed = reader.follow(dict.fromkeys(range(3), more), words=words)
        except ModelError:
            return False
    gaps = (_gap(packed, alone[:, words]), _gap(looked[5:6], seen))
    return all(gap <= bound for gap in gaps)  # a gap that is not a number is no proof


def _alone(lm: LanguageModel, row: Sequence[int]) -> torch.Tensor:
    with torch.inference_mode(), computing(lm.model):
        ids = torch.tensor([list(row)], device=lm.device)
        return lm.model(input_ids=ids, use_cache=False).logits[0, -1:].float()  # type: ignore[no-any-return]


def _gap(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.double() - b.double()).norm() / b.double().norm().clamp(min=1e-30))


def _starts(lengths: Sequence[int]) -> list[int]:
    starts = [0]
    for length in lengths[:-1]:
        starts.append(starts[-1] + length)
    return starts


def _depths(parents: Sequence[int]) -> list[int]:
    return Twig((0,) * len(parents), tuple(parents)).depths()


def _bushes(twig: Twig) -> list[list[int]]:
    """The nodes by the one of them that hangs on the prompt itself: bushes see nothing of each other."""
    root: list[int] = []
    bushes: dict[int, list[int]] = {}
    for node, parent in enumerate(twig.parents):
        root.append(node if parent < 0 else root[parent])
        bushes.setdefault(root[node], []).append(node)
    return list(bushes.values())


def _blocks(
    branches: Sequence[_Branch], new: Sequence[_New], held: int, device: torch.device
) -> tuple[tuple[Near, ...], tuple[Far, ...]]:
    """Who looks at whom. branches: all of them, the new ones last. Of `far`, those that are their own come first."""
    first = len(branches) - len(new)
    looking: dict[int, list[int]] = {}  # branch -> new branches that hang on it
    for number in range(first, len(branches)):
        for above in branches[number].path:
            looking.setdefault(above, []).append(number)
    private: dict[int, list[int]] = {}
    far = []
    for above, some in looking.items():
        it, alone = branches[above], branches[some[0]]
        if len(some) == 1 and max(it.end - it.start, alone.end - alone.start) <= _SHORT:
            private.setdefault(some[0], []).append(above)
        else:
            far.append(Far(alone.start - held, branches[some[-1]].end - held, it.start, it.end, own=False))
    own, near = [], []
    for number, what in enumerate(new, start=first):
        start, end = branches[number].start, branches[number].end
        if end - start > _SHORT and what.parents is None:
            tops = range(start, end, _ROWS)
            own += [Far(t - held, min(end, t + _ROWS) - held, start, min(end, t + _ROWS), own=True) for t in tops]
            continue
        keys = [k for above in private.get(number, ()) for k in range(branches[above].start, branches[above].end)]
        near.append((number, keys, what))
    groups = tuple(_side_by_side(branches, group, held, device) for group in _alike(branches, near))
    return groups, (*own, *far)


def _alike(
    branches: Sequence[_Branch], near: Sequence[tuple[int, list[int], _New]]
) -> list[list[tuple[int, list[int], _New]]]:
    """Branches of like length in one group: the rest is padding."""

    def size(one: tuple[int, list[int], _New]) -> tuple[int, int]:
        rows = branches[one[0]].end - branches[one[0]].start
        return rows + len(one[1]), rows

    groups: list[list[tuple[int, list[int], _New]]] = []
    longest = rows_most = 0
    for one in sorted(near, key=lambda one: (*size(one), one[0]), reverse=True):
        keys, rows = size(one)
        if groups and keys >= min(0.7 * longest, longest - 8) and rows >= min(0.7 * rows_most, rows_most - 8):
            rows_most = max(rows_most, rows)
            groups[-1].append(one)
            continue
        groups.append([one])
        longest, rows_most = keys, rows
    return groups


def _side_by_side(
    branches: Sequence[_Branch], group: Sequence[tuple[int, list[int], _New]], held: int, device: torch.device
) -> Near:
    sizes = [(branches[number].end - branches[number].start, len(keys)) for number, keys, _ in group]
    width = max(rows for rows, _ in sizes)
    longest = max(rows + keys for rows, keys in sizes)
    index = torch.zeros(len(group), width, dtype=torch.long)
    live = torch.zeros(len(group), width, dtype=torch.bool)
    near = torch.zeros(len(group), longest, dtype=torch.long)
    seen = torch.zeros(len(group), width, longest, dtype=torch.bool)
    for i, ((number, keys, what), (n, k)) in enumerate(zip(group, sizes, strict=True)):
        start = branches[number].start
        index[i, :n] = torch.arange(start - held, start - held + n)
        live[i, :n] = True
        near[i, :k] = torch.tensor(keys, dtype=torch.long)
        near[i, k : k + n] = torch.arange(start, start + n)
        seen[i, :n, :k] = True
        seen[i, :n, k : k + n] = _ancestors(n, what.parents)
    return Near(index.to(device), live.to(device), near.to(device), seen.to(device))


def _ancestors(n: int, parents: tuple[int, ...] | None) -> torch.Tensor:
    """(n, n) whether a node is another or hangs on it."""
    if parents is None:
        return torch.ones(n, n, dtype=torch.bool).tril()
    seen = torch.eye(n, dtype=torch.bool)
    for node, parent in enumerate(parents):
        if parent >= 0:
            seen[node] |= seen[parent]
    return seen
