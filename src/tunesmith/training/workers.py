"""What processes besides the main one do: wait to be called, build the same training, take their share of its steps.

    main process                                    worker
    with called(group, training, encoded):          serve(group)
        train(…, group=group)                           train(…, group=group)

What a worker needs travels as JSON and tensors (nothing pickled): the base model's uri, the adapter's settings, the
recipe, and the rows as token ids. Which rungs can be shared is said by their `join`.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from tunesmith.core.context import Limits
from tunesmith.core.errors import RunError, TunesmithError
from tunesmith.core.events import Emit
from tunesmith.core.machine import set_threads
from tunesmith.core.meter import cpu_seconds
from tunesmith.models.spec import ModelSpec
from tunesmith.training import parallel
from tunesmith.training.parallel import Group, Lost, Processes

if TYPE_CHECKING:
    import torch

    from tunesmith.training.batches import Encoded, Packing, TokenBatches
    from tunesmith.training.loop import Recipe

# After a worker failed, the main process has so long to say what it knows before the launcher ends it too.
_LAST_WORDS_S = 5.0

_open_calls: list[str] = []
_workers_cpu_s: list[float] = [0.0]


@dataclass(frozen=True)
class Training:
    """A training of a language model's adapter, but for its rows: all that a worker needs to do the same.

    system: the rung. at_once, recomputed: tokens in a micro-batch, see `micro_batches`. batch: rows in a step.
    """

    system: str
    base: ModelSpec
    limits: Limits
    seed: int
    method: str
    settings: dict[str, float | int | str | bool]
    recipe: Recipe
    batch: int
    at_once: int
    packing: Packing
    recomputed: int | None = None

    def batches(self, encoded: Encoded, group: Group) -> TokenBatches:
        """The micro-batches of every step, cut so that each process gets its share."""
        from tunesmith.training.batches import TokenBatches

        return TokenBatches(encoded, self.batch, self.seed, self.at_once, self.packing, group.size, self.recomputed)

    def to_dict(self) -> dict[str, Any]:
        """JSON of all of it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, about: dict[str, Any]) -> Training:
        from tunesmith.training.loop import Recipe

        base = ModelSpec(**{**about["base"], "languages": tuple(about["base"]["languages"])})
        return cls(**{**about, "base": base, "limits": Limits(**about["limits"]), "recipe": Recipe(**about["recipe"])})


@contextmanager
def called(group: Group, training: Training, encoded: Encoded, emit: Emit) -> Iterator[None]:
    """Inside the block the workers train beside this process, each on its share of the machine's threads."""
    if group.size == 1:
        yield
        return
    _open_calls.append(training.system)
    group.from_main(training.to_dict())
    group.tensors_from_main(_to_tensors(encoded))
    threads = _share(training.limits, group)
    emit("train.shared", system=training.system, processes=group.size, threads_each=threads)
    set_threads(threads)
    try:
        yield
        _workers_cpu_s[0] += _cpu_of_workers(group, 0.0)
    finally:
        set_threads(training.limits.threads)
    _open_calls.remove(training.system)


def join_training(about: dict[str, Any], group: Group) -> None:
    """A worker's part of `called`: the same model and micro-batches as the main process has, and the loop."""
    from tunesmith.models.lm import LanguageModel, release_memory
    from tunesmith.models.methods import method
    from tunesmith.models.resolve import fetch
    from tunesmith.training.loop import train
    from tunesmith.training.losses import answer_loss

    training = Training.from_dict(about)
    encoded = _from_tensors(group.tensors_from_main())
    began = cpu_seconds()
    set_threads(_share(training.limits, group))
    how = method.get(training.method)
    lm = LanguageModel.load(fetch(training.base, _quiet), training.limits)
    lm.model = how.apply(how.prepare(lm.model), training.settings, seed=training.seed)
    train(
        lm.model,
        training.batches(encoded, group),
        answer_loss,
        recipe=training.recipe,
        folder=Path(),  # the main process's alone to write to
        emit=_quiet,
        seed=training.seed,
        multiples=how.rates(lm.model, training.settings),
        group=group,
    )
    _cpu_of_workers(group, cpu_seconds() - began)
    del lm
    release_memory()


def serve(group: Group) -> None:
    """Join one training after another until the main process has no more."""
    from tunesmith.training.systems import Joins, system

    while (about := group.from_main()) is not None:
        rung = system.get(str(about["system"]))
        assert isinstance(rung, Joins), "only rungs that can be joined call workers"
        rung.join(about, group)


@contextmanager
def taking_part() -> Iterator[bool]:
    """Meet the processes of the launcher; gives whether this is the main one, which then does the work of the block.

    A worker serves before it gets its False, and ends the program if it fails. When the block is left, in whatever
    way, the workers are let go.
    """
    group = parallel.meet()
    if group.rank:
        _work_until_let_go(group)
        yield False
        return
    signal.signal(signal.SIGTERM, _ended_by_launcher)
    try:
        yield True
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if not _open_calls:  # in the middle of a training workers see the connection close
            group.from_main(None)
            group.leave()


def workers_cpu_s() -> float:
    """CPU seconds that workers spent on this process's trainings so far."""
    return _workers_cpu_s[0]


def _work_until_let_go(group: Processes) -> None:
    # Waiting happens outside Python, which could not act on Ctrl-C there.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        serve(group)
        group.leave()
    except Lost:
        sys.exit(1)  # whoever is gone has said why
    except Exception as error:
        said = error.message if isinstance(error, TunesmithError) else f"{type(error).__name__}: {error}"
        print(f"tunesmith: process {group.rank} of {group.size}: {said}", file=sys.stderr, flush=True)
        group.leave()
        time.sleep(_LAST_WORDS_S)
        sys.exit(1)


def _ended_by_launcher(number: int, frame: FrameType | None) -> None:
    del number, frame
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
    raise RunError(
        "the launcher ended this process: another one failed or was killed, or the launcher itself was stopped.",
        hint="the same command goes on from the last checkpoint.",
    )


def _share(limits: Limits, group: Group) -> int:
    """Threads of one process where several of a machine compute at the same time."""
    return max(1, limits.threads // group.local_size)


def _cpu_of_workers(group: Group, mine: float) -> float:
    import torch

    spent = torch.tensor([mine], dtype=torch.float64)
    group.add_up(spent)
    return float(spent)


def _to_tensors(encoded: Encoded) -> dict[str, torch.Tensor]:
    import torch

    return {
        "ids": torch.tensor([token for row in encoded.ids for token in row], dtype=torch.int32),
        "lengths": torch.tensor([len(row) for row in encoded.ids], dtype=torch.int64),
        "n_prompt": torch.tensor(encoded.n_prompt, dtype=torch.int64),
        "n_end": torch.tensor(encoded.n_end, dtype=torch.int64),
        "weights": torch.tensor(encoded.weights, dtype=torch.float64),
    }


def _from_tensors(tensors: dict[str, torch.Tensor]) -> Encoded:
    from tunesmith.training.batches import Encoded

    ids, ends = tensors["ids"].tolist(), tensors["lengths"].cumsum(0).tolist()
    return Encoded(
        tuple(tuple(ids[start:end]) for start, end in zip([0, *ends], ends, strict=False)),
        tuple(tensors["n_prompt"].tolist()),
        tuple(tensors["n_end"].tolist()),
        tuple(tensors["weights"].tolist()),
    )


def _quiet(event: str, **fields: Any) -> None:
    """A worker tells nobody: the main process sees the same."""
