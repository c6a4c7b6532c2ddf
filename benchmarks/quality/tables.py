"""Shared data as tables for the command line: a CSV of `text` and `label` per name, made once in `work`."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path

Pairs = list[tuple[str, str]]
_VADER = {
    "amazon": "amazonReviewSnippets", "film": "movieReviewSnippets", "opinion": "nytEditorialSnippets",
    "tweets": "tweets",
}  # fmt: skip


def table(name: str, shared: Path, work: Path, *, rows: int | None = None, seed: int = 0) -> Path:
    """The CSV of a table, of `rows` random rows if given."""
    path = work / f"{name.replace(':', '-')}{'' if rows is None else f'-{rows}-{seed}'}.csv"
    if not path.exists():
        kept = [(text, target) for text, target in pairs(name, shared) if text.strip() and target.strip()]
        if rows is not None:
            kept = random.Random(seed).sample(kept, min(rows, len(kept)))
        with path.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle)
            writer.writerow(("text", "label"))
            writer.writerows(kept)
    return path


def pairs(name: str, shared: Path) -> Pairs:
    """All rows of a table, as (text, target)."""
    name, _, part = name.partition(":")
    return _TABLES[name](shared, part)


def _csv(path: Path, text: str, target: str) -> Pairs:
    with path.open(newline="", encoding="utf-8") as lines:
        return [(row[text] or "", row[target] or "") for row in csv.DictReader(lines)]


def _lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _banking(shared: Path, part: str) -> Pairs:
    """part: how many intents, the first by name; "" for all 77."""
    pairs = _csv(shared / "banking77" / "train.csv", "text", "category")
    kept = sorted({label for _, label in pairs})[: int(part) if part else None]
    return [pair for pair in pairs if pair[1] in kept]


def _messages(shared: Path, _part: str) -> Pairs:
    return [(str(row["text"]), str(row["label"])) for row in _lines(shared / "sms_spam" / "sms_spam.jsonl")]


def _polarity(shared: Path, part: str) -> Pairs:
    """Above 0.5 positive, below -0.5 negative, else neutral; the scale is -4 to 4. part: one of four sources."""
    made = []
    for source in [_VADER[part]] if part else _VADER.values():
        path = shared / "vader_sentiment" / f"{source}_GroundTruth.txt"
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            cells = line.split("\t", 2)
            if len(cells) == 3:
                mean = float(cells[1])
                made.append((cells[2], "positive" if mean > 0.5 else "negative" if mean < -0.5 else "neutral"))
    return made


def _news(shared: Path, _part: str) -> Pairs:
    return _csv(shared / "noisyag_news" / "samples10000valMed.csv", "text", "label")


def _comments(shared: Path, _part: str) -> Pairs:
    names = json.loads((shared / "wrench_youtube" / "label.json").read_text(encoding="utf-8"))
    made = []
    for part in ("train", "valid", "test"):
        rows = json.loads((shared / "wrench_youtube" / f"{part}.json").read_text(encoding="utf-8"))
        made += [(row["data"]["text"], names[str(row["label"])]) for row in rows.values()]
    return made


def _languages(shared: Path, part: str) -> Pairs:
    made: Pairs = []
    for path in sorted((shared / "afrisenti" / part).glob("*.tsv")):
        with path.open(newline="", encoding="utf-8") as lines:
            delimiter = "\t" if path.suffix == ".tsv" else ","
            made += [
                (row.get("tweet") or row.get("text") or "", row["label"])
                for row in csv.DictReader(lines, delimiter=delimiter)
            ]
    return made


def _dialogues(shared: Path, _part: str) -> Pairs:
    return _csv(shared / "mts_dialog" / "MTS-Dialog-TrainingSet.csv", "dialogue", "section_text")


def _papers(shared: Path, _part: str) -> Pairs:
    return [(" ".join(row["source"]), row["target"][0]) for row in _lines(shared / "scitldr_a" / "dev.jsonl")]  # type: ignore[arg-type, index]


def _queries(shared: Path, _part: str) -> Pairs:
    groups = json.loads((shared / "advising_sql" / "advising.json").read_text(encoding="utf-8"))
    return [(s["text"], group["sql"][0]) for group in groups for s in group["sentences"]]


_TABLES: dict[str, Callable[[Path, str], Pairs]] = {
    "intents": _banking,
    "messages": _messages,
    "polarity": _polarity,
    "news": _news,
    "comments": _comments,
    "tweets": _languages,
    "notes": _dialogues,
    "summaries": _papers,
    "queries": _queries,
}
