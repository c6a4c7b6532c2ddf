"""Intervals that are learnt from earlier turnouts, and the record they are kept in."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tunesmith.core.forecasts import COVERAGE, Quantity, TrackRecord, Turnout, calibration, expected, known


def turnout(raw: float, actual: float, *, kind: str = "label", name: str = "minutes") -> Turnout:
    return Turnout(kind, {name: raw}, {name: actual})


def test_the_interval_covers_the_next_run_as_often_as_it_says_whatever_the_errors() -> None:
    rng = np.random.default_rng(1)
    for draw in (lambda n: np.exp(rng.normal(0.3, 0.2, n)), lambda n: 0.5 + rng.exponential(1.0, n)):
        held = 0
        for _ in range(2000):
            *past, new = draw(20)
            q = expected("minutes", 10.0, past, unit="min", why="").with_actual(10.0 * new)
            held += bool(q.held)
        assert COVERAGE - 0.03 <= held / 2000 <= COVERAGE + 0.12  # ranks are whole numbers: a little above


def test_too_few_runs_give_a_likely_number_and_no_interval() -> None:
    assert expected("x", 2.0, [], unit="", why="").likely == 2.0
    few = expected("x", 2.0, [3.0] * 8, unit="", why="")
    assert (few.likely, few.low, few.high, few.with_actual(1.0).held) == (6.0, None, None, None)
    assert expected("x", 2.0, [3.0] * 9, unit="", why="").low == 6.0


def test_what_is_known_beforehand_always_holds() -> None:
    assert known("tokens", 7.0, unit="tokens", why="counted").held


def test_a_machine_leans_on_shipped_runs_until_it_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunesmith.core.forecasts.shipped", lambda: tuple(turnout(1.0, 2.0) for _ in range(10)))
    record = TrackRecord(tmp_path / "forecasts.jsonl")
    assert record.ratios("minutes", "label") == ([2.0] * 10, "10 runs on another machine: none on this one yet")
    for _ in range(19):
        record.add(turnout(1.0, 5.0))
    ratios, whose = record.ratios("minutes", "label")
    assert sorted(set(ratios)) == [2.0, 5.0]
    assert "19 earlier runs on this machine and 10 on another" in whose
    record.add(turnout(1.0, 5.0))
    assert record.ratios("minutes", "label")[0] == [5.0] * 20
    assert record.ratios("minutes", "text")[0] == [5.0] * 20, "no run of this kind: all of them are better than none"


def test_runs_forecast_by_another_arithmetic_are_not_learnt_from(tmp_path: Path) -> None:
    record = TrackRecord(tmp_path / "forecasts.jsonl")
    record.path.write_text('{"kind": "label", "raw": {"minutes": 1}, "actual": {"minutes": 9}}\n' * 30)
    assert len(record.turnouts()) == 30
    ratios, whose = record.ratios("minutes", "label")
    assert 9.0 not in ratios
    assert "none on this one" in whose


def test_lines_that_cannot_be_read_or_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "forecasts.jsonl"
    record = TrackRecord(path)
    record.add(turnout(1.0, 3.0))
    with path.open("a", encoding="utf-8") as handle:
        handle.write('{"kind": "label", "raw": {"minutes": 1}, "actual": {"minutes": NaN}}\n[]\n{"kind": 3\n{"kin')
    record.add(turnout(1.0, 4.0))
    assert [t.actual["minutes"] for t in record.turnouts()] == [3.0, 4.0]


def test_the_calibration_counts_what_was_stated_and_came() -> None:
    stated = [
        Turnout.of("label", [Quantity("minutes", "min", 1.0, 1.0, 0.5, 1.0, "", actual=came)])
        for came in (0.6, 0.9, 3.0)
    ]
    told = calibration([*stated, turnout(1.0, 1.0)], "minutes")
    assert told == {"n": 3, "held": 2, "width": 2.0}
    assert calibration([turnout(1.0, 1.0)], "minutes") is None
    assert math.isclose(stated[2].actual["minutes"], 3.0)
