"""A Dataset before and after curation, as JSON for a page: rows, labels, lengths, copies, languages and findings.

Test targets are sealed and not counted; texts of test rows are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tunesmith.core.dataset import Dataset
from tunesmith.core.findings import Finding
from tunesmith.data.duplicates import group_texts
from tunesmith.data.summary import describe_lengths, guess_languages

_PARTS = ("train", "dev", "test")
_EXAMPLES = 5
_BINS = 16
_LONGEST = 600


def compare(before: Dataset, after: Dataset, findings: Sequence[Finding]) -> dict[str, Any]:
    """The profile. Examples of findings hold texts of the data: escape them wherever they are shown."""
    texts = [_texts(data) for data in (before, after)]
    labels = [_labels(data) for data in (before, after)]
    return {
        "rows": [len(found) for found in texts],
        "splits": {part: [data.table["split"].to_pylist().count(part) for data in (before, after)] for part in _PARTS},
        "labels": [
            {"label": name, "before": labels[0][name], "after": labels[1][name]}
            for name in sorted(labels[0] | labels[1], key=lambda name: (-labels[0][name], name))
        ],
        "lengths": [describe_lengths(found) for found in texts],
        "histogram": _histogram(texts[0], texts[1]),
        "copies": [_copies(data, found) for data, found in zip((before, after), texts, strict=True)],
        "languages": [guess_languages(found) for found in texts],
        "steps": _steps(before, findings),
        "not_run": dict(after.notes.get("curation", {}).get("steps_not_run", {})),
    }


def where_of(row: Mapping[str, Any]) -> str:
    """The place of a row of Dataset.table in words: "a.csv line 12", or "a.xlsx row 11" where lines are unknown."""
    line = row.get("line")
    return f"{row['file']} line {line}" if line is not None else f"{row['file']} row {row['row']}"


def _texts(data: Dataset) -> list[str]:
    used = data.table["split"].to_numpy(zero_copy_only=False) != "none"
    return [text for text, take in zip(data.table["text"].to_pylist(), used, strict=True) if take]


def _labels(data: Dataset) -> Counter[str]:
    if not data.labels:
        return Counter()
    splits, targets = data.table["split"].to_pylist(), data.table["target"].to_pylist()
    return Counter(t for s, t in zip(splits, targets, strict=True) if s in ("train", "dev") and t is not None)


def _histogram(before: Sequence[str], after: Sequence[str]) -> dict[str, list[float]]:
    """Rows per length in characters, in bins that grow by a constant factor."""
    lengths = [np.array([max(len(text), 1) for text in texts] or [1]) for texts in (before, after)]
    top = float(max(found.max() for found in lengths))
    edges = np.unique(np.round(np.geomspace(float(min(found.min() for found in lengths)), top + 1, _BINS + 1)))
    counts = [np.histogram(found, edges)[0].tolist() if n else [0] * (len(edges) - 1)
              for found, n in zip(lengths, (len(before), len(after)), strict=True)]  # fmt: skip
    return {"edges": edges.tolist(), "before": counts[0], "after": counts[1]}


def _copies(data: Dataset, texts: Sequence[str]) -> dict[str, int]:
    """Rows beyond the first of those that are equal after normalising, and nearly equal (as *ingest* grouped them)."""
    exact = group_texts(texts, near=False).exact
    found = {"equal": len(exact) - len(np.unique(exact))}
    if data.notes.get("split", {}).get("group_column") is None:
        used = data.table["split"].to_numpy(zero_copy_only=False) != "none"
        groups = data.table["group"].to_numpy()[used]
        found["nearly equal"] = max(0, len(groups) - len(np.unique(groups)) - found["equal"])
    return found


def _steps(before: Dataset, findings: Sequence[Finding]) -> list[dict[str, Any]]:
    told = []
    place = {number: at for at, number in enumerate(before.table["id"].to_pylist())}
    names = [n for n in before.table.column_names if n in ("file", "row", "line", "text", "target", "split")]
    for name in dict.fromkeys(f.step for f in findings):
        own = [f for f in findings if f.step == name]
        rank = {"drop": 0, "fix": 1, "flag": 2, "keep": 3}
        shown = sorted(own, key=lambda f: (rank[f.action], -f.score, f.id))
        some: list[Finding] = []
        for action in rank:  # a few of each kind of action, not five of the most frequent
            some += [f for f in shown if f.action == action][: max(2, _EXAMPLES // 2)]
        examples = []
        for f in some[:_EXAMPLES]:
            row = {n: before.table[n][place[f.id]].as_py() for n in names}
            examples.append(
                {
                    "id": f.id, "where": where_of(row), "action": f.action, "reason": f.reason, "score": f.score,
                    "review": f.review, "field": f.field, "text": (row["text"] or "")[:_LONGEST],
                    "target": row["target"], "was": None if f.was is None else f.was[:_LONGEST],
                    "fix": None if f.fix is None else f.fix[:_LONGEST],
                }
            )  # fmt: skip
        told.append({"step": name, "counts": dict(Counter(f.action for f in own)), "examples": examples})
    return told
