"""Undoes encoding damage in texts: mojibake, HTML entities, control characters.

*ingest* mends what it reads before it splits; this step is for Examples that arrived later.
"""

from __future__ import annotations

from typing import Any

from tunesmith.core.dataset import Dataset
from tunesmith.core.findings import Finding
from tunesmith.data.mending import mend
from tunesmith.data.steps import step


@step("repair")
def repair(data: Dataset, **options: Any) -> list[Finding]:  # noqa: ARG001 - takes no options
    """One "fix" per Example whose text changes; test rows too, for their inputs are not sealed."""
    mended = mend(data.table["text"].to_pylist())
    ids = data.table["id"].to_pylist()
    kinds = ", ".join(sorted(mended.counts)) or "encoding"
    return [Finding("repair", ids[at], "fix", f"mended: {kinds}", fix=mended.texts[at]) for at in mended.changed]
