"""One trial of a study: a rung fitted at a point of its dials, scored on dev, written down when it has ended.

A trial may be pruned at its pause or fail; neither ends the study. What a killed trial left is gone on from.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tunesmith.core.checks import Kept, require
from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.errors import TunesmithError
from tunesmith.core.events import Emit
from tunesmith.core.files import read_json, whole, write_json, write_text
from tunesmith.core.meter import Cost, metered
from tunesmith.training.dev_scores import Scored
from tunesmith.training.dials import Point
from tunesmith.training.embeddings import metered_alone
from tunesmith.training.search import REDUCTION, goes_on
from tunesmith.training.systems import Job, Tunes
from tunesmith.training.systems import system as systems

# Fewer steps than this before the pause say nothing.
_LEAST_PAUSE = 3


@dataclass(frozen=True)
class Trial:
    """One setting that was tried.

    role:  "default": the rung as *select* fitted it; "explore"; "repeat": of trial `of`, with another seed.
    point: the dials; see `dials`. state: "pruned" trials have no score, "failed" ones say in `why` what happened.
    score: the leading metric on dev. paused_at: the same at the pause, None if it was not asked there.
    fits:  how much training it took, the default's being 1.
    cost:  standing alone; spent_cpu_s: what it took here, where vectors and stored layers of other trials were read.
    steps_cpu_s: of spent_cpu_s, for the steps alone; None where nothing was said of them.
    """

    number: int
    role: Literal["default", "explore", "repeat"]
    point: Point
    seed: int
    state: Literal["complete", "pruned", "failed"]
    score: float | None = None
    paused_at: float | None = None
    fits: float = 0.0
    cost: Cost = field(default_factory=Cost)
    spent_cpu_s: float = 0.0
    why: str = ""
    of: int | None = None
    steps_cpu_s: float | None = None


@dataclass(frozen=True)
class Ask:
    """A trial to be made. others: what the trials before it had at their pause; None: it does not pause."""

    number: int
    role: Literal["explore", "repeat"]
    point: Point
    seed: int
    others: tuple[float, ...] | None = None
    of: int | None = None


class Journal:
    """trials.jsonl: one line per trial that has ended, whole or absent."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trials: list[Trial] = []
        if path.exists():
            self.trials = [_trial(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]

    def add(self, trial: Trial) -> None:
        """Write the trial down; it counts from now on, also after a kill."""
        self.trials.append(trial)
        write_text(self.path, "".join(json.dumps(asdict(t), ensure_ascii=False) + "\n" for t in self.trials))


def _trial(row: dict[str, Any]) -> Trial:
    return Trial(**{**row, "cost": Cost(**row["cost"])})


@dataclass(frozen=True)
class Stand:
    """What all trials of a study share. steps: of the default. folder: where trials/NNN lie."""

    name: str
    train: Rows
    dev: Rows
    job: Job
    steps: int
    folder: Path

    def place(self, number: int) -> Path:
        """The folder of a trial."""
        return self.folder / f"{number:03d}"

    def scored(self, number: int) -> Scored:
        """The answers of a complete trial."""
        return Scored.load(self.place(number), self.job)


class _Pruned(Exception):
    """Ends a training at its pause."""


def make(ask: Ask, stand: Stand, ctx: Context) -> Trial:
    """Fit, answer dev, score. The Fitted and its answers stay in the trial's folder.

    ctx: of the stage; its seed is replaced by the trial's, its checks are kept for the trial that is chosen. Whatever
    Tunesmith refuses or finds wrong (a loss that is not finite, a check that fails) makes a failed Trial.
    """
    rung = systems.get(stand.name)
    folder = stand.place(ask.number)
    steps = max(1, round(stand.steps * float(ask.point.get("steps", 1.0))))
    pause = steps // REDUCTION if ask.others is not None and steps // REDUCTION >= _LEAST_PAUSE else None
    paused = folder / "pause.json"
    blank = Trial(ask.number, ask.role, ask.point, ask.seed, "failed", of=ask.of)

    def promising(score: float) -> bool:
        on = goes_on(score, ask.others or ())
        write_json(paused, {"score": float(score), "goes_on": on})
        if not on:
            raise _Pruned
        return True

    if paused.exists() and not read_json(paused)["goes_on"]:  # killed between the decision and the line about it
        return _pruned(blank, paused, pause, stand)
    proofs = Kept(require, folder / "checks.json")
    steps_s: list[float] = []
    emit = _only_progress(ctx.emit, steps_s)
    own = replace(ctx, workdir=folder / "work", seed=ask.seed, emit=emit, check=proofs.record)
    own.workdir.mkdir(parents=True, exist_ok=True)
    job = replace(
        stand.job,
        plan=replace(stand.job.plan, steps=steps, pause_steps=pause),
        options={**stand.job.options, **(rung.options_of(ask.point, stand.job) if isinstance(rung, Tunes) else {})},
        promising=promising if pause is not None else None,
    )
    with metered_alone() as meter, metered() as here:
        try:
            fitted = rung.fit(stand.train, stand.dev, job, own)
            with whole(folder / "fitted") as draft:
                draft.mkdir()
                fitted.save(draft)
            seen = Scored(stand.name, stand.dev, fitted.predict(stand.dev.texts, own), job)
            seen.save(folder)
            done = replace(blank, state="complete", score=seen.lead)
            if not np.isfinite(seen.lead):
                done = replace(blank, why=f"its score on dev is {seen.lead}")
        except _Pruned:
            done = _pruned(blank, paused, pause, stand)
        except (TunesmithError, ArithmeticError, np.linalg.LinAlgError) as error:
            done = replace(blank, why=str(getattr(error, "message", "") or error)[:300])
    proofs.save()
    shutil.rmtree(folder / "work", ignore_errors=True)
    cost = Cost(round(meter.cpu_s, 3), round(meter.wall_s, 3), meter.peak_rss_bytes)
    if done.state != "pruned":
        at = read_json(paused)["score"] if paused.exists() else None
        done = replace(done, paused_at=at, fits=round(steps / stand.steps, 4))
    stepping = round(sum(steps_s), 3) if steps_s else None
    return replace(done, cost=cost, spent_cpu_s=round(here.cpu_s, 3), steps_cpu_s=stepping)


def made_before(
    score: float, curve: Sequence[dict[str, float | None]], *, steps: int, seed: int, point: Point
) -> Trial:
    """The default as *select* fitted and scored it: it costs the study nothing. curve: its dev scores by step."""
    early = [at["dev"] for at in curve if at["dev"] is not None and (at["step"] or 0) <= -(-steps // REDUCTION)]
    pause = max((dev for dev in early if dev is not None), default=None)
    return Trial(0, "default", point, seed, "complete", score, pause, why="as select fitted it")


def _pruned(blank: Trial, paused: Path, pause: int | None, stand: Stand) -> Trial:
    score = float(read_json(paused)["score"])
    share = round((pause or 0) / stand.steps, 4)
    return replace(blank, state="pruned", paused_at=score, fits=share, why=f"not among the best third at step {pause}")


def _only_progress(emit: Emit, steps_s: list[float]) -> Callable[..., None]:
    """Bars move; what is decided and checked inside a trial is its own affair. steps_s: gets what its steps took."""

    def tell(event: str, **fields: Any) -> None:
        if event == "train.spent":
            steps_s.append(float(fields["cpu_seconds"]))
        if event.startswith("progress"):
            emit(event, **fields)

    return tell
