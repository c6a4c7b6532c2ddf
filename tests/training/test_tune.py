"""Tune on a rung that learns in no time: what a study tries, when it stops, and what it takes."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tunesmith.core.context import Context
from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import ConfigError, MissingExtra, ModelError
from tunesmith.core.events import EventLog
from tunesmith.core.files import read_json, write_json
from tunesmith.core.predictions import Predictions
from tunesmith.models.methods import Choice, Range
from tunesmith.training import systems
from tunesmith.training.dials import Dial, first_points, usual
from tunesmith.training.ladder import Ladder
from tunesmith.training.search import goes_on, suggest
from tunesmith.training.select import SelectOptions, select
from tunesmith.training.systems import RungPlan
from tunesmith.training.train import TrainOptions, train
from tunesmith.training.trials import Trial
from tunesmith.training.tune import LEAST_FITS, TuneOptions, tune

KINDS = ("bad", "good", "odd")
N = 900


def dataset(n=N):
    """Texts that name their label; a learner that is wrong about a share of them is a share wrong."""
    split = ["dev" if i % 2 else "train" for i in range(n)]
    table = pa.table(
        {
            "id": pa.array(range(n), pa.int64()),
            "text": [f"{KINDS[i % 3]} thing {i}" for i in range(n)],
            "target": [KINDS[(i + (i % 5 == 0)) % 3] for i in range(n)],
            "split": split,
            "weight": pa.array([1.0] * n, pa.float32()),
            "group": pa.array(range(n), pa.int64()),
        }
    )
    return Dataset(table, "classify", KINDS, ("text",), "kind")


@dataclass
class Learned:
    """Right about a text with a probability that the settings give; which texts, the seed says."""

    share: float
    seed: int
    settings: dict
    system = "pupil"
    curve = ()

    def predict(self, texts, ctx):
        said = []
        for text in texts:
            number = int(text.split()[-1])
            right = KINDS[(KINDS.index(text.split()[0]) + (number % 5 == 0)) % 3]
            hard = np.random.default_rng([3, number]).random()  # some texts are hard for whoever learns
            luck = np.random.default_rng([self.seed, number]).normal(0, 0.05)
            said.append(right if hard + luck < self.share else KINDS[(KINDS.index(right) + 1) % 3])
        return Predictions(tuple(said))

    def save(self, folder: Path):
        write_json(folder / "pupil.json", {"share": self.share, "seed": self.seed, "settings": self.settings})


@dataclass(frozen=True)
class Pupil:
    """Best at four times its usual rate (or at the usual one, where nothing helps); diverges above eight times."""

    helps: bool = True
    name: str = "pupil"
    kind: str = "tuned"
    needs: str = "nothing"
    outputs: tuple = ("label",)
    is_cheap = False

    def share(self, rate):
        return 0.7 - 0.04 * abs(np.log2(rate / 4)) if self.helps else 0.7

    def fit(self, train, dev, job, ctx):
        rate = float(job.options.get("rate", 1.0))
        if rate > 8.0:
            raise ModelError("the loss is nan at step 3.")
        if job.promising is not None:
            job.promising(self.share(rate) - 0.2)
        settings = {"rate": rate, "best_step": job.plan.steps or 60, "schedule_steps": job.plan.steps or 60}
        return Learned(self.share(rate), ctx.seed, settings)

    def load(self, folder, job, ctx):
        return Learned(**read_json(folder / "pupil.json"))

    def seconds(self, work):
        return 1.0, 0.1

    def dials(self, job, *, n_rows):
        return {"rate": Dial(Range(0.25, 16.0, log=True), 1.0), "steps": Dial(Choice((0.5, 1.0, 2.0)), 1.0)}

    def steps(self, job, *, n_rows):
        return 60

    def options_of(self, point, job):
        return {"rate": float(point["rate"])} if "rate" in point else {}


@pytest.fixture
def pupil(monkeypatch):
    def register(made):
        monkeypatch.setitem(systems.system._found, "pupil", made)

    return register


PLAN = SelectOptions(rungs=(RungPlan("majority"), RungPlan("pupil")), encoder="none", lm="none")


def ladder_of(folder, data):
    (folder / "05-select").mkdir(parents=True, exist_ok=True)
    made = select(data, PLAN, TrainOptions(), Context(folder / "05-select"))
    made.save(folder / "05-select")
    return Ladder.load(folder / "05-select")


def study(folder, *, fits=20.0, sampler="tpe", training=None, stop_after=None, at_once=1, engine="local"):
    data = dataset()
    ladder = ladder_of(folder, data)
    work = folder / "06-tune"
    work.mkdir(exist_ok=True)
    count = [0]

    def listen(event):
        if event["event"] == "trial":
            count[0] += 1
            if count[0] == stop_after:
                raise KeyboardInterrupt

    ctx = Context(work, emit=EventLog(None, [listen]))
    made = tune(
        data,
        ladder,
        TuneOptions(fits=fits, sampler=sampler, at_once=at_once, engine=engine),
        PLAN,
        training or TrainOptions(),
        ctx,
    )
    made.save(work)
    return Ladder.load(work), read_json(work / "study.json"), trials_of(work)


def trials_of(work):
    path = work / "trials.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def untimed(trials):
    return [{key: value for key, value in trial.items() if key not in ("cost", "spent_cpu_s")} for trial in trials]


def test_a_better_setting_takes_the_defaults_place_and_is_refitted(tmp_path, pupil):
    pupil(Pupil())
    ladder, told, trials = study(tmp_path)
    assert told["state"] == "chosen"
    assert told["gain"]["low"] > 0
    assert told["point"]["rate"] > 2
    rung = ladder["pupil"]
    assert rung.settings["rate"] == told["point"]["rate"]
    assert rung.dev > trials[0]["score"]
    assert sum(trial["fits"] for trial in trials) <= 20.0
    (tmp_path / "07-train").mkdir()
    trained = train(dataset(), ladder, TrainOptions(refit=("pupil",)), Context(tmp_path / "07-train"))
    fitted = trained.fitted("pupil", ladder, Context(tmp_path))
    assert fitted.settings["rate"] == rung.settings["rate"]


def test_where_nothing_helps_the_default_stays_and_the_reason_is_told(tmp_path, pupil):
    pupil(Pupil(helps=False))
    ladder, told, trials = study(tmp_path, fits=30.0)
    assert told["state"] == "default kept"
    assert ladder["pupil"].path == "systems/pupil/fitted"
    assert ladder.folder == tmp_path / "05-select"
    assert len(trials) > LEAST_FITS
    assert not (tmp_path / "06-tune" / "trials").exists()


@pytest.mark.parametrize("stop_after", [2, 5, 9, 13])
def test_a_study_that_is_stopped_goes_on_with_the_same_trials_to_the_same_choice(tmp_path, pupil, stop_after):
    pupil(Pupil())
    _, told, trials = study(tmp_path / "alone")
    with pytest.raises(KeyboardInterrupt):
        study(tmp_path / "stopped", stop_after=stop_after)
    assert len(trials_of(tmp_path / "stopped" / "06-tune")) == stop_after
    _, again, resumed = study(tmp_path / "stopped")
    assert untimed(resumed) == untimed(trials)
    assert {**again, "cost": 0} == {**told, "cost": 0}


def test_a_trial_that_diverges_is_a_failed_trial_and_no_end(tmp_path, pupil):
    pupil(Pupil())
    _, told, trials = study(tmp_path, fits=40.0, sampler="random")
    failed = [trial for trial in trials if trial["state"] == "failed"]
    assert failed
    assert all("nan at step 3" in trial["why"] and trial["point"]["rate"] > 8 for trial in failed)
    assert told["counts"]["failed"] == len(failed)
    assert told["state"] == "chosen"


def test_too_few_trainings_or_errors_are_no_study(tmp_path, pupil, monkeypatch):
    pupil(Pupil())
    _, told, trials = study(tmp_path / "a", fits=3.0)
    assert (told["state"], trials) == ("nothing tried", [])
    assert "3.0 trainings of pupil" in told["why"]
    monkeypatch.setattr(Pupil, "share", lambda self, rate: 2.0)
    _, told, trials = study(tmp_path / "b")
    assert (told["state"], trials) == ("nothing tried", [])
    assert "about 0 of 450 dev rows are wrong" in told["why"]


def test_what_the_user_set_is_not_varied(tmp_path, pupil):
    pupil(Pupil())
    _, _, trials = study(tmp_path, training=TrainOptions(rate=2.0), fits=12.0)
    assert {tuple(trial["point"]) for trial in trials} == {("steps",)}


def test_the_clock_ends_a_study_once(tmp_path, pupil):
    pupil(Pupil())
    data, folder = dataset(), tmp_path / "06-tune"
    ladder = ladder_of(tmp_path, data)
    slow = replace(ladder["pupil"], cost=ladder["pupil"].cost.but(train_wall_s=100.0))
    ladder = replace(ladder, rungs=(slow, *(r for r in ladder.rungs if r.name != "pupil")))
    folder.mkdir()
    options = TuneOptions(fits=20.0, sampler="random", at_once=1, clock_s=50.0)
    tune(data, ladder, options, PLAN, TrainOptions(), Context(folder))
    assert read_json(folder / "stopped.json") == {"explored": 1}
    assert len(trials_of(folder)) == 1
    tune(data, ladder, replace(options, clock_s=None), PLAN, TrainOptions(), Context(folder))
    assert len(trials_of(folder)) == 1, "what the clock decided is obeyed on resume"


def test_unplanned_options_are_refused(tmp_path, pupil):
    pupil(Pupil())
    with pytest.raises(ConfigError, match="must be planned"):
        study(tmp_path, fits="auto")


def test_trials_asked_for_together_differ_from_each_other(tmp_path, pupil):
    pupil(Pupil())
    _, told, trials = study(tmp_path, at_once=3)
    explored = [tuple(trial["point"].values()) for trial in trials if trial["role"] != "repeat"]
    assert len(set(explored)) == len(explored)
    assert told["spent_fits"] <= 20.0
    assert told["state"] == "chosen"


def test_without_ray_its_engine_says_what_to_install(tmp_path, pupil, monkeypatch):
    import sys

    pupil(Pupil())
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match="'ray'"):
        study(tmp_path, engine="ray")


def test_without_optuna_its_sampler_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "optuna", None)
    dials = Pupil().dials(None, n_rows=100)
    tried = [Trial(i, "explore", point, 0, "complete", 0.5) for i, point in enumerate(first_points(dials, n_rows=100))]
    with pytest.raises(MissingExtra, match="tune"):
        suggest(dials, tried, number=3, seed=0, sampler="tpe", n_rows=100)
    drawn = suggest(dials, tried, number=3, seed=0, sampler="random", n_rows=100)
    assert 0.25 <= drawn["rate"] <= 16.0


def test_suggestions_follow_from_what_ended_before():
    dials = Pupil().dials(None, n_rows=100)
    tried = [Trial(0, "default", usual(dials), 0, "complete", 0.5)]
    for number in range(1, 9):
        point = suggest(dials, tried, number=number, seed=4, sampler="tpe", n_rows=3_000)
        assert point == suggest(dials, tried, number=number, seed=4, sampler="tpe", n_rows=3_000)
        assert point not in [trial.point for trial in tried]
        tried.append(Trial(number, "explore", point, 0, "complete", 0.5 + 0.01 * number))


def test_few_rows_begin_with_more_steps_and_many_with_larger_ones():
    dials = Pupil().dials(None, n_rows=0)
    assert all(point["steps"] == 2.0 for point in first_points(dials, n_rows=200))
    assert first_points(dials, n_rows=20_000)[0]["rate"] == 1.5


def test_a_third_of_those_that_paused_go_on_and_two_at_the_least():
    assert goes_on(0.5, [])
    assert goes_on(0.5, [0.6])
    assert not goes_on(0.5, [0.6, 0.7])
    assert goes_on(0.65, [0.7, 0.6, 0.5, 0.4, 0.3])
    assert not goes_on(0.55, [0.7, 0.6, 0.5, 0.4, 0.3])
    assert goes_on(0.55, [0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0])
