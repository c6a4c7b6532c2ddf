"""A tagger of tokens on an encoder with an adapter: what it reads, its network, its loss, and its best path.

Every token (letters, digits, or a sign) is scored for the tags B-x (x begins), I-x (x goes on) and O: by a linear layer
on the mean vector of its word pieces, and by what it looks like: its letters and case, those of its neighbours, and the
patterns, known values and forms that it is part of. The best path never goes on what did not begin.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from tunesmith.core.errors import ModelError
from tunesmith.models.encoder import Encoder, batches
from tunesmith.training.gradients import Loss
from tunesmith.training.marking import Layout, Mark, tokens_of
from tunesmith.training.rules import Rules, Sign

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LOOKS = 1 << 14  # buckets of what a token looks like
_NEAR = 2  # tokens to either side whose looks count
_POOL = 16
_TOKENS_AT_ONCE, _READ_AT_ONCE = 4096, 4096
_CHOICE_WEIGHT = 4.0  # of a choice in the loss, in tokens
_DROPOUT = 0.5
# Of the looks that are words so many are hidden in training: else it learns by heart the sentences that it sees, and
# takes no notice of forms and patterns, which hold in other sentences too.
_WORDS_HIDDEN = 0.5
_SHARPNESS, _TOKENS_OF_A_TEXT = (
    8.0,
    8.0,
)  # scales at which vectors and words of a whole text are of a size with a token's


@dataclass(frozen=True)
class Piece:
    """A part of a text that the encoder can read at once.

    text: which of the texts. first: its first token; tokens: how many. ids: of the word pieces, with the special ones.
    owner: of every id the token it is part of, counted from `first`; -1 for special ones. looks: buckets per token.
    """

    text: int
    first: int
    tokens: int
    ids: list[int]
    owner: list[int]
    looks: list[list[int]]


def pieces_of(encoder: Encoder, texts: Sequence[str], seen: Sequence[Sequence[Sign]]) -> list[Piece]:
    """Every text as one or more pieces, in order; nothing is left out. seen: what rules see in each (`Rules.seen`).

    Raises ModelError for a tokenizer that does not tell offsets.
    """
    tokenizer = encoder.tokenizer
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            "the tokenizer of this encoder does not say where its word pieces stand in a text.",
            hint="use an encoder with a fast tokenizer (tokenizer.json), or model.encoder: none.",
        )
    head, tail = encoder.marks
    room = encoder.window - len(head) - len(tail)
    found: list[Piece] = []
    for at, text in enumerate(texts):
        spans = tokens_of(text)
        read = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ids, offsets = cast("list[int]", read["input_ids"]), cast("list[tuple[int, int]]", read["offset_mapping"])
        starts = np.array([start for start, _ in spans] or [0])
        owner = [max(0, int(np.searchsorted(starts, a, side="right")) - 1) if spans else -1 for a, _ in offsets]
        looks = _looks(text, spans, seen[at])
        begin = first = 0
        while True:
            end = min(len(ids), begin + room)
            if end < len(ids):  # a token is not cut, unless it fills a window alone
                back = end
                while back > begin and owner[back] == owner[back - 1]:
                    back -= 1
                end = back if back > begin else end
            last = len(spans) if end == len(ids) else owner[end]
            own = [o - first for o in owner[begin:end]]
            found.append(
                Piece(at, first, last - first, [*head, *ids[begin:end], *tail],
                      [*[-1] * len(head), *own, *[-1] * len(tail)], looks[first:last])
            )  # fmt: skip
            begin, first = end, last
            if end == len(ids):
                break
    return found


class Tagger(torch.nn.Module):
    """The encoder and the layers on top of it. n_tags: scores of a token; sizes: number of values of every choice."""

    def __init__(self, encoder: Encoder, n_tags: int, sizes: Sequence[int], *, seed: int) -> None:
        super().__init__()
        self.encoder, self.sizes, self.n_tags = encoder, tuple(sizes), n_tags
        self.adapted = encoder.module
        rng = np.random.default_rng([seed, 41])

        def head(rows: int) -> torch.nn.Parameter:
            return torch.nn.Parameter(torch.tensor(rng.normal(0.0, 0.02, (rows, encoder.width)), dtype=torch.float32))

        # What a token looks like speaks for its tags directly: that is learned in few steps, all at once.
        self.looks, self.words = (torch.nn.Parameter(torch.zeros(_LOOKS, n)) for n in (n_tags, sum(sizes)))
        self.weight, self.bias = head(n_tags), torch.nn.Parameter(torch.zeros(n_tags))
        self.choice, self.choice_bias = head(sum(sizes)), torch.nn.Parameter(torch.zeros(sum(sizes)))
        self.to(encoder.device)

    def own(self) -> dict[str, torch.nn.Parameter]:
        """What is trained besides the adapter, by name."""
        names = ("looks", "words", "weight", "bias", "choice", "choice_bias")
        return {name: cast("torch.nn.Parameter", getattr(self, name)) for name in names}

    def forward(self, some: Sequence[Piece]) -> tuple[torch.Tensor, torch.Tensor]:
        """(tokens, n_tags) scores of all tokens of the pieces in order; (pieces, sum of sizes) of the choices."""
        device, longest = self.weight.device, max(len(piece.ids) for piece in some)
        pad = self.encoder.tokenizer.pad_token_id or 0
        ids = torch.tensor([[*p.ids, *[pad] * (longest - len(p.ids))] for p in some], device=device)
        lengths = torch.tensor([len(p.ids) for p in some], device=device)
        mask = (torch.arange(longest, device=device)[None, :] < lengths[:, None]).long()
        hidden = self.encoder.module(input_ids=ids, attention_mask=mask).last_hidden_state  # (pieces, time, width)
        starts = np.cumsum([0, *(p.tokens for p in some)])
        total = int(starts[-1])
        row, column, owner = [], [], []
        for i, p in enumerate(some):
            for j, o in enumerate(p.owner):
                if 0 <= o < p.tokens:
                    row.append(i)
                    column.append(j)
                    owner.append(int(starts[i]) + o)
        place = torch.tensor(owner, dtype=torch.long, device=device)
        sums = torch.zeros(total, hidden.shape[2], device=device).index_add(0, place, hidden[row, column])
        count = torch.zeros(total, device=device).index_add(0, place, torch.ones(len(owner), device=device))
        vectors = sums / count.clamp(min=1.0)[:, None]  # (tokens, width)
        buckets = torch.tensor([b for p in some for look in p.looks for b in look], dtype=torch.long, device=device)
        ends = np.cumsum([0, *(len(look) for p in some for look in p.looks)])[:-1]
        at = torch.tensor(ends, dtype=torch.long, device=device)
        vectors = torch.nn.functional.dropout(vectors, _DROPOUT, self.training)
        shown = torch.ones(len(buckets), device=device)
        if self.training:
            hidden_words = (torch.rand(len(buckets), device=device) < _WORDS_HIDDEN) & (buckets < _LOOKS // 2)
            shown = torch.where(hidden_words, 0.0, torch.where(buckets < _LOOKS // 2, 1 / (1 - _WORDS_HIDDEN), 1.0))
        told = torch.nn.functional.embedding_bag(buckets, self.looks, at, mode="sum", per_sample_weights=shown)
        tags = vectors @ self.weight.T + self.bias + told
        if not self.sizes:
            return tags, torch.zeros(len(some), 0, device=device)
        text = torch.tensor(np.repeat(np.arange(len(some)), np.diff(starts)), device=device)
        said = torch.nn.functional.embedding_bag(
            buckets, self.words, at, mode="sum", per_sample_weights=shown
        )  # (tokens, sum of sizes)
        whole = torch.nn.functional.normalize(self.encoder.pool(hidden, mask), dim=-1) * _SHARPNESS
        choices = whole @ self.choice.T + self.choice_bias
        return tags, choices.index_add(0, text, said / _TOKENS_OF_A_TEXT)


def tag_codes(marks: Sequence[Mark], spans: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """(tokens,) 0 for O, 2t+1 where tag t begins, 2t+2 where it goes on."""
    codes = np.zeros(len(spans), dtype=np.int64)
    for mark in marks:
        own = [i for i, (start, end) in enumerate(spans) if start < mark.end and mark.start < end]
        for i in own:
            codes[i] = 2 * mark.tag + (1 if i == own[0] else 2)
    return codes


def best_path(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """(tokens,) the codes with the largest sum of (tokens, 1 + 2 tags) scores in which every I follows its B or I.

    Viterbi 1967; a step costs as much as there are tags, since whatever else may follow anything.
    """
    n, k = scores.shape
    inside = np.arange(2, k, 2)
    best, back = scores[0].copy() if n else np.zeros(k), np.zeros((n, k), dtype=np.int64)
    if n:
        best[inside] = -np.inf
    for i in range(1, n):
        top = int(best.argmax())
        before = np.full(k, best[top])
        back[i] = top
        goes_on = best[inside] >= best[inside - 1]
        back[i, inside] = np.where(goes_on, inside, inside - 1)
        before[inside] = np.where(goes_on, best[inside], best[inside - 1])
        best = before + scores[i]
    codes = np.zeros(n, dtype=np.int64)
    if n:
        codes[-1] = int(best.argmax())
    for i in range(n - 1, 0, -1):
        codes[i - 1] = back[i, codes[i]]
    return codes


def marks_of(codes: NDArray[np.int64], log_probs: NDArray[np.float64], spans: Sequence[tuple[int, int]]) -> list[Mark]:
    """The marks that codes stand for; score: the geometric mean of their tokens' probabilities."""
    found: list[Mark] = []
    sums: list[float] = []
    for i, code in enumerate(codes):
        if code == 0:
            continue
        tag, at = (int(code) - 1) // 2, float(log_probs[i, code])
        if code % 2 == 0 and found:
            found[-1] = Mark(found[-1].start, spans[i][1], tag)
            sums[-1] = min(sums[-1], at)
        else:
            found.append(Mark(spans[i][0], spans[i][1], tag))
            sums.append(at)
    return [Mark(m.start, m.end, m.tag, float(np.exp(s))) for m, s in zip(found, sums, strict=True)]


def answers(model: Tagger, layout: Layout, texts: Sequence[str], rules: Rules) -> list[str]:
    """One JSON answer per text, in order; equal texts are read once."""
    distinct = list(dict.fromkeys(texts))
    pieces = pieces_of(model.encoder, distinct, [rules.seen(text) for text in distinct])
    tags: list[list[NDArray[np.float64]]] = [[] for _ in distinct]
    whole: list[list[NDArray[np.float64]]] = [[] for _ in distinct]
    parts: dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    model.eval()
    with torch.inference_mode():
        for batch in batches([len(p.ids) for p in pieces], tokens=_READ_AT_ONCE):
            some = [pieces[i] for i in batch]
            scores, choices = model(some)
            logs = torch.log_softmax(scores.double(), dim=1).cpu().numpy()
            starts = np.cumsum([0, *(p.tokens for p in some)])
            for at, i in enumerate(batch):
                parts[i] = logs[starts[at] : starts[at + 1]], choices[at].double().cpu().numpy()
    for i, piece in enumerate(pieces):
        tags[piece.text].append(parts[i][0])
        whole[piece.text].append(parts[i][1])
    made = {}
    ends = np.cumsum([0, *model.sizes])
    for text, own, choices in zip(distinct, tags, whole, strict=True):
        logs, spans = np.concatenate(own), tokens_of(text)
        said = np.mean(choices, axis=0)
        chosen = [int(said[a:b].argmax()) for a, b in itertools.pairwise(ends)]
        made[text] = layout.build(text, marks_of(best_path(logs), logs, spans), chosen)
    return [made[text] for text in texts]


class PieceBatches:
    """Pieces of rows; `batches(step)` gives a step's pieces. A pure function of (seed, step)."""

    def __init__(self, pieces: Sequence[Piece], *, size: int, seed: int) -> None:
        self.pieces, self.size, self.seed = pieces, max(1, min(size, len(pieces))), seed
        self._epoch = lru_cache(maxsize=2)(self._cut)

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps that see every piece once."""
        return max(1, -(-len(self.pieces) // self.size))

    def __call__(self, step: int) -> list[list[Piece]]:
        """The micro-batches of an optimizer step: one, unless its pieces are long."""
        epoch, at = divmod(step, self.steps_per_epoch)
        found: list[list[Piece]] = [[]]
        for i in self._epoch(epoch)[at]:
            piece = self.pieces[int(i)]
            if found[-1] and max(len(p.ids) for p in [*found[-1], piece]) * (len(found[-1]) + 1) > _TOKENS_AT_ONCE:
                found.append([])
            found[-1].append(piece)
        return found

    def _cut(self, epoch: int) -> list[NDArray[np.int64]]:
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(self.pieces))
        lengths = np.array([len(p.ids) for p in self.pieces])
        cuts = []
        for start in range(0, len(order), self.size * _POOL):
            pool = order[start : start + self.size * _POOL]
            pool = pool[np.argsort(lengths[pool], kind="stable")]
            cuts += [pool[at : at + self.size] for at in range(0, len(pool), self.size)]
        return [cuts[i] for i in rng.permutation(len(cuts))]


def tagging_loss(
    codes: Sequence[NDArray[np.int64]], chosen: Sequence[Sequence[int]], sizes: Sequence[int]
) -> Loss[list[Piece]]:
    """Cross-entropy of the tokens' codes and of the choices, for the loop. codes, chosen: of every text.

    A text in several pieces has the tokens of each once, and its choices in every one.
    """
    ends = np.cumsum([0, *sizes])

    def loss(model: torch.nn.Module, some: list[Piece]) -> tuple[torch.Tensor, float]:
        tags, whole = cast("tuple[torch.Tensor, torch.Tensor]", model(some))
        truth = np.concatenate([codes[p.text][p.first : p.first + p.tokens] for p in some])
        total = torch.nn.functional.cross_entropy(tags, torch.tensor(truth, device=tags.device), reduction="sum")
        weight = float(len(truth))
        for at, (a, b) in enumerate(itertools.pairwise(ends)):
            right = torch.tensor([chosen[p.text][at] for p in some], device=tags.device)
            part = torch.nn.functional.cross_entropy(whole[:, a:b], right, reduction="sum", ignore_index=-1)
            total = total + _CHOICE_WEIGHT * part
            weight += _CHOICE_WEIGHT * float((right >= 0).sum())
        return total, max(weight, 1.0)

    return loss


def _looks(text: str, spans: Sequence[tuple[int, int]], seen: Sequence[Sign]) -> list[list[int]]:
    """The buckets of every token: its letters and case, its neighbours', and what rules see there."""
    words = [text[start:end] for start, end in spans]
    forms = [_form(word) for word in words]
    kinds: list[list[str]] = [[] for _ in spans]
    for sign in seen:
        for i, (start, end) in enumerate(spans):
            if start < sign.end and sign.start < end:
                kinds[i].append(f"{sign.rule}{sign.what}{'<' if start <= sign.start else ''}")
    looks = []
    for i in range(len(spans)):
        own = [f"p{words[i][:3].casefold()}", f"s{words[i][-3:].casefold()}", f"n{min(len(words[i]), 12)}"]
        own.append(f"g{int(i > 0 and spans[i][0] > spans[i - 1][1])}")  # whether a space precedes it
        for near in range(-_NEAR, _NEAR + 1):
            at = i + near
            inside = 0 <= at < len(spans)
            own.append(f"w{near}{words[at].casefold() if inside else '|'}")
            own.append(f"f{near}{forms[at] if inside else '|'}")
            own += [f"k{near}{kind}" for kind in dict.fromkeys(kinds[at] if inside and abs(near) < 2 else ())]
        looks.append([_bucket(look) for look in own])
    return looks


def _bucket(look: str) -> int:
    """Words and parts of words in the lower half, all else in the upper one."""
    half = _LOOKS // 2
    return zlib.crc32(look.encode("utf-8", "replace")) % half + (0 if look[0] in "wps" else half)


def _form(word: str) -> str:
    if word.isdigit():
        return f"9{min(len(word), 6)}"
    if not word.isalpha():
        return word
    return "A" if word.isupper() and len(word) > 1 else "Aa" if word[0].isupper() else "a"
