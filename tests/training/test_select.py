"""Select on a small table with the two rungs that need no model."""

import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from tunesmith.core.context import Context
from tunesmith.core.dataset import Dataset, rows_of
from tunesmith.core.errors import ConfigError
from tunesmith.core.events import EventLog
from tunesmith.core.meter import Cost
from tunesmith.core.predictions import Predictions
from tunesmith.tasks import task as tasks
from tunesmith.training.budget import nominal_price
from tunesmith.training.dev_scores import Scored
from tunesmith.training.ladder import Ladder, Rung, prompt_of
from tunesmith.training.select import SelectOptions, choose, latency, select
from tunesmith.training.systems import Job, RungPlan
from tunesmith.training.train import TrainOptions, train


def dataset(n=120):
    kinds = ["good", "bad", "odd"]
    texts = [f"{kinds[i % 3]} thing number {i} with words {i * 7 % 11}" for i in range(n)]
    split = ["dev" if i % 4 == 0 else "train" for i in range(n)]
    table = pa.table(
        {
            "id": pa.array(range(n), pa.int64()),
            "text": texts,
            "target": [kinds[i % 3] for i in range(n)],
            "split": split,
            "weight": pa.array([1.0] * n, pa.float32()),
            "group": pa.array(range(n), pa.int64()),
        }
    )
    return Dataset(table, "classify", ("bad", "good", "odd"), ("text",), "kind")


JOB = Job(tasks.get("classify"), ("bad", "good"), prompt_of(dataset()))
PRICES = {"dear": 1.0, "cheap": 0.01}
OPTIONS = SelectOptions(rungs=(RungPlan("majority"), RungPlan("tfidf")), encoder="none", lm="none")


def run(folder: Path, options=OPTIONS, events=None, data=None):
    folder.mkdir(exist_ok=True)
    listeners = [] if events is None else [events.append]
    data = dataset() if data is None else data
    return select(data, options, TrainOptions(), Context(folder, emit=EventLog(None, listeners)))


def test_the_best_on_dev_is_the_reference_and_the_ladder_survives_disk(tmp_path):
    ladder = run(tmp_path / "s")
    assert (ladder.reference, ladder.candidate, ladder.choice) == ("tfidf", None, "tfidf")
    assert [rung.name for rung in ladder.rungs] == ["tfidf", "majority"]
    assert ladder["tfidf"].how == "cross-validation"
    assert ladder["tfidf"].n == 120
    ladder.save(tmp_path / "s")
    again = Ladder.load(tmp_path / "s")
    assert again.to_dict() == ladder.to_dict()
    context = Context(tmp_path / "s")
    assert again.fitted("tfidf", context).predict(["good thing"], context).values == ("good",)


@pytest.mark.parametrize(("repeats", "how", "n"), [(0, "dev", 30), (1, "cross-validation", 120)])
def test_what_the_plan_says_decides_whether_cheap_rungs_are_cross_validated(tmp_path, repeats, how, n):
    ladder = run(tmp_path / "s", replace(OPTIONS, repeats=repeats))
    assert (ladder["tfidf"].how, ladder["tfidf"].n) == (how, n)


def test_a_rung_that_ended_is_not_fitted_again(tmp_path, monkeypatch):
    from tunesmith.training.systems.tfidf import Tfidf

    first = run(tmp_path / "s")
    monkeypatch.setattr(Tfidf, "fit", lambda *_: pytest.fail("fitted again"))
    assert run(tmp_path / "s").to_dict() == first.to_dict()


def test_a_rung_that_answers_too_slowly_cannot_ship(tmp_path, monkeypatch):
    free = run(tmp_path / "free")
    assert free["tfidf"].latency_s > 0
    monkeypatch.setattr("tunesmith.training.select.latency", lambda *_: 0.05)
    slow = run(tmp_path / "slow", replace(OPTIONS, max_latency=0.06))
    assert slow.choice == "tfidf"
    seconds = iter([0.001, 0.05])  # majority, tfidf
    monkeypatch.setattr("tunesmith.training.select.latency", lambda *_: next(seconds))
    ladder = run(tmp_path / "quick", replace(OPTIONS, max_latency=0.04))
    assert (ladder.reference, ladder.choice) == ("majority", "majority")
    assert "Too slow for 40 ms an answer, so out of the choice: tfidf 50 ms." in ladder.why
    assert ladder["tfidf"].ran, "what cannot ship is still measured"
    monkeypatch.setattr("tunesmith.training.select.latency", lambda *_: 1.0)
    with pytest.raises(ConfigError, match="no untuned rung answers within 40 ms"):
        run(tmp_path / "none", replace(OPTIONS, max_latency=0.04))


def test_latency_is_of_one_answer_and_leaves_out_the_first_call():
    asked = []

    def answer(text):
        asked.append(text)
        if len(asked) == 1:
            time.sleep(0.05)

    assert latency(answer, [str(n) for n in range(20)]) < 0.02
    assert len(asked) == 17
    assert latency(answer, []) is None


def test_unplanned_rungs_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="must be planned"):
        run(tmp_path / "s", replace(OPTIONS, rungs="auto"))


def test_a_rung_that_is_not_to_run_is_listed_with_its_reason(tmp_path):
    ladder = run(tmp_path / "s", replace(OPTIONS, rungs=(*OPTIONS.rungs, RungPlan("lm", run=False, why="needs 3 h"))))
    assert (ladder["lm"].status, ladder["lm"].why, ladder["lm"].dev) == ("not run", "needs 3 h", None)


def test_what_the_clock_stops_is_an_event_first_and_stays_stopped(tmp_path):
    late = replace(OPTIONS, rungs=(*OPTIONS.rungs, RungPlan("zero_shot")), clock_s=1e-9)
    events = []
    ladder = run(tmp_path / "s", late, events)
    assert ladder["zero_shot"].status == "not run"
    assert ladder["zero_shot"].why.startswith("the clock")
    assert ladder["tfidf"].ran, "cheap rungs always run"
    assert [e["what"] for e in events if e["event"] == "decision"] == ["model.rungs.zero_shot"]
    again = run(tmp_path / "s", replace(late, clock_s=None))
    assert again["zero_shot"].why == ladder["zero_shot"].why


def scored(name: str, right: int, n: int = 200) -> Scored:
    """A rung that answers the first `right` of n rows correctly."""
    truth = ["good" if i % 2 else "bad" for i in range(n)]
    said = [t if i < right else ("bad" if t == "good" else "good") for i, t in enumerate(truth)]
    return Scored(name, rows_of([f"t{i}" for i in range(n)], truth), Predictions(tuple(said)), JOB)


def rung(name: str, price: float, right: int) -> Rung:
    cost = Cost(predict_cpu_s_per_example=price)
    return Rung(name, "untuned", "nothing", "full", "", RungPlan(name), cost=cost, dev=right / 200, n=200)


@pytest.mark.parametrize(
    ("right_of_cheap", "prefer", "ships"),
    [(199, "best", "dear"), (200, "best", "cheap"), (199, "cheap", "cheap"), (180, "cheap", "dear")],
)
def test_a_cheaper_rung_ships_only_within_what_a_difference_is_worth(tmp_path, right_of_cheap, prefer, ships):
    seen = {"dear": scored("dear", 200), "cheap": scored("cheap", right_of_cheap)}
    rungs = [rung("dear", 1.0, 200), rung("cheap", 0.01, right_of_cheap)]
    options = replace(OPTIONS, prefer=prefer)
    made = choose(rungs, seen, JOB, prices=PRICES, options=options, folder=tmp_path, seed=0)
    assert made.reference == ships


def test_seconds_that_were_measured_do_not_decide_between_equally_good_rungs(tmp_path):
    seen = {"dear": scored("dear", 200), "cheap": scored("cheap", 200)}
    for seconds in (1e-6, 5.0):
        rungs = [rung("dear", 0.01, 200), rung("cheap", seconds, 200)]
        assert choose(rungs, seen, JOB, prices=PRICES, options=OPTIONS, folder=tmp_path, seed=0).reference == "cheap"


def test_prices_are_the_same_on_every_run_and_in_the_order_of_the_work():
    def price(name, tokens=20.0):
        return nominal_price(name, n_labels=5, tokens_per_text=tokens)

    order = ["majority", "tfidf", "frozen", "fusion", "encoder", "zero_shot"]
    assert sorted(order, key=price) == order
    assert price("tfidf") == price("tfidf")
    assert price("fusion", 200.0) > 5 * price("fusion", 20.0)


def test_the_frugal_alternative_is_named_with_its_price(tmp_path):
    seen = {"dear": scored("dear", 200), "cheap": scored("cheap", 190)}
    rungs = [rung("dear", 1.0, 200), rung("cheap", 0.01, 190)]
    made = choose(rungs, seen, JOB, prices=PRICES, options=OPTIONS, folder=tmp_path, seed=0)
    assert made.frugal == "cheap"
    assert "5.0 points less at 1/100 of the cost" in made.why


def test_train_refits_what_may_ship_on_train_and_dev_with_its_settings_frozen(tmp_path):
    ladder = run(tmp_path / "s")
    (tmp_path / "t").mkdir()
    trained = train(dataset(), ladder, TrainOptions(), Context(tmp_path / "t"))
    assert trained.refitted == ("tfidf",)
    kept = (tmp_path / "s" / "systems" / "tfidf" / "fitted" / "calibration.json").read_text()
    assert (tmp_path / "t" / "systems" / "tfidf" / "calibration.json").read_text() == kept
    context = Context(tmp_path / "t")
    assert trained.fitted("tfidf", ladder, context).predict(["odd thing"], context).values == ("odd",)


def test_a_rung_outside_the_plan_to_refit_ships_as_select_left_it(tmp_path):
    ladder = run(tmp_path / "s")
    (tmp_path / "t").mkdir()
    trained = train(dataset(), ladder, TrainOptions(refit=("majority",)), Context(tmp_path / "t"))
    assert trained.refitted == ()
    assert "no time" in trained.why["tfidf"]
    assert trained.path("tfidf", ladder) == tmp_path / "s" / "systems" / "tfidf" / "fitted"


def test_a_resumed_select_ends_in_the_digits_of_one_that_was_never_stopped(tmp_path, monkeypatch):
    """Vectors depend in their last digits on what shares their batch, so a rung must not read only what is missing."""
    from tunesmith.models.encoder import Encoder
    from tunesmith.testing import tiny_encoder
    from tunesmith.training import embeddings

    real = Encoder.embed
    # The tiny encoder is too small to show it: let the number of texts read together move the last digits.
    monkeypatch.setattr(Encoder, "embed", lambda self, texts, *more: real(self, texts, *more) + 1e-7 * len(texts))

    class Stopped(Exception):
        pass

    def stop_after_frozen(event):
        if event.get("event") == "rung" and event["name"] == "frozen":
            raise Stopped

    encoder = f"folder:{tiny_encoder(tmp_path / 'tiny')}"
    rungs = (RungPlan("frozen"), RungPlan("encoder", steps=4, dev_rows=40))  # a part of dev: another batch
    data = dataset(240)
    options = SelectOptions(rungs=rungs, encoder=encoder, lm="none")
    embeddings.forget()
    run(tmp_path / "alone", options, data=data)
    embeddings.forget()
    (tmp_path / "killed").mkdir()
    log = EventLog(None, [stop_after_frozen])
    with pytest.raises(Stopped):
        select(data, options, TrainOptions(), Context(tmp_path / "killed", emit=log))
    embeddings.forget()
    run(tmp_path / "killed", options, data=data)
    fitted = "systems/encoder/fitted"
    names = sorted(p.relative_to(tmp_path / "alone").as_posix() for p in (tmp_path / "alone" / fitted).rglob("*"))
    for name in names:
        if (tmp_path / "alone" / name).is_file():
            assert (tmp_path / "alone" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes(), name
    assert f"{fitted}/together.json" in names
    assert not (tmp_path / "killed" / "work").exists()


def test_a_rung_gives_way_when_the_rungs_before_it_took_longer_than_was_forecast(tmp_path, monkeypatch):
    from tunesmith.training import select as module
    from tunesmith.training.select import Bench

    plans = (
        RungPlan("tfidf"),
        RungPlan("encoder", fit_s=60.0, answer_s=20.0),
        RungPlan("lm", fit_s=80.0, answer_s=40.0),
        RungPlan("few_shot", run=False, fit_s=500.0),
    )
    now = 1000.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    data = dataset()

    def bench(**options):
        return Bench(
            data.rows("train"), data.rows("dev"), JOB, replace(OPTIONS, rungs=plans, **options), Context(tmp_path)
        )

    on_time = bench(clock_s=200.0)._late(plans[1])
    late = bench(clock_s=100.0)._late(plans[1])
    assert on_time is not None
    assert late is not None
    now = 1000.0 + 59.0
    assert not on_time()
    assert late(), "half the time is left for what was forecast: each rung gets half"
    now = 1000.0 + 61.0
    assert on_time()
    now = 1000.0
    assert bench()._late(plans[1]) is None, "a plan that is followed has no clock"
    assert bench(clock_s=100.0, at_least=("encoder",))._late(plans[1]) is None
