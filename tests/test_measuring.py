"""The commands that train in order to judge data, from a file to what they write."""

from __future__ import annotations

import csv
import json
import random
import sys
from pathlib import Path

import pytest
from curated_case import tickets

from tunesmith import cli


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table with 40 rows twice and a tenth of the labels wrong."""
    data, _ = tickets(rows=260, noise=0.1, dev=0.0)
    rows = list(zip(data.table["text"].to_pylist(), data.table["target"].to_pylist(), strict=True))
    path = tmp_path / "tickets.csv"
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["text", "topic"])
        writer.writerows(rows + rows[:40])
    return path


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of a command line."""
    monkeypatch.setattr(sys, "argv", ["tunesmith", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


@pytest.mark.slow
def test_evidence_from_a_file_to_the_profile(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, table: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ("evidence", str(table), "--target", "topic", "--out", "r", "--draws", "3")
    code, out, err = run(monkeypatch, capsys, *asked)
    assert code == 0, err
    assert "duplicates" in out
    assert "dev rows as they came" in out
    assert "trainings of ridge regression" in err
    code, out, _ = run(monkeypatch, capsys, *asked, "--json")
    made = json.loads(out)
    assert made["draws"] == 3
    assert [step["step"] for step in made["steps"]] == ["duplicates"]
    assert made["steps"][0]["touched"]["dropped"] > 10
    page = (tmp_path / "r" / "profile.html").read_text(encoding="utf-8")
    assert "Did it help?" in page
    assert "<script" not in page
    # Curating again with nothing changed keeps the evidence; a changed decision does away with it.
    assert run(monkeypatch, capsys, "curate", "r")[0] == 0
    assert "Did it help?" in (tmp_path / "r" / "profile.html").read_text(encoding="utf-8")
    assert run(monkeypatch, capsys, "curate", "r", "--policy", "duplicates=flag")[0] == 0
    assert "Did it help?" not in (tmp_path / "r" / "profile.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_rung_can_be_trained_instead_and_leaves_the_stages_as_they_were(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, table: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ("evidence", str(table), "--target", "topic", "--out", "r", "--system", "majority")
    code, out, err = run(monkeypatch, capsys, *asked)
    assert code == 0, err
    assert "the rung majority" in out
    assert "one training each" in out
    _, out, _ = run(monkeypatch, capsys, "curate", "r")
    assert out.count("unchanged, not done again") == 2


def test_what_cannot_be_measured_ends_with_exit_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, table: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run(monkeypatch, capsys, "evidence", str(table), "--target", "topic", "--system", "tfidff")
    assert code == 2
    assert "Did you mean 'tfidf'?" in err


def test_evidence_of_written_answers_from_a_file_to_its_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    pairs = tmp_path / "notes.csv"
    draw = random.Random(0)
    words = [f"word{number}" for number in range(48)]
    rows = [[" ".join(draw.sample(words, 9)) + "?", " ".join(draw.sample(words, 7)) + "."] for _ in range(220)]
    with pairs.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([["dialogue", "note"], *rows, *rows[:60]])
    asked = ("evidence", str(pairs), "--task", "rewrite", "--target", "note", "--draws", "2", "--out", "r", "--json")
    code, out, err = run(monkeypatch, capsys, *asked)
    assert code == 0, err
    made = json.loads(out)
    assert made["metric"] == "fact_f1"
    assert "nearest train row" in made["how"]
    assert [step["step"] for step in made["steps"]] == ["duplicates"]
    assert "facts" in (tmp_path / "r" / "profile.html").read_text(encoding="utf-8").lower()


def test_value_from_a_file_to_its_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, table: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(
        monkeypatch, capsys, "value", str(table), "--target", "topic", "--out", "r", "--label-price", "0.5", "--json"
    )
    assert code == 0, err
    made = json.loads(out)
    assert made["ranking"] in ("harm", "ease", "certainty")
    assert made["label_price"] == 0.5
    with (tmp_path / "r" / "value.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == made["train"]
    assert [int(row["goes"]) for row in rows] == list(range(1, len(rows) + 1))
    assert rows[0]["place"].startswith("tickets.csv line")
    assert "What the rows of tickets.csv are worth" in (tmp_path / "r" / "value.html").read_text(encoding="utf-8")
    for wrong in (("--label-price", "-1"), ("--features", "words")):
        assert run(monkeypatch, capsys, "value", "r", *wrong)[0] == 2


@pytest.mark.slow
def test_contrast_of_three_arms_from_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, table: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    data, _ = tickets(rows=120, seed=5, dev=0.0)
    generic = tmp_path / "generic.csv"
    with generic.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["text", "topic"])
        writer.writerows(zip(data.table["text"].to_pylist(), data.table["target"].to_pylist(), strict=True))
        writer.writerow(["a row of a label that the data lacks", "other"])
    asked = ("contrast", str(table), "--target", "topic", "--out", "r", "--seeds", "2", "--rows", "60")
    code, out, err = run(monkeypatch, capsys, *asked, "--generic", str(generic), "--json")
    assert code == 0, err
    made = json.loads(out)
    assert [arm["name"] for arm in made["arms"]] == ["generic", "as it came", "curated"]
    assert made["arms"][0]["pool"] <= 120
    assert made["test_openings"] == 1
    code, out, _ = run(monkeypatch, capsys, *asked)
    assert code == 0
    assert "curated against as it came" in out
    generic.write_text("text,topic\nsome words,never\n", encoding="utf-8")
    code, _, err = run(monkeypatch, capsys, *asked, "--generic", str(generic))
    assert code == 2
    assert "none of its labels (never)" in err
    assert run(monkeypatch, capsys, *asked, "--generic", str(tmp_path / "absent.csv"))[0] == 2
    assert run(monkeypatch, capsys, "contrast", str(table), "--target", "topic", "--out", "r", "--seeds", "1")[0] == 2
