"""The predicted and the measured peak of a training, in a fresh process.  python footprints.py JOB.json RESULT.json

job["limit"]: --max-memory in bytes, None for none. The peak is the kernel's own count (VmHWM), from the first step on.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from steps import pin
from tasks import stored


def main(job: dict[str, Any]) -> dict[str, Any]:
    from tunesmith.core.context import Limits
    from tunesmith.core.machine import set_threads
    from tunesmith.models.lm import LanguageModel, release_memory, share_no_pools
    from tunesmith.models.methods import method
    from tunesmith.training.batches import Cut, TokenBatches
    from tunesmith.training.loop import Recipe, Steering, train, trainable
    from tunesmith.training.losses import answer_loss
    from tunesmith.training.memory import Watched, count, fit_to

    pin(job["pin"])
    set_threads(job["threads"])
    lm = LanguageModel.load(Path(job["model"]), Limits(threads=job["threads"], dtype=job["dtype"]))
    data = stored(Path(job["rows"]))
    how, settings = method.get(job["method"]), job["settings"]
    lm.model = how.apply(how.prepare(lm.model), settings, seed=0)
    kept = count(lm.model)
    if job["limit"] is not None:
        release_memory()
    answers = sum(len(ids) - n for ids, n in zip(data.ids, data.n_prompt, strict=True))
    share = answers / sum(map(len, data.ids))
    fits = fit_to(job["limit"], lm.model, longest=max(map(len, data.ids)), answers_share=share, kept=kept)
    if not fits.pooled:
        share_no_pools()
    cut = Cut(fits.max_tokens, fits.max_recomputed, "tree")
    watched = Watched(TokenBatches(data, job["batch"], 0, **cut.told()), kept, lm.model, pooled=fits.pooled)
    start = {name: tensor.detach().clone() for name, tensor in trainable(lm.model).items()}  # as a run holds them
    Path("/proc/self/clear_refs").write_text("5")
    with tempfile.TemporaryDirectory() as folder:
        train(
            lm.model, watched, answer_loss, recipe=Recipe(job["steps"], 1e-4, evaluate_every=1), folder=Path(folder),
            emit=lambda *_, **__: None, steering=Steering(score=lambda: 0.0), checkpoint_every_s=0.0,
            multiples=how.rates(lm.model, settings),
        )  # fmt: skip
    measured = next(
        int(line.split()[1]) * 1024 for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line
    )
    del start
    return {"predicted": watched.peak.to_dict(), "measured": measured, "pooled": fits.pooled, "why": fits.why}


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))))
