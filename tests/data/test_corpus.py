"""Documents to read: found in files of every kind, taken once, split, and kept apart from dev and test rows."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pyarrow as pa
import pytest

from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import DataError
from tunesmith.data.corpus import Document, corpus_of, holding, read_documents

QUESTION = "May the landlord keep the deposit when the garden wall was broken by the storm of last May?"


def dataset(test: str = QUESTION, *, dev_answer: str = "no", labels: tuple[str, ...] = ("no", "yes")) -> Dataset:
    table = pa.table(
        {
            "id": pa.array(range(3), pa.int64()), "text": ["a train row", "a dev row", test],
            "target": ["yes", dev_answer, None], "split": ["train", "dev", "test"],
            "weight": pa.array([1.0] * 3, pa.float32()), "group": pa.array(range(3), pa.int64()),
        }
    )  # fmt: skip
    return Dataset(table, "classify" if labels else "rewrite", labels, ("text",), "answer")


def essays(n: int) -> list[Document]:
    """n documents of 60 made-up words each, no two alike."""
    draw = random.Random(0)
    words = ["".join(draw.choices("aeioubdgklmnprst", k=draw.randint(3, 9))) for _ in range(3_000)]
    return [Document(f"d{i}", " ".join(draw.choices(words, k=60))) for i in range(n)]


def test_a_document_is_a_file_or_a_row_and_rows_of_one_id_are_one(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("First paragraph.\n\nSecond paragraph.", encoding="utf-8")
    (tmp_path / "b.md").write_text("# Title\n\nText.", encoding="utf-8")
    (tmp_path / "c.csv").write_text("document_id,passage\nx,one\ny,two\nx,three\n", encoding="utf-8")
    (tmp_path / "d.jsonl").write_text('{"text": "alone"}\n{"text": ""}\n', encoding="utf-8")
    (tmp_path / "e.txt").write_text(" \n", encoding="utf-8")
    found, warnings = read_documents([tmp_path])
    assert [(one.name, one.text) for one in found] == [
        ("a.txt", "First paragraph.\n\nSecond paragraph."), ("b.md", "# Title\n\nText."),
        ("c.csv x", "one\n\nthree"), ("c.csv y", "two"), ("d.jsonl row 1", "alone"),
    ]  # fmt: skip
    assert warnings == ["left out: e.txt is empty."]


def test_a_column_can_be_named_and_a_wrong_one_is_refused_with_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "notes.csv"
    path.write_text("number,dialogue\n1,Doctor: hello\n2,Patient: hello\n", encoding="utf-8")
    assert [one.text for one in read_documents([path], column="dialogue")[0]] == ["Doctor: hello", "Patient: hello"]
    with pytest.raises(DataError, match="no column holds documents") as caught:
        read_documents([path])
    assert "domain.column" in str(caught.value.hint)
    with pytest.raises(DataError, match="'dialog'") as caught:
        read_documents([path], column="dialog")
    assert "dialogue" in str(caught.value.hint)


def test_nothing_to_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no text was found"):
        read_documents([tmp_path])
    (tmp_path / "empty.txt").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match=r"holds no text|is empty"):
        read_documents([tmp_path / "empty.txt"])
    with pytest.raises(DataError, match="no such file"):
        read_documents([tmp_path / "absent"])


def test_a_document_that_holds_a_test_row_is_left_out_whatever_its_case_and_spaces() -> None:
    leaking = Document("leak", "Some words before.  " + QUESTION.upper().replace(" ", "\n") + " And after.")
    made = corpus_of([*essays(30), leaking], dataset(), seed=0)
    assert made.left_out == (("leak", "holds a row"),)
    assert made.count("holds a row") == 1
    assert not any("GARDEN WALL" in one.text for one in (*made.train, *made.held_out))


def test_most_of_a_row_is_enough_and_a_few_common_words_are_not() -> None:
    half = " ".join(QUESTION.split()[:10])
    documents = [Document("a", f"{QUESTION[:-4]} year?"), Document("b", f"It says: {half}, or not.")]
    assert holding(documents, [QUESTION]) == [True, False]
    assert holding([Document("a", "Thank you!"), Document("b", "He said thank you twice.")], ["thank you"]) == [
        True, False,
    ]  # fmt: skip


def test_answers_of_dev_rows_are_looked_for_where_they_are_texts() -> None:
    answer = "The landlord may keep the deposit only when the tenant broke the garden wall on purpose."
    leaking = [*essays(30), Document("leak", f"Summary: {answer}")]
    assert corpus_of(leaking, dataset(dev_answer=answer, labels=()), seed=0).count("holds a row") == 1
    assert corpus_of(leaking, dataset(dev_answer=answer), seed=0).count("holds a row") == 0


def test_copies_are_taken_once_and_near_copies_stay_on_one_side() -> None:
    documents = essays(40)
    near = [Document(f"{one.name} again", one.text.replace(" ", "  ") + " x") for one in documents]
    made = corpus_of([*documents, *documents[:5], *near], dataset(), seed=0)
    assert made.count("copy") == 5
    assert not {one.group for one in made.train} & {one.group for one in made.held_out}
    sides = {one.name: side for side in ("train", "held_out") for one in getattr(made, side)}
    assert all(sides[one.name] == sides[f"{one.name} again"] for one in documents)


def test_few_long_documents_are_cut_into_parts_and_few_short_ones_refused() -> None:
    book = Document("book", "\n\n".join(f"{one.text}." for one in essays(120)))
    made = corpus_of([book], dataset(), seed=0)
    assert made.parts
    assert len(made.held_out) >= 5
    assert all(one.text in book.text for one in (*made.train, *made.held_out))
    with pytest.raises(DataError, match="too few"):
        corpus_of(essays(4), dataset(), seed=0)


def test_the_split_depends_on_the_seed_alone() -> None:
    first, again, other = (corpus_of(essays(60), dataset(), seed=seed) for seed in (0, 0, 1))
    assert json.dumps([one.name for one in first.held_out]) == json.dumps([one.name for one in again.held_out])
    assert [one.name for one in first.held_out] != [one.name for one in other.held_out]
