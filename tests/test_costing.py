"""The cost ledger of a run with a tuned encoder, from the command to the page."""

import json
import shutil
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from test_pipeline import tickets
from typer.testing import CliRunner

import tunesmith as ts
from tunesmith.cli import app
from tunesmith.core.costs import CostOptions
from tunesmith.core.errors import ConfigError, RunError
from tunesmith.core.files import read_json
from tunesmith.costing import answered, ledger, measure_full, waiting
from tunesmith.equal_quality import at_equal_quality, first_as_good
from tunesmith.evaluation.cost_card import cost_card
from tunesmith.pipeline import open_run
from tunesmith.reviewing import edit
from tunesmith.testing import tiny_encoder
from tunesmith.training.ladder import standing


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    encoder = tiny_encoder(tmp_path_factory.mktemp("models") / "encoder")
    model = {"encoder": f"folder:{encoder}", "lm": "none", "only": ["majority", "tfidf", "encoder"]}
    options = {"target": "kind", "inputs": ["message"], "budget": "120s", "threads": 1, "model": model}
    out = tmp_path_factory.mktemp("runs") / "tickets"
    return ts.run(tickets(), out=out, **options, cost={"full": "never"}).folder


@pytest.fixture(scope="session")
def measured(finished, tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured") / "tickets"
    shutil.copytree(finished, folder)
    made = measure_full(folder)
    assert not made.skipped
    return folder


def test_every_rung_and_both_kinds_of_machine_time_are_there(finished):
    told = read_json(finished / "cost.json")
    assert {rung["name"] for rung in told["rungs"]} == {"majority", "tfidf", "encoder"}
    assert all(rung["energy_wh"] > 0 and rung["co2_g"] > 0 for rung in told["rungs"] if rung["name"] != "majority")
    assert told["machine"]["data"]["cpu_s"] > 0 < told["machine"]["compute"]["cpu_s"]
    assert told["full"]["skipped"] == "cost.full is 'never'"
    assert "estimates" in told["estimates"]
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert "People and machines" in page
    assert "cost.full is &#39;never&#39;" in page


def test_full_fine_tuning_is_timed_and_dearer(measured):
    full = read_json(measured / "full.json")
    told = ledger(measured).to_json()["full"]
    assert full["method"] == "lora"
    assert len(full["full_step_s"]) >= 2
    assert told["cpu_s"]["low"] <= told["cpu_s"]["likely"] <= told["cpu_s"]["high"]
    rung = next(r for r in ledger(measured).rungs if r.name == "encoder")
    assert told["stored_bytes"] > (rung.stored_bytes or 0), "every weight is written, not an adapter"
    assert "not measured" in told["quality"]
    assert not (measured / "full").exists(), "what the short trainings left is gone"


def test_a_wage_turns_peoples_minutes_into_money(finished, tmp_path):
    folder = tmp_path / "tickets"
    shutil.copytree(finished, folder)
    answered(folder, "target", 30.0)
    answered(folder, "target", 4000.0)
    options = CostOptions(wage=36.0)
    questions = next(row for row in ledger(folder, options=options).to_json()["people"] if row["times"])
    assert questions["seconds"] == 330, "a question that waited an hour was not worked on for an hour"
    assert questions["money"] == pytest.approx(3.3)
    assert all(row["money"] is None for row in ledger(folder).to_json()["people"])


def test_decisions_about_rows_of_the_run_count_with_what_is_possible(finished, tmp_path):
    folder = tmp_path / "tickets"
    shutil.copytree(finished, folder)
    reviews = tmp_path / "reviews.jsonl"
    plan = folder / "plan.yaml"
    plan.write_text(plan.read_text().replace("reviews: null", f"reviews: {reviews}"))
    config = folder / "config.yaml"
    config.write_text(config.read_text() + f"\ncurate:\n  reviews: {reviews}\n")
    train = open_run(folder).data.rows("train")
    assert edit(folder, int(train.ids[0]), "billing", by="anna") == 1
    line = json.loads(reviews.read_text())
    later = {**line, "when": line["when"].replace(line["when"][17:19], "59")}
    elsewhere = {**line, "row": "0" * 16}
    reviews.write_text("".join(json.dumps(row) + "\n" for row in (line, later, elsewhere)))
    decided = next(row for row in ledger(folder).people if row.what == "findings")
    assert decided.rows == 1, "a decision about other data is no cost of this run"
    assert decided.low <= decided.seconds <= decided.high


def test_what_waits_for_people_is_told_by_the_pace_so_far(finished, tmp_path):
    folder = tmp_path / "tickets"
    shutil.copytree(finished, folder)
    plan, reviews = open_run(folder).plan, tmp_path / "reviews.jsonl"
    plan = replace(plan, config=replace(plan.config, curate=replace(plan.config.curate, reviews=reviews)))
    assert waiting(folder, plan).likely is None
    assert "known after 5 (0 so far)" in waiting(folder, plan).line(plan.config.cost, "EUR")
    table = pq.read_table(folder / "01-ingest" / "dataset.parquet", columns=["hash"])["hash"].to_pylist()
    lines = [
        {"row": row, "step": "labels", "kind": "", "verdict": "reject", "field": "text", "value": None, "does": "",
         "when": f"2026-01-31T10:00:{10 * at:02d}+00:00", "by": "anna"}
        for at, row in enumerate(table[:6])
    ]  # fmt: skip
    reviews.write_text("".join(json.dumps(line) + "\n" for line in lines))
    told = waiting(folder, plan)
    assert (told.seen, told.likely) == (5, pytest.approx(10.0 * told.findings))
    assert told.low <= told.likely <= told.high
    assert "EUR" in told.line(CostOptions(wage=40.0), "EUR")


def test_the_command_shows_it_and_refuses_what_makes_no_sense(measured):
    run = CliRunner()
    said = run.invoke(app, ["show", str(measured), "--cost", "--wage", "40"])
    assert said.exit_code == 0
    assert "full fine-tuning of" in said.output
    assert "40 EUR for an hour of a person" in said.output
    told = json.loads(run.invoke(app, ["show", str(measured), "--cost", "--json"]).output)
    assert told["full"]["cpu_s"]["likely"] > 0
    for words in (["--wage", "40"], ["--cost", "--wage", "-1"], ["--against", "x"]):
        assert isinstance(run.invoke(app, ["show", str(measured), *words]).exception, ConfigError)


def test_the_card_draws_what_is_there_and_nothing_where_nothing_is(measured):
    card = cost_card({"cost": ledger(measured).to_json()})
    assert card is not None
    assert card["rungs"][-1]["estimated"]
    assert "80" in card["full"]
    assert all("<svg" in str(picture) for picture in card["pictures"])
    assert cost_card({}) is None
    assert cost_card({"cost": {"machine": "nonsense"}}) is None
    assert cost_card({"cost": {"machine": {"data": {"wall_s": 3}}, "people": 3, "rungs": "x", "full": []}}) is not None


def test_a_real_full_fine_tuning_is_held_beside_it_at_equal_quality(finished, tmp_path):
    other = tmp_path / "full"
    shutil.copytree(finished, other)
    path = standing(other) / "ladder.json"
    with pytest.raises(RunError, match="did not train every weight"):
        at_equal_quality(finished, other)
    ladder = read_json(path)
    rung = next(row for row in ladder["rungs"] if row["name"] == "encoder")
    rung["settings"]["method"] = "full"
    rung["cost"]["train_cpu_s"] *= 3
    path.write_text(json.dumps(ladder))
    found = at_equal_quality(finished, other)
    assert found.cpu_s[1] == pytest.approx(3 * found.cpu_s[0])
    assert found.scores[0] == found.scores[1]
    assert found.reached[0] == found.reached[1]
    assert found.reached_cpu_s[1] == pytest.approx(3 * found.reached_cpu_s[0])
    assert "To the same dev quality" in found.line()
    assert json.dumps(found.to_dict())


def test_curves_meet_where_both_are_as_good_as_the_worse_of_their_best():
    quick = [{"step": 4, "dev": 0.7}, {"step": 8, "dev": 0.9}]
    slow = [{"step": 4, "dev": 0.5}, {"step": 8, "dev": None}, {"step": 12, "dev": 0.7}]
    assert first_as_good(quick, slow) == (4, 12)
    assert first_as_good(quick, [{"step": 4, "dev": None}]) is None
    losses = [{"step": 3, "dev": None, "dev_loss": 2.0}, {"step": 6, "dev": None, "dev_loss": 1.0}]
    assert first_as_good(losses, losses[:1]) == (3, 3), "a smaller loss is the better one"
