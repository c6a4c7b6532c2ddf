"""The whole job on preference data with the tiny model: a file of pairs in, a model that was trained on them out."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import tunesmith as ts
from tunesmith.testing import tiny_lm

NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hana")
THINGS = ("the router", "an invoice", "the parcel", "a gift card", "the screen", "a ticket", "the battery", "a jacket")
WISHES = ("is broken since the storm", "was never sent to me", "costs more than was said", "has the wrong colour")

MORE = ("please", "today", "again", "maybe", "truly", "kindly", "often", "later", "soon", "once")


def pairs() -> list[dict[str, object]]:
    draw = random.Random(0)
    rows: list[dict[str, object]] = []
    for name in NAMES:
        for thing in THINGS:
            wish = draw.choice(WISHES)
            words = draw.sample(MORE, 5)
            asked = f"{name} says {thing} {wish} {' '.join(words)}"
            rows.append({
                "prompt": [{"role": "user", "content": asked}],
                "chosen": [{"role": "assistant", "content": f"{name} wrote about {thing}."}],
                "rejected": [{"role": "assistant", "content": "I cannot say anything about that."}],
            })  # fmt: skip
    return rows


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> ts.SavedRun:
    folder = tmp_path_factory.mktemp("preference")
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in pairs()), encoding="utf-8")
    rungs = [{"name": "copying"}, {"name": "lm", "steps": 6}]
    model = {"encoder": "none", "lm": f"folder:{tiny_lm(folder / 'tiny')}", "rungs": rungs}
    train = {"rate": 1e-2, "dpo": {"beta": 0.2}, "refit": ["lm"]}
    return ts.run(path, out=folder / "run", threads=1, dtype="float32", model=model, train=train)


def test_pairs_are_learned_as_preferences_and_the_record_says_so(finished: ts.SavedRun) -> None:
    rung = json.loads((finished.folder / "05-select/systems/lm/fitted/system.json").read_text())
    assert rung["settings"]["objective"] == "dpo"
    assert rung["on_dev"]["reward_accuracy"] > 0.5
    events = [json.loads(line) for line in (finished.folder / "events.jsonl").read_text().splitlines()]
    (decided, *_) = [e for e in events if e.get("event") == "decision" and e.get("what") == "train.objective"]
    assert decided["choice"] == "dpo"
    report = json.loads((finished.folder / "08-evaluate/report.json").read_text())
    assert any("pairs left out" in check["name"] for check in report["checks"])


def test_rejected_answers_of_test_rows_are_in_no_table(finished: ts.SavedRun) -> None:
    found = list(Path(finished.folder).rglob("dataset.parquet"))
    assert len(found) >= 2
    for path in found:
        table = pq.read_table(path)
        for split, rejected in zip(table["split"].to_pylist(), table["rejected"].to_pylist(), strict=True):
            assert (rejected is None) == (split == "test")
