"""Measures the classification rungs on real tables: leading metric on the official test rows, CPU seconds, calibration.

    python benchmarks/rungs/run.py [--quick] [--only MEASURE] [--data DIR] [--rungs tfidf,frozen] [--threads N]

Settings are chosen on train rows only; a test row is looked at once per cell, to score. A cell (table, rung, seed) is
written to cells.json as it ends and not measured again; results.json and results.md are made from the cells.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
Table = tuple[list[str], list[str], list[str], list[str]]  # train texts, train labels, test texts, test labels

CHEAP = ("majority", "tfidf", "frozen", "fusion")
TUNED = ("encoder", "contrastive")


def _csv(path: Path, *, delimiter: str = ",", quoted: bool = True) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
        return list(csv.DictReader(file, delimiter=delimiter, quoting=quoting))


def banking77(data: Path) -> Table:
    train, test = _csv(data / "banking77" / "train.csv"), _csv(data / "banking77" / "test.csv")
    return (
        [r["text"] for r in train], [r["category"] for r in train],
        [r["text"] for r in test], [r["category"] for r in test],
    )  # fmt: skip


def sms_spam(data: Path) -> Table:
    with (data / "sms_spam" / "sms_spam.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    train, test = ([r for r in rows if r["split"] == part] for part in ("train", "test"))
    return (
        [r["text"] for r in train],
        [r["label"] for r in train],
        [r["text"] for r in test],
        [r["label"] for r in test],
    )


def noisyag_news(data: Path) -> Table:
    """Trained on what people said, scored on what is true."""
    folder = data / "noisyag_news"
    train, test = _csv(folder / "samples10000valMed.csv"), _csv(folder / "test_2000.csv")
    return [r["text"] for r in train], [r["label"] for r in train], [r["text"] for r in test], [r["gt"] for r in test]


def wrench_youtube(data: Path) -> Table:
    def read(name: str) -> tuple[list[str], list[str]]:
        rows = json.loads((data / "wrench_youtube" / name).read_text(encoding="utf-8"))
        return [rows[key]["data"]["text"] for key in rows], [str(rows[key]["label"]) for key in rows]

    return *read("train.json"), *read("test.json")


def afrisenti_pcm(data: Path) -> Table:
    folder = data / "afrisenti" / "pcm"
    train, test = (_csv(folder / name, delimiter="\t", quoted=False) for name in ("train.tsv", "test.tsv"))
    return (
        [r["tweet"] for r in train],
        [r["label"] for r in train],
        [r["tweet"] for r in test],
        [r["label"] for r in test],
    )


def vader(name: str) -> Callable[[Path], Table]:
    """Polarity of a mean valence beyond 0.5; a fifth of the rows, by the hash of the text, is test."""

    def read(data: Path) -> Table:
        parts: tuple[list[tuple[str, str]], list[tuple[str, str]]] = ([], [])
        file = data / "vader_sentiment" / f"{name}_GroundTruth.txt"
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            _, valence, text = [*line.split("\t", 2), "", ""][:3]
            if text:
                label = "positive" if float(valence) > 0.5 else "negative" if float(valence) < -0.5 else "neutral"
                parts[int(hashlib.sha256(text.encode()).hexdigest(), 16) % 5 == 0].append((text, label))
        train, test = parts
        return [t for t, _ in train], [y for _, y in train], [t for t, _ in test], [y for _, y in test]

    return read


# measure: table, rows per label (0: all), seeds, metric, bar of issue 2 (None: there is none)
MEASURES: dict[str, tuple[Callable[[Path], Table], int, tuple[int, ...], str, float | None]] = {
    "banking77": (banking77, 0, (0,), "accuracy", 0.942),
    "banking77, 10 rows per label": (banking77, 10, (0, 1, 2), "accuracy", 0.86),
    "sms_spam": (sms_spam, 0, (0,), "macro_f1", 0.983),
    "noisyag_news": (noisyag_news, 0, (0,), "accuracy", 0.82),
    "wrench_youtube": (wrench_youtube, 0, (0,), "macro_f1", None),
    "afrisenti_pcm": (afrisenti_pcm, 0, (0,), "macro_f1", None),
    "vader_tweets": (vader("tweets"), 0, (0,), "macro_f1", None),
    "vader_movies": (vader("movieReviewSnippets"), 0, (0,), "macro_f1", None),
}
QUICK = ("banking77", "sms_spam")


def cell(measure: str, rung: str, seed: int, data: Path, *, threads: int, encoder: str) -> dict[str, Any]:
    """Fit one rung on one table and score its test rows."""
    from tunesmith.core.context import Context, Limits
    from tunesmith.core.dataset import rows_of
    from tunesmith.core.machine import describe, set_threads
    from tunesmith.core.meter import borrowed_cpu_s, metered
    from tunesmith.core.statistics import bootstrap_macro_f1, wilson
    from tunesmith.models.resolve import pin, resolve
    from tunesmith.tasks import task
    from tunesmith.training.folds import label_codes, rest_of, row_folds
    from tunesmith.training.systems import Job, RungPlan, system

    set_threads(threads)
    read, per_label, _, metric, bar = MEASURES[measure]
    texts, targets, test_texts, test_targets = read(data)
    rows = rows_of(texts, targets)
    if per_label:
        order = np.random.default_rng(seed).permutation(len(rows))
        chosen = [i for label in sorted(set(targets)) for i in [j for j in order if targets[j] == label][:per_label]]
        rows = rows.take(np.sort(chosen))
    labels = tuple(sorted(set(targets)))
    what = task.get("classify")
    job = Job(
        what, labels, what.prompt(labels, inputs=("text",), target="label"), pin(resolve(encoder, "encoder")),
        plan=RungPlan(rung),
    )  # fmt: skip
    held_out = row_folds(rows, k=10, seed=seed)[0] if rung in TUNED else []
    dev, train = rows.take(held_out), rows.take(rest_of(held_out, len(rows)))
    with tempfile.TemporaryDirectory() as folder:
        ctx = Context(Path(folder), seed=seed, limits=Limits(threads=threads))
        borrowed = borrowed_cpu_s()
        with metered() as fitting:
            fitted = system.get(rung).fit(train, dev, job, ctx)
        with metered() as answering:
            answers = fitted.predict(test_texts, ctx)
        borrowed = borrowed_cpu_s() - borrowed
    scores = what.score(answers, test_targets, test_texts, labels)
    truth, said = label_codes(test_targets, labels), label_codes([str(v) for v in answers.values], labels)
    if metric == "accuracy":
        interval = wilson(int((truth == said).sum()), len(truth))
    else:
        interval = bootstrap_macro_f1(truth, said, len(labels), resamples=500, seed=seed, method="percentile")
    return {
        "measure": measure, "rung": rung, "seed": seed, "metric": metric, "value": scores[metric],
        "interval": [float(interval[0]), float(interval[1])], "ece": scores["ece"], "accuracy": scores["accuracy"],
        "macro_f1": scores["macro_f1"], "n": len(test_texts), "train": len(train), "dev": len(dev), "bar": bar,
        "fit_cpu_s": round(fitting.cpu_s, 1), "fit_wall_s": round(fitting.wall_s, 1),
        "predict_cpu_s": round(answering.cpu_s, 2), "borrowed_cpu_s": round(borrowed, 1),
        "peak_rss_bytes": max(fitting.peak_rss_bytes, answering.peak_rss_bytes), "threads": threads,
        "settings": getattr(fitted, "settings", {}), "machine": describe()["cpu"],
        "date": datetime.now(UTC).date().isoformat(),
    }  # fmt: skip


def write_results(cells: list[dict[str, Any]]) -> None:
    """results.json in the common form, and a table to read."""
    by: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in cells:
        by.setdefault((row["measure"], row["rung"]), []).append(row)
    results = []
    for (measure, rung), rows in by.items():
        first, value = rows[0], float(np.mean([row["value"] for row in rows]))
        one = len(rows) == 1
        results.append({
            "measure": f"{measure}: {rung}", "value": round(value, 4),
            "interval": first["interval"] if one else [min(r["value"] for r in rows), max(r["value"] for r in rows)],
            "unit": first["metric"], "peer": None, "peer_value": None, "bar": first["bar"],
            "met": None if first["bar"] is None else value >= first["bar"], "n": first["n"],
            "seeds": [row["seed"] for row in rows], "machine": first["machine"], "date": first["date"],
            "command": "python benchmarks/rungs/run.py",
        })  # fmt: skip
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    lines = [
        "| table | rung | metric | test | interval | ECE | fit CPU s | predict CPU s | bar |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (measure, rung), rows in by.items():
        mean = {
            key: float(np.mean([row[key] for row in rows])) for key in ("value", "ece", "fit_cpu_s", "predict_cpu_s")
        }
        low = min(row["interval"][0] for row in rows) if len(rows) == 1 else min(row["value"] for row in rows)
        high = max(row["interval"][1] for row in rows) if len(rows) == 1 else max(row["value"] for row in rows)
        bar = "" if rows[0]["bar"] is None else f"{rows[0]['bar']}"
        lines.append(
            f"| {measure} | {rung} | {rows[0]['metric']} | **{mean['value']:.4f}** | {low:.4f} – {high:.4f} | "
            f"{mean['ece']:.3f} | {mean['fit_cpu_s']:.0f} | {mean['predict_cpu_s']:.1f} | {bar} |"
        )
    lines.append("")
    lines.append(
        "Intervals: 95 % of one run; over several seeds, least and greatest. CPU seconds without what was borrowed"
    )
    lines.append("from a rung before (the vectors of the frozen encoder): cells.json has both.")
    (HERE / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--quick", action="store_true", help="two tables, cheap rungs only")
    parse.add_argument("--only", help="one measure by name")
    parse.add_argument("--rungs", default=",".join((*CHEAP, *TUNED)))
    parse.add_argument("--threads", type=int, default=1)
    parse.add_argument("--encoder", default="all-minilm-l6-v2")
    parse.add_argument(
        "--data", type=Path, default=Path(os.environ.get("TUNESMITH_DATA", HERE.parents[2] / "shared" / "data"))
    )
    asked = parse.parse_args()
    path = HERE / "cells.json"
    cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    done = {(row["measure"], row["rung"], row["seed"]) for row in cells}
    measures = [asked.only] if asked.only else QUICK if asked.quick else MEASURES
    for measure in measures:
        for rung in CHEAP if asked.quick else asked.rungs.split(","):
            # Contrastive tuning is made for few rows; on thousands the planner does not run it either.
            if rung == "contrastive" and not MEASURES[measure][1]:
                continue
            for seed in MEASURES[measure][2]:
                if (measure, rung, seed) in done:
                    continue
                cells.append(cell(measure, rung, seed, asked.data, threads=asked.threads, encoder=asked.encoder))
                path.write_text(json.dumps(cells, indent=1) + "\n", encoding="utf-8")
                write_results(cells)
                row = cells[-1]
                done_s = f"fit {row['fit_cpu_s']} CPU s"
                print(f"{measure:32} {rung:12} seed {seed}  {row['metric']} {row['value']:.4f}  {done_s}", flush=True)
    write_results(cells)


if __name__ == "__main__":
    main()
