"""Pairs of texts that are the same but for case, spelling, spacing, order or a few words.

`duplicates.group_texts` is the wide net that keeps likenesses on one side of a split; here every pair is verified
(`wording.Wording`), so that it can be shown to a person and dropped. Candidates come from three nets:

* letters: a text without spaces is cut into four parts; with few mistakes one part stands unchanged, a little shifted
  (Li, Deng, Wang and Feng, *Pass-Join*, VLDB 2011, sections 3 and 4: even partition, multi-match-aware windows);
* words: a text's words fall into six classes; two mistakes change at most four, so two stay equal, in any order;
* shingles: min-hashes in bands, as in `duplicates`, for texts with words put in or left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.data.duplicates import EXACT_UP_TO, NEAR, normalise, signatures
from tunesmith.data.wording import FEWEST_REORDERED, Kind, Wording

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_PARTS = 4
# Texts with fewer letters than this are the same only when equal.
_SHORTEST = 10
_CLASSES = 6
# Each member of a bucket is compared with so many that follow it; fewer in large tables.
_FOLLOWING, _FOLLOWING_OF_MANY = 24, 5
# Two mistakes change at most so many letter counts (an exchange changes two), and moved spaces none.
_LETTERS = 4
_ALPHABET = 32
_BANDS, _BANDS_OF_MANY, _WIDTH = 24, 12, 5


@dataclass(frozen=True, order=True)
class Pair:
    """Two different normalised texts (numbers of `Near.exact`, one < other) that are the same, and how."""

    one: int
    other: int
    kind: Kind
    score: float


@dataclass(frozen=True)
class Near:
    """Which texts are equal and which nearly so.

    exact: (n,) equal numbers for texts equal after normalising, 0, 1, ... by first appearance.
    pairs: between those numbers, ordered, each verified.
    """

    exact: NDArray[np.int64]
    pairs: tuple[Pair, ...]

    def links(self) -> NDArray[np.int64]:
        """(pairs, 2) the numbers that each pair joins."""
        return np.array([(pair.one, pair.other) for pair in self.pairs], dtype=np.int64).reshape(-1, 2)

    def groups(self) -> NDArray[np.int64]:
        """(n,) numbers of texts joined by chains of pairs, by first appearance."""
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        size = int(self.exact.max(initial=-1)) + 1
        a, b = self.links().T
        links = coo_matrix((np.ones(len(a), dtype=np.int8), (a, b)), shape=(size, size))
        part = connected_components(links, directed=False)[1].astype(np.int64)
        return part[self.exact] if len(self.exact) else self.exact


_last: tuple[tuple[bytes, float], Near] | None = None


def near_pairs(texts: Sequence[str], *, threshold: float = NEAR) -> Near:
    """Every verified pair among some texts; deterministic, each pair found does not depend on the order of rows.

    In buckets of more than 24 candidates (5 beyond 200,000 different texts) not all are compared: pairs may be missed
    there, never made up. The last result is kept: several steps ask about the same rows.
    """
    global _last
    asked = (_fingerprint(texts), threshold)
    if _last is None or _last[0] != asked:
        _last = (asked, _near_pairs(texts, threshold))
    return _last[1]


def _fingerprint(texts: Sequence[str]) -> bytes:
    digest = blake2b(digest_size=16)
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.digest()


def _near_pairs(texts: Sequence[str], threshold: float) -> Near:
    number: dict[str, int] = {}
    exact = np.fromiter(
        (number.setdefault(normalise(text), len(number)) for text in texts), dtype=np.int64, count=len(texts)
    )
    keys = list(number)
    if len(keys) < 2:
        return Near(exact, ())
    wording = Wording(keys)
    found = []
    for one, other in _candidates(keys).tolist():
        like = wording.compare(keys[one], keys[other], threshold=threshold)
        if like is not None:
            found.append(Pair(one, other, like.kind, like.score))
    return Near(exact, tuple(found))


def _candidates(keys: Sequence[str]) -> NDArray[np.int64]:
    """(m, 2) different pairs worth verifying, first < second, sorted."""
    n = len(keys)
    following = _FOLLOWING if n <= EXACT_UP_TO else _FOLLOWING_OF_MANY
    letters = _Letters([key.replace(" ", "") for key in keys])
    seen = np.zeros(0, dtype=np.int64)
    for bucket, owner in _parts(letters):
        pairs = _pairs(bucket, owner, following)
        seen = np.union1d(seen, _coded(pairs[letters.alike(pairs)], n))
    for bucket, owner in _classes(keys):
        pairs = _pairs(bucket, owner, following)
        seen = np.union1d(seen, _coded(pairs[letters.alike(pairs)], n))
    bands = _BANDS if n <= EXACT_UP_TO else _BANDS_OF_MANY
    owner = np.flatnonzero(letters.lengths >= _SHORTEST)
    if len(owner) == 0:
        return np.stack([seen // n, seen % n], 1)
    hashes = signatures([keys[at] for at in owner.tolist()], bands * _WIDTH)
    local = np.arange(len(owner))
    for band in range(bands):
        block = hashes[:, band * _WIDTH : (band + 1) * _WIDTH].astype(np.uint64)
        pairs = _pairs(_mixed(block.T), local, following)
        agree = (hashes[pairs[:, 0]] == hashes[pairs[:, 1]]).mean(axis=1) if len(pairs) else np.zeros(0)
        seen = np.union1d(seen, _coded(owner[pairs[agree >= NEAR - 0.15]], n))
    return np.stack([seen // n, seen % n], 1)


class _Letters:
    """Texts without spaces as one array of letters: lengths, hashes of any part, counts of letters."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)])[:-1]
        codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
        owner = np.repeat(np.arange(len(texts)), self.lengths)
        counts = np.bincount(owner * _ALPHABET + (codes % _ALPHABET).astype(np.int64), minlength=len(texts) * _ALPHABET)
        self._counts = np.minimum(counts, 32_000).astype(np.int16).reshape(len(texts), _ALPHABET)
        # Sums of letters times odd powers: the hash of any window is a difference of two sums, scaled to one place.
        base, inverse = np.uint64(0x9E3779B97F4A7C15), np.uint64(pow(0x9E3779B97F4A7C15, -1, 1 << 64))
        mixed = (codes + np.uint64(1)) * np.uint64(0xD6E8FEB86659FD93)
        mixed ^= mixed >> np.uint64(32)
        powers = np.cumprod(np.concatenate([[np.uint64(1)], np.full(len(codes), base)]), dtype=np.uint64)
        self._sums = np.concatenate([[np.uint64(0)], np.cumsum(mixed * powers[:-1], dtype=np.uint64)])
        self._back = np.cumprod(np.concatenate([[np.uint64(1)], np.full(len(codes), inverse)]), dtype=np.uint64)

    def windows(self, at: NDArray[np.int64], width: NDArray[np.int64]) -> NDArray[np.uint64]:
        """(m,) hashes of the windows that start at `at` (positions in all letters)."""
        out: NDArray[np.uint64] = (self._sums[at + width] - self._sums[at]) * self._back[at]
        return out

    def alike(self, pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(m,) whether the counts of letters differ by no more than a few mistakes would make."""
        out = np.zeros(len(pairs), dtype=bool)
        for start in range(0, len(pairs), 200_000):
            a, b = pairs[start : start + 200_000].T
            apart = np.abs(self._counts[a] - self._counts[b]).sum(axis=1)
            allowed = _LETTERS + np.minimum(self.lengths[a], self.lengths[b]) // 50
            out[start : start + len(a)] = apart <= allowed
        return out


def _parts(letters: _Letters) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
    """Per part: (bucket, owner) of every part in its place and of the windows where it may stand in a longer text."""
    long = np.flatnonzero(letters.lengths >= _SHORTEST)
    lengths, starts = letters.lengths[long], letters.starts[long]
    for part in range(_PARTS):
        buckets, owners = [], []
        for longer in range(3):
            room = lengths - longer
            begin, width = room * part // _PARTS, room * (part + 1) // _PARTS - room * part // _PARTS
            low = max(-part, longer - (_PARTS - 1 - part))
            high = min(part, longer + (_PARTS - 1 - part))
            for shift in range(low, high + 1):
                fits = np.flatnonzero((begin + shift >= 0) & (begin + shift + width <= lengths))
                hashes = letters.windows(starts[fits] + begin[fits] + shift, width[fits])
                buckets.append(_mixed(np.stack([hashes, room[fits].astype(np.uint64)])))
                owners.append(long[fits])
        yield np.concatenate(buckets), np.concatenate(owners)


def _classes(keys: Sequence[str]) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
    """Per two of six classes of words: (bucket, owner) of the texts with enough words, whatever their order."""
    number: dict[str, int] = {}
    split = [(at, key.split()) for at, key in enumerate(keys)]
    split = [(at, words) for at, words in split if len(words) >= FEWEST_REORDERED]
    if not split:
        return
    owner = np.array([at for at, _ in split], dtype=np.int64)
    sizes = np.array([len(words) for _, words in split], dtype=np.int64)
    ids = np.fromiter(
        (number.setdefault(word, len(number)) for _, words in split for word in words), np.int64, int(sizes.sum())
    )
    del split
    # Numbered by appearance, hashed by content: classes must not depend on the order of rows.
    hashes = np.fromiter((_word_hash(word) for word in number), dtype=np.uint64, count=len(number))[ids]
    begins = np.concatenate([[0], np.cumsum(sizes)])[:-1]
    kind = (hashes >> np.uint64(40)) % np.uint64(_CLASSES)
    sums = [np.add.reduceat(np.where(kind == c, hashes, np.uint64(0)), begins) for c in range(_CLASSES)]
    held = [np.add.reduceat((kind == c).astype(np.int64), begins) for c in range(_CLASSES)]
    total = np.add.reduceat(hashes, begins)
    yield total, owner
    for a, b in combinations(range(_CLASSES), 2):
        enough = np.flatnonzero(held[a] + held[b] >= 2)
        mark = np.full(len(enough), a * _CLASSES + b, dtype=np.uint64)
        yield _mixed(np.stack([sums[a][enough], sums[b][enough], mark])), owner[enough]


def _word_hash(word: str) -> int:
    value = 1469598103934665603
    for letter in word:
        value = (value ^ ord(letter)) * 1099511628211 & 0xFFFFFFFFFFFFFFFF
    return value ^ (value >> 29)


def _mixed(columns: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """(m,) one hash of several: columns is (k, m)."""
    out = np.zeros(columns.shape[1], dtype=np.uint64)
    for column in columns:
        out = (out ^ column) * np.uint64(0x9E3779B97F4A7C15)
        out ^= out >> np.uint64(31)
    return out


def _pairs(bucket: NDArray[np.uint64], owner: NDArray[np.int64], following: int) -> NDArray[np.int64]:
    """(m, 2) owners that share a bucket, first < second; each with those that follow it in the bucket."""
    order = np.argsort(bucket, kind="stable")
    bucket, owner = bucket[order], owner[order]
    at = np.arange(len(bucket))
    found = []
    for step in range(1, following + 1):
        at = at[at + step < len(bucket)]
        at = at[bucket[at] == bucket[at + step]]
        if len(at) == 0:
            break
        found.append(np.stack([owner[at], owner[at + step]], 1))
    pairs = np.concatenate(found) if found else np.zeros((0, 2), dtype=np.int64)
    pairs.sort(axis=1)
    different: NDArray[np.int64] = pairs[pairs[:, 0] != pairs[:, 1]]
    return different


def _coded(pairs: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    return np.unique(pairs[:, 0] * n + pairs[:, 1])
