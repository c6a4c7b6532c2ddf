import asyncio

import pytest

from tunesmith.core.errors import DataError
from tunesmith.studio import uploading
from tunesmith.studio.uploading import fresh_run, plain_name, receive


async def _pieces(*pieces):
    for piece in pieces:
        yield piece


def _receive(root, name, *pieces, most=100):
    return asyncio.run(receive(root, name, _pieces(*pieces), most=most))


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("tickets.csv", "tickets.csv"),
        ("../../etc/passwd.csv", "passwd.csv"),
        ("C:\\Users\\me\\data.xlsx", "data.xlsx"),
        ("..\\..\\run.json", "run.json"),
        (".hidden.csv", "hidden.csv"),
        ("a b;$(rm -rf).csv", "a-b-rm--rf.csv"),
        ("naïve 日本.jsonl", "na-ve.jsonl"),
        ("x" * 500 + ".csv", "x" * 60 + ".csv"),
        ("<script>.csv", "script.csv"),
    ],
)
def test_a_name_becomes_plain_letters(said, kept):
    assert plain_name(said) == kept


@pytest.mark.parametrize("said", ["", "csv", "..", "../", "/", ".csv", "日本.csv", "a.", "\x00"])
def test_what_is_no_name_is_refused(said):
    with pytest.raises(DataError):
        plain_name(said)


def test_a_file_lies_in_a_folder_of_its_own(tmp_path):
    paths = {_receive(tmp_path, "../t.csv", b"a,b\n", b"1,2\n") for _ in range(2)}
    assert len({path.parent for path in paths}) == 2
    for path in paths:
        assert path.parent.parent == tmp_path / "uploads"
        assert path.read_bytes() == b"a,b\n1,2\n"
        assert [child.name for child in path.parent.iterdir()] == ["t.csv"]


@pytest.mark.parametrize("pieces", [(b"x" * 101,), (b"x" * 60, b"x" * 60), (), (b"",)])
def test_too_much_or_nothing_leaves_nothing_behind(tmp_path, pieces):
    with pytest.raises(DataError):
        _receive(tmp_path, "t.csv", *pieces)
    assert list((tmp_path / "uploads").iterdir()) == []


def test_a_sender_that_goes_away_leaves_nothing_behind(tmp_path):
    async def broken():
        yield b"x"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        asyncio.run(receive(tmp_path, "t.csv", broken(), most=100))
    assert list((tmp_path / "uploads").iterdir()) == []


def test_the_disk_is_not_filled(tmp_path, monkeypatch):
    monkeypatch.setattr(uploading, "_SPARE_BYTES", 1 << 62)
    with pytest.raises(DataError, match="nearly full"):
        _receive(tmp_path, "t.csv", b"x")


def test_a_run_never_takes_a_folder_that_is_there(tmp_path):
    (tmp_path / "t").mkdir()
    (tmp_path / "t-2").mkdir()
    assert fresh_run(tmp_path, tmp_path / "t.csv") == tmp_path / "t-3"
    assert fresh_run(tmp_path, tmp_path / "uploads.csv").name != "uploads"
