"""The curate stage: what it drops, what it only flags, and what it writes down."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from tunesmith.core.context import Context
from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import ConfigError, DataError
from tunesmith.core.findings import load_findings
from tunesmith.data.curate import CurateOptions, curate, restore, reviewed
from tunesmith.data.ingest import IngestOptions, ingest
from tunesmith.data.reviews import Ruling

KINDS = ("cards", "cash")


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, ["text", "label"])
        writer.writeheader()
        writer.writerows(rows)
    return path


def unlike(at: int) -> dict[str, str]:
    """A row that resembles no other: its words are drawn letter by letter."""
    draw = np.random.default_rng(at)
    words = ["".join(draw.choice(list("abcdefghijklmnopqrstuvwxyz"), size=6)) for _ in range(10)]
    return {"text": f"{KINDS[at % 2]} {' '.join(words)}", "label": KINDS[at % 2]}


def prepared(tmp_path: Path, train: list[dict[str, str]], **options: bool) -> tuple[Dataset, Dataset]:
    path = write(tmp_path / "train.csv", train)
    test = write(tmp_path / "test.csv", [unlike(at) for at in range(500, 540)])
    read = ingest(
        IngestOptions(path=path, test=test, target="label", inputs=("text",), **options),
        Context(tmp_path / "01-ingest"),
    )
    return read, curate(read, CurateOptions(), Context(tmp_path / "02-curate"))


def test_rows_that_copy_the_test_are_dropped_and_written_down(tmp_path: Path) -> None:
    copies = [{**unlike(at), "text": unlike(at)["text"].upper()} for at in range(500, 510)]
    before, after = prepared(tmp_path, [unlike(at) for at in range(100)] + copies)
    assert before.notes["split"]["leaks"] == 10
    assert after.notes["curation"]["leaks_dropped"] == 10
    assert after.count("train") + after.count("dev") == 100
    findings = [f for f in load_findings(tmp_path / "02-curate" / "findings.parquet") if f.step == "leaks"]
    assert sorted(f.id for f in findings) == list(range(100, 110))
    assert {f.reason for f in findings} == {"copies a test row"}


def test_keep_leaks_keeps_and_flags_them(tmp_path: Path) -> None:
    copies = [unlike(at) for at in range(500, 510)]
    _, after = prepared(tmp_path, [unlike(at) for at in range(100)] + copies, keep_leaks=True)
    assert after.notes["curation"]["leaks_dropped"] == 0
    assert after.notes["curation"]["leaks_kept"] == 10
    assert after.count("train") + after.count("dev") == 110


def test_repeated_train_rows_are_dropped_but_the_first(tmp_path: Path) -> None:
    rows = [unlike(at) for at in range(100)]
    before, after = prepared(tmp_path, rows + rows[:20])
    repeated = sum(
        1
        for i, split in zip(before.table["id"].to_pylist(), before.table["split"].to_pylist(), strict=True)
        if i >= 100 and split == "train"
    )
    assert before.count("train") - after.count("train") == repeated > 0


def test_equal_texts_with_different_answers_are_flagged_not_dropped(tmp_path: Path) -> None:
    rows = [unlike(at) for at in range(100)]
    other = {"text": rows[4]["text"], "label": "cash" if rows[4]["label"] == "cards" else "cards"}
    before, after = prepared(tmp_path, [*rows, other])
    assert before.notes["split"]["conflicting_duplicates"] == 2
    flags = [f for f in load_findings(tmp_path / "02-curate" / "findings.parquet") if "also has the answer" in f.reason]
    assert {f.id for f in flags} == {4, 100}
    assert {4, 100} <= set(after.table["id"].to_pylist())


def test_a_train_set_that_only_copies_the_test_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="would leave no") as caught:
        prepared(tmp_path, [unlike(at) for at in range(500, 540)])
    assert "--keep-leaks" in (caught.value.hint or "")


def test_the_sealed_targets_are_untouched(tmp_path: Path) -> None:
    before, after = prepared(tmp_path, [unlike(at) for at in range(100)])
    assert after.seal == before.seal
    assert after.unseal() == before.unseal()
    assert after.notes["rows"] == before.notes["rows"]


def test_an_unknown_step_names_the_nearest(tmp_path: Path) -> None:
    data, _ = prepared(tmp_path, [unlike(at) for at in range(100)])
    with pytest.raises(ConfigError, match="no step is called 'duplicate'") as caught:
        curate(data, CurateOptions(steps=("duplicate",)), Context(tmp_path / "x"))
    assert caught.value.hint == "Did you mean 'duplicates'?"


def test_options_are_few_and_have_help() -> None:
    from dataclasses import fields

    for options in (IngestOptions, CurateOptions):
        assert len(fields(options)) <= 16
        assert all(field.metadata.get("help") for field in fields(options))


def steps_sample(tmp_path: Path) -> Dataset:
    return ingest(
        IngestOptions(
            path=write(tmp_path / "t.csv", [unlike(at) for at in range(60)]), target="label", inputs=("text",)
        ),
        Context(tmp_path / "01"),
    )


def test_a_policy_turns_drops_into_flags_and_off_skips(tmp_path: Path) -> None:
    rows = [unlike(at) for at in range(100)]
    read, after = prepared(tmp_path, rows + rows[:20])
    flagged = curate(read, CurateOptions(policy={"duplicates": "flag"}), Context(tmp_path / "flag"))
    off = curate(read, CurateOptions(policy={"duplicates": "off"}), Context(tmp_path / "off"))
    assert after.count("train") < flagged.count("train") == off.count("train") == read.count("train")
    assert {f.asked for f in load_findings(tmp_path / "flag" / "findings.parquet")} >= {"drop"}
    assert off.notes["curation"]["steps_not_run"] == {"duplicates": "switched off"}


def test_decisions_are_matched_by_content_and_test_rows_are_left_alone(tmp_path: Path) -> None:
    read = steps_sample(tmp_path)
    rulings = tuple(
        Ruling(row, "labels", "", "edit", "target", "coins", "fix")
        for row, text in zip(read.table["hash"].to_pylist(), read.table["text"].to_pylist(), strict=True)
        if text.startswith("cash")
    )
    after = curate(read, CurateOptions(reviewed=rulings), Context(tmp_path / "02"))
    assert set(after.rows("train").targets) | set(after.rows("dev").targets) == {"cards", "coins"}
    assert after.unseal() == read.unseal()
    assert "coins" in after.labels
    back = restore(after, read, read.table["id"].to_pylist())
    assert back.table["target"].to_pylist() == read.table["target"].to_pylist()


@pytest.mark.parametrize(
    ("options", "nearest"),
    [
        ({"policy": {"leeks": "flag"}}, "leaks"),
        ({"policy": {"leaks": "flog"}}, "flag"),
        ({"steps": {"duplicates": {"neer": "drop"}}}, "near"),
    ],
)
def test_unknown_options_are_refused_with_the_nearest_name(tmp_path: Path, options: dict, nearest: str) -> None:
    with pytest.raises(ConfigError) as caught:
        curate(steps_sample(tmp_path), CurateOptions(**options), Context(tmp_path / "x"))
    assert nearest in (caught.value.hint or "")


def test_a_changed_benchmark_file_is_a_changed_option(tmp_path: Path) -> None:
    before, _ = prepared(tmp_path, [unlike(at) for at in range(40)])
    named = write(tmp_path / "benchmark.csv", [unlike(900)])
    asked = CurateOptions(steps={"leaks": {"against": [str(named)]}})

    def keyed() -> CurateOptions:
        return reviewed(asked, before, [tmp_path / "train.csv"], lambda *_, **__: None)

    first = keyed()
    assert list(first.contents) == [str(named)]
    assert keyed() == first
    write(named, [unlike(901)])
    assert keyed().contents != first.contents
    named.unlink()
    with pytest.raises(DataError, match="no such file"):
        keyed()
