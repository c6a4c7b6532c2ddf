"""Labels that are rare, misspelt, or two names for one thing, and labels far smaller than the others."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np

from tunesmith.core.dataset import Dataset
from tunesmith.core.findings import Finding
from tunesmith.data.label_names import confusions, misspelt
from tunesmith.data.steps import CannotRun, step
from tunesmith.data.tags import label_counts
from tunesmith.data.vectors import ENCODER, sentence_vectors
from tunesmith.tasks.label_sets import dump_set, read_set

_RARE = 2  # rows: none is left to learn from once one lies in dev
_IMBALANCE = 100
# A label whose rows go to another as often as they stay, both ways, is that other one.
_CONFUSED = 0.9
# With names this close in meaning (cosine of their vectors) half of that is enough.
_HALF, _CLOSE = 0.4, 0.7


@step("labels")
def labels(data: Dataset, *, encoder: str = ENCODER, **options: Any) -> list[Finding]:  # noqa: ARG001
    """Flag train and dev rows whose label is misspelt, with the label meant as the fix, or rare (two rows or fewer).

    kind "same": rows of the rarer of two labels that a probe cannot tell apart, the other one as the fix; half as much
    confusion is enough where the `encoder` is on this machine and finds the names close. kind "imbalance", on the first
    row: the label has a hundredth of the rows of the largest. Raises CannotRun without two labels.
    """
    splits = data.table["split"].to_numpy(zero_copy_only=False)
    part = data.table.take(np.flatnonzero((splits == "train") | (splits == "dev")))
    ids, texts = part["id"].to_pylist(), part["text"].to_pylist()
    targets = [target or "" for target in part["target"].to_pylist()]
    counts = Counter(targets)
    counts.pop("", None)
    if data.task == "tag":
        return _of_sets(ids, targets)
    if not data.labels or len(counts) < 2:
        raise CannotRun("labels can be compared only where rows have at least two.")
    told: dict[str, tuple[str, str, float, str | None]] = {}
    meant = misspelt(counts)
    for name in sorted(counts):
        if name in meant:
            reason = f"label '{name}' is in {_rows(counts[name])}. Did you mean '{meant[name]}'?"
            told[name] = ("misspelt", reason, 0.9, meant[name])
        elif counts[name] <= _RARE:
            told[name] = ("rare", f"label '{name}' is in {_rows(counts[name])} only", 0.5, None)
    for rarer, other, share in _same(confusions(texts, targets), counts, encoder):
        reason = f"label '{rarer}' may be the same as '{other}': {share:.1f} rows look like it for each that does not"
        told.setdefault(rarer, ("same", reason, 0.6, other))
    found = []
    for row, target in zip(ids, targets, strict=True):
        if target in told:
            kind, reason, score, fix = told[target]
            field = "target" if fix is not None else "text"
            found.append(Finding("labels", row, "flag", reason, score, fix, kind, field))  # type: ignore[arg-type]
    largest, most = max(counts.items(), key=lambda item: (item[1], item[0]))
    for name, count in sorted(counts.items()):
        if name not in told and count * _IMBALANCE <= most:
            reason = f"label '{name}' has {count:,} rows, '{largest}' {most:,}: too unlike to learn both well"
            found.append(Finding("labels", ids[targets.index(name)], "flag", reason, 0.3, kind="imbalance"))
    return sorted(found, key=lambda finding: finding.id)


def _of_sets(ids: list[int], targets: list[str]) -> list[Finding]:
    """The same for rows with several labels: misspelt and rare ones. Which labels are one cannot be told from probes
    of single labels: those that go together are not the same."""
    counts = label_counts(targets)
    meant = misspelt(counts)
    found = []
    for row, target in zip(ids, targets, strict=True):
        given = read_set(target) or frozenset()
        wrong = sorted(name for name in given if name in meant)
        rare = sorted(name for name in given if counts[name] <= _RARE and name not in meant)
        if wrong:
            said = "; ".join(f"label '{n}' is in {_rows(counts[n])}. Did you mean '{meant[n]}'?" for n in wrong)
            fix = dump_set(meant.get(name, name) for name in given)
            found.append(Finding("labels", row, "flag", said, 0.9, fix, "misspelt", "target"))
        elif rare:
            said = "; ".join(f"label '{name}' is in {_rows(counts[name])} only" for name in rare)
            found.append(Finding("labels", row, "flag", said, 0.5, kind="rare"))
    return sorted(found, key=lambda finding: finding.id)


def _same(shares: dict[tuple[str, str], float], counts: Counter[str], encoder: str) -> list[tuple[str, str, float]]:
    """(rarer label, other label, share of confusion) of pairs that may be one label."""
    close = []
    for (one, other), share in sorted(shares.items()):
        back = shares.get((other, one), 0.0)
        rarer = min(one, other, key=lambda name: (counts[name], name))
        # Of a much larger label only few rows can go to the rarer one.
        fair = back * counts[other] / counts[one] if counts[other] else 0.0
        if one == rarer and share >= _HALF and fair >= _HALF and not _numbered(one, other):
            close.append((one, other, share, min(share, fair) >= _CONFUSED))
    unsure = [(one, other) for one, other, _, sure in close if not sure]
    spoken = [re.sub(r"[\W_]+", " ", name) for pair in unsure for name in pair]
    vectors = sentence_vectors(spoken, encoder=encoder) if spoken else None
    named = set()
    if vectors is not None:
        cosines = (vectors[0::2] * vectors[1::2]).sum(axis=1)
        named = {pair for pair, cosine in zip(unsure, cosines.tolist(), strict=True) if cosine >= _CLOSE}
    return [(one, other, share) for one, other, share, sure in close if sure or (one, other) in named]


def _numbered(one: str, other: str) -> bool:
    return re.sub(r"\D", "", one) != re.sub(r"\D", "", other)


def _rows(count: int) -> str:
    return "one row" if count == 1 else f"{count:,} rows"
