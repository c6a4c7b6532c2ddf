from __future__ import annotations

import multiprocessing

import pytest

from tunesmith.core.errors import RunError
from tunesmith.core.ledger import Ledger
from tunesmith.core.places import cache_root


def test_openings_are_counted_per_test_and_not_twice_for_the_same_work(tmp_path):
    ledger = Ledger(tmp_path / "deep" / "ledger.jsonl")
    assert ledger.count("aa") == 0
    assert ledger.opened("aa", by="one") == 1
    assert ledger.opened("aa", by="one") == 1
    assert ledger.opened("aa", by="two") == 2
    assert ledger.opened("bb", by="one") == 1
    assert (ledger.count("aa"), ledger.count("bb")) == (2, 1)
    assert [opening.by for opening in ledger.openings("aa")] == ["one", "two"]


def test_a_line_cut_by_a_kill_is_left_out_and_the_next_one_is_whole(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.opened("aa", by="one")
    with ledger.path.open("a") as handle:
        handle.write('{"test": "aa", "by": "tw')
    assert ledger.opened("aa", by="three") == 2
    assert ledger.count("aa") == 2


def _open_many(path, who):
    for i in range(40):
        Ledger(path).opened("aa", by=f"{who}-{i}")


def test_lines_of_several_processes_never_mix(tmp_path):
    path = tmp_path / "ledger.jsonl"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_open_many, args=(path, who)) for who in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert Ledger(path).count("aa") == 120
    assert len(path.read_text().splitlines()) == 120


def test_an_opening_that_cannot_be_counted_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written") as refused:
        Ledger(tmp_path / "file" / "ledger.jsonl").opened("aa", by="one")
    assert "TUNESMITH_CACHE" in str(refused.value)


def test_the_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "mine"))
    assert cache_root() == tmp_path / "mine"
    assert Ledger().path == tmp_path / "mine" / "ledger.jsonl"
    monkeypatch.delenv("TUNESMITH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "tunesmith"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_root() == tmp_path / "home" / ".cache" / "tunesmith"
