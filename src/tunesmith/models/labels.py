"""Which of some labels a language model answers: its choice, and exact probabilities of all.

Both hang the labels' tokens on each prompt as a trie, each shared beginning once. In float32 they give what asking
one prompt at a time would give.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from tunesmith.core.errors import ModelError
from tunesmith.models.padded import PaddedReader, Twig
from tunesmith.models.reading import PackedReader, packing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tunesmith.models.lm import LanguageModel

# Logits at once; with 262,144 words those of one position take a megabyte.
_LOGITS_BYTES = 256 << 20
# Logits summed at once: a megabyte of them.
_SUMMED = 1 << 18
# Together, labels left unexpanded by the bounded search have at most this share of the best one's probability.
_LEFT_OUT = 1e-3


def choose(
    lm: LanguageModel, prompts: Sequence[Sequence[int]], labels: Sequence[Sequence[int]], *, prefix: Sequence[int] = ()
) -> list[int]:
    """Index of the label that each prompt is answered with: greedily, token by token, among the labels' tokens.

    prompts: token ids, none empty. prefix: ids that prompts are known to begin with; read once.
    labels:  token ids of each answer with its end token, all different and none the beginning of another.
    The same answers as transformers' greedy `generate` with `prefix_allowed_tokens_fn` over these labels. This is not
    always the most probable label as a whole: one that begins well may end badly (label_log_probs knows).
    Tokens without an alternative are never asked for, only read together with the next decision; what is decided
    leaves the batch. Raises ModelError if a label is the beginning of another, or none is given.
    """
    trie = Trie.of(labels)
    nexts = trie.choices()
    opening, first = _forced(nexts, 0)
    if first < 0:
        return [_label(first)] * len(prompts)
    # What all labels begin with is read with the prompt.
    asked = [[*prompt, *opening] for prompt in prompts]
    words = sorted({word for some in nexts for word in some if len(some) > 1})
    column = {word: j for j, word in enumerate(words)}
    columns = torch.tensor(words, device=lm.device)
    chosen = [0] * len(prompts)
    with _reading(lm, asked, prefix) as reader:
        for batch in reader.batches(grow=4):
            logits = reader.read(batch, words=columns)
            node = dict.fromkeys(batch, first)
            while node:
                chains: dict[int, list[int]] = {}
                table = logits.cpu().numpy()
                for row, i in enumerate(list(node)):
                    # In the order of ids: of equal logits the first word wins, as it does in transformers.
                    allowed = sorted(nexts[node[i]])
                    word = allowed[int(table[row, [column[w] for w in allowed]].argmax())]
                    forced, after = _forced(nexts, nexts[node[i]][word])
                    if after < 0:
                        chosen[i] = _label(after)
                        del node[i]
                    else:
                        node[i], chains[i] = after, [word, *forced]
                if chains:
                    logits = reader.follow(chains, words=columns)
    return chosen


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
    trie = Trie.of(labels)
    first = torch.tensor([label[0] for label in labels], device=lm.device)
    scores = np.empty((len(prompts), len(labels)))
    every = list(range(len(labels)))
    with _reading(lm, prompts, prefix) as reader:
        for batch in reader.batches():
            last = reader.read(batch)  # (b, vocabulary)
            # (b, k) log-probabilities of the first tokens: a label is at most as probable as its own.
            bound = (last[:, first].double() - _log_sum_exp(last)[:, None]).cpu().numpy()
            if exact:
                scores[batch] = _expand(lm, reader, trie, bound, dict.fromkeys(batch, every))
                continue
            wanted = [np.flatnonzero(row >= row.max() + np.log(0.1)).tolist() for row in bound]
            found = _expand(lm, reader, trie, bound, dict(zip(batch, wanted, strict=True)))
            floor = found.max(axis=1) + np.log(_LEFT_OUT / len(labels))
            more = [
                [i for i in np.flatnonzero(row >= least).tolist() if i not in set(have)]
                for row, least, have in zip(bound, floor, wanted, strict=True)
            ]
            again = [row for row, some in enumerate(more) if some]
            if again:
                rest = _expand(lm, reader, trie, bound[again], {batch[row]: more[row] for row in again})
                found[again] = np.maximum(found[again], rest)
            scores[batch] = np.where(np.isfinite(found), found, bound)
    return scores


@dataclass(frozen=True)
class Trie:
    """All labels' tokens with shared beginnings written once. Node 0 is the prompt's last token.

    token, parent: per node. Only nodes that something follows are kept: a label's last token is asked for, never read.
    steps: per label, [(node, next token)] whose log-probabilities sum.
    """

    token: list[int]
    parent: list[int]
    steps: list[list[tuple[int, int]]]

    @classmethod
    def of(cls, labels: Sequence[Sequence[int]]) -> Trie:
        token, parent = [-1], [-1]
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
                node = children[node, word]
            steps.append(walk)
        return cls(token, parent, steps)

    def nodes_of(self, labels: Sequence[int]) -> list[int]:
        """Nodes (without 0) that these labels pass through, parents first."""
        return sorted({node for label in labels for node, _ in self.steps[label] if node})

    def choices(self) -> list[dict[int, int]]:
        """Per node, {next token: the node it leads to, or -1 - i where label i ends with it}."""
        nexts: list[dict[int, int]] = [{} for _ in self.token]
        for node in range(1, len(self.token)):
            nexts[self.parent[node]][self.token[node]] = node
        for i, walk in enumerate(self.steps):
            node, word = walk[-1] if walk else (0, -1)
            if not walk or word in nexts[node]:
                raise ModelError(
                    f"label {i} is empty, the same as another to the tokenizer, or the beginning of another.",
                    hint="give each label's tokens with the token that ends an answer, and each label once.",
                )
            nexts[node][word] = -1 - i
        if not self.steps:
            raise ModelError("there is no label to choose from.", hint="name at least one label.")
        return nexts


def _label(end: int) -> int:
    return -1 - end


def _forced(nexts: Sequence[dict[int, int]], node: int) -> tuple[list[int], int]:
    """Tokens without an alternative from this node on, and the node of the next decision or the end of a label."""
    chain: list[int] = []
    while node >= 0 and len(nexts[node]) == 1:
        ((word, node),) = nexts[node].items()
        chain.append(word)
    return chain, node


@contextmanager
def _reading(
    lm: LanguageModel, prompts: Sequence[Sequence[int]], prefix: Sequence[int]
) -> Iterator[PackedReader | PaddedReader]:
    """Packed rows where the model serves them, else padded ones."""
    if not lm.packs:
        yield PaddedReader(lm, prompts, prefix)
        return
    with packing(lm):
        yield PackedReader(lm, prompts)


def _expand(
    lm: LanguageModel,
    reader: PackedReader | PaddedReader,
    trie: Trie,
    opening: NDArray[np.float64],
    wanted: dict[int, list[int]],
) -> NDArray[np.float64]:
    """(b, k) log-probabilities of the wanted labels of each prompt, -inf for the others.

    wanted: {prompt: its labels}. opening: (b, k) log-probabilities of the labels' first tokens after these prompts.
    """
    scores = np.full((len(wanted), len(trie.steps)), -np.inf)
    at_once = max(1, _LOGITS_BYTES // (4 * lm.vocabulary))
    nodes = {i: trie.nodes_of(some) for i, some in wanted.items()}
    row_of = {i: row for row, i in enumerate(wanted)}
    for part in _parts(nodes, at_once):
        asked = {i: sorted({step for label in wanted[i] for step in trie.steps[label][1:]}) for i in part}
        log_p: dict[int, dict[tuple[int, int], float]] = {i: {} for i in part}
        hanging = {i: _twig(trie, nodes[i]) for i in part if nodes[i]}
        if hanging:
            logits = reader.look(hanging)
            spot = {(i, node): n for n, (i, node) in enumerate((i, node) for i in hanging for node in nodes[i])}
            picks = [(i, step) for i in hanging for step in asked[i]]
            chosen = torch.tensor([spot[i, node] for i, (node, _) in picks], device=lm.device)
            words = torch.tensor([word for _, (_, word) in picks], device=lm.device)
            values = logits[chosen, words].double() - _log_sum_exp(logits)[chosen]
            for (i, step), value in zip(picks, values.tolist(), strict=True):
                log_p[i][step] = value
        for i in part:
            for label in wanted[i]:
                after = sum(log_p[i][step] for step in trie.steps[label][1:])
                scores[row_of[i], label] = opening[row_of[i], label] + after
    return scores


def _twig(trie: Trie, nodes: Sequence[int]) -> Twig:
    place = {node: j for j, node in enumerate(nodes)}
    parents = tuple(place.get(trie.parent[node], -1) for node in nodes)
    return Twig(tuple(trie.token[node] for node in nodes), parents)


def _parts(nodes: dict[int, list[int]], at_once: int) -> Iterator[list[int]]:
    """The prompts in order, so many together that their nodes do not exceed `at_once`."""
    part: list[int] = []
    total = 0
    for i, some in nodes.items():
        if part and total + len(some) > at_once:
            yield part
            part, total = [], 0
        part.append(i)
        total += len(some)
    if part:
        yield part


def _log_sum_exp(logits: torch.Tensor) -> torch.Tensor:
    """(n,) float64 log of the sum over the vocabulary, in slices that stay in the processor's cache."""
    step = max(1, _SUMMED // logits.shape[1])
    return torch.cat([torch.logsumexp(part, dim=1) for part in torch.split(logits, step)]).double()
