"""A small training for a process of its own, to be killed.

Prints "step N" as each step begins and writes the trained weights to OUT. A checkpoint is written after every step.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import torch

from tunesmith.core.errors import TunesmithError
from tunesmith.training.batches import sample
from tunesmith.training.loop import Recipe, Steering, train


def net(seed: int = 7) -> torch.nn.Module:
    """Some 300 kB of weights, so that writing a checkpoint takes a while; with dropout."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return torch.nn.Sequential(torch.nn.Linear(16, 256), torch.nn.Dropout(0.1), torch.nn.Linear(256, 256))


def main(folder: Path, out: Path, steps: int) -> None:
    """Train, or go on training, in `folder`."""
    torch.set_num_threads(1)
    x = torch.randn(64, 16, generator=torch.Generator().manual_seed(1))
    y = torch.randn(64, 256, generator=torch.Generator().manual_seed(2))
    model = net()

    def batches(step: int) -> list[torch.Tensor]:
        print(f"step {step}", flush=True)
        return list(torch.from_numpy(sample(64, size=8, seed=3, step=step)).split(4))

    def squared(model: torch.nn.Module, rows: torch.Tensor) -> tuple[torch.Tensor, float]:
        return ((model(x[rows]) - y[rows]) ** 2).sum(), float(len(rows))

    def tell(event: str, **fields: Any) -> None:
        if event.startswith(("checkpoint", "train.resumed")):
            print(event, fields.get("step", fields.get("path", "")), flush=True)

    try:
        train(
            model, batches, squared, recipe=Recipe(steps, 0.01, evaluate_every=5), folder=folder, emit=tell,
            steering=Steering(score=lambda: -float(((model(x) - y) ** 2).mean())), seed=5, checkpoint_every_s=0.0,
        )  # fmt: skip
    except TunesmithError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    content = b"".join(t.detach().numpy().tobytes() for t in model.state_dict().values())
    out.write_text(hashlib.sha256(content).hexdigest())
