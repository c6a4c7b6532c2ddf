"""TUNE: tries settings of the rung that may ship, and takes one only where its gain on dev is more than luck.

    default (as *select* left it) → settings by TPE, pruned at a third → best and default again with fresh seeds → one

A study has a number of `fits`, the default's training being one; it is decided before the work and written to
plan.yaml. Test rows are not looked at. The result is the Ladder with the tuned rung in place of the old one; where no
gain is detectable it is the Ladder as it was, and study.json says why.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from tunesmith.core.checks import Kept
from tunesmith.core.context import Context
from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import ConfigError
from tunesmith.core.files import read_json, stored_bytes, write_json
from tunesmith.tasks import task as tasks
from tunesmith.training.dev_scores import Scored, interval_of
from tunesmith.training.dials import Dials, Point, usual
from tunesmith.training.engines import make_all
from tunesmith.training.gain import Gain, error_of, gain
from tunesmith.training.ladder import Ladder, Rung
from tunesmith.training.search import suggest
from tunesmith.training.select import SelectOptions, calibrate, choose, latency, prices_of, read_once, rows_for
from tunesmith.training.systems import Job, Tunes
from tunesmith.training.systems import system as systems
from tunesmith.training.train import TrainOptions
from tunesmith.training.trials import Ask, Journal, Stand, Trial, made_before

# Two seeds of the best and of the default, and three settings at the least.
LEAST_FITS = 6
_MOST_TRIALS = 60
# Of the fits, for the seeds of the best and of the default.
_FOR_SEEDS = 0.4
_MOST_SEEDS = 5
# Trials in a row that brought nothing better, after so many in all, end a study that has no detectable gain.
_PATIENCE, _AFTER = 6, 8
# Halving the errors of fewer dev rows than this could not be told from luck: 1.96 sqrt(e / 2n) > e / 2.
_LEAST_WRONG = 8
_HOPELESS = 0.03


@dataclass(frozen=True)
class TuneOptions:
    """How much *tune* may spend, and how it looks."""

    budget: float | Literal["auto"] = field(
        default="auto",
        metadata={"unit": "duration", "help": "time for trials, such as 5m, out of the whole; 'auto': what is left"},
    )
    fits: float | Literal["auto"] = field(
        default="auto",
        metadata={
            "help": "the same in trainings of the default setting: 0 tries nothing; 'auto': what the time allows"
        },
    )
    sampler: Literal["auto", "tpe", "random"] = field(
        default="auto", metadata={"help": "who proposes settings; 'auto': tpe where Optuna is installed"}
    )
    at_once: int | Literal["auto"] = field(
        default="auto",
        metadata={"help": "trials that are asked for together; 'auto': 1, on a Ray cluster as many as there are cores"},
    )
    engine: Literal["local", "ray"] = field(
        default="local", metadata={"key": False, "help": "'ray': trials run side by side on a cluster (extra ray)"}
    )
    clock_s: float | None = field(
        default=None,
        metadata={"key": False, "help": "no trial starts that would end later; a plan that is kept has none"},
    )


def uses(options: object) -> list[str]:
    """Modules of the extensions that the stage's result depends on."""
    if not isinstance(options, TuneOptions):
        return []
    tunable = [name for name, rung in systems.items() if isinstance(rung, Tunes)]
    return [systems.module(name) for name in tunable] + [tasks.module(name) for name in tasks.names()]


def tune(
    data: Dataset, ladder: Ladder, options: TuneOptions, choosing: SelectOptions, training: TrainOptions, ctx: Context
) -> Ladder:
    """The ladder with the best setting of its candidate, if a gain over the default is detectable on dev.

    Leaves trials.jsonl (one line per trial) and study.json (what came of it, and why) in the stage's folder.
    Raises ConfigError for options that are not planned, MissingExtra for a sampler that is not installed.
    """
    if "auto" in (options.fits, options.sampler, options.at_once):
        raise ConfigError("tune: 'auto' must be planned first.", hint="run it through the pipeline.")
    assert options.fits != "auto"
    why = why_not(ladder, options.fits)
    if why is not None:
        _told({"state": "nothing tried", "rung": ladder.candidate, "fits": options.fits, "why": why}, ctx)
        return ladder
    assert ladder.candidate is not None
    rung = ladder[ladder.candidate]
    system = systems.get(rung.name)
    assert isinstance(system, Tunes)
    base = replace(ladder.job(rung.name, options=training.for_rungs()), library=data.library)
    train, dev = rows_for(rung.plan, data.rows("train"), data.rows("dev"), seed=ctx.seed)
    dials = {k: v for k, v in system.dials(base, n_rows=len(train)).items() if k not in _fixed(base)}
    varied, base = _as_fitted(dials, base, rung)
    if rung.needs == "encoder":
        read_once(data, ladder.encoder, replace(ctx, workdir=ctx.workdir / "work"))
    stand = Stand(rung.name, train, dev, base, int(rung.settings["schedule_steps"]), ctx.workdir / "trials")
    study = _Study(stand, varied, rung, options, Scored.load(ladder.place(rung.name), base), ctx)
    _told(study.run(), ctx)
    if study.winner is not None:
        ladder = _with(study.winner, data, ladder, stand, choosing, ctx)
    shutil.rmtree(stand.folder, ignore_errors=True)
    shutil.rmtree(ctx.workdir / "work", ignore_errors=True)
    return ladder


def _as_fitted(dials: Dials, base: Job, rung: Rung) -> tuple[Dials, Job]:
    """Dials that stand where the rung was fitted, and the job with its method, where that is no dial.

    *select* may have compared methods. Rate and steps are multiples, which begin at 1 whatever the method.
    """
    stands = {name: value for name, value in rung.settings.items() if name in dials and name not in ("rate", "steps")}
    dials = {name: replace(dial, usual=stands.get(name, dial.usual)) for name, dial in dials.items()}
    if "method" in rung.settings and "method" not in dials:
        base = replace(base, options={"method": rung.settings["method"], **base.options})
    return dials, base


def _fixed(job: Job) -> set[str]:
    """Dials that the user's own options settle."""
    return {*job.options, *(("steps",) if "epochs" in job.options else ())}


def why_not(ladder: Ladder, fits: float) -> str | None:
    """Why nothing can be gained by trying settings of this ladder's candidate, in a sentence; None if it may be."""
    if ladder.candidate is None:
        return "no rung was tuned that could be tried with other settings"
    rung, choice = ladder[ladder.candidate], ladder[ladder.choice]
    if not isinstance(systems.get(rung.name), Tunes) or "schedule_steps" not in rung.settings:
        return f"{rung.name} has no settings that trials could vary"
    if (rung.dev or 0.0) < (choice.dev or 0.0) - _HOPELESS:
        behind = 100 * ((choice.dev or 0.0) - (rung.dev or 0.0))
        return f"{rung.name} is {behind:.1f} points behind {choice.name} on dev: no setting is likely to close that"
    wrong = (1.0 - (rung.dev or 0.0)) * rung.n
    if tasks.get(ladder.task).output == "label" and wrong < _LEAST_WRONG:
        return f"about {wrong:.0f} of {rung.n} dev rows are wrong: a gain on so few could not be told from luck"
    if fits < LEAST_FITS:
        return f"there is time for {fits:.1f} trainings of {rung.name}, and fewer than {LEAST_FITS} can show nothing"
    return None


class _Study:
    """Trials one after the other; what was decided is on disk before anything follows from it."""

    def __init__(
        self, stand: Stand, dials: Dials, rung: Rung, options: TuneOptions, default: Scored, ctx: Context
    ) -> None:
        assert options.fits != "auto"
        self.stand, self.dials, self.rung, self.options, self.default, self.ctx = (
            stand, dials, rung, options, default, ctx,
        )  # fmt: skip
        assert options.at_once != "auto"
        self.fits, self.at_once = float(options.fits), max(1, options.at_once)
        self.seeds = min(_MOST_SEEDS, max(2, int(_FOR_SEEDS * self.fits / 2)))
        self.journal = Journal(ctx.workdir / "trials.jsonl")
        self.winner: Trial | None = None
        self.began = time.monotonic()

    def run(self) -> dict[str, Any]:
        """The record of study.json; `winner` is the trial that ships, None if the default stays."""
        if not self.journal.trials:
            self._note(made_before(
                self.rung.dev or 0.0, self.rung.curve, steps=self.stand.steps, seed=self.ctx.seed,
                point=usual(self.dials),
            ))  # fmt: skip
        ended = self._explore()
        best = self._best()
        if best is None:
            return self._record("default kept", f"no setting was better than the default; {ended}")
        lead = (best.score or 0.0) - (self.rung.dev or 0.0)
        error = error_of(self.default, self.stand.scored(best.number), seed=self.ctx.seed)
        if lead <= error:
            why = f"the best of them leads by {_points(lead)}, within its standard error of {_points(error)}; {ended}"
            return self._record("default kept", why, best=best)
        found = self._judge(best)
        if found is None:
            return self._record("default kept", "fewer than two seeds of both settings could be trained", best=best)
        told = f"{_points(found.value)} (95 % {_points(found.low)} to {_points(found.high)}, {found.seeds} seeds)"
        if found.low <= 0.0:
            why = f"the best and the default are indistinguishable: {told}; {ended}"
            return self._record("default kept", why, best=best, found=found)
        self.winner = next(t for t in self._repeats() if t.of == best.number and t.state == "complete")
        return self._record("chosen", f"better than the default by {told}; {ended}", best=best, found=found)

    def _explore(self) -> str:
        """Try settings until the fits, the time or the hope is used up; says in a few words why it ended."""
        while True:
            tried = self._explored()
            why = self._ended(tried)
            if why is not None:
                return why
            asks = self._generation(tried)
            if not asks:
                return "the trainings that were planned are used"
            if self._too_late(max(_steps(ask) for ask in asks) + self._reserve(), "explored", len(tried)):
                return "the time is used"
            self._make(asks)

    def _generation(self, tried: list[Trial]) -> list[Ask]:
        """What is asked for next, all at once: each proposal knows the ones before it, and what ended."""
        others = tuple(t.paused_at for t in tried if t.paused_at is not None)
        asks: list[Ask] = []
        for _ in range(self.at_once):
            point = self._affordable(suggest(
                self.dials, tried, number=len(tried) + len(asks), seed=self.ctx.seed, sampler=self._sampler(),
                n_rows=len(self.stand.train), waiting=[ask.point for ask in asks],
            ), waiting=asks)  # fmt: skip
            if point is None:
                break
            asks.append(Ask(len(self.journal.trials) + len(asks), "explore", point, self.ctx.seed, others))
        return asks

    def _make(self, asks: list[Ask]) -> None:
        for trial in make_all(asks, self.stand, self.ctx, engine=self.options.engine):
            self._note(trial)

    def _ended(self, tried: list[Trial]) -> str | None:
        stopped = self._stopped("explored")
        if stopped is not None and len(tried) >= stopped:
            return "the time is used"
        if len(tried) > _MOST_TRIALS:
            return f"{_MOST_TRIALS} settings were tried"
        best = self._best()
        since = len(tried) - 1 - (0 if best is None else tried.index(best))
        if len(tried) > _AFTER and since >= _PATIENCE:
            error = 0.0
            if best is not None:
                error = error_of(self.default, self.stand.scored(best.number), seed=self.ctx.seed)
            if best is None or (best.score or 0.0) - (self.rung.dev or 0.0) < 1.96 * error:
                return f"{since} settings in a row brought nothing better, and no gain is detectable"
        return None

    def _affordable(self, point: Point, *, waiting: Sequence[Ask]) -> Point | None:
        """The point, with fewer steps if what is left of the fits asks for it; None if nothing fits."""
        spent = sum(t.fits for t in self.journal.trials) + sum(map(_steps, waiting))
        most = max((_steps(ask) for ask in waiting), default=0.0)

        def fits(steps: float) -> bool:
            # Whichever is the best in the end, two seeds of it and of the default must still find room.
            return spent + steps + max(self._reserve(), 2 * (1.0 + max(most, steps))) <= self.fits

        if fits(float(point.get("steps", 1.0))):
            return point
        fewer = (
            [v for v in getattr(self.dials["steps"].span, "values", ()) if fits(float(v))] if "steps" in point else []
        )
        return {**point, "steps": max(fewer)} if fewer else None

    def _reserve(self) -> float:
        """Fits that the seeds of the best and of the default will take."""
        best = self._best()
        return self.seeds * (1.0 + float(best.point.get("steps", 1.0) if best is not None else 1.0))

    def _judge(self, best: Trial) -> Gain | None:
        """Train both again with fresh seeds, in pairs, and hold them against each other."""
        left = self.fits - sum(t.fits for t in self._explored())
        seeds = min(self.seeds, max(2, int(left / (1.0 + float(best.point.get("steps", 1.0))))))
        asks = [
            Ask(0, "repeat", self.journal.trials[of].point, 1_000 * seed + self.ctx.seed, of=of)
            for seed in range(1, seeds + 1)
            for of in (0, best.number)
        ]
        while (at := len(self._repeats())) < len(asks):
            some = asks[at : at + self.at_once]
            if self._too_late(max(map(_steps, some)), "repeated", at):
                break
            first = len(self.journal.trials)
            self._make([replace(ask, number=first + i) for i, ask in enumerate(some)])
        by_seed: dict[int, dict[int, Trial]] = {}
        for trial in self._repeats():
            if trial.state == "complete" and trial.of is not None:
                by_seed.setdefault(trial.seed, {})[trial.of] = trial
        pairs = [made for made in by_seed.values() if len(made) == 2]
        if len(pairs) < 2:
            return None
        return gain(
            [self.stand.scored(made[0].number) for made in pairs],
            [self.stand.scored(made[best.number].number) for made in pairs],
            among=[self.stand.scored(t.number) for t in self._explored()[1:] if t.state == "complete"],
            baseline=self.default, seed=self.ctx.seed,
        )  # fmt: skip

    def _explored(self) -> list[Trial]:
        """The default and every setting that was tried, in order."""
        return [t for t in self.journal.trials if t.role != "repeat"]

    def _repeats(self) -> list[Trial]:
        return [t for t in self.journal.trials if t.role == "repeat"]

    def _best(self) -> Trial | None:
        """The best setting that is above the default; the earlier of equal ones."""
        above = [t for t in self._explored()[1:] if t.state == "complete" and (t.score or 0.0) > (self.rung.dev or 0.0)]
        return max(above, key=lambda t: (t.score or 0.0, -t.number), default=None)

    def _note(self, trial: Trial) -> None:
        self.journal.add(trial)
        self.ctx.emit(
            "trial", number=trial.number, role=trial.role, state=trial.state, score=trial.score, point=trial.point,
            seed=trial.seed, why=trial.why, seconds=trial.cost.train_wall_s,
        )  # fmt: skip

    def _too_late(self, fits: float, what: str, count: int) -> bool:
        """Whether `fits` more trainings would end after the clock. The decision is written first, and obeyed."""
        stopped = self._stopped(what)
        if stopped is not None:
            return count >= stopped
        if self.options.clock_s is None:
            return False
        took = [t for t in self.journal.trials if t.fits > 0.0]
        each = self.rung.cost.train_wall_s or 0.0
        if took:
            each = sum(t.cost.train_wall_s or 0.0 for t in took) / sum(t.fits for t in took)
        if time.monotonic() - self.began + each * fits <= self.options.clock_s:
            return False
        path = self.ctx.workdir / "stopped.json"
        write_json(path, {**(read_json(path) if path.exists() else {}), what: count})
        why = f"the clock: {self.options.clock_s:.0f} s were left"
        self.ctx.emit("decision", what=f"tune.{what}", choice=str(count), why=why)
        return True

    def _stopped(self, what: str) -> int | None:
        path = self.ctx.workdir / "stopped.json"
        found = read_json(path).get(what) if path.exists() else None
        return None if found is None else int(found)

    def _sampler(self) -> Literal["tpe", "random"]:
        assert self.options.sampler != "auto"
        return self.options.sampler

    def _record(self, state: str, why: str, *, best: Trial | None = None, found: Gain | None = None) -> dict[str, Any]:
        trials = self.journal.trials
        return {
            "state": state,
            "rung": self.rung.name,
            "why": why,
            "metric": self.stand.job.task.leads,
            "default": self.rung.dev,
            "fits": self.fits,
            "spent_fits": round(sum(t.fits for t in trials), 3),
            "cost": {
                "wall_s": round(sum(t.cost.train_wall_s or 0.0 for t in trials), 2),
                "cpu_s": round(sum(t.cost.train_cpu_s or 0.0 for t in trials), 2),
            },
            "sampler": self.options.sampler,
            "counts": {s: sum(t.state == s for t in trials[1:]) for s in ("complete", "pruned", "failed")},
            "best": None if best is None else best.number,
            "point": None if best is None else best.point,
            "gain": None if found is None else asdict(found),
        }


def _with(winner: Trial, data: Dataset, ladder: Ladder, stand: Stand, choosing: SelectOptions, ctx: Context) -> Ladder:
    """The ladder with the winner's run as its rung, everything else as it was, and chosen from anew."""
    folder = ctx.workdir / "systems" / stand.name
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        stand.place(winner.number).rename(folder)
    Kept.replay(ctx.check, folder / "checks.json")
    seen = Scored.load(folder, stand.job)
    fitted = systems.get(stand.name).load(folder / "fitted", stand.job, ctx)
    calibrate(seen, folder / "fitted", ctx)
    old = ladder[stand.name]
    settings = dict(getattr(fitted, "settings", {}))
    made = replace(
        old, dev=seen.lead, interval=interval_of(seen, seed=ctx.seed), n=len(seen.rows), settings=settings,
        method=getattr(fitted, "method", None), curve=tuple(getattr(fitted, "curve", ())), status=old.status,
        path=os.path.relpath(folder / "fitted", ladder.folder),
        latency_s=latency(lambda text: fitted.predict([text], ctx), stand.dev.texts),
        cost=winner.cost.but(
            predict_cpu_s_per_example=old.cost.predict_cpu_s_per_example, stored_bytes=stored_bytes(folder / "fitted")
        ),
    )  # fmt: skip
    rungs = [made if rung.name == stand.name else rung for rung in ladder.rungs]
    scored = {r.name: Scored.load(ladder.place(r.name), stand.job) for r in rungs if r.ran and r.name != stand.name}
    prices = prices_of(data, [rung.name for rung in rungs])
    base = Job(
        tasks.get(ladder.task), ladder.prompt.labels, ladder.prompt, ladder.encoder, ladder.lm,
    )  # fmt: skip
    return choose(
        rungs, {**scored, stand.name: seen}, base, prices=prices, options=choosing, folder=ladder.folder, seed=ctx.seed
    )


def _steps(ask: Ask) -> float:
    """Its training, the default's being 1."""
    return float(ask.point.get("steps", 1.0))


def _told(record: dict[str, Any], ctx: Context) -> None:
    write_json(ctx.workdir / "study.json", record)
    ctx.emit("decision", what="tune", choice=record["state"], why=record["why"])


def _points(value: float) -> str:
    return f"{100 * value:+.2f} points"
