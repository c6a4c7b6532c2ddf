from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tunesmith.core.context import Context
from tunesmith.core.errors import DataError
from tunesmith.data.curate import CurateOptions, curate
from tunesmith.data.detect import Unsure
from tunesmith.data.ingest import IngestOptions, ingest, profile
from tunesmith.data.tags import clean_sets, strata
from tunesmith.tasks.label_sets import read_set

WORDS = {"billing": "charged refund invoice", "late": "parcel waiting days", "broken": "screen cracked dead"}


def _sets(n: int = 120, *, seed: int = 0) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(n):
        found = [name for name in WORDS if rng.random() < 0.45]
        made.append(found or [list(WORDS)[int(rng.integers(3))]])
    return made


def _text(found: list[str], at: int) -> str:
    return f"case {at} " + " ".join(WORDS.get(name, name) for name in found) + f" please help {at % 7}"


def _csv(path: Path, names: list[str], rows: list[list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([names, *rows])
    return path


def _joined(tmp_path: Path, joint: str, name: str = "tags") -> Path:
    rows = [[_text(s, at), joint.join(s)] for at, s in enumerate(_sets())]
    return _csv(tmp_path / "joined.csv", ["message", name], rows)


def _json(tmp_path: Path, sets: list, name: str = "topics") -> Path:
    path = tmp_path / "lists.json"
    rows = [{"message": _text(s or [], at), name: s} for at, s in enumerate(sets)]
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def _found(path: Path, **options):
    seen = profile(IngestOptions(path=path, **options))
    return seen.options, {d.what: d for d in seen.decisions}


@pytest.mark.parametrize("joint", ["|", "; ", ", ", " | "])
def test_labels_with_a_mark_between_them_are_found_and_said(tmp_path, joint):
    options, decisions = _found(_joined(tmp_path, joint))
    assert (options.task, options.target, options.inputs) == ("tag", "tags", ("message",))
    assert "3 labels" in decisions["answers"].why
    assert "--task classify" in decisions["answers"].why


def test_labels_in_angle_brackets_are_cut(tmp_path):
    rows = [[_text(s, at), "".join(f"<{name}>" for name in s)] for at, s in enumerate(_sets())]
    options, decisions = _found(_csv(tmp_path / "brackets.csv", ["message", "tags"], rows))
    assert options.task == "tag"
    assert "3 labels" in decisions["answers"].why


def test_numbers_of_labels_are_no_decimals_and_decimals_no_labels(tmp_path):
    number = {name: str(3 * at + 2) for at, name in enumerate(WORDS)}
    rows = [[_text(s, at), ",".join(number[name] for name in s)] for at, s in enumerate(_sets(300))]
    assert _found(_csv(tmp_path / "ids.csv", ["message", "labels"], rows))[0].task == "tag"
    rng = np.random.default_rng(0)
    rows = [[_text(s, at), f"{rng.integers(1, 6)},{5 * rng.integers(0, 2)}"] for at, s in enumerate(_sets(300))]
    with pytest.raises(DataError):
        _found(_csv(tmp_path / "stars.csv", ["message", "label"], rows))


def test_marks_that_change_within_a_column_are_read_together(tmp_path):
    rows = [[_text(s, at), "; ".join([", ".join(s[:2]), *s[2:]])] for at, s in enumerate(_sets(200))]
    options, decisions = _found(_csv(tmp_path / "mixed.csv", ["message", "tags"], rows))
    assert options.task == "tag"
    assert "3 labels" in decisions["answers"].why


def test_who_says_classify_gets_a_class_per_combination(tmp_path):
    assert _found(_joined(tmp_path, "|"), target="tags", task="classify")[0].task == "classify"


def test_lists_are_sets_of_labels_whoever_says_classify(tmp_path):
    path = _json(tmp_path, _sets())
    assert _found(path)[0].task == "tag"
    options, decisions = _found(path, target="topics", task="classify")
    assert options.task == "tag"
    assert "the task tag" in decisions["answers"].why


@pytest.mark.parametrize("write", [json.dumps, repr])
def test_lists_in_cells_are_read_as_json_and_as_python_writes_them(tmp_path, write):
    rows = [[_text(s, at), write(s)] for at, s in enumerate(_sets())]
    assert _found(_csv(tmp_path / "cells.csv", ["message", "labels"], rows))[0].task == "tag"


def test_columns_of_yes_and_no_are_a_label_each(tmp_path):
    rows = [[_text(s, at), *("1" if name in s else "0" for name in WORDS)] for at, s in enumerate(_sets(300))]
    path = _csv(tmp_path / "flags.csv", ["message", *WORDS], rows)
    options, decisions = _found(path)
    assert (options.task, options.target) == ("tag", "billing, late, broken")
    assert "--target COLUMN" in decisions["answers"].why
    assert _found(path, target="late")[0].task == "classify"
    # What was decided can be said again, as plan.yaml does.
    assert _found(path, target="billing, late, broken", task="tag")[0].target == "billing, late, broken"


def test_columns_of_yes_and_no_that_no_text_tells_are_asked_about(tmp_path):
    rng = np.random.default_rng(0)
    rows = [[_text(s, at), *(str(rng.integers(0, 2)) for _ in range(3))] for at, s in enumerate(_sets(300))]
    with pytest.raises(Unsure) as caught:
        _found(_csv(tmp_path / "noise.csv", ["message", "one", "two", "three"], rows))
    assert "--task tag" in str(caught.value.hint)


@pytest.mark.parametrize(
    "cell",
    [
        lambda s, at: ["News|Sport", "News|Politics", "Shop|Shoes", "Shop|Hats"][at % 4],  # a path
        lambda s, at: ["Sales, Retail", "Human Resources", "Sales, Online"][at % 3],  # names with a comma
    ],
)
def test_a_mark_alone_makes_no_set(tmp_path, cell):
    rows = [[_text(s, at), cell(s, at)] for at, s in enumerate(_sets())]
    assert _found(_csv(tmp_path / "one.csv", ["message", "category"], rows))[0].task != "tag"


def test_sentences_with_commas_are_texts(tmp_path):
    rows = [[_text(s, at), f"We are sorry, {at}, that {' and '.join(s)} failed."] for at, s in enumerate(_sets())]
    assert _found(_csv(tmp_path / "replies.csv", ["message", "reply"], rows))[0].task == "rewrite"


def test_a_label_column_beside_lists_stays_the_answer(tmp_path):
    path = tmp_path / "both.json"
    rows = [{"message": _text(s, at), "label": s[0], "tags": s} for at, s in enumerate(_sets())]
    path.write_text(json.dumps(rows), encoding="utf-8")
    options, _ = _found(path)
    assert (options.task, options.target) == ("classify", "label")


def test_lists_beside_a_written_answer_and_sequences_are_no_labels(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "summaries.json"
    marks = [[int(rng.integers(0, 2)) for _ in range(4)] for _ in range(80)]
    rows = [
        {"source": f"{_text(list(WORDS), at)} and much more of it {at}", "source_labels": marks[at],
         "target": f"a short summary of case {at}"}
        for at in range(80)
    ]  # fmt: skip
    path.write_text(json.dumps(rows), encoding="utf-8")
    assert _found(path)[0].task == "rewrite"
    sequences = [{"message": _text(s, at), "labels": [*s, s[0]]} for at, s in enumerate(_sets(80))]
    path.write_text(json.dumps(sequences), encoding="utf-8")
    with pytest.raises(DataError):
        _found(path)


def test_lists_quoted_from_the_text_are_fields_not_labels(tmp_path):
    path = tmp_path / "quoted.json"
    names = ["Anna", "Bert", "Cora", "Dora"]
    rows = [
        {"message": f"{names[at % 4]} met {names[(at + 1 + at // 4 % 2) % 4]} in room {at}",
         "entities": [names[at % 4], names[(at + 1 + at // 4 % 2) % 4]]}
        for at in range(80)
    ]  # fmt: skip
    path.write_text(json.dumps(rows), encoding="utf-8")
    with pytest.raises(DataError):  # not guessed
        _found(path)
    assert _found(path, target="entities", task="extract")[0].task == "extract"


def test_one_label_per_row_is_refused_as_several_with_what_to_do(tmp_path):
    rows = [[_text(s, at), s[0]] for at, s in enumerate(_sets())]
    path = _csv(tmp_path / "single.csv", ["message", "label"], rows)
    with pytest.raises(DataError, match="no row has more than one label") as caught:
        _found(path, target="label", task="tag")
    assert "--task classify" in caught.value.hint


def test_a_column_that_is_no_yes_and_no_is_named(tmp_path):
    rows = [[_text(s, at), "1", str(at % 3)] for at, s in enumerate(_sets())]
    path = _csv(tmp_path / "odd.csv", ["message", "late", "stars"], rows)
    with pytest.raises(DataError, match="'stars' holds more than 0 and 1"):
        _found(path, target="late,stars", task="tag")


def test_labels_are_spelt_one_way_and_empty_sets_are_sets():
    sets, labels = clean_sets(['["Late","billing"]', '["late","late "]', "[]", None, '["late"]'])
    assert [None if s is None else sorted(read_set(s)) for s in sets] == [
        ["billing", "late"],
        ["late"],
        [],
        None,
        ["late"],
    ]
    assert labels.counts == {"labels that differed in case only": 1}


def test_parts_are_drawn_by_the_rarest_label():
    assert strata(['["a","b"]', '["a"]', "[]", '["a","c"]', '["a","c"]']) == ["b", "a", "", "c", "c"]


def test_ingest_keeps_empty_sets_leaves_out_missing_ones_and_curate_mends_spelling(tmp_path):
    sets: list = [*_sets(200), *[[]] * 6, None]
    sets[0] = ["billling", "late"]
    ctx = Context(tmp_path / "work")
    ctx.workdir.mkdir()
    data = ingest(IngestOptions(path=_json(tmp_path, sets), test_share=0.2, dev_share=0.2), ctx)
    assert data.task == "tag"
    assert set(WORDS) <= set(data.labels)
    assert data.count("train") + data.count("dev") + data.count("test") == 206
    assert data.notes["label_counts"]["late"] > 10
    after = curate(data, CurateOptions(), Context(tmp_path / "work", check=lambda c: None))
    assert set(after.labels) == set(data.labels)
    assert "label_errors" not in after.notes["curation"].get("steps_not_run", {})


def test_a_curated_table_keeps_its_way_of_writing_sets_but_where_one_was_mended(tmp_path):
    from typer.testing import CliRunner

    from tunesmith.cli import app

    sets = _sets(200)
    rows = [[_text(s, at), "|".join(s)] for at, s in enumerate(sets)]
    rows[3][1] = "billling|late"
    path = _csv(tmp_path / "t.csv", ["message", "tags"], rows)
    asked = ["curate", str(path), "--out", str(tmp_path / "clean"), "--step", "labels", "--policy", "labels=fix"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    written = next(p for p in (tmp_path / "clean").rglob("*.csv") if p.read_text("utf-8").startswith("message,"))
    with written.open(newline="", encoding="utf-8") as handle:
        found = {row["message"]: row["tags"] for row in csv.DictReader(handle)}
    assert found[rows[3][0]] == '["billing","late"]'
    assert sum(found.get(text) == tags for text, tags in rows) >= 190
    assert _found(written)[0].task == "tag"  # and is read as it was


def test_steps_for_single_labels_say_that_they_do_not_serve(tmp_path):
    ctx = Context(tmp_path / "work")
    ctx.workdir.mkdir()
    data = ingest(IngestOptions(path=_json(tmp_path, _sets(200))), ctx)
    after = curate(data, CurateOptions(steps=("bias",)), ctx)
    assert "several labels" in after.notes["curation"]["steps_not_run"]["bias"]
