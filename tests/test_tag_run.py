"""The task tag from file to verdict to answers with confidences, by the command line."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from tunesmith.cli import app

WORDS = {
    "billing": ["charged twice", "refund my money", "invoice is wrong"],
    "late": ["parcel is late", "still waiting", "no delivery"],
    "broken": ["screen cracked", "arrived dead", "does not start"],
}


@pytest.fixture
def tickets(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for i in range(160):
        found = [name for name in WORDS if rng.random() < 0.4] or ["late"]
        said = ", ".join(WORDS[name][int(rng.integers(3))] for name in found)
        rows.append([f"order {100 + 7 * i} {'yesterday' if i % 3 else 'today'}: {said}", "|".join(found)])
    path = tmp_path / "tickets.csv"
    with path.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([["message", "tags"], *rows])
    return path


def test_labels_go_from_file_to_verdict_to_answers_with_confidences(tickets, tmp_path):
    out = tmp_path / "run"
    asked = ["run", str(tickets), "--only", "frequent", "--only", "tfidf_tags", "--threads", "1", "--out", str(out)]
    ran = CliRunner().invoke(app, [*asked, "--json"])
    assert ran.exit_code == 0, ran.output
    report = json.loads(ran.stdout)
    assert (report["task"], report["leads"]) == ("tag", "micro_f1")
    scores = {system["name"]: system["scores"] for system in report["systems"]}
    assert scores["tfidf_tags"]["micro_f1"]["value"] > 0.9 > scores["frequent"]["micro_f1"]["value"]
    assert {"macro_f1", "subset_accuracy", "set_f1", "brier"} <= set(scores["tfidf_tags"])
    main = report["comparisons"][0]
    assert (main["test"], main["metric"]) == ("paired permutation", "micro_f1")
    assert main["p_value"] < 0.01
    labels = {one["label"]: one for one in report["details"]["per_class"]}
    assert set(labels) == set(WORDS)
    assert all(one["interval"][0] <= one["f1"] <= one["interval"][1] for one in labels.values())
    assert 0 <= report["details"]["calibration"]["ece_labels"] < 0.2
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Calibration error of single labels" in page

    said = CliRunner().invoke(app, ["predict", str(out), "order 5 today: refund my money, screen cracked", "--json"])
    answer = json.loads(said.stdout)
    assert answer["prediction"] == ["billing", "broken"]
    assert set(answer["label_confidences"]) >= {"billing", "broken"}
    assert 0 < answer["confidence"] <= 1

    table = tmp_path / "new.csv"
    table.write_text("message\norder 6: parcel is late\nzzz qqq\n", encoding="utf-8")
    rows = list(csv.DictReader(CliRunner().invoke(app, ["predict", str(out), str(table)]).stdout.splitlines()))
    assert rows[0]["prediction"] == "late"
    assert list(rows[0]) == ["message", "prediction", "label_confidences", "confidence"]

    first = CliRunner().invoke(app, ["findings", str(out), "--next", str(table), "--json"])
    assert json.loads(first.stdout)[0]["text"] == "zzz qqq"


def test_several_labels_asked_of_a_column_of_one_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "one.csv"
    path.write_text("message,label\n" + "".join(f"text {i} here,{'ab'[i % 2]}\n" for i in range(40)), encoding="utf-8")
    ran = CliRunner().invoke(
        app, ["run", str(path), "--target", "label", "--task", "tag", "--out", str(tmp_path / "r")]
    )
    assert ran.exit_code != 0
    assert "no row has more than one label" in str(ran.exception)
