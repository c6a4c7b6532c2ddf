"""The cache can be listed, measured and emptied."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta

import pytest

from tunesmith.core.errors import ConfigError, ModelError
from tunesmith.models import cache


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    model = tmp_path / "cache" / "models" / "one-0123456789ab"
    model.mkdir(parents=True)
    (model / "model.safetensors").write_bytes(b"x" * 1000)
    (tmp_path / "cache" / "models" / ".draft").mkdir()
    return tmp_path / "cache"


def test_entries_have_names_sizes_and_dates(root):
    (entry,) = cache.entries()
    assert (entry.name, entry.bytes) == ("models/one-0123456789ab", 1000)
    assert datetime.now(UTC) - entry.used < timedelta(minutes=1)
    assert cache.total_bytes() >= 1000


def test_handing_out_an_entry_renews_its_date(root):
    path = root / "models" / "one-0123456789ab"
    os.utime(path, (0, 0))
    assert cache.entries()[0].used.year == 1970
    cache.touch(path)
    assert cache.entries()[0].used.year > 2020


@pytest.mark.parametrize("name", ["models/one-0123456789ab", "one-0123456789ab"])
def test_removing_frees_the_bytes(root, name):
    assert cache.remove(name) == 1000
    assert cache.entries() == []
    assert not (root / "models" / "one-0123456789ab").exists()


def test_removing_something_unknown_names_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'models/one-0123456789ab'"):
        cache.remove("models/one-0123456789")


def test_an_absent_cache_is_empty(monkeypatch, tmp_path):
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "nowhere"))
    assert cache.entries() == []
    assert cache.total_bytes() == 0
    assert not (tmp_path / "nowhere").exists()


def test_many_at_once_make_a_thing_once():
    made: list[int] = []
    results: list[int] = []

    def get() -> None:
        found = lambda: made[0] if made else None  # noqa: E731
        results.append(cache.once("thing", found, lambda: made.append(7) or 7, lambda event, **fields: None))

    crowd = [threading.Thread(target=get) for _ in range(8)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert results == [7] * 8
    assert made == [7]


def test_a_full_disk_is_explained():
    with pytest.raises(ModelError, match="no space left") as caught, cache.room_for_writing():
        raise OSError(28, "No space left on device")
    assert "TUNESMITH_CACHE" in str(caught.value.hint)


def test_other_errors_pass_through():
    with pytest.raises(OSError, match="odd"), cache.room_for_writing():
        raise OSError(5, "odd")
