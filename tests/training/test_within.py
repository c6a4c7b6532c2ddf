"""Ways within a limit: the fastest that fits, reasons for what cannot, and a limit that nothing could keep."""

from __future__ import annotations

from pathlib import Path

import pytest
from lm_case import job_of

from tunesmith.core.errors import ConfigError
from tunesmith.training import within

NAMES = ("few_shot", "lm", "zero_shot")


def way(folder: Path, limit: int, *, free_dtype: bool = True) -> within.Way:
    job_of(folder)
    return within.way_within(
        limit, folder / "tiny", NAMES, longest=300, options={"method": "lora", "rank": 4}, dtype="float32",
        free_dtype=free_dtype,
    )  # fmt: skip


@pytest.fixture
def _no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process weighs nothing: what is left are the model's own needs."""
    monkeypatch.setattr(within, "resident_bytes", lambda: 0)
    monkeypatch.setattr(within, "_LATER", 0)
    monkeypatch.setattr(within, "_ANSWERING", 0)


@pytest.mark.usefixtures("_no_process")
def test_where_there_is_room_nothing_changes(tmp_path: Path) -> None:
    found = way(tmp_path, 1 << 30)
    assert found == within.Way("float32", None, "", {})


@pytest.mark.usefixtures("_no_process")
def test_a_rung_that_cannot_fit_says_how_much_it_needs(tmp_path: Path) -> None:
    found = way(tmp_path, 10_000)
    assert set(found.not_run) == set(NAMES)
    assert found.not_run["lm"].startswith("needs about 0.0 GB")


@pytest.mark.usefixtures("_no_process")
def test_half_the_bytes_are_taken_before_the_rung_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith.training import memory

    least = {"float32": 900, "bfloat16": 500}

    class Needs:
        def __init__(self, dtype: str) -> None:
            self.weights, self.bytes = least[dtype] - 100, least[dtype]

        def least(self, longest: int, *, answers: int, resident: int) -> int:
            return self.bytes + resident

    monkeypatch.setattr(memory, "needs_of", lambda *_, dtype: Needs(dtype))
    assert way(tmp_path, 1000).dtype == "float32"
    tight = way(tmp_path, 600)
    assert (tight.dtype, tight.method, dict(tight.not_run)) == ("bfloat16", None, {})
    assert "float32" in tight.why
    assert set(way(tmp_path, 600, free_dtype=False).not_run) == set(NAMES)


def test_a_limit_below_the_process_itself_is_refused() -> None:
    with pytest.raises(ConfigError, match="max_memory: 100 MB is less than") as caught:
        within.refuse_too_little(100_000_000)
    assert caught.value.exit_code == 2
    within.refuse_too_little(None)
    within.refuse_too_little(64_000_000_000)
