"""What a curation step noticed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tunesmith.core.files import whole

Action = Literal["drop", "fix", "flag"]


@dataclass(frozen=True)
class Finding:
    """One thing a step noticed about one Example.

    id: the Example's id. score: larger is surer, 0 to 1. fix: the new text where action is "fix".
    """

    step: str
    id: int
    action: Action
    reason: str
    score: float = 1.0
    fix: str | None = None


def save_findings(findings: Sequence[Finding], path: Path) -> None:
    """Write as parquet, one row each."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "step": pa.array([f.step for f in findings], pa.string()),
            "id": pa.array([f.id for f in findings], pa.int64()),
            "action": pa.array([f.action for f in findings], pa.string()),
            "reason": pa.array([f.reason for f in findings], pa.string()),
            "score": pa.array([f.score for f in findings], pa.float64()),
            "fix": pa.array([f.fix for f in findings], pa.string()),
        }
    )
    with whole(path) as draft:
        pq.write_table(table, draft)


def load_findings(path: Path) -> list[Finding]:
    """The findings that `save_findings` wrote, in order."""
    import pyarrow.parquet as pq

    return [Finding(**row) for row in pq.read_table(path).to_pylist()]
