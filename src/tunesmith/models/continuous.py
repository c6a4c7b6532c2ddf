"""Many answers written at once that begin and end whenever they like; what prompts have in common is read once.

Each row has a place of its own in one buffer of keys and values, so that a row that joins or leaves copies no other.
One row alone is written as it would be among others. `decode.generate` writes a list of prompts, the server what it is
asked.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers.cache_utils import Cache, DynamicLayer

from tunesmith.core.errors import ModelError
from tunesmith.models.tree_attention import form_of
from tunesmith.models.written import LONGEST_LOOP, before_loop

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tunesmith.models.lm import LanguageModel
    from tunesmith.models.padded import Read
    from tunesmith.models.structured import Walk

# Tokens of a prompt in one forward pass: bounds the memory of attention, and how long others wait for a long prompt.
_PIECE = 512
# A shared beginning that is shorter is read again; columns by which the buffer grows.
_WORTH_SHARING, _GROW = 8, 128


@dataclass(eq=False)
class Writing:
    """One answer on its way. ids: the prompt. limit: tokens to write at most. took: called after every token.

    temperature: 0 takes the likeliest token; else tokens are drawn with `draw` from the likeliest that make up `top_p`.
    finish:      None while it is written; then "stop", or "length" at the limit, or "cancelled".
    """

    ids: Sequence[int]
    limit: int
    took: Callable[[Writing], None]
    break_loops: bool = True
    walk: Walk | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    draw: torch.Generator | None = None
    written: list[int] = field(default_factory=list)
    finish: str | None = None
    cancelled: bool = False
    reused: int = 0  # tokens of the prompt that were not read again


class _Layer(DynamicLayer):  # type: ignore[misc]
    """One layer's keys and values: (rows, heads, columns, width), of which the Writer says what a pass reads."""

    def __init__(self, held: _Held) -> None:
        super().__init__()
        self.held = held
        self.is_initialized = False

    def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor]:
        held = self.held
        if not self.is_initialized:
            self.begin(key_states, value_states)
        if held.at is not None:  # one row, several columns
            row, start = held.at
            end = start + key_states.shape[-2]
            self.keys[row, :, start:end] = key_states[0]
            self.values[row, :, start:end] = value_states[0]
            return self.keys[row : row + 1, :, :end], self.values[row : row + 1, :, :end]
        rows = torch.arange(held.rows, device=key_states.device)
        self.keys[rows, :, held.lengths] = key_states[:, :, 0]
        self.values[rows, :, held.lengths] = value_states[:, :, 0]
        return self.keys[: held.rows, :, : held.width], self.values[: held.rows, :, : held.width]

    def begin(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Take the room that the Writer asks for, of the kind of these (.., heads, .., width)."""
        self.dtype, self.device = keys.dtype, keys.device
        self.keys, self.values = self._empty(keys), self._empty(values)
        self.is_initialized = True

    def get_seq_length(self, *_: Any) -> int:
        return self.held.at[1] if self.held.at is not None else self.held.width - 1

    def resize(self, rows: int, columns: int) -> None:
        """Room for so many rows and columns; what fits is kept."""
        for name in ("keys", "values"):
            old = getattr(self, name)
            new = torch.zeros(rows, old.shape[1], columns, old.shape[3], dtype=old.dtype, device=old.device)
            r, c = min(rows, old.shape[0]), min(columns, old.shape[2])
            new[:r, :, :c] = old[:r, :, :c]
            setattr(self, name, new)

    def _empty(self, like: Any) -> torch.Tensor:
        shape = (self.held.room[0], like.shape[1], self.held.room[1], like.shape[3])
        # Zeros: what is not written yet is masked, but masked infinities are not numbers.
        return torch.zeros(shape, dtype=like.dtype, device=like.device)


@dataclass
class _Held:
    """What a forward pass reads and writes. at: (row, column) of a prompt; None: one token in each of `rows` rows."""

    room: tuple[int, int]
    rows: int = 0
    width: int = 0
    lengths: torch.Tensor | None = None
    at: tuple[int, int] | None = None


@dataclass
class _Kept:
    """Keys and values of a prompt that may come again, per layer (heads, n, width)."""

    ids: NDArray[np.int64]
    layers: list[tuple[torch.Tensor, torch.Tensor]]


# By number, the least recently used first.
Prompts = OrderedDict[int, _Kept]


class Writer:
    """Answers of one language model, written together.

    rows:   answers at once. tokens: that all of them may hold, prompts included. kept_tokens: of prompts that are
            remembered after their answer, the least recently used forgotten first. kept: prompts that another Writer
            of the same weights has read (its `kept`).
    """

    def __init__(
        self, lm: LanguageModel, *, rows: int = 16, tokens: int = 8192, kept_tokens: int = 2048,
        kept: Prompts | None = None,
    ) -> None:  # fmt: skip
        self.lm, self.rows, self.tokens, self.kept_tokens = lm, rows, tokens, kept_tokens
        self.active: list[Writing] = []
        self.reads = 0  # tokens of prompts that went through the model
        self._next: list[int] = []  # the token that comes next in each row, not yet read
        self._lengths: list[int] = []
        self._kept: Prompts = OrderedDict() if kept is None else kept
        self._number = max(self._kept, default=0)
        self._held, self._cache = _empty()
        self._stops = frozenset(lm.stops)
        # Elsewhere many small calls cost more than masks.
        self._by_rows = lm.device.type == "cpu" and _implementation(lm) == "sdpa"

    def fits(self, new: Writing) -> bool:
        """Whether there is room for one more row now; an empty Writer takes any."""
        if not self.active:
            return True
        longest = max(len(one.ids) + one.limit for one in [*self.active, new])
        return len(self.active) < self.rows and longest * (len(self.active) + 1) <= self.tokens

    @torch.inference_mode()
    def join(self, new: Writing) -> None:
        """Read the prompt and take its first token."""
        row, n = len(self.active), len(new.ids)
        self._make_room(row + 1, n + min(new.limit, _GROW))
        ids = np.asarray(new.ids, dtype=np.int64)
        done = self._share(row, ids)
        new.reused = done
        logits = None
        while done < n:
            part = list(new.ids[done : done + _PIECE])
            self._held.at = (row, done)
            at = torch.arange(done, done + len(part), device=self.lm.device)[None]
            keys_at = torch.arange(done + len(part), device=self.lm.device)[None]
            last = torch.tensor([0], device=self.lm.device), torch.tensor([len(part) - 1], device=self.lm.device)
            words = torch.tensor([part], device=self.lm.device)
            logits = self.lm.logits(words, at=at, keys_at=keys_at, keep=last, cache=self._cache)
            done += len(part)
            self.reads += len(part)
        self._held.at = None
        assert logits is not None
        self._add([new], [n])
        self._take(logits, [row])

    @torch.inference_mode()
    def join_read(self, new: Sequence[Writing], read: Read, logits: torch.Tensor) -> None:
        """Rows that were read together (PaddedReader.start), what they have written so far included; takes their next
        tokens from the logits (n, vocabulary)."""
        first, lengths = len(self.active), read.lengths.tolist()
        self._make_room(first + len(new), max(lengths) + 1)
        columns = [torch.nonzero(at >= 0)[:, 0] for at in read.keys_at]
        for at, source in enumerate(read.cache.layers):
            layer = self._layer(at)
            if not layer.is_initialized:
                layer.begin(source.keys, source.values)
            for row, (n, held) in enumerate(zip(lengths, columns, strict=True)):
                layer.keys[first + row, :, :n] = source.keys[row][:, held]
                layer.values[first + row, :, :n] = source.values[row][:, held]
        self._add(new, lengths)
        self.reads += sum(lengths)
        self._take(logits, range(first, len(self.active)))

    @torch.inference_mode()
    def put_back(self) -> list[Writing]:
        """Rows that have outgrown the room for `tokens`, the shortest first; they go on when they join again."""
        back = []
        while len(self.active) > 1 and (max(self._lengths) + 1) * len(self.active) > self.tokens:
            row = min(range(len(self.active)), key=self._lengths.__getitem__)
            back.append(self.active[row])
            self._vacate(row)
        return back

    @property
    def longest(self) -> int:
        """Columns that the longest row needs for its next token; 0 where nothing is written."""
        return max(self._lengths, default=-1) + 1

    @torch.inference_mode()
    def step(self) -> None:
        """One more token in every row; rows that end leave."""
        if not self.active:
            return
        device = self.lm.device
        b, longest = len(self.active), max(self._lengths) + 1
        self._make_room(b, longest)
        lengths = torch.tensor(self._lengths, device=device)
        self._held.rows, self._held.width, self._held.lengths = b, longest, lengths
        logits = self._by_row(lengths) if self._by_rows else None
        if logits is None:
            columns = torch.arange(longest, device=device)[None]
            keys_at = torch.where(columns <= lengths[:, None], columns, -1)
            keep = (torch.arange(b, device=device), torch.zeros(b, dtype=torch.long, device=device))
            words = torch.tensor(self._next, device=device)[:, None]
            logits = self.lm.logits(words, at=lengths[:, None], keys_at=keys_at, keep=keep, cache=self._cache)
        self._lengths = [n + 1 for n in self._lengths]
        self._take(logits, range(b))

    def _by_row(self, lengths: torch.Tensor) -> torch.Tensor | None:
        """(n, vocabulary) logits after the rows' next tokens, each row attending to its own columns alone; None where
        the family's attention asks for more. The keys that were written by then are written again, the same."""
        from tunesmith.models.lm import computing
        from tunesmith.models.tree_attention import attending

        try:
            with computing(self.lm.model), attending(self.lm.model, by=row_attention):
                found: torch.Tensor = self.lm.model(
                    input_ids=torch.tensor(self._next)[:, None],
                    position_ids=lengths[:, None],
                    past_key_values=self._cache,
                    use_cache=True,
                    blocks=[n + 1 for n in self._lengths],
                ).logits
        except ModelError:
            self._by_rows = False
            return None
        return found[:, 0].float()

    def clear(self) -> None:
        """Forget everything; what was being written is cancelled."""
        for one in self.active:
            one.finish = "cancelled"
        self.active, self._next, self._lengths = [], [], []
        self._kept.clear()
        self._held, self._cache = _empty()

    @property
    def kept(self) -> Prompts:
        """Prompts that are remembered after their answer."""
        return self._kept

    @property
    def n_kept(self) -> int:
        """Tokens of them."""
        return n_tokens(self._kept)

    @property
    def bytes(self) -> int:
        """Bytes of keys and values held."""
        tensors = [t for layer in self._cache.layers if layer.is_initialized for t in (layer.keys, layer.values)]
        tensors += [t for kept in self._kept.values() for pair in kept.layers for t in pair]
        return sum(t.numel() * t.element_size() for t in tensors)

    def _take(self, logits: torch.Tensor, rows: Sequence[int]) -> None:
        """Take a token in each of these rows (logits in their order), say so, and let go of those that end."""
        chosen = self._chosen(logits, [self.active[row] for row in rows])
        for row, token in zip(rows, chosen, strict=True):
            one = self.active[row]
            self._next[row] = token
            if one.cancelled:
                one.finish = "cancelled"
            elif token in self._stops:
                one.finish = "stop"
            else:
                one.written.append(token)
                kept = before_loop(one.written) if one.break_loops else None
                if kept is not None:
                    del one.written[kept:]
                    one.finish = "stop"
                elif one.walk is not None and not one.walk.take(token):
                    one.finish = "stop"
                elif len(one.written) >= one.limit:
                    one.finish = "length"
            one.took(one)
        for row in sorted((row for row in rows if self.active[row].finish), reverse=True):
            self._leave(row)

    def _chosen(self, logits: torch.Tensor, some: Sequence[Writing]) -> list[int]:
        tokens: list[int] = likeliest(logits, [one.walk for one in some], stop=self.lm.stops[0]).tolist()
        for at, one in enumerate(some):
            if one.temperature > 0 and one.walk is None:
                tokens[at] = _drawn(logits[at], one)
        return tokens

    def _leave(self, row: int) -> None:
        """Take out a row whose answer has ended, and remember its prompt."""
        one = self.active[row]
        if one.reused < 0.75 * len(one.ids):
            self._keep(row, one)
        self._vacate(row)

    def _add(self, new: Sequence[Writing], lengths: Sequence[int]) -> None:
        self.active += new
        self._lengths += lengths
        self._next += [0] * len(new)

    def _vacate(self, row: int) -> None:
        """Take a row out; the last one takes its place."""
        last = len(self.active) - 1
        if row != last:
            n = self._lengths[last]
            for layer in self._cache.layers:
                layer.keys[row, :, :n] = layer.keys[last, :, :n]
                layer.values[row, :, :n] = layer.values[last, :, :n]
            self.active[row], self._next[row] = self.active[last], self._next[last]
            self._lengths[row] = self._lengths[last]
        self.active.pop()
        self._next.pop()
        self._lengths.pop()
        if not self.active:  # a quiet server holds no memory for answers
            self._held, self._cache = _empty()

    def _share(self, row: int, ids: NDArray[np.int64]) -> int:
        """Copy what a prompt has in common with another one to its row; how many tokens."""
        best = _WORTH_SHARING - 1
        source: tuple[int, int | None] | None = None
        for other, one in enumerate(self.active):
            n = _in_common(np.asarray(one.ids, dtype=np.int64), ids)
            if n > best:
                best, source = n, (other, None)
        for number, kept in self._kept.items():
            n = _in_common(kept.ids, ids)
            if n > best:
                best, source = n, (-1, number)
        best = min(best, len(ids) - 1)  # the last token is read in any case: its logits are wanted
        if source is None or best < _WORTH_SHARING:
            return 0
        at_row, kept_number = source
        if kept_number is not None:
            self._kept.move_to_end(kept_number)
        for at in range(self._n_layers):
            layer = self._layer(at)
            if kept_number is None:
                layer.keys[row, :, :best] = layer.keys[at_row, :, :best]
                layer.values[row, :, :best] = layer.values[at_row, :, :best]
            else:
                keys, values = self._kept[kept_number].layers[at]
                if not layer.is_initialized:
                    layer.begin(keys[None], values[None])
                layer.keys[row, :, :best] = keys[:, :best]
                layer.values[row, :, :best] = values[:, :best]
        return best

    @property
    def _n_layers(self) -> int:
        if self._kept:
            return len(next(iter(self._kept.values())).layers)
        return len(self._cache.layers)

    def _layer(self, at: int) -> Any:
        while len(self._cache.layers) <= at:
            self._cache.layers.append(_Layer(self._held))
        return self._cache.layers[at]

    def _keep(self, row: int, one: Writing) -> None:
        n = len(one.ids)
        if n > self.kept_tokens:
            return
        layers = [(x.keys[row, :, :n].clone(), x.values[row, :, :n].clone()) for x in self._cache.layers]
        self._number += 1
        self._kept[self._number] = _Kept(np.asarray(one.ids, dtype=np.int64), layers)
        while self.n_kept > self.kept_tokens:
            self._kept.popitem(last=False)

    def _make_room(self, rows: int, columns: int) -> None:
        """Room for so many rows of so many columns, and for what may come as far as `tokens` allows."""
        columns = max(columns, self.longest)
        have_rows, have_columns = self._held.room
        if rows <= have_rows and columns <= have_columns:
            return
        wide = max(have_columns, columns + _GROW)
        if rows > 1:
            wide = max(columns, min(wide, self.tokens // rows))
        many = max(rows, min(self.rows, max(have_rows, 2 * rows), self.tokens // wide))
        self._held.room = many, wide
        for layer in self._cache.layers:
            if layer.is_initialized:
                layer.resize(many, wide)


def row_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **given: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of one new token in each row over the columns that the row has: nothing is spent on padding.

    What transformers calls: query (b, h, 1, d), key and value (b, g, columns, d), and as `blocks` the b rows' lengths,
    new tokens included. Returns (b, 1, h, d). Raises ModelError where the family asks for what is not known here.
    """
    lengths, form = form_of(module, query, attention_mask, given)
    if form.cap is not None:
        raise ModelError(f"{type(module).__name__} caps its scores, which attention by rows does not.")
    b, heads, _, width = query.shape
    groups = key.shape[1]
    q = query.reshape(b, groups, heads // groups, width)  # heads that share keys are asked at once
    out = []
    for row, n in enumerate(lengths):
        seen = slice(0 if form.window is None else max(0, n - form.window), n)
        here = slice(row, row + 1)
        out.append(scaled_dot_product_attention(q[here], key[here, :, seen], value[here, :, seen], scale=form.scale))
    return torch.cat(out).reshape(b, 1, heads, -1), None


def _implementation(lm: LanguageModel) -> str:
    return str(getattr(lm.model.config, "_attn_implementation", ""))


def n_tokens(prompts: Prompts) -> int:
    """Tokens of prompts that a Writer remembers."""
    return sum(len(kept.ids) for kept in prompts.values())


def _empty() -> tuple[_Held, Cache]:
    held = _Held((0, 0))
    return held, Cache(layer_class_to_replicate=lambda: _Layer(held))


def likeliest(logits: torch.Tensor, walks: Sequence[Walk | None], *, stop: int) -> torch.Tensor:
    """(n,) the likeliest token of each row that its walk allows; `stop` where the walk is over."""
    if not any(walks):
        return logits.argmax(dim=1)
    with torch.inference_mode():  # the logits come from there, and may only be changed there
        for row, walk in enumerate(walks):
            if walk is None:
                continue
            forbidden = walk.forbidden()
            if forbidden is None:
                logits[row] = -torch.inf
                logits[row, stop] = 0.0
            else:
                logits[row].masked_fill_(torch.from_numpy(forbidden).to(logits.device), -torch.inf)
        return logits.argmax(dim=1)


def settled(ids: Sequence[int]) -> int:
    """How many tokens of an answer can no longer be taken back by `before_loop`: where no loop may have begun."""
    n = len(ids)
    safe = n
    for period in range(1, min(LONGEST_LOOP, n - 1) + 1):
        run = 0
        while run + period < n and ids[n - 1 - run] == ids[n - 1 - run - period]:
            run += 1
        safe = min(safe, n - run)
    return safe


def _in_common(a: NDArray[np.int64], b: NDArray[np.int64]) -> int:
    n = min(len(a), len(b))
    differ = np.flatnonzero(a[:n] != b[:n])
    return int(differ[0]) if len(differ) else n


def _drawn(logits: torch.Tensor, one: Writing) -> int:
    """A token drawn from the likeliest ones that together have the share top_p (Holtzman et al. 2020)."""
    shares = torch.softmax(logits.float().cpu() / one.temperature, dim=0)
    if one.top_p < 1.0:
        sorted_shares, order = shares.sort(descending=True)
        left_out = sorted_shares.cumsum(0) - sorted_shares >= one.top_p
        shares = shares.clone()
        shares[order[left_out]] = 0.0
    return int(torch.multinomial(shares, 1, generator=one.draw)[0])
