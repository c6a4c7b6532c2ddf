"""Tuning trials of the top layers, with the frozen trunk's activations stored or computed anew in every step.

    python trials.py JOB.json RESULT.json

A trial: a fresh adapter on the loaded model, job["epochs"] over the rows at one of job["rates"], then the loss on the
held-out rows. job["top"]: layers trained, None for all. job["cached"]: read the trunk from disk; making it counts.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from steps import peak_rss_bytes, pin
from tasks import stored


def main(job: dict[str, Any]) -> dict[str, Any]:
    from tunesmith.core.context import Limits
    from tunesmith.core.machine import set_threads
    from tunesmith.training import trunk
    from tunesmith.training.losses import answer_loss

    pin(job["pin"])
    set_threads(job["threads"])
    limits = Limits(threads=job["threads"], dtype=job["dtype"] or "float32")
    data, held = stored(Path(job["rows"])), stored(Path(job["held"]))
    began = (time.perf_counter(), time.process_time())
    trials = []
    stored_bytes = 0
    for rate in job["rates"]:
        lm = _fresh(job, limits)
        loss = answer_loss
        if job["cached"]:
            found = trunk.stored(lm, [*data.ids, *held.ids], top=job["top"], emit=lambda *_, **__: None)
            loss, stored_bytes = found.through(answer_loss), found.bytes
        lost = _trial(lm, data, held, loss, rate=rate, job=job)
        trials.append({"rate": rate, "loss": lost, "cpu_s": time.process_time() - began[1]})
    return {
        "wall_s": time.perf_counter() - began[0], "cpu_s": time.process_time() - began[1], "trials": trials,
        "stored_bytes": stored_bytes, "peak_rss_bytes": peak_rss_bytes(),
    }  # fmt: skip


def _fresh(job: dict[str, Any], limits: Any) -> Any:
    from tunesmith.models.lm import LanguageModel
    from tunesmith.models.methods import method

    lm = LanguageModel.load(Path(job["model"]), limits)
    options = {"rank": job["rank"], **({} if job["top"] is None else {"top_layers": job["top"]})}
    how = method.get("lora")
    lm.model = how.apply(how.prepare(lm.model), options, seed=0)
    return lm


def _trial(lm: Any, data: Any, held: Any, loss: Any, *, rate: float, job: dict[str, Any]) -> float:
    import torch

    from tunesmith.training.batches import TokenBatches, micro_batches, steps_per_epoch
    from tunesmith.training.loop import Recipe, train
    from tunesmith.training.memory import cut_for

    cut = cut_for(lm.model, data, "tree")
    steps = round(job["epochs"] * steps_per_epoch(len(data), job["batch"]))
    with tempfile.TemporaryDirectory() as folder:
        train(
            lm.model, TokenBatches(data, job["batch"], 0, **cut.told()), loss, recipe=Recipe(steps, rate),
            folder=Path(folder), emit=lambda *_, **__: None, checkpoint_every_s=1e9,
        )  # fmt: skip
    total = weight = 0.0
    with torch.no_grad():
        for batch in micro_batches(held, range(len(held)), **cut.told()):
            part, some = loss(lm.model, batch)
            total, weight = total + float(part), weight + some
    return total / weight


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))))
