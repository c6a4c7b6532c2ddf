"""What the page and the terminal say of a study."""

import json

from sample_report import classify

from tunesmith.core.files import write_json
from tunesmith.evaluation.page import render
from tunesmith.evaluation.trials_card import lines, read_trials, trials_card


def trial(number, role, state, score, **more):
    cost = {"train_cpu_s": 10.0 * number}
    return {"number": number, "role": role, "state": state, "score": score, "paused_at": None, "cost": cost,
            "point": {"rate": 0.5, "steps": 2.0}, "why": "", "of": None, **more}  # fmt: skip


TRIALS = [
    trial(0, "default", "complete", 0.80),
    trial(1, "explore", "complete", 0.84),
    trial(2, "explore", "pruned", None, paused_at=0.7, why="not among the best third at step 20"),
    trial(3, "explore", "failed", None, why="the loss is nan <script>"),
    trial(4, "repeat", "complete", 0.83, of=1),
]
STUDY = {"state": "chosen", "rung": "encoder", "why": "better by +3 points", "metric": "macro_f1", "best": 1}


def test_the_card_shows_every_trial_with_its_picture_and_the_reason():
    card = trials_card({"tune": {"study": STUDY, "trials": TRIALS}})
    assert card["sentence"] == "Another setting of encoder took the default's place: better by +3 points."
    assert [row["role"] for row in card["rows"]] == ["default", "explore (chosen)", "explore", "explore", "seed of 1"]
    assert [row["score"] for row in card["rows"]][2:4] == ["pruned", "failed"]
    assert all("<circle" in picture and "<path" in picture for picture in card["pictures"])
    page = render({**classify(), "tune": {"study": STUDY, "trials": TRIALS}})
    assert "Other settings that were tried" in page
    assert "<script>" not in page


def test_a_run_without_trials_says_why_and_draws_nothing(tmp_path):
    assert trials_card({}) is None
    assert read_trials(tmp_path) is None
    write_json(tmp_path / "06-tune" / "study.json", {"state": "nothing tried", "rung": None, "why": "no time"})
    tune = read_trials(tmp_path)
    assert lines(tune) == ["No other setting was tried: no time."]
    assert trials_card({"tune": tune})["pictures"] == []


def test_the_terminal_lists_trials(tmp_path):
    write_json(tmp_path / "06-tune" / "study.json", STUDY)
    (tmp_path / "06-tune" / "trials.jsonl").write_text("".join(json.dumps(row) + "\n" for row in TRIALS))
    told = lines(read_trials(tmp_path))
    assert len(told) == 6
    assert "rate 0.5, steps 2" in told[1]
