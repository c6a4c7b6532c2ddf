"""A table whose damage is known, as a Dataset with findings, for tests of what is measured about data."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from tunesmith.core.dataset import Dataset
from tunesmith.core.findings import Finding

TOPICS = {
    "billing": "invoice charged twice refund amount bill payment price fee overdue receipt bank",
    "outage": "down offline nothing works signal lost storm router dead cable tower lamp",
    "moving": "moving house new flat address contract june transfer keys landlord boxes van",
}
LABELS = tuple(sorted(TOPICS))


def tickets(*, rows: int = 600, noise: float = 0.0, seed: int = 0, dev: float = 0.3) -> tuple[Dataset, list[str]]:
    """(Dataset, right labels by id). Texts of words that topics share in part; `noise` of the train labels wrong."""
    rng = np.random.default_rng(seed)
    vocabulary = " ".join(TOPICS.values()).split()
    texts, right = [], []
    for i in range(rows):
        label = LABELS[i % 3]
        own, any_ = rng.choice(TOPICS[label].split(), 3), rng.choice(vocabulary, 4)
        texts.append(" ".join([*own, *any_, f"n{i}"]))
        right.append(label)
    splits = np.where(rng.random(rows) < dev, "dev", "train").tolist()
    given = [
        LABELS[(LABELS.index(label) + 1 + int(rng.integers(2))) % 3]
        if split == "train" and rng.random() < noise
        else label
        for label, split in zip(right, splits, strict=True)
    ]
    return dataset(texts, given, splits), right


def dataset(texts: list[str], targets: list[str], splits: list[str]) -> Dataset:
    """A classify Dataset of plain columns; every row its own group."""
    n = len(texts)
    table = pa.table(
        {
            "id": pa.array(range(n), pa.int64()),
            "text": texts,
            "target": pa.array(targets, pa.string()),
            "split": splits,
            "weight": pa.array(np.ones(n), pa.float32()),
            "group": pa.array(range(n), pa.int64()),
            "file": ["t.csv"] * n,
            "row": pa.array(range(1, n + 1), pa.int64()),
            "hash": [f"{i:016x}" for i in range(n)],
            "changes": pa.array([[]] * n, pa.list_(pa.string())),
        }
    )
    notes = {"rows": n, "split": {"group_column": None}}
    return Dataset(table, "classify", tuple(sorted(set(targets))), ("text",), "topic", None, notes)


def corrections(data: Dataset, right: list[str], step: str = "mender") -> list[Finding]:
    """Findings that put right every wrong label of train and dev."""
    rows = data.rows("train") + data.rows("dev")
    return [
        Finding(step, i, "fix", "wrong label", fix=right[i], was=target, field="target")
        for i, target in zip(rows.ids.tolist(), rows.targets, strict=True)
        if target != right[i]
    ]


def random_drops(data: Dataset, share: float, *, seed: int, step: str = "placebo") -> list[Finding]:
    """Findings that drop a share of the train rows for no reason."""
    ids = data.rows("train").ids
    some = np.random.default_rng(seed).choice(ids, round(share * len(ids)), replace=False)
    return [Finding(step, int(i), "drop", "no reason") for i in sorted(some)]
