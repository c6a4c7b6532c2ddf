from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.evaluation import charts
from tunesmith.evaluation.drawing import clean, fit, text_width, ticks, wrap

_SVG = "{http://www.w3.org/2000/svg}"
_DOT = charts.Dot(
    name="Tuned encoder",
    note="encoder",
    tuned=True,
    ships=True,
    subset=False,
    score=0.94,
    low=0.93,
    high=0.95,
    dev=0.945,
    said="94.0 %",
    said_interval="93.0-95.0",
)
_PLAIN = replace(_DOT, name="Word counts", tuned=False, ships=False, score=0.9, low=0.88, high=0.92, dev=None)
_FEW = replace(_PLAIN, name="Few", subset=True, score=0.91, low=0.86, high=0.96)
_IDLE = replace(_PLAIN, name="Late", score=None, low=None, high=None, note="needs about 3 h", ran=False)


def _parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def _ladder(*dots: charts.Dot, narrow: bool = False) -> ET.Element:
    return _parsed(charts.ladder(dots, metric="Macro-F1", percent=True, narrow=narrow))


def _marks(root: ET.Element) -> list[ET.Element]:
    return [e for e in root.iter() if (e.get("class") or "").startswith("mark ")]


@pytest.mark.parametrize("narrow", [False, True])
def test_the_ladder_tells_tuned_from_untuned_by_shape(narrow: bool) -> None:
    tags = [(mark.tag.removeprefix(_SVG), mark.get("class")) for mark in _marks(_ladder(_DOT, _PLAIN, narrow=narrow))]
    assert tags == [("circle", "mark tuned"), ("path", "mark untuned")]


def test_a_better_score_stands_further_right_and_the_mark_lies_within_its_interval() -> None:
    root = _ladder(_DOT, replace(_DOT, name="b", score=0.9, low=0.89, high=0.91))
    first, second = (float(mark.get("cx", "nan")) for mark in _marks(root))
    assert first > second
    whiskers = [e for e in root.iter(f"{_SVG}line") if (e.get("class") or "").startswith("whisker")]
    for x, line in zip((first, second), whiskers, strict=True):
        assert float(line.get("x1", "nan")) < x < float(line.get("x2", "nan"))


def test_a_score_on_a_subset_is_dashed_and_a_rung_not_run_carries_its_reason() -> None:
    root = _ladder(_DOT, _FEW, _IDLE)
    assert sum("dashed" in (e.get("class") or "") for e in root.iter()) == 1
    words = " ".join(e.text or "" for e in root.iter(f"{_SVG}text"))
    assert "Late: not run" in words
    assert "needs about 3 h" in words


def test_rungs_far_to_the_left_do_not_squeeze_the_others() -> None:
    good = [replace(_DOT, name=str(k), score=0.94 - k / 100, low=0.93 - k / 100, high=0.95 - k / 100) for k in range(4)]
    weak = [replace(_PLAIN, name="weak", score=0.1, low=0.08, high=0.12)]
    assert charts.ladder_range([*good, *weak]) == (pytest.approx(0.9), pytest.approx(0.95))
    root = _ladder(*good, *weak)
    assert len(_marks(root)) == 4
    assert any((e.get("class") or "").startswith("arrow") for e in root.iter())
    # Spread evenly, nobody is left out.
    even = [replace(_DOT, score=k / 10, low=k / 10 - 0.01, high=k / 10 + 0.01) for k in range(1, 10)]
    assert charts.ladder_range(even) == (pytest.approx(0.09), pytest.approx(0.91))


def test_the_description_says_all_that_the_picture_shows() -> None:
    root = _ladder(_DOT, _IDLE)
    said = root.findtext(f"{_SVG}desc") or ""
    assert said == "Tuned encoder (tuned, ships): 94.0 %, 95 % interval 93.0-95.0; Late: not run, needs about 3 h."
    assert root.get("role") == "img"
    assert (root.get("aria-labelledby") or "").split() == [e.get("id") for e in (root[0], root[1])]


def test_names_out_of_data_cannot_leave_the_picture() -> None:
    name = '</text></svg><script>alert(1)</script>"\x00\ud800'
    root = _ladder(replace(_DOT, name=name), replace(_IDLE, name="x" * 500, note="y" * 5000))
    assert not [e for e in root.iter() if e.tag.endswith("script")]
    for text in root.iter(f"{_SVG}text"):
        assert text_width(text.text or "", 13) <= charts.WIDE


def test_the_difference_puts_zero_in_the_middle_and_worse_to_the_left() -> None:
    svg = charts.difference(-0.03, -0.05, -0.01, left="a", right="b", said="-3", percent=True, narrow=False)
    root = _parsed(svg)
    zero = next(e for e in root.iter() if e.get("class") == "zero")
    assert float(zero.get("x1", "nan")) == charts.WIDE / 2
    assert float(_marks(root)[0].get("cx", "nan")) < charts.WIDE / 2


@pytest.mark.parametrize("points", [[(0, 0.5)], [(0, 0.5), (10, 0.5)], [(0, 0.0), (5, 1.0), (9, 0.2)]])
def test_a_curve_of_any_length_is_drawn_and_its_best_point_ringed(points: list[tuple[float, float]]) -> None:
    root = _parsed(charts.curve(points, ident="c", name="x", what="Score", percent=True, css="score", best="max"))
    ring = next(e for e in root.iter() if (e.get("class") or "").startswith("ring"))
    beads = [e for e in root.iter() if (e.get("class") or "").startswith("bead")]
    assert len(beads) == len(points)
    assert float(ring.get("cy", "nan")) == min(float(e.get("cy", "nan")) for e in beads)


def test_reliability_places_a_perfect_system_on_the_diagonal() -> None:
    root = _parsed(charts.reliability([(0.2, 0.2, 10), (0.9, 0.9, 90)]))
    ideal = next(e for e in root.iter() if e.get("class") == "ideal")
    x0, y0, x1, y1 = (float(ideal.get(key, "nan")) for key in ("x1", "y1", "x2", "y2"))
    bubbles = [e for e in root.iter() if e.get("class") == "bubble"]
    for bubble in bubbles:
        x, y = float(bubble.get("cx", "nan")), float(bubble.get("cy", "nan"))
        assert (x - x0) / (x1 - x0) == pytest.approx((y - y0) / (y1 - y0), abs=1e-3)
    assert float(bubbles[0].get("r", "nan")) < float(bubbles[1].get("r", "nan"))


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 10))
def test_ticks_are_round_inside_the_range_and_about_as_many_as_wanted(low: float, span: float, wanted: int) -> None:
    made = ticks(low, low + span, wanted)
    slack = span * 1e-6 + abs(low) * 1e-9
    assert all(low - slack <= tick <= low + span + slack for tick in made)
    assert made == sorted(made)
    assert len(made) <= wanted + 2


@given(st.text(), st.floats(20, 400))
def test_fitted_text_is_never_wider_than_its_place(words: str, width: float) -> None:
    assert text_width(fit(words, width, 14), 14) <= width
    lines = wrap(words, width, 14, lines=3)
    assert len(lines) <= 3
    assert all(text_width(line, 14) <= width for line in lines)


@given(st.text(st.characters()))
def test_cleaned_text_can_be_written_and_cleaning_twice_changes_nothing(words: str) -> None:
    made = clean(words)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", made)
    assert clean(made) == made
    ET.fromstring(f"<a>{charts.escape(made)}</a>")


def test_cleaning_keeps_scripts_and_emoji_and_cuts_towers_of_marks() -> None:
    for words in ("Привет", "नमस्ते", "שָׁלוֹם", "👩🏽‍🚒", "tab\tline\n"):
        assert clean(words) == words
    assert len(clean("a" + "\u0301" * 40)) == 6
