"""Opens a finished run for export: the system that ships (or another rung), and the held rows it is compared on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.errors import ConfigError, RunError, did_you_mean
from tunesmith.core.events import EventLog, Listener
from tunesmith.core.machine import set_threads
from tunesmith.core.predictions import Predictions
from tunesmith.deploy.shipped import Held, Shipped
from tunesmith.evaluation.acceptance import Acceptance
from tunesmith.evaluation.evaluate import test_rows
from tunesmith.pipeline import SavedRun, open_run
from tunesmith.training.ladder import Ladder, Trained, standing

if TYPE_CHECKING:
    from tunesmith.deploy.export import Exported

FOLDER = "11-export"


def shipped(folder: Path, *, system: str | None = None, listen: Listener | None = None) -> Shipped:
    """The system that ships, or the rung named `system`; `listen` is told what is done with it, and how far it is.

    Raises RunError for a run that is not finished.
    """
    saved = open_run(folder)
    ladder = Ladder.load(standing(folder))
    trained = Trained.load(folder / "07-train")
    name = saved.report.winner if system is None else system
    known = [rung.name for rung in ladder.rungs if rung.path is not None]
    if name not in known:
        raise ConfigError(f"--system {name}: no rung of that name was run.", hint=did_you_mean(name, known))
    plan = saved.plan
    set_threads(plan.limits.threads)
    ships = name == saved.report.winner
    log = EventLog(None, [] if listen is None else [listen])
    return Shipped(
        run=folder.resolve().name,
        path=trained.path(name, ladder),
        rung=ladder[name],
        job=ladder.job(name),
        held=_held(saved, folder, name),
        acceptance=Acceptance.of(ladder, name),
        coarse_acceptance=Acceptance.of(ladder, name, needs="nothing"),
        accept_at=saved.accept_at if ships else None,
        inputs=saved.data.inputs,
        leads=ladder.leads,
        verdict=saved.report.sentence if ships else f"Not what the run ships, which is {saved.report.winner}.",
        ctx=Context(folder, plan.config.seed, replace(plan.limits, dtype="float32"), log),
        rounded=plan.limits.dtype if ladder[name].needs == "lm" and plan.limits.dtype != "float32" else None,
    )


def export_run(
    folder: Path,
    to: str | None,
    *,
    out: Path | None = None,
    quantisation: str | None = None,
    system: str | None = None,
    rows: int | None = None,
    max_size: int | None = None,
    max_latency: float | None = None,
    listen: Listener | None = None,
) -> Exported:
    """Export a run as `to`; by default to 11-export/ in its folder.

    max_size: bytes. max_latency: seconds of one core for one answer. With either, the form (or quantisation of `to`)
    that is nearest to the original and keeps to it is found by trying; `to` may then be None. listen: as in `shipped`.
    """
    from tunesmith.deploy.export import ROWS, export, export_within
    from tunesmith.deploy.limits import Within

    model = shipped(folder, system=system, listen=listen)
    n = ROWS if rows is None else rows

    def place(form: str, kind: str | None) -> Path:
        return out or folder / FOLDER / "-".join([form, *([kind] if kind and kind != "none" else [])])

    if max_size is None and max_latency is None:
        if to is None:
            raise ConfigError("no form was named.", hint="give --to, or limits: --max-size, --max-latency.")
        return export(model, to, place(to, quantisation), quantisation=quantisation, rows=n)
    within = Within(max_size, None if max_latency is None else 1000 * max_latency)
    return export_within(model, within, place, to=to, quantisation=quantisation, rows=n)


def _held(saved: SavedRun, folder: Path, name: str) -> Held:
    """Test rows that the system answered, with the references that *evaluate* wrote down when it had opened them."""
    import pyarrow.parquet as pq

    test = saved.data.rows("test", blind=True)
    parts = sorted((folder / "08-evaluate" / "predictions" / name).glob("*.parquet"))
    table = pq.read_table(folder / "08-evaluate" / "predictions.parquet", columns=["id", "target"])
    if not parts or table["id"].to_pylist() != test.ids.tolist():
        raise RunError(
            f"{folder}: what {name} answered to the test is not there any more, so an export cannot be compared.",
            hint="delete 08-evaluate and run again.",
        )
    said = Predictions.joined([Predictions.load(part) for part in parts])
    rows = test_rows(len(test), len(said), seed=saved.plan.config.seed)
    at = np.arange(len(test)) if rows is None else rows
    references = table["target"].to_pylist()
    return Held(tuple(test.texts[int(i)] for i in at), tuple(references[int(i)] for i in at), said)
