"""Which label another one stands for: misspelt names, and pairs of labels that rows do not tell apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from tunesmith.data.wording import edits

# A misspelling is far rarer than the name it stands for.
_TIMES = 5
_SHORTEST = 4
_FEWEST_ROWS, _FEWEST_OF_A_LABEL = 100, 10
_MOST_LABELS = 500


def misspelt(counts: Mapping[str, int]) -> dict[str, str]:
    """label -> the label that was probably meant: equal but for case and separators, or misspelt and far rarer.

    counts: rows of each label. One letter may differ, two from seven letters on; digits never ("level 1", "level 2").
    """
    names = sorted(counts, key=lambda name: (-counts[name], name))
    squeezed: dict[str, str] = {}
    found = {}
    for name in names:
        own = _letters(name)
        usual = squeezed.setdefault(own, name) if own else name
        if usual != name:
            found[name] = usual
            continue
        near = []
        for other in names:
            theirs = _letters(other)
            if counts[other] < _TIMES * counts[name]:
                break
            if min(len(own), len(theirs)) < _SHORTEST or re.sub(r"\D", "", own) != re.sub(r"\D", "", theirs):
                continue
            cost = edits(own, theirs)
            if 0 < cost <= (1 if len(theirs) < 7 else 2):
                near.append((cost, -counts[other], other))
        if near:
            found[name] = min(near)[2]
    return found


def confusions(texts: Sequence[str], labels: Sequence[str], *, seed: int = 0) -> dict[tuple[str, str], float]:
    """(label, other) -> how much of the label goes to the other, as a multiple of what it keeps itself.

    By naive Bayes on hashed words that did not see the row (two halves). Two names of one thing come out near 1. Only
    labels of ten rows and more; empty for fewer than a hundred rows and for more than 500 labels.
    """
    from sklearn.naive_bayes import ComplementNB

    from tunesmith.data.probe import features

    counts = Counter(labels)
    at = [i for i, label in enumerate(labels) if counts[label] >= _FEWEST_OF_A_LABEL]
    names, codes = np.unique(np.array([labels[i] for i in at], dtype=object).astype(str), return_inverse=True)
    if len(at) < _FEWEST_ROWS or not 2 <= len(names) <= _MOST_LABELS:
        return {}
    X = features([texts[i] for i in at])
    X = X[:, np.unique(X.indices)]
    half = np.random.default_rng(seed).permutation(len(at)) % 2
    table = np.zeros((len(names), len(names)))
    for side in (0, 1):
        fit, held = half != side, half == side
        guess = ComplementNB().fit(X[fit], codes[fit]).predict(X[held])
        np.add.at(table, (codes[held], guess), 1.0)
    own = np.maximum(table.diagonal(), 1.0)
    share = table / own[:, None]
    np.fill_diagonal(share, 0.0)
    return {(str(names[i]), str(names[j])): float(share[i, j]) for i, j in np.argwhere(share > 0).tolist()}


def _letters(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())
