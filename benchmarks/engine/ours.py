"""Our side: optimizer steps of the product's own loop in a fresh process.  python ours.py JOB.json RESULT.json"""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from objective import Objective, objective
from steps import Stopwatch, peak_rss_bytes, pin
from tasks import stored


class _EnoughError(Exception):
    """Ends the loop between two steps."""


def main(job: dict[str, Any]) -> dict[str, Any]:
    import torch

    from tunesmith.core.context import Limits
    from tunesmith.core.machine import set_threads
    from tunesmith.models.lm import LanguageModel
    from tunesmith.models.methods import method
    from tunesmith.training.loop import Recipe, train
    from tunesmith.training.memory import cut_for
    from tunesmith.training.packing import choose_packing
    from tunesmith.training.probe import probe_dtype

    pin(job["pin"])
    set_threads(job["threads"])
    dtype = job["dtype"] or probe_dtype(job["threads"])[0]
    limits = Limits(threads=job["threads"], dtype=dtype)
    lm = LanguageModel.load(Path(job["model"]), limits)
    data = stored(Path(job["rows"]))
    packed = choose_packing(lm.model, data)
    steps: list[list[int]] = job["steps"]
    seen = [i for some in steps for i in some]
    how = method.get(job["method"])
    settings = {"rank": job["rank"]}
    lm.model = how.apply(how.prepare(lm.model), settings, seed=job["seed"])
    cut = cut_for(lm.model, data, packed.packing)
    what = objective(job["objective"], lm.model, data, seen, cut=cut)
    loaded = peak_rss_bytes()
    watch = Stopwatch(job["warmup"], job["measured"], job["budget_s"], until=job["until"])
    first: list[tuple[float, float]] = []

    def batches(step: int) -> list[Any]:
        if step == 0:
            watch.start()
        elif watch.step() or step >= len(steps):
            raise _EnoughError
        return what.make(steps[step])

    def loss(model: torch.nn.Module, batch: Any) -> tuple[torch.Tensor, float]:
        total, weight = what.loss(model, batch)
        if not watch.wall_s:
            first.append((float(total.detach()), weight))
        return total, weight

    with tempfile.TemporaryDirectory() as folder, suppress(_EnoughError):
        train(
            lm.model, batches, loss, recipe=Recipe(len(steps) + 1, job["rate"]), folder=Path(folder),
            emit=lambda *_, **__: None, seed=job["seed"], checkpoint_every_s=1e9,
            multiples=how.rates(lm.model, settings),
        )  # fmt: skip
    found = watch.result([len(some) for some in steps])
    found["s_per_example"] += what.before[0]
    found["cpu_s_per_example"] += what.before[1]
    measured = steps[job["warmup"] if found["warm"] else 0 : len(watch.wall_s)]
    return {
        **found, "before": what.before, "first_loss": sum(t for t, _ in first) / sum(w for _, w in first),
        "peak_rss_bytes": peak_rss_bytes(), "loaded_rss_bytes": loaded, "dtype": dtype, "packing": packed.packing,
        "packing_why": packed.why, "micro_batch_tokens": cut.max_tokens, **arithmetic(lm.model, data, what, measured),
    }  # fmt: skip


def arithmetic(model: Any, data: Any, what: Objective, steps: list[list[int]]) -> dict[str, float]:
    """Per example: tokens of its rows, tokens that the model reads, and the least arithmetic of the step."""
    n = sum(map(len, steps))
    rows = [what.rows(some) for some in steps]
    packed = sum(getattr(batch, "tokens", batch).ids.numel() for some in steps for batch in what.make(some))
    return {
        "tokens_per_example": sum(len(data.ids[i]) for some in rows for i in some) / n,
        "packed_tokens_per_example": packed / n,
        "useful_flops_per_example": sum(useful_flops(model, data, some) for some in rows) / n,
    }


def useful_flops(model: Any, data: Any, rows: list[int]) -> int:
    """The least arithmetic of one step: every shared token once, no padding, nothing recomputed.

    A frozen weight costs 2 FLOP forward and 2 for the gradient of its input per token, a trained one 2 more; a pair of
    tokens in attention 4 forward and 8 backward per head and channel; the head only sees supervised tokens.
    """
    from torch import nn

    from tunesmith.models.tree import plant

    tree = plant([data.ids[i] for i in rows], least=1)
    head = model.get_output_embeddings()
    frozen = trained = 0
    for module in model.modules():
        if isinstance(module, nn.Linear) and module is not head:
            frozen += module.weight.numel() * (not module.weight.requires_grad)
            trained += module.weight.numel() * module.weight.requires_grad
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    width = heads * getattr(config, "head_dim", config.hidden_size // heads)
    pairs = int((tree.at + 1).sum())
    answers = sum(len(data.ids[i]) - data.n_prompt[i] for i in rows)
    linear = len(tree) * (4 * frozen + 6 * trained)
    return linear + 12 * width * config.num_hidden_layers * pairs + 4 * head.weight.numel() * answers


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))))
