"""A Dataset before and after curation, as JSON for a page: rows, labels, lengths, copies, languages and findings.

Test targets are sealed and not counted; texts of test rows are.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tunesmith.core.dataset import Dataset
from tunesmith.core.findings import Finding
from tunesmith.data.curate import positions
from tunesmith.data.duplicates import group_texts
from tunesmith.data.personal.spans import KINDS
from tunesmith.data.steps import step
from tunesmith.data.summary import describe_lengths, guess_languages
from tunesmith.data.tags import label_counts

_PARTS = ("train", "dev", "test")
# What was done to a row, worst first: a row is counted once, under the first that holds.
_ACTIONS = ("drop", "fix", "flag", "keep")
_EXAMPLES = 5
_BINS = 16
_LONGEST = 600
# Of a long text, this much before its first change is shown.
_LEAD = 160
_OTHER_ROW = re.compile(r"\brow (\d+)\b")


def compare(before: Dataset, after: Dataset, findings: Sequence[Finding]) -> dict[str, Any]:
    """The profile. Examples of findings hold texts of the data: escape them wherever they are shown."""
    texts = [_texts(data) for data in (before, after)]
    labels = [_labels(data) for data in (before, after)]
    return {
        "rows": [len(found) for found in texts],
        "left_out": before.table["split"].to_pylist().count("none"),
        "became": _became(before, findings),
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
        "personal": _personal(after.notes.get("personal", {})),
        "not_run": dict(after.notes.get("curation", {}).get("steps_not_run", {})),
    }


def _personal(told: Mapping[str, Any]) -> dict[str, Any]:
    """What the step `personal` found and what it could not have, in words; empty where it did not run."""
    if not told:
        return {}
    return {
        "found": [
            {"kind": KINDS[kind], "values": counts["values"], "texts": counts["texts"]}
            for kind, counts in told["kinds"].items()
        ],
        "not_searched": [KINDS[kind] for kind in told["not_searched"]],
        "cannot_find": list(told["cannot_find"]),
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
    held = [t for s, t in zip(splits, targets, strict=True) if s in ("train", "dev") and t is not None]
    return label_counts(held) if data.task == "tag" else Counter(held)


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


def _became(before: Dataset, findings: Sequence[Finding]) -> dict[str, dict[str, int]]:
    """split -> action -> rows, each row under the worst that was done to it; "" for untouched ones."""
    splits = before.table["split"].to_numpy(zero_copy_only=False)
    worst = np.full(len(splits), len(_ACTIONS), dtype=np.int8)
    actions = np.array([_ACTIONS.index(f.action) for f in findings], dtype=np.int8)
    np.minimum.at(worst, positions(before, [f.id for f in findings]), actions)
    names = (*_ACTIONS, "")
    return {
        part: {name: int(((splits == part) & (worst == at)).sum()) for at, name in enumerate(names)} for part in _PARTS
    }


def _steps(before: Dataset, findings: Sequence[Finding]) -> list[dict[str, Any]]:
    by_step: dict[str, list[Finding]] = {}
    for finding in findings:
        by_step.setdefault(finding.step, []).append(finding)
    return [
        {
            "step": name,
            "about": _about(name),
            "counts": {action: count for action in _ACTIONS if (count := sum(f.action == action for f in own))},
            "examples": [_example(before, f) for f in _telling(own)],
        }
        for name, own in by_step.items()
    ]


def _about(name: str) -> str:
    """The first sentence of the step's own module."""
    if name not in step.names():
        return ""
    told = getattr(sys.modules.get(step.module(name)), "__doc__", None) or ""
    return " ".join(told.strip().split("\n\n")[0].split())


def _telling(own: Sequence[Finding]) -> list[Finding]:
    """A few findings, the surest of each kind of action, not five of the most frequent."""
    shown = sorted(own, key=lambda f: (_ACTIONS.index(f.action), -f.score, f.id))
    some: list[Finding] = []
    for action in _ACTIONS:
        some += [f for f in shown if f.action == action][: max(2, _EXAMPLES // 2)]
    return some[:_EXAMPLES]


def _example(before: Dataset, f: Finding) -> dict[str, Any]:
    row = _row(before, f.id)
    was, fix = (f.was, f.fix) if f.was is None or f.fix is None else around_change(f.was, f.fix)
    other = _OTHER_ROW.search(f.reason)
    beside = None if other is None else _beside(before, int(other.group(1)))
    return {
        "id": f.id, "where": where_of(row), "action": f.action, "reason": f.reason, "score": f.score,
        "review": f.review, "field": f.field, "text": (row["text"] or "")[:_LONGEST], "target": row["target"],
        "was": None if was is None else was[:_LONGEST], "fix": None if fix is None else fix[:_LONGEST],
        "beside": beside,
    }  # fmt: skip


def _beside(before: Dataset, id: int) -> dict[str, Any] | None:
    """The row that a reason speaks of ("repeats row 12"), if there is one."""
    known = before.table["id"].to_numpy()
    at = int(np.searchsorted(known, id))
    if at >= len(known) or known[at] != id:
        return None
    row = _row(before, id)
    return {"id": id, "where": where_of(row), "text": (row["text"] or "")[:_LONGEST], "target": row["target"]}


def _row(before: Dataset, id: int) -> dict[str, Any]:
    """One row, with its text as it was read."""
    names = ("file", "row", "line", "text", "target", "split", "original.text")
    at = int(positions(before, [id])[0])
    row = {name: before.table[name][at].as_py() for name in names if name in before.table.column_names}
    read = row.pop("original.text", None)
    return row if read is None else {**row, "text": read}


def around_change(was: str, now: str) -> tuple[str, str]:
    """Two versions of a text from a little before their first difference; an ellipsis stands for what is left out."""
    first = next((at for at, (a, b) in enumerate(zip(was, now, strict=False)) if a != b), min(len(was), len(now)))
    start = max(0, first - _LEAD)
    lead = "…" if start else ""
    return lead + was[start:], lead + now[start:]
