"""Predicts again in a fresh process that knows nothing but the run folder, and compares.

    python -m tunesmith.evaluation.replay REQUEST.json ANSWERS

A model that only works inside the process that trained it (a tokenizer left in memory, a label order that was
never saved) is found here, before it ships.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tunesmith.core.checks import Check
from tunesmith.core.context import Context, Limits
from tunesmith.core.files import read_json, write_json
from tunesmith.core.predictions import Predictions

NAME = "predictions reproducible from the run folder alone in a fresh process"


@dataclass(frozen=True)
class Wanted:
    """What a system said of some texts. bound: how far a probability may be off."""

    system: str
    texts: tuple[str, ...]
    predictions: Predictions
    bound: float


def replay(wanted: Sequence[Wanted], ladder: Path, trained: Path, ctx: Context) -> list[Check]:
    """One Check per system, from one fresh process. ladder, trained: the folders of ladder.json and of *train*."""
    if not wanted:
        return [Check.not_applicable(NAME, "equal answers", "there are no test rows to predict.")]
    folder = ctx.workdir / "replay"
    shutil.rmtree(folder, ignore_errors=True)
    write_json(
        folder / "request.json",
        {
            "ladder": str(ladder.resolve()),
            "trained": str(trained.resolve()),
            "systems": {w.system: list(w.texts) for w in wanted},
            "seed": ctx.seed,
            "limits": {
                "threads": ctx.limits.threads,
                "device": ctx.limits.device,
                "dtype": ctx.limits.dtype,
                "max_memory_bytes": ctx.limits.max_memory_bytes,
            },
        },
    )
    command = [sys.executable, "-m", "tunesmith.evaluation.replay", "request.json", "answers"]
    done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True, check=False)
    made = [_compared(w, folder / "answers" / f"{w.system}.parquet", done) for w in wanted]
    shutil.rmtree(folder, ignore_errors=True)  # it holds texts, and nothing needs it any more
    return made


def _environment() -> dict[str, str]:
    """This process's, without the network, and able to import what this process imported."""
    places = [path for path in sys.path if path]
    return {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(places)}


def _compared(wanted: Wanted, path: Path, done: subprocess.CompletedProcess[str]) -> Check:
    bound = f"every answer equal, probabilities within {wanted.bound:g}"
    remedy = f"the saved system '{wanted.system}' is not the one that was scored: delete 07-train and run again."
    if not path.exists():
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Check(
            NAME,
            f"the fresh process ended with code {done.returncode}: {last[:300]}",
            bound,
            False,
            remedy,
            wanted.system,
        )
    again = Predictions.load(path)
    differ = sum(a != b for a, b in zip(wanted.predictions.values, again.values, strict=True))
    a, b = (
        said.probabilities if said.probabilities is not None else said.confidences
        for said in (wanted.predictions, again)
    )
    if (a is None) != (b is None):
        return Check(NAME, "probabilities only once", bound, False, remedy, wanted.system)
    gap = 0.0 if a is None or b is None or not a.size else float(np.abs(a - b).max())
    passed = differ == 0 and gap <= wanted.bound  # NaN compares false
    value = f"{len(again) - differ} of {len(again)} equal, largest probability gap {gap:.1e}"
    return Check(NAME, value, bound, passed, remedy, wanted.system)


def main(request: Path, out: Path) -> None:
    """Load each system from the folders named in the request and write its answers."""
    about = read_json(request)
    limits = Limits(**about["limits"])
    from tunesmith.core.machine import set_threads

    set_threads(limits.threads)
    from tunesmith.training.ladder import Ladder, Trained

    ladder, trained = Ladder.load(Path(about["ladder"])), Trained.load(Path(about["trained"]))
    work = out / "work"
    work.mkdir(parents=True, exist_ok=True)
    ctx = Context(work, about["seed"], limits)
    set_threads(limits.threads)
    for name, texts in about["systems"].items():
        trained.fitted(name, ladder, ctx).predict(texts, ctx).save(out / f"{name}.parquet")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
