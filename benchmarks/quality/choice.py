"""Choosing base and method by halving, against training every pair whole: what is lost, and what it costs.

Nine pairs on an encoder of 22 M parameters: frozen vectors with a head, counts and vectors together, LoRA on half or
all layers, ia3, layernorm, contrastive tuning with three methods. The cell choice_lm adds four on SmolLM2-135M: LoRA
on all or the top 8 of 30 layers, ia3, layernorm. Every pair is trained whole once (the exhaustive cost) and halving
reads shares of their steps. Regret is held against the pair that is best *on the test*, which is harsher than against
what exhaustive trials would choose on dev; both are stated. Readings are kept in the work folder: a cell that is
stopped goes on.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import report
import tables

# train, dev, test rows
_SIZE, _SMALL = (1_000, 600, 1_500), (300, 300, 600)
_TASKS = {"banking77": "intents", "sms_spam": "messages", "vader polarity": "polarity", "noisyag_news": "news"}
_CHEAP = ("frozen encoder + head", "counts + frozen encoder")
_LIMIT, _SHARES = 0.25, (1 / 16, 1 / 4, 1.0)


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    return compared(asked, cell="choice")


def compared(asked: argparse.Namespace, *, cell: str, lms: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Rows of a cell; lms: names of language models whose pairs compete too."""
    rows, gathered = [], []
    tasks = {"sms_spam": "messages"} if asked.quick else _TASKS
    for name, table in tasks.items():
        kept = asked.work / cell / f"{table}{'-quick' if asked.quick else ''}" / "result.json"
        if not kept.exists():
            found = _task(table, asked, kept.parent, lms)
            kept.write_text(json.dumps(found, indent=1), encoding="utf-8")
        found = json.loads(kept.read_text(encoding="utf-8"))
        gathered.append(found)
        rows.append(report.row(
            f"regret of choosing by halving, {name}", found["regret"], bar=1.0, higher=False,
            unit="points of macro-F1 on test",
            cell=cell, n=found["n_test"], seeds=1, pairs=len(found["test"]), chosen=found["chosen"],
            best_on_test=found["best_on_test"], best_on_dev=found["best_on_dev"],
            regret_to_best_on_dev=found["regret_to_best_on_dev"], cost_share=found["cost_share"],
            spent_cpu_s=found["spent"], exhaustive_cpu_s=found["exhaustive"], test=found["test"], level=found["level"],
            dtype=found.get("dtype", "float32"),
        ))  # fmt: skip
    share = max(found["cost_share"] for found in gathered)
    inside = [hit for found in gathered for hit in found["inside"]]
    rows.append(report.row(
        "cost of halving as a share of training every pair whole, worst task", share, bar=_LIMIT, higher=False,
        unit="CPU seconds", cell=cell, n=len(gathered), seeds=1, each=[found["cost_share"] for found in gathered],
    ))  # fmt: skip
    rows.append(report.row(
        "score after all steps inside its extrapolated interval", float(np.mean(inside)), bar=None, unit="share",
        cell=cell, n=len(inside), seeds=1,
    ))  # fmt: skip
    return rows


def _task(table: str, asked: argparse.Namespace, folder: Path, lms: Sequence[str]) -> dict[str, Any]:
    from tunesmith.core.context import Context, Limits
    from tunesmith.core.dataset import rows_of
    from tunesmith.core.machine import set_threads
    from tunesmith.models.resolve import pin, resolve
    from tunesmith.tasks import task as tasks
    from tunesmith.training.halving import Reading, halve, outlook
    from tunesmith.training.probe import probe_dtype
    from tunesmith.training.systems import Job
    from tunesmith.training.variants import Comparison, Variant, variants

    set_threads(1)
    sizes = _SMALL if asked.quick else _SIZE
    texts, targets = _texts(tables.table(table, asked.shared, asked.work))
    order = np.random.default_rng(5).permutation(len(texts))[: sum(sizes)]
    cuts = np.split(order, np.cumsum(sizes)[:2])
    train, dev, test = (rows_of([texts[i] for i in at], [targets[i] for i in at]) for at in cuts)
    labels = tuple(sorted(set(train.targets)))
    # A label that train has not got cannot be learned by anyone.
    dev, test = (rows.take([i for i, t in enumerate(rows.targets) if t in labels]) for rows in (dev, test))
    classify = tasks.get("classify")
    encoder = pin(resolve("all-minilm-l6-v2", "encoder"))
    bases = [pin(resolve(name, "lm")) for name in lms]
    job = Job(
        classify,
        labels,
        classify.prompt(labels, inputs=("text",), target="label"),
        encoder,
        bases[0] if bases else None,
    )
    names = ("encoder", "contrastive", *(("lm",) if bases else ()))
    ways = [Variant(_CHEAP[0], "frozen"), Variant(_CHEAP[1], "fusion"), *variants("label", names, lms=bases)]
    # As a run would: language models in the arithmetic that this machine is quicker in.
    limits = Limits(threads=1, dtype=probe_dtype(1)[0] if bases else "float32")
    ctx = Context(folder, 0, limits)
    bench = Comparison(ways, train, dev, job, ctx)
    arms = [way.name for way in ways]
    spent: dict[tuple[str, float], Reading] = {}

    def read(arm: str, share: float) -> Reading:
        spent[arm, share] = bench.read(arm, share)
        one = spent[arm, share]
        print(f"   {table} {arm} {share:.4f}: {one.score} in {one.cpu_s:.0f} CPU-s", file=sys.stderr, flush=True)
        return one

    found = halve(arms, read, shares=_SHARES, limit=_LIMIT, cheap=_CHEAP, kinds=bench.kinds)
    whole = {arm: bench.read(arm, 1.0) for arm in arms}
    scores: dict[str, float] = {}
    for arm in arms:
        if whole[arm].score is not None:
            said = bench.fitted(arm).predict(test.texts, replace(ctx, workdir=folder / "work"))
            scores[arm] = 100 * classify.score(said, test.targets, test.texts, labels)["macro_f1"]
    best, on_dev = max(scores, key=scores.__getitem__), max(scores, key=lambda a: whole[a].score or 0.0)
    inside = []
    for arm in scores:
        early = [spent[arm, share] for share in _SHARES[:-1] if (arm, share) in spent]
        if early:
            view = outlook(early)
            inside.append(view.low <= (whole[arm].score or 0.0) <= view.high)
    exhaustive = sum(reading.cpu_s for reading in whole.values())
    return {
        "chosen": found.best, "best_on_test": best, "best_on_dev": on_dev, "regret": scores[best] - scores[found.best],
        "regret_to_best_on_dev": scores[on_dev] - scores[found.best], "spent": round(found.spent, 1),
        "exhaustive": round(exhaustive, 1), "cost_share": round(found.spent / exhaustive, 3), "n_test": len(test),
        "test": {arm: round(score, 2) for arm, score in scores.items()}, "level": list(found.level), "inside": inside,
        "left": found.left, "dtype": limits.dtype,
    }  # fmt: skip


def _texts(path: Path) -> tuple[list[str], list[str]]:
    """Distinct texts with the target that each has first."""
    with path.open(newline="", encoding="utf-8") as lines:
        pairs = {row["text"]: row["label"] for row in csv.DictReader(lines)}
    return list(pairs), list(pairs.values())
