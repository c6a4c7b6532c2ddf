"""Is a step credited that does nothing? Placebos that drop 5 to 30 % of the train rows, and dev rows, at random.

Of 3,000 rows of each table 40 % judge, so that luck in *training* is what a careless test would take for an effect: the
share that such a test (over the judged rows alone) would have credited is told beside.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import report

ROWS, DEV_SHARE = 3000, 0.4
PLACEBOS = 40


def tables(shared: Path) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """(name, rows with text and label): intents, spam, and polarity of tweets."""
    with (shared / "banking77" / "train.csv").open(encoding="utf-8", newline="") as handle:
        intents = [{"text": r["text"], "label": r["category"]} for r in csv.DictReader(handle)]
    few = sorted({r["label"] for r in intents})[::4]  # 20 of the 77, so that each keeps some 75 rows
    yield "banking77 (20 intents)", [r for r in intents if r["label"] in few]
    with (shared / "sms_spam" / "sms_spam.jsonl").open(encoding="utf-8") as handle:
        yield "sms_spam", [{"text": r["text"], "label": r["label"]} for r in map(json.loads, handle)]
    tweets = []
    for line in (shared / "vader_sentiment" / "tweets_GroundTruth.txt").read_text(encoding="utf-8").splitlines():
        _, valence, text = line.split("\t", 2)
        label = "positive" if float(valence) > 0.5 else "negative" if float(valence) < -0.5 else "neutral"
        tweets.append({"text": text, "label": label})
    yield "vader tweets", tweets


def measure(asked: Any) -> list[dict[str, Any]]:
    from tunesmith.core.findings import Finding
    from tunesmith.evaluation.experiments import evidence
    from tunesmith.evaluation.trainers import probe_trainer

    placebos = 4 if asked.quick else PLACEBOS
    rows = []
    credited, careless, runs = 0, 0, 0
    for name, table in tables(asked.shared):
        data = ingested(table, asked)
        everything = data.rows("train") + data.rows("dev")
        trainer = probe_trainer(everything.texts, (data.rows("train").texts, data.rows("train").targets), data.labels)
        ids, dev_ids = data.rows("train").ids, data.rows("dev").ids
        here = [0, 0]
        for seed in range(placebos):
            rng = np.random.default_rng([seed, 1])
            share = (0.05, 0.1, 0.2, 0.3)[seed % 4]
            drops = [Finding("placebo", int(i), "drop", "") for i in rng.choice(ids, round(share * len(ids)), False)]
            drops += [Finding("placebo", int(i), "drop", "") for i in rng.choice(dev_ids, len(dev_ids) // 5, False)]
            found = evidence(data, drops, trainer=lambda _, made=trainer: made, seed=seed).steps[0]
            e = found.left_out
            assert e is not None
            here[0] += found.claim == "helps"
            here[1] += e.difference > 1.96 * e.error_rows
        credited, careless, runs = credited + here[0], careless + here[1], runs + placebos
        rows.append(
            report.row(f"placebo credited, {name}", here[0] / placebos, bar=None, unit="share", n=placebos,
                       peer="test over dev rows alone", peer_value=here[1] / placebos, seeds=placebos)
        )  # fmt: skip
    share = credited / runs
    from tunesmith.core.statistics import wilson

    rows.append(
        report.row("placebo steps credited (random rows dropped)", share, bar=0.05, higher=False, unit="share", n=runs,
                   interval=wilson(credited, runs), peer="test over dev rows alone", peer_value=careless / runs)
    )  # fmt: skip
    return rows


def ingested(table: list[dict[str, str]], asked: Any) -> Any:
    from tunesmith.core.context import Context
    from tunesmith.data.ingest import IngestOptions, ingest

    order = np.random.default_rng(0).permutation(len(table))[: 600 if asked.quick else ROWS]
    folder = Path(tempfile.mkdtemp(dir=asked.work))
    with (folder / "t.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, ["text", "label"])
        writer.writeheader()
        writer.writerows(table[int(i)] for i in order)
    options = IngestOptions(
        path=folder / "t.csv", target="label", inputs=("text",), dev_share=DEV_SHARE, test_share=0.1
    )
    return ingest(options, Context(folder / "01-ingest"))
