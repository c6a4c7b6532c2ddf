"""What each curation step about copies, lengths, languages and labels finds, and what it leaves alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tunesmith.core.dataset import Dataset
from tunesmith.core.findings import Finding
from tunesmith.data.benchmarks import read_benchmark
from tunesmith.data.curate import clean
from tunesmith.data.label_names import confusions, misspelt
from tunesmith.data.meaning import Reader
from tunesmith.data.steps import CannotRun
from tunesmith.data.steps.conflicts import conflicts
from tunesmith.data.steps.duplicates import duplicates
from tunesmith.data.steps.labels import labels
from tunesmith.data.steps.language import language
from tunesmith.data.steps.leaks import leaks
from tunesmith.data.steps.length import length

ASKS = "why has the payment with my card not gone through yet"
TURNED = "not gone through yet why has with my card the payment"
OTHER = "where do i see the exchange rate that was used for my transfer"


def data(*rows: tuple[str, str, str | None], written: bool = False) -> Dataset:
    n = len(rows)
    table = pa.table(
        {
            "id": pa.array(range(n), pa.int64()),
            "text": [text for _, text, _ in rows],
            "target": pa.array([target for _, _, target in rows], pa.string()),
            "split": [split for split, _, _ in rows],
            "weight": pa.array([1.0] * n, pa.float32()),
            "group": pa.array(range(n), pa.int64()),
            "file": ["a.csv"] * n,
            "row": pa.array(range(1, n + 1), pa.int64()),
            "hash": [f"{at:016x}" for at in range(n)],
            "changes": pa.array([[]] * n, pa.list_(pa.string())),
        }
    )
    names = () if written else tuple(sorted({t for _, _, t in rows if t is not None}))
    return Dataset(table, "answer" if written else "classify", names, ("text",), "label")


def found(findings: Sequence[Finding]) -> list[tuple[int, str]]:
    return [(finding.id, finding.action) for finding in findings]


def test_reordered_and_misspelt_repeats_are_flagged_or_dropped() -> None:
    rows = data(
        ("train", ASKS, "a"),
        ("train", TURNED, "a"),
        ("train", ASKS.replace("card", "crad"), "a"),
        ("train", OTHER, "a"),
    )
    assert found(duplicates(rows)) == [(1, "flag"), (2, "flag")]
    assert found(duplicates(rows, near="drop")) == [(1, "drop"), (2, "drop")]


def test_equal_texts_conflict_and_the_majority_can_be_kept() -> None:
    rows = data(("train", ASKS, "a"), ("train", ASKS.upper(), "a"), ("train", ASKS, "b"), ("train", OTHER, "b"))
    assert found(conflicts(rows)) == [(0, "flag"), (1, "flag"), (2, "flag")]
    assert found(conflicts(rows, keep="majority")) == [(0, "flag"), (1, "flag"), (2, "drop")]
    assert found(conflicts(rows, keep="none")) == [(0, "drop"), (1, "drop"), (2, "drop")]
    assert "'b' (row 2)" in conflicts(rows)[0].reason


def test_nearly_equal_texts_conflict_but_are_never_dropped() -> None:
    rows = data(("train", ASKS, "a"), ("dev", TURNED, "b"), ("train", OTHER, "b"))
    assert found(conflicts(rows, keep="none")) == [(0, "flag"), (1, "flag")]


def test_the_same_question_with_another_answer_conflicts_and_the_same_answer_worded_alike_does_not() -> None:
    rows = data(
        ("train", ASKS, "It is done on the next working day."),
        ("train", ASKS, "it is done on the next  working day"),
        ("train", OTHER, "In the app under rates."),
        ("train", OTHER, "Ask your branch."),
        written=True,
    )
    assert found(conflicts(rows)) == [(2, "flag"), (3, "flag")]


def test_a_reordered_copy_of_a_test_row_is_a_leak() -> None:
    rows = data(("train", TURNED, "a"), ("train", OTHER, "a"), ("dev", OTHER.upper(), "a"), ("test", ASKS, None))
    assert found(leaks(rows)) == [(0, "drop"), (1, "drop")]
    assert found(leaks(rows, keep=True)) == [(0, "flag"), (1, "flag")]


def test_rows_that_a_named_benchmark_holds_are_dropped_and_test_rows_flagged(tmp_path: Path) -> None:
    (tmp_path / "bench.csv").write_text(f"question,level\n{ASKS},easy\n{OTHER},hard\nwhat is the fee for cash,easy\n")
    rows = data(
        ("train", TURNED, "a"),
        ("train", f"a person writes to us: {OTHER}; what do we answer?", "a"),
        ("train", "easy", "a"),
        ("dev", "i would like to close my account today", "a"),
        ("test", ASKS, None),
    )
    findings = leaks(rows, against=(tmp_path / "bench.csv",))
    assert found(findings) == [(0, "drop"), (1, "drop"), (4, "flag")]
    assert [f.reason for f in findings[1:]] == ["contains row 2 of bench.csv", "equals row 1 of bench.csv"]
    assert read_benchmark(tmp_path / "bench.csv").texts == (ASKS, OTHER, "what is the fee for cash")
    after, _ = clean(rows, ["leaks"], settings={"leaks": {"against": (tmp_path / "bench.csv",)}})
    assert after.table["id"].to_pylist() == [2, 3, 4]


def test_texts_too_short_too_long_or_empty_are_flagged() -> None:
    rows = data(*[("train", OTHER, "a")] * 3, ("train", "why", "a"), ("test", "...", None), ("train", OTHER * 20, "a"))
    assert found(length(rows, context=100)) == [(3, "flag"), (4, "flag"), (5, "flag")]
    assert [f.kind for f in length(rows, context=100)] == ["short", "empty", "long"]
    assert found(length(data(("train", "good", "a"), ("train", "bad", "a")))) == []


def test_a_row_in_another_language_is_flagged_and_a_table_of_two_languages_is_not() -> None:
    german = "ich habe gestern eine neue karte bestellt und sie ist noch nicht angekommen"
    english = [("train", f"{OTHER} number {at} please tell me", "a") for at in range(40)]
    assert found(language(data(*english, ("test", german, None)))) == [(40, "flag")]
    assert language(data(*english, *[("train", german, "a")] * 20)) == []


def test_foreign_rows_are_flagged_though_they_share_their_words() -> None:
    german = "ich habe gestern eine neue karte bestellt und sie ist noch nicht angekommen seit tag"
    english = [("train", f"{OTHER} number {at} please tell me", "a") for at in range(200)]
    findings = language(data(*english, *[("train", f"{german} {at}", "a") for at in range(8)]))
    assert [f.id for f in findings] == list(range(200, 208))


def test_what_repeats_in_other_words_is_flagged_where_the_encoder_lies_here(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = data(("train", "where can i buy a ticket", "a"), ("train", "where can i purchase a ticket", "a"))
    module = sys.modules[duplicates.__module__]
    alike = Reader(
        lambda texts: np.ones((len(texts), 1), np.float32), lambda _, spans: np.ones((len(spans), 1), np.float32)
    )
    monkeypatch.setattr(module, "reader", lambda encoder: alike)
    findings = duplicates(rows, meaning="flag")
    assert [(f.id, f.action, f.kind) for f in findings] == [(1, "flag", "meaning")]
    assert duplicates(rows) == []
    monkeypatch.setattr(module, "reader", lambda encoder: None)
    with pytest.raises(CannotRun, match="not on this machine"):
        duplicates(rows, meaning="flag")


def test_the_majority_of_equal_texts_is_suggested() -> None:
    rows = data(("train", ASKS, "a"), ("train", ASKS.upper(), "a"), ("train", ASKS, "b"), ("train", OTHER, "b"))
    assert [(f.fix, f.field) for f in conflicts(rows)] == [(None, "text"), (None, "text"), ("a", "target")]


def test_rare_and_misspelt_labels_are_flagged() -> None:
    rows = [("train", f"{OTHER} {at}", "refund") for at in range(20)] + [
        ("train", ASKS, "refnd"),
        ("dev", TURNED, "fee"),
    ]
    findings = labels(data(*rows))
    assert found(findings) == [(20, "flag"), (21, "flag")]
    assert "Did you mean 'refund'?" in findings[0].reason
    assert (findings[0].fix, findings[0].field) == ("refund", "target")
    with pytest.raises(CannotRun):
        labels(data(*rows, written=True))


def test_two_names_for_one_thing_are_flagged_and_two_things_are_not() -> None:
    draw = np.random.default_rng(0)
    words = [
        ["money", "fund", "refund", "back", "return", "owed"],
        ["card", "plastic", "chip", "pin", "lost", "stolen"],
    ]
    rows = []
    for at in range(200):
        topic = at % 2
        text = " ".join(draw.choice(words[topic], 4)) + f" {at}"
        rows.append(("train", text, ("refund" if at % 4 else "money back") if topic == 0 else "card"))
    findings = labels(data(*rows))
    assert {f.fix for f in findings} == {"money back"} or {f.fix for f in findings} == {"refund"}
    assert {f.kind for f in findings} == {"same"}
    assert confusions([text for _, text, _ in rows], ["card"] * 200) == {}


def test_misspelt_labels_are_told_from_numbered_ones() -> None:
    assert misspelt({"Refund": 30, "refund ": 2, "refnd": 3, "level 1": 30, "level 2": 3}) == {
        "refund ": "Refund",
        "refnd": "Refund",
    }
