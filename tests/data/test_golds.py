"""Questions are linked to passages however the table names them; what cannot be linked is told or refused."""

from __future__ import annotations

import pytest

from tunesmith.core.errors import DataError
from tunesmith.core.library import Library, Passage
from tunesmith.data.golds import GOLD, link
from tunesmith.data.table import LIST_MARK, table_of
from tunesmith.tasks.citations import references_of

LIBRARY = Library(
    (Passage("a.md", "1", "The first text."), Passage("a.md", "2", "The second."), Passage("b.md", "7", "The third."))
)
ASKED = ["What is first?", "What is second?", "What is third?"]


def _golds(columns, library=LIBRARY, **more):
    linked = link(table_of(columns, file="q.csv"), library, target="auto", inputs="auto", file="q.csv", **more)
    return [None if v is None else references_of(v) for v in linked.table.values(GOLD)], linked


@pytest.mark.parametrize(
    "columns",
    [
        {"document": ["a.md", "a.md", "b.md"], "passage_id": ["1", "2", "7"]},
        {"evidence": ["a.md#1", "a.md § 2", "b.md 7"]},
        {"gold": ["The first text.", "The  second.", "The third."]},
        {"answer": ["The first text.", "The second.", "The third."], "noise": ["x", "y", "z"]},
    ],
)
def test_passages_are_found_by_ids_by_both_in_one_and_by_text(columns):
    golds, linked = _golds({"question": ASKED, **columns})
    assert golds == [(("a.md", "1"),), (("a.md", "2"),), (("b.md", "7"),)]
    assert linked.question == "question"
    assert not (set(columns) - {"noise"}) & set(linked.table.names)


def test_a_cell_may_name_several():
    golds, _ = _golds(
        {"question": ASKED, "ids": ["a.md#1; a.md#2", f"a.md#2{LIST_MARK}b.md#7", '["b.md#7", "a.md#1"]']}
    )
    assert golds == [
        (("a.md", "1"), ("a.md", "2")),
        (("a.md", "2"), ("b.md", "7")),
        (("b.md", "7"), ("a.md", "1")),
    ]


def test_questions_that_carry_their_passages_make_the_library():
    golds, linked = _golds(
        {
            "Question": ASKED,
            "Passages.DocumentID": ["9", f"9{LIST_MARK}9", "2"],
            "Passages.PassageID": ["x", f"x{LIST_MARK}y", "x"],
            "Passages.Passage": ["Text x", f"Text x{LIST_MARK}Text y", "Text of 2"],
        },
        None,
    )
    assert [p.reference for p in linked.library] == [("2", "x"), ("9", "x"), ("9", "y")]
    assert golds[1] == (("9", "x"), ("9", "y"))


def test_a_quoted_part_names_its_passage():
    library = Library(
        (
            Passage("a", "1", "Records are kept\nfor six years by all. Are kept for six years by all."),
            Passage("a", "2", "Another text."),
        )
    )
    golds, _ = _golds(
        {"question": ASKED, "evidence": ["kept for six years by", "Another text.", "Another text."]}, library
    )
    assert golds == [None, (("a", "2"),), (("a", "2"),)]  # 21 characters are too few
    golds, _ = _golds(
        {"question": ASKED, "evidence": ["are kept for six years by all", *["Another text."] * 2]}, library
    )
    assert golds[0] == (("a", "1"),)


def test_contexts_without_ids_are_numbered_whatever_the_order_of_rows():
    columns = {"question": ASKED, "context": ["B text here", "A text here", "B text here"]}
    golds, linked = _golds(columns, None)
    assert golds == [(("q.csv", "2"),), (("q.csv", "1"),), (("q.csv", "2"),)]
    assert len(linked.library) == 2


def test_gold_ids_that_the_library_lacks_are_told():
    golds, linked = _golds({"question": ASKED, "ids": ["a.md#1", "a.md#99", "b.md#7"]})
    assert golds[1] is None
    assert any("a.md#99" in warning for warning in linked.warnings)


def test_a_library_of_something_else_is_refused():
    with pytest.raises(DataError, match="0 name one that is in the library"):
        _golds({"question": ASKED, "document": ["x", "y", "z"], "passage_id": ["4", "5", "6"]})


def test_no_documents_and_no_questions_are_refused():
    with pytest.raises(DataError, match="no documents to answer from"):
        _golds({"question": ASKED, "ids": ["1", "2", "3"]}, None)
    with pytest.raises(DataError, match="no column holds questions"):
        link(table_of({"x": ["1"], "y": ["2"]}, file="q"), LIBRARY, target="auto", inputs="auto", file="q")
    with pytest.raises(DataError, match="no column but"):
        _golds({"question": ASKED})


def test_an_id_that_two_documents_have_names_neither():
    twice = Library((Passage("a", "1", "One."), Passage("b", "1", "Other."), Passage("b", "2", "Two.")))
    golds, _ = _golds({"question": ASKED, "ids": ["1", "2", "2"]}, twice)
    assert golds == [None, (("b", "2"),), (("b", "2"),)]


def test_empty_questions_are_told():
    _, linked = _golds({"question": ["", *ASKED[1:]], "ids": ["a.md#1", "a.md#2", "b.md#7"]})
    assert any("no question" in warning for warning in linked.warnings)
