"""Whether our step is the peer's step: adapter gradients against padded PEFT.  python gate.py JOB.json RESULT.json

With B randomised (a fresh adapter has B = 0, and then all gradients of A vanish); answers in float32. Pairs in float64:
their gradient is the difference of two, and in float32 the two ways of computing it were 4e-5 apart.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from objective import objective
from steps import pin
from tasks import stored

_SPREAD = 0.02  # of B


def main(job: dict[str, Any]) -> dict[str, Any]:
    import torch

    from tunesmith.core.context import Limits
    from tunesmith.core.machine import set_threads
    from tunesmith.models.lm import LanguageModel
    from tunesmith.models.methods import method
    from tunesmith.training.memory import cut_for
    from tunesmith.training.packing import choose_packing

    pin(job["pin"])
    set_threads(job["threads"])
    limits = Limits(threads=job["threads"])
    lm = LanguageModel.load(Path(job["model"]), limits)
    data = stored(Path(job["rows"]))
    packing = choose_packing(lm.model, data).packing
    per_example = 2 if job["objective"] == "pairs" else 1
    some = fitting(data, job["steps"][0], job["gate_tokens"], per_example)
    model = method.get("lora").apply(lm.model, {"rank": job["rank"]}, seed=0)
    if per_example == 2:
        model.double()
    # B is still 0, so the reference of pairs is the base's.
    what = objective(job["objective"], model, data, some, cut=cut_for(model, data, packing))
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if "lora_B" in name:
                tensor.normal_(0.0, _SPREAD, generator=draw)
    model.train()
    weights = {name: tensor for name, tensor in model.named_parameters() if tensor.requires_grad}
    ours = 0.0
    for batch in what.make(some):
        total, _ = what.loss(model, batch)
        total.backward()
        ours += float(total.detach())
    mine = {name: tensor.grad.clone() for name, tensor in weights.items()}
    model.zero_grad()
    theirs_loss = plain(model, data, what.rows(some), pairs=per_example == 2)
    theirs_loss.backward()
    theirs = {name: tensor.grad for name, tensor in weights.items()}
    dtype = str(next(iter(weights.values())).dtype).removeprefix("torch.")
    difference = sum(float((mine[name] - theirs[name]).double().square().sum()) for name in weights)
    size = sum(float(theirs[name].double().square().sum()) for name in weights)
    expected = float(theirs_loss.detach())
    return {
        "gradient_error": (difference / size) ** 0.5, "loss_error": abs(ours - expected) / abs(expected),
        "tensors": len(weights), "rows": len(some), "packing": packing, "dtype": dtype,
    }  # fmt: skip


def plain(model: Any, data: Any, rows: list[int], *, pairs: bool) -> Any:
    """The summed loss without a hook of ours anywhere: transformers' attention and mask, padding, the whole head.

    pairs: -log sigmoid(0.1 h) with the adapter switched off as reference (Rafailov et al. 2023, eq. 7).
    """
    import torch

    width = max(len(data.ids[i]) for i in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    live = torch.zeros_like(ids)
    labels = torch.full_like(ids, -100)
    for at, i in enumerate(rows):
        n = len(data.ids[i])
        ids[at, :n], live[at, :n] = torch.tensor(data.ids[i]), 1
        labels[at, data.n_prompt[i] : n] = ids[at, data.n_prompt[i] : n]

    def log_probs() -> Any:  # (rows,)
        logits = model(input_ids=ids, attention_mask=live, use_cache=False).logits[:, :-1]
        # Words last: along another axis the softmax adds up 49,152 terms one by one, which costs three digits.
        losses = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100, reduction="none"
        )
        return -losses.double().view(len(rows), -1).sum(dim=1)  # preferences are small differences of large sums

    if not pairs:
        return -log_probs().sum()
    with torch.no_grad(), model.disable_adapter():
        reference = log_probs()
    gains = (log_probs() - reference).view(-1, 2)
    return -torch.nn.functional.logsigmoid(0.1 * (gains[:, 0] - gains[:, 1])).sum()


def fitting(data: Any, some: list[int], tokens: int, per_example: int) -> list[int]:
    """The examples of the step, or as many of its shortest as have so few padded tokens; at least two."""

    def longest(i: int) -> int:
        return max(len(data.ids[per_example * i + j]) for j in range(per_example))

    order = sorted(some, key=longest)
    while len(order) > 2 and per_example * len(order) * longest(order[-1]) > tokens:
        order.pop()
    return order


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))))
