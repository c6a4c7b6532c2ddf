"""The texts of the shared tables, as the cells about copies read them: different texts, in file order."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

MOST = 10_000
VADER = ("amazonReviewSnippets", "movieReviewSnippets", "nytEditorialSnippets", "tweets")
# The rules were written with the first three in sight; the others only confirm them.
DEVELOPED_ON = ("banking77", "sms_spam", "noisyag_news")


def texts_of(name: str, shared: Path, *, most: int = MOST) -> list[str]:
    """Up to `most` different texts of a table."""
    return list(dict.fromkeys(text for text in TABLES[name](shared) if text.strip()))[:most]


def _csv(path: Path, column: str) -> list[str]:
    with path.open(newline="", encoding="utf-8") as lines:
        return [row[column] for row in csv.DictReader(lines)]


def _sms(shared: Path) -> list[str]:
    lines = (shared / "sms_spam" / "sms_spam.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines if line.strip()]


def _vader(shared: Path) -> list[str]:
    """Every third sentence, so that all four sources are in it."""
    texts = []
    for part in VADER:
        path = shared / "vader_sentiment" / f"{part}_GroundTruth.txt"
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            cells = line.split("\t", 2)
            if len(cells) == 3:
                texts.append(cells[2])
    return texts[::3]


def _youtube(shared: Path) -> list[str]:
    texts = []
    for part in ("train", "valid", "test"):
        rows = json.loads((shared / "wrench_youtube" / f"{part}.json").read_text(encoding="utf-8"))
        texts += [row["data"]["text"] for row in rows.values()]
    return texts


def _obliqa(shared: Path) -> list[str]:
    parts = [json.loads((shared / "obliqa" / f"ObliQA_{part}.json").read_text("utf-8")) for part in ("dev", "test")]
    return [row["Question"] for part in parts for row in part]


def _qasc(shared: Path) -> list[str]:
    lines = (shared / "qasc_dev" / "dev.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["question"]["stem"] for line in lines if line.strip()]


TABLES: dict[str, Callable[[Path], list[str]]] = {
    "banking77": lambda shared: _csv(shared / "banking77" / "train.csv", "text"),
    "sms_spam": _sms,
    "noisyag_news": lambda shared: _csv(shared / "noisyag_news" / "samples10000valMed.csv", "text"),
    "vader_sentiment": _vader,
    "wrench_youtube": _youtube,
    "obliqa": _obliqa,
    "qasc_dev": _qasc,
    "mts_dialog": lambda shared: _csv(shared / "mts_dialog" / "MTS-Dialog-TrainingSet.csv", "section_text"),
}
