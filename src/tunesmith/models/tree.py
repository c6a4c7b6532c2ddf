"""Token sequences packed into one row as a tree of shared beginnings, so that what they share is computed once.

    rows   a b c d        packed   a b | c d | x y | z          where   rows' tokens in the packed row
           a b x y          at     0 1   2 3   2 3   2          at      their positions, restarting on each branch
           a b z

Segments stand in depth-first order: everything that hangs on a segment follows it without a gap. A token may look at
its own segment up to itself and at all segments between it and the root, and at nothing else; what a causal model
computes for it is then what it computes for the row alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

# A beginning is shared if that saves so many tokens: each segment costs some calls inside attention.
LEAST_SAVED = 16

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Segment:
    """Tokens start … end-1 of the packed row; the subtree that hangs on them ends at `last`. parent: -1 for a root."""

    start: int
    end: int
    last: int
    parent: int


@dataclass(frozen=True, eq=False)
class Tree:
    """Rows packed together.

    ids, at:  (n,) tokens and their positions in their rows.
    segments: in depth-first order.
    where:    per row, the index in the packed row of each of its tokens.
    """

    ids: Ints
    at: Ints
    segments: tuple[Segment, ...]
    where: tuple[Ints, ...]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass
class _Node:
    tokens: list[int]
    children: list[_Node] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)  # rows whose last token is this node's last


def plant(rows: Sequence[Sequence[int]], *, least: int = LEAST_SAVED) -> Tree:
    """The rows as a tree. least: tokens that sharing a beginning must save; a huge number shares nothing.

    Rows may repeat or be beginnings of others; none may be empty.
    """
    order = sorted(range(len(rows)), key=lambda i: tuple(rows[i]))
    roots = [kept for node in _grow(rows, order, 0) for kept in _prune(node, least)]
    ids: list[int] = []
    at: list[int] = []
    segments: list[Segment | None] = []
    where: list[Ints] = [np.empty(0, dtype=np.int64)] * len(rows)

    def place(node: _Node, parent: int, before: list[range]) -> None:
        start, here = len(ids), len(segments)
        depth = sum(map(len, before))
        ids.extend(node.tokens)
        at.extend(range(depth, depth + len(node.tokens)))
        end = len(ids)
        path = [*before, range(start, end)]
        for row in node.ends:
            where[row] = np.fromiter(itertools.chain.from_iterable(path), dtype=np.int64)
        segments.append(None)  # its place in the order; how far its subtree goes is known afterwards
        for child in node.children:
            place(child, here, path)
        segments[here] = Segment(start, end, len(ids), parent)

    for root in roots:
        place(root, -1, [])
    done = tuple(s for s in segments if s is not None)
    return Tree(np.array(ids, dtype=np.int64), np.array(at, dtype=np.int64), done, tuple(where))


def _grow(rows: Sequence[Sequence[int]], order: Sequence[int], depth: int) -> list[_Node]:
    """A radix tree of the rows from token `depth` on. order: rows longer than that, sorted."""
    nodes = []
    for _, group in itertools.groupby(order, key=lambda i: rows[i][depth]):
        some = list(group)
        first, final = rows[some[0]], rows[some[-1]]  # sorted: what these two share, all share
        end = depth + _shared(first, final, depth)
        node = _Node(list(first[depth:end]), ends=[i for i in some if len(rows[i]) == end])
        node.children = _grow(rows, [i for i in some if len(rows[i]) > end], end)
        nodes.append(node)
    return nodes


def _shared(a: Sequence[int], b: Sequence[int], start: int) -> int:
    """How many tokens from `start` on two sequences have in common."""
    n = min(len(a), len(b)) - start
    if n <= 0:
        return 0
    differ = np.flatnonzero(np.asarray(a[start : start + n]) != np.asarray(b[start : start + n]))
    return int(differ[0]) if len(differ) else n


def _prune(node: _Node, least: int) -> Iterator[_Node]:
    """The node, or, where sharing it saves too little, one node per branch with its tokens in front."""
    node.children = [kept for child in node.children for kept in _prune(child, least)]
    branches = len(node.children) + len(node.ends)
    if not node.children or (branches - 1) * len(node.tokens) >= least:
        yield node
        return
    for child in node.children:
        child.tokens = node.tokens + child.tokens
        yield child
    if node.ends:
        yield _Node(node.tokens, ends=node.ends)
