"""Whole trainings of ours, with the held-out score along the way.  python learn.py JOB.json RESULT.json

job: rows and held (files of `tasks.store`), epochs, evaluate (times along the way), method, rate, seed, top (layers
that learn, absent for all; what the others give is stored, and making it is on the clock); or `adapter`, a folder in
PEFT's layout that somebody else trained, which is then scored by the very same code.
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

# Tokens in a pass without gradients, of which nothing is kept.
_READ_AT_ONCE = 4096


def main(job: dict[str, Any]) -> dict[str, Any]:
    from tunesmith.core.context import Limits
    from tunesmith.core.machine import set_threads
    from tunesmith.models.lm import LanguageModel
    from tunesmith.training.packing import choose_packing

    pin(job["pin"])
    set_threads(job["threads"])
    limits = Limits(threads=job["threads"], dtype=job["dtype"] or "float32")
    adapter = Path(job["adapter"]) if job.get("adapter") else None
    lm = LanguageModel.load(Path(job["model"]), limits, adapter=adapter)
    held = stored(Path(job["held"]))
    packing = choose_packing(lm.model, held).packing
    if adapter is not None:
        return {"points": [{"step": None, **held_out(lm.model, held, packing)}]}
    return trained(job, lm, held, packing)


def trained(job: dict[str, Any], lm: Any, held: Any, packing: Any) -> dict[str, Any]:
    """The product's loop; the clock stands still while the held-out rows are scored."""
    import torch

    from tunesmith.models.methods import method
    from tunesmith.training.batches import TokenBatches, steps_per_epoch
    from tunesmith.training.cut import choose_trunk
    from tunesmith.training.loop import Recipe, Steering, train, trainable
    from tunesmith.training.losses import answer_loss
    from tunesmith.training.memory import cut_for

    data = stored(Path(job["rows"]))
    how = method.get(job["method"])
    top = job.get("top")
    settings = {"rank": job["rank"], **({} if top is None else {"top_layers": top})}
    lm.model = how.apply(how.prepare(lm.model), settings, seed=job["seed"])
    n_trained = sum(tensor.numel() for tensor in trainable(lm.model).values())
    steps = round(job["epochs"] * steps_per_epoch(len(data), job["batch"]))
    every = max(1, steps // job["evaluate"])
    source = TokenBatches(data, job["batch"], job["seed"], **cut_for(lm.model, data, packing).told())
    points: list[dict[str, Any]] = []
    spent = {"wall": 0.0, "cpu": 0.0}
    began = [time.perf_counter(), time.process_time()]
    peak = [0]

    def score() -> float:
        spent["wall"] += time.perf_counter() - began[0]
        spent["cpu"] += time.process_time() - began[1]
        peak[0] = max(peak[0], peak_rss_bytes()) if not points else peak[0]  # before scoring has taken memory
        found = held_out(lm.model, held, packing)
        points.append({"step": every * (len(points) + 1), "wall_s": spent["wall"], "cpu_s": spent["cpu"], **found})
        began[:] = [time.perf_counter(), time.process_time()]
        return -float(found["loss"])

    trunk = choose_trunk(lm, [data], top=top, packing=packing, emit=lambda *_, **__: None)
    loss = answer_loss if trunk.trunk is None else trunk.trunk.through(answer_loss)
    with tempfile.TemporaryDirectory() as folder:
        train(
            lm.model, source, loss, recipe=Recipe(steps, job["rate"], evaluate_every=every), folder=Path(folder),
            emit=lambda *_, **__: None, steering=Steering(score=score), seed=job["seed"], checkpoint_every_s=1e9,
            multiples=how.rates(lm.model, settings),
        )  # fmt: skip
        with torch.no_grad():
            how.save(lm.model, Path(folder) / "adapter")
        stored_bytes = sum(file.stat().st_size for file in (Path(folder) / "adapter").rglob("*") if file.is_file())
    points[-1]["step"] = steps
    return {
        "points": points, "steps": steps, "trained_parameters": n_trained, "optimizer_bytes": 8 * n_trained,
        "stored_bytes": stored_bytes, "peak_rss_bytes": peak[0],
        "trunk": trunk.why,
    }  # fmt: skip


def held_out(model: Any, held: Any, packing: Any) -> dict[str, Any]:
    """loss: nats per answer token. right: per row, whether a greedy answer would be the reference to the token.

    That every token of the answer is the most probable one after those before it says what greedy decoding writes,
    without decoding; the same for both sides.
    """
    import torch

    from tunesmith.models.lm import computing, head_at
    from tunesmith.models.tree_attention import read_tree
    from tunesmith.training.batches import batch_of

    right = [True] * len(held)
    total, n = 0.0, 0
    model.eval()
    by_length = sorted(range(len(held)), key=lambda i: (len(held.ids[i]), i))
    for start in range(0, len(held), 32):
        for group in _groups(held, by_length[start : start + 32]):
            batch = batch_of(held, group, packing=packing)
            with torch.no_grad(), computing(model), head_at(model, batch.keep):
                if batch.tree is not None:
                    logits = read_tree(model, batch.tree)
                else:
                    logits = model(input_ids=batch.ids, use_cache=False).logits[0]
            total += float(torch.nn.functional.cross_entropy(logits.float(), batch.targets, reduction="sum"))
            n += len(batch.targets)
            wrong = batch.rows[logits.argmax(dim=-1) != batch.targets]
            for i in set(wrong.tolist()):
                right[group[i]] = False
    return {"loss": total / n, "exact_match": sum(right) / len(right), "right": right}


def _groups(held: Any, rows: list[int]) -> list[list[int]]:
    """Rows that go through the model together."""
    groups: list[list[int]] = [[]]
    for i in rows:
        if groups[-1] and sum(len(held.ids[j]) for j in groups[-1]) + len(held.ids[i]) > _READ_AT_ONCE:
            groups.append([])
        groups[-1].append(i)
    return groups


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))))
