"""Quality in equal wall time on the two tables of texts, 40 minutes a side, as in equal_time and with its peers.

Then the mean difference to each peer over all tables that it was measured on, those of equal_time among them.
"""

from __future__ import annotations

import argparse
from typing import Any

import equal_time
import narrow
import numpy as np
import report

_CELL = "equal_time_texts"


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """A row per table and peer, and one per peer for the mean."""
    texts = [table for table in narrow.tasks(asked.shared, asked.work) if table.task != "classify"]
    rows = [row for table in texts[: 1 if asked.quick else None] for row in equal_time.compared(table, asked, _CELL)]
    means = []
    for peer, name in equal_time.PEERS.items():
        of_peer = [row for row in (*report.BOOK.rows("equal_time"), *rows) if row["peer_name"] == peer]
        if of_peer:
            mean = float(np.mean([row["value"] for row in of_peer]))
            means.append(
                report.row(
                    f"mean difference to {name} over {len(of_peer)} tables", mean, bar=0.0, unit="points", cell=_CELL,
                    peer=name, n=len(of_peer), tables=[row["table"] for row in of_peer],
                )
            )  # fmt: skip
    return rows + means
