"""What a training keeps on disk: checkpoints that it goes on from to the bit, and its curve."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tunesmith.core.events import Emit
from tunesmith.core.files import canonical, sha256_bytes, write_text
from tunesmith.training import checkpoint
from tunesmith.training.guard import Seen
from tunesmith.training.parallel import Group

if TYPE_CHECKING:
    from tunesmith.training.loop import Recipe


@dataclass
class State:
    """What a checkpoint holds besides tensors."""

    step: int = 0  # optimizer steps done
    window_sum: float = 0.0
    window_weight: float = 0.0
    best_step: int = 0
    best_score: float | None = None
    without_gain: int = 0
    stopped: str | None = None
    curve: list[dict[str, float | None]] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)


def identity_of(
    weights: dict[str, torch.nn.Parameter], recipe: Recipe, seed: int, multiples: Mapping[str, float]
) -> str:
    """What a checkpoint must have been made with: recipe, rates, seed, names, shapes and starting values."""
    start = {name: sha256_bytes(t.detach().cpu().numpy().tobytes()) for name, t in weights.items()}
    shapes = {name: list(t.shape) for name, t in weights.items()}
    rates = {name: float(multiple) for name, multiple in multiples.items()}
    made = {"recipe": asdict(recipe), "rates": rates, "seed": seed, "start": start, "shapes": shapes}
    return sha256_bytes(canonical(made))


def save(
    folder: Path,
    state: State,
    weights: dict[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    best: dict[str, torch.Tensor] | None,
    identity: str,
) -> None:
    """Write a checkpoint: state, weights, the optimizer's moments, the best weights so far."""
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in weights.items():
        tensors[f"weight.{name}"] = tensor
        if best is not None:
            tensors[f"best.{name}"] = best[name]
        for key, value in optimizer.state[tensor].items():
            tensors[f"adam.{key}.{name}"] = value
    checkpoint.save(folder / "checkpoints", state.step, tensors, {"identity": identity, **asdict(state)})


def resume(
    folder: Path,
    weights: dict[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    identity: str,
    emit: Emit,
    group: Group,
) -> tuple[State, dict[str, torch.Tensor] | None]:
    """State, weights and optimizer as the newest sound checkpoint of this very training left them; the main process
    reads it for all."""
    found = checkpoint.latest(folder / "checkpoints", emit) if group.rank == 0 else None
    tensors, about = found or ({}, {})
    if about and about.pop("identity") != identity:
        emit("checkpoint.other", folder=folder.name, reason="made with other settings or data; starting anew")
        about = {}
    about = group.from_main(about)
    if not about:
        return State(), None
    tensors = group.tensors_from_main(tensors)
    state = State(**{**about, "seen": Seen.of(about["seen"])})
    best: dict[str, torch.Tensor] | None = {} if any(name.startswith("best.") for name in tensors) else None
    with torch.no_grad():
        for name, tensor in weights.items():
            tensor.copy_(tensors[f"weight.{name}"])
            if best is not None:
                best[name] = tensors[f"best.{name}"].to(tensor.device)
            slots: dict[str, Any] = {}
            for key in ("step", "exp_avg", "exp_avg_sq"):
                if f"adam.{key}.{name}" in tensors:
                    value = tensors[f"adam.{key}.{name}"]
                    slots[key] = value if key == "step" else value.to(tensor.device)
            if slots:
                optimizer.state[tensor] = slots
    emit("train.resumed", step=state.step)
    return state, best


def digest(tensors: Iterable[tuple[str, torch.Tensor]]) -> str:
    """sha256 of names and bytes, whatever device and dtype."""
    found = hashlib.sha256()
    for name, tensor in tensors:
        found.update(name.encode())
        found.update(tensor.detach().contiguous().view(-1).view(torch.uint8).cpu().numpy().data)
    return found.hexdigest()


def write_curve(folder: Path, curve: list[dict[str, float | None]]) -> None:
    """steps.jsonl, whole each time (at most a few hundred lines): a resumed run cannot leave doubled lines."""
    import json

    write_text(folder / "steps.jsonl", "".join(json.dumps(entry) + "\n" for entry in curve))
