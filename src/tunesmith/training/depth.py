"""What adapting only the top k layers costs and what it loses, measured: the curve that k is chosen by.

    for depth in depth_curve(folder, train, held_out, recipe=Recipe(40, 1e-3), limits=limits, emit=emit): …

Every depth starts from the base, with the same seed, rows, order and schedule; None stands for all layers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from tunesmith.core.context import Limits
from tunesmith.core.events import Emit
from tunesmith.models.lm import LanguageModel, release_memory
from tunesmith.models.methods import method as methods
from tunesmith.models.trunk import top_of
from tunesmith.training.batches import Encoded, TokenBatches, micro_batches
from tunesmith.training.cut import choose_trunk
from tunesmith.training.loop import Recipe
from tunesmith.training.loop import train as run_loop
from tunesmith.training.losses import answer_loss, mean_loss
from tunesmith.training.memory import cut_for
from tunesmith.training.packing import choose_packing

Settings = Mapping[str, float | int | str | bool]


@dataclass(frozen=True)
class Depth:
    """One point of the curve.

    top: layers that learned; None: all. cached: whether their trunk was read from disk, why not if not.
    step_cpu_s: CPU-seconds of an optimizer step, the mean over all. make_cpu_s: what the trunk cost, once for all fits
    of these rows (checks on it included); found: nothing had to be made. trunk_bytes: on disk.
    trained: weights. dev_loss: nats per answer token after the last step.
    """

    top: int | None
    cached: bool
    why: str
    steps: int
    step_cpu_s: float
    make_cpu_s: float
    found: bool
    trunk_bytes: int
    trained: int
    dev_loss: float


def depth_curve(
    folder: Path,
    train: Encoded,
    held_out: Encoded,
    *,
    recipe: Recipe,
    limits: Limits,
    emit: Emit,
    tops: Sequence[int | None] = (2, 5, 10, 20, None),
    settings: Settings | None = None,
    batch: int = 8,
    seed: int = 0,
    trunk: str = "auto",
) -> Iterator[Depth]:
    """A point per depth, in the order asked for; each is yielded when it has been measured.

    folder: of the base model. train, held_out: rows from `batches.encode`. recipe: its dev scores are left out.
    settings: `method` (lora) and its options.
    trunk: "auto", or "never" for what the same depth costs with the whole model in every step.
    Seconds are of this process on `limits.threads` threads, which the caller has set.
    """
    for top in tops:
        options = {**(settings or {}), **({} if top is None else {"top_layers": top})}
        yield _measured(
            folder, train, held_out, limits=limits, emit=emit, options=options, recipe=recipe, batch=batch,
            seed=seed, trunk=trunk,
        )  # fmt: skip
        release_memory()


def _measured(
    folder: Path,
    train: Encoded,
    held_out: Encoded,
    *,
    limits: Limits,
    emit: Emit,
    options: Settings,
    recipe: Recipe,
    batch: int,
    seed: int,
    trunk: str,
) -> Depth:
    lm = LanguageModel.load(folder, limits)
    how = methods.get(str(options.get("method", "lora")))
    top = top_of(options, lm.model)
    packing = choose_packing(lm.model, train, dropout=float(options.get("dropout", 0.0))).packing
    lm.model = how.apply(how.prepare(lm.model), options, seed=seed)
    lm.model.eval()
    cut = cut_for(lm.model, train, packing, limit=limits.max_memory_bytes)
    began = time.process_time()
    decided = choose_trunk(lm, [train, held_out], top=top, packing=packing, emit=emit, asked=trunk)
    made = time.process_time() - began
    loss = answer_loss if decided.trunk is None else decided.trunk.through(answer_loss)
    batches = TokenBatches(train, batch, seed, **cut.told())
    # Once before the clock: the first step of a process finds its kernels.
    with torch.random.fork_rng():
        _, _ = loss(lm.model, batches(0)[0])
    with TemporaryDirectory() as work:
        began = time.process_time()
        run_loop(
            lm.model, batches, loss, recipe=replace(recipe, evaluate_every=None), folder=Path(work), emit=emit,
            seed=seed, checkpoint_every_s=math.inf, multiples=how.rates(lm.model, options),
        )  # fmt: skip
        spent = time.process_time() - began
    dev = micro_batches(held_out, range(len(held_out)), **cut.told())
    return Depth(
        top=top,
        cached=decided.trunk is not None,
        why=decided.why,
        steps=recipe.steps,
        step_cpu_s=spent / recipe.steps,
        make_cpu_s=made,
        found=decided.trunk is not None and decided.trunk.found,
        trunk_bytes=0 if decided.trunk is None else decided.trunk.bytes,
        trained=sum(tensor.numel() for tensor in lm.model.parameters() if tensor.requires_grad),
        dev_loss=mean_loss(lm.model, dev, loss=loss),
    )
