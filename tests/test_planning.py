"""Machine decisions: probed where nothing is given, recorded with their reason, and overruled by whoever asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tunesmith import planning
from tunesmith.core.context import Limits
from tunesmith.core.dataset import Dataset
from tunesmith.models import lm
from tunesmith.planning import _decide_machine, config_from, open_plan, read_plan
from tunesmith.testing import tiny_lm
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


def test_what_the_speed_of_a_language_model_was_measured_with_is_handed_back_to_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n, done = 60, []
    table = pa.table(
        {
            "id": pa.array(range(n), pa.int64()), "text": [f"order {i} came late" for i in range(n)],
            "target": [("good", "bad")[i % 2] for i in range(n)], "split": ["train"] * (n - 10) + ["dev"] * 10,
            "weight": pa.array([1.0] * n, pa.float32()), "group": pa.array(range(n), pa.int64()),
        }
    )  # fmt: skip
    data = Dataset(table, "classify", ("bad", "good"), ("text",), "kind")
    tiny_lm(tmp_path / "tiny")
    asked, real = probe.probe_lm, lm.release_memory
    monkeypatch.setattr(probe, "probe_lm", lambda *a: (asked(*a), done.append("probed"))[0])
    monkeypatch.setattr(lm, "release_memory", lambda: (real(), done.append("released"))[0])
    found = planning._probe(data, {"lm": tmp_path / "tiny"}, Limits(threads=1), lambda event, **fields: None)
    assert found.lm_tokens_per_s > 0
    assert done[-2:] == ["probed", "released"]
