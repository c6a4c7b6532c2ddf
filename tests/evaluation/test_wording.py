from __future__ import annotations

import pytest

from tunesmith.evaluation import wording


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "not recorded"),
        (0, "0 s"),
        (2.1e-4, "210 µs"),
        (0.0112, "11 ms"),
        (0.0071, "7.1 ms"),
        (9.96, "10.0 s"),
        (59.4, "59 s"),
        (61, "1 min 1 s"),
        (119.6, "2 min"),
        (7500, "2 h 5 min"),
        (200_000, "2.3 days"),
    ],
)
def test_times_are_said_as_people_say_them(seconds: float | None, said: str) -> None:
    assert wording.duration(seconds).replace("\u00a0", " ") == said


@pytest.mark.parametrize(
    ("n", "said"),
    [(None, "not recorded"), (412, "412 bytes"), (1536, "1.5 KiB"), (96_000_000, "91.6 MiB"), (2**31, "2.0 GiB")],
)
def test_sizes_carry_a_binary_unit(n: float | None, said: str) -> None:
    assert wording.size(n).replace("\u00a0", " ") == said


def test_scores_and_intervals_are_written_in_points() -> None:
    assert wording.score(0.9421, "macro_f1") == "94.2\u00a0%"
    assert wording.interval(0.933, 0.95, "macro_f1") == "93.3\u201395.0"
    assert wording.interval(-0.017, 0.058, "accuracy") == "\u22121.7 to 5.8"
    assert wording.points(-0.0312, "accuracy") == "\u22123.1\u00a0points"
    assert wording.score(1.13, "length_ratio") == "1.13"
    assert wording.p_value(0.0004) == "< 0.001"
    assert wording.score(None, "accuracy") == wording.ABSENT


def test_an_unknown_metric_keeps_its_name_and_is_a_share_only_where_its_name_says_so() -> None:
    assert wording.metric("field_f1").percent
    assert not wording.metric("perplexity").percent
    assert wording.metric("edit_distance").title == "Edit distance"


@pytest.mark.parametrize(
    ("value", "base", "said"),
    [
        (10, 120, "12\u00d7 less"),
        (30, 10, "3.0\u00d7 more"),
        (1, 1.02, "the same"),
        (0, 5, ""),
        (None, 5, ""),
        (1e9, 1, "far more"),
    ],
)
def test_ratios_are_said_in_words(value: float | None, base: float, said: str) -> None:
    assert wording.ratio(value, base) == said


def test_the_four_words_of_a_claim_lead_to_what_ships() -> None:
    said = {c: wording.claim(c).headline for c in ("better", "worse", "no evidence", "underpowered (needs n = 900)")}
    assert said["better"].startswith("Ship the tuned")
    assert all(said[c].startswith("Keep the untuned") for c in said if c != "better")
    assert wording.claim(None, candidate=False).headline == "Nothing was tuned"
    assert wording.claim("bettr").headline == "No verdict recorded"
