"""Machine decisions: probed where nothing is given, recorded with their reason, and overruled by whoever asks."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith import planning
from tunesmith.planning import _decide_machine, config_from, open_plan, read_plan
from tunesmith.training import probe


@pytest.fixture(autouse=True)
def probes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Probes that answer at once and note that they were asked."""
    asked: list[Any] = []

    def cores() -> int:
        asked.append("cores")
        return 3

    def dtype(threads: int, device: str) -> tuple[str, str]:
        asked.append((threads, device))
        return "bfloat16", "a layer's product runs faster in it"

    monkeypatch.setattr(planning, "free_cores", cores)
    monkeypatch.setattr(probe, "probe_dtype", dtype)
    return asked


def config(**given: Any) -> planning.Config:
    return config_from({"data": {"path": "rows.csv"}, **given})


def test_threads_and_dtype_are_probed_and_recorded_with_their_reason(probes: list[Any]) -> None:
    decided, decisions = _decide_machine(config(device="cpu"))
    assert (decided.threads, decided.dtype) == (3, "bfloat16")
    assert {d.what: d.choice for d in decisions} == {"threads": "3", "dtype": "bfloat16"}
    assert all(d.why for d in decisions)
    assert probes == ["cores", (3, "cpu")]


def test_what_is_given_is_taken_and_not_probed(probes: list[Any]) -> None:
    decided, decisions = _decide_machine(config(device="cpu", threads=2, dtype="float32"))
    assert (decided.threads, decided.dtype, decisions) == (2, "float32", [])
    assert probes == []
    _decide_machine(config(device="cpu", threads=2))
    assert probes == [(2, "cpu")]


def test_a_plan_keeps_what_was_probed_until_the_user_asks_for_something_else(tmp_path: Any, probes: list[Any]) -> None:
    rows = "".join(f"row number {i},{'even' if i % 2 == 0 else 'odd'}\n" for i in range(40))
    (tmp_path / "rows.csv").write_text("text,kind\n" + rows)
    asked = {"data": {"path": str(tmp_path / "rows.csv"), "target": "kind"}, "device": "cpu"}

    def planned(**more: Any) -> planning.Plan:
        return open_plan(config_from({**asked, **more}), tmp_path, lambda event, **fields: None)

    planned()
    assert planned().limits.threads == 3
    assert probes == ["cores", (3, "cpu")]  # the second time from plan.yaml
    stored = read_plan(tmp_path / "plan.yaml")
    assert stored is not None
    assert {d.what for d in stored.decisions} >= {"threads", "dtype"}
    assert planned(threads=1, dtype="float32").limits.threads == 1
