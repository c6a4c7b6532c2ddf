"""Decisions: appended whole, matched by content, the last one wins, damaged lines are told and kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tunesmith.core.errors import DataError
from tunesmith.data.reviews import Review, Ruling, append_reviews, read_reviews, reviews_beside


def review(row: str, verdict: str = "reject", **more: str) -> Review:
    return Review(Ruling(row, "labels", "", verdict, **more), "2026-01-31T10:00:00+00:00", "anna")  # type: ignore[arg-type]


def test_the_last_decision_wins_and_earlier_ones_stay(tmp_path: Path) -> None:
    path = tmp_path / "reviews.jsonl"
    append_reviews(path, [review("a"), review("b"), review("a", "edit", field="target", value="refund", does="fix")])
    found = read_reviews(path)
    assert len(found.lines) == 3
    assert [(r.row, r.verdict, r.value) for r in found.holding()] == [("a", "edit", "refund"), ("b", "reject", None)]


def test_damaged_lines_are_told_with_their_number_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "reviews.jsonl"
    append_reviews(path, [review("a")])
    with path.open("ab") as handle:
        handle.write(b'{"row": "b", "st\xff')  # cut off by a kill
    append_reviews(path, [review("c")])
    found = read_reviews(path)
    assert [r.ruling.row for r in found.lines] == ["a", "c"]
    assert [number for number, _ in found.damaged] == [2]
    assert b'{"row": "b"' in path.read_bytes()


def test_lines_of_several_writers_never_mix(tmp_path: Path) -> None:
    path = tmp_path / "reviews.jsonl"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: append_reviews(path, [review(f"{i}-{k}") for k in range(5)]), range(20)))
    found = read_reviews(path)
    assert len(found.lines) == 100
    assert found.damaged == ()


@pytest.mark.parametrize("line", ["[]", '{"row": "a"}', '{"row": "a", "step": "s", "kind": "", "verdict": "maybe"}'])
def test_a_line_that_is_no_decision_is_damaged(tmp_path: Path, line: str) -> None:
    path = tmp_path / "reviews.jsonl"
    path.write_text(line + "\n")
    assert [number for number, _ in read_reviews(path).damaged] == [1]


def test_no_file_means_no_reviews_and_an_unwritable_place_is_named(tmp_path: Path) -> None:
    assert read_reviews(tmp_path / "none.jsonl").lines == ()
    with pytest.raises(DataError, match="cannot be written"):
        append_reviews(tmp_path / "no" / "reviews.jsonl", [review("a")])
    assert reviews_beside([tmp_path / "a.csv"]) == tmp_path / "reviews.jsonl"
