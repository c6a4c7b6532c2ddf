"""Turns texts into sparse TF-IDF rows of word 1–2-grams and character 2–5-grams, fast and without a tokenizer.

Every n-gram is hashed, whole corpora at a time in numpy, into one of 2^22 buckets; the buckets that occur
in enough texts become columns. So a vocabulary is an array of bucket numbers: it saves without pickling,
loads without code, and texts of any script give features, whether or not they have words.
Counts do not depend on what other texts there are, so cross-validation counts once (`count`).
Knows nothing of labels.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

_BUCKET_BITS = 22  # 300,000 n-grams then collide with another one in 7 of 100 cases, which costs no accuracy
_CHUNK_CHARACTERS = 1_000_000  # bounds the working memory to about 300 MB
_LONGEST_TEXT = 20_000  # characters of one text that are read; what comes later rarely changes a bag of n-grams
_MOST_COUNTED = 8_000_000  # characters whose counts are kept: about 300 MB
_SPACE = 32

# Constants of splitmix64 (Steele, Lea & Flood 2014): turns near codes into far ones.
_MIX_A, _MIX_B, _MIX_C = (np.uint64(c) for c in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_BASE = 0xD6E8FEB86659FD93  # odd, so that it has an inverse modulo 2^64


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x + _MIX_A).astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * _MIX_B
    x = (x ^ (x >> np.uint64(27))) * _MIX_C
    return x ^ (x >> np.uint64(31))


def _powers(base: int, n: int) -> NDArray[np.uint64]:
    powers = np.full(n, base & (2**64 - 1), dtype=np.uint64)
    powers[:1] = 1
    return np.cumprod(powers, dtype=np.uint64)


@dataclass(frozen=True)
class _Chunk:
    """Codes of some texts laid end to end, one space before, between and after words and texts."""

    codes: NDArray[np.uint32]  # (c,)
    document: NDArray[np.int32]  # (c,) which of the chunk's texts a character belongs to
    n: int


def _chunks(texts: Sequence[str]) -> Iterator[_Chunk]:
    pieces: list[str] = []
    size = 0
    for text in texts:
        piece = f" {' '.join(text[:_LONGEST_TEXT].lower().split())} "
        pieces.append(piece)
        size += len(piece)
        if size >= _CHUNK_CHARACTERS:
            yield _laid_out(pieces)
            pieces, size = [], 0
    if pieces:
        yield _laid_out(pieces)


def _laid_out(pieces: list[str]) -> _Chunk:
    codes = np.frombuffer("".join(pieces).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    lengths = [len(piece) for piece in pieces]
    return _Chunk(codes, np.repeat(np.arange(len(pieces), dtype=np.int32), lengths), len(pieces))


def _is_wordlike(code: int) -> bool:
    # Letters, marks (they spell vowels in many scripts), numbers and the underscore.
    return code == 95 or unicodedata.category(chr(code))[0] in "LMN"


def _characters(chunk: _Chunk, shortest: int, longest: int) -> Iterator[tuple[NDArray[np.int32], NDArray[np.uint64]]]:
    """(document, hash) of every n-gram of characters that crosses no space (it may begin or end with one)."""
    letters = _mixed(chunk.codes.astype(np.uint64))
    space = chunk.codes == _SPACE
    rolling = letters.copy()
    inside = np.zeros(len(letters), dtype=bool)  # a space strictly inside the n-gram that begins here
    for n in range(2, longest + 1):
        rolling = rolling[:-1] * np.uint64(_BASE) + letters[n - 1 :]
        inside = inside[:-1] | space[n - 2 : -1] if n > 2 else inside[:-1]
        if n < shortest:
            continue
        good = ~inside
        if n == 2:
            good &= ~(space[:-1] & space[1:])  # the seam between two texts
        yield chunk.document[: len(rolling)][good], _mixed(rolling[good] + np.uint64(n))


def _words(chunk: _Chunk, longest: int) -> Iterator[tuple[NDArray[np.int32], NDArray[np.uint64]]]:
    """(document, hash) of every word, number and punctuation mark, and of neighbours in one text."""
    known, which = np.unique(chunk.codes, return_inverse=True)
    wordlike = np.array([_is_wordlike(int(code)) for code in known])[which]
    space = chunk.codes == _SPACE
    if space.all():
        return
    before = np.concatenate([[False], wordlike[:-1]])
    begins = np.flatnonzero(~space & ~(wordlike & before))  # a mark that is no word character stands alone
    ends_at = np.flatnonzero(~space & ~(wordlike & np.concatenate([wordlike[1:], [False]]))) + 1
    sums = np.concatenate(
        [np.zeros(1, np.uint64), np.cumsum(_mixed(chunk.codes.astype(np.uint64)) * _powers(_BASE, len(chunk.codes)))]
    )
    unshift = _powers(pow(_BASE, -1, 2**64), len(chunk.codes))
    single = _mixed((sums[ends_at] - sums[begins]) * unshift[begins])
    document = chunk.document[begins]
    yield document, single
    gram = single
    for n in range(2, longest + 1):
        gram = _mixed(gram[:-1] * np.uint64(_BASE) + single[n - 1 :])
        together = document[: len(gram)] == document[n - 1 :]
        yield document[: len(gram)][together], gram[together]


@dataclass(frozen=True)
class View:
    """One kind of n-gram: "words" or "characters", from `shortest` to `longest` of them."""

    unit: str
    shortest: int
    longest: int

    def buckets(self, chunk: _Chunk) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """(document, bucket) of every occurrence in the chunk."""
        found = _words(chunk, self.longest) if self.unit == "words" else _characters(chunk, self.shortest, self.longest)
        parts = [(d, (h >> np.uint64(64 - _BUCKET_BITS)).astype(np.int64)) for d, h in found]
        if not parts:
            return np.zeros(0, np.int32), np.zeros(0, np.int64)
        return np.concatenate([d for d, _ in parts]), np.concatenate([b for _, b in parts])


VIEWS = (View("words", 1, 2), View("characters", 2, 5))


@dataclass(frozen=True, eq=False)
class Counts:
    """How often which n-gram occurs in which text: per view (n, 2^22), a row per text, columns in order."""

    views: tuple[csr_matrix, ...]

    def __len__(self) -> int:
        return int(self.views[0].shape[0])

    def take(self, at: Sequence[int] | NDArray[np.integer[Any]]) -> Counts:
        """The counts of the texts at these positions."""
        return Counts(tuple(view[np.asarray(at, dtype=np.int64)] for view in self.views))


def count(texts: Sequence[str]) -> Counts | None:
    """The counts of all texts, so that folds need not count again; None where they would fill too much memory."""
    from scipy.sparse import vstack

    if sum(min(len(text), _LONGEST_TEXT) for text in texts) > _MOST_COUNTED or not texts:
        return None
    parts = [_count(chunk) for chunk in _chunks(texts)]
    return Counts(tuple(vstack([part.views[v] for part in parts], format="csr") for v in range(len(VIEWS))))


def _count(chunk: _Chunk) -> Counts:
    from scipy.sparse import csr_matrix

    made = []
    for view in VIEWS:
        document, bucket = view.buckets(chunk)
        keys, times = np.unique(document.astype(np.int64) << _BUCKET_BITS | bucket, return_counts=True)
        pointers = np.concatenate([[0], np.cumsum(np.bincount(keys >> _BUCKET_BITS, minlength=chunk.n))])
        columns = (keys & (2**_BUCKET_BITS - 1)).astype(np.int32)
        made.append(csr_matrix((times.astype(np.int32), columns, pointers), shape=(chunk.n, 2**_BUCKET_BITS)))
    return Counts(tuple(made))


@dataclass(frozen=True)
class Vocabulary:
    """Which buckets are columns, and how rare each is.

    buckets: per view, (m,) int32 increasing. idf: per view, (m,) float64, ln((1 + n) / (1 + df)) + 1.
    Words take the first columns, characters the rest.
    """

    buckets: tuple[NDArray[np.int32], ...]
    idf: tuple[NDArray[np.float64], ...]

    @property
    def size(self) -> int:
        """Number of columns."""
        return sum(len(b) for b in self.buckets)

    def rows(self, texts: Sequence[str] | Counts) -> csr_matrix:
        """(n, size) float32 TF-IDF: 1 + ln(count), times idf, each view scaled to length 1 where it is not empty."""
        from scipy.sparse import csr_matrix, hstack, vstack

        if not len(texts):
            return csr_matrix((0, self.size), dtype=np.float32)
        parts = [texts] if isinstance(texts, Counts) else (_count(chunk) for chunk in _chunks(texts))
        return vstack([hstack(list(self._weighed(part)), format="csr") for part in parts], format="csr")

    def _weighed(self, counts: Counts) -> Iterator[csr_matrix]:
        from scipy.sparse import csr_matrix

        for of_view, buckets, idf in zip(counts.views, self.buckets, self.idf, strict=True):
            column = np.full(2**_BUCKET_BITS, -1, dtype=np.int32)
            column[buckets] = np.arange(len(buckets), dtype=np.int32)
            at = column[of_view.indices]
            known = at >= 0
            row = np.repeat(np.arange(len(counts)), np.diff(of_view.indptr))[known]
            col = at[known]
            value = (1.0 + np.log(of_view.data[known])) * idf[col]
            norm = np.sqrt(np.bincount(row, weights=value**2, minlength=len(counts)))
            pointers = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(counts)))])
            yield csr_matrix(((value / norm[row]).astype(np.float32), col, pointers), shape=(len(counts), len(buckets)))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What to save, by name."""
        kept = {f"buckets.{view.unit}": b for view, b in zip(VIEWS, self.buckets, strict=True)}
        return kept | {f"idf.{view.unit}": i for view, i in zip(VIEWS, self.idf, strict=True)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Vocabulary:
        """The vocabulary that `arrays` describes."""
        return cls(
            tuple(arrays[f"buckets.{view.unit}"] for view in VIEWS), tuple(arrays[f"idf.{view.unit}"] for view in VIEWS)
        )


def learn_vocabulary(texts: Sequence[str] | Counts, *, rarest: int = 2, most: int = 200_000) -> Vocabulary:
    """The n-grams of `texts` that are worth a column.

    rarest: texts that an n-gram must occur in; lowered to 1 below 200 texts, where nothing can be wasted.
    most: columns per view at most; the n-grams that occur in most texts stay.
    """
    rarest = rarest if len(texts) >= 200 else 1
    frequency = [np.zeros(2**_BUCKET_BITS, dtype=np.int32) for _ in VIEWS]
    for part in [texts] if isinstance(texts, Counts) else (_count(chunk) for chunk in _chunks(texts)):
        for view, df in zip(part.views, frequency, strict=True):
            df += np.bincount(view.indices, minlength=2**_BUCKET_BITS).astype(np.int32)
    buckets, idfs = [], []
    for df in frequency:
        kept = np.flatnonzero(df >= rarest)
        if len(kept) > most:
            kept = np.sort(kept[np.argsort(-df[kept], kind="stable")[:most]])
        buckets.append(kept.astype(np.int32))
        idfs.append(np.log((1.0 + len(texts)) / (1.0 + df[kept])) + 1.0)
    return Vocabulary(tuple(buckets), tuple(idfs))
