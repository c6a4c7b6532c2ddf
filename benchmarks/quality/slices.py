"""Weak parts planted among real texts: how many are found, and how often something is called weak where nothing is.

Texts and labels are real, being right is drawn: 90 % of all rows, and 20 points less in one planted part (a word, a
label, a length, a group of like texts of about 6 % of the rows). Searched on 1,000 rows, tested on 2,000 others. Found:
a part called surely weak that shares at least half of its test rows with the planted one (Jaccard).
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

import judged
import numpy as np
import report

_SEEN, _FRESH, _TRIALS, _NULLS = 1_000, 2_000, 6, 30
_BASE, _DROP = 0.9, 0.2
_KINDS = ("word", "label", "length", "cluster")


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    from tunesmith.core.statistics import clopper_pearson

    trials, nulls = (2, 8) if asked.quick else (_TRIALS, _NULLS)
    found: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    alarms, quiet, beside = 0, 0, 0
    for name in judged.SETS:
        rows = judged.judged(name, asked.shared, asked.work)
        vectors = judged.vectors(name, asked)
        for seed in range(trials):
            for kind in _KINDS:
                outcome = _planted(rows, vectors, kind, seed)
                if outcome is None:
                    continue
                tried[kind] += 1
                found[kind] += outcome[0]
                beside += outcome[1]
        for seed in range(nulls):
            alarms += _null(rows, vectors, seed)
            quiet += 1
    made = [
        report.row(
            f"planted weak part found: {kind}", found[kind] / tried[kind], bar=None, unit="share", cell="slices",
            n=tried[kind], seeds=trials, interval=list(clopper_pearson(found[kind], tried[kind])), drop_in_points=20,
        )
        for kind in _KINDS
        if tried[kind]
    ]  # fmt: skip
    made.append(report.row(
        "planted weak parts found, all kinds", sum(found.values()) / sum(tried.values()), bar=0.8, unit="share",
        cell="slices", n=sum(tried.values()), seeds=trials, called_weak_that_share_no_row_with_it=beside,
    ))  # fmt: skip
    # The bar is 5 %: met if the exact interval does not lie above it.
    low, high = clopper_pearson(alarms, quiet)
    made.append(report.row(
        "runs without a weak part in which one is named", alarms / quiet, bar=0.05, higher=False, unit="share",
        cell="slices", n=quiet, seeds=nulls, interval=[low, high],
    ))  # fmt: skip
    return made


def _cut(rows: judged.Judged, vectors: np.ndarray, right: np.ndarray, seed: int) -> tuple[Any, Any, np.ndarray]:
    from tunesmith.evaluation.slices import Sample

    order = np.random.default_rng([seed, 7]).permutation(len(rows.texts))
    parts = (order[:_SEEN], order[_SEEN : _SEEN + _FRESH])
    seen, fresh = (
        Sample([rows.texts[i] for i in at], right[at], [rows.labels[rows.codes[i]] for i in at], {}, vectors[at])
        for at in parts
    )
    return seen, fresh, parts[1]


def _null(rows: judged.Judged, vectors: np.ndarray, seed: int) -> bool:
    """Whether anything is called weak where each row is right with the same chance."""
    from tunesmith.evaluation.slices import weak_slices

    right = (np.random.default_rng([seed, 5]).random(len(rows.texts)) < _BASE).astype(float)
    seen, fresh, _ = _cut(rows, vectors, right, seed)
    return any(part.p_adjusted < 0.05 for part in weak_slices(seen, fresh, metric="accuracy", seed=seed))


def _planted(rows: judged.Judged, vectors: np.ndarray, kind: str, seed: int) -> tuple[bool, int] | None:
    """(found, parts called weak that do not touch it); None where the set has no such part of a fit size."""
    from tunesmith.evaluation import slices

    draw = np.random.default_rng([seed, 11])
    inside = _part(rows, vectors, kind, draw)
    if inside is None:
        return None
    right = (draw.random(len(rows.texts)) < np.where(inside, _BASE - _DROP, _BASE)).astype(float)
    seen, fresh, at = _cut(rows, vectors, right, seed)
    named = {(c.slice, c.value): c.picks(fresh) for c in slices.candidates(seen, fresh, seed=seed)}
    sure = [p for p in slices.weak_slices(seen, fresh, metric="accuracy", seed=seed) if p.p_adjusted < 0.05]
    masks = [named[p.slice, p.value] for p in sure]
    planted = inside[at]
    hit = any((m & planted).sum() / max(1, (m | planted).sum()) >= 0.5 for m in masks)
    return hit, sum(not (m & planted).any() for m in masks)


def _part(rows: judged.Judged, vectors: np.ndarray, kind: str, draw: np.random.Generator) -> np.ndarray | None:
    """(n,) which rows are weak: 3 to 15 % of them, or a third for lengths."""
    from tunesmith.tasks.metrics import words

    n = len(rows.texts)
    if kind == "word":
        grams = [set(words(text)[:150]) for text in rows.texts]
        common = sorted(w for w, c in Counter(w for g in grams for w in g).items() if 0.04 * n <= c <= 0.15 * n)
        if not common:
            return None
        word = common[int(draw.integers(len(common)))]
        return np.array([word in g for g in grams])
    if kind == "label":
        shares = np.bincount(rows.codes) / n
        fit = np.flatnonzero((shares >= 0.012) & (shares <= 0.4))
        return rows.codes == fit[int(draw.integers(len(fit)))] if len(fit) else None
    if kind == "length":
        counts = np.array([len(text.split()) for text in rows.texts])
        return counts > np.quantile(counts, 2 / 3)
    centre = vectors[int(draw.integers(n))]
    near = vectors @ centre
    return near >= np.quantile(near, 0.94)
