"""Answers from a language model: greedy text, and exact probabilities of labels.

Both read a prefix shared by all prompts once and keep its keys and values. Both give, in float32, what asking one
prompt at a time would give.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers.cache_utils import Cache, DynamicLayer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tunesmith.models.lm import LanguageModel

# Tokens in one forward pass. Label trees keep the arithmetic busy by themselves; writing wants many rows at once,
# because a step reads all weights for however few rows there are.
_SCORED_AT_ONCE, _WRITTEN_AT_ONCE = 1024, 4096
# Logits at once; with 262,144 words those of one position take a megabyte.
_LOGITS_BYTES = 256 << 20
# An answer that has said the same thing so many times in a row, and at least so many tokens of it, says nothing more.
_LOOP_TIMES, _LOOP_TOKENS, _LONGEST_LOOP = 4, 24, 48
# Together, labels left unexpanded by the bounded search have at most this share of the best one's probability.
_LEFT_OUT = 1e-3


@dataclass(frozen=True)
class Generated:
    """One answer's token ids without the token that ended it. ended: False if it ran into the token limit."""

    ids: list[int]
    ended: bool


class _Growing(DynamicLayer):  # type: ignore[misc]
    """Keys and values in a buffer with room to spare: one more token is written, not everything copied."""

    keys: torch.Tensor
    values: torch.Tensor

    def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor]:
        held = self.get_seq_length()
        need = held + key_states.shape[-2]
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        room = getattr(self, "_room", None)
        if room is None or room[0].shape[0] != key_states.shape[0] or room[0].shape[-2] < need or self._moved(room):
            batch, heads, _n, width = key_states.shape
            spare = need + 64
            room = tuple(
                torch.empty(batch, heads, spare, d, dtype=self.dtype, device=self.device)
                for d in (width, value_states.shape[-1])
            )
            if held:
                room[0][..., :held, :] = self.keys
                room[1][..., :held, :] = self.values
            self._room = room
        room[0][..., held:need, :] = key_states
        room[1][..., held:need, :] = value_states
        self.keys, self.values = room[0][..., :need, :], room[1][..., :need, :]
        return self.keys, self.values

    def _moved(self, room: tuple[torch.Tensor, ...]) -> bool:
        return bool(self.keys.numel() > 0 and self.keys.data_ptr() != room[0].data_ptr())


def _new_cache() -> Cache:
    return Cache(layer_class_to_replicate=_Growing)


def _copies(cache: Cache | None, n: int) -> Cache:
    """A cache of n rows, each beginning with the one row of `cache`."""
    copy = _new_cache()
    for i, layer in enumerate([] if cache is None else cache.layers):
        copy.update(layer.keys.expand(n, -1, -1, -1), layer.values.expand(n, -1, -1, -1), i)
    return copy


@dataclass(frozen=True)
class _Read:
    """Prompts of one batch as the model has read them. keys_at: (b, k) positions in the cache, -1 padding."""

    cache: Cache
    keys_at: torch.Tensor
    lengths: torch.Tensor  # (b,) tokens of each prompt
    last: torch.Tensor  # (b, vocabulary) logits after each prompt


class _Reader:
    """Reads batches of prompts behind a prefix that is read once."""

    def __init__(self, lm: LanguageModel, prompts: Sequence[Sequence[int]], prefix: Sequence[int]) -> None:
        self.lm, self.prompts = lm, prompts
        self.prefix = list(_shared(prompts, prefix))
        self._read: Cache | None = None

    def batches(self, *, rows: int, grow: int, tokens: int) -> Iterator[list[int]]:
        """Positions of prompts, similar lengths together; grow: tokens that each row adds to at most `tokens`."""
        order = sorted(range(len(self.prompts)), key=lambda i: (-len(self.prompts[i]), i))
        batch: list[int] = []
        for i in order:
            longest = len(self.prompts[batch[0] if batch else i]) - len(self.prefix)
            if batch and (len(batch) >= rows or (longest + grow) * (len(batch) + 1) > tokens):
                yield batch
                batch = []
            batch.append(i)
        if batch:
            yield batch

    def read(self, batch: Sequence[int]) -> _Read:
        """The prompts at these positions, left-padded behind the shared prefix."""
        device, p = self.lm.device, len(self.prefix)
        rests = [list(self.prompts[i][p:]) for i in batch]
        width = max(map(len, rests))
        ids = torch.zeros(len(batch), width, dtype=torch.long)
        at = torch.full((len(batch), width), -1, dtype=torch.long)
        for row, rest in enumerate(rests):
            ids[row, width - len(rest) :] = torch.tensor(rest)
            at[row, width - len(rest) :] = torch.arange(p, p + len(rest))
        ids, at = ids.to(device), at.to(device)
        keys_at = torch.cat([torch.arange(p, device=device).expand(len(batch), p), at], dim=1)
        cache = _copies(self._prefix_cache(), len(batch))
        keep = (torch.arange(len(batch), device=device), torch.full((len(batch),), width - 1, device=device))
        last = self.lm.logits(ids, at=at, keys_at=keys_at, keep=keep, cache=cache)
        return _Read(cache, keys_at, at[:, -1] + 1, last)

    def _prefix_cache(self) -> Cache | None:
        if self._read is None and self.prefix:
            ids = torch.tensor([self.prefix], device=self.lm.device)
            at = torch.arange(len(self.prefix), device=self.lm.device)[None]
            self._read = _new_cache()
            nothing = torch.zeros(1, dtype=torch.long, device=self.lm.device)
            self.lm.logits(ids, at=at, keys_at=at, keep=(nothing, nothing), cache=self._read)
        return self._read


def generate(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    prefix: Sequence[int] = (),
    rows: int = 16,
    break_loops: bool = False,
) -> list[Generated]:
    """The greedy continuation of each prompt, in order, up to a stop token or `max_new_tokens`.

    prompts: token ids, none empty. prefix: ids that prompts are known to begin with; read once.
    rows:    prompts at once; a step of a few rows costs little more than a step of one.
    break_loops: end an answer that repeats itself for the fourth time in a row, and keep the first time. Greedy
             writing of small models hardly ever leaves such a loop, and would fill the limit with it.
    """
    reader = _Reader(lm, prompts, prefix)
    stops = torch.tensor(lm.stops, device=lm.device)
    answers: list[Generated] = [Generated([], False)] * len(prompts)
    for batch in reader.batches(rows=rows, grow=min(max_new_tokens, 32), tokens=_WRITTEN_AT_ONCE):
        read = reader.read(batch)
        cache, keys_at, at = read.cache, read.keys_at, read.lengths
        rows_left = list(batch)
        written: dict[int, list[int]] = {i: [] for i in batch}
        token = read.last.argmax(dim=1)
        for _ in range(max_new_tokens):
            done = torch.isin(token, stops)
            for row, (i, word, over) in enumerate(zip(rows_left, token.tolist(), done.tolist(), strict=True)):
                if i >= 0 and over:
                    answers[i] = Generated(written[i], True)
                    rows_left[row] = -1
                elif i >= 0:
                    written[i].append(word)
                    kept = before_loop(written[i]) if break_loops else None
                    if kept is not None:
                        answers[i] = Generated(written[i][:kept], True)
                        rows_left[row] = -1
            live = [row for row, i in enumerate(rows_left) if i >= 0 and len(written[i]) < max_new_tokens]
            if not live:
                break
            if len(live) <= len(rows_left) // 2:  # copying the cache costs more than a few idle rows
                index = torch.tensor(live, device=lm.device)
                cache.batch_select_indices(index)
                keys_at, at, token = keys_at[index], at[index], token[index]
                rows_left = [rows_left[row] for row in live]
            keys_at = torch.cat([keys_at, at[:, None]], dim=1)
            keep = (torch.arange(len(rows_left), device=lm.device), torch.zeros_like(at))
            step = lm.logits(token[:, None], at=at[:, None], keys_at=keys_at, keep=keep, cache=cache)
            token = step.argmax(dim=1)
            at = at + 1
        for i in batch:
            if not answers[i].ended:
                answers[i] = Generated(written[i], False)
    return answers


def before_loop(ids: Sequence[int]) -> int | None:
    """How many of the ids to keep if they end in a loop: up to the end of its first time; None if they do not."""
    n = len(ids)
    for period in range(1, min(_LONGEST_LOOP, n // _LOOP_TIMES) + 1):
        times = max(_LOOP_TIMES, -(-_LOOP_TOKENS // period))
        if n < period * times or ids[-1] != ids[-1 - period]:
            continue
        tail = ids[n - period * times :]
        if all(tail[j] == tail[j - period] for j in range(period, len(tail))):
            return n - period * (times - 1)
    return None


@dataclass(frozen=True)
class _Trie:
    """All labels' tokens with shared beginnings written once. Node 0 is the prompt's last token.

    token, parent, depth: per node; depth counts from 1 for a first token. Only nodes that something follows are kept:
    a label's last token is asked for, never read. steps: per label, [(node, next token)] whose log-probabilities sum.
    """

    token: list[int]
    parent: list[int]
    depth: list[int]
    steps: list[list[tuple[int, int]]]

    @classmethod
    def of(cls, labels: Sequence[Sequence[int]]) -> _Trie:
        token, parent, depth = [-1], [-1], [0]
        children: dict[tuple[int, int], int] = {}
        steps = []
        for label in labels:
            node, walk = 0, []
            for j, word in enumerate(label):
                walk.append((node, word))
                if j == len(label) - 1:
                    break
                if (node, word) not in children:
                    children[node, word] = len(token)
                    token.append(word)
                    parent.append(node)
                    depth.append(depth[node] + 1)
                node = children[node, word]
            steps.append(walk)
        return cls(token, parent, depth, steps)

    def nodes_of(self, labels: Sequence[int]) -> list[int]:
        """Nodes (without 0) that these labels pass through, parents first."""
        return sorted({node for label in labels for node, _ in self.steps[label] if node})


def label_log_probs(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    labels: Sequence[Sequence[int]],
    *,
    prefix: Sequence[int] = (),
    exact: bool = True,
) -> NDArray[np.float64]:
    """(n, k) log P(label's tokens | prompt), the token that ends the answer included: no length correction needed.

    labels: token ids of each answer with its end token, so that no label is a beginning of another.
    The labels' tokens hang on the prompt as a tree, each shared beginning once, in one forward pass.
    exact: False leaves out labels whose first token alone is so improbable that all of them together have at most
           1/1000 of the best label's probability; they get that bound. The most probable label is the same.
    Source of scoring whole answers: any language model's chain rule, log P(y) = sum_j log P(y_j | prompt, y_<j).
    """
    trie = _Trie.of(labels)
    reader = _Reader(lm, prompts, prefix)
    first = torch.tensor([label[0] for label in labels], device=lm.device)
    scores = np.empty((len(prompts), len(labels)))
    every = list(range(len(labels)))
    tree = len(trie.token) if exact else min(64, len(trie.token))
    at_once = min(_SCORED_AT_ONCE, max(1, 2 * _LOGITS_BYTES // (4 * lm.vocabulary)))
    for batch in reader.batches(rows=32, grow=tree, tokens=at_once):
        read = reader.read(batch)
        start = torch.log_softmax(read.last, dim=1)  # (b, vocabulary)
        bound = start[:, first].double().cpu().numpy()  # (b, k): a label is at most as probable as its first token
        if exact:
            scores[batch] = _expand(lm, read, trie, start, [every] * len(batch))
            continue
        wanted = [np.flatnonzero(row >= row.max() + np.log(0.1)).tolist() for row in bound]
        found = _expand(lm, read, trie, start, wanted)
        floor = found.max(axis=1) + np.log(_LEFT_OUT / len(labels))
        more = [
            [i for i in np.flatnonzero(row >= least).tolist() if i not in set(have)]
            for row, least, have in zip(bound, floor, wanted, strict=True)
        ]
        if any(more):
            again = [row for row, some in enumerate(more) if some]
            part = _select(read, again)
            found[again] = np.maximum(found[again], _expand(lm, part, trie, start[again], [more[r] for r in again]))
        scores[batch] = np.where(np.isfinite(found), found, bound)
    return scores


def _expand(
    lm: LanguageModel, read: _Read, trie: _Trie, start: torch.Tensor, wanted: Sequence[Sequence[int]]
) -> NDArray[np.float64]:
    """(b, k) log-probabilities of the wanted labels of each row, -inf for the others; the cache is left as it was."""
    device, b = lm.device, len(wanted)
    nodes = [trie.nodes_of(some) for some in wanted]
    scores = np.full((b, len(trie.steps)), -np.inf)
    width = max(map(len, nodes))
    log_p: dict[tuple[int, int, int], float] = {}  # (row, node, next token)
    asked = [sorted({step for label in some for step in trie.steps[label]}) for some in wanted]
    for row, steps in enumerate(asked):
        words = [word for node, word in steps if node == 0]
        values = start[row, torch.tensor(words, device=device)].double().tolist() if words else []
        log_p.update({(row, 0, word): value for word, value in zip(words, values, strict=True)})
    if width:
        ids, at, sees = _tree_tensors(trie, nodes, read, width)
        keys_at = torch.cat([read.keys_at, at], dim=1)
        held = read.keys_at.shape[1]
        place = [{node: j for j, node in enumerate(some)} for some in nodes]
        picks = [(row, place[row][node], node, word) for row, steps in enumerate(asked) for node, word in steps if node]
        spots = sorted({(row, column) for row, column, _, _ in picks})
        spot_at = {spot: i for i, spot in enumerate(spots)}
        keep = torch.tensor(spots, device=device).T
        logits = lm.logits(
            ids.to(device), at=at, keys_at=keys_at, keep=(keep[0], keep[1]), cache=read.cache, sees=sees.to(device)
        )
        read.cache.crop(held - keys_at.shape[1])
        chosen = torch.tensor([spot_at[row, column] for row, column, _, _ in picks], device=device)
        words_at = torch.tensor([word for _, _, _, word in picks], device=device)
        values = (logits[chosen, words_at].double() - _log_sum_exp(logits)[chosen]).tolist()
        log_p.update({(row, node, word): v for (row, _, node, word), v in zip(picks, values, strict=True)})
    for row, some in enumerate(wanted):
        for label in some:
            scores[row, label] = sum(log_p[row, node, word] for node, word in trie.steps[label])
    return scores


def _tree_tensors(
    trie: _Trie, nodes: Sequence[Sequence[int]], read: _Read, width: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """ids (b, t), positions (b, t) and who sees whom (b, t, k + t) of each row's nodes behind its prompt."""
    b, held = read.keys_at.shape
    ids = torch.zeros(b, width, dtype=torch.long)
    depth = torch.full((b, width), -1, dtype=torch.long)
    sees = torch.zeros(b, width, held + width, dtype=torch.bool)
    sees[:, :, :held] = True
    for row, some in enumerate(nodes):
        place: dict[int, int] = {}
        for j, node in enumerate(some):
            place[node] = j
            ids[row, j], depth[row, j] = trie.token[node], trie.depth[node]
            up = place.get(trie.parent[node])
            if up is not None:
                sees[row, j, held:] = sees[row, up, held:]
            sees[row, j, held + j] = True
    depth = depth.to(read.lengths.device)
    return ids, torch.where(depth < 0, -1, read.lengths[:, None] + depth - 1), sees


def _log_sum_exp(logits: torch.Tensor) -> torch.Tensor:
    """(n,) float64 log of the sum over the vocabulary, in slices that bound the memory."""
    step = max(1, _LOGITS_BYTES // (8 * logits.shape[1]))
    return torch.cat([torch.logsumexp(part, dim=1) for part in torch.split(logits, step)]).double()


def _select(read: _Read, rows: Sequence[int]) -> _Read:
    if len(rows) == read.keys_at.shape[0]:
        return read
    index = torch.tensor(rows, device=read.keys_at.device)
    read.cache.batch_select_indices(index)
    return _Read(read.cache, read.keys_at[index], read.lengths[index], read.last[index])


def _shared(prompts: Sequence[Sequence[int]], prefix: Sequence[int]) -> Sequence[int]:
    """As much of `prefix` as every prompt begins with, leaving each at least one token of its own."""
    n = min([len(prefix), *(len(prompt) - 1 for prompt in prompts)], default=0)
    for prompt in prompts:
        if list(prompt[:n]) != list(prefix[:n]):
            n = next(i for i in range(n) if prompt[i] != prefix[i])
    return prefix[:n]
