"""Undoes encoding damage in texts: mojibake, HTML entities, control characters.

*ingest* mends what it reads so that it can split and group by it; *curate* begins with the texts as they were read,
so that what this step does to a row is a Finding like any other, and can be taken back.
"""

from __future__ import annotations

from typing import Any

from tunesmith.core.dataset import Dataset
from tunesmith.core.findings import Finding
from tunesmith.data.mending import mend
from tunesmith.data.steps import row_wise, step


@step("repair")
@row_wise
def repair(data: Dataset, **options: Any) -> list[Finding]:  # noqa: ARG001 - takes no options
    """One "fix" per Example whose text changes; test rows too, for their inputs are not sealed."""
    mended = mend(data.table["text"].to_pylist())
    ids = data.table["id"].to_numpy()
    return [
        Finding("repair", int(ids[at]), "fix", ", ".join(kinds), fix=mended.texts[at])
        for at, kinds in mended.kinds.items()
    ]
