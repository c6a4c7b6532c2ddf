"""Variants of tuned rungs as halving and the ladder see them."""

from tunesmith.core.context import Context
from tunesmith.core.events import EventLog
from tunesmith.core.files import read_json
from tunesmith.models.spec import ModelSpec
from tunesmith.training import contest
from tunesmith.training.halving import Reading
from tunesmith.training.ladder import prompt_of
from tunesmith.training.select import SelectOptions
from tunesmith.training.systems import Job, RungPlan
from tunesmith.training.variants import Comparison, variants

LM = ModelSpec("folder", "models/small", "lm")
LARGER = ModelSpec("folder", "models/larger", "lm")


def test_every_base_is_there_once_for_each_method_and_a_text_task_has_no_encoder():
    ways = variants("label", ["encoder", "contrastive", "lm"], lms=[LM, LARGER])
    names = [way.name for way in ways]
    assert len(names) == len(set(names)) == 7 + 2 * 4
    assert {way.lm for way in ways if way.system == "lm"} == {LM, LARGER}
    assert {way.system for way in variants("text", ["encoder", "lm"], lms=[LM])} == {"lm"}
    assert variants("label", ["tfidf"], lms=[LM]) == []


def test_the_winner_alone_is_left_to_train_with_its_options(tmp_path, monkeypatch):
    from test_select import dataset

    errors = {"encoder ia3": 0.1, "contrastive LoRA": 0.12}

    def read(self, name, share):
        return Reading(name, share, 1.0 - errors.get(name, 0.4) * share**-0.1, 0.01, 100 * share)

    monkeypatch.setattr(Comparison, "read", read)
    data = dataset()
    events = []
    base = Job(_classify(), data.labels, prompt_of(data))
    plans = (RungPlan("tfidf"), RungPlan("encoder"), RungPlan("contrastive"))
    rows = data.rows("train"), data.rows("dev")
    ctx = Context(tmp_path, emit=EventLog(None, [events.append]))
    kept, job = contest.hold(plans, *rows, base, SelectOptions(compare=0.5), ctx)
    assert [(plan.name, plan.run) for plan in kept] == [("tfidf", True), ("encoder", True), ("contrastive", False)]
    assert "encoder ia3 won" in kept[2].why
    assert job.options["method"] == "ia3"
    record = read_json(tmp_path / "contest.json")
    assert record["best"] == "encoder ia3"
    assert "contrastive LoRA" in record["level"]
    assert events[-1]["choice"] == "encoder ia3"


def test_one_variant_has_nobody_to_compete_with(tmp_path):
    from test_select import dataset

    data = dataset()
    base = Job(_classify(), data.labels, prompt_of(data))
    plans = (RungPlan("tfidf"),)
    rows = data.rows("train"), data.rows("dev")
    assert contest.hold(plans, *rows, base, SelectOptions(compare=0.5), Context(tmp_path)) == (plans, base)


def _classify():
    from tunesmith.tasks import task

    return task.get("classify")


def test_what_variants_share_is_made_once(tmp_path):
    from test_select import dataset

    data = dataset()
    comparison = Comparison(
        variants("label", ["encoder"], lms=[]), data.rows("train"), data.rows("dev"),
        Job(_classify(), data.labels, prompt_of(data)), Context(tmp_path),
    )  # fmt: skip
    jobs = [comparison._job(name) for name in comparison.ways]
    made = []
    assert [job.shared(("counts", 1), lambda: made.append(1) or len(made)) for job in jobs] == [1] * len(jobs)
    assert jobs[0].shared(("counts", 2), lambda: made.append(1) or len(made)) == 2
    assert len(set(comparison.kinds.values())) == 1
    alone = Job(_classify(), data.labels, prompt_of(data))
    assert [alone.shared(("counts", 1), lambda: made.append(1) or len(made)) for _ in range(2)] == [3, 4]
