"""The whole job on a small table with tiny models: what a user sees, in seconds and without a network."""

import json
import random
import shutil
import subprocess
import sys
import threading

import pytest
import yaml
from test_endpoint import Server

import tunesmith as ts
from tunesmith.core.errors import ConfigError, DataError, RunError
from tunesmith.core.forecasts import TrackRecord
from tunesmith.core.run import stage_records
from tunesmith.forecasting import read_forecast
from tunesmith.planning import read_plan
from tunesmith.predicting import predict_lines
from tunesmith.testing import tiny_encoder

WORDS = {
    "billing": ["invoice", "charged", "refund", "payment", "price"],
    "delivery": ["parcel", "courier", "late", "address", "arrive"],
    "account": ["password", "login", "email", "locked", "profile"],
}


def tickets(n=150, seed=0):
    draw = random.Random(seed)
    rows = []
    for number in range(n):
        kind = draw.choice(list(WORDS))
        words = draw.choices(WORDS[kind], k=4) + draw.choices(["the", "my", "please", "why", "again", "it"], k=6)
        draw.shuffle(words)
        rows.append({"ticket": f"T-{number:05d}", "message": " ".join(words), "kind": kind})
    return rows


@pytest.fixture(scope="session")
def encoder(tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("models") / "encoder")


@pytest.fixture(scope="session")
def options(encoder):
    only = ["majority", "tfidf", "frozen"]
    model = {"encoder": f"folder:{encoder}", "lm": "none", "only": only}
    return {"target": "kind", "inputs": ["message"], "budget": "60s", "threads": 1, "model": model}


@pytest.fixture(scope="session")
def finished(tmp_path_factory, options):
    out = tmp_path_factory.mktemp("runs") / "tickets"
    return ts.run(tickets(), out=out, **options)


def test_a_run_ends_with_a_verdict_a_report_and_a_page(finished):
    report = json.loads((finished.folder / "08-evaluate" / "report.json").read_text())
    assert {"version", "task", "data", "verdict", "comparisons", "systems", "checks", "decisions", "leads"} <= set(
        report
    )
    assert report["verdict"]["winner"] in ("tfidf", "frozen")
    assert report["data"]["train"] + report["data"]["dev"] + report["data"]["test"] <= 150
    page = (finished.folder / "report.html").read_text()
    assert report["verdict"]["sentence"].split(".")[0] in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_the_shipped_model_answers_texts_and_rows(finished):
    # Like the rows that were learned from: which of two equal rungs ships is a matter of a few microseconds.
    billing, delivery = (
        "refund invoice the please charged payment why my",
        "parcel it courier late again address the my",
    )
    made = finished.predict([billing, delivery])
    assert made.values == ("billing", "delivery")
    again = finished.predict([{"message": billing, "other": 3}])
    assert again.values == ("billing",)
    assert (made.confidence > 0.34).all()


def test_what_was_expected_is_held_against_what_came_once(finished, options, tmp_path, monkeypatch):
    monkeypatch.setenv("TUNESMITH_RECORD", str(tmp_path))
    told = {q.name: q for q in read_forecast(finished.folder)}
    assert list(told) == ["minutes", "CPU minutes", "peak memory", "tokens", "energy", "money", "CO2"]
    assert all(q.raw > 0 for q in told.values())
    stages = stage_records(finished.folder)
    spent = [stages[s] for s in ("select", "tune", "train", "evaluate")]
    assert told["minutes"].actual == pytest.approx(sum(s["seconds"] for s in spent) / 60)
    assert told["peak memory"].actual == max(s["peak_rss_bytes"] for s in spent) / 1e6
    assert "Expected, and what came" in (finished.folder / "report.html").read_text()
    ts.run(tickets(), out=finished.folder, **options)
    assert not TrackRecord().turnouts(), "nothing was done anew, so there is nothing to learn from it"
    shutil.copytree(finished.folder, tmp_path / "again")
    (tmp_path / "again" / "forecast.json").unlink()
    shutil.rmtree(tmp_path / "again" / "08-evaluate")
    ts.run(tickets(), out=tmp_path / "again", **options)
    assert not TrackRecord().turnouts(), "times of a run that was taken up again are not those of a whole one"
    ts.run(tickets(seed=3), out=tmp_path / "other", **options)
    (turnout,) = TrackRecord().turnouts()
    assert set(turnout.actual) == {"minutes", "CPU minutes", "peak memory"}


def test_a_generalists_predictions_stand_beside_the_shipped_model(finished, options, tmp_path):
    test = finished.data.rows("test", blind=True)
    rows = [{"message": text, "prediction": "billing"} for text in test.texts]
    path = tmp_path / "said.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    evaluate = {"generalist": {"predictions": str(path), "price": 0.01, "seconds": 0.5}}
    shutil.copytree(finished.folder, tmp_path / "run")
    again = ts.run(tickets(), out=tmp_path / "run", **options, evaluate=evaluate)
    told = again.report.details["generalist"]
    assert told["n"] == len(test)
    assert 0.1 < told["scores"]["accuracy"]["value"] < 0.7
    main = told["comparisons"][0]
    assert (main["a"], main["b"]) == (again.report.winner, "generalist")
    assert main["difference"] > 0.2
    assert main["p_value"] < 0.05
    assert told["crossover"]["answers"] >= 1
    assert "A generalist beside it" in (again.folder / "report.html").read_text()
    path.write_text('{"message": "something else", "prediction": "billing"}\n', encoding="utf-8")
    with pytest.raises(DataError, match="none of its 1 texts"):
        ts.run(tickets(), out=tmp_path / "run", **options, evaluate=evaluate)


def test_what_no_promise_covers_is_handed_on_to_the_endpoint_that_was_configured(options, tmp_path, monkeypatch):
    monkeypatch.setattr("tunesmith.evaluation.generalist._TARGETS", (0.5,))
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    generalist = {"endpoint": server.url, "model": "big", "rows": 20, "price": 0.01, "shots": 3}
    made = ts.run(tickets(400), out=tmp_path / "run", **options, evaluate={"generalist": generalist})
    assert len(server.asked) == 20
    assert len(server.asked[0]["messages"]) == 1 + 2 * 3 + 1
    told = made.report.details["generalist"]
    assert told["cascade"][0]["n"] == 20
    assert told["source"] == f"big at {server.url}, shown 3 train rows"
    strange = "zzz qqq delivery"  # the endpoint answers with the last word; the text is like nothing trained on
    decided = made.decide([strange, "refund invoice the please charged payment why my"], accept_at=0.5, hand_on=True)
    assert decided.handed.tolist() == [True, False]
    assert decided.predictions.values[0] == "delivery"
    assert len(server.asked) == 21
    predict_lines(made, [strange], tmp_path / "out.tsv", as_json=True, accept_at=0.5, hand_on=True)
    assert json.loads((tmp_path / "out.tsv").read_text())["answered_by"] == "generalist"
    assert len(server.asked) == 21, "what was asked before is not asked again"
    with pytest.raises(ConfigError, match="accept-at"):
        predict_lines(made, [strange], None, as_json=True, hand_on=True)
    server.shutdown()
    server.server_close()


def test_a_missing_input_column_is_named_with_the_nearest(finished):
    with pytest.raises(DataError, match="message"):
        finished.predict([{"mesage": "refund"}])


def test_the_same_call_again_works_on_nothing(finished, options):
    events = []
    ts.run(tickets(), out=finished.folder, listeners=[events.append], **options)
    assert {e["event"] for e in events} >= {"stage.reused", "run.done"}
    assert not [e for e in events if e["event"] == "stage.start"]


def test_a_changed_option_of_a_late_stage_redoes_only_that(finished, options, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished.folder, folder)
    events = []
    ts.run(tickets(), out=folder, listeners=[events.append], evaluate={"errors_shown": 3}, **options)
    assert [e["stage"] for e in events if e["event"] == "stage.start"] == ["evaluate"]
    # Where the table lies says nothing: nothing is measured and planned anew.
    assert read_plan(folder / "plan.yaml").made_from == read_plan(finished.folder / "plan.yaml").made_from


def test_a_moved_run_still_predicts(finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "moved")
    assert ts.open_run(tmp_path / "moved").predict(["parcel late"]).values == ("delivery",)


def test_plan_yaml_is_a_config_that_gives_the_same_results(finished, tmp_path):
    again = ts.run(finished.folder / "plan.yaml", out=tmp_path / "again")
    assert again.report.systems[0].scores == finished.report.systems[0].scores
    one, two = (
        (folder / "08-evaluate" / "predictions.parquet").read_bytes() for folder in (finished.folder, again.folder)
    )
    assert one == two


def test_every_decision_stands_in_the_plan_with_its_reason(finished):
    plan = yaml.safe_load((finished.folder / "plan.yaml").read_text())
    assert "auto" not in (plan["data"]["target"], plan["threads"], plan["dtype"], plan["model"]["rungs"])
    assert any(key.startswith("model.rungs.") for key in plan["plan"]["why"])
    assert all(": " in why for why in plan["plan"]["why"].values())


def test_config_keeps_the_words_of_the_user(finished):
    asked = yaml.safe_load((finished.folder / "config.yaml").read_text())
    assert asked["budget"] == "60s"
    assert asked["data"]["target"] == "kind"


def test_plan_trains_nothing(tmp_path, options):
    plan = ts.plan(tickets(), out=tmp_path / "p", **options)
    assert plan.config.model.rungs != "auto"
    assert not (tmp_path / "p" / "05-select").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"budgett": "1m"}, r"config\.budgett"),
        ({"budget": "soon"}, r"config\.budget"),
        ({"model": {"wurth": 1}}, r"config\.model\.wurth"),
        ({"model": {"only": ["tfidff"]}}, "no system is called 'tfidff'"),
        ({"task": "clasify"}, "clasify"),
        ({"target": "knd"}, "knd"),
        ({"model": {"only": ["copying", "lead"]}}, "none of copying, lead answers label"),
        ({"train": {"method": "lorra"}}, "lorra"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_trained(tmp_path, options, more, message):
    with pytest.raises(ts.TunesmithError, match=message):
        ts.run(tickets(), out=tmp_path / "r", **{**options, **more})
    assert not (tmp_path / "r" / "05-select" / "ladder.json").exists()


def test_a_rung_for_another_kind_of_answer_is_listed_with_its_reason(tmp_path, options):
    model = {**options["model"], "only": ["majority", "copying"]}
    run = ts.run(tickets(), out=tmp_path / "r", **{**options, "model": model})
    assert run.report["copying"].status == "not run"
    decisions = json.loads((run.folder / "08-evaluate" / "report.json").read_text())["decisions"]
    why = next(d["why"] for d in decisions if d["what"] == "model.rungs.copying")
    assert "this task asks for label" in why


def test_an_unfinished_run_says_how_to_go_on(tmp_path, options):
    ts.plan(tickets(), out=tmp_path / "p", **options)
    with pytest.raises(RunError, match="not finished") as caught:
        ts.open_run(tmp_path / "p")
    assert "tunesmith run" in caught.value.hint


def test_nothing_to_learn_from_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="at least one row"):
        ts.run([], out=tmp_path / "r")


def tunesmith(*words, stdin=None):
    command = [sys.executable, "-m", "tunesmith", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, input=stdin)


def test_help_is_quick_and_loads_no_model_library():
    code = (
        "import sys, time; t = time.perf_counter(); import tunesmith; took = time.perf_counter() - t;"
        "from tunesmith.cli import app; import typer.main; typer.main.get_command(app);"
        "assert took < 0.3, took; heavy = {'torch', 'transformers', 'peft', 'sklearn', 'numpy'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_command_line_predicts_a_table_in_order_with_its_columns(finished, tmp_path):
    table = tmp_path / "new.csv"
    table.write_text(
        "ticket,message\nA,refund invoice the please charged payment why my\n"
        'B,"parcel, it courier late again address the my"\n'
    )
    done = tunesmith("predict", finished.folder, table)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "ticket,message,prediction,confidence"
    assert lines[1].startswith("A,refund invoice the please charged payment why my,billing,")
    assert lines[2].startswith('B,"parcel, it courier late again address the my",delivery,')


def test_the_command_line_answers_lines_of_stdin_and_one_text(finished):
    done = tunesmith(
        "predict",
        finished.folder,
        "-",
        "--json",
        stdin="refund invoice the please charged payment why my\nparcel it courier late again address the my\n",
    )
    assert [json.loads(line)["prediction"] for line in done.stdout.splitlines()] == ["billing", "delivery"]
    assert tunesmith(
        "predict", finished.folder, "locked the login my password profile please email it"
    ).stdout.startswith("account\t")


def test_answers_that_no_promise_covers_are_marked_for_a_person(finished, tmp_path):
    sure, foreign = "refund invoice the please charged payment why my", "zzz qqq"
    decided = finished.decide([sure, foreign], accept_at=0.7)
    assert decided.accepted.tolist() == [True, False]
    assert decided.reasons[0] == ""
    assert decided.predictions.values == finished.predict([sure, foreign]).values
    table = tmp_path / "new.csv"
    table.write_text(f"message,accepted\n{sure},mine\n{foreign},mine\n")
    done = tunesmith("predict", finished.folder, table, "--accept-at", "0.7")
    lines = done.stdout.splitlines()
    assert lines[0] == "message,accepted,prediction,confidence,accepted_,why_not"
    assert lines[1].endswith(",yes,")
    assert ",no," in lines[2]


@pytest.mark.parametrize(
    ("share", "said"), [("0.9999", "the most that can be promised"), ("98", "below 1"), ("-1", "0")]
)
def test_a_promise_that_cannot_be_kept_is_refused_before_anything_is_written(finished, tmp_path, share, said):
    out = tmp_path / "out.csv"
    done = tunesmith("predict", finished.folder, "refund", "--accept-at", share, "--out", out)
    assert (done.returncode, out.exists()) == (2, False)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_findings_of_the_model_and_the_rows_to_label_first(finished, tmp_path):
    said = tunesmith("findings", finished.folder, "--model").stdout
    assert said.startswith("weak parts, by accuracy")
    found = json.loads(tunesmith("findings", finished.folder, "--model", "--json").stdout)
    assert {"slices", "slices_how", "confused", "regressions", "label_next"} <= set(found)
    pool = tmp_path / "pool.csv"
    clear, torn = "refund invoice the please charged payment why my", "parcel invoice courier charged login email it"
    pool.write_text("message\n" + "\n".join([clear, torn, torn]) + "\n")
    picked = json.loads(tunesmith("findings", finished.folder, "--next", pool, "--limit", "2", "--json").stdout)
    assert [row["row"] for row in picked] == [2, 1]
    assert picked[0]["doubt"] > picked[1]["doubt"]
    assert tunesmith("findings", finished.folder, "--next", tmp_path / "none.csv").returncode == 2


def test_what_a_run_was_asked_to_accept_is_what_it_ships_with(finished, options, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished.folder, folder)
    made = ts.run(tickets(), out=folder, evaluate={"accept_at": 0.7}, **options)
    assert made.accept_at == 0.7
    lines = tunesmith("predict", folder, "refund invoice the please charged payment why my").stdout.split("\t")
    assert (lines[0], lines[2].strip()) == ("billing", "accepted")
    assert "tunesmith predict</code> accepts" in (folder / "report.html").read_text()
    with pytest.raises(ConfigError, match="accept_at"):
        ts.run(tickets(), out=tmp_path / "never", evaluate={"accept_at": 1.5}, **options)


def test_show_prints_the_contract_as_json(finished):
    done = tunesmith("show", finished.folder, "--json")
    assert json.loads(done.stdout)["verdict"]["winner"] == finished.report.winner


def test_runs_lists_finished_and_unfinished_runs(finished):
    rows = json.loads(tunesmith("runs", finished.folder.parent, "--json").stdout)
    assert [row["finished"] for row in rows] == [True]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "nowhere.csv"], "nowhere.csv"),
        (["show", "nowhere"], "no such run"),
        (["list", "modells"], "Did you mean 'models'?"),
        (["run", "x.csv", "--require", "worse"], "--require"),
        (["predict"], "Missing argument"),
        (["rnu"], "rnu"),
        (["cache", "--remove", "nothing-like-it"], "nothing-like-it"),
    ],
)
def test_mistakes_end_with_exit_code_2_and_no_traceback(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = tunesmith(*words)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_require_better_exits_4_when_tuning_was_not_better(finished, options):
    asked = str(finished.folder)
    assert tunesmith("run", asked, "--require", "better").returncode == 4
