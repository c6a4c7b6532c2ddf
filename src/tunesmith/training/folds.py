"""Cuts rows into folds: stratified by label, groups kept whole, repeatable by seed.

Knows nothing of Systems: it deals in codes and groups and gives lists of positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.core.dataset import Rows
from tunesmith.core.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray


def label_codes(targets: Sequence[str], labels: Sequence[str]) -> NDArray[np.int64]:
    """(n,) position of each target in `labels`. Raises DataError for a target that is not among them."""
    codes = {label: code for code, label in enumerate(labels)}
    try:
        return np.fromiter((codes[target] for target in targets), dtype=np.int64, count=len(targets))
    except KeyError as missing:
        stranger = str(missing.args[0])
        raise DataError(f"target '{stranger}' is not one of the labels.", hint=did_you_mean(stranger, labels)) from None


def rest_of(held_out: Sequence[int] | NDArray[np.integer], n: int) -> NDArray[np.int64]:
    """Positions 0..n-1 that are not held out, in order."""
    keep = np.ones(n, dtype=bool)
    keep[np.asarray(held_out, dtype=np.int64)] = False
    return np.flatnonzero(keep)


def make_folds(
    targets: Sequence[str] | NDArray[np.int64],
    groups: NDArray[np.int64],
    *,
    k: int,
    seed: int,
) -> list[list[int]]:
    """k disjoint lists of held-out positions (sorted) that together hold every row once.

    targets: (n,) labels, or their codes. groups: (n,) rows with equal numbers share a fold.
    Each label is spread as evenly as whole groups allow: groups are dealt in random order, the largest
    first, to the fold that has least of the group's labels (relative to the label's total), then fewest rows.
    k is lowered to the number of groups; fewer than two groups cannot be split (DataError).
    """
    _, codes = np.unique(np.asarray(targets), return_inverse=True)
    _, members = np.unique(groups, return_inverse=True)
    n, n_labels, n_groups = len(codes), int(codes.max(initial=-1)) + 1, int(members.max(initial=-1)) + 1
    if n_groups < 2:
        raise DataError(
            f"{n} rows in {n_groups} group(s) cannot be cut into folds.",
            hint="give at least two groups of rows (or no group column at all).",
        )
    k = min(k, n_groups)
    order = np.random.default_rng(seed).permutation(n_groups)
    rows_of_group: list[list[int]] = [[] for _ in range(n_groups)]
    for position, group in enumerate(members):
        rows_of_group[group].append(position)
    sizes = np.array([len(rows) for rows in rows_of_group])
    order = order[np.argsort(-sizes[order], kind="stable")]
    # Single rows are dealt label by label, so that a label's rows go round the folds in turn.
    first_label = np.array([codes[rows[0]] for rows in rows_of_group])
    singles = sizes[order] == 1
    order = np.concatenate([order[~singles], order[singles][np.argsort(first_label[order[singles]], kind="stable")]])
    totals = np.bincount(codes, minlength=n_labels).astype(np.float64)
    held = np.zeros((k, n_labels))
    filled = np.zeros(k)
    folds: list[list[int]] = [[] for _ in range(k)]
    for group in order:
        rows = rows_of_group[group]
        share = np.bincount(codes[rows], minlength=n_labels) / totals
        burden = held @ share + 1e-9 * filled
        fold = int(burden.argmin())
        folds[fold].extend(rows)
        held[fold] += share
        filled[fold] += len(rows)
    return [sorted(fold) for fold in folds]


def row_folds(rows: Rows, *, k: int, seed: int) -> list[list[int]]:
    """`make_folds` of Rows by their targets and groups."""
    return make_folds(rows.targets, rows.groups, k=k, seed=seed)


def repeated_folds(rows: Rows, *, k: int, repeats: int, seed: int) -> list[list[list[int]]]:
    """`repeats` independent cuts into k folds; the r-th uses its own stream of `seed`."""
    streams = np.random.SeedSequence(seed).generate_state(repeats)
    return [row_folds(rows, k=k, seed=int(stream)) for stream in streams]


def stratified_sample(rows: Rows, *, most: int, seed: int) -> NDArray[np.int64]:
    """Positions (sorted) of at most `most` rows with labels in the same proportions; all of them if no more.

    Every label keeps at least two rows where it has them. Groups may be cut: the rest of a cut group is left out.
    """
    n = len(rows)
    if n <= most:
        return np.arange(n, dtype=np.int64)
    _, codes = np.unique(np.asarray(rows.targets), return_inverse=True)
    order = np.random.default_rng(seed).permutation(n)
    # The r-th of a label's m rows (in random order) stands at r/m: cutting at a share takes that share of each label.
    place = np.zeros(n)
    for label in range(int(codes.max()) + 1):
        its = order[codes[order] == label]
        place[its] = np.arange(len(its)) / len(its)
        place[its[:2]] = -1.0
    return np.sort(np.argsort(place, kind="stable")[:most])
