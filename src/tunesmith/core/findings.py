"""What a curation step noticed, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from tunesmith.core.files import whole

# "keep": a reviewer found the Finding wrong, so nothing is done and nothing is held against the row.
Action = Literal["drop", "fix", "flag", "keep"]
Field = Literal["text", "target"]
# "withdraw" takes an earlier decision back: nothing holds any more.
Verdict = Literal["accept", "reject", "edit", "withdraw"]


@dataclass(frozen=True)
class Finding:
    """One thing a step noticed about one Example.

    A step fills: id (of the Example), action (what it would do), reason, score (larger is surer, 0 to 1), fix (the
    new value; a "fix" has one, a "flag" may suggest one), kind (what kind of thing, where a step finds several;
    decisions of reviewers hold for row, step and kind), field (what `fix` replaces: the text or the target).
    *curate* fills: action (what was done), asked (what the step would have done), was (the value that a fix replaced),
    review (what a person decided, if one did).
    """

    step: str
    id: int
    action: Action
    reason: str
    score: float = 1.0
    fix: str | None = None
    kind: str = ""
    field: Field = "text"
    asked: Action | None = None
    was: str | None = None
    review: Verdict | None = None


def save_findings(findings: Sequence[Finding], path: Path) -> None:
    """Write as parquet, one row each."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"id": pa.int64(), "score": pa.float64()}
    names = [f.name for f in fields(Finding)]
    table = pa.table(
        {name: pa.array([getattr(f, name) for f in findings], types.get(name, pa.string())) for name in names}
    )
    with whole(path) as draft:
        pq.write_table(table, draft)


def load_findings(path: Path) -> list[Finding]:
    """The findings that `save_findings` wrote, in order."""
    import pyarrow.parquet as pq

    table = pq.read_table(path).select([f.name for f in fields(Finding)])
    return [Finding(*row) for row in zip(*(column.to_pylist() for column in table.columns), strict=True)]
