"""Documents read before tuning, through the whole job: refused where nothing would read them; told; taken along."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tunesmith as ts
from tunesmith.core.errors import ConfigError, DataError
from tunesmith.evaluation.domain_card import domain_card, domain_lines, read_domain
from tunesmith.evaluation.page import render
from tunesmith.testing import schooled_lm
from tunesmith.training.domain import Domain
from tunesmith.training.domain_plan import reads_documents, with_documents_read
from tunesmith.training.select import SelectOptions
from tunesmith.training.systems import RungPlan
from tunesmith.training.train import TrainOptions

RECORD: dict[str, Any] = {
    "adopted": True, "why": "", "before": 1.25, "after": 1.125, "difference": -0.125, "interval": [-0.2, -0.05],
    "documents": 900, "held_out": 100, "tokens": 200_000, "trained_tokens": 400_000, "rows_looked_for": 300,
    "left_out": {"holds a row": 2, "copy": 7}, "settings": {"rate": 5e-4, "rank": 16}, "cpu_seconds": 120.0,
    "sha256": "ab" * 32, "parts": False, "warnings": ["left out: <b>x.pdf</b> is empty"],
}  # fmt: skip
GAIN = {"difference": 0.021, "interval": [-0.004, 0.046], "n": 400, "metric": "macro_f1"}


def documents(folder: Path, n: int = 60) -> Path:
    """Texts of made-up clauses, a file each."""
    draw = random.Random(0)
    who = ("the tenant", "the landlord", "the agent", "the bank", "the court")
    does = ("shall pay", "may refuse", "must keep", "shall give notice of", "must repair")
    what = ("the rent", "the deposit", "the roof", "the garden wall", "the insurance", "the drains")
    when = ("within thirty days", "before the first of May", "at any time", "after the survey", "without delay")
    folder.mkdir()
    for i in range(n):
        clauses = [f"{draw.choice(who)} {draw.choice(does)} {draw.choice(what)} {draw.choice(when)}." for _ in range(9)]
        (folder / f"{i:02d}.txt").write_text(f"Clause {i}. {' '.join(clauses)}", encoding="utf-8")
    return folder


def table(path: Path, n: int = 120) -> Path:
    draw = random.Random(1)
    things = ("my card", "the money", "an order", "a parcel", "the shop", "a voucher")
    lines = ["text,topic"]
    for i in range(n):
        said, topic = (("is lost", "loss"), ("came late", "delay"))[i % 2]
        lines.append(
            f"{draw.choice(things)} number {i} {said} {draw.choice(('again', 'today', 'at home', 'in May'))},{topic}"
        )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def planned(folder: Path, **options: Any) -> Any:
    given = {"threads": 1, "dtype": "float32", "domain": {"path": [str(folder / "docs")]}, **options}
    return ts.plan(folder / "t.csv", out=folder / "run", target="topic", **given)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    documents(tmp_path / "docs", 4)
    table(tmp_path / "t.csv")
    return tmp_path


def test_documents_that_are_not_there_are_refused_before_anything_is_done(place: Path) -> None:
    with pytest.raises(DataError, match="docks: no such file or folder") as caught:
        planned(place, domain={"path": [str(place / "docks")]})
    assert "docs" in str(caught.value.hint)


def test_documents_that_nothing_would_read_are_refused(place: Path) -> None:
    with pytest.raises(ConfigError, match=r"documents are read by a language model, and there is none here: model\.lm"):
        planned(place, model={"encoder": "none", "lm": "none"})
    with pytest.raises(ConfigError, match=r"model\.only leaves that rung out") as caught:
        planned(place, model={"encoder": "none", "only": ["majority", "tfidf"]})
    assert "--only lm_domain" in str(caught.value.hint)


def test_the_rung_without_documents_is_refused_by_name_and_else_left_out(place: Path) -> None:
    with pytest.raises(ConfigError, match="lm_domain stands on documents") as caught:
        planned(place, domain={}, model={"encoder": "none", "lm": "none", "only": ["lm_domain"]})
    assert "--domain" in str(caught.value.hint)
    made = planned(place, domain={}, model={"encoder": "none", "lm": "none"})
    assert "lm_domain" not in [rung.name for rung in made.config.model.rungs]


def test_a_wrong_key_is_refused_with_the_nearest(place: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.domain\.colum") as caught:
        planned(place, domain={"path": [str(place / "docs")], "colum": "x"})
    assert "column" in str(caught.value.hint)


def test_what_was_not_used_leaves_the_rung_out_and_says_why(tmp_path: Path) -> None:
    about = {
        **RECORD, "base": "b", "held_out_bytes": 1, "bytes": 1, "steps": 1, "window": 64, "seconds": 1.0,
        "folder": tmp_path,
    }  # fmt: skip
    model = SelectOptions(rungs=(RungPlan("lm"), RungPlan("lm_domain")))
    assert reads_documents(model.rungs)
    used = Domain(**{**about, "interval": (-0.2, -0.05)})
    assert with_documents_read(model, TrainOptions(), used)[1].for_rungs()["domain"] == str(tmp_path / "adapter")
    without, training = with_documents_read(
        model, TrainOptions(), Domain(**{**about, "adopted": False, "why": "no gain"})
    )
    assert not reads_documents(without.rungs)
    assert without.rungs[1].why == "no gain"
    assert training.domain is None


def test_the_page_and_the_terminal_tell_it_with_its_interval() -> None:
    report = {"domain": RECORD, "details": {"domain_gain": GAIN}}
    card = domain_card(report)
    assert card is not None
    sentence = card["sentence"].replace("\u00a0", " ")
    assert "1.2500 bits per byte of 100 held-out documents before and 1.1250 after" in sentence
    assert "\u22120.2000 to \u22120.0500" in sentence
    assert ("Left out: hold a dev or test row", "2") in card["rows"]
    assert "+2.1 points" in card["gain"].replace("\u00a0", " ")
    (line,) = domain_lines(report)
    assert line.startswith("Reading the documents: ")
    page = render(report)
    assert "Documents read before tuning" in page
    assert "<b>x.pdf</b>" not in page
    unused = domain_card({"domain": {**RECORD, "adopted": False, "why": "did not improve"}})
    assert unused is not None
    assert "the plain base is used" in unused["sentence"]
    assert unused["notes"][0] == "did not improve"
    assert domain_card({}) is None
    assert domain_lines({}) == []


@pytest.mark.slow
def test_the_whole_job_with_documents(tmp_path: Path) -> None:
    documents(tmp_path / "docs")
    table(tmp_path / "t.csv")
    rungs = [{"name": "majority"}, *({"name": name, "steps": 8} for name in ("lm", "lm_domain"))]
    given: dict[str, Any] = {
        "threads": 1, "dtype": "float32", "target": "topic", "tune": {"budget": 1.0}, "train": {"rate": 1e-2},
        "domain": {"path": [str(tmp_path / "docs")], "window": 64, "step_tokens": 512, "rate": 5e-3, "tokens": 9_000},
        "model": {
            "encoder": "none", "lm": f"folder:{schooled_lm(tmp_path / 'lm', steps=40)}", "rungs": rungs,
        },
    }  # fmt: skip
    made = ts.run(tmp_path / "t.csv", out=tmp_path / "run", **given)
    told = read_domain(made.folder)
    assert told is not None
    assert told["adopted"]
    assert told["interval"][1] < 0.0
    assert any(d.what == "domain.tokens" for d in made.plan.decisions)
    fitted = json.loads((made.folder / "05-select/systems/lm_domain/fitted/system.json").read_text())
    assert fitted["domain"]["sha256"] == told["sha256"]
    assert fitted["domain"]["before"] == told["before"]
    assert made.report.details["domain_gain"]["a"] == "lm_domain"
    assert set(made.report.details["forgetting"]) == {"lm", "lm_domain"}
    assert "Documents read before tuning" in (made.folder / "report.html").read_text(encoding="utf-8")
    assert made.plan.config.train.domain is None  # the plan holds no path into the run
    stamps = {path: path.stat().st_mtime_ns for path in made.folder.glob("*/stage.json")}
    assert made.folder / "12-domain" / "stage.json" in stamps
    ts.run(tmp_path / "t.csv", out=tmp_path / "run", **given)
    assert {path: path.stat().st_mtime_ns for path in made.folder.glob("*/stage.json")} == stamps
    moved = made.folder.rename(tmp_path / "elsewhere")
    code = (
        "import sys, tunesmith; from pathlib import Path; from tunesmith.training.ladder import Ladder\n"
        "saved = tunesmith.open_run(sys.argv[1]); ladder = saved._ladder\n"
        "print(ladder.fitted('lm_domain', saved._context).predict(['my card is lost'], saved._context).values[0])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(moved)], capture_output=True, text=True, check=True, timeout=300
    )
    assert said.stdout.split()[-1] in ("loss", "delay")
