"""The tools that train in order to judge data: evidence for curation steps.

They work in the run folder of *curate*, on its stages, and write what they measured beside its profile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.context import Context
from tunesmith.core.dataset import Dataset
from tunesmith.core.events import EventLog, Listener
from tunesmith.core.files import write_json
from tunesmith.curation import curate_table
from tunesmith.evaluation.curation_page import write_profile
from tunesmith.evaluation.experiments import DRAWS, EVIDENCE, Evidence, evidence, evidence_key
from tunesmith.evaluation.trainers import PROBE, SystemTrainer, Trainer, known_system
from tunesmith.planning import DEFAULT_ENCODER, DEFAULT_LM, Config, open_plan
from tunesmith.reviewing import request_for
from tunesmith.tasks import task as tasks
from tunesmith.tracing import load_curation
from tunesmith.training.ladder import prompt_of
from tunesmith.training.systems import Job, RungPlan
from tunesmith.training.systems import system as systems


@dataclass(frozen=True)
class Measured:
    """What a tool measured. folder: the run; files: what was written; result: as JSON."""

    folder: Path
    files: tuple[Path, ...]
    result: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {"folder": str(self.folder), "files": [str(file) for file in self.files], **self.result}


@dataclass(frozen=True)
class Chosen:
    """Which model is trained. system: "probe" or a rung; steps: of a rung that trains by gradient; draws: see each."""

    system: str = PROBE
    steps: int | None = None
    draws: int | None = None


def measure_evidence(
    source: str | Path,
    *,
    out: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    chosen: Chosen = Chosen(),
    listeners: Iterable[Listener] = (),
) -> tuple[Evidence, Measured]:
    """Curate (what is done already is not done again), then measure what each step was worth.

    Writes evidence.json and puts the evidence into profile.json and profile.html.
    A rung is trained once per arm unless chosen.draws says more; the probe 21 times.
    """
    heard = list(listeners)
    made = curate_table(source, out=out, options=options, listeners=heard)
    before, _, findings = load_curation(made.folder)
    emit = EventLog(made.folder / "events.jsonl", heard)
    request = request_for(source, out=out, options=options)
    seed = request.config.seed
    if chosen.system == PROBE:
        found = evidence(before, findings, draws=DRAWS if chosen.draws is None else chosen.draws, seed=seed, emit=emit)
    else:
        known_system(chosen.system, tasks.get(before.task).output)

        def trainer(names: tuple[str, ...]) -> Trainer:
            return _system(chosen, names, before, request.config, made.folder, emit)

        found = evidence(before, findings, trainer=trainer, draws=chosen.draws or 0, seed=seed, emit=emit)
    result = {"of": evidence_key(before, findings), **found.to_dict()}
    write_json(made.folder / EVIDENCE, result)
    profile = {**made.profile, "evidence": result}
    write_json(made.folder / "profile.json", profile)
    write_profile(profile, made.folder / "profile.html")
    files = (made.folder / "profile.html", made.folder / EVIDENCE)
    return found, Measured(made.folder, files, result)


def _system(
    chosen: Chosen, names: tuple[str, ...], data: Dataset, config: Config, folder: Path, emit: EventLog
) -> SystemTrainer:
    """A rung of the ladder with the base models of the config."""
    from tunesmith.models.resolve import pin, resolve

    # In a folder of its own: with a plan in it, the run would key its stages by the plan and do them again.
    plan = open_plan(config, folder / "experiments", emit)
    needs = systems.get(chosen.system).needs
    model = config.model
    encoder = lm = None
    if needs == "encoder":
        encoder = pin(resolve(DEFAULT_ENCODER if model.encoder == "auto" else model.encoder, "encoder"))
    elif needs == "lm":
        lm = pin(resolve(DEFAULT_LM if model.lm == "auto" else model.lm, "lm"))
    job = Job(
        tasks.get(data.task), names, prompt_of(data), encoder, lm,
        RungPlan(chosen.system, steps=chosen.steps), config.train.for_rungs(),
    )  # fmt: skip
    work = folder / "experiments" / chosen.system
    work.mkdir(parents=True, exist_ok=True)
    return SystemTrainer(names, job, chosen.system, Context(work, config.seed, plan.limits, emit))
