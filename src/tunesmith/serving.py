"""Opens the run folders that a server was started with, and starts it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tunesmith.core.context import Context
from tunesmith.core.errors import ConfigError, did_you_mean
from tunesmith.core.events import EventLog
from tunesmith.core.machine import set_threads
from tunesmith.deploy.server.served import Offered
from tunesmith.evaluation.acceptance import Acceptance
from tunesmith.pipeline import open_run
from tunesmith.tasks import task as tasks
from tunesmith.training.ladder import Ladder, Trained, standing

_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def offered(run: str, *, system: str | None = None) -> Offered:
    """What a run folder offers, under its own name or as NAME=FOLDER. Raises RunError for what is no finished run."""
    name, equals, path = run.partition("=")
    folder = Path(path if equals else run)
    saved = open_run(folder)
    ladder = Ladder.load(standing(folder))
    trained = Trained.load(folder / "07-train")
    winner = saved.report.winner
    chosen = winner if system is None else system
    known = [rung.name for rung in ladder.rungs if rung.path is not None]
    if chosen not in known:
        raise ConfigError(f"--system {chosen}: {folder} has no rung of that name.", hint=did_you_mean(chosen, known))
    ctx = Context(folder, saved.plan.config.seed, saved.plan.limits, EventLog(None))
    return Offered(
        name=_NAME.sub("-", name if equals else folder.resolve().name) or "run",
        run=str(folder),
        system=chosen,
        task=tasks.get(saved.data.task),
        labels=tuple(saved.data.labels),
        schema=saved.data.schema,
        inputs=tuple(saved.data.inputs),
        folder=trained.path(chosen, ladder),
        accept_at=saved.accept_at if chosen == winner else None,
        read=lambda: trained.fitted(chosen, ladder, ctx),
        acceptance=lambda: saved.acceptance if chosen == winner else Acceptance.of(ladder, chosen),
        texts=saved.texts,
        ctx=ctx,
    )


def offered_by(runs: Sequence[str], *, system: str | None = None) -> dict[str, Offered]:
    """What several run folders offer, by name. Raises ConfigError where two have one name."""
    found: dict[str, Offered] = {}
    for run in runs:
        made = offered(run, system=system)
        if made.name in found:
            raise ConfigError(
                f"{found[made.name].run} and {made.run} are both called '{made.name}'.",
                hint=f"name one of them:  {made.name}-2={made.run}",
            )
        found[made.name] = made
    set_threads(max(one.ctx.limits.threads for one in found.values()))
    return found
