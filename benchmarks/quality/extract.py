"""Fields and spans: presidio_pii split by template, and the values that advising questions hold, split by query.

Whole runs, by the public call. The share of answers that a JSON Schema validator of somebody else finds valid, field
F1 on the test rows, and its difference to the zero-shot and the pattern rung on the rows that both answered.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import report

sys.path.append(str(Path(__file__).resolve().parents[1] / "data"))

import personal

# A language model writes an answer token by token: it is asked fewer rows. (dev, test)
_LM_ROWS = (6, 40)
_STEPS = {"presidio_pii": 160, "advising_sql": 128}


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    rows = []
    for name, prepare in (("presidio_pii", _presidio), ("advising_sql", _advising)):
        path, options = prepare(asked.shared, asked.work)
        rows += _rows(name, path, options, asked)
    return rows


def _presidio(shared: Path, work: Path) -> tuple[Path, dict[str, Any]]:
    """Sentences with personal data; rows of one template stay in one part.

    Tested on half of the templates that the product's own evidence for names was not learned from (benchmarks/data).
    """
    made = json.loads((shared / "presidio_pii" / "synth_dataset_v2.json").read_text(encoding="utf-8"))
    rows = [
        {
            "text": row["full_text"], "spans": row["spans"], "template": row["template_id"],
            "split": "test" if personal.held_out(row["template_id"]) and row["template_id"] % 2 else "train",
        }
        for row in made
    ]  # fmt: skip
    return _written(work / "presidio_spans.jsonl", rows), {"group": "template"}


def _written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n", encoding="utf-8")
    return path


def _advising(shared: Path, work: Path) -> tuple[Path, dict[str, Any]]:
    """Questions with the values of their variables put in, and these values as fields; the data's own query split."""
    made = []
    for group in json.loads((shared / "advising_sql" / "advising.json").read_text(encoding="utf-8")):
        for sentence in group["sentences"]:
            text, fields = sentence["text"], {}
            for name, value in sorted(sentence["variables"].items(), key=lambda pair: -len(pair[0])):
                if value and name in text:
                    text, fields[name] = text.replace(name, value), value
            made.append({"question": text, "fields": fields, "split": group["query-split"]})
    return _written(work / "advising_fields.jsonl", made), {"target": "fields", "task": "extract"}


def _rows(name: str, path: Path, options: dict[str, Any], asked: argparse.Namespace) -> list[dict[str, Any]]:
    import numpy as np

    import tunesmith

    dev, test = (4, 8) if asked.quick else _LM_ROWS
    steps = 16 if asked.quick else _STEPS[name]
    rungs = [
        {"name": "commonest"},
        {"name": "pattern"},
        {"name": "tagger", "steps": steps},
        {"name": "zero_shot", "dev_rows": dev, "test_rows": test},
    ]
    made = tunesmith.run(
        path, out=asked.work / f"extract-{name}{'-quick' if asked.quick else ''}", threads=1, dtype="float32",
        budget="60m", model={"rungs": rungs, "encoder": "all-minilm-l6-v2", "lm": "smollm2-135m-instruct"},
        train={"refit": ["commonest", "pattern"]}, **options,
    )  # fmt: skip
    systems = {system.name: system for system in made.report.systems}
    verdict = made.report.verdict
    rows = []
    checked = _checked(made.folder, made.data.schema)
    for rung, (valid, n) in checked.items():
        rows.append(
            report.row(f"{name}: valid answers of {rung}", 100.0 * valid / n, bar=100.0, unit="%", cell="extract", n=n)
        )
    for rung, system in systems.items():
        score = system.scores["field_f1"]
        low, high = score.interval
        rows.append(
            report.row(
                f"{name}: field F1 of {rung}", 100 * score.value, bar=None, unit="points", cell="extract", n=score.n,
                interval=[100 * low, 100 * high], row_f1=100 * system.scores["row_f1"].value,
                exact=100 * system.scores["exact"].value, train_cpu_s=system.cost.train_cpu_s,
                answer_cpu_s=system.cost.predict_cpu_s_per_example,
            )
        )  # fmt: skip
    for peer in ("zero_shot", "pattern"):
        pair = [c for c in verdict.comparisons if {c.a, c.b} == {"tagger", peer} and c.metric == "field_f1"]
        for c in pair[:1]:
            sign = 1 if c.a == "tagger" else -1
            low, high = sorted(sign * 100 * x for x in c.interval)
            rows.append(
                report.row(
                    f"{name}: tagger minus {peer}, field F1", sign * 100 * c.difference, bar=0.0, unit="points",
                    cell="extract", n=c.n, interval=[low, high], p_value=c.p_value, peer=peer,
                    peer_value=100 * systems[peer].scores["field_f1"].value,
                )
            )  # fmt: skip
    counts = {part: made.data.count(part) for part in ("train", "dev", "test")}
    groups = len(np.unique(made.data.rows("test", blind=True).groups))
    return [{**row, "rows": counts, "test_groups": groups} for row in rows]


def _checked(folder: Path, schema: str) -> dict[str, tuple[int, int]]:
    """rung -> (answers to dev and test rows that jsonschema finds valid, answers)."""
    import jsonschema
    import pyarrow.parquet as pq

    validator = jsonschema.Draft202012Validator(json.loads(schema))
    found: dict[str, tuple[int, int]] = {}
    for file in sorted(folder.glob("05-select/systems/*/answers.parquet")):
        values = pq.read_table(file)["value"].to_pylist()
        found[file.parent.name] = (sum(_is_valid(value, validator) for value in values), len(values))
    for file in sorted(folder.glob("08-evaluate/**/*.parquet")):
        table = pq.read_table(file)
        for name in table.column_names:
            rung = name.removesuffix(".value")
            if rung in found:
                values = [value for value in table[name].to_pylist() if value is not None]
                valid, n = found[rung]
                found[rung] = (valid + sum(_is_valid(value, validator) for value in values), n + len(values))
    return found


def _is_valid(value: str | None, validator: Any) -> bool:
    return value is not None and bool(validator.is_valid(json.loads(value)))
