"""Turns a wall-time budget into what each rung may do, before any of it is done.

Knows nothing of clocks: it is given what is left and how fast this machine is, so that equal inputs
give an equal plan. The plan is written to plan.yaml and obeyed, on resume too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tunesmith.training.systems import RungPlan, System, Workload
from tunesmith.training.systems import system as systems


@dataclass(frozen=True)
class Probe:
    """How fast this machine is on these texts, measured once. Zero: not measured (no such base model).

    encoder_texts_per_s, lm_tokens_per_s: of forward passes of the frozen models.
    tokens_per_text: of a text alone. tokens_per_prompt: what an Example with instruction and answer costs to train on,
    in tokens; rows that share their beginnings cost little more than what is their own.
    reading_texts_per_s, answering_texts_per_s, tokens_per_row, label_tokens, written_tokens, asked_token: as Workload
    has them.
    """

    encoder_texts_per_s: float = 0.0
    lm_tokens_per_s: float = 0.0
    tokens_per_text: float = 0.0
    tokens_per_prompt: float = 0.0
    reading_texts_per_s: float = 0.0
    answering_texts_per_s: float = 0.0
    tokens_per_row: float = 0.0
    label_tokens: float = 0.0
    written_tokens: float = 0.0
    asked_token: float = 1.0


@dataclass(frozen=True)
class Size:
    """How much there is to do. rows_per_label: of the median label; n_labels is 0 for text tasks.

    library_texts: how many texts of usual length the library would fill; 0 without one.
    characters_per_text: 0 where it is not known.
    """

    n_train: int
    n_dev: int
    n_test: int
    n_labels: int
    rows_per_label: float
    output: str
    library_texts: float = 0.0
    characters_per_text: float = 0.0


@dataclass(frozen=True)
class Forecast:
    """What one rung is expected to take, in seconds of wall time: fitting, and answering dev and test."""

    name: str
    fit_s: float
    predict_s: float
    whole_s: float  # what it would take without a budget


# How the costly rungs share what the cheap ones leave.
_LABEL_SHARES = {
    "encoder": 0.34,
    "contrastive": 0.30,
    "lm": 0.24,
    "lm_domain": 0.24,
    "few_shot": 0.09,
    "zero_shot": 0.08,
}
_TEXT_SHARES = {
    "lm": 0.80,
    "lm_domain": 0.80,
    "template_tuned": 0.30,
    "template": 0.15,
    "few_shot": 0.08,
    "zero_shot": 0.07,
}
# Of the whole budget, for scoring, refitting and the report, and because forecasts miss by some tenths.
_KEEP_BACK = 0.20
_MOST_FOR_TRIALS = 0.5
_LEAST_SCORED = {"label": 30, "labels": 30, "text": 16, "json": 16}  # rows below which a score says nothing
# Rows above which an LM rung's score is sharp enough.
_MOST_SCORED = {"label": 1000, "labels": 1000, "text": 200, "json": 300}
# Forecasts of cheap rungs err on the high side, by up to a factor of two: so much over the time is still tried.
_CHEAP_OVER = 1.5
# Contrastive tuning pays where labels are few; above this it was never best and costs most.
_FEW_ROWS_PER_LABEL = 64.0
_LEAST_STEPS = 8
_TRAINED = 10_000  # steps after which a model is sure of its answers, whatever the task
# Judged rows from which on the share that is right is known to 0.7 points at worst (one standard error), and the share
# of the time that knowing it better may cost.
_ENOUGH_JUDGED, _FOR_JUDGING = 5000, 0.1
# Tokens per second that the default base models read on one core; see docs/log.md.
_ENCODER_TOKENS_PER_S, _LM_TOKENS_PER_S = 4000.0, 1500.0


def plan_rungs(
    names: Sequence[str],
    size: Size,
    probe: Probe,
    *,
    budget_s: float,
    left_s: float,
    at_least: Sequence[str] = (),
    cross_fits: int = 0,
) -> tuple[list[RungPlan], list[Forecast]]:
    """What each rung may do within `left_s` of a budget of `budget_s` seconds, cheap rungs first.

    Cheap rungs (those that can be cross-fitted) run on all rows; where reading all texts with the encoder would take
    far longer than there is time, those that do are not run. A rung that by itself would need more than a quarter of
    the budget must prove itself at a pause, or is not run. at_least: rungs that run on the least that shows anything
    even where there is no time for more. cross_fits: fits of every cheap rung that cross-validation will take.
    """
    plans: dict[str, RungPlan] = {}
    forecasts: dict[str, Forecast] = {}
    left = left_s - _KEEP_BACK * budget_s
    left -= _refitting(names, size, probe, most=left / 4)
    cheap = cheap_seconds(names, size, probe, cross_fits=cross_fits)
    stays = list(cheap)
    if sum(map(sum, cheap.values())) > _CHEAP_OVER * left_s:
        stays = [name for name in cheap if systems.get(name).needs == "nothing" or name in at_least]
        cheap |= cheap_seconds(stays, size, probe, cross_fits=cross_fits)
    for name, (fit, answer) in cheap.items():
        whole_s = fit + answer
        if name not in stays:
            plans[name] = RungPlan(name, run=False, why=f"needs about {_told(whole_s)}")
            forecasts[name] = Forecast(name, 0.0, 0.0, whole_s)
        else:
            plans[name] = RungPlan(name, why="cheap: on all rows")
            forecasts[name] = Forecast(name, fit, answer, whole_s)
            left -= whole_s
    shares = _LABEL_SHARES if size.output == "label" else _TEXT_SHARES
    costly = [name for name in names if not is_cheap(name)]
    few = size.rows_per_label <= _FEW_ROWS_PER_LABEL
    if "contrastive" in costly and size.output == "label" and not few:
        plans["contrastive"] = RungPlan(
            "contrastive", run=False,
            why=f"made for few rows: here the median label has {size.rows_per_label:.0f}",
        )  # fmt: skip
        forecasts["contrastive"] = Forecast("contrastive", 0.0, 0.0, 0.0)
        costly.remove("contrastive")
    costly = [name for name in costly if name not in plans]
    whole = {name: sum(_seconds(name, size, probe, size.n_train, size.n_dev + size.n_test, None)) for name in costly}
    waiting = sorted(costly, key=lambda name: (whole[name], name))
    while waiting:
        made = _shared(waiting, shares, size, probe, left=max(0.0, left), budget_s=budget_s)
        plans.update({name: plan for name, (plan, _) in made.items()})
        forecasts.update({name: forecast for name, (_, forecast) in made.items()})
        # What cannot fit leaves its share to the others: the longest goes first, then all are planned anew.
        hopeless = [name for name in waiting if not plans[name].run]
        if not hopeless:
            break
        waiting.remove(hopeless[-1])
    for name in at_least:
        if name in plans and not plans[name].run:
            plans[name], forecasts[name] = _minimum(name, size, probe)
    told = [
        replace(
            plans[name],
            fit_s=round(forecasts[name].fit_s, 1),
            answer_s=round(forecasts[name].predict_s, 1),
            one_s=round(_one_answer(name, size, probe, plans[name].steps), 7),
        )
        for name in names
    ]
    return told, [forecasts[name] for name in names]


def repeats_within(
    names: Sequence[str], size: Size, probe: Probe, *, folds: int, budget_s: float, left_s: float, blunt: bool = True
) -> tuple[int, str]:
    """How often the cheap rungs are cross-validated on train and dev, and why.

    blunt: dev is too small to choose by. Then twice, or once where twice would overrun the budget. Else once where that
    takes little of the time and dev is not large: confidence and its promises rest on the rows judged.
    """

    def whole_s(repeats: int) -> float:
        return sum(map(sum, cheap_seconds(names, size, probe, cross_fits=repeats * folds).values()))

    room_s = max(0.0, left_s - _KEEP_BACK * budget_s)
    if blunt:
        why = f"twice would make the cheap rungs take {_told(whole_s(2))}, and there is {_told(room_s)} for them"
        return (2, why) if whole_s(2) <= room_s else (1, why)
    if size.n_dev >= _ENOUGH_JUDGED:
        return 0, f"dev has {size.n_dev:,} rows to judge by"
    more_s = whole_s(1) - whole_s(0)
    rows = f"judges {size.n_train + size.n_dev:,} rows in place of dev's {size.n_dev:,}"
    why = f"once {rows} and takes {_told(more_s)} of the {_told(room_s)} for cheap rungs"
    return (1, why) if whole_s(1) <= room_s and more_s <= _FOR_JUDGING * left_s else (0, why)


def spare(budget_s: float, left_s: float) -> float:
    """Seconds for trials of other settings, where everything that must be done leaves `left_s` of the budget."""
    return min(_MOST_FOR_TRIALS * budget_s, max(0.0, left_s - _KEEP_BACK / 2 * budget_s))


def time_for_rungs(left_s: float, budget_s: float) -> float:
    """Seconds from the plan to the moment when costly rungs must be done: half of what is kept back stays back."""
    return max(1.0, left_s - _KEEP_BACK / 2 * budget_s)


def _shared(
    waiting: Sequence[str], shares: dict[str, float], size: Size, probe: Probe, *, left: float, budget_s: float
) -> dict[str, tuple[RungPlan, Forecast]]:
    """Water-filling over rungs sorted by their whole time: what a short one leaves of its share goes to the longer."""
    made: dict[str, tuple[RungPlan, Forecast]] = {}
    for at, name in enumerate(waiting):
        mine = shares.get(name, 0.1)
        share = left * mine / sum(shares.get(other, 0.1) for other in waiting[at:])
        made[name] = _costly(name, size, probe, share=share, budget_s=budget_s)
        left -= made[name][1].fit_s + made[name][1].predict_s
    return made


def _refitting(names: Sequence[str], size: Size, probe: Probe, *, most: float) -> float:
    """Seconds to set aside so that the tuned rung that may ship learns from dev rows too, at most `most`.

    Only where labels have few rows: there a rung that is not refitted on the rows of dev loses to one that is.
    """
    few = size.output == "label" and size.rows_per_label <= _FEW_ROWS_PER_LABEL
    tuned = [name for name in names if few and not is_cheap(name) and systems.get(name).needs == "encoder"]
    whole = [_seconds(name, size, probe, size.n_train + size.n_dev, 0, None)[0] for name in tuned]
    return min(max(whole, default=0.0), max(0.0, most))


def refits(
    names: Sequence[str], forecasts: Sequence[Forecast], size: Size, *, budget_s: float, left_s: float
) -> list[str]:
    """Which of the rungs that run can be refitted on train + dev: the cheap ones, and whoever the time allows.

    One rung that trains by gradient is refitted at most, so each is held against all that the plan leaves, less
    half of what is kept back (scoring and the report). A rung without a forecast was planned by hand: it is refitted.
    """
    by_name = {f.name: f for f in forecasts}
    slack = left_s - sum(f.fit_s + f.predict_s for f in forecasts) - _KEEP_BACK / 2 * budget_s
    grows = (size.n_train + size.n_dev) / max(1, size.n_train)
    return [n for n in names if is_cheap(n) or n not in by_name or grows * by_name[n].fit_s <= slack]


def nominal_price(name: str, *, n_labels: int, tokens_per_text: float) -> float:
    """Seconds of one answer on a machine of fixed speed: the same on every run, unlike what is measured there."""
    tokens = max(tokens_per_text, 1.0)
    probe = Probe(_ENCODER_TOKENS_PER_S / tokens, _LM_TOKENS_PER_S, tokens, tokens)
    size = Size(1000, 100, 100, n_labels, 100.0, "label" if n_labels else "text")
    return _one_answer(name, size, probe, _TRAINED)


def _one_answer(name: str, size: Size, probe: Probe, steps: int | None) -> float:
    """Seconds of one answer among some hundred, to a text that no other rung has read, after so many steps."""
    some, more = (_seconds(name, size, probe, size.n_train, n, steps)[1] for n in (100, 1100))
    each = (more - some) / 1000
    reading = 1.0 / max(probe.answering_texts_per_s or probe.encoder_texts_per_s, 1e-9)
    # A rung may forecast that another one has read the texts; whoever asks it alone has to wait for that too.
    return each + reading if systems.get(name).needs == "encoder" and each < reading else each


def is_cheap(name: str) -> bool:
    """Whether the rung is cheap enough to be cross-fitted (or says so itself), and so always runs on all rows."""
    rung = systems.get(name)
    return hasattr(rung, "cross_fit") or rung.needs == "nothing" or getattr(rung, "is_cheap", False)


def _costly(name: str, size: Size, probe: Probe, *, share: float, budget_s: float) -> tuple[RungPlan, Forecast]:
    rung: System = systems.get(name)
    fit_all, answer_all = _seconds(name, size, probe, size.n_train, size.n_dev + size.n_test, None)
    whole_s = fit_all + answer_all
    not_run = Forecast(name, 0.0, 0.0, whole_s)
    fit_none, load_s = _seconds(name, size, probe, size.n_train, 0, 0)
    per_answer = (_seconds(name, size, probe, size.n_train, 100, 0)[1] - load_s) / 100
    tuned = rung.kind == "tuned"
    if whole_s <= min(share, budget_s / 4):
        return RungPlan(name, why=f"fits: about {_told(whole_s)}"), Forecast(name, fit_all, answer_all, whole_s)

    # How many rows of dev and test it may answer: a third of the share for what also trains, else all of it.
    for_answers = (share / 3 if tuned else share - fit_none) - load_s
    scored = int(min(max(0.0, for_answers) / max(per_answer, 1e-9), size.n_dev + size.n_test))
    most = _MOST_SCORED[size.output] if rung.needs == "lm" else size.n_dev + size.n_test
    dev_rows = min(size.n_dev, max(scored // 3, min(scored // 2, size.n_dev)), most)
    test_rows = min(size.n_test, scored - dev_rows, most)
    least = _LEAST_SCORED[size.output]
    if dev_rows < min(least, size.n_dev) or test_rows < min(least, size.n_test):
        return RungPlan(name, run=False, why=f"needs about {_told(whole_s)}"), not_run
    answer_s = load_s + per_answer * (dev_rows + test_rows)
    if not tuned:
        why = f"scored on {dev_rows} dev and {test_rows} test rows: all would need about {_told(whole_s)}"
        return RungPlan(name, dev_rows=dev_rows, test_rows=test_rows, why=why), Forecast(
            name, fit_none, answer_s, whole_s
        )

    per_step = (_seconds(name, size, probe, size.n_train, 1, 100)[0] - fit_none) / 100
    steps_all = max(1, round((fit_all - fit_none) / max(per_step, 1e-9)))
    steps = min(steps_all, int((share - answer_s - fit_none) / max(per_step, 1e-9)))
    if steps < _LEAST_STEPS:
        return RungPlan(name, run=False, why=f"needs about {_told(whole_s)}"), not_run
    quarter = int((budget_s / 4 - fit_none) / max(per_step, 1e-9))
    # Of texts, copying shares more facts with the reference than a model that has just begun to learn: a pause
    # would stop the one rung that learns, and nothing else could use its time.
    pause = quarter if size.output == "label" and _LEAST_STEPS <= quarter < steps else None
    pause_s = per_answer * dev_rows if pause and rung.needs == "lm" else 0.0  # there dev is answered once more
    steps = min(steps, max(quarter + 1, int((share - answer_s - fit_none - pause_s) / max(per_step, 1e-9))))
    fit_s = fit_none + per_step * steps + pause_s
    why = f"{steps} of {steps_all} steps: all would need about {_told(whole_s)}"
    if pause is not None:
        why += f"; goes on past step {pause} only if promising"
    subset = dev_rows < size.n_dev or test_rows < size.n_test
    return RungPlan(
        name,
        steps=steps if steps < steps_all else None,
        pause_steps=pause,
        dev_rows=dev_rows if dev_rows < size.n_dev else None,
        test_rows=test_rows if subset and test_rows < size.n_test else None,
        why=why,
    ), Forecast(name, fit_s, answer_s, whole_s)


def _minimum(name: str, size: Size, probe: Probe) -> tuple[RungPlan, Forecast]:
    """The least of a rung that shows anything: a walk through its code with honest scores of few rows."""
    least = _LEAST_SCORED[size.output]
    dev_rows, test_rows = min(least, size.n_dev), min(least, size.n_test)
    steps = _LEAST_STEPS if systems.get(name).kind == "tuned" else None
    fit_s, answer_s = _seconds(name, size, probe, size.n_train, dev_rows + test_rows, steps or 0)
    whole_s = sum(_seconds(name, size, probe, size.n_train, size.n_dev + size.n_test, None))
    why = f"the least that shows anything: all would need about {_told(whole_s)}"
    plan = RungPlan(name, steps=steps, dev_rows=dev_rows, test_rows=test_rows, why=why)
    return plan, Forecast(name, fit_s, answer_s, whole_s)


def _seconds(
    name: str, size: Size, probe: Probe, n_train: int, n_predict: int, steps: int | None
) -> tuple[float, float]:
    """(fit, predict) seconds. What a language model trains on holds the instruction; answering reads it once."""
    rung = systems.get(name)

    def ask(tokens: float) -> tuple[float, float]:
        return rung.seconds(Workload(
            n_train, n_predict, size.n_labels, probe.encoder_texts_per_s, probe.lm_tokens_per_s, tokens, steps,
            library_texts=size.library_texts, reading_texts_per_s=probe.reading_texts_per_s,
            answering_texts_per_s=probe.answering_texts_per_s, characters_per_text=size.characters_per_text,
            tokens_per_row=probe.tokens_per_row, label_tokens=probe.label_tokens, written_tokens=probe.written_tokens,
            asked_token=probe.asked_token,
        ))  # fmt: skip

    fit, answer = ask(probe.tokens_per_text)
    return (ask(probe.tokens_per_prompt)[0] if rung.needs == "lm" else fit), answer


def cheap_seconds(names: Sequence[str], size: Size, probe: Probe, *, cross_fits: int) -> dict[str, tuple[float, float]]:
    """(fit with its cross-validation, predict) seconds of each cheap rung on all rows, in the order they run in."""
    found: dict[str, tuple[float, float]] = {}
    for name in filter(is_cheap, names):
        folds = cross_fits if hasattr(systems.get(name), "cross_fit") else 0
        grown, asked = (size.n_train + size.n_dev, size.n_test) if folds else (size.n_train, size.n_dev + size.n_test)
        found[name] = systems.get(name).seconds(Workload(
            grown, asked, size.n_labels, probe.encoder_texts_per_s, probe.lm_tokens_per_s, probe.tokens_per_text,
            cross_fits=folds, library_texts=size.library_texts, reading_texts_per_s=probe.reading_texts_per_s,
            answering_texts_per_s=probe.answering_texts_per_s, characters_per_text=size.characters_per_text,
            after=tuple(found),
        ))  # fmt: skip
    return found


def _told(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
