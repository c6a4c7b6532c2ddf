"""What every curation step must do; finds new steps by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tunesmith.core.dataset import Dataset
from tunesmith.data.curate import clean
from tunesmith.data.steps import step

LONG = "the delivery of my new card is late and nobody answers the telephone since"


def dataset(folder: Path) -> Dataset:
    """Twelve rows with everything a step may notice: copies, near copies, leaks, damage, conflicting answers."""
    rows = [
        ("train", f"{LONG} monday morning", "cards"),
        ("train", f"{LONG.upper()} MONDAY morning!", "cards"),  # repeats the first
        ("train", f"{LONG} monday mornings", "cards"),  # nearly repeats it
        ("train", "how do i get cash abroad without a fee", "cash"),
        ("train", "how do i get cash abroad without a fee", "cards"),  # conflicts
        ("train", "AT&amp;T sent me a bill for roaming", "phone"),  # damaged
        ("train", "please close my account by the end of the month", "close"),  # copies a test row
        ("dev", "a dev question that nobody else asks about cash", "cash"),
        ("dev", "i am on 212-867-5309, where is a machine for paying in coins", "cash"),  # holds a phone number
        ("test", "Please close my account by the end of the month", None),
        ("test", "Ã©tÃ© holidays and opening hours of the branch", None),
        ("test", "please close my account by the end of the month", None),
    ]
    n = len(rows)
    seal = folder / "test_targets.parquet"
    pq.write_table(pa.table({"id": [9, 10, 11], "target": ["close", "hours", "close"]}), seal)
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
    return Dataset(table, "classify", ("cards", "cash", "close", "phone"), ("text",), "label", seal)


@pytest.mark.parametrize("name", step.names())
def test_it_notices_something_and_changes_nothing_itself(name: str, tmp_path: Path) -> None:
    data = dataset(tmp_path)
    before = data.table
    findings = step.get(name)(data)
    assert findings, "the sample holds something for every step; add what this one looks for"
    assert data.table.equals(before)
    for finding in findings:
        assert finding.step == name
        assert 0 <= finding.id < data.table.num_rows
        assert finding.action in ("drop", "fix", "flag")
        assert finding.reason
        assert 0 <= finding.score <= 1
        assert finding.fix is not None or finding.action != "fix"
        assert finding.field in ("text", "target")


@pytest.mark.parametrize("name", step.names())
def test_it_finds_the_same_twice(name: str, tmp_path: Path) -> None:
    assert step.get(name)(dataset(tmp_path)) == step.get(name)(dataset(tmp_path))


@pytest.mark.parametrize("name", step.names())
def test_test_rows_are_never_dropped(name: str, tmp_path: Path) -> None:
    data = dataset(tmp_path)
    after, _ = clean(data, [name])
    assert after.rows("test", blind=True).ids.tolist() == data.rows("test", blind=True).ids.tolist()


@pytest.mark.parametrize("name", step.names())
def test_it_does_not_open_the_seal(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = dataset(tmp_path)
    assert data.seal is not None
    data.seal.unlink()
    assert step.get(name)(data)


@pytest.mark.parametrize("name", step.names())
def test_done_twice_it_has_nothing_left_to_drop_or_fix(name: str, tmp_path: Path) -> None:
    once, _ = clean(dataset(tmp_path), [name])
    again = step.get(name)(once)
    assert [f for f in again if f.action in ("drop", "fix")] == []


def test_ids_are_kept_and_changes_recorded(tmp_path: Path) -> None:
    after, findings = clean(dataset(tmp_path), step.names())
    dropped = {f.id for f in findings if f.action == "drop"}
    kept = after.table["id"].to_pylist()
    assert kept == [at for at in range(12) if at not in dropped]
    mended = dict(zip(kept, after.table["changes"].to_pylist(), strict=True))
    assert mended[5] == ["repair"]
    assert mended[10] == ["repair"]
    assert np.issubdtype(after.table["id"].to_numpy().dtype, np.int64)
