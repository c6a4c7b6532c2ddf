"""The ladder: every System that was fitted, with its dev score and cost, and which one stands for what."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tunesmith.core.context import Context
from tunesmith.core.dataset import Dataset
from tunesmith.core.files import read_json, write_json
from tunesmith.core.meter import Cost
from tunesmith.models.spec import ModelSpec
from tunesmith.tasks import Prompt
from tunesmith.tasks import task as tasks
from tunesmith.training.calibrate import load_calibrated
from tunesmith.training.systems import Fitted, Job, RungPlan
from tunesmith.training.systems import system as systems


@dataclass(frozen=True)
class Rung:
    """One System on the ladder.

    status:   "full" (all rows), "subset" (trained on, or scored on, fewer), "not run".
    dev:      score of the leading metric on dev (or out of fold), its 95 % interval and n; None if not run.
    how:      "cross-validation" or "dev", what `dev` was measured by.
    plan:     what it was allowed. why: reason for its status, in a sentence.
    curve:    [{"step", "loss", "dev"}] for rungs trained by gradient.
    path:     folder with its Fitted, relative to the ladder's folder; None if not run.
    settings: hyperparameters that fitting chose (C, best_step, ...), to be frozen when refitting.
    latency_s: wall time of one answer to one text alone, the model loaded; None if not measured.
    """

    name: str
    kind: str
    needs: str
    status: str
    why: str
    plan: RungPlan
    base: str | None = None
    method: str | None = None
    dev: float | None = None
    interval: tuple[float, float] | None = None
    n: int = 0
    how: str = "dev"
    cost: Cost = field(default_factory=Cost)
    curve: tuple[dict[str, float | None], ...] = ()
    path: str | None = None
    train_rows: int = 0
    settings: dict[str, float | int | str | bool] = field(default_factory=dict)
    latency_s: float | None = None

    @property
    def ran(self) -> bool:
        return self.status != "not run"


@dataclass(frozen=True)
class Ladder:
    """All rungs in order of dev score, best first (those not run last).

    candidate: best rung that tunes weights, or None. reference: best that does not.
    choice:    what dev would ship. frugal: the cheapest rung within reach, with its price in `why`.
    """

    folder: Path
    task: str
    prompt: Prompt
    encoder: ModelSpec | None
    lm: ModelSpec | None
    rungs: tuple[Rung, ...]
    candidate: str | None
    reference: str
    choice: str
    frugal: str
    why: str
    leads: str

    def __getitem__(self, name: str) -> Rung:
        return next(rung for rung in self.rungs if rung.name == name)

    def job(self, name: str, *, options: dict[str, float | int | str | bool] | None = None) -> Job:
        """The Job that the rung was fitted with."""
        return Job(
            tasks.get(self.task), self.prompt.labels, self.prompt, self.encoder, self.lm, self[name].plan, options or {}
        )

    def fitted(self, name: str, ctx: Context) -> Fitted:
        """The rung's Fitted, read from disk."""
        path = self[name].path
        assert path is not None, f"rung {name} was not run"
        return load_fitted(name, self.folder / path, self.job(name), ctx)

    def place(self, name: str) -> Path:
        """The folder with the rung's Fitted and what it said of dev rows."""
        path = self[name].path
        return (self.folder / path).parent if path is not None else self.folder / "systems" / name

    def save(self, folder: Path) -> None:
        """Write ladder.json; it may lie beside `self.folder`, to which paths stay relative."""
        at = Path(os.path.relpath(self.folder, folder)).as_posix()
        write_json(folder / "ladder.json", {"at": at, **self.to_dict()})

    def to_dict(self) -> dict[str, Any]:
        """JSON of everything but the folder."""
        return {key: value for key, value in asdict(self).items() if key != "folder"}

    @classmethod
    def load(cls, folder: Path) -> Ladder:
        about = read_json(folder / "ladder.json")
        return cls(
            folder=Path(os.path.normpath(folder / about.pop("at", "."))),
            **{
                **about,
                "prompt": _prompt(about["prompt"]),
                "encoder": _spec(about["encoder"]),
                "lm": _spec(about["lm"]),
                "rungs": tuple(rung_from_dict(row) for row in about["rungs"]),
            },
        )


@dataclass(frozen=True)
class Trained:
    """What *train* made: the systems refitted on train + dev with their settings frozen.

    refitted: names with a folder of their own under `folder`; any other system is used as *select* left it.
    why:      one sentence for each system that could not be refitted.
    """

    folder: Path
    refitted: tuple[str, ...]
    costs: dict[str, Cost]
    why: dict[str, str]

    def fitted(self, name: str, ladder: Ladder, ctx: Context) -> Fitted:
        """The system as it would ship."""
        if name not in self.refitted:
            return ladder.fitted(name, ctx)
        return load_fitted(name, self.path(name, ladder), ladder.job(name), ctx)

    def path(self, name: str, ladder: Ladder) -> Path:
        """The folder that holds the system as it would ship."""
        path = ladder[name].path
        assert path is not None
        return self.folder / "systems" / name if name in self.refitted else ladder.folder / path

    def save(self, folder: Path) -> None:
        write_json(
            folder / "trained.json",
            {
                "refitted": list(self.refitted),
                "costs": {name: cost.to_dict() for name, cost in self.costs.items()},
                "why": self.why,
            },
        )

    @classmethod
    def load(cls, folder: Path) -> Trained:
        about = read_json(folder / "trained.json")
        costs = {name: Cost(**cost) for name, cost in about["costs"].items()}
        return cls(folder, tuple(about["refitted"]), costs, about["why"])


def standing(run: Path) -> Path:
    """The folder whose ladder.json stands for a run: what *tune* left, else what *select* left."""
    tuned = run / "06-tune"
    return tuned if (tuned / "ladder.json").exists() else run / "05-select"


def load_fitted(name: str, folder: Path, job: Job, ctx: Context) -> Fitted:
    """The Fitted in a folder, with the calibrator that lies beside it (calibration.json), if any."""
    return load_calibrated(systems.get(name).load(folder, job, ctx), folder)


def prompt_of(data: Dataset) -> Prompt:
    """The Prompt that the data's task words for its columns, with the data's schema if it has one."""
    prompt = tasks.get(data.task).prompt(data.labels, inputs=data.inputs, target=data.target)
    return replace(prompt, schema=data.schema)


def rank(rungs: Sequence[Rung]) -> tuple[Rung, ...]:
    """Best dev score first; not run last, by name."""
    return tuple(sorted(rungs, key=lambda r: (r.dev is None, -(r.dev or 0.0), r.name)))


def rung_to_dict(rung: Rung) -> dict[str, Any]:
    """JSON of a rung."""
    return asdict(rung)


def _prompt(about: dict[str, Any]) -> Prompt:
    shots = tuple((a, b) for a, b in about["shots"])
    return Prompt(about["instruction"], tuple(about["labels"]), shots, about.get("schema", ""))


def _spec(about: dict[str, Any] | None) -> ModelSpec | None:
    return None if about is None else ModelSpec(**{**about, "languages": tuple(about["languages"])})


def rung_from_dict(about: dict[str, Any]) -> Rung:
    """The inverse of `rung_to_dict`."""
    interval = about["interval"]
    return Rung(
        **{
            **about,
            "plan": RungPlan(**about["plan"]),
            "cost": Cost(**about["cost"]),
            "interval": None if interval is None else (interval[0], interval[1]),
            "curve": tuple(about["curve"]),
        }
    )
