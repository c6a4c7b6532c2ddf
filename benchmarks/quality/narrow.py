"""Six narrow tasks of real data, as train and test pairs: what tuned models and others are compared on."""

from __future__ import annotations

import csv
import json
import random
from dataclasses import dataclass
from pathlib import Path

import advising_sql
import tables

_LABELLED, _WRITTEN = 300, 2400  # seconds of wall time
_SHARE = 0.2  # of a table without a test of its own


@dataclass(frozen=True)
class Table:
    """Train and test pairs of (input, answer). metric: of the task, with a value per row, whose means are compared."""

    name: str
    train: tables.Pairs
    test: tables.Pairs
    task: str
    metric: str
    budget_s: float
    words: tuple[str, ...] = ()
    answer_tokens: int = 24
    longest: int = 512
    system: str = ""

    def written(self, folder: Path, *, test_rows: int | None = None) -> tuple[Path, Path]:
        """Train and test as CSV with the columns `input` and `answer`; of the test the first rows only, if so many."""
        paths = []
        for part, pairs in (("train", self.train), ("test", self.test[:test_rows])):
            paths.append(folder / f"{part}.csv")
            with paths[-1].open("w", newline="", encoding="utf-8") as handle:
                csv.writer(handle).writerows([("input", "answer"), *pairs])
        return paths[0], paths[1]


def tasks(shared: Path, work: Path) -> list[Table]:
    """All six: four with labels, two with texts."""
    labelled = {
        "banking77": _official(shared / "banking77", "train.csv", "test.csv", "text", "category"),
        "sms_spam": _cut(tables.pairs("messages", shared)),
        "vader polarity": _cut(tables.pairs("polarity", shared)),
        "noisyag_news": _official(shared / "noisyag_news", "samples10000valMed.csv", "test_2000.csv", "text", "label"),
    }
    made = [
        Table(name, train, test, "classify", "accuracy", _LABELLED, longest=256)
        for name, (train, test) in labelled.items()
    ]
    train, test = _official(
        shared / "mts_dialog", "MTS-Dialog-TrainingSet.csv", "MTS-Dialog-TestSet-1-MEDIQA-Chat-2023.csv", "dialogue",
        "section_text",
    )  # fmt: skip
    made.append(
        Table(
            "mts_dialog", train, test, "rewrite", "fact_f1", _WRITTEN, answer_tokens=256, longest=1280,
            system="Write the section of the clinical note that this conversation supports.",
        )
    )  # fmt: skip
    train, test = _queries(shared, work)
    made.append(
        Table(
            "advising_sql", train, test, "code", "solved", _WRITTEN, ("--tests", "none"), answer_tokens=400,
            longest=768, system="Write the SQL query that answers the question.",
        )
    )  # fmt: skip
    return made


def _official(folder: Path, train: str, test: str, text: str, target: str) -> tuple[tables.Pairs, tables.Pairs]:
    """Both files, in an order drawn once: the first rows of a test stand for all of it."""

    def read(name: str) -> tables.Pairs:
        with (folder / name).open(newline="", encoding="utf-8") as lines:
            rows = [(r[text], r[target]) for r in csv.DictReader(lines) if r[text].strip() and r[target].strip()]
        random.Random(0).shuffle(rows)
        return rows

    return read(train), read(test)


def _cut(pairs: tables.Pairs) -> tuple[tables.Pairs, tables.Pairs]:
    """A fifth as test; equal texts, of which only the first counts, are on one side."""
    once = list({text.strip(): (text, target) for text, target in reversed(pairs) if text.strip()}.values())
    random.Random(0).shuffle(once)
    n = round(_SHARE * len(once))
    return once[n:], once[:n]


def _queries(shared: Path, work: Path) -> tuple[tables.Pairs, tables.Pairs]:
    path = advising_sql.table("question", shared, work)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    parts = {part: [(r["question"], r["sql"]) for r in rows if r["split"] == part] for part in ("train", "dev", "test")}
    random.Random(0).shuffle(parts["test"])
    return parts["train"] + parts["dev"], parts["test"]
