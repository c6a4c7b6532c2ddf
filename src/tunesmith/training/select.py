"""SELECT: fits every rung that the plan allows, scores it on dev, and says which one stands for what.

Test rows are not looked at here, not even blind. A rung that ended is kept on disk with its score, so a
killed select goes on with the next one.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, cast

import numpy as np

from tunesmith.core.checks import Check, Kept
from tunesmith.core.context import Context
from tunesmith.core.dataset import Dataset, Rows
from tunesmith.core.errors import ConfigError
from tunesmith.core.files import read_json, stored_bytes, whole, write_json
from tunesmith.core.meter import Cost
from tunesmith.core.predictions import Predictions
from tunesmith.models.resolve import resolve
from tunesmith.models.spec import ModelSpec
from tunesmith.tasks import task as tasks
from tunesmith.training.budget import is_cheap, nominal_price
from tunesmith.training.calibrate import fit_calibrator, keeps_answers, save_calibrator
from tunesmith.training.dev_scores import Scored, contest, interval_of, subset
from tunesmith.training.embeddings import embed, metered_alone
from tunesmith.training.folds import repeated_folds
from tunesmith.training.ladder import Ladder, Rung, prompt_of, rank, rung_from_dict, rung_to_dict
from tunesmith.training.probe import count_words
from tunesmith.training.scope import fit_scopes
from tunesmith.training.systems import CrossFits, Job, RungPlan
from tunesmith.training.systems import system as systems
from tunesmith.training.train import TrainOptions

# Below this many dev rows a single split is too blunt to choose by: cheap rungs are cross-validated.
_SHARP_DEV = 1000
_REPEATS = 2  # of cross-validation where no plan says otherwise
# One answer at a time, for at most so many texts and seconds.
_TIMED, _TIMED_S = 8, 3.0
_VECTORS = "work"  # where a killed select finds the vectors of the frozen encoder again


@dataclass(frozen=True)
class SelectOptions:
    """What *select* may choose from and how it chooses."""

    rungs: tuple[RungPlan, ...] | Literal["auto"] = field(
        default="auto", metadata={"help": "what each rung may do; 'auto' plans it from the budget"}
    )
    only: tuple[str, ...] | Literal["auto"] = field(
        default="auto", metadata={"help": "names of the rungs to consider; 'auto' is all that serve the task"}
    )
    at_least: tuple[str, ...] = field(
        default=(),
        metadata={"key": False, "help": "rungs to run on a minimum even where the budget has no room for them"},
    )
    encoder: str = field(default="auto", metadata={"help": "encoder: a catalogue name, hub id or folder, or 'none'"})
    lm: str = field(default="auto", metadata={"help": "language model: a catalogue name, hub id or folder, or 'none'"})
    prefer: Literal["best", "cheap"] = field(
        default="best", metadata={"help": "'cheap' takes the cheapest rung within one standard error of the best"}
    )
    worth: float = field(
        default=0.3, metadata={"help": "points of the leading metric that a cheaper rung may be below the best"}
    )
    max_latency: float | None = field(
        default=None,
        metadata={"unit": "duration", "help": "longest wait for one answer, such as 40ms: slower rungs cannot ship"},
    )
    licence: tuple[str, ...] | Literal["any", "permissive"] = field(
        default="any", metadata={"help": "of base models: 'permissive', or the names that are allowed"}
    )
    languages: tuple[str, ...] = field(
        default=(), metadata={"help": "ISO 639-1 codes that base models must know: (en, fr)"}
    )
    compare: float = field(
        default=0.0,
        metadata={
            "help": "tuned rungs compete base by method in short runs, for this share of what training all whole would "
            "cost (0.25 is plenty); 0: each rung takes its usual method"
        },
    )
    others: tuple[str, ...] = field(
        default=(), metadata={"help": "with compare: further language models that compete with `lm`"}
    )
    folds: int = field(default=5, metadata={"help": "folds of cross-validation"})
    clock_s: float | None = field(
        default=None,
        metadata={
            "key": False,
            "help": "costly rungs do not start after so many seconds; a plan that is kept has none",
        },
    )
    repeats: int | Literal["auto"] = field(
        default="auto",
        metadata={
            "help": "repeats of cross-validation of cheap rungs on train and dev; 'auto': 2 when dev has under 1,000 "
            "rows, if there is time, and else 1 where it costs little"
        },
    )


def uses(options: object) -> list[str]:
    """Modules of the extensions that the stage's result depends on."""
    if not isinstance(options, SelectOptions) or options.rungs == "auto":
        return []
    rungs = [systems.module(plan.name) for plan in options.rungs if plan.run]
    return rungs + [tasks.module(name) for name in tasks.names()]


def select(data: Dataset, options: SelectOptions, training: TrainOptions, ctx: Context) -> Ladder:
    """Fit, score and rank every rung of `options.rungs` (which must be planned: no 'auto')."""
    if options.rungs == "auto":
        raise ConfigError("model.rungs: 'auto' must be planned first.", hint="run it through the pipeline.")
    task = tasks.get(data.task)
    encoder = None if options.encoder == "none" else resolve(options.encoder, "encoder")
    lm = None if options.lm == "none" else resolve(options.lm, "lm")
    base = Job(task, data.labels, prompt_of(data), encoder, lm, options=training.for_rungs(), library=data.library)
    if any(systems.get(plan.name).needs == "encoder" for plan in options.rungs if plan.run):
        read_once(data, encoder, replace(ctx, workdir=ctx.workdir / _VECTORS))
    bench = Bench(data.rows("train"), data.rows("dev"), base, options, ctx)
    if options.compare > 0.0:
        from tunesmith.training.contest import hold

        plans, base = hold(options.rungs, bench.train, bench.dev, base, options, ctx)
        bench = Bench(bench.train, bench.dev, base, replace(options, rungs=plans), ctx)
    scored: dict[str, Scored] = {}
    rungs: list[Rung] = []
    for plan in cast("tuple[RungPlan, ...]", bench.options.rungs):
        rung, seen = bench.run(plan, promising=_promising(scored, base))
        rungs.append(rung)
        if seen is not None:
            scored[plan.name] = seen
        ctx.emit("rung", name=plan.name, status=rung.status, dev=rung.dev, why=rung.why)
    stands_on = {systems.get(plan.name).needs for plan in options.rungs if plan.run}
    keep_out = replace(ctx, workdir=ctx.workdir / _VECTORS)
    for scope in fit_scopes(bench.train, bench.dev, encoder if "encoder" in stands_on else None, keep_out):
        scope.save(ctx.workdir)
    shutil.rmtree(ctx.workdir / _VECTORS, ignore_errors=True)
    prices = prices_of(data, [plan.name for plan in options.rungs])
    return choose(rungs, scored, base, prices=prices, options=options, folder=ctx.workdir, seed=ctx.seed)


def read_once(data: Dataset, encoder: ModelSpec | None, ctx: Context) -> None:
    """Give every train and dev text to the frozen encoder, all in one go, for all rungs that stand on it.

    What shares a batch moves the last digits of a vector. Were each rung to read what the others have not, a resumed
    run would read other batches than one that was never stopped, and end in other last digits.
    """
    if encoder is not None:
        embed([*data.rows("train").texts, *data.rows("dev").texts], encoder, ctx)


def rows_for(plan: RungPlan, train: Rows, dev: Rows, *, seed: int) -> tuple[Rows, Rows]:
    """The train and dev rows that a rung's plan allows.

    One permutation for all rungs: smaller subsets are the heads of larger ones, so they stay paired.
    """
    if plan.train_rows:
        train = train.take(np.sort(np.random.default_rng([seed, 7]).permutation(len(train))[: plan.train_rows]))
    if plan.dev_rows:
        dev = dev.take(np.sort(np.random.default_rng([seed, 11]).permutation(len(dev))[: plan.dev_rows]))
    return train, dev


def prices_of(data: Dataset, names: Sequence[str]) -> dict[str, float]:
    """What an answer of each rung costs on a machine of fixed speed, for `choose`."""
    tokens = count_words(data.rows("train").texts)
    return {name: nominal_price(name, n_labels=len(data.labels), tokens_per_text=tokens) for name in names}


def calibrate(seen: Scored, fitted: Path, ctx: Context) -> None:
    """Fit a calibrator on answers to rows that the rung had not seen, into the folder of its Fitted."""
    raw = seen.answers.probabilities
    if raw is None or seen.name == "majority":
        return
    calibrator = fit_calibrator(raw, seen.rows.targets, seen.job.labels, seed=ctx.seed)
    ctx.check(keeps_answers(raw, calibrator(raw), system=seen.name))
    save_calibrator(calibrator, fitted)


class Bench:
    """Fits and scores one rung after another on the same rows."""

    def __init__(self, train: Rows, dev: Rows, base: Job, options: SelectOptions, ctx: Context) -> None:
        self.train, self.dev, self.base, self.options, self.ctx = train, dev, base, options, ctx
        self.made: dict[tuple[object, ...], object] = {}  # by cheap rungs, which stand on the same heads
        self.began = time.monotonic()
        self.repeats = options.repeats if options.repeats != "auto" else _REPEATS * needs_cross_validation(len(dev))

    def run(self, plan: RungPlan, *, promising: Callable[[float, Sequence[int]], bool]) -> tuple[Rung, Scored | None]:
        """The rung and what it said of which rows; from disk if it ended before."""
        rung = systems.get(plan.name)
        blank = Rung(plan.name, rung.kind, rung.needs, "not run", plan.why, plan, base=self._base(rung.needs))
        if not plan.run:
            if rung.kind == "tuned":
                unproved = "the rung was not run: " + plan.why
                self.ctx.check(Check.not_applicable("proofs of training", "all hold", unproved, system=plan.name))
            return blank, None
        folder = self.ctx.workdir / "systems" / plan.name
        done = folder / "rung.json"
        if done.exists() and not rung_from_dict(read_json(done)).ran:
            return rung_from_dict(read_json(done)), None
        if done.exists():
            Kept.replay(self.ctx.check, folder / "checks.json")
            return rung_from_dict(read_json(done)), Scored.load(folder, self.base)
        if self._too_late(plan.name):
            why = f"the clock: the rungs before it took the {self.options.clock_s or 0.0:.0f} s that were left"
            # Written before anything follows from it, and obeyed on resume: the clock never decides twice.
            self.ctx.emit("decision", what=f"model.rungs.{plan.name}", choice="not run", why=why)
            skipped = replace(blank, why=why)
            write_json(done, rung_to_dict(skipped))
            return skipped, None
        proofs = Kept(self.ctx.check, folder / "checks.json")
        made, seen = self._fit(blank, plan, folder, promising=promising, ctx=replace(self.ctx, check=proofs.record))
        seen.save(folder)
        made = replace(made, cost=made.cost.but(stored_bytes=stored_bytes(folder / "fitted")))
        proofs.save()
        write_json(done, rung_to_dict(made))
        shutil.rmtree(folder / "work", ignore_errors=True)  # checkpoints and caches have served
        return made, seen

    def _fit(
        self,
        blank: Rung,
        plan: RungPlan,
        folder: Path,
        *,
        promising: Callable[[float, Sequence[int]], bool],
        ctx: Context,
    ) -> tuple[Rung, Scored]:
        rung = systems.get(plan.name)
        train, dev = rows_for(plan, self.train, self.dev, seed=self.ctx.seed)
        late = self._late(plan)
        job = replace(self.base, plan=plan, promising=lambda score: promising(score, dev.ids.tolist()), late=late)
        job = replace(job, made=self.made if is_cheap(plan.name) else None)
        ctx = replace(ctx, workdir=folder / "work")
        ctx.workdir.mkdir(parents=True, exist_ok=True)
        with metered_alone() as fitting:
            fitted = rung.fit(train, dev, job, ctx)
        with whole(folder / "fitted") as draft:
            draft.mkdir()
            fitted.save(draft)
        with metered_alone() as answering:
            answers = fitted.predict(dev.texts, ctx)
        seen = Scored(plan.name, dev, answers, self.base)
        how = "dev"
        if self.repeats and hasattr(rung, "cross_fit") and self.base.labels:
            # With the settings that fitting chose on train rows alone: chosen anew on all rows they would know dev.
            chosen = {**job.options, **getattr(fitted, "settings", {})}
            seen = self._cross_validate(plan.name, replace(job, options=chosen, frozen=True), ctx)
            how = "cross-validation"
        calibrate(seen, folder / "fitted", ctx)
        low, high = interval_of(seen, seed=self.ctx.seed)
        cost = Cost(
            train_cpu_s=round(fitting.cpu_s, 3),
            train_wall_s=round(fitting.wall_s, 3),
            peak_rss_bytes=max(fitting.peak_rss_bytes, answering.peak_rss_bytes),
            predict_cpu_s_per_example=answering.cpu_s / max(1, len(dev)),
        )
        status = "full" if not (plan.train_rows or plan.steps or plan.test_rows or plan.dev_rows) else "subset"
        clock, why = ctx.workdir / "loop" / "clock.json", blank.why
        if clock.exists():
            status = "subset"
            why = f"{why}; the clock ended it after step {read_json(clock)['stop_step']}".removeprefix("; ")
        if getattr(fitted, "outcome", ""):
            why = f"{why}; {fitted.outcome}".removeprefix("; ")  # type: ignore[attr-defined]
        made = replace(
            blank, status=status, why=why, dev=seen.lead, interval=(low, high), n=len(seen.rows), how=how, cost=cost,
            method=getattr(fitted, "method", None), curve=tuple(getattr(fitted, "curve", ())),
            settings=dict(getattr(fitted, "settings", {})), path=f"systems/{plan.name}/fitted", train_rows=len(train),
            latency_s=latency(lambda text: fitted.predict([text], ctx), dev.texts),
        )  # fmt: skip
        return made, seen

    def _cross_validate(self, name: str, job: Job, ctx: Context) -> Scored:
        """Out-of-fold answers for train and dev rows together, averaged over the repeats."""
        rows = self.train + self.dev
        rung = cast(CrossFits, systems.get(name))
        repeats = repeated_folds(rows, k=self.options.folds, repeats=self.repeats, seed=self.ctx.seed)
        if job.task.output == "labels":  # sets cannot be averaged: one cut into folds
            return Scored(name, rows, rung.cross_fit(rows, repeats[0], job, ctx), self.base)
        answers = [rung.cross_fit(rows, folds, job, ctx) for folds in repeats]
        p = np.mean([cast(np.ndarray, a.probabilities) for a in answers], axis=0)
        return Scored(name, rows, Predictions.from_probabilities(p, self.base.labels), self.base)

    def _too_late(self, name: str) -> bool:
        clock_s = self.options.clock_s
        if clock_s is None or is_cheap(name) or name in self.options.at_least:
            return False
        return time.monotonic() - self.began > clock_s

    def _late(self, plan: RungPlan) -> Callable[[], bool] | None:
        """Whether training must end for the rungs after it, and the answers, to have their share of what is left.

        Nothing is late while the forecasts hold; where cores are busier than they were then, costly rungs give way.
        """
        clock_s, rungs = self.options.clock_s, self.options.rungs
        if clock_s is None or plan.fit_s is None or plan.name in self.options.at_least or rungs == "auto":
            return None
        names = [other.name for other in rungs]
        ahead = [other for other in rungs[names.index(plan.name) :] if other.run]
        whole = sum((other.fit_s or 0.0) + (other.answer_s or 0.0) for other in ahead)
        now = time.monotonic()
        until = now + (self.began + clock_s - now) * plan.fit_s / max(whole, 1e-9)
        return lambda: time.monotonic() > until

    def _base(self, needs: str) -> str | None:
        spec = {"encoder": self.base.encoder, "lm": self.base.lm}.get(needs)
        return None if spec is None else spec.uri


def needs_cross_validation(n_dev: int) -> bool:
    """Whether dev is too small to choose by alone."""
    return n_dev < _SHARP_DEV


def choose(
    rungs: Sequence[Rung],
    scored: dict[str, Scored],
    base: Job,
    *,
    prices: Mapping[str, float],
    options: SelectOptions,
    folder: Path,
    seed: int,
) -> Ladder:
    """The ladder with its candidate, reference, choice and frugal alternative.

    prices: what an answer of each rung costs, in any unit that is the same on every run: were rungs that are equally
    good compared by the seconds measured, a repeated run could ship another one.
    """
    by_name = {rung.name: rung for rung in rungs}
    quick = [rung for rung in rungs if rung.ran and not is_too_slow(rung, options.max_latency)]
    tuned = [scored[r.name] for r in quick if r.kind == "tuned"]
    untuned = [scored[r.name] for r in quick if r.kind == "untuned"]
    if not untuned:
        raise ConfigError(
            f"model.max_latency: no untuned rung answers within {_told_s(options.max_latency or 0.0)}.",
            hint="the most common answer is the quickest of all: take longer, or leave majority in.",
        )
    candidate, reference, choice = contest(
        tuned, untuned, prices, worth=options.worth, prefer=options.prefer, seed=seed
    )
    frugal, price = _frugal(choice, {r.name: scored[r.name] for r in quick}, prices, by_name)
    metric = base.task.leads.replace("_", "-")
    why = f"{choice} is what dev would ship: {100 * (by_name[choice].dev or 0.0):.1f} % {metric}. {price}"
    slow = [f"{r.name} {_told_s(r.latency_s or 0.0)}" for r in rungs if r.ran and is_too_slow(r, options.max_latency)]
    if slow and options.max_latency is not None:
        why += f" Too slow for {_told_s(options.max_latency)} an answer, so out of the choice: {', '.join(slow)}."
    return Ladder(
        folder, base.task.name, base.prompt, base.encoder, base.lm, rank(rungs), candidate, reference, choice, frugal,
        why, base.task.leads,
    )  # fmt: skip


def is_too_slow(rung: Rung, most: float | None) -> bool:
    """Whether the rung was measured to answer more slowly than is allowed."""
    return most is not None and rung.latency_s is not None and rung.latency_s > most


def latency(answer: Callable[[str], object], texts: Sequence[str]) -> float | None:
    """Median wall seconds of one answer to one text alone; of each text the quicker of two tries. None without texts.

    The first call, which loads what is loaded late, does not count, unless it takes so long that loading is no matter.
    """
    if not texts:
        return None
    start = time.perf_counter()
    answer(texts[0])
    first = time.perf_counter() - start
    if first > _TIMED_S:
        return first
    began, seen = time.monotonic(), []
    for at in np.linspace(0, len(texts) - 1, min(_TIMED, len(texts))).astype(int):
        tries = []
        for _ in range(2):
            start = time.perf_counter()
            answer(texts[int(at)])
            tries.append(time.perf_counter() - start)
        seen.append(min(tries))
        if time.monotonic() - began > _TIMED_S:
            break
    return float(np.median(seen))


def _told_s(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _frugal(
    choice: str, scored: dict[str, Scored], prices: Mapping[str, float], by_name: dict[str, Rung]
) -> tuple[str, str]:
    """The best of the rungs that cost at most a third of the choice, and what was measured of it in a sentence."""
    cheaper = [s for s in scored.values() if prices[s.name] <= prices[choice] / 3 and s.name != "majority"]
    if not cheaper:
        return choice, "No rung that is much cheaper comes near."
    other = max(cheaper, key=lambda s: s.lead)
    mine, its, _ = subset(scored[choice], other, seed=0)
    times = _measured(by_name[choice]) / _measured(by_name[other.name])
    if times < 1.5:  # few rows, or another program in the way
        return other.name, f"{other.name} gives {100 * (mine - its):.1f} points less and takes less work per answer."
    return (
        other.name,
        f"{other.name} gives {100 * (mine - its):.1f} points less at 1/{times:.0f} of the cost per answer.",
    )


def _measured(rung: Rung) -> float:
    """CPU seconds of an answer, never below a tenth of a millisecond (timer noise)."""
    return max(rung.cost.predict_cpu_s_per_example or 0.0, 1e-4)


def _promising(scored: dict[str, Scored], base: Job) -> Callable[[float, Sequence[int]], bool]:
    """Whether a rung that paused with a dev score should go on: not 3 points below the best so far."""

    def judge(score: float, ids: Sequence[int]) -> bool:
        others = [s.lead_on(ids) for s in scored.values()]
        return score >= max((o for o in others if o is not None), default=0.0) - 0.03

    del base
    return judge
