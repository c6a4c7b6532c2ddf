"""What every reader must do, whatever it reads; finds new readers by itself."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.core.errors import TunesmithError
from tunesmith.data.readers import Reading, reader
from tunesmith.data.table import Table

ROWS = [{"text": f"the message number {at} with, a comma", "label": ["spam", "ham"][at % 2]} for at in range(12)]


def _csv(path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, ["text", "label"])
        writer.writeheader()
        writer.writerows(ROWS)


def _xlsx(path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    for row in [list(ROWS[0]), *[list(r.values()) for r in ROWS]]:
        book.active.append(row)
    book.save(path)


def _parquet(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(ROWS), path)


def _zip(path: Path) -> None:
    out = path.parent / "inner.csv"
    _csv(out)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(out, "inner.csv")


def _folder(path: Path) -> None:
    for at, row in enumerate(ROWS):
        (path / row["label"]).mkdir(parents=True, exist_ok=True)
        (path / row["label"] / f"{at:02d}.txt").write_text(row["text"], encoding="utf-8")


def _page(path: Path) -> None:
    path.write_text("<p>" + "</p><p>".join(r["text"] for r in ROWS) + "</p><script>no</script>", encoding="utf-8")


# reader -> (file name, how to write ROWS in its format, whether it yields the rows themselves)
SAMPLES: dict[str, tuple[str, Callable[[Path], object], bool]] = {
    "csv": ("a.csv", _csv, True),
    "json": ("a.json", lambda path: path.write_text(json.dumps(ROWS), encoding="utf-8"), True),
    "jsonl": ("a.jsonl", lambda path: path.write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8"), True),
    "parquet": ("a.parquet", _parquet, True),
    "xlsx": ("a.xlsx", _xlsx, True),
    "archive": ("a.zip", _zip, True),
    "folder": ("a", _folder, False),
    "document": ("a.html", _page, False),
}


def test_every_reader_has_a_sample_here() -> None:
    built_in = {name for name in reader.names() if reader.module(name).startswith("tunesmith.")}
    assert built_in == set(SAMPLES), "add a sample of the new reader's format to SAMPLES"


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_it_reads_its_own_format(name: str, tmp_path: Path) -> None:
    file, write, yields_rows = SAMPLES[name]
    write(tmp_path / file)
    table = reader.get(name)(tmp_path / file, Reading())
    assert isinstance(table, Table)
    assert len(table) > 0
    assert len(table.file) == len(table.row) == len(table)
    assert all(str(field.type) == "string" for field in table.data.schema)
    assert ROWS[0]["text"] in " ".join(value or "" for value in table.values("text"))
    if yields_rows:
        assert table.data.to_pylist() == ROWS


@pytest.mark.parametrize("name", sorted(set(SAMPLES) - {"folder"}))
@pytest.mark.parametrize("content", [b"", b"\0" * 300, b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20])
def test_it_refuses_what_is_no_such_file_with_a_remedy(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / SAMPLES[name][0]
    path.write_bytes(content)
    with pytest.raises(TunesmithError) as caught:
        reader.get(name)(path, Reading())
    assert path.name in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_it_gives_the_same_table_twice(name: str, tmp_path: Path) -> None:
    file, write, _ = SAMPLES[name]
    write(tmp_path / file)
    first, second = (reader.get(name)(tmp_path / file, Reading()) for _ in range(2))
    assert first.data.equals(second.data)
    assert first.repairs == second.repairs


def test_no_two_readers_claim_one_ending() -> None:
    claimed = [ending for _, read in reader.items() for ending in read.suffixes]
    assert len(claimed) == len(set(claimed))
    assert all(ending.startswith(".") and ending == ending.lower() for ending in claimed)


def test_the_sample_of_csv_is_what_python_reads() -> None:
    out = io.StringIO()
    csv.writer(out).writerow([ROWS[0]["text"]])
    assert next(csv.reader(io.StringIO(out.getvalue()))) == [ROWS[0]["text"]]
