"""Divides Examples into train, dev and test so that no near duplicate, group or later time crosses over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import numpy as np

from tunesmith.core.errors import DataError
from tunesmith.data.summary import codes_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FORMATS = (
    "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%Y/%m/%d", "%B %d, %Y", "%b %d, %Y", "%d %b %Y", "%d %B %Y",
    "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d.%m.%Y %H:%M",
    "%d-%b-%y", "%a %b %d %H:%M:%S %z %Y", "%a, %d %b %Y %H:%M:%S %z", "%m/%d/%y", "%H:%M:%S",
)  # fmt: skip
# Test sets beyond this many rows no longer narrow an interval that anyone acts on.
_LARGEST_TEST = 20_000
_LARGEST_DEV = 10_000


@dataclass(frozen=True)
class Shares:
    """Parts of the rows, each 0 to 1; the rest is train."""

    test: float
    dev: float


def default_shares(n: int, *, ready_test: bool) -> Shares:
    """Few rows give up a larger share, so that dev and test can still tell rungs apart."""
    if n < 1000:
        test, dev = 0.3, 0.2
    elif n < 5000:
        test, dev = 0.2, 0.15
    else:
        test, dev = 0.2, 0.1
    return Shares(0.0 if ready_test else min(test, _LARGEST_TEST / n), min(dev, _LARGEST_DEV / n))


def join_groups(*groupings: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) the finest grouping that is no finer than any of those given; -1 stands for "no group"."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n = len(groupings[0])
    rows, nodes, start = [], [], n
    for grouping in groupings:
        has = np.flatnonzero(grouping >= 0)
        rows.append(has)
        nodes.append(grouping[has] + start)
        start += int(grouping.max(initial=-1)) + 1
    a, b = np.concatenate(rows), np.concatenate(nodes)
    graph = coo_matrix((np.ones(len(a), dtype=np.int8), (a, b)), shape=(start, start))
    _, component = connected_components(graph, directed=False)
    _, first, inverse = np.unique(component[:n], return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    return rank[inverse.ravel()]


def divide(
    groups: NDArray[np.int64],
    labels: Sequence[str] | None,
    shares: Shares,
    *,
    rng: np.random.Generator,
    times: NDArray[np.float64] | None = None,
) -> NDArray[np.str_]:
    """(n,) "train", "dev" or "test". Whole groups stay together; each label is spread over the parts.

    A label with one group stays in train, one with two has none in dev. With `times`, the latest rows are
    test and those before them dev; a group goes where its latest row goes, so that train holds nothing later.
    """
    if times is not None:
        return _by_time(groups, times, shares)
    number, sizes, main = _groups_with_label(groups, labels)
    part = np.full(len(sizes), "train", dtype="<U5")
    order = rng.permutation(len(sizes))
    order = order[np.argsort(main[order], kind="stable")]
    cuts = np.flatnonzero(np.diff(main[order])) + 1
    for members in np.split(order, cuts):
        rows = int(sizes[members].sum())
        wanted: list[tuple[Literal["test", "dev"], float]] = []
        if shares.test > 0 and len(members) >= 2:
            wanted.append(("test", max(1.0, round(shares.test * rows))))
        if shares.dev > 0 and len(members) >= 2 + bool(wanted):
            wanted.append(("dev", max(1.0, round(shares.dev * rows))))
        _hand_out(part, members, sizes, wanted)
    return part[number]


def _hand_out(
    part: NDArray[np.str_], members: NDArray[np.int64], sizes: NDArray[np.int64], wanted: Sequence[tuple[str, float]]
) -> None:
    """Give groups, in their shuffled order, to each part until it has its rows; train keeps at least one group."""
    left = members
    for name, quota in wanted:
        fits = left[sizes[left] <= max(1.0, quota)]
        if len(fits) == 0 or len(left) <= 1:
            continue
        filled = np.cumsum(sizes[fits])
        take = fits[filled <= quota]
        if len(take) == 0:
            take = fits[:1]
        take = take[: len(left) - 1]
        part[take] = name
        left = left[~np.isin(left, take)]


def _groups_with_label(
    groups: NDArray[np.int64], labels: Sequence[str] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(group number per row, rows per group, most frequent label per group)."""
    _, number = np.unique(groups, return_inverse=True)
    number = number.ravel()
    sizes = np.bincount(number)
    if labels is None:
        return number, sizes, np.zeros(len(sizes), dtype=np.int64)
    codes = codes_of(labels)
    pairs, counts = np.unique(number.astype(np.int64) * (codes.max() + 1) + codes, return_counts=True)
    group, code = pairs // (codes.max() + 1), pairs % (codes.max() + 1)
    order = np.lexsort((code, -counts, group))
    first = np.concatenate([[True], np.diff(group[order]) > 0])
    return number, sizes, code[order][first]


def _by_time(groups: NDArray[np.int64], times: NDArray[np.float64], shares: Shares) -> NDArray[np.str_]:
    _, number = np.unique(groups, return_inverse=True)
    number = number.ravel()
    latest = np.full(number.max() + 1, -np.inf)
    np.maximum.at(latest, number, times)
    sizes = np.bincount(number)
    order = np.argsort(-latest, kind="stable")
    taken = np.cumsum(sizes[order])
    n = len(groups)
    part = np.full(len(sizes), "train", dtype="<U5")
    part[order[taken <= (shares.test + shares.dev) * n]] = "dev"
    part[order[taken <= shares.test * n]] = "test"
    return part[number]


def times_of(values: Sequence[str | None], column: str, where: Sequence[str]) -> NDArray[np.float64]:
    """(n,) seconds (dates) or the numbers themselves; raises DataError naming the first cell that is neither.

    where: "file: row n" of each row.
    """
    cells = [(value or "").strip() for value in values]
    for read in (_numbers, _iso_dates, *(_with_format(form) for form in _FORMATS)):
        found = read(cells)
        if found is not None:
            return found
    tried = [read([cell]) for cell in cells[:1000] for read in (_iso_dates,)]
    at = next((i for i, value in enumerate(tried) if value is None), 0)
    raise DataError(
        f"{where[at]}, column '{column}': '{cells[at][:40]}' is no date or number that can be ordered.",
        hint="write dates as 2026-01-31 or 2026-01-31T10:00:00, with none missing, or leave --time out.",
    )


def _numbers(cells: Sequence[str]) -> NDArray[np.float64] | None:
    try:
        found = np.array([float(cell) for cell in cells])
    except ValueError:
        return None
    return found if bool(np.isfinite(found).all()) else None


def _iso_dates(cells: Sequence[str]) -> NDArray[np.float64] | None:
    try:
        return np.array([_seconds(datetime.fromisoformat(cell)) for cell in cells])
    except ValueError:
        return None


def _with_format(form: str) -> Callable[[Sequence[str]], NDArray[np.float64] | None]:
    def read(cells: Sequence[str]) -> NDArray[np.float64] | None:
        try:
            return np.array([_seconds(datetime.strptime(cell, form)) for cell in cells])
        except ValueError:
            return None

    return read


def _seconds(moment: datetime) -> float:
    naive = moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    return (naive - datetime(1970, 1, 1)).total_seconds()
