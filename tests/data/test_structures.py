"""Answers that are objects or lists: found, put together, freed of offsets, and held to a schema."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from tunesmith.core.context import Context
from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import DataError
from tunesmith.data.detect import Unsure
from tunesmith.data.fields import infer
from tunesmith.data.ingest import Beside, IngestOptions, ingest, profile
from tunesmith.data.offsets import learned, placed
from tunesmith.tasks.schema import read_schema

NAMES = ["Ana Novak", "Bo Lee", "Cem Kaya", "Dora Weiss", "Eli Stone"]
TOWNS = ["Oslo", "Lima", "Graz", "Kyiv"]


def _rows(n: int = 40) -> list[dict]:
    rows = []
    for i in range(n):
        name, town = NAMES[i % 5], TOWNS[i % 4]
        text = f"Order {i}: {name} wants {i % 7} lamps sent to {town} by train."
        spans = [
            {"label": kind, "start": text.index(said), "end": text.index(said) + len(said)}
            for kind, said in (("TOWN", town), ("PERSON", name))
        ]
        rows.append(
            {
                "text": text,
                "spans": spans,
                "order": {"who": name, "count": i % 7, "to": {"town": town}},
                "group": i // 2,
            }
        )
    return rows


def _write(path: Path, rows: list[dict]) -> Path:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path


def _ingested(path: Path, **options) -> Dataset:
    folder = path.parent / "01-ingest"
    folder.mkdir(exist_ok=True)
    return ingest(IngestOptions(path=path, **options), Context(folder))


def test_spans_are_found_without_naming_them_and_sorted_by_place(tmp_path):
    rows = [{key: row[key] for key in ("text", "spans")} for row in _rows()]
    data = _ingested(_write(tmp_path / "a.jsonl", rows))
    assert (data.task, data.target, data.inputs) == ("extract", "spans", ("text",))
    first = data.rows("train")
    assert [s["label"] for s in json.loads(first.targets[0])] == ["PERSON", "TOWN"]
    assert all(set(s) == {"label", "text"} for s in json.loads(first.targets[0]))
    schema = json.loads(data.schema)
    assert schema["items"]["properties"]["label"]["enum"] == ["PERSON", "TOWN"]
    assert data.notes["extract"]["quoted"] == data.notes["extract"]["values"]


def test_an_answer_gets_its_offsets_back_under_their_own_names(tmp_path):
    rows = [{key: row[key] for key in ("text", "spans")} for row in _rows()]
    data = _ingested(_write(tmp_path / "a.jsonl", rows))
    text = "Cem Kaya moved from Graz to Graz."
    named = [("PERSON", "Cem Kaya"), ("TOWN", "Graz"), ("TOWN", "Graz"), ("TOWN", "Rome")]
    said = json.dumps([{"label": label, "text": said} for label, said in named])
    value, quotes = placed(said, data.schema, text)
    assert [(s["start"], s["end"]) for s in value] == [(0, 8), (20, 24), (28, 32), (None, None)]
    assert [q["field"] for q in quotes] == ["[0].text", "[1].text", "[2].text", "[3].text"]


def test_an_object_a_csv_cell_and_several_columns_make_the_same_fields(tmp_path):
    rows = [{"text": r["text"], **{k: r["order"][k] for k in ("who", "count")}} for r in _rows()]
    nested = [{"text": r["text"], "order": {"who": r["who"], "count": r["count"]}} for r in rows]
    lines = ["text,order"]
    for r in nested:
        cell = json.dumps(r["order"]).replace('"', '""')
        lines.append(f'"{r["text"]}","{cell}"')
    (tmp_path / "c.csv").write_text("\n".join(lines), encoding="utf-8")
    one = _ingested(_write(tmp_path / "a.jsonl", nested), task="extract", target="order")
    two = _ingested(tmp_path / "c.csv", target="order")
    three = _ingested(_write(tmp_path / "b.jsonl", rows), task="extract", target="who,count")
    assert json.loads(one.rows("train").targets[0]).keys() == {"who", "count"}
    assert one.rows("train").targets == two.rows("train").targets
    plain = [{**json.loads(t), "count": int(json.loads(t)["count"])} for t in three.rows("train").targets]
    assert plain == [json.loads(t) for t in one.rows("train").targets]


def test_groups_stay_whole(tmp_path):
    rows = [{key: row[key] for key in ("text", "spans", "group")} for row in _rows(80)]
    data = _ingested(_write(tmp_path / "a.jsonl", rows), group="group", target="spans")
    groups = [set(data.rows(part, blind=True).groups.tolist()) for part in ("train", "dev", "test")]
    assert all(groups)
    assert sum(map(len, groups)) == len(set.union(*groups))


def test_a_schema_that_the_data_does_not_obey_is_refused_with_the_row(tmp_path):
    rows = [{"text": r["text"], "order": {"who": r["order"]["who"], "count": r["order"]["count"]}} for r in _rows()]
    schema = {"type": "object", "properties": {"who": {"type": "string"}, "count": {"type": "integer", "maximum": 5}}}
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(schema), encoding="utf-8")
    with pytest.raises(DataError, match=r"a.jsonl: row 7: count \(6\) is out of bounds"):
        _ingested(_write(tmp_path / "a.jsonl", rows), beside=Beside(schema=path))
    schema["properties"]["count"]["minimum"] = 9
    path.write_text(json.dumps(schema), encoding="utf-8")
    with pytest.raises(DataError, match=r"schema.json at /properties/count: .* leave nothing"):
        _ingested(tmp_path / "a.jsonl", beside=Beside(schema=path))


def test_a_given_schema_makes_numbers_of_cells(tmp_path):
    path = tmp_path / "schema.json"
    fields = {"who": {"type": "string"}, "count": {"type": "integer"}}
    path.write_text(
        json.dumps({"type": "object", "properties": fields, "required": ["who", "count"]}), encoding="utf-8"
    )
    cells = [f"{r['text']},{r['order']['who']},{r['order']['count']}" for r in _rows()]
    (tmp_path / "a.csv").write_text("\n".join(["text,who,count", *cells]), encoding="utf-8")
    data = _ingested(tmp_path / "a.csv", task="extract", target="who,count", beside=Beside(schema=path))
    assert all(isinstance(json.loads(t)["count"], int) for t in data.rows("train").targets)


def test_offsets_that_do_not_fit_the_text_are_refused(tmp_path):
    rows = [{key: row[key] for key in ("text", "spans")} for row in _rows()]
    for row in rows:
        for span in row["spans"]:
            span["text"] = row["text"][span["start"] : span["end"]]
            span["start"] += 1
    with pytest.raises(DataError, match=r"row 1: the span .* but 'text' says"):
        _ingested(_write(tmp_path / "a.jsonl", rows))


def test_spans_written_as_triples_are_read():
    made = learned([[[4, 7, "PERSON"], [0, 3, "VERB"]]], ["Ask Ana."], lambda at: f"row {at}")
    assert made.values == ([{"type": "VERB", "text": "Ask"}, {"type": "PERSON", "text": "Ana"}],)


def test_a_cell_that_is_no_json_is_named(tmp_path):
    rows = [{"text": r["text"], "order": json.dumps(r["order"])} for r in _rows()]
    rows[-1]["order"] = '{"who": '
    with pytest.raises(DataError, match="row 40, column 'order': not JSON"):
        _ingested(_write(tmp_path / "a.jsonl", rows), target="order", task="extract")


def test_two_columns_of_objects_are_a_question_for_extract_and_labels_come_first(tmp_path):
    path = _write(tmp_path / "a.jsonl", [{k: r[k] for k in ("text", "spans", "order")} for r in _rows()])
    with pytest.raises(DataError, match="several columns hold objects or lists to extract: spans, order"):
        profile(IngestOptions(path=path, task="extract"))
    labelled = [{"text": f"{r['text']}", "label": "ab"[i % 2], "meta": {"x": i}} for i, r in enumerate(_rows())]
    try:
        assert profile(IngestOptions(path=_write(tmp_path / "b.jsonl", labelled))).options.task == "classify"
    except Unsure:
        pytest.fail("a label column beside an object is no question")


def test_what_is_known_of_a_row_is_no_answer(tmp_path):
    rows = [{"text": r["text"], "meta": {"who": "ab"[i % 2], "at": i}} for i, r in enumerate(_rows())]
    notes = [{"dialogue": r["text"], "note": f"He said {i}.", "spans": r["spans"]} for i, r in enumerate(_rows())]
    for name, table in (("a", rows), ("b", notes)):
        path = _write(tmp_path / f"{name}.jsonl", table)
        with contextlib.suppress(DataError):  # a question or a refusal, but no guess
            assert profile(IngestOptions(path=path)).options.task != "extract"


def test_the_shape_is_found_out():
    values = [{"a": 1, "b": "x", "c": None}, {"a": 2.5, "b": None, "d": [{"e": "f"}]}] * 10
    shape = infer(values, [""] * 20)
    kinds = {name: (inner.kind, inner.nullable) for name, inner in shape.fields}
    assert kinds == {"a": ("number", False), "b": ("string", True), "c": ("string", True), "d": ("array", False)}
    with pytest.raises(DataError, match="the field 'a' holds"):
        infer([{"a": 1}, {"a": {"b": 1}}], ["", ""])


def test_values_quoted_from_the_text_are_no_closed_set():
    kinds = [{"kind": "ab"[i % 2], "who": "xy"[i % 2]} for i in range(40)]
    shape = dict(infer(kinds, [f"{'xy'[i % 2]} said it" for i in range(40)]).fields)
    assert shape["kind"].choices == ("a", "b")
    assert shape["who"].choices == ()
    assert read_schema(json.dumps({"type": "object", "properties": {"a": {"enum": ["x"]}}})).fields[0][1].choices == (
        "x",
    )
