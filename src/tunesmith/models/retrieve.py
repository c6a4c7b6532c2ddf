"""Finds passages for questions: by words (BM25 of words, of pairs of words, of pieces of words) and by vectors.

Everything is computed for all passages at once; `Finding` then keeps the best of them with what each opinion says,
for those who weigh them.
Source: Robertson & Zaragoza 2009, eq. 3.15 (BM25), in the variant of Lucene as bm25s computes it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.core.errors import MissingExtra
from tunesmith.core.library import Library, neighbours

if TYPE_CHECKING:
    from numpy.typing import NDArray

# How the first opinions are added up to choose candidates; none is learned, so that it holds before anything is.
WORDS, PIECES, MEANING = 0.35, 0.25, 0.5
CANDIDATES = 60
_NEAR_DOCUMENT = 3  # of a document's passages, how many stand for it

FEATURES = (
    "words", "pairs", "pieces", "meaning", "words.rank", "pairs.rank", "pieces.rank", "meaning.rank", "covered",
    "length", "words.before", "words.after", "meaning.before", "meaning.after", "document", "terms", "numbers",
)  # fmt: skip

_WORD = re.compile(r"\w+")
_TERM = re.compile(r"[A-Z][a-z]+(?:[ -][A-Z][a-z]+)+|[A-Z]{2,}")
_NUMBER = re.compile(r"\d+(?:\.\d+)*")
# Words that stand in most questions and passages of English; those of other languages weigh little by their frequency.
_COMMON = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "but",
        "by",
        "can",
        "do",
        "does",
        "for",
        "from",
        "how",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "may",
        "must",
        "no",
        "not",
        "of",
        "on",
        "or",
        "shall",
        "should",
        "such",
        "that",
        "the",
        "their",
        "then",
        "there",
        "these",
        "they",
        "this",
        "those",
        "to",
        "was",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "whose",
        "why",
        "will",
        "with",
    ]
)
_ENDINGS = ("ations", "ation", "ments", "ment", "ings", "ing", "ies", "ied", "ed", "es", "ly", "s")
_LEAST_STEM = 4


def words_of(text: str) -> list[str]:
    """Lower-case words without the commonest, English endings taken off: "obligations" and "obligation" are one."""
    return [_stem(word) for word in _WORD.findall(text.lower()) if word not in _COMMON]


def pairs_of(text: str) -> list[str]:
    """Neighbouring words, and words with one between them."""
    words = words_of(text)
    return [f"{a} {b}" for a, b in pairwise(words)] + [f"{a} * {b}" for a, b in zip(words, words[2:], strict=False)]


def pieces_of(text: str) -> list[str]:
    """Four letters in a row of every word, its ends marked: what inflected and compound words have in common."""
    pieces: list[str] = []
    for word in _WORD.findall(text.lower()):
        if word not in _COMMON:
            marked = f"#{word}#"
            pieces += [marked[at : at + 4] for at in range(max(1, len(marked) - 3))]
    return pieces


@dataclass(frozen=True)
class Found:
    """The best passages of each question. at: (n, k) int64 positions in the library, best first; score: (n, k)."""

    at: NDArray[np.int64]
    score: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.at)


@dataclass(frozen=True)
class Finding:
    """Candidates and what each opinion says of them. at: (n, k); features: (n, k, len(FEATURES)) float32."""

    at: NDArray[np.int64]
    features: NDArray[np.float32]


class WordIndex:
    """BM25 over the passages of a library."""

    def __init__(
        self, texts: Sequence[str], pieces: Callable[[str], list[str]], *, k1: float = 1.5, b: float = 0.75
    ) -> None:
        self._pieces, self._n = pieces, len(texts)
        self._number: dict[str, int] = {}
        # Numbers, not strings: a large library has tens of millions of pieces, and few different ones.
        tokens = [[self._number.setdefault(piece, len(self._number)) for piece in pieces(text)] for text in texts]
        self._index: Any = None
        if self._number:
            self._index = _bm25s().BM25(k1=k1, b=b, method="lucene")
            self._index.index((tokens, self._number), create_empty_token=False, show_progress=False)

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, passages) float32; 0 where nothing is shared."""
        made = np.zeros((len(texts), self._n), dtype=np.float32)
        for row, text in enumerate(texts):
            known = [self._number[piece] for piece in self._pieces(text) if piece in self._number]
            if known:
                made[row] = self._index.get_scores(known)
        return made


class Shelf:
    """A library made ready to be searched. vectors: (passages, width) unit vectors; None: by words alone."""

    def __init__(self, library: Library, vectors: NDArray[np.float32] | None = None) -> None:
        self.library, self.vectors = library, vectors
        # A heading says what its passage is about, and is not in it.
        self._texts = [f"{p.title}\n{p.text}" if p.title else p.text for p in library]

    @property
    def texts(self) -> list[str]:
        """What is searched: the passages with their headings."""
        return self._texts

    @cached_property
    def by_words(self) -> WordIndex:
        return WordIndex(self._texts, words_of)

    @cached_property
    def by_pairs(self) -> WordIndex:
        return WordIndex(self._texts, pairs_of)

    @cached_property
    def by_pieces(self) -> WordIndex:
        return WordIndex(self._texts, pieces_of, k1=1.2)

    def by_meaning(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, passages) cosines."""
        assert self.vectors is not None, "this shelf has no vectors"
        return np.asarray(queries @ self.vectors.T, dtype=np.float32)

    def find(self, texts: Sequence[str], queries: NDArray[np.float32], *, most: int = CANDIDATES) -> Finding:
        """The `most` likeliest passages for each question and what every opinion says of them.

        queries: (n, width) unit vectors of the questions.
        """
        words, pairs = _of_best(self.by_words.scores(texts)), _of_best(self.by_pairs.scores(texts))
        pieces, meaning = _of_best(self.by_pieces.scores(texts)), self.by_meaning(queries)
        first = WORDS * words + PIECES * pieces + MEANING * meaning
        at = best(first, most).at
        made = {
            "words": _take(words, at),
            "pairs": _take(pairs, at),
            "pieces": _take(pieces, at),
            "meaning": _take(meaning, at),
            "covered": self._covered(texts, at),
            "length": self._lengths[at],
            "document": self._documents(first, at),
            "terms": _shared([_terms(t) for t in texts], self._terms, at, self._rarity),
            "numbers": _shared([set(_NUMBER.findall(t)) for t in texts], self._numbers, at, None),
        }
        for name in ("words", "pairs", "pieces", "meaning"):
            made[f"{name}.rank"] = _ranks(made[name])
        for where, beside in zip(("before", "after"), self._beside, strict=True):
            made[f"words.{where}"] = _of(words, beside[at])
            made[f"meaning.{where}"] = _of(meaning, beside[at])
        return Finding(at, np.stack([made[name] for name in FEATURES], axis=-1).astype(np.float32))

    @cached_property
    def _lengths(self) -> NDArray[np.float32]:
        return np.log1p([len(_WORD.findall(p.text)) for p in self.library]).astype(np.float32)

    @cached_property
    def _beside(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        before, after = neighbours(self.library)
        return np.array(before, dtype=np.int64), np.array(after, dtype=np.int64)

    @cached_property
    def _terms(self) -> list[set[str]]:
        return [_terms(text) for text in self._texts]

    @cached_property
    def _rarity(self) -> dict[str, float]:
        counts = Counter(term for terms in self._terms for term in terms)
        return {term: float(1 / np.log(2 + n)) for term, n in counts.items()}

    @cached_property
    def _numbers(self) -> list[set[str]]:
        return [set(_NUMBER.findall(f"{p.text} {p.document} {p.passage}")) for p in self.library]

    @cached_property
    def _vocabularies(self) -> list[set[str]]:
        return [set(words_of(text)) for text in self._texts]

    @cached_property
    def weights(self) -> dict[str, float]:
        """How much a word tells: the logarithm of one over the share of passages that have it."""
        counts = Counter(word for words in self._vocabularies for word in words)
        n = len(self._texts)
        return {word: float(np.log((1 + n) / (1 + count)) + 1) for word, count in counts.items()}

    def _covered(self, texts: Sequence[str], at: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, k) share of a question's words, by weight, that the passage has; words unknown to all do not count."""
        made = np.zeros(at.shape, dtype=np.float32)
        for row, text in enumerate(texts):
            known = {word: self.weights[word] for word in set(words_of(text)) if word in self.weights}
            whole = sum(known.values())
            if whole:
                for column, passage in enumerate(at[row]):
                    vocabulary = self._vocabularies[passage]
                    made[row, column] = sum(w for word, w in known.items() if word in vocabulary) / whole
        return made

    def _documents(self, first: NDArray[np.float32], at: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, k) how far the candidate's document is below the best one, by the mean of its best passages."""
        code = {name: number for number, name in enumerate(self.library.documents)}
        of = np.array([code[p.document] for p in self.library], dtype=np.int64)
        means = np.zeros((len(first), len(code)), dtype=np.float32)
        for number in range(len(code)):
            members = np.flatnonzero(of == number)
            most = min(_NEAR_DOCUMENT, len(members))
            means[:, number] = np.partition(first[:, members], -most, axis=1)[:, -most:].mean(axis=1)
        below: NDArray[np.float32] = np.take_along_axis(means, of[at], axis=1) - means.max(axis=1, keepdims=True)
        return below


def best(scores: NDArray[np.floating[Any]], most: int) -> Found:
    """The `most` highest of each row, best first; ties go to the earlier passage."""
    most = min(most, scores.shape[1])
    at = np.argsort(-scores, axis=1, kind="stable")[:, :most].astype(np.int64)
    return Found(at, np.take_along_axis(scores, at, axis=1).astype(np.float64))


def _of_best(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores as shares of the row's best: what BM25 gives grows with the length of the question."""
    return np.asarray(scores / np.maximum(scores.max(axis=1, keepdims=True, initial=0.0), 1e-9), dtype=np.float32)


def _take(scores: NDArray[np.float32], at: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.take_along_axis(scores, at, axis=1)


def _of(scores: NDArray[np.float32], at: NDArray[np.int64]) -> NDArray[np.float32]:
    """(n, k) the scores at these positions, 0 where the position is -1."""
    return np.where(at >= 0, np.take_along_axis(scores, np.maximum(at, 0), axis=1), 0.0).astype(np.float32)


def _ranks(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, k) 1 for the best of a row, falling with the rank among the candidates."""
    order = np.argsort(-values, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(values.shape[1]), values.shape), axis=1)
    return np.asarray(1 / (1 + ranks / 5), dtype=np.float32)


def _shared(
    asked: Sequence[set[str]], held: Sequence[set[str]], at: NDArray[np.int64], weight: dict[str, float] | None
) -> NDArray[np.float32]:
    """(n, k) share of what is asked for that the candidate holds."""
    made = np.zeros(at.shape, dtype=np.float32)
    for row, wanted in enumerate(asked):
        known = {one: 1.0 if weight is None else weight.get(one, 0.0) for one in wanted}
        whole = sum(known.values())
        if whole:
            for column, passage in enumerate(at[row]):
                made[row, column] = sum(w for one, w in known.items() if one in held[passage]) / whole
    return made


def _terms(text: str) -> set[str]:
    """Names and defined terms: several words with capitals in a row, or abbreviations."""
    return {term.lower() for term in _TERM.findall(text)}


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _LEAST_STEM:
            return word[: -len(ending)]
    return word


def _bm25s() -> Any:
    try:
        import bm25s  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtra("searching documents by words", "answer") from error
    return bm25s
