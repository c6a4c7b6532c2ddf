"""Stage *curate*: runs the steps over a Dataset and writes down every Finding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.dataset import Dataset, Split
from tunesmith.core.errors import ConfigError, DataError
from tunesmith.core.findings import Finding, save_findings
from tunesmith.data.steps import step

_PARTS: tuple[Split, ...] = ("train", "dev", "test")


@dataclass(frozen=True)
class CurateOptions:
    """What *curate* may be told."""

    steps: tuple[str, ...] = field(
        default=("repair", "leaks", "duplicates"), metadata={"help": "curation steps to run, in order"}
    )
    near_duplicates: str = field(
        default="flag", metadata={"help": "near duplicates inside train: 'flag' or 'drop' (equal ones are dropped)"}
    )


def curate(data: Dataset, options: CurateOptions, ctx: Context) -> Dataset:
    """The Dataset after the steps; findings.parquet in ctx.workdir says what was done to which row and why.

    Raises DataError if a step would leave a split empty, ConfigError for an unknown option value.
    """
    if options.near_duplicates not in ("flag", "drop"):
        raise ConfigError(f"near_duplicates is 'flag' or 'drop', got '{options.near_duplicates}'.")
    settings: dict[str, dict[str, Any]] = {
        "leaks": {"keep": bool(data.notes.get("keep_leaks", False))},
        "duplicates": {"near": options.near_duplicates},
    }
    found: list[Finding] = []
    before = data
    for name in options.steps:
        data, findings = clean(data, [name], settings=settings)
        found += findings
        ctx.emit("curate.step", step=name, **dict(Counter(f.action for f in findings)))
    save_findings(found, ctx.workdir / "findings.parquet")
    for part in _PARTS:
        if before.count(part) and not data.count(part):
            raise DataError(
                f"curation would leave no {part} rows: all {before.count(part):,} were found to copy others.",
                hint="see findings.parquet; --keep-leaks keeps rows that copy test rows.",
            )
    return data.with_table(
        data.table,
        curation=_summary(before, data, found),
        test_flags=_test_flags(data, found),
        lineage=_lineage(before, data, found),
    )


def clean(
    data: Dataset, steps: Sequence[str], *, settings: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[Dataset, list[Finding]]:
    """(Dataset after the steps, their Findings). No test row is dropped, whatever a step asks for."""
    found: list[Finding] = []
    for name in steps:
        findings = step.get(name)(data, **(settings or {}).get(name, {}))
        tested = set(data.rows("test", blind=True).ids.tolist())
        findings = [replace(f, action="flag") if f.action == "drop" and f.id in tested else f for f in findings]
        data = _applied(data, name, findings)
        found += findings
    return data, found


def _applied(data: Dataset, name: str, findings: Sequence[Finding]) -> Dataset:
    """The Dataset with drops and fixes done."""
    import pyarrow as pa

    table = data.table
    fixes = {f.id: f.fix for f in findings if f.action == "fix" and f.fix is not None}
    ids = table["id"].to_numpy()
    if fixes:
        texts = [fixes.get(i, text) for i, text in zip(ids.tolist(), table["text"].to_pylist(), strict=True)]
        changes = [
            [*c, name] if i in fixes else c for i, c in zip(ids.tolist(), table["changes"].to_pylist(), strict=True)
        ]
        table = table.set_column(table.column_names.index("text"), "text", pa.array(texts, pa.string()))
        table = table.set_column(
            table.column_names.index("changes"), "changes", pa.array(changes, pa.list_(pa.string()))
        )
    dropped = np.array([f.id for f in findings if f.action == "drop"], dtype=np.int64)
    if len(dropped):
        table = table.take(np.flatnonzero(~np.isin(ids, dropped)))
    return data if table is data.table else replace(data, table=table)


def _summary(before: Dataset, after: Dataset, found: Sequence[Finding]) -> dict[str, Any]:
    steps: dict[str, dict[str, int]] = {}
    for finding in found:
        counts = steps.setdefault(finding.step, {})
        counts[finding.action] = counts.get(finding.action, 0) + 1
    return {
        "steps": steps,
        "before": {part: before.count(part) for part in _PARTS},
        "after": {part: after.count(part) for part in _PARTS},
        "leaks_dropped": steps.get("leaks", {}).get("drop", 0),
        "leaks_kept": steps.get("leaks", {}).get("flag", 0),
    }


def _test_flags(data: Dataset, found: Sequence[Finding]) -> dict[str, list[int]]:
    """step -> ids of the test rows that it flagged: the score is shown with and without them."""
    tested = set(data.rows("test", blind=True).ids.tolist())
    flags: dict[str, set[int]] = {}
    for finding in found:
        if finding.action == "flag" and finding.id in tested:
            flags.setdefault(finding.step, set()).add(finding.id)
    return {name: sorted(ids) for name, ids in flags.items()}


def _lineage(before: Dataset, after: Dataset, found: Sequence[Finding]) -> list[dict[str, Any]]:
    """How many rows went into and out of each stage and step, and what it did, in order."""
    notes = before.notes
    files = ", ".join(f"{name} ({rows:,} rows)" for name, rows in notes.get("files", {}).items())
    used = int(notes.get("rows_used", before.table.num_rows))
    story = [{"stage": "ingest", "rows_in": int(notes.get("rows", used)), "rows_out": used, "what": f"read {files}"}]
    left = used
    for name in dict.fromkeys(finding.step for finding in found):
        done = Counter(f.action for f in found if f.step == name)
        words = {"drop": "dropped", "fix": "mended", "flag": "flagged"}
        what = ", ".join(f"{words[action]} {count:,}" for action, count in sorted(done.items()))
        story.append({"stage": f"curate: {name}", "rows_in": left, "rows_out": left - done["drop"], "what": what})
        left -= done["drop"]
    parts = ", ".join(f"{after.count(part):,} {part}" for part in _PARTS)
    return [*story, {"stage": "split", "rows_in": left, "rows_out": sum(map(after.count, _PARTS)), "what": parts}]
