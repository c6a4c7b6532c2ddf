"""The task extract from file to verdict to answers with offsets, by the command line."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from tunesmith.cli import app

NAMES = ["Ana Novak", "Bo Lee", "Cem Kaya", "Dora Weiss", "Eli Stone", "Fay Hill", "Gus Berg"]
TOWNS = ["Oslo", "Lima", "Graz", "Kyiv"]
VERBS = ["wants", "ordered", "sent back", "asks for", "pays for"]


@pytest.fixture
def orders(tmp_path):
    rows = []
    for i in range(90):
        name, town, code = NAMES[i % 7], TOWNS[i % 4], f"{100 + 7 * i}-{'AB'[i % 2]}"
        text = f"{name} {VERBS[i % 5]} lamp {code}, {'by train ' if i % 3 else ''}to {town}, note {i}"
        spans = [
            {"kind": k, "start": text.index(v), "end": text.index(v) + len(v)}
            for k, v in (("CODE", code), ("TOWN", town))
        ]
        rows.append({"message": text, "marks": spans})
    path = tmp_path / "orders.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def test_spans_go_from_file_to_verdict_to_answers_with_offsets(orders, tmp_path):
    out = tmp_path / "run"
    asked = [
        "run",
        str(orders),
        "--only",
        "commonest",
        "--only",
        "pattern",
        "--threads",
        "1",
        "--out",
        str(out),
        "--json",
    ]
    ran = CliRunner().invoke(app, asked)
    assert ran.exit_code == 0, ran.output
    report = json.loads(ran.stdout)
    assert report["task"] == "extract"
    scores = {system["name"]: system["scores"] for system in report["systems"]}
    assert scores["pattern"]["field_f1"]["value"] > 0.9 > scores["commonest"]["field_f1"]["value"]
    assert all(one["valid"]["value"] == 1.0 for one in scores.values())
    said = CliRunner().invoke(app, ["predict", str(out), "Zoe wants lamp 123-A, to Graz", "--json"])
    answer = json.loads(said.stdout)
    assert answer["prediction"] == [
        {"kind": "CODE", "text": "123-A", "start": 15, "end": 20},
        {"kind": "TOWN", "text": "Graz", "start": 25, "end": 29},
    ]
    assert [quote["start"] for quote in answer["quotes"]] == [15, 25]


def test_a_schema_for_another_task_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "\n".join(["text,label", *(f"some words number {i},{'xy'[i % 2]}" for i in range(30))]), encoding="utf-8"
    )
    schema = tmp_path / "s.json"
    schema.write_text('{"type":"object","properties":{"a":{"type":"string"}}}', encoding="utf-8")
    ran = CliRunner().invoke(
        app, ["plan", str(path), "--task", "classify", "--schema", str(schema), "--out", str(tmp_path / "run")]
    )
    assert ran.exit_code != 0
    assert "a schema is for the task extract" in str(ran.exception)
