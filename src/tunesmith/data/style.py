"""How far a text's manner is from the house style: the manner of most texts of the table.

Log-likelihood ratios, in nats, each saying how much likelier the text is under some general way of writing than under
the house's own, which is learnt from the table's *other* texts without its oddest:

* manner: function words, pronouns, contractions and marks, against talk, telling and setting out (`manners`);
* vocabulary: words that no other text has;
* case: how words are capitalised, against shouted, all small, titled and plain;
* one group of the words of manner, such as "I, me, my", while all else is as the house has it.

They are joined as a mixture: a text is off because all of it is, or one part. A short text holds little evidence, so
little is said of it. The words of manner are English; elsewhere vocabulary and case decide.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.data.manners import GROUPS, PER_THOUSAND

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WORD = re.compile(r"[^\W\d_]+|['’][^\W\d_]{1,2}\b|\d+|[^\w\s]")
_CONTRACTED = re.compile(r"(?i)(?<=\w)(n['’]t)\b|(?<=\w)(['’](?:m|re|ve|ll|d|s))\b")
# Chances of a word being small, capitalised, in capitals: at a sentence's begin, elsewhere.
_CASES = {
    "shouted": (0.01, 0.04, 0.95, 0.02, 0.04, 0.94),
    "small": (0.95, 0.04, 0.01, 0.97, 0.02, 0.01),
    "titled": (0.02, 0.95, 0.03, 0.3, 0.67, 0.03),
    "plain": (0.05, 0.92, 0.03, 0.9, 0.08, 0.02),
}
_READ = 2_000  # characters of a text: its manner shows by then
_PRIOR_WORDS = 20.0  # what a table of few words is filled up with
_TRIMMED = 0.15  # share of texts that the house style is learnt without
_ROUNDS = 4
_WHOLE = 2.0  # nats by which a text that is foreign as a whole is likelier beforehand than one that is so in part
_OFTEN = (1.0, 3.0)
_STRANGE = 0.5  # share of words that no house text has, in a stranger's text


@dataclass(frozen=True)
class Style:
    """How far texts are off the house style.

    nats: (n,) log of the odds that the text was written in another manner, before anything is known of how common
    that is. parts: (n,) nats of each ratio by name.
    """

    nats: NDArray[np.float64]
    parts: dict[str, NDArray[np.float64]]

    def why(self, at: int) -> str:
        """The ratio that says most against the text."""
        return max(self.parts, key=lambda name: float(self.parts[name][at]))


def style_of(texts: Sequence[str]) -> Style:
    """Each text against the manner of the table's others. Texts are read to their 2,000th character."""
    read = [text[:_READ] for text in texts]
    words = [_words(text) for text in read]
    whole, groups = manner(words)
    vocabulary, cases = novelty(words), case(read)
    ways = [whole + vocabulary + cases + _WHOLE, whole + cases + _WHOLE, whole, cases, *groups.values()]
    nats: NDArray[np.float64] = np.logaddexp.reduce(np.array(ways), axis=0) - np.log(len(ways))
    parts = {"manner": whole, "vocabulary": vocabulary, "capitals": cases, **groups}
    return Style(nats, parts)


def manner(words: Sequence[Sequence[str]]) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """(nats of all words of manner, nats of each group alone): the likeliest general way against the house's rates.

    Counts are Poisson with the rates of `manners`, or of the other texts of the bulk. A group may also come three
    times as often as in any general way: a text told throughout in another person or tense.
    """
    columns = {word: at for at, word in enumerate(PER_THOUSAND)}
    ways = np.array(list(PER_THOUSAND.values())).T / 1000  # (3, words)
    counts = np.zeros((len(words), len(columns)))
    length = np.array([len(part) for part in words], dtype=np.float64)
    for row, part in enumerate(words):
        for word, count in Counter(part).items():
            if word in columns:
                counts[row, columns[word]] = count
    prior = ways.mean(axis=0)
    kept = np.ones(len(words))
    found = np.zeros(len(words))
    for _ in range(_ROUNDS):
        seen = kept @ counts - kept[:, None] * counts
        total = (kept @ length - kept * length)[:, None]
        house = (seen + _PRIOR_WORDS * prior) / (total + _PRIOR_WORDS)  # (n, words), without the text itself
        known = counts * np.log(house)
        found = np.max([_ratio(counts, known, way, house, length) for way in ways], axis=0)
        kept = _bulk(found)
    groups = {}
    for name, members in GROUPS.items():
        at = [columns[word] for word in members]
        most = ways[:, at].max(axis=0)
        own = counts[:, at], known[:, at], house[:, at]
        ratios = [_ratio(own[0], own[1], often * most, own[2], length) for often in _OFTEN]
        groups[name] = np.logaddexp.reduce(np.array(ratios), axis=0)
    return found, groups


def _ratio(
    counts: NDArray[np.float64], known: NDArray[np.float64], way: NDArray[np.float64], house: NDArray[np.float64],
    length: NDArray[np.float64],
) -> NDArray[np.float64]:  # fmt: skip
    """(n,) log of Poisson(counts | way) / Poisson(counts | house). known: counts times the log of the house's rates."""
    ratio: NDArray[np.float64] = counts @ np.log(way) - known.sum(axis=1) - length * (way.sum() - house.sum(axis=1))
    return ratio


def novelty(words: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """(n,) nats by which a stranger explains better than the house how many words no other text has.

    Stranger: every second word is new. House: the share among texts of the bulk (binomial, each word once a text).
    """
    sets = [{word for word in part if word[0].isalpha() and word not in PER_THOUSAND} for part in words]
    size = np.array([len(own) for own in sets], dtype=np.float64)
    kept = np.ones(len(sets))
    found = np.zeros(len(sets))
    for _ in range(_ROUNDS):
        among = Counter(word for own, use in zip(sets, kept, strict=True) if use for word in own)
        new = np.array([sum(among[w] <= use for w in own) for own, use in zip(sets, kept, strict=True)])
        share = min(0.9 * _STRANGE, (kept @ new + 1) / (kept @ size + 2))
        found = new * np.log(_STRANGE / share) + (size - new) * np.log((1 - _STRANGE) / (1 - share))
        kept = _bulk(found)
    return found


def case(texts: Sequence[str]) -> NDArray[np.float64]:
    """(n,) nats by which the likeliest general way of capitalising explains the words better than the house's."""
    counts = np.array([_cases(text) for text in texts], dtype=np.float64).reshape(len(texts), 6)
    ways = np.array(list(_CASES.values()))
    prior = ways.mean(axis=0)
    kept = np.ones(len(texts))
    found = np.zeros(len(texts))
    for _ in range(_ROUNDS):
        seen = kept @ counts - kept[:, None] * counts + _PRIOR_WORDS * prior
        for part in (slice(0, 3), slice(3, 6)):  # words that begin a sentence, and the others
            seen[:, part] /= seen[:, part].sum(axis=1, keepdims=True)
        found = np.max([(counts * np.log(way / seen)).sum(axis=1) for way in ways], axis=0)
        kept = _bulk(found)
    return found


def _bulk(found: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) 1 for the texts that the house style is learnt from, 0 for the oddest."""
    return (found <= np.quantile(found, 1 - _TRIMMED)).astype(np.float64)


def _words(text: str) -> list[str]:
    return _WORD.findall(_CONTRACTED.sub(r" \1\2", text).casefold().replace("’", "'"))


def _cases(text: str) -> list[int]:
    """Words that begin a sentence, and others: small, with a capital, in capitals."""
    found = [0] * 6
    begins = True
    for token in _WORD.findall(text):
        if token[0].isalpha():
            shouted = len(token) > 1 and token.isupper()
            found[(0 if begins else 3) + (2 if shouted else int(token[0].isupper()))] += 1
            begins = False
        begins = begins or token in ".!?"
    return found
