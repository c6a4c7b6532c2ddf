"""The profile page: what is counted, how a change is shown, and that hostile data stays text."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from tunesmith.data.comparison import around_change
from tunesmith.evaluation.curation_page import marked_change, render_profile

HOSTILE = "</p><script>alert(1)</script>\u202e\x07"


def profile(**more: Any) -> dict[str, Any]:
    """A profile of three rows, as `data.comparison.compare` makes it."""
    untouched = {"drop": 0, "fix": 0, "flag": 0, "keep": 0, "": 0}
    example = {
        "id": 1, "where": f"{HOSTILE}.csv line 3", "action": "fix", "reason": HOSTILE, "score": 1.0, "review": None,
        "field": "text", "text": HOSTILE, "target": HOSTILE, "was": f"{HOSTILE} caf\u00c3\u00a9",
        "fix": f"{HOSTILE} café", "beside": None,
    }  # fmt: skip
    return {
        "title": HOSTILE, "run": "runs/x", "rows": [3, 2], "left_out": 1,
        "became": {"train": {**untouched, "drop": 1, "fix": 1}, "dev": untouched, "test": {**untouched, "": 1}},
        "splits": {"train": [2, 1], "dev": [0, 0], "test": [1, 1]},
        "labels": [{"label": HOSTILE, "before": 2, "after": 1}], "lengths": [{"median": 4.0}, {}],
        "histogram": {"edges": [1.0, 9.0], "before": [3], "after": [2]}, "copies": [{"equal": 1}, {"equal": 0}],
        "languages": [{"sampled": 0, "shares": {}}] * 2,
        "steps": [{"step": "repair", "about": "Mends.", "counts": {"fix": 1}, "examples": [example]},
                  {"step": "leaks", "about": "", "counts": {"drop": 1}, "examples": []}],
        "not_run": {"labels": "there is one class only."}, **more,
    }  # fmt: skip


def test_it_counts_rows_and_names_steps_that_did_not_run() -> None:
    page = render_profile(profile())
    assert "Of 3 rows, 1 was dropped and 1 mended." in page
    assert "was not run: <bdi>there is one class only.</bdi>" in page
    assert "tunesmith curate runs/x --undo repair" in page
    assert "repair: 1 mended; leaks: 1 dropped" in page, "the picture is told in words too"


def test_measured_evidence_stands_behind_what_was_found() -> None:
    effect = {"difference": 0.02, "interval": [0.005, 0.035]}
    step = {"step": "repair", "claim": "helps", "left_out": effect}
    evidence = {
        "how": "Judged on dev.",
        "lines": ["repair helps.", "Judged on dev."],
        "steps": [step],
        "together": None,
    }
    page = render_profile(profile(evidence=evidence))
    assert page.index("What was found") < page.index("Did it help?") < page.index('id="texts"')
    assert "repair helps." in page
    assert "Did it help?" not in render_profile(profile())


def test_nothing_of_the_data_becomes_markup() -> None:
    page = render_profile(profile())
    assert "<script" not in page
    assert "\x07" not in page
    assert "<del>Ã</del>" in page or "<del>cafÃ©</del>" in page


def test_a_change_is_marked_and_the_rest_left() -> None:
    assert marked_change("at AT&amp;T now", "at AT&T now") == (
        Markup("at AT&amp;<del>amp;</del>T now"),
        Markup("at AT&amp;T now"),
    )


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_marked_change_holds_every_letter_of_both(was: str, now: str) -> None:
    from tunesmith.evaluation.drawing import clean

    left, came = marked_change(was, now)
    for made, text, mark in ((left, was, "del"), (came, now, "ins")):
        assert made.replace(Markup(f"<{mark}>"), "").replace(Markup(f"</{mark}>"), "").unescape() == clean(text)


def test_of_a_long_text_the_change_is_shown() -> None:
    long = "word " * 400
    was, now = around_change(f"{long}caf\u00c3\u00a9", f"{long}café")
    assert was.startswith("…")
    assert was.endswith("caf\u00c3\u00a9")
    assert now.endswith("café")
    assert len(now) < 200
