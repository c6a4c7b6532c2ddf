"""Documents read before tuning: bits per byte of passages that were held out, and what it gives a task tuned on top.

300 passages of obliqa (regulations, both files) are the documents, one a passage. The task: which of the ten rulebooks
that most questions of the dev file are about answers a question; tuned on questions of the dev file, tested on those of
the test file. The passages carry no rulebook's number. SmolLM2-135M is tuned once as it is and once after it has read,
everything else the same; the difference is paired over the test questions. One seed.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import report

_RULEBOOKS = 10
_PASSAGES = 300
_TRAIN, _TEST, _STEPS, _TOKENS = 320, 240, 48, 12_000
_QUICK = (80, 40, 10, 8_000)


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    import tunesmith
    from tunesmith.evaluation.domain_card import read_domain

    train, test, steps, tokens = _QUICK if asked.quick else (_TRAIN, _TEST, _STEPS, _TOKENS)
    place = asked.work / f"domain{'-quick' if asked.quick else ''}"
    place.mkdir(parents=True, exist_ok=True)
    documents = _passages(asked.shared, place / "passages.jsonl")
    paths = _questions(asked.shared, place, train, test)
    rungs = [{"name": "majority"}, {"name": "tfidf"}, *({"name": n, "steps": steps} for n in ("lm", "lm_domain"))]
    made = tunesmith.run(
        paths[0], test=str(paths[1]), target="rulebook", task="classify", out=place / "run", threads=1, dtype="float32",
        budget="60m", domain={"path": [str(documents)], "tokens": tokens, "step_tokens": 512}, tune={"fits": 0.0},
        model={"rungs": rungs, "encoder": "none", "lm": "smollm2-135m-instruct"},
        train={"refit": ["majority", "tfidf"]}, evaluate={"robustness": 0.0},
    )  # fmt: skip
    read = read_domain(made.folder)
    assert read is not None
    rows = [_bits(read)]
    systems = {system.name: system for system in made.report.systems}
    counts = {part: made.data.count(part) for part in ("train", "dev", "test")}
    gain = made.report.details.get("domain_gain")
    if gain is not None:
        rows.append(
            report.row(
                "obliqa, which rulebook: tuned after reading minus tuned without, macro-F1", 100 * gain["difference"],
                bar=0.0, unit="points", cell="domain", n=gain["n"], interval=[100 * x for x in gain["interval"]],
                p_value=gain["p_value"], peer="lm", peer_value=100 * gain["score_b"], lm_domain=100 * gain["score_a"],
                rows=counts,
            )
        )  # fmt: skip
    for name in ("lm", "lm_domain", "tfidf"):
        if name not in systems or "macro_f1" not in systems[name].scores:
            continue
        score = systems[name].scores["macro_f1"]
        rows.append(
            report.row(
                f"obliqa, which rulebook: macro-F1 of {name}", 100 * score.value, bar=None, unit="points",
                cell="domain", n=score.n, interval=[100 * x for x in score.interval],
                accuracy=100 * systems[name].scores["accuracy"].value, train_cpu_s=systems[name].cost.train_cpu_s,
                forgotten=_forgotten(made.report.details, name),
            )
        )  # fmt: skip
    return rows


def _bits(read: dict[str, Any]) -> dict[str, Any]:
    """What the stage measured, as a row."""
    return report.row(
        "obliqa passages: bits per byte, after reading minus before", read["difference"], bar=0.0, higher=False,
        unit="bits per byte", cell="domain", n=read["held_out"], interval=read["interval"], before=read["before"],
        after=read["after"], adopted=read["adopted"], documents=read["documents"], tokens=read["trained_tokens"],
        cpu_s=read["cpu_seconds"], left_out=read["left_out"],
        forgotten=[[suite["points"], *suite["interval"]] for suite in read["forgetting"]["suites"]],
    )  # fmt: skip


def _forgotten(details: dict[str, Any], name: str) -> list[list[float]]:
    """[points, low, high] of each probe."""
    about = details.get("forgetting", {}).get(name, {})
    return [[suite["points"], *suite["interval"]] for suite in about.get("suites", ())]


def _passages(shared: Path, path: Path) -> Path:
    """Different passages of both files, so many drawn once, a line each."""
    texts: dict[str, None] = {}
    for part in ("dev", "test"):
        for row in _read(shared, part):
            texts |= dict.fromkeys(passage["Passage"] for passage in row["Passages"])
    drawn = random.Random(0).sample(list(texts), _PASSAGES)
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in drawn), encoding="utf-8")
    return path


def _questions(shared: Path, place: Path, train: int, test: int) -> tuple[Path, Path]:
    """Questions on one of the ten rulebooks, as many as asked of each file, drawn once."""
    common = [book for book, _ in Counter(book for _, book in _on_one(shared, "dev")).most_common(_RULEBOOKS)]
    paths = []
    for part, n in (("dev", train), ("test", test)):
        pairs = [(question, book) for question, book in _on_one(shared, part) if book in common]
        random.Random(0).shuffle(pairs)
        paths.append(place / f"{part}.csv")
        with paths[-1].open("w", newline="", encoding="utf-8") as handle:
            csv.writer(handle).writerows([("question", "rulebook"), *pairs[:n]])
    return paths[0], paths[1]


def _on_one(shared: Path, part: str) -> list[tuple[str, str]]:
    """(question, rulebook) where all passages are of one."""
    found = []
    for row in _read(shared, part):
        books = {str(passage["DocumentID"]) for passage in row["Passages"]}
        if len(books) == 1:
            found.append((row["Question"], f"rulebook {books.pop()}"))
    return found


def _read(shared: Path, part: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((shared / "obliqa" / f"ObliQA_{part}.json").read_text(encoding="utf-8"))
    return rows
