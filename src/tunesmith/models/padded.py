"""Batches of prompts read as left-padded rows behind a prefix that is read once.

This serves every model that takes positions and a mask. Packed rows (reading.py) cost less where a model serves them;
both readers answer the same questions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

if TYPE_CHECKING:
    from tunesmith.models.lm import LanguageModel

# Tokens in one forward pass, the prefix not counted.
_AT_ONCE = 1024
_ROWS = 32


@dataclass(frozen=True)
class Twig:
    """Tokens that hang on the end of a prompt as a tree.

    tokens:  those of the nodes, parents before their children.
    parents: index of the node that each follows; -1 for the prompt's last token.
    """

    tokens: tuple[int, ...]
    parents: tuple[int, ...]

    def depths(self) -> list[int]:
        """How far each node stands behind the prompt, 1 for those that follow it at once."""
        depths: list[int] = []
        for parent in self.parents:
            depths.append(1 if parent < 0 else depths[parent] + 1)
        return depths


class Growing(DynamicLayer):  # type: ignore[misc]
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


def new_cache() -> Cache:
    """An empty cache whose layers grow in place."""
    return Cache(layer_class_to_replicate=Growing)


def shared_prefix(prompts: Sequence[Sequence[int]], prefix: Sequence[int]) -> list[int]:
    """As much of `prefix` as every prompt begins with, leaving each at least one token of its own."""
    n = min([len(prefix), *(len(prompt) - 1 for prompt in prompts)], default=0)
    for prompt in prompts:
        if list(prompt[:n]) != list(prefix[:n]):
            n = next(i for i in range(n) if prompt[i] != prefix[i])
    return list(prefix[:n])


@dataclass
class Read:
    """Prompts of one batch as the model has read them. keys_at: (b, k) positions in the cache, -1 padding."""

    cache: Cache
    keys_at: torch.Tensor
    lengths: torch.Tensor  # (b,) tokens of each row so far

    def only(self, rows: Sequence[int]) -> Read:
        """These rows, which share nothing with what is kept here."""
        index = torch.tensor(rows, device=self.keys_at.device)
        cache = new_cache()
        for i, layer in enumerate(self.cache.layers):
            cache.update(layer.keys[index], layer.values[index], i)
        return Read(cache, self.keys_at[index], self.lengths[index])


class PaddedReader:
    """Reads batches of prompts; see the module. prefix: ids that prompts are known to begin with, if any."""

    def __init__(self, lm: LanguageModel, prompts: Sequence[Sequence[int]], prefix: Sequence[int]) -> None:
        self.lm, self.prompts = lm, prompts
        self.prefix = shared_prefix(prompts, prefix)
        self._prefix_read: Cache | None = None
        self._read: Read | None = None
        self._row: dict[int, int] = {}  # prompt -> row of what is read

    def batches(self, *, grow: int = 0, rows: int = _ROWS, tokens: int = _AT_ONCE) -> Iterator[list[int]]:
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

    def start(self, batch: Sequence[int]) -> tuple[Read, torch.Tensor]:
        """These prompts, left-padded behind the shared prefix, and the logits (b, vocabulary) after each."""
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
        cache = self._copies(len(batch))
        keep = (torch.arange(len(batch), device=device), torch.full((len(batch),), width - 1, device=device))
        last = self.lm.logits(ids, at=at, keys_at=keys_at, keep=keep, cache=cache)
        return Read(cache, keys_at, at[:, -1] + 1), last

    def read(self, batch: Sequence[int], *, words: torch.Tensor | None = None) -> torch.Tensor:
        """(b, vocabulary or words) logits after these prompts, which `follow` and `look` then go on from."""
        self._read, last = self.start(batch)
        self._row = {i: row for row, i in enumerate(batch)}
        return last if words is None else last[:, words]

    def follow(self, chains: Mapping[int, Sequence[int]], *, words: torch.Tensor | None = None) -> torch.Tensor:
        """(n, vocabulary or words) logits after prompts grown by these tokens; prompts not named are forgotten."""
        self._take(list(chains))
        twigs = [Twig(tuple(chain), tuple(range(-1, len(chain) - 1))) for chain in chains.values()]
        assert self._read is not None
        logits, keys_at = self._hang(self._read, twigs, [[len(t.tokens) - 1] for t in twigs])
        self._read.keys_at = keys_at
        self._read.lengths = self._read.lengths + torch.tensor([len(t.tokens) for t in twigs], device=self.lm.device)
        return logits if words is None else logits[:, words]

    def look(self, twigs: Mapping[int, Twig]) -> torch.Tensor:
        """(all nodes, vocabulary) logits after every node of trees that hang on prompts; nothing of it is kept."""
        assert self._read is not None
        rows = [self._row[i] for i in twigs]
        whole = rows == list(range(self._read.keys_at.shape[0]))
        read = self._read if whole else self._read.only(rows)
        logits, keys_at = self._hang(read, list(twigs.values()), [range(len(t.tokens)) for t in twigs.values()])
        if whole:
            read.cache.crop(read.keys_at.shape[1] - keys_at.shape[1])
        return logits

    def _take(self, prompts: Sequence[int]) -> None:
        assert self._read is not None
        rows = [self._row[i] for i in prompts]
        if rows != list(range(self._read.keys_at.shape[0])):
            self._read = self._read.only(rows)
            self._row = {i: row for row, i in enumerate(prompts)}

    def _hang(
        self, read: Read, twigs: Sequence[Twig], asked: Sequence[Sequence[int]]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits at the asked nodes, row by row, and the cache's positions, now with the twigs."""
        b, held = read.keys_at.shape
        width = max(len(t.tokens) for t in twigs)
        ids = torch.zeros(b, width, dtype=torch.long)
        depth = torch.full((b, width), -1, dtype=torch.long)
        sees = torch.zeros(b, width, held + width, dtype=torch.bool)
        sees[:, :, :held] = True
        for row, twig in enumerate(twigs):
            n = len(twig.tokens)
            ids[row, :n], depth[row, :n] = torch.tensor(twig.tokens), torch.tensor(twig.depths())
            for j, parent in enumerate(twig.parents):
                if parent >= 0:
                    sees[row, j, held:] = sees[row, parent, held:]
                sees[row, j, held + j] = True
        device = self.lm.device
        depth = depth.to(device)
        at = torch.where(depth < 0, -1, read.lengths[:, None] + depth - 1)
        keys_at = torch.cat([read.keys_at, at], dim=1)
        spots = [(row, j) for row, some in enumerate(asked) for j in some]
        keep = torch.tensor(spots, device=device).T
        logits = self.lm.logits(
            ids.to(device), at=at, keys_at=keys_at, keep=(keep[0], keep[1]), cache=read.cache, sees=sees.to(device)
        )
        return logits, keys_at

    def _copies(self, n: int) -> Cache:
        """A cache of n rows, each beginning with the prefix."""
        if self._prefix_read is None and self.prefix:
            ids = torch.tensor([self.prefix], device=self.lm.device)
            at = torch.arange(len(self.prefix), device=self.lm.device)[None]
            self._prefix_read = new_cache()
            nothing = torch.zeros(1, dtype=torch.long, device=self.lm.device)
            self.lm.logits(ids, at=at, keys_at=at, keep=(nothing, nothing), cache=self._prefix_read)
        copy = new_cache()
        for i, layer in enumerate([] if self._prefix_read is None else self._prefix_read.layers):
            copy.update(layer.keys.expand(n, -1, -1, -1), layer.values.expand(n, -1, -1, -1), i)
        return copy
