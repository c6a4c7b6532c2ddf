"""Tune inside a whole run, with a tiny encoder and labels that are partly wrong."""

import json
import random
import shutil

import pytest

import tunesmith as ts
from tunesmith.core.run import stage_records
from tunesmith.planning import read_plan
from tunesmith.testing import tiny_encoder

WORDS = {"billing": ["invoice", "charged", "refund"], "delivery": ["parcel", "courier", "late"]}


def tickets(n=400):
    draw = random.Random(0)
    rows = []
    for number in range(n):
        kind = draw.choice(list(WORDS))
        words = [*draw.choices(WORDS[kind], k=2), *draw.choices(["the", "my", "please", "why"], k=4), f"no{number}"]
        rows.append({"message": " ".join(words), "kind": kind if draw.random() < 0.75 else draw.choice(list(WORDS))})
    return rows


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    encoder = tiny_encoder(tmp_path_factory.mktemp("models") / "encoder")
    model = {"encoder": f"folder:{encoder}", "lm": "none", "only": ["majority", "tfidf", "encoder"]}
    return {
        "target": "kind", "inputs": ["message"], "budget": "90s", "threads": 1, "model": model,
        "train": {"epochs": 1}, "curate": {"steps": ["leaks"]},
    }  # fmt: skip


@pytest.mark.slow
def test_a_run_tries_settings_says_what_came_of_it_and_does_nothing_twice(options, tmp_path, monkeypatch):
    monkeypatch.setattr("tunesmith.training.tune._HOPELESS", 1.0)
    done = ts.run(tickets(), out=tmp_path / "run", **options, tune={"fits": 8})
    told = json.loads((done.folder / "06-tune" / "study.json").read_text())
    assert told["state"] in ("default kept", "chosen")
    assert told["counts"]["complete"] + told["counts"]["pruned"] >= 3
    assert 4 <= told["spent_fits"] <= 8
    page = (done.folder / "report.html").read_text()
    assert "Other settings that were tried" in page
    keys = {name: record["key"] for name, record in stage_records(done.folder).items()}
    assert list(keys) == ["ingest", "curate", "select", "tune", "train", "evaluate"]
    ts.run(tickets(), out=done.folder, **options, tune={"fits": 8})
    assert {name: record["key"] for name, record in stage_records(done.folder).items()} == keys
    shutil.rmtree(done.folder / "06-tune")
    ts.run(tickets(), out=done.folder, **options, tune={"fits": 8})
    again = json.loads((done.folder / "06-tune" / "study.json").read_text())
    assert {**again, "cost": 0} == {**told, "cost": 0}
    assert done.predict(["parcel late the my"]).values[0] in WORDS


@pytest.mark.slow
def test_the_number_of_trials_is_decided_once_and_written_down(options, tmp_path):
    done = ts.run(tickets(), out=tmp_path / "run", **options, tune={"budget": "1s"})
    plan = read_plan(done.folder / "plan.yaml")
    assert plan.config.tune.fits != "auto"
    assert plan.config.tune.sampler in ("tpe", "random")
    assert plan.config.tune.clock_s is None
    (why,) = [d.why for d in plan.decisions if d.what == "tune.fits"]
    assert "s for trials of encoder" in why
    before = (done.folder / "plan.yaml").read_text()
    ts.run(tickets(), out=done.folder, **options, tune={"budget": "1s"})
    assert (done.folder / "plan.yaml").read_text() == before


@pytest.mark.slow
def test_a_local_ray_cluster_makes_the_same_trials(options, tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")
    monkeypatch.setattr("tunesmith.training.tune._HOPELESS", 1.0)
    found = {}
    for engine in ("local", "ray"):
        tune = {"fits": 7, "at_once": 2, "engine": engine}
        done = ts.run(tickets(), out=tmp_path / engine, **options, tune=tune)
        lines = (done.folder / "06-tune" / "trials.jsonl").read_text().splitlines()
        found[engine] = [json.loads(line) for line in lines]
    ray.shutdown()
    timed = ("cost", "spent_cpu_s")
    untimed = {name: [{k: v for k, v in t.items() if k not in timed} for t in trials] for name, trials in found.items()}
    assert len(found["ray"]) >= 4
    assert untimed["ray"] == untimed["local"]
