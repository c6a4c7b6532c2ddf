"""Is a step credited that mends planted damage? Of four kinds, in train and dev, all of it put right by the step.

What there was to find is measured apart: the gain by dev labels that were never damaged. Credit is due where that gain
is five points or more; below it a thousand dev rows cannot tell.
"""

from __future__ import annotations

import codecs
from typing import Any

import evidence as placebo
import numpy as np
import pyarrow as pa
import report

SEEDS, DUE = 2, 0.05
KINDS = ("20 % wrong labels", "40 % wrong labels", "40 % take the next label", "half of the texts garbled")


def measure(asked: Any) -> list[dict[str, Any]]:
    found: dict[str, list[tuple[str, float, float]]] = {kind: [] for kind in KINDS}
    seeds = 1 if asked.quick else SEEDS
    for name, table in placebo.tables(asked.shared):
        del name
        data = placebo.ingested(table, asked)
        for kind in KINDS:
            for seed in range(seeds):
                found[kind].append(once(data, kind, seed))
    rows = [
        report.row(f"credited, {kind}", sum(claim == "helps" for claim, *_ in made) / len(made), bar=None, unit="share",
                   n=len(made), seeds=seeds, gains=[round(100 * gain, 2) for _, gain, _ in made],
                   there_to_find=[round(100 * true, 2) for *_, true in made], claims=[claim for claim, *_ in made])
        for kind, made in found.items()
    ]  # fmt: skip
    due = [claim for made in found.values() for claim, _, true in made if true >= DUE]
    rows.append(
        report.row("credited where mending brings 5 points or more", sum(c == "helps" for c in due) / max(1, len(due)),
                   bar=0.9, unit="share", n=len(due), seeds=seeds, blamed=sum(c == "hurts" for c in due))
    )  # fmt: skip
    return rows


def once(data: Any, kind: str, seed: int) -> tuple[str, float, float]:
    """(claim, gain as judged, gain by undamaged dev labels)."""
    from tunesmith.core.findings import Finding
    from tunesmith.evaluation.experiments import evidence

    rng = np.random.default_rng([seed, len(kind)])
    field = "text" if "texts" in kind else "target"
    was, splits = data.table[field].to_pylist(), data.table["split"].to_pylist()
    ids = data.table["id"].to_pylist()
    now, findings, in_train = list(was), [], []
    for at, (value, split) in enumerate(zip(was, splits, strict=True)):
        if split not in ("train", "dev") or rng.random() >= (0.5 if field == "text" else 0.2 if "20" in kind else 0.4):
            continue
        now[at] = damaged(value, kind, data.labels, rng)
        made = Finding("mender", ids[at], "fix", "", fix=value, was=now[at], field=field)
        findings.append(made)
        if split == "train":
            in_train.append(made)

    def with_damage(values: list[Any]) -> Any:
        place = data.table.column_names.index(field)
        return data.with_table(data.table.set_column(place, field, pa.array(values, pa.string())))

    judged = evidence(with_damage(now), findings, seed=seed).steps[0]
    assert judged.left_out is not None
    if field == "text":  # the labels to judge by were not touched
        return judged.claim, judged.left_out.difference, judged.left_out.difference
    clean = [value if split == "dev" else new for value, new, split in zip(was, now, splits, strict=True)]
    true = evidence(with_damage(clean), in_train, seed=seed, draws=0).steps[0].left_out
    assert true is not None
    return judged.claim, judged.left_out.difference, true.difference


def damaged(value: str, kind: str, labels: tuple[str, ...], rng: np.random.Generator) -> str:
    if "texts" in kind:
        return codecs.encode(value, "rot13")
    if "next" in kind:
        return labels[(labels.index(value) + 1) % len(labels)]
    return str(rng.choice([label for label in labels if label != value]))
