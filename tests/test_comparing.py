"""Two runs are compared on the rows that both tested, whatever else they kept."""

import json
import random
import shutil

import pytest
from typer.testing import CliRunner

import tunesmith as ts
from tunesmith.cli import app
from tunesmith.comparing import Side, _claim, compare
from tunesmith.core.errors import ConfigError, RunError
from tunesmith.core.predictions import Predictions
from tunesmith.evaluation.verdict import Answers, compared
from tunesmith.tasks import task as tasks

MODEL = {"encoder": "none", "lm": "none"}
ENDS = {"refund": ("send my money back", "I want to be paid back", "return what I paid"),
        "delivery": ("when will it arrive", "the van never came", "where is it now")}  # fmt: skip


def _table(path, *, rows=300, seed=4, shift=0):
    """Orders of two kinds. shift: rows left out at the front."""
    draw = random.Random(seed)
    made = []
    for n in range(rows):
        label = ("refund", "delivery")[draw.random() < 0.4]
        made.append({"text": f"order {n} of {draw.randrange(9000)}: {draw.choice(ENDS[label])}", "label": label})
    path.write_text("".join(json.dumps(row) + "\n" for row in made[shift:]))
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    data = _table(place / "orders.jsonl")
    for name, only in (("common", ["majority"]), ("words", ["majority", "tfidf"])):
        ts.run(data, out=place / name, budget="40s", threads=1, model={**MODEL, "only": only})
    return place


def test_the_better_run_is_named_with_an_interval_and_the_rows_are_told(runs):
    found = compare(runs / "common", runs / "words")
    assert (found.claim, found.paired_by, found.left_out) == ("second better", "file and row", (0, 0, 0))
    one, two = found.sides
    assert (one.system, two.system, one.own) == ("majority", "tfidf", one.score)
    assert found.comparison.difference == pytest.approx(two.score - one.score)
    assert found.comparison.interval[0] > 0
    assert sum(found.agreement) == found.comparison.n == two.own_n
    assert found.agreement[1] == 0
    assert {row.better for row in found.rows} == {1}
    assert all(row.answers[1] == row.target != row.answers[0] for row in found.rows)
    assert "words is better" in found.sentence
    back = compare(runs / "words", runs / "common")
    assert back.claim == "first better"
    assert back.comparison.difference == pytest.approx(-found.comparison.difference)


def test_of_texts_what_makes_facts_up_is_not_called_better():
    task = tasks.get("rewrite")
    sources = [f"Agent: hello. Customer: order {n} of 2 lamps." for n in range(40)]
    truth = [f"The customer ordered 2 lamps, order {n}, for 30 euros on Monday." for n in range(40)]
    answers = {"first": Answers(Predictions(tuple(sources))), "second": Answers(Predictions(tuple(truth)))}
    given = {"sources": sources, "labels": (), "answers": answers}
    found, guard = (compared(task, truth, "second", "first", metric=m, **given) for m in ("fact_f1", *task.guards))
    assert found.difference > 0.2
    assert guard.difference > 0.2  # 30 euros, Monday: nobody said so
    sides = tuple(Side(name, "lm", 0.5, 0.5, 40, None, *[None] * 4) for name in ("plain", "bold"))
    claim, sentence = _claim(sides, found, [guard], task.lower)
    assert claim == "no evidence"
    assert "bold is not better, all told" in sentence
    assert _claim(sides, found, [], task.lower)[0] == "second better"


def test_two_runs_of_one_name_are_told_apart_by_their_folders(runs, tmp_path):
    shutil.copytree(runs / "common", tmp_path / "words")
    found = compare(tmp_path / "words", runs / "words")
    assert [side.run for side in found.sides] == [str(tmp_path / "words"), str(runs / "words")]
    assert compare(runs / "common", runs / "words").sides[1].run == "words"


def test_a_run_beside_itself_shows_no_difference(runs):
    found = compare(runs / "words", runs / "words")
    assert found.comparison.difference == 0
    assert found.claim.startswith(("no evidence", "underpowered"))
    assert found.agreement[1:] == (0, 0)


def test_rows_of_another_file_are_found_by_their_text_and_the_rest_is_counted(runs, tmp_path):
    data = _table(tmp_path / "later.jsonl", shift=60)
    ts.run(data, out=tmp_path / "later", budget="40s", threads=1, model={**MODEL, "only": ["majority", "tfidf"]})
    found = compare(runs / "words", tmp_path / "later")
    first, second, other = found.left_out
    assert found.paired_by == "text"
    assert other == 0
    assert found.comparison.n + first == found.sides[0].own_n
    assert found.comparison.n + second == found.sides[1].own_n
    assert first > 0


def test_what_cannot_be_compared_is_refused(runs, tmp_path):
    elsewhere = _table(tmp_path / "others.jsonl", seed=9)
    ts.run(elsewhere, out=tmp_path / "others", budget="40s", threads=1, model={**MODEL, "only": ["majority"]})
    with pytest.raises(ConfigError, match=r"0.test rows in common"):
        compare(runs / "words", tmp_path / "others")
    shutil.copytree(runs / "words", tmp_path / "half")
    (tmp_path / "half" / "08-evaluate" / "predictions.parquet").unlink()
    with pytest.raises(RunError, match="no answers"):
        compare(runs / "common", tmp_path / "half")
    with pytest.raises(RunError):
        compare(runs / "words", tmp_path)


def test_the_command_says_the_same_to_people_and_machines(runs):
    words = CliRunner().invoke(app, ["compare", str(runs / "common"), str(runs / "words")])
    assert words.exit_code == 0
    assert "words is better" in words.output
    told = json.loads(CliRunner().invoke(app, ["compare", str(runs / "common"), str(runs / "words"), "--json"]).output)
    assert told["claim"] == "second better"


def test_another_rung_answers_when_it_is_named(runs):
    assert ts.open_run(runs / "words").answering == "tfidf"
    other = ts.open_run(runs / "words", system="majority")
    assert set(other.predict(["the van never came", "I want to be paid back"]).values) == {"refund"}
    with pytest.raises(ConfigError, match="by tfidf alone"):
        other.decide(["the van never came"], accept_at=0.9)
    with pytest.raises(ConfigError, match="no system 'tfdif'"):
        ts.open_run(runs / "words", system="tfdif")
