"""A small finished *select* and *train* on disk, with the two cheapest real systems, for tests of *evaluate*."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tunesmith.core.context import Context
from tunesmith.core.dataset import Dataset
from tunesmith.tasks import task as tasks
from tunesmith.training.ladder import Ladder, Rung, Trained, prompt_of
from tunesmith.training.systems import Job, RungPlan
from tunesmith.training.systems import system as systems

WORDS = {
    "billing": "invoice charged twice refund amount bill payment price fee",
    "outage": "down offline nothing works signal lost storm router dead",
    "moving": "moving house new flat address contract june transfer keys",
}


def dataset(folder: Path, *, rows: int = 240, noise: float = 0.15, seed: int = 0) -> Dataset:
    """Made-up tickets: six words of the label's vocabulary each, some labels wrong; the test sealed."""
    rng = np.random.default_rng(seed)
    labels = sorted(WORDS)
    texts, targets = [], []
    for i in range(rows):
        label = labels[i % 3]
        texts.append(f"{' '.join(rng.choice(WORDS[label].split(), 6))} ticket {i}")
        targets.append(labels[int(rng.integers(3))] if rng.random() < noise else label)
    splits = ["test" if i % 4 == 3 else "dev" if i % 4 == 2 else "train" for i in range(rows)]
    table = pa.table(
        {
            "id": pa.array(range(rows), pa.int64()),
            "text": texts,
            "target": pa.array([None if s == "test" else t for s, t in zip(splits, targets, strict=True)], pa.string()),
            "split": splits,
            "weight": pa.array(np.ones(rows), pa.float32()),
            "group": pa.array(range(rows), pa.int64()),
            "file": ["tickets.csv"] * rows,
            "row": pa.array(range(1, rows + 1), pa.int64()),
            "hash": [f"{i:016x}" for i in range(rows)],
            "changes": pa.array([[]] * rows, pa.list_(pa.string())),
            "slice.channel": ["mail" if i % 8 < 4 else "phone" for i in range(rows)],
        }
    )
    seal = folder / "01-ingest" / "seal.parquet"
    seal.parent.mkdir(parents=True, exist_ok=True)
    held = [i for i in range(rows) if splits[i] == "test"]
    pq.write_table(pa.table({"id": pa.array(held, pa.int64()), "target": [targets[i] for i in held]}), seal)
    notes = {"language": {"en": 1.0}, "test_flags": {"label error": held[:3]}}
    return Dataset(table, "classify", tuple(labels), ("text",), "topic", seal, notes)


def ladder(data: Dataset, folder: Path, *, candidate: str | None = "tfidf", test_rows: int | None = None) -> Ladder:
    """majority, and TF-IDF in the part of the candidate (None: as the reference), fitted and saved."""
    made = folder / "05-select"
    ctx = Context(made)
    rungs = []
    for name in ("tfidf", "majority"):
        plan = RungPlan(name, test_rows=test_rows if name == "tfidf" else None)
        job = Job(tasks.get("classify"), data.labels, prompt_of(data), plan=plan)
        fitted = systems.get(name).fit(data.rows("train"), data.rows("dev"), job, ctx)
        path = f"systems/{name}/fitted"
        (made / path).mkdir(parents=True, exist_ok=True)
        fitted.save(made / path)
        kind = "tuned" if name == candidate else "untuned"
        rungs.append(Rung(name, kind, "nothing", "full", "", plan, dev=0.9, n=60, path=path, train_rows=120))
    rungs.append(
        Rung("encoder_lora", "tuned", "encoder", "not run", "needs about 3 h", RungPlan("encoder_lora", run=False))
    )
    reference = "majority" if candidate else "tfidf"
    found = Ladder(
        made, "classify", prompt_of(data), None, None, tuple(rungs), candidate, reference, "tfidf", "majority",
        "tfidf leads on dev", "macro_f1",
    )  # fmt: skip
    found.save(made)
    return found


def trained(folder: Path) -> Trained:
    """Nothing was refitted."""
    made = Trained(folder / "07-train", (), {}, {"tfidf": "this bench does not refit"})
    made.save(made.folder)
    return made
