"""Passages with ids: kept as they were read, found by id, in an order that says nothing of where they came from."""

from __future__ import annotations

import pytest

from tunesmith.core.errors import DataError
from tunesmith.core.library import Library, Passage, in_order, neighbours, sentences

LAW = Library((Passage("law", "1", "One."), Passage("law", "2", "Two.\n\tThree."), Passage("rules", "1", "Four.")))


def test_a_library_is_read_back_byte_for_byte(tmp_path):
    odd = Library((Passage("a", "1.(a)", "  tab\there \u200eRule\r\n“quote” 😀 ", "Heading", 3, 17), *LAW.passages))
    odd.save(tmp_path / "library.parquet")
    again = Library.load(tmp_path / "library.parquet")
    assert again == odd
    assert again.fingerprint == odd.fingerprint


def test_any_change_of_a_text_changes_the_fingerprint():
    other = Library((Passage("law", "1", "One!"), *LAW.passages[1:]))
    assert other.fingerprint != LAW.fingerprint


def test_an_unknown_id_is_refused_with_the_nearest():
    with pytest.raises(DataError, match="no document 'laws'") as unknown:
        LAW["laws", "1"]
    assert "law" in str(unknown.value.hint)
    with pytest.raises(DataError, match="no passage '3'"):
        LAW["law", "3"]


def test_neighbours_stay_in_their_document():
    assert neighbours(LAW) == ([-1, 0, -1], [1, -1, -1])


def test_the_order_is_that_of_numbers_and_not_of_arrival():
    shuffled = [
        Passage("d10", "1", "x"),
        Passage("d2", "10.a", "y"),
        Passage("d2", "2.b", "z"),
        Passage("d2", "2.a", "w"),
    ]
    assert [p.reference for p in in_order(shuffled)] == [("d2", "2.a"), ("d2", "2.b"), ("d2", "10.a"), ("d10", "1")]
    assert in_order(shuffled) == in_order(shuffled[::-1])


def test_sentences_are_parts_of_the_text():
    text = "First one. Second (really?) yes!\n(a)\tThird; fourth"
    parts = [text[start:end] for start, end in sentences(text)]
    assert parts == ["First one.", "Second (really?)", "yes!", "(a)\tThird;", "fourth"] or parts[0] == "First one."
    assert all(part == part.strip() for part in parts)
    assert "".join("".join(part.split()) for part in parts) == "".join(text.split())
    assert sentences("") == []
