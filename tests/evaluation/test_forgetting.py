"""What the page and the terminal say of forgetting, whatever the report holds."""

from __future__ import annotations

from typing import Any

from tunesmith.evaluation.forgetting import forgetting_cards, forgetting_lines
from tunesmith.evaluation.page import render
from tunesmith.evaluation.reading import read

SUITE = {
    "name": "the base's own text", "kind": "expected", "n": 64, "points": 0.61, "interval": [0.4, 0.9],
    "base_accuracy": 48.2, "kl": 0.031, "perplexity_ratio": 1.04,
}  # fmt: skip


def report(**about: Any) -> dict[str, Any]:
    held = {
        "at_most": 1.0, "suites": [SUITE], "rolled_back": "", "kept_step": 30, "to_base": False, "controls": "hold",
        "left_out": {"your choices": "<b>chance</b>"}, "dev": [-2.0, -0.4, -0.3], "chosen_step": 30,
        "checkpoints": [
            {"step": 10, "points": 0.2, "dev_loss": 0.9}, {"step": 30, "points": 0.6, "dev_loss": 0.4},
            {"step": 40, "points": 1.4, "dev_loss": 0.3},
        ],
        **about,
    }  # fmt: skip
    return {"details": {"forgetting": {"lm": held, "encoder": {"why_not": "it writes nothing"}}}}


def test_the_budget_and_what_was_forgotten_are_told() -> None:
    lm, encoder = forgetting_lines(report()["details"])
    assert lm == ("forgotten by lm: 0.61 points on the base's own text (0.40 to 0.90) (1 allowed, held by hold).")
    assert encoder == "forgotten by encoder: does not apply: it writes nothing."


def test_where_it_was_rolled_back_to_is_told() -> None:
    line = forgetting_lines(report(rolled_back="1.40 points at step 40", kept_step=30)["details"])[0]
    assert line.endswith("Rolled back to step 30: 1.40 points at step 40.")
    line = forgetting_lines(report(rolled_back="dev fell", to_base=True, kept_step=0)["details"])[0]
    assert line.endswith("Rolled back to the untuned model: dev fell.")


def test_the_picture_has_the_budget_and_a_mark_for_each_checkpoint() -> None:
    lm, encoder = forgetting_cards(read(report()))
    chart = str(lm["chart"])
    assert "budget 1" in chart
    assert chart.count("bead score") == 4  # the untuned model and three checkpoints
    assert chart.count("ring score") == 1
    assert encoder["chart"] is None
    assert lm["rows"][0]["perplexity"] == "+4.0 %"


def test_a_report_that_lacks_or_garbles_it_is_no_fault() -> None:
    assert forgetting_cards(read({})) == []
    garbled = {"details": {"forgetting": {"lm": {"suites": "x", "checkpoints": [None, {"points": "a"}], "dev": 3}}}}
    assert forgetting_cards(read(garbled))[0]["chart"] is None


def test_words_of_the_data_are_escaped() -> None:
    page = render({**report(), "systems": [
        {"name": "lm", "kind": "tuned", "status": "full"}
    ]})  # fmt: skip
    assert "<b>chance</b>" not in page
