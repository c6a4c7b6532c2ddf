"""Bytes and separated values as they come: encodings, delimiters, quotes, headers, ragged rows."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import pytest

from tunesmith.core.errors import DataError, MissingExtra
from tunesmith.data.encoding import decode
from tunesmith.data.readers.csv import parse
from tunesmith.data.reading import read_path, split_of_name
from tunesmith.data.table import LIST_MARK

BODY = "text,label\n" + "".join(f"a message about café number {at},{'ab'[at % 2]}\n" for at in range(30))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"])
def test_usual_encodings_are_found(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(BODY.encode(encoding))
    table = read_path(path)
    assert table.values("text")[3] == "a message about café number 3"
    assert bool(table.repairs) == (encoding != "utf-8")


@pytest.mark.parametrize(
    ("encoding", "word"), [("cp1251", "Привет как дела сегодня"), ("shift_jis", "こんにちは世界と友達")]
)
def test_scripts_of_their_own_are_found(encoding: str, word: str) -> None:
    lines = "\n".join(f"{word} {at}" for at in range(60))
    assert word in decode(lines.encode(encoding), "a.csv").text


def test_lines_in_another_encoding_are_read_and_counted() -> None:
    content = "".join(BODY).encode("utf-8") + "one línea\n".encode("cp1252") * 3
    found = decode(content, "a.csv")
    assert found.text.endswith("one línea\n")
    assert "café" in found.text
    assert found.repairs == {"lines in another encoding (cp1252)": 3}


def test_nul_characters_are_removed_and_counted() -> None:
    assert decode(b"text,label\nab\0c,x\n", "a.csv").repairs == {"NUL characters removed": 1}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_any_delimiter_is_found(delimiter: str, tmp_path: Path) -> None:
    rows = [["text", "label"], *[[f"well, a message; with | marks {at}", "ab"[at % 2]] for at in range(20)]]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(delimiter.join(f'"{c}"' for c in row) for row in rows), encoding="utf-8")
    assert read_path(path).values("text")[0] == "well, a message; with | marks 0"


def test_quotes_hold_delimiters_newlines_and_quotes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,label\n"two\nlines, ""quoted""",x\nplain,y\n', encoding="utf-8")
    assert read_path(path).data.to_pylist() == [
        {"text": 'two\nlines, "quoted"', "label": "x"},
        {"text": "plain", "label": "y"},
    ]


def test_a_quote_that_is_never_closed_costs_its_own_row_only(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,label\none,x\n"two,x\nthree "3" words,y\n"four, 4",y\n', encoding="utf-8")
    table = read_path(path)
    assert table.values("text") == ["one", '"two', 'three "3" words', "four, 4"]
    assert table.repairs["rows with broken quotes"] == 1


def test_backslash_escaped_quotes_are_understood() -> None:
    records = parse('"he said \\"no\\", twice",x\n', ",", "a.csv")
    assert records[0].cells == ['he said "no", twice', "x"]


def test_unquoted_delimiters_are_joined_into_the_texts(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = [f"x{at % 2},a long enough message {at}" for at in range(20)]
    path.write_text("label,text\n" + "\n".join(rows) + "\nx1,well, this one has, commas\n", encoding="utf-8")
    table = read_path(path)
    assert table.values("text")[-1] == "well, this one has, commas"
    assert table.repairs["rows with too many cells joined"] == 1


def test_too_many_ragged_rows_are_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("label,text\n" + "x,a b\n" * 6 + "x,a, b, c\n" * 5, encoding="utf-8")
    with pytest.raises(DataError, match="line 8 has 4 cells where 2"):
        read_path(path)


@pytest.mark.parametrize(
    ("first", "headed"),
    [
        ("text,label", True),
        ("Mensagem,Sentimento", True),
        ("a message of five words,good", False),
        ("17,good", False),
        ("good,good", False),
    ],
)
def test_a_header_is_told_from_a_row(first: str, headed: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        first + "\n" + "".join(f"a message of words {at},{'good' if at % 2 else 'bad'}\n" for at in range(30)),
        encoding="utf-8",
    )
    table = read_path(path)
    assert (len(table) == 30) == headed
    assert (table.names == ["column_1", "column_2"]) == (not headed)


def test_two_different_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,text,label\na b,c d,x\n", encoding="utf-8")
    with pytest.raises(DataError, match="columns 1 and 2 are both called 'text'"):
        read_path(path)


def test_a_huge_cell_names_file_row_and_column(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"text": "a", "label": "x"}\n' + json.dumps({"text": "a" * 1_000_001, "label": "x"}), encoding="utf-8"
    )
    with pytest.raises(DataError, match=r"a.jsonl: row 2, column 'text'"):
        read_path(path)


def test_the_fast_way_reads_what_the_careful_way_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith.data.readers import csv as module

    path = tmp_path / "a.csv"
    rows = [f'"message, number {at}\nwith ""quotes""",label {at % 3},\n' for at in range(500)]
    path.write_text("text,label,empty\n" + "".join(rows), encoding="utf-8")
    careful = read_path(path)
    monkeypatch.setattr(module, "_FAST_FROM_BYTES", 0)
    called = []
    fast = module._fast
    monkeypatch.setattr(module, "_fast", lambda *a: called.append(fast(*a)) or called[-1])
    assert read_path(path).data.equals(careful.data)
    assert called[0] is not None


def test_json_of_every_shape_gives_the_same_rows(tmp_path: Path) -> None:
    rows = [{"text": f"t {at}", "n": at} for at in range(4)]
    shapes = {
        "list": rows,
        "wrapped": {"version": 1, "data": rows},
        "columns": {"text": [r["text"] for r in rows], "n": [r["n"] for r in rows]},
        "frame": {
            "text": {str(i): r["text"] for i, r in enumerate(rows)},
            "n": {str(i): r["n"] for i, r in enumerate(rows)},
        },
    }
    for name, value in shapes.items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(value), encoding="utf-8")
        assert read_path(path).data.to_pylist() == [{"text": r["text"], "n": str(r["n"])} for r in rows], name
    path.write_text(json.dumps({f"k{at}": row for at, row in enumerate(rows)}), encoding="utf-8")
    assert read_path(path).values("key") == ["k0", "k1", "k2", "k3"]


def test_nested_objects_and_lists_become_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"a": {"b": 1.0, "c": [True, None]}, "d": [{"x": "p"}, {"x": "q"}]}]), encoding="utf-8")
    assert read_path(path).data.to_pylist() == [{"a.b": "1", "a.c": f"true{LIST_MARK}", "d.x": f"p{LIST_MARK}q"}]


def test_a_cut_off_line_of_jsonl_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n{"text": "b', encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.jsonl: line 2, column 10") as caught:
        read_path(path)
    assert "cut off" in (caught.value.hint or "")


def test_gzipped_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(BODY.encode()))
    assert len(read_path(path)) == 30


def test_an_archive_with_train_and_test_tables_keeps_them_apart(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x_train.tsv", "text\tlabel\n" + "a b\tx\n" * 5)
        archive.writestr("x_test.tsv", "text\tlabel\n" + "c d\tx\n" * 2)
    table = read_path(tmp_path / "a.zip")
    assert table.split is not None
    assert sorted(table.split.to_pylist()) == ["test"] * 2 + ["train"] * 5


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("drugs_train.tsv", "train"),
        ("TestSet-1.csv", "test"),
        ("my_dev.json", "dev"),
        ("contest.csv", None),
        ("train_test.csv", None),
    ],
)
def test_a_file_name_may_say_its_split(name: str, split: str | None) -> None:
    assert split_of_name(name) == split


def test_an_unknown_ending_lists_the_known_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.docm"
    path.write_bytes(b"x")
    with pytest.raises(DataError, match=r"'\.docm' are not read here") as caught:
        read_path(path)
    assert ".csv" in (caught.value.hint or "")


def test_a_file_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "tickets.csv").write_text(BODY, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_path(tmp_path / "tickts.csv")
    assert caught.value.hint == "Did you mean 'tickets.csv'?"


def test_documents_without_the_extra_say_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    path = tmp_path / "a.pdf"
    path.write_bytes(b"%PDF-1.4\n")
    monkeypatch.setitem(sys.modules, "pypdf", None)
    with pytest.raises(MissingExtra) as caught:
        read_path(path)
    assert 'pip install "tunesmith[ingest]"' in (caught.value.hint or "")


def test_documents_are_read(tmp_path: Path) -> None:
    docx = pytest.importorskip("docx")
    pypdf = pytest.importorskip("pypdf")
    document = docx.Document()
    document.add_paragraph("first paragraph")
    document.add_table(1, 2).rows[0].cells[1].text = "in a table"
    document.save(tmp_path / "a.docx")
    assert "first paragraph\n" in (read_path(tmp_path / "a.docx").values("text")[0] or "")
    assert "in a table" in (read_path(tmp_path / "a.docx").values("text")[0] or "")
    writer = pypdf.PdfWriter()
    writer.add_blank_page(100, 100)
    writer.write(tmp_path / "a.pdf")
    with pytest.raises(DataError, match="no text that can be read"):
        read_path(tmp_path / "a.pdf")
    (tmp_path / "a.eml").write_bytes(
        b"Subject: late card\nFrom: a@example.com\nContent-Type: text/html\n\n<p>Where is <b>it</b>?</p><style>x"
    )
    assert read_path(tmp_path / "a.eml").data.to_pylist() == [
        {"text": "Where is it?", "subject": "late card", "from": "a@example.com", "date": None}
    ]
