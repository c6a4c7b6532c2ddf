"""Evidence for written answers: are placebos credited, and steps that put exchanged answers back?

Notes of dialogues, the training part alone; 200 of its rows judge. A placebo drops 5 to 30 % of the train rows at
random. A mender puts back the answers of 20 % and of 40 % of the train rows that had been exchanged. 1 minute of a
quiet core.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import registers
import report

from tunesmith.core.statistics import wilson

DEV = 200
PLACEBOS = 20


def measure(asked: Any) -> list[dict[str, Any]]:
    from tunesmith.core.findings import Finding
    from tunesmith.evaluation.experiments import evidence

    rows = registers.mts_dialog(asked.shared, ["Training"])
    made = []
    credited, placebos = 0, 2 if asked.quick else PLACEBOS
    data, _ = _dataset(rows, 0.0, seed=0)
    ids = data.rows("train").ids
    for seed in range(placebos):
        rng = np.random.default_rng([seed, 1])
        share = (0.05, 0.1, 0.2, 0.3)[seed % 4]
        drops = [Finding("placebo", int(i), "drop", "") for i in rng.choice(ids, round(share * len(ids)), False)]
        credited += evidence(data, drops, seed=seed).steps[0].claim == "helps"
    made.append(
        report.row("evidence for texts: placebo steps credited", credited / placebos, bar=0.05, unit="of steps",
                   higher=False, n=placebos, interval=list(wilson(credited, placebos)))
    )  # fmt: skip
    for share in (0.2, 0.4):
        found = []
        for seed in range(1 if asked.quick else 3):
            data, right = _dataset(rows, share, seed=seed)
            table = zip(data.table["id"].to_pylist(), data.table["target"].to_pylist(), right, strict=True)
            fixes = [Finding("mender", i, "fix", "", fix=r, field="target") for i, t, r in table if t != r]
            found.append(evidence(data, fixes, seed=seed).steps[0])
        gains = [100 * step.left_out.difference for step in found if step.left_out is not None]
        made.append(
            report.row(f"evidence for texts: {share:.0%} exchanged answers put back, credited",
                       sum(step.claim == "helps" for step in found) / len(found), bar=None, unit="of steps",
                       n=len(found), seeds=len(found), gains_in_points=[round(gain, 2) for gain in gains])
        )  # fmt: skip
    return made


def _dataset(rows: list[dict[str, str]], share: float, *, seed: int) -> tuple[Any, list[str]]:
    """(data of which a share of the train answers went round by one among themselves, the right answers)."""
    import pyarrow as pa

    from tunesmith.core.dataset import Dataset

    n = len(rows)
    rng = np.random.default_rng([seed, 2])
    dev = np.zeros(n, dtype=bool)
    dev[np.random.default_rng(0).permutation(n)[:DEV]] = True
    right = [row["answer"] for row in rows]
    given = list(right)
    moved = rng.permutation(np.flatnonzero(~dev))[: round(share * (n - DEV))].tolist()
    for at, other in zip(moved, [*moved[1:], *moved[:1]], strict=True):
        given[at] = right[other]
    table = pa.table({
        "id": pa.array(range(n), pa.int64()), "text": [row["dialogue"] for row in rows],
        "target": pa.array(given, pa.string()), "split": np.where(dev, "dev", "train").tolist(),
        "weight": pa.array(np.ones(n), pa.float32()), "group": pa.array(range(n), pa.int64()),
        "file": ["notes"] * n, "row": pa.array(range(1, n + 1), pa.int64()),
        "hash": [f"{i:016x}" for i in range(n)], "changes": pa.array([[]] * n, pa.list_(pa.string())),
    })  # fmt: skip
    notes = {"rows": n, "split": {"group_column": None}}
    return Dataset(table, "rewrite", (), ("text",), "note", None, notes), right
