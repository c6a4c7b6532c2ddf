import pytest

from tunesmith.training import budget
from tunesmith.training.budget import Forecast, Probe, Size, cheap_seconds, plan_rungs, refits, repeats_within

NAMES = ["majority", "tfidf", "frozen", "fusion", "encoder", "contrastive", "zero_shot", "few_shot", "lm"]
CHEAP = NAMES[:4]
FAST = Probe(2000.0, 50_000.0, 20.0, 60.0)
SLOW = Probe(200.0, 300.0, 20.0, 400.0)


def plans(budget_s, *, probe=SLOW, n_train=2000, n_labels=10, output="label", names=NAMES):
    size = Size(n_train, n_train // 5, n_train // 4, n_labels, n_train / max(1, n_labels), output)
    rungs, forecasts = plan_rungs(names, size, probe, budget_s=budget_s, left_s=budget_s)
    return {r.name: r for r in rungs}, {f.name: f for f in forecasts}


@pytest.mark.parametrize(("budget_s", "run"), [(1.0, ["majority", "tfidf"]), (60.0, CHEAP)])
def test_cheap_rungs_run_on_all_rows_or_where_the_encoder_takes_far_too_long_not_at_all(budget_s, run):
    rungs, forecasts = plans(budget_s)
    assert [name for name in CHEAP if rungs[name].run] == run
    assert all(rungs[name].train_rows is None and rungs[name].steps is None for name in run)
    assert all(forecasts[name].fit_s == 0 and rungs[name].why.startswith("needs about") for name in CHEAP[len(run) :])


def test_a_cheap_rung_that_was_asked_for_runs_whatever_it_takes():
    size = Size(2000, 400, 500, 10, 200.0, "label")
    rungs, _ = plan_rungs(CHEAP, size, SLOW, budget_s=1.0, left_s=1.0, at_least=["fusion"])
    assert {r.name for r in rungs if r.run} == {"majority", "tfidf", "fusion"}


def test_a_rung_is_forecast_without_what_the_rungs_before_it_make_for_it():
    size = Size(8000, 900, 2000, 50, 160.0, "label")
    alone = sum(cheap_seconds(["fusion"], size, SLOW, cross_fits=10)["fusion"])
    after = {name: sum(s) for name, s in cheap_seconds(CHEAP, size, SLOW, cross_fits=10).items()}
    assert after["fusion"] < after["tfidf"] + after["frozen"]  # it takes their heads
    assert sum(after.values()) < 1.2 * alone  # one after the other they take little more than the last one alone


def test_a_rung_that_runs_without_those_before_it_is_forecast_alone():
    size = Size(2000, 400, 500, 10, 200.0, "label")
    _, forecasts = plan_rungs(CHEAP, size, SLOW, budget_s=1.0, left_s=1.0, at_least=["fusion"])
    told = {f.name: f.fit_s for f in forecasts}
    assert told["frozen"] == 0.0
    assert told["fusion"] > size.n_train / SLOW.encoder_texts_per_s  # it has to read the texts itself


@pytest.mark.parametrize(("budget_s", "times"), [(60.0, 1), (600.0, 2)])
def test_cross_validation_is_repeated_where_the_budget_allows(budget_s, times):
    size = Size(4000, 900, 2000, 50, 80.0, "label")
    probe = Probe(2000.0, 300.0, 20.0, 400.0)
    found, why = repeats_within(CHEAP, size, probe, folds=5, budget_s=budget_s, left_s=budget_s)
    assert found == times, why
    assert "twice" in why


@pytest.mark.parametrize(
    ("n_dev", "budget_s", "times"),
    [(1500, 60.0, 0), (1500, 1200.0, 1), (6000, 1200.0, 0)],
    ids=["dear", "cheap", "many"],
)
def test_a_dev_that_is_sharp_enough_is_joined_by_train_where_that_costs_little(n_dev, budget_s, times):
    size = Size(9 * n_dev, n_dev, 2000, 4, 2000.0, "label")
    probe = Probe(2000.0, 300.0, 20.0, 400.0)
    found, why = repeats_within(CHEAP, size, probe, folds=5, budget_s=budget_s, left_s=budget_s, blunt=False)
    assert found == times, why
    assert f"{n_dev:,}" in why


def test_a_rung_that_cannot_fit_is_not_run_and_says_what_it_needs():
    rungs, forecasts = plans(30.0)
    assert not rungs["lm"].run
    assert rungs["lm"].why.startswith("needs about ")
    assert forecasts["lm"].whole_s > 30.0
    assert forecasts["lm"].fit_s == 0.0


@pytest.mark.parametrize("budget_s", [120.0, 600.0, 2400.0])
@pytest.mark.parametrize("probe", [FAST, SLOW])
def test_what_is_planned_fits_in_the_budget(budget_s, probe):
    _, forecasts = plans(budget_s, probe=probe)
    assert sum(f.fit_s + f.predict_s for f in forecasts.values()) < budget_s


def test_a_rung_over_a_quarter_of_the_budget_must_prove_itself_at_a_pause():
    rungs, forecasts = plans(600.0, n_train=9000, n_labels=50, names=["tfidf", "encoder"])
    assert forecasts["encoder"].whole_s > 150
    assert rungs["encoder"].pause_steps is not None
    assert rungs["encoder"].steps is None or rungs["encoder"].pause_steps < rungs["encoder"].steps


def test_answering_dev_at_the_pause_takes_time_from_the_training():
    probe, size = Probe(2000.0, 1500.0, 20.0, 40.0), Size(9000, 1800, 2250, 4, 2250.0, "label")
    rungs, forecasts = plans(600.0, n_train=9000, n_labels=4, probe=probe, names=["lm"])
    plan = rungs["lm"]
    assert plan.pause_steps is not None
    assert plan.steps is not None
    assert plan.pause_steps < plan.steps
    training, load_s = budget._seconds("lm", size, probe, size.n_train, 0, plan.steps)
    answers = budget._seconds("lm", size, probe, size.n_train, plan.dev_rows or size.n_dev, 0)[1] - load_s
    assert answers > 5.0
    assert forecasts["lm"].fit_s == pytest.approx(training + answers, rel=0.02)
    assert forecasts["lm"].fit_s + forecasts["lm"].predict_s <= 0.8 * 600.0  # a fifth of the budget is kept back


def test_the_one_rung_that_learns_to_write_is_not_paused():
    rungs, forecasts = plans(2400.0, n_train=1200, n_labels=0, output="text", names=["zero_shot", "lm"])
    assert rungs["lm"].run
    assert rungs["lm"].pause_steps is None
    assert forecasts["lm"].fit_s > 600


def test_with_plenty_of_time_everything_runs_in_full():
    rungs, _ = plans(10**7)
    costly = {name: rung for name, rung in rungs.items() if name != "contrastive"}
    assert all(r.run and r.steps is None and r.test_rows is None for r in costly.values())


def test_contrastive_tuning_is_for_few_rows_per_label():
    assert not plans(10**7, n_train=5000, n_labels=5)[0]["contrastive"].run
    assert plans(10**7, n_train=500, n_labels=50)[0]["contrastive"].run


def test_equal_inputs_give_an_equal_plan():
    assert plans(600.0) == plans(600.0)


def test_a_rung_that_must_be_walked_runs_on_the_least_that_shows_anything():
    size = Size(500, 100, 300, 3, 160.0, "label")
    rungs, _ = plan_rungs(NAMES, size, SLOW, budget_s=60.0, left_s=60.0, at_least=["lm"])
    walked = next(r for r in rungs if r.name == "lm")
    assert (walked.run, walked.steps, walked.dev_rows, walked.test_rows) == (True, 8, 30, 30)
    assert not next(r for r in rungs if r.name == "few_shot").run


def test_with_few_rows_per_label_time_is_set_aside_to_learn_from_dev_too():
    size = Size(600, 150, 3000, 77, 8.0, "label")
    probe = Probe(250.0, 2000.0, 15.0, 60.0)
    names = ["tfidf", "frozen", "contrastive", "encoder"]
    rungs, forecasts = plan_rungs(names, size, probe, budget_s=300.0, left_s=280.0)
    running = [r.name for r in rungs if r.run]
    refitted = refits(running, forecasts, size, budget_s=300.0, left_s=280.0)
    assert "contrastive" in refitted
    spent = sum(f.fit_s + f.predict_s for f in forecasts)
    assert spent + 1.25 * next(f.fit_s for f in forecasts if f.name == "contrastive") < 280.0


def test_only_cheap_rungs_are_refitted_where_the_plan_uses_all_time():
    size = Size(2000, 400, 500, 10, 200.0, "label")
    long = Forecast("encoder", fit_s=200.0, predict_s=10.0, whole_s=210.0)
    short = Forecast("encoder", fit_s=50.0, predict_s=10.0, whole_s=60.0)
    names = ["tfidf", "encoder"]
    assert refits(names, [long], size, budget_s=300.0, left_s=290.0) == ["tfidf"]
    assert refits(names, [short], size, budget_s=300.0, left_s=290.0) == names


def test_rungs_planned_by_hand_are_refitted():
    size = Size(2000, 400, 500, 10, 200.0, "label")
    assert refits(["tfidf", "encoder"], [], size, budget_s=60.0, left_s=60.0) == ["tfidf", "encoder"]


def test_reading_a_large_library_is_foreseen():
    def fit_s(library_texts: float) -> float:
        size = Size(500, 100, 100, 0, 500.0, "citations", library_texts)
        _, forecasts = plan_rungs(["dense"], size, Probe(encoder_texts_per_s=100.0), budget_s=600.0, left_s=600.0)
        return forecasts[0].fit_s

    assert abs(fit_s(10_000.0) - fit_s(0.0) - 100.0) < 1.0
