"""Groups texts that are the same, or nearly: exact after normalising, near by the Jaccard index of shingles.

Near duplicates are found as in Broder 1997 (min-wise hashing of shingles) with banding (Leskovec, Rajaraman
and Ullman, *Mining of Massive Datasets*, section 3.4), and every candidate pair is verified.

What this does not see: paraphrases. Two texts with the same meaning and other words are not duplicates here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tunesmith.core.dataset import Dataset

# Two texts count as near duplicates from this Jaccard index of their 5-character shingles. Measured on 9,972
# different short questions with 77 labels: pairs from 0.75 up share their label as often as pairs from 0.9 up
# (97.6 % and 96.6 %, the labels' own noise), from 0.7 up less often (95.5 %): below 0.75 lie different questions
# that differ in a key word. A changed word of w letters in a text of L leaves about (L - w - 4) / (L + w + 4).
NEAR = 0.75
_SHINGLE = 5
# Shorter texts (after normalising) have too few shingles to compare: only equality counts.
_SHORTEST = 20

# 24 bands of 5: a pair at 0.75 meets in some bucket with probability 0.998, one at 0.4 with 0.22.
_PERMUTATIONS, _BANDS = 120, 24
# Beyond this many different texts, half the bands are used (0.96 at 0.75) and pairs are verified by the agreement
# of their signatures (standard error 0.056 at 0.75) and not by their shingles.
EXACT_UP_TO = 200_000
_FEWER_PERMUTATIONS, _FEWER_BANDS = 60, 12
_CHUNK = 50_000
_MOST_PAIRED = 200

_SEPARATORS = re.compile(r"[\W_]+")
_ASCII_SEPARATORS = {code: " " for code in range(128) if not chr(code).isalnum()}


@dataclass(frozen=True)
class Groups:
    """Which texts are (nearly) the same.

    exact: (n,) equal numbers for texts equal after normalising.
    near:  (n,) equal numbers for texts joined by chains of near duplicates; never finer than `exact`.
    how:   a sentence for the report.
    """

    exact: NDArray[np.int64]
    near: NDArray[np.int64]
    how: str


def normalise(text: str) -> str:
    """Letters and digits only, case folded, single spaces; the stripped text itself if nothing would be left."""
    if text.isascii():  # the same, five times as fast
        return " ".join(text.lower().translate(_ASCII_SEPARATORS).split()) or text.strip()
    return _SEPARATORS.sub(" ", text.casefold()).strip() or text.strip()


def group_texts(texts: Sequence[str], *, threshold: float = NEAR, near: bool = True) -> Groups:
    """Group equal and nearly equal texts; numbers are given in order of first appearance."""
    keys = [normalise(text) for text in texts]
    number: dict[str, int] = {}
    exact = np.fromiter((number.setdefault(key, len(number)) for key in keys), dtype=np.int64, count=len(keys))
    unique = list(number)
    if not near:
        return Groups(exact, exact.copy(), "equal after normalising")
    joined, how = _near_groups(unique, threshold)
    return Groups(exact, joined[exact], how)


def near_groups_of(data: Dataset, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """(len(rows),) near-duplicate groups of some rows of a Dataset; those found by *ingest* where they still hold."""
    part = data.table.take(rows)
    split = data.notes.get("split", {})
    kept = "group_column" in split and split["group_column"] is None
    if kept and part.num_rows and max(part["id"].to_numpy()) < int(data.notes.get("rows", 0)):
        return np.asarray(part["group"].to_numpy(), dtype=np.int64)
    return group_texts(part["text"].to_pylist()).near


def copies_of(
    texts: Sequence[str], groups: NDArray[np.int64], of: NDArray[np.bool_], *, threshold: float = NEAR
) -> NDArray[np.bool_]:
    """(n,) which texts outside `of` are equal or near duplicates of one inside, within the same group.

    groups: as from `group_texts`. A text that only hangs on such a pair by a chain of others is no copy; in
    groups of more than 200 texts the chain counts, for the pairs would be too many.
    """
    found = np.zeros(len(texts), dtype=bool)
    candidates = np.flatnonzero(np.isin(groups, np.unique(groups[of])))
    order = candidates[np.argsort(groups[candidates], kind="stable")]
    for members in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        inside, outside = members[of[members]], members[~of[members]]
        if len(members) > _MOST_PAIRED:
            found[outside] = True
            continue
        kept = [_shingle_set(normalise(texts[int(at)])) for at in inside]
        for at in outside:
            own = _shingle_set(normalise(texts[int(at)]))
            found[at] = any(own == other or len(own & other) >= threshold * len(own | other) for other in kept)
    return found


def _shingle_set(key: str) -> frozenset[str]:
    if len(key) < _SHORTEST:
        return frozenset((key,))
    return frozenset(key[at : at + _SHINGLE] for at in range(len(key) - _SHINGLE + 1))


def _near_groups(keys: Sequence[str], threshold: float) -> tuple[NDArray[np.int64], str]:
    """(labels, how) for different normalised texts."""
    n = len(keys)
    labels = np.arange(n, dtype=np.int64)
    long = np.array([at for at, key in enumerate(keys) if len(key) >= _SHORTEST], dtype=np.int64)
    measured = n <= EXACT_UP_TO
    how = f"{_SHINGLE}-character shingles, Jaccard index of at least {threshold}" + (
        ", every pair measured"
        if measured
        else f", estimated from {_FEWER_PERMUTATIONS} min-hashes because there are {n:,} different texts"
    )
    if len(long) < 2:
        return labels, how
    permutations, bands = (_PERMUTATIONS, _BANDS) if measured else (_FEWER_PERMUTATIONS, _FEWER_BANDS)
    texts = keys if len(long) == n else [keys[at] for at in long]
    hashes = signatures(texts, permutations)
    sets = _shingle_matrix(texts) if measured else None
    parts = _join(hashes, sets, threshold, bands)
    first = np.full(parts.max() + 1, n, dtype=np.int64)
    np.minimum.at(first, parts, long)
    labels[long] = first[parts]
    return _renumbered(labels), how


def signatures(keys: Sequence[str], permutations: int) -> NDArray[np.uint32]:
    """(n, permutations) min-hashes of the 5-character shingles of normalised texts."""
    from rensa import RMinHash

    out = np.empty((len(keys), permutations), dtype=np.uint32)
    at = 0
    for hashes, offsets in _shingles(keys):
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, permutations, 42)
        rows = len(offsets) - 1
        flat = np.fromiter(chain.from_iterable(matrix.to_rows()), dtype=np.uint32, count=rows * permutations)
        out[at : at + rows] = flat.reshape(rows, permutations)
        at += rows
    return out


def _shingles(keys: Sequence[str]) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.uint64]]]:
    """Chunks of (flat shingle hashes, row offsets): every window of 5 characters of every text, hashed to 64 bits."""
    multiplier = np.uint64(0x9E3779B97F4A7C15)
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        letters = np.frombuffer("".join(chunk).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
        lengths = np.fromiter(map(len, chunk), dtype=np.int64, count=len(chunk))
        ends = np.cumsum(lengths)
        windows = len(letters) - _SHINGLE + 1
        hashes = np.zeros(windows, dtype=np.uint64)
        for offset in range(_SHINGLE):
            hashes = (hashes ^ letters[offset : offset + windows]) * multiplier
            hashes ^= hashes >> np.uint64(29)
        # Windows that run over the end of a text belong to none.
        inside = np.ones(windows, dtype=bool)
        for back in range(1, _SHINGLE):
            over = ends[:-1] - back
            inside[over[(over >= 0) & (over < windows)]] = False
        counts = np.maximum(lengths - _SHINGLE + 1, 0)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.uint64)
        yield hashes[inside], offsets


def _shingle_matrix(keys: Sequence[str]) -> Any:
    """(n, shingles) sparse 0/1 matrix."""
    from scipy.sparse import csr_matrix

    flat, starts = [], [np.zeros(1, dtype=np.int64)]
    total = 0
    for hashes, offsets in _shingles(keys):
        flat.append(hashes)
        starts.append(offsets[1:].astype(np.int64) + total)
        total += len(hashes)
    _, columns = np.unique(np.concatenate(flat), return_inverse=True)
    rows = csr_matrix(
        (np.ones(total, dtype=np.int32), columns.astype(np.int32), np.concatenate(starts)),
        shape=(len(keys), int(columns.max()) + 1 if total else 1),
    )
    rows.sum_duplicates()
    rows.data[:] = 1
    return rows


def _join(signatures: NDArray[np.uint32], sets: Any, threshold: float, bands: int) -> NDArray[np.int64]:
    """(n,) component numbers. Band by band, each text is compared with the first of its bucket and the one before."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n = len(signatures)
    parts = np.arange(n, dtype=np.int64)
    width = signatures.shape[1] // bands
    mixer = np.random.default_rng(7).integers(1, 2**63, size=width, dtype=np.uint64) | np.uint64(1)
    sizes = None if sets is None else np.diff(sets.indptr)
    for band in range(bands):
        block = signatures[:, band * width : (band + 1) * width].astype(np.uint64)
        with np.errstate(over="ignore"):
            bucket = (block * mixer).sum(axis=1, dtype=np.uint64)
        order = np.argsort(bucket, kind="stable")
        same = np.concatenate([[False], bucket[order][1:] == bucket[order][:-1]])
        if not same.any():
            continue
        firsts = np.maximum.accumulate(np.where(same, 0, np.arange(n)))
        second = order[same]
        others = np.concatenate([order[firsts[same]], order[np.flatnonzero(same) - 1]])
        pairs = np.stack([others, np.concatenate([second, second])], 1)
        pairs = pairs[parts[pairs[:, 0]] != parts[pairs[:, 1]]]
        if len(pairs) == 0:
            continue
        near = pairs[_similarity(pairs, signatures, sets, sizes) >= threshold]
        if len(near) == 0:
            continue
        links = coo_matrix((np.ones(len(near)), (parts[near[:, 0]], parts[near[:, 1]])), shape=(n, n))
        _, component = connected_components(links, directed=False)
        parts = component[parts].astype(np.int64)
    return parts


def _similarity(
    pairs: NDArray[np.int64], signatures: NDArray[np.uint32], sets: Any, sizes: NDArray[np.int32] | None
) -> NDArray[np.float64]:
    """(m,) Jaccard index of each pair, measured where the shingles are at hand, else estimated."""
    out = np.empty(len(pairs), dtype=np.float64)
    for start in range(0, len(pairs), _CHUNK):
        a, b = pairs[start : start + _CHUNK].T
        if sets is None or sizes is None:
            out[start : start + len(a)] = (signatures[a] == signatures[b]).mean(axis=1)
        else:
            common = np.asarray(sets[a].multiply(sets[b]).sum(axis=1)).ravel()
            out[start : start + len(a)] = common / np.maximum(sizes[a] + sizes[b] - common, 1)
    return out


def _renumbered(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same partition, numbered by first appearance."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    return rank[inverse.ravel()]
