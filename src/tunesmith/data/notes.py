"""What the report shows of the data: counts, repairs, languages, lengths, the split and what a random one would hide.

Nothing here is derived from test targets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.decisions import Decision, Detected
from tunesmith.data.duplicates import Groups
from tunesmith.data.inflation import split_inflation
from tunesmith.data.labels import Labels
from tunesmith.data.summary import codes_of, describe_lengths, guess_languages
from tunesmith.data.table import Table
from tunesmith.data.tags import label_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_FILES = 20


def describe_data(
    found: Detected,
    table: Table,
    texts: Sequence[str],
    answers: Sequence[str | None],
    splits: NDArray[np.str_],
    *,
    decisions: Sequence[Decision],
    warnings: Sequence[str],
    repairs: Mapping[str, int],
    labels: Labels,
) -> dict[str, Any]:
    """Counts, repairs, left-out columns, decisions, languages, labels, lengths and warnings, as JSON."""
    known = [at for at in range(len(texts)) if splits[at] in ("train", "dev")]
    warnings = list(warnings)
    counts: Counter[str] = Counter()
    if found.task == "tag":
        counts = label_counts([answers[at] for at in known])
    elif found.task == "classify":
        counts = Counter(str(answers[at]) for at in known)
    rare = [name for name, count in counts.items() if count < 5]
    if rare:
        few = ", ".join(f"'{name}'" for name in sorted(rare)[:5])
        warnings.append(f"{len(rare)} labels have fewer than 5 examples ({few}{', …' if len(rare) > 5 else ''}).")
    without_target = sum(a is None for a in answers) if found.target else 0
    without_text = sum(not t for t in texts)
    if without_target:
        warnings.append(f"{without_target:,} rows have no target and take no part.")
    if without_text:
        warnings.append(f"{without_text:,} rows have no text and take no part.")
    return {
        "rows": len(texts),
        "rows_used": int((splits != "none").sum()),
        "rows_without_target": without_target,
        "rows_without_text": without_text,
        "files": _files(Counter(table.file.to_pylist())),
        "repairs": {**table.repairs, **_add(repairs, labels.counts)},
        "ignored": dict(found.ignored),
        "decisions": [asdict(decision) for decision in decisions],
        "languages": guess_languages([texts[at] for at in known]),
        "label_counts": dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
        "lengths": describe_lengths([texts[at] for at in known]),
        "target_lengths": describe_lengths([] if counts else [answers[at] or "" for at in known]),
        "warnings": warnings,
    }


def _files(counts: Mapping[str, int]) -> dict[str, int]:
    """Rows per file; of many files, rows per folder."""
    if len(counts) <= _MOST_FILES:
        return dict(counts)
    folders: Counter[str] = Counter()
    for name, rows in counts.items():
        folders[f"{name.rpartition('/')[0]}/"] += rows
    return dict(folders) if len(folders) <= _MOST_FILES else {f"{len(counts):,} files": sum(counts.values())}


def _add(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    return {kind: first.get(kind, 0) + second.get(kind, 0) for kind in {**first, **second}}


def describe_split(
    texts: Sequence[str],
    labels: Sequence[str | None] | None,
    splits: NDArray[np.str_],
    groups: NDArray[np.int64],
    duplicates: Groups,
    *,
    leaks: NDArray[np.bool_],
    how: str,
    group_column: str | None,
    time_column: str | None,
    seed: int,
) -> dict[str, Any]:
    """Counts per part, duplicates, leaks, and by how much a random split would have flattered the score, as JSON.

    labels: None for tasks without labels. leaks: (n,) train and dev rows that copy a test row.
    """
    used = splits != "none"
    exact = _surplus(duplicates.exact[used])
    near = _surplus(duplicates.near[used])
    sizes = np.bincount(np.unique(groups[used], return_inverse=True)[1].ravel())
    at = np.flatnonzero(((splits == "train") | (splits == "dev")) & ~leaks)
    known = None if labels is None else [str(labels[int(i)]) for i in at]
    rng = np.random.default_rng([seed, 2])
    inflation = split_inflation([texts[int(i)] for i in at], known, groups[at], rng=rng)
    return {
        "how": how,
        "counts": {part: int((splits == part).sum()) for part in ("train", "dev", "test", "none")},
        "groups": len(sizes),
        "largest_group": int(sizes.max(initial=0)),
        "exact_duplicates": exact,
        "near_duplicates": near - exact,
        "duplicates_found_by": duplicates.how,
        "group_column": group_column,
        "time_column": time_column,
        "leaks": int(leaks.sum()),
        "conflicting_duplicates": _conflicts(duplicates.exact[at], known),
        "inflation": inflation,
    }


def _surplus(groups: NDArray[np.int64]) -> int:
    """Rows beyond the first of their group."""
    return len(groups) - len(np.unique(groups))


def _conflicts(groups: NDArray[np.int64], labels: Sequence[str] | None) -> int:
    """Rows whose text occurs with another label too (train and dev only)."""
    if labels is None or len(groups) == 0:
        return 0
    codes = codes_of(labels)
    most = int(codes.max()) + 1
    group, count = np.unique(np.unique(groups * most + codes) // most, return_counts=True)
    return int(np.isin(groups, group[count > 1]).sum())
