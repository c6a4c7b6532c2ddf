from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tunesmith.core import attached
from tunesmith.core.context import Context
from tunesmith.core.dataset import JUDGED_BY, Dataset
from tunesmith.core.errors import DataError, SandboxUnavailable
from tunesmith.core.sandbox import protections
from tunesmith.data.ingest import Beside, IngestOptions, ingest, profile

confined = pytest.mark.skipif(bool(protections().lacks), reason="no sandbox here")
WORDS = (
    "apple",
    "bread",
    "cheese",
    "dates",
    "eggs",
    "figs",
    "grapes",
    "honey",
    "ice",
    "jam",
    "kale",
    "lemon",
    "mango",
    "nuts",
)
SCHEMA = "CREATE TABLE shop(item TEXT, price INTEGER); INSERT INTO shop VALUES ('apple', 1), ('bread', 2);"


def _queries(folder: Path) -> Path:
    rows = [{"question": f"what does the {w} cost in this shop", "sql": f"SELECT price FROM shop WHERE item = '{w}'"}
            for w in WORDS * 2]  # fmt: skip
    return _written(folder / "queries.jsonl", rows)


def _exercises(folder: Path, tests: str = "tests") -> Path:
    rows = [
        {"prompt": f"Write a function that adds {w} and the number {i} to a list.",
         "solution": f"def add_{w}(x):\n    return x + ['{w}', {i}]",
         tests: f"assert add_{w}([1]) == [1, '{w}', {i}]"}
        for i, w in enumerate(WORDS)
    ]  # fmt: skip
    return _written(folder / "exercises.jsonl", rows)


def _written(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def _read(options: IngestOptions, folder: Path) -> Dataset:
    work = folder / "01-ingest"
    work.mkdir()
    return ingest(options, Context(work))


def test_queries_are_found_though_they_could_be_classes(tmp_path):
    found = profile(IngestOptions(_queries(tmp_path)))
    assert (found.options.task, found.options.target, found.options.inputs) == ("code", "sql", ("question",))


@confined
def test_solutions_and_their_tests_are_found(tmp_path):
    data = _read(IngestOptions(_exercises(tmp_path)), tmp_path)
    assert (data.task, data.target, data.inputs) == ("code", "solution", ("prompt",))
    train = data.rows("train")
    assert all(test.startswith("assert") for test in train.tests)
    assert train.references[0] == train.targets[0] + JUDGED_BY + train.tests[0]
    assert "\n    return" in train.targets[0]


@confined
def test_tests_of_test_rows_are_sealed(tmp_path):
    data = _read(IngestOptions(_exercises(tmp_path)), tmp_path)
    test = data.table.filter(data.table["split"].to_numpy(zero_copy_only=False) == "test")
    assert test.num_rows > 0
    assert set(test["tests"].to_pylist()) == {None}
    assert data.rows("test", blind=True).tests == ()
    assert all("assert add_" in reference for reference in data.unseal())


def test_a_database_goes_with_the_run(tmp_path, monkeypatch):
    script = tmp_path / "shop.sql"
    script.write_text(SCHEMA)
    data = _read(IngestOptions(_queries(tmp_path), beside=Beside(database=script)), tmp_path)
    first = data.fingerprint
    data.save(tmp_path / "01-ingest")
    script.unlink()
    monkeypatch.setattr(attached, "_PLACES", {})
    moved = tmp_path / "moved"
    shutil.copytree(tmp_path / "01-ingest", moved / "01-ingest")
    shutil.rmtree(tmp_path / "01-ingest")
    again = Dataset.load(moved / "01-ingest")
    key = again.rows("train").tests[0].removeprefix("database ")
    assert attached.attached(key).read_text() == SCHEMA
    assert again.fingerprint == first


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("CREATE TABLE shop(item TEXT, price INTEGER);", "no rows"),
        ("CREATE TABLE other(a); INSERT INTO other VALUES (1);", "do not run on"),
        ("hello", "cannot read"),
    ],
)
def test_a_database_that_judges_nothing_is_refused(script, why, tmp_path):
    (tmp_path / "shop.sql").write_text(script)
    with pytest.raises(DataError, match=why) as raised:
        _read(IngestOptions(_queries(tmp_path), beside=Beside(database=tmp_path / "shop.sql")), tmp_path)
    assert raised.value.hint


def test_queries_with_their_questions_become_a_row_per_question(tmp_path):
    groups = [
        {"query-split": "train", "sql": [f"SELECT price FROM shop WHERE item = '{w}'", "SELECT 1"], "variables": [],
         "sentences": [{"text": f"what does the {w} cost", "question-split": "train", "variables": {}},
                       {"text": f"price of the {w} , please", "question-split": "exclude", "variables": {}}]}
        for w in WORDS
    ]  # fmt: skip
    path = tmp_path / "groups.json"
    path.write_text(json.dumps(groups))
    data = _read(IngestOptions(path, split="question-split"), tmp_path)
    assert (data.task, data.target, data.inputs) == ("code", "sql", ("question",))
    assert data.table.num_rows == 2 * len(WORDS)
    assert data.count("train") + data.count("dev") + data.count("test") == len(WORDS)
    assert data.table["text"].to_pylist()[:2] == ["what does the apple cost", "price of the apple , please"]


def test_judges_of_what_is_no_code_are_refused(tmp_path):
    rows = [
        {"text": f"the {w} is {('good', 'bad')[i % 2]}", "label": ("good", "bad")[i % 2]} for i, w in enumerate(WORDS)
    ]
    path = _written(tmp_path / "labels.jsonl", rows)
    with pytest.raises(DataError, match="--database judges code"):
        profile(IngestOptions(path, target="label", beside=Beside(database=tmp_path / "shop.sql")))


def test_a_column_of_tests_that_is_not_there_is_told(tmp_path):
    with pytest.raises(DataError, match="checks"):
        profile(IngestOptions(_queries(tmp_path), beside=Beside(tests="checks")))


@confined
def test_tests_and_a_database_exclude_each_other(tmp_path):
    (tmp_path / "shop.sql").write_text(SCHEMA)
    with pytest.raises(DataError, match="not by both"):
        _read(IngestOptions(_exercises(tmp_path), beside=Beside(database=tmp_path / "shop.sql")), tmp_path)


def test_without_a_sandbox_nothing_begins(tmp_path, monkeypatch):
    monkeypatch.setattr("tunesmith.core.sandbox.run", _refuse)
    with pytest.raises(SandboxUnavailable):
        _read(IngestOptions(_exercises(tmp_path)), tmp_path)


def _refuse(*_, **__):
    raise SandboxUnavailable("no Landlock", hint="use Linux")
