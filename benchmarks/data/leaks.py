"""Cell: copies of test rows planted into train, and texts of a named benchmark, through the step `leaks`.

Exact copies differ in nothing, in case, or in spaces and marks; near copies in spelling, order or both (plants.py). A
benchmark's texts are planted as they are, misspelt, and inside a longer text.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
from duplicates import share_interval
from plants import COPIES, Make, in_other_case, repunctuated
from report import row
from tables import TABLES, texts_of

SEEDS = (31,)
MOST = 2_500  # rows of each table
COMMAND = "python benchmarks/data/run.py --only leaks"
EXACT: dict[str, Make] = {"equal": lambda text, _: text, "case": in_other_case, "marks": repunctuated}
NEAR = {kind: make for kind, make in COPIES.items() if kind != "case"}
_AROUND = ("A reader sent us this one: {} What would you say to that?", "Here is what I have. {} Please answer.")


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Exact and near copies found, rows flagged without a plant, and rows of a named benchmark found."""
    from tunesmith.data.steps import step

    planted: Counter[str] = Counter()
    found: Counter[str] = Counter()
    by_table: dict[str, dict[str, float]] = {}
    unplanted, rows_read = 0, 0
    leaks = step.get("leaks")
    for name in TABLES:
        texts = texts_of(name, asked.shared, most=500 if asked.quick else MOST)
        own: Counter[str] = Counter()
        for seed in SEEDS[:1] if asked.quick else SEEDS:
            draw = random.Random(seed)
            rows = list(texts)
            draw.shuffle(rows)
            cut = len(rows) // 5
            test, train = rows[:cut], rows[cut:]
            before = {f.id for f in leaks(dataset(test, train))}
            unplanted, rows_read = unplanted + len(before), rows_read + len(train)
            marks: list[tuple[str, str]] = []
            for group, makes in (("exact", EXACT), ("near", NEAR)):
                for kind, make in makes.items():
                    for at in draw.sample(range(cut), max(1, cut // 10)):
                        copy = make(test[at], draw)
                        if copy is not None:
                            marks.append((group, kind))
                            train.append(copy)
            flagged = {f.id for f in leaks(dataset(test, train)) if f.action == "drop"}
            for at, (group, kind) in enumerate(marks, len(rows)):
                hit = at in flagged
                for counted in (group, f"{group}, {kind}"):
                    planted[counted] += 1
                    found[counted] += hit
                own[f"{group} planted"] += 1
                own[f"{group} found"] += hit
        by_table[name] = {g: round(own[f"{g} found"] / max(own[f"{g} planted"], 1), 4) for g in ("exact", "near")}
    out = []
    for kind in planted:
        share, bar = found[kind] / planted[kind], 1.0 if kind.startswith("exact") else 0.98
        more = {"by_table": {t: v[kind] for t, v in by_table.items()}} if kind in ("exact", "near") else {}
        out.append(row(f"copies of test rows found, {kind}", share, bar=bar, unit="share", n=planted[kind],
                       interval=share_interval(share, planted[kind]), seeds=len(SEEDS), command=COMMAND,
                       **more))  # fmt: skip
    out.append(row("train rows dropped where nothing was planted", unplanted / rows_read, bar=None, unit="share",
                   higher=False, n=rows_read, seeds=len(SEEDS), command=COMMAND))  # fmt: skip
    return [*out, *_against(asked)]


def _against(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """The texts of one table as a benchmark that is named, planted into the train rows of another."""
    from tunesmith.data.steps import step

    draw = random.Random(41)
    bench = texts_of("qasc_dev", asked.shared)
    path = Path(asked.work) / "named_benchmark.jsonl"
    path.write_text("\n".join(json.dumps({"question": text}) for text in bench), encoding="utf-8")
    train = texts_of("banking77", asked.shared, most=4_000)
    clean = len(train)
    marks: list[str] = []
    long = [text for text in bench if len(text.split()) >= 8]
    for kind, pool, make in (
        ("equal", bench, lambda text: text),
        ("two mistakes", bench, lambda text: COPIES["two mistakes"](text, draw)),
        ("inside a longer text", long, lambda text: draw.choice(_AROUND).format(text)),
    ):
        for text in draw.sample(pool, min(200, len(pool))):
            copy = make(text)
            if copy is not None:
                marks.append(kind)
                train.append(copy)
    flagged = {f.id for f in step.get("leaks")(dataset([], train), against=(path,))}
    out = []
    for kind in dict.fromkeys(marks):
        at = [clean + i for i, k in enumerate(marks) if k == kind]
        share = sum(i in flagged for i in at) / len(at)
        bar = 1.0 if kind == "equal" else 0.98
        out.append(row(f"rows of a named benchmark found, {kind}", share, bar=bar, unit="share", n=len(at),
                       interval=share_interval(share, len(at)), command=COMMAND))  # fmt: skip
    false = sum(i < clean for i in flagged)
    out.append(
        row(
            "rows of no benchmark dropped",
            false / clean,
            bar=None,
            unit="share",
            higher=False,
            n=clean,
            command=COMMAND,
        )
    )
    return out


def dataset(test: list[str], train: list[str], targets: list[str] | None = None) -> Any:
    """A Dataset of test rows and, behind them, train rows; ids count through."""
    from tunesmith.core.dataset import Dataset

    n = len(test) + len(train)
    labels = targets or ["a"] * len(train)
    table = pa.table(
        {
            "id": pa.array(range(n), pa.int64()),
            "text": [*test, *train],
            "target": pa.array([None] * len(test) + labels, pa.string()),
            "split": ["test"] * len(test) + ["train"] * len(train),
            "weight": pa.array([1.0] * n, pa.float32()),
            "group": pa.array(range(n), pa.int64()),
            "file": ["a.csv"] * n,
            "row": pa.array(range(1, n + 1), pa.int64()),
            "hash": [f"{at:016x}" for at in range(n)],
            "changes": pa.array([[]] * n, pa.list_(pa.string())),
        }
    )
    return Dataset(table, "classify", tuple(sorted(set(labels))), ("text",), "label")
