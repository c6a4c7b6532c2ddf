"""Preference data: the rejected answer travels with its row in every form that people store it in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.context import Context, Limits
from tunesmith.core.dataset import Dataset
from tunesmith.data.ingest import IngestOptions, ingest
from tunesmith.data.readers import Reading
from tunesmith.data.reading import read_path
from tunesmith.data.shapes import expand_json, shape_of

QUESTIONS = ("How do I reset the router?", "Where is the invoice of May?", "Can the parcel come on Friday instead?",
             "Why was I charged twice?", "Who repairs a cracked screen?", "When does the museum open on Sunday?",
             "What is the fee for a late return?", "Which train goes to the airport?", "Do you sell gift cards?",
             "Is the blue jacket still in stock?", "How long does the battery last?",
             "May I bring my dog?")  # fmt: skip


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def conversations(question: str, good: str, bad: str) -> dict[str, Any]:
    return {
        "chosen": [turn("user", question), turn("assistant", good)],
        "rejected": [turn("user", question), turn("assistant", bad)],
    }


FORMS: dict[str, Any] = {
    "plain": lambda q, good, bad: {"prompt": q, "chosen": good, "rejected": bad},
    "conversational": lambda q, good, bad: {
        "prompt": [turn("user", q)], "chosen": [turn("assistant", good)], "rejected": [turn("assistant", bad)],
    },
    "whole conversations": conversations,
    "prompt beside whole conversations": lambda q, good, bad: {"prompt": q, **conversations(q, good, bad)},
}  # fmt: skip


def written(folder: Path, records: list[dict[str, Any]]) -> Path:
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


@pytest.mark.parametrize("form", FORMS)
def test_the_rejected_answer_is_found_in_every_form(tmp_path: Path, form: str) -> None:
    path = written(tmp_path, [FORMS[form](q, f"Good {i}.", f"Bad {i}.") for i, q in enumerate(QUESTIONS)])
    shape = shape_of(expand_json(read_path(path, Reading())))
    assert shape is not None
    assert (shape.name, shape.rejected) == ("preference", "rejected")
    assert shape.table.values(shape.inputs[0]) == list(QUESTIONS)
    assert shape.table.values(shape.target) == [f"Good {i}." for i in range(len(QUESTIONS))]
    assert shape.table.values("rejected") == [f"Bad {i}." for i in range(len(QUESTIONS))]


def test_conversations_that_part_before_their_last_turn_have_nothing_to_compare(tmp_path: Path) -> None:
    records = [conversations(q, "Yes.", "No.") for q in QUESTIONS]
    records[3]["rejected"][0]["content"] = "Something else?"
    shape = shape_of(expand_json(read_path(written(tmp_path, records), Reading())))
    assert shape is not None
    assert [i for i, value in enumerate(shape.table.values("rejected")) if value is None] == [3]


def ingested(folder: Path, records: list[dict[str, Any]]) -> Dataset:
    folder.mkdir()
    ctx = Context(folder, 0, Limits(), lambda *_, **__: None, lambda _: None)
    return ingest(IngestOptions(written(folder, records)), ctx)


def test_rejected_answers_reach_the_rows_and_are_sealed_with_the_test_targets(tmp_path: Path) -> None:
    def said(i: int) -> str:
        return f"The desk on floor {i} answers this in the afternoon, please ask there."

    records = [
        FORMS["plain"](f"{q} ({word})", said(i), f"I have no idea about number {i}, sorry.")
        for i, (word, q) in enumerate((w, q) for w in ("first", "again", "urgent") for q in QUESTIONS)
    ]
    records[0]["rejected"] = None
    data = ingested(tmp_path / "a", records)
    by_prompt = {record["prompt"]: record["rejected"] or "" for record in records}
    for split in ("train", "dev"):
        rows = data.rows(split)  # type: ignore[arg-type]
        assert rows.rejected == tuple(by_prompt[text] for text in rows.texts)
        assert rows.take([1, 0]).rejected == (rows.rejected[1], rows.rejected[0])
    assert data.rows("test", blind=True).rejected == ()
    sealed = [
        r for r, s in zip(*(data.table[c].to_pylist() for c in ("rejected", "split")), strict=True) if s == "test"
    ]
    assert sealed
    assert set(sealed) == {None}
    both = data.rows("train") + data.rows("dev")
    assert len(both.rejected) == len(both)
    data.save(tmp_path / "a" / "kept")
    assert Dataset.load(tmp_path / "a" / "kept").fingerprint == data.fingerprint

    other = [{**record, "rejected": "Other."} for record in records]
    assert ingested(tmp_path / "b", other).fingerprint != data.fingerprint
    plain = ingested(tmp_path / "c", [{"prompt": r["prompt"], "completion": r["chosen"]} for r in records])
    assert "rejected" not in plain.table.column_names
    assert plain.rows("train").rejected == ()
