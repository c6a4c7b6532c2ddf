"""What every curation step must do; finds new steps by itself."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import MissingExtra
from tunesmith.data.curate import clean
from tunesmith.data.steps import CannotRun, findings_of, is_row_wise, step

# `asked` repeats what a file says of rows, and has nothing to do without one: tests/test_feedback.py.
NAMES = [name for name in step.names() if name != "asked"]
LONG = "the delivery of my new card is late and nobody answers the telephone since"


def dataset(folder: Path) -> Dataset:
    """Fourteen rows with everything a step may notice: copies, near copies, leaks, damage, conflicting answers."""
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
        ("train", "wo kann ich heute abend noch bargeld abheben ohne eine gebühr zu bezahlen", "cash"),  # foreign
        ("train", "?!", "cash"),  # nothing to read
    ]
    return _table(folder, rows, ("cards", "cash", "close", "phone"))


def written(folder: Path) -> Dataset:
    """Eighty rows whose answers are written, with everything that only such a table can hold."""
    cities, days = ("Leeds", "York", "Bath", "Derby", "Hull"), ("Monday", "Tuesday", "Friday")
    rows: list[tuple[str, str, str | None]] = []
    for at in range(80):
        parcels, city, day = at % 7 + 2, cities[at % 5], days[at % 3]
        text = f"Agent: How can I help?\nCustomer: I sent {parcels} parcels to {city} on {day}. Nothing was lost."
        answer = f"The customer sent {parcels} parcels to {city} on {day}. No parcel was lost, case {at + 100}."
        rows.append(("train" if at % 8 else "dev", text, answer))
    rows[9] = ("train", rows[9][1], rows[9][2].replace("4 parcels", "5 parcels"))  # type: ignore[union-attr]
    rows[11] = ("train", rows[11][1], "OMG hey u guys WHERE IS MY STUFF??? i want my money NOW ok!!! pls call me lol")
    rows[20] = ("train", "Striker scores twice as visitors win a stormy derby", rows[20][2])
    rows[30] = ("train", rows[30][1], "The customer sent 9 parcels to York on Monday. No parcel was lost, case 3.")
    rows[31] = ("train", rows[30][1].replace("parcels", "parcles"), rows[30][2].replace("9", "4"))  # type: ignore
    rows += [("test", rows[at][1] + f" Box {at}.", None) for at in (1, 2, 3)]
    return _table(folder, rows, ())


def asked(folder: Path) -> Dataset:
    """Forty requests of two kinds, one of them with the other kind's label."""
    texts = [f"exchange rate of the euro and dollar on day {at}" for at in range(20)]
    texts += [f"my plastic was stolen please block it case {at}" for at in range(20)]
    rows: list[tuple[str, str, str | None]] = [
        ("train", text, "cash" if at < 20 and at != 7 else "close") for at, text in enumerate(texts)
    ]
    rows.append(("test", "exchange rate of the pound and dollar", None))
    return _table(folder, rows, ("cash", "close"))


def sliced(folder: Path) -> Dataset:
    """A hundred rows in three slices: one with every other label wrong, one of a single row."""
    said = (("money back please", "refund"), ("still waiting for it", "delay"))
    rows: list[tuple[str, str, str | None]] = []
    for at in range(100):
        text, right = said[at // 2 % 2]
        other = said[1 - at // 2 % 2][1]
        rows.append(("train", f"{text} says the man with order {at}", other if at % 2 and at % 4 == 3 else right))
    data = _table(folder, rows, ("delay", "refund"))
    regions = ["south" if at == 0 else "east" if at % 2 else "north" for at in range(100)]
    return data.with_table(data.table.append_column("slice.region", pa.array(regions)))


def sample(name: str, folder: Path) -> Dataset:
    """The first of the samples that the step can run on."""
    for made in (dataset, written, asked):
        try:
            step.get(name)(made(folder))
        except CannotRun:
            continue
        return made(folder)
    return sliced(folder)


@pytest.fixture(autouse=True)
def _no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that may read with a model do without, as on a machine that has none."""
    monkeypatch.setattr("tunesmith.models.resolve.local", lambda spec: None)


def _table(folder: Path, rows: Sequence[tuple[str, str | None, str | None]], labels: tuple[str, ...]) -> Dataset:
    n = len(rows)
    seal = folder / "test_targets.parquet"
    sealed = [at for at, (split, _, _) in enumerate(rows) if split == "test"]
    pq.write_table(pa.table({"id": sealed, "target": ["close"] * len(sealed)}), seal)
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
    return Dataset(table, "classify" if labels else "rewrite", labels, ("text",), "label", seal)


@pytest.mark.parametrize("name", NAMES)
def test_it_notices_something_and_changes_nothing_itself(name: str, tmp_path: Path) -> None:
    data = sample(name, tmp_path)
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


@pytest.mark.parametrize("name", NAMES)
def test_it_finds_the_same_twice(name: str, tmp_path: Path) -> None:
    assert step.get(name)(sample(name, tmp_path)) == step.get(name)(sample(name, tmp_path))


@pytest.mark.parametrize("name", NAMES)
def test_test_rows_are_never_dropped(name: str, tmp_path: Path) -> None:
    data = sample(name, tmp_path)
    after, _ = clean(data, [name])
    assert after.rows("test", blind=True).ids.tolist() == data.rows("test", blind=True).ids.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_it_does_not_open_the_seal(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = sample(name, tmp_path)
    assert data.seal is not None
    data.seal.unlink()
    assert step.get(name)(data)


@pytest.mark.parametrize("name", NAMES)
def test_done_twice_it_has_nothing_left_to_drop_or_fix(name: str, tmp_path: Path) -> None:
    once, _ = clean(sample(name, tmp_path), [name])
    again = step.get(name)(once)
    assert [f for f in again if f.action in ("drop", "fix")] == []


def test_ids_are_kept_and_changes_recorded(tmp_path: Path) -> None:
    able = [name for name in NAMES if len(sample(name, tmp_path).labels) > 2]
    after, findings = clean(dataset(tmp_path), able)
    dropped = {f.id for f in findings if f.action == "drop"}
    kept = after.table["id"].to_pylist()
    assert kept == [at for at in range(14) if at not in dropped]
    mended = dict(zip(kept, after.table["changes"].to_pylist(), strict=True))
    assert mended[5] == ["repair"]
    assert mended[10] == ["repair"]
    assert np.issubdtype(after.table["id"].to_numpy().dtype, np.int64)


@pytest.mark.parametrize("name", [name for name in step.names() if is_row_wise(name)])
@pytest.mark.parametrize("part_rows", [1, 3, 5])
def test_a_row_wise_step_finds_the_same_in_parts_of_the_table(name: str, part_rows: int, tmp_path: Path) -> None:
    data = sample(name, tmp_path)
    whole = findings_of(name, data)
    assert whole
    assert findings_of(name, data, part_rows=part_rows) == whole
    with ThreadPoolExecutor(2) as pool:
        assert findings_of(name, data, part_rows=part_rows, mapper=pool.map) == whole


def test_a_row_wise_step_and_its_parts_can_be_sent_to_another_process(tmp_path: Path) -> None:
    def by_post(look, parts):  # type: ignore[no-untyped-def]
        return [pickle.loads(pickle.dumps(look))(pickle.loads(pickle.dumps(part))) for part in parts]

    data = dataset(tmp_path)
    assert findings_of("repair", data, part_rows=4, mapper=by_post) == findings_of("repair", data)


STRANGE: list[str | None] = [
    None, "", " ", "\n\t", "\x00\x01\x7f", "\ufffd\ufffe", "a", "?" * 300, "\u202e\u2066abc", "e" + "\u0301" * 500,
    "👨\u200d👩\u200d👧 ❤\ufe0f", "日本語の文章です。", "مرحبا بالعالم", "&#0; &#xd800; &amp;amp;amp;",
    "=cmd|'/c calc'!A0", "a@b", "4" * 400, "1.2.3.4.5.6", "{{0}} %s ${x}", "<script>alert(1)</script>",
    "word " * 4000, "x" * 1_000_000,
]  # fmt: skip
TABLES: dict[str, tuple[list[tuple[str, str | None, str | None]], tuple[str, ...]]] = {
    "strange texts": ([("train", text, "ab"[at % 2]) for at, text in enumerate(STRANGE)], ("a", "b")),
    "strange answers": ([("train", f"question {at} of many", answer) for at, answer in enumerate(STRANGE)], ()),
    "strange test rows": (
        [("train", "a text", "a"), ("dev", "b text", "b"), *(("test", text, None) for text in STRANGE[:20])],
        ("a", "b"),
    ),
    "one text": ([("train", "the same text in every row", "ab"[at % 2]) for at in range(60)], ("a", "b")),
    "one class": ([("train", f"the text of row {at} differs", "a") for at in range(60)], ("a",)),
    "no labels": ([("train", f"the text of row {at} differs", None) for at in range(60)], ()),
    "one row": ([("train", "a single row", "a")], ("a",)),
    "no rows": ([], ("a", "b")),
}


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("name", NAMES)
def test_no_strange_table_stops_it(name: str, kind: str, tmp_path: Path) -> None:
    rows, labels = TABLES[kind]
    data = _table(tmp_path, rows, labels)
    try:
        after, findings = clean(data, [name])
    except (CannotRun, MissingExtra):
        return
    ids = set(data.table["id"].to_pylist())
    assert all(finding.id in ids and finding.reason for finding in findings)
    assert after.count("test") == data.count("test")
