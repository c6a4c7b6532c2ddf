"""Questions on regulations (obliqa), answered from all passages of both files, by the command line's own way.

Train is the dev file. The test has the questions of the test file whose gold passages are not gold in the dev file;
what ships is also asked every question of the test file, as the issue's figures for BM25 were.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import report

from tunesmith import open_run, verify_citations
from tunesmith.core.context import Context
from tunesmith.core.library import Library
from tunesmith.core.statistics import bootstrap_mean, wilson
from tunesmith.data.documents import read_library
from tunesmith.pipeline import run
from tunesmith.tasks import task
from tunesmith.tasks.citations import Citation, CitedAnswer, gold_of
from tunesmith.training.ladder import Ladder, Trained

_QUICK = 300
_RUNGS = ("ranked", "hybrid", "bm25", "dense", "nearest_question")


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows on what is found, cited and quoted, and on planted faults."""
    work = asked.work / "answer"
    work.mkdir(parents=True, exist_ok=True)
    parts = {
        name: json.loads((asked.shared / "obliqa" / f"ObliQA_{name}.json").read_text()) for name in ("dev", "test")
    }
    if asked.quick:
        parts = {name: rows[:_QUICK] for name, rows in parts.items()}
    taught = {_key(p) for row in parts["dev"] for p in row["Passages"]}
    unseen = [row for row in parts["test"] if not any(_key(p) in taught for p in row["Passages"])]
    passages = [p for rows in parts.values() for row in rows for p in row["Passages"]]
    for name, rows in (("questions", parts["dev"]), ("test", unseen), ("library", passages)):
        (work / f"{name}.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    folder = work / ("quick" if asked.quick else "run")
    run(
        work / "questions.json", out=folder, task="answer", documents=str(work / "library.json"), budget="60m",
        test=str(work / "test.json"), threads=1, device="cpu",
    )  # fmt: skip
    done = open_run(folder)
    library = read_library([work / "library.json"])
    sources = {(str(p["DocumentID"]), str(p["PassageID"])): set() for p in passages}
    for p in passages:
        sources[str(p["DocumentID"]), str(p["PassageID"])].add(p["Passage"])
    rows = _scored(done, n=len(unseen))
    said = _said(folder)
    rows += _quoted([value for values in said.values() for value in values], sources)
    rows += _planted([value for value in said["ranked"] if value], library)
    rows += _everything(done, parts["test"], library)
    return rows + _foreign(done, asked.shared)


def _key(passage: dict[str, Any]) -> tuple[str, str]:
    return str(passage["DocumentID"]), str(passage["PassageID"])


def _row(measure: str, value: float, *, bar: float | None = None, **more: Any) -> dict[str, Any]:
    return report.row(f"obliqa: {measure}", value, bar=bar, unit="", cell="answer", **more)


def _scored(done: Any, *, n: int) -> list[dict[str, Any]]:
    """Each rung on questions whose passages no train question had; bars at the learned ranking and at what ships."""
    systems = {system.name: system.scores for system in done.report.systems}
    ships = done.report.winner
    bm25 = systems["bm25"]["recall_at_5"].value
    rows = []
    for name in _RUNGS:
        who = f"{name}, ships" if name == ships else name
        barred = name in ("ranked", ships)
        for metric, bar in (("recall_at_5", 0.82), ("citation_precision", 0.85), ("answered", 0.75)):
            score = systems[name][metric]
            peer = {"peer": "BM25", "peer_value": bm25} if metric == "recall_at_5" and name != "bm25" else {}
            rows.append(
                _row(
                    f"{metric} ({who})", score.value, bar=bar if barred else None, interval=score.interval, n=n, **peer
                )
            )
        for metric in ("recall_at_1", "mrr"):
            score = systems[name][metric]
            rows.append(_row(f"{metric} ({who})", score.value, interval=score.interval, n=n))
    return rows


def _said(folder: Path) -> dict[str, list[str | None]]:
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "08-evaluate" / "predictions.parquet")
    return {name: table[name].to_pylist() for name in _RUNGS}


def _quoted(values: Sequence[str | None], sources: dict[tuple[str, str], set[str]]) -> list[dict[str, Any]]:
    """Every quote of every rung against the file as it was read by nothing but json."""
    right = quotes = 0
    for value in values:
        answer = CitedAnswer.from_json(value)
        for c in answer.citations if answer else ():
            passage = (c.document, c.passage.split(" (")[0]) if c.reference not in sources else c.reference
            quotes += 1
            right += any(
                text[c.start : c.end].encode() == c.quote.encode() and c.quote for text in sources.get(passage, ())
            )
    return [_row("quotes byte-exact in the source file, all rungs", right / quotes, bar=1.0, n=quotes)]


def _planted(values: Sequence[str], library: Library) -> list[dict[str, Any]]:
    """Faults planted in every answer that cites; each kind alone."""
    rng = random.Random(0)
    answers = [a for a in map(CitedAnswer.from_json, values) if a is not None and a.citations]
    rows = []
    for kind, plant in (
        ("one letter of a quote altered", _other_letter),
        ("a word of a quote left out", _without_word),
        ("a number or a denial in a quote changed", _other_sense),
        ("a passage id that does not exist", lambda c, _: replace(c, passage=c.passage + ".99")),
        ("a document id that does not exist", lambda c, _: replace(c, document=c.document + "99")),
        ("offsets moved by one", lambda c, _: replace(c, start=c.start + 1, end=c.end + 1)),
        ("a quote under another passage's id", lambda c, rng: _elsewhere(c, library, rng)),
    ):
        planted = [(a, plant(a.citations[0], rng)) for a in answers]
        made = [replace(a, citations=(c,)) for a, c in planted if c is not None]
        caught = sum(bool(verify_citations(a.to_json(), library)) for a in made)
        rows.append(
            _row(
                f"planted: {kind}, caught", caught / len(made), bar=1.0, interval=wilson(caught, len(made)), n=len(made)
            )
        )
    false = sum(bool(verify_citations(a.to_json(), library)) for a in answers)
    rows.append(_row("true quotes called false", false / len(answers), bar=0.0, higher=False, n=len(answers)))
    wrong = [replace(a, citations=(_true_quote(a, library),)) for a in answers if len(a.passages) > 4]
    caught = sum(bool(verify_citations(a.to_json(), library)) for a in wrong)
    rows.append(_row("planted: a true quote of a wrong passage, caught", caught / len(wrong), n=len(wrong)))
    return rows


def _other_letter(c: Citation, rng: random.Random) -> Citation:
    at = rng.randrange(len(c.quote))
    letter = rng.choice([x for x in "aeiou019 ’" if x != c.quote[at]])
    return replace(c, quote=c.quote[:at] + letter + c.quote[at + 1 :])


def _without_word(c: Citation, rng: random.Random) -> Citation:
    words = c.quote.split(" ")
    at = rng.randrange(len(words))
    return replace(c, quote=" ".join(words[:at] + words[at + 1 :]))


def _other_sense(c: Citation, rng: random.Random) -> Citation | None:
    for was, now in (("must not", "must"), (" not ", " "), ("must", "may"), ("may", "must"), ("at least", "at most")):
        if was in c.quote:
            return replace(c, quote=c.quote.replace(was, now, 1))
    return None


def _elsewhere(c: Citation, library: Library, rng: random.Random) -> Citation:
    other = rng.choice([p for p in library.passages if c.quote not in p.text])
    return replace(c, document=other.document, passage=other.passage)


def _true_quote(a: CitedAnswer, library: Library) -> Citation:
    passage = library[a.passages[4]]
    return Citation(passage.document, passage.passage, passage.text, 0, len(passage.text))


def _everything(done: Any, rows: Sequence[dict[str, Any]], library: Library) -> list[dict[str, Any]]:
    """Every question of the test file; two thirds ask for passages that train questions asked for."""
    questions = [row["Question"] for row in rows]
    golds = [gold_of(_key(p) for p in row["Passages"]) for row in rows]
    made = []
    for name, predictions in _both(done, questions).items():
        recall = task.get("answer").row_scores(predictions, golds, [], ())["recall_at_5"]
        whole = task.get("answer").score(predictions, golds, [], ())
        interval = bootstrap_mean(recall, resamples=2000, seed=0)
        faults = sum(bool(verify_citations(value, library)) for value in predictions.values)
        told = f"all questions of the test file ({name})"
        made += [
            _row(f"recall_at_5, {told}", float(recall.mean()), interval=interval, n=len(rows),
                 peer="BM25 (with MiniLM 0.787):", peer_value=0.764),
            _row(f"citation_precision, {told}", whole["citation_precision"], n=len(rows)),
            _row(f"answered, {told}", whole["answered"], n=len(rows)),
            _row(f"answers with a fault, {told}", float(faults), bar=0.0, higher=False, n=len(rows)),
        ]  # fmt: skip
    return made


def _foreign(done: Any, shared: Path) -> list[dict[str, Any]]:
    """Questions that the library cannot answer, for they are about another subject: what a bank's customers ask."""
    with (shared / "banking77" / "test.csv").open(encoding="utf-8", newline="") as handle:
        asked = [row["text"] for row in csv.DictReader(handle) if row["text"].rstrip().endswith("?")]
    asked = random.Random(0).sample(asked, 500)
    rows = []
    for name, predictions in _both(done, asked).items():
        made = [CitedAnswer.from_json(value) for value in predictions.values]
        silent = sum(answer is not None and answer.abstained for answer in made)
        told = f"questions on another subject (banking77) left unanswered ({name})"
        rows.append(_row(told, silent / len(made), interval=wilson(silent, len(made)), n=len(made)))
    return rows


def _both(done: Any, questions: Sequence[str]) -> dict[str, Any]:
    """What ships, asked as a person asks it; the learned ranking as it would ship."""
    said = {done.report.winner: done.predict(questions)}
    if "ranked" not in said:
        ladder, trained = Ladder.load(done.folder / "05-select"), Trained.load(done.folder / "07-train")
        ctx = Context(done.folder, 0, done.plan.limits)
        said["ranked"] = trained.fitted("ranked", ladder, ctx).predict(questions, ctx)
    return said
