"""The data as it would be without a step, and what the judged rows are."""

from __future__ import annotations

from curated_case import dataset

from tunesmith.core.findings import Finding
from tunesmith.evaluation.arms import Replay, same

WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight")
TEXTS = [
    f"ticket number {word} about nothing else"
    for word in ["one", "two", "three", "four", "five", "six", "seven", "eight"]
]
LABELS = ["a", "b", "a", "b", "a", "b", "a", "b"]
SPLITS = ["train"] * 5 + ["dev"] * 3


def test_an_arm_holds_only_what_its_steps_did() -> None:
    data = dataset(TEXTS, LABELS, SPLITS)
    findings = [
        Finding("first", 0, "drop", "x"),
        Finding("second", 1, "fix", "x", fix="a", was="b", field="target"),
        Finding("third", 2, "fix", "x", fix="a better text", was=TEXTS[2]),
        Finding("third", 6, "fix", "x", fix="a better question", was=TEXTS[6]),
        Finding("flags", 3, "flag", "x"),
    ]
    replay = Replay(data, findings)
    assert replay.steps == ("first", "second", "third")
    assert replay.touched == {"first": {"dropped": 1}, "second": {"relabelled": 1}, "third": {"mended": 1}}
    everything = replay.arm(replay.steps)
    assert everything.texts == (TEXTS[1], "a better text", TEXTS[3], TEXTS[4])
    assert everything.targets == ("a", "a", "b", "a")
    assert everything.ask == (TEXTS[5], "a better question", TEXTS[7])
    without = replay.arm(["second", "third"])
    assert without.at.tolist() == [0, 1, 2, 3, 4]
    assert same(replay.arm(()), Replay(data, []).arm(()))
    assert not same(everything, without)


def test_no_step_changes_which_dev_rows_judge_or_what_is_right_in_them() -> None:
    data = dataset(TEXTS, LABELS, SPLITS)
    findings = [
        Finding("eager", 5, "drop", "hard"),
        Finding("eager", 6, "fix", "wrong", fix="b", was="a", field="target"),
        Finding("eager", 7, "fix", "wrong", fix="a", was="b", field="target", review="edit"),
    ]
    replay = Replay(data, findings)
    assert replay.judged.tolist() == [5, 6, 7]
    assert replay.truth == ("b", "a", "a")  # the last by a person
    assert replay.disputed(["eager"]) == {5: None, 6: "b"}


def test_a_label_renamed_everywhere_is_renamed_in_what_is_right() -> None:
    data = dataset(TEXTS, ["a", "b", "a", "bb", "a", "bb", "a", "b"], SPLITS)
    findings = [Finding("names", row, "fix", "misspelt", fix="b", was="bb", field="target") for row in (3, 5)]
    replay = Replay(data, findings)
    assert replay.renamed == {"bb": "b"}
    assert replay.truth == ("b", "a", "b")
    assert replay.disputed(["names"]) == {}


def test_dev_rows_that_train_copies_are_not_judged() -> None:
    texts = [*TEXTS[:5], TEXTS[0].upper(), *TEXTS[6:]]
    data = dataset(texts, LABELS, SPLITS)
    groups = data.table["group"].to_pylist()
    groups[5] = 0
    import pyarrow as pa

    at = data.table.column_names.index("group")
    data = data.with_table(data.table.set_column(at, "group", pa.array(groups, pa.int64())))
    replay = Replay(data, [])
    assert replay.judged.tolist() == [6, 7]
    assert replay.copied == 1


def test_a_change_that_builds_on_one_left_out_is_counted() -> None:
    data = dataset(TEXTS, LABELS, SPLITS)
    findings = [
        Finding("one", 0, "fix", "x", fix="half mended", was=TEXTS[0]),
        Finding("two", 0, "fix", "x", fix="mended", was="half mended"),
    ]
    replay = Replay(data, findings)
    assert replay.arm(["one", "two"]).entangled == 0
    assert replay.arm(["two"]).texts[0] == "mended"
    assert replay.arm(["two"]).entangled == 1
