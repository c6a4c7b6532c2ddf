import pytest

from tunesmith.core.files import canonical, sha256_path, whole, write_json


def test_a_write_that_fails_leaves_the_old_file_and_no_draft(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(ValueError), whole(path) as draft:  # noqa: PT012
        draft.write_text("half")
        raise ValueError
    assert path.read_text() == '{\n "old": 1\n}\n'
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_is_replaced_whole(tmp_path):
    for content in ("one", "two"):
        with whole(tmp_path / "d") as draft:
            draft.mkdir()
            (draft / content).write_text(content)
    assert [p.name for p in (tmp_path / "d").iterdir()] == ["two"]


def test_nan_is_refused_because_it_is_not_json(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", float("nan"))
    assert not (tmp_path / "a.json").exists()


def test_canonical_bytes_ignore_the_order_of_keys():
    assert canonical({"a": 1, "b": [2]}) == canonical({"b": [2], "a": 1}) != canonical({"a": 1, "b": [3]})


def test_a_folders_hash_sees_names_and_contents_but_no_hidden_files(tmp_path):
    (tmp_path / "a").write_text("x")
    before = sha256_path(tmp_path)
    (tmp_path / ".hidden").write_text("y")
    assert sha256_path(tmp_path) == before
    (tmp_path / "a").rename(tmp_path / "b")
    assert sha256_path(tmp_path) != before
