"""Which words of a source go into an answer, learnt from a table: what a missing or an added word says."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from math import log, log1p
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.claims import Claims

if TYPE_CHECKING:
    from numpy.typing import NDArray

Learner = Callable[..., "NDArray[np.float64]"]
_REACH = 3  # words from a neighbour within which a word stands in the same place
_PLACES = 6  # places of one neighbour that are looked at
_LEFT_OUT = 1  # every count is taken without the row at hand


class Vocabulary:
    """Counts of words over the rows of a table, and how likely each word of each source was to be taken over.

    of_answers: all terms of answers, each as often as rows have it.
    """

    def __init__(self, sources: Sequence[Claims], answers: Sequence[Claims]) -> None:
        self.sources, self.answers = sources, answers
        self.n = len(sources)
        self.in_source = Counter(word for claims in sources for word in claims.stems | claims.polarity.keys())
        self.in_answer = Counter(word for claims in answers for word in claims.polarity)
        self.in_both: Counter[str] = Counter()
        self.of_answers = [word for claims in answers for word in claims.polarity]
        for said, written in zip(sources, answers, strict=True):
            self.in_both.update(word for word in written.polarity if word in said.stems or word in said.polarity)
        self.stated = sum(self.in_both.values()) / max(1, len(self.of_answers))
        rare = [word for word, count in self.in_source.items() if count <= 4]
        self.taken = (sum(self.in_both[w] for w in rare) + 1) / (sum(self.in_source[w] for w in rare) + 2)
        self.copied: list[dict[str, float]] = [{} for _ in range(self.n)]
        self._orders = [_order(claims) for claims in sources]
        self._together = _together(sources, answers, self)

    @classmethod
    def learn(cls, sources: Sequence[Claims], answers: Sequence[Claims], learner: Learner, *, seed: int) -> Vocabulary:
        """The vocabulary with `copied` learnt by `learner`(X, y, rows, seed=) -> log-likelihood ratios."""
        words = cls(sources, answers)
        X, taken, rows, names = words._copies()
        if len(taken):
            base = min(max(float(np.mean(taken)), 1e-3), 1 - 1e-3)
            logits = learner(X, np.array(taken, dtype=np.int64), np.array(rows), seed=seed) + log(base / (1 - base))
            for row, word, p in zip(rows, names, (1 / (1 + np.exp(-logits))).tolist(), strict=True):
                words.copied[row][word] = p
        return words

    def rarity(self, word: str) -> float:
        """Inverse document frequency among answers."""
        return log((self.n + 1) / (self.in_answer[word] + 1)) + 0.05

    def overlap(self, terms: Iterable[str], others: set[str]) -> float:
        """Share of the terms, by rarity, that `others` has."""
        weights = {word: self.rarity(word) for word in terms if word in self.in_answer}
        return sum(w for word, w in weights.items() if word in others) / (sum(weights.values()) + 1e-9)

    def traces(
        self, row: int, word: str, neighbours: Sequence[str], *, own: bool, gone: str | None = None
    ) -> list[float]:
        """What source and table say of a word in the answer of `row`. own: whether it stands there, or is weighed in
        another's place; counts are then without it. neighbours: terms that stand beside it. gone: the word that the
        answer would lack with this one in its place."""
        said, written = self.sources[row], self.answers[row]
        inside = word in said.stems
        usual = (self.in_answer[word] - own + 0.5) / self.n
        lifts = self._lifts(row, word, usual, own)
        stated = (self.in_both[word] - (own and inside) + 1.5 * self.stated) / (self.in_answer[word] - own + 1.5)
        copied = self.copied[row]
        has = written.stems if gone is None else written.stems - {gone}
        left = [p for other, p in copied.items() if other not in has]
        in_place = beside = 0.0
        known = False
        order, places = self._orders[row]
        for neighbour in neighbours:
            for place in places.get(neighbour, ())[:_PLACES]:
                known = True
                for other in order[max(0, place - _REACH) : place + _REACH + 1]:
                    if other == word:
                        beside = 1.0
                    elif other not in has:
                        in_place = max(in_place, copied.get(other, 0.0))
        most = max(left, default=0.0)
        return [
            float(inside), max(lifts, default=0.0), sum(lifts[:3]) / 3, log(usual), stated, (not inside) * stated,
            float(len(word) >= 5 and any(other.startswith(word[:5]) for other in said.stems)), most, in_place,
            (not inside) * in_place, beside, float(known), log1p(len(said.stems)),
        ]  # fmt: skip

    def _lifts(self, row: int, word: str, usual: float, own: bool) -> list[float]:
        """The three largest log P(word in answer | a word of the source) / P(word in answer), without the row."""
        together = self._together.get(word, {})
        found = []
        for other in self.sources[row].stems:
            count = together.get(other, 0) - own
            if count > 0 and other != word:
                found.append(log((count + 2 * usual) / (self.in_source[other] - _LEFT_OUT + 2) / usual))
        return sorted(found, reverse=True)[:3]

    def _copies(self) -> tuple[NDArray[np.float64], list[bool], list[int], list[str]]:
        """Every word of every source: what is known of it, whether the answer has it, its row, the word."""
        X: list[list[float]] = []
        taken: list[bool] = []
        rows: list[int] = []
        names: list[str] = []
        for row, (said, written) in enumerate(zip(self.sources, self.answers, strict=True)):
            has = written.stems | written.polarity.keys()
            local: dict[str, float] = {}
            often: Counter[str] = Counter()
            for sentence in said.sentences:
                total = sum(word in has for word in sentence.terms)
                for word in sentence.terms:
                    often[word] += 1
                    rest = (total - (word in has) + 0.3) / len(sentence.terms)
                    local[word] = max(local.get(word, 0.0), rest)
            all_taken = sum(word in has for word in local)
            named = {word for sentence in said.sentences for word in sentence.names}
            for word, rest in local.items():
                own = word in has
                usual = (self.in_both[word] - own + self.taken) / max(self.in_source[word] - _LEFT_OUT + 1, 1)
                X.append([
                    usual, self.in_source[word], rest, often[word], log1p(len(local)), log1p(len(written.polarity)),
                    (all_taken - own + 0.3) / len(local), float(word in named), float(len(word)),
                ])  # fmt: skip
                taken.append(own)
                rows.append(row)
                names.append(word)
        return np.array(X, dtype=np.float64).reshape(len(taken), 9), taken, rows, names


def _order(claims: Claims) -> tuple[list[str], dict[str, list[int]]]:
    """The stems in reading order, sentences apart, and the places of each."""
    order = [word for sentence in claims.sentences for word in (*sentence.order, "", "")]
    places: dict[str, list[int]] = defaultdict(list)
    for at, word in enumerate(order):
        places[word].append(at)
    return order, places


def _together(sources: Sequence[Claims], answers: Sequence[Claims], words: Vocabulary) -> dict[str, dict[str, int]]:
    """word of answers -> word of sources -> rows that have both, for words of two rows and more."""
    found: dict[str, Any] = defaultdict(Counter)
    for said, written in zip(sources, answers, strict=True):
        known = [word for word in said.stems if words.in_source[word] > 1]
        for word in written.polarity:
            if words.in_answer[word] > 1:
                found[word].update(known)
    return found
