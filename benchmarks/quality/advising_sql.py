"""Questions about courses as SQL: the advising data of text2sql-data, split by question and by query.

Three tables of the same data: as it stands, with placeholders (number0) in questions and queries, split by question;
the same with the values in the placeholders' place; and with placeholders, split by query, where no test query occurs
in train. One run each. The language model needs hours of one core for 2,600 queries of 230 tokens, and is left out
unless the environment says ADVISING_LM=1.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import report

_GAIN = 0.08  # that tuning must add to the nearest training example
_KNOWN = {"question": 0.76, "query": None, "question, values": None}  # of the nearest example, with placeholders


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """A row per system and table; the tuned one has the bar."""
    found = []
    for name, known in _KNOWN.items():
        path = table(name, asked.shared, asked.work)
        found += _run(name, path, asked, known)
        if asked.quick:
            break
    return found


def table(name: str, shared: Path, work: Path) -> Path:
    """The table as JSON lines: question, sql, split."""
    split, _, values = name.partition(", ")
    path = work / f"advising-{name.replace(', ', '-')}.jsonl"
    groups = json.loads((shared / "advising_sql" / "advising.json").read_text(encoding="utf-8"))
    lines = []
    for group in groups:
        for sentence in group["sentences"]:
            part = sentence["question-split"] if split == "question" else group["query-split"]
            if part == "exclude":
                continue
            given = sentence["variables"] if values else {}
            question, sql = (_filled(text, given) for text in (sentence["text"], group["sql"][0]))
            lines.append(json.dumps({"question": question, "sql": sql, "split": part}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _filled(text: str, values: dict[str, str]) -> str:
    for name in sorted(values, key=len, reverse=True):
        text = text.replace(name, values[name])
    return text


def _run(name: str, path: Path, asked: argparse.Namespace, known: float | None) -> list[dict[str, Any]]:
    import tunesmith as ts

    only = ["frequent", "nearest", "template"]
    if name == "question":  # the table with a bar; of the others, what costs seconds
        only.append("template_tuned")
    only += ["zero_shot", "few_shot", "lm"] if os.environ.get("ADVISING_LM") else []
    made = ts.run(
        path, target="sql", keep_leaks=name != "query", budget="10m" if asked.quick else "40m",
        out=asked.work / f"run-{path.stem}", model={"only": only},
    ).report  # fmt: skip
    about = made.to_json()
    ran = {system["name"]: system for system in about["systems"] if system["scores"]}
    nearest = max(ran["nearest"]["scores"]["solved"]["value"], known or 0.0)
    rows = []
    for system in sorted(ran, key=lambda s: -ran[s]["scores"]["solved"]["value"]):
        score = ran[system]["scores"]["solved"]
        tuned = system == "template_tuned" and name == "question"
        rows.append(
            report.row(
                f"{name} split, normalised exact match: {system}", round(score["value"], 4),
                bar=round(nearest + _GAIN, 4) if tuned else None, unit="share", cell="advising_sql", n=score["n"],
                interval=score["interval"], cpu_s=ran[system]["cost"]["train_cpu_s"], method=ran[system]["method"],
            )
        )  # fmt: skip
    for pair in about["comparisons"]:
        if (pair["a"], pair["b"]) == ("template_tuned", "nearest"):
            rows.append(
                report.row(
                    f"{name} split: template_tuned above the nearest training example", round(pair["difference"], 4),
                    bar=_GAIN if name == "question" else None, unit="share", cell="advising_sql", n=pair["n"],
                    interval=pair["interval"], p=pair["p_adjusted"], claim=about["verdict"]["sentence"],
                )
            )  # fmt: skip
    return rows
