"""Several labels per text: the tables that a question about courses needs, and the rulebooks that answer a question.

advising: questions with their values put in; the labels are the tables of the query that answers it. The data's own
query split, so that every kind of query in the test is new; questions of one query stay in one part and fold.
obliqa: questions about financial rules; the labels are the documents whose passages answer them. Learned from the dev
file, tested on the questions of the test file whose passages answer none of dev.

Whole runs by the public call, and beside them scikit-learn's TF-IDF with one head per label, fitted on the same train
and dev rows and scored on the same test rows by the same functions.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import report

_TABLE = re.compile(r"(?:FROM|JOIN|,)\s+([A-Za-z_]+)\s+AS\s")
_STEPS = {"advising": 192, "obliqa": 160}
_QUICK = 400


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    rows = []
    for name, prepare in (("advising", _advising), ("obliqa", _obliqa)):
        path = prepare(asked.shared, asked.work, _QUICK if asked.quick else None)
        rows += _rows(name, path, {"group": "query"} if name == "advising" else {}, asked)
    return rows


def _advising(shared: Path, work: Path, most: int | None) -> Path:
    """Questions as people would ask them, and the tables of the first query that answers each."""
    made = []
    groups = json.loads((shared / "advising_sql" / "advising.json").read_text(encoding="utf-8"))
    for number, group in enumerate(groups):
        tables = sorted({name.lower() for name in _TABLE.findall(group["sql"][0])})
        for sentence in group["sentences"]:
            text = sentence["text"]
            for name, value in sorted(sentence["variables"].items(), key=lambda pair: -len(pair[0])):
                text = text.replace(name, value) if value else text
            made.append({"question": text, "tables": tables, "query": number, "split": group["query-split"]})
    return _written(work / "multilabel-advising.jsonl", made, most)


def _obliqa(shared: Path, work: Path, most: int | None) -> Path:
    """Questions and the documents that answer them; what answers a dev question is no test."""
    parts = {
        part: json.loads((shared / "obliqa" / f"ObliQA_{part}.json").read_text(encoding="utf-8"))
        for part in ("dev", "test")
    }
    known = {(str(p["DocumentID"]), p["PassageID"]) for row in parts["dev"] for p in row["Passages"]}
    made = []
    for part, rows in parts.items():
        for row in rows:
            golds = {(str(p["DocumentID"]), p["PassageID"]) for p in row["Passages"]}
            if part == "test" and golds & known:
                continue
            documents = sorted({f"document {document}" for document, _ in golds})
            made.append(
                {"question": row["Question"], "documents": documents, "split": "test" if part == "test" else "train"}
            )
    return _written(work / "multilabel-obliqa.jsonl", made, most)


def _written(path: Path, rows: list[dict[str, Any]], most: int | None) -> Path:
    if most is not None:
        at = np.sort(np.random.default_rng(0).permutation(len(rows))[:most])
        rows, path = [rows[int(i)] for i in at], path.with_stem(f"{path.stem}-quick")
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n", encoding="utf-8")
    return path


def _rows(name: str, path: Path, options: dict[str, Any], asked: argparse.Namespace) -> list[dict[str, Any]]:
    import tunesmith

    rungs = [
        {"name": "frequent"},
        {"name": "nearest"},
        {"name": "tfidf_tags"},
        {"name": "frozen_tags"},
        {"name": "fusion_tags"},
        {"name": "encoder_tags", "steps": 16 if asked.quick else _STEPS[name]},
    ]
    made = tunesmith.run(
        path, out=asked.work / path.stem, threads=1, dtype="float32", budget="60m",
        model={"rungs": rungs, "encoder": "all-minilm-l6-v2"}, evaluate={"robustness": 0.0}, **options,
    )  # fmt: skip
    assert made.report.task == "tag", made.report.task  # found, not asked for
    found = [_system(name, system) for system in made.report.systems]
    verdict = made.report.verdict
    against = {c.b: c for c in verdict.comparisons if c.a == "encoder_tags" and c.metric == "micro_f1"}
    found += [_paired(name, f"encoder_tags minus {b}", c, peer=b) for b, c in against.items()]
    found += _peers(name, made)
    return [{**row, "rows": dict(made.report.counts), "labels": len(made.data.labels)} for row in found]


def _system(name: str, system: Any) -> dict[str, Any]:
    score = system.scores["micro_f1"]
    low, high = score.interval
    beside = {key: 100 * system.scores[key].value for key in ("macro_f1", "subset_accuracy", "set_f1")}
    return report.row(
        f"{name}: micro-F1 of {system.name}", 100 * score.value, bar=None, unit="points", cell="multilabel", n=score.n,
        interval=[100 * low, 100 * high], **beside, method=system.method, train_cpu_s=system.cost.train_cpu_s,
        answer_cpu_s=system.cost.predict_cpu_s_per_example,
    )  # fmt: skip


def _paired(name: str, measure: str, c: Any, *, peer: str) -> dict[str, Any]:
    return report.row(
        f"{name}: {measure}, micro-F1", 100 * c.difference, bar=0.0, unit="points", cell="multilabel", n=c.n,
        interval=[100 * x for x in c.interval], p_value=c.p_value, peer=peer, peer_value=100 * c.score_b,
    )  # fmt: skip


def _peers(name: str, made: Any) -> list[dict[str, Any]]:
    """scikit-learn's own, on the same rows: what ships and tfidf_tags against each, paired."""
    import pyarrow.parquet as pq
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score
    from sklearn.model_selection import cross_val_predict
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.preprocessing import MultiLabelBinarizer
    from sklearn.svm import LinearSVC

    from tunesmith.core.predictions import Predictions
    from tunesmith.evaluation.verdict import Answers, verdict
    from tunesmith.tasks import task
    from tunesmith.tasks.label_sets import dump_set, read_set

    data, tag = made.data, task.get("tag")
    learned, test = data.rows("train") + data.rows("dev"), data.rows("test", blind=True)
    said = pq.read_table(made.folder / "08-evaluate" / "predictions.parquet")
    truth = said["target"].to_pylist()
    binarizer = MultiLabelBinarizer(classes=list(data.labels))
    wanted = binarizer.fit_transform([sorted(read_set(t) or ()) for t in learned.targets])
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    x, x_test = vectorizer.fit_transform(learned.texts), vectorizer.transform(test.texts)
    margins = OneVsRestClassifier(LinearSVC()).fit(x, wanted)
    logistic = OneVsRestClassifier(LogisticRegression(C=10)).fit(x, wanted)
    p, p_test = cross_val_predict(logistic, x, wanted, cv=3, method="predict_proba"), logistic.predict_proba(x_test)
    best = max(np.linspace(0.05, 0.9, 86), key=lambda t: f1_score(wanted, p >= t, average="micro"))
    given = {
        "LinearSVC": margins.predict(x_test),
        "LogisticRegression C=10": logistic.predict(x_test),
        "LogisticRegression C=10, threshold by cross-validation": (p_test >= best).astype(int),
    }
    answers = {
        f"scikit-learn {peer}": Answers(Predictions(tuple(map(dump_set, binarizer.inverse_transform(table)))))
        for peer, table in given.items()
    }
    ours = {
        n: Answers(Predictions(tuple(said[n].to_pylist()))) for n in dict.fromkeys(("tfidf_tags", made.report.winner))
    }
    rows = []
    for first, mine in ours.items():
        found = verdict(
            tag, truth, sources=test.texts, labels=data.labels, answers={first: mine, **answers}, candidate=None,
            reference=first, against=list(answers),
        )  # fmt: skip
        ships = " (ships)" if first == made.report.winner else ""
        for c in found.comparisons:
            rows.append(_paired(name, f"{first}{ships} minus {c.b}", c, peer=c.b))
    return rows
