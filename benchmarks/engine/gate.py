"""Whether our step is the peer's step: adapter gradients against padded PEFT.  python gate.py JOB.json RESULT.json

In float32 with B randomised (a fresh adapter has B = 0, and then all gradients of A vanish).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from steps import pin
from tasks import stored


def main(job: dict[str, Any]) -> dict[str, Any]:
    import torch

    from tunesmith.core.context import Limits
    from tunesmith.core.machine import set_threads
    from tunesmith.models.lm import LanguageModel
    from tunesmith.models.methods import method
    from tunesmith.training.batches import micro_batches
    from tunesmith.training.losses import answer_loss
    from tunesmith.training.packing import choose_packing
    from tunesmith.training.probe import micro_batch_tokens

    pin(job["pin"])
    set_threads(job["threads"])
    limits = Limits(threads=job["threads"])
    lm = LanguageModel.load(Path(job["model"]), limits)
    data = stored(Path(job["rows"]))
    packing = choose_packing(lm.model, data).packing
    model = method.get("lora").apply(lm.model, {"rank": job["rank"]}, seed=0)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if "lora_B" in name:
                tensor.normal_(0.0, 0.02, generator=draw)
    model.train()
    weights = {name: tensor for name, tensor in model.named_parameters() if tensor.requires_grad}
    rows = fitting(data, job["steps"][0], job["gate_tokens"])
    ours = 0.0
    for batch in micro_batches(data, rows, max_tokens=micro_batch_tokens(model, limits), packing=packing):
        total, _ = answer_loss(model, batch)
        total.backward()
        ours += float(total.detach())
    mine = {name: tensor.grad.clone() for name, tensor in weights.items()}
    model.zero_grad()

    width = max(len(data.ids[i]) for i in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    live = torch.zeros_like(ids)
    labels = torch.full_like(ids, -100)
    for at, i in enumerate(rows):
        n = len(data.ids[i])
        ids[at, :n], live[at, :n] = torch.tensor(data.ids[i]), 1
        labels[at, data.n_prompt[i] : n] = ids[at, data.n_prompt[i] : n]
    # Without a hook of ours anywhere: transformers' attention, mask, head on every position, PEFT's layers.
    logits = model(input_ids=ids, attention_mask=live, use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=-100, reduction="sum"
    )
    loss.backward()
    theirs = {name: tensor.grad for name, tensor in weights.items()}
    difference = sum(float((mine[name] - theirs[name]).double().square().sum()) for name in weights)
    size = sum(float(theirs[name].double().square().sum()) for name in weights)
    return {
        "gradient_error": (difference / size) ** 0.5,
        "loss_error": abs(ours - float(loss.detach())) / abs(float(loss.detach())),
        "tensors": len(weights), "rows": len(rows), "packing": packing,
    }  # fmt: skip


def fitting(data: Any, rows: list[int], tokens: int) -> list[int]:
    """The rows of the batch, or as many of its shortest as have so few padded tokens; at least two."""
    order = sorted(rows, key=lambda i: len(data.ids[i]))
    while len(order) > 2 and len(order) * len(data.ids[order[-1]]) > tokens:
        order.pop()
    return order


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))))
