"""The processes that share a training, and the group of one that shares with nobody.

    torchrun --nproc-per-node 2 -m tunesmith run tickets.csv

Process 0, the main process, owns the run. The others are workers: they wait for it to begin a training, take their
share of each step, and leave when it leaves (`workers` says what a worker does). Everything that must be the same on
all of them comes from the main process (`from_main`), is summed over all (`add_up`), or is compared (`agree`).

This module knows no model. Without a launcher it imports nothing heavy, and every call gives back what it was given.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from tunesmith.core.errors import RunError

if TYPE_CHECKING:
    import torch

# A step's gradients come at most so much later than another process's; beyond that, something is stuck.
_STEP = timedelta(minutes=30)
# A worker waits while the main process does all that is not shared: other rungs, dev scores, the report.
_WAIT = timedelta(days=7)
_CHUNK_BYTES = 64 << 20


class Lost(RunError):
    """Another process of the group is gone or silent."""


class Group(Protocol):
    """The processes of one training, as each of them sees it.

    rank: this process, 0 is the main one. size: of all. local_size: on this machine.
    """

    @property
    def rank(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def local_size(self) -> int: ...

    def from_main(self, value: Any = None) -> Any:
        """The main process's value, of JSON; what the others give is ignored."""
        ...

    def tensors_from_main(self, tensors: Mapping[str, torch.Tensor] | None = None) -> dict[str, torch.Tensor]:
        """The main process's tensors by name, on the CPU for the others."""
        ...

    def add_up(self, tensor: torch.Tensor) -> None:
        """Put the sum over all processes in the tensor's place; it has the same shape on each."""
        ...

    def agree(self, what: str, digest: str) -> None:
        """Raise RunError, on every process, unless all give the same digest (sha256 in hex) of `what`."""
        ...


@dataclass(frozen=True)
class Alone:
    """The group of one process."""

    rank: int = 0
    size: int = 1
    local_size: int = 1

    def from_main(self, value: Any = None) -> Any:
        return value

    def tensors_from_main(self, tensors: Mapping[str, torch.Tensor] | None = None) -> dict[str, torch.Tensor]:
        return dict(tensors or {})

    def add_up(self, tensor: torch.Tensor) -> None:
        return None

    def agree(self, what: str, digest: str) -> None:
        return None


ALONE = Alone()


class Processes:
    """The processes that torchrun, `accelerate launch` or another launcher of torch started."""

    def __init__(self) -> None:
        import torch
        from accelerate import PartialState

        cuda = torch.cuda.is_available()
        with _reaching("meeting the other processes"):
            # Accelerate reads the launcher's variables and gives each process a device of its own. Messages between
            # processes are CPU tensors, so gloo stands beside NCCL.
            state = PartialState(cpu=not cuda, backend="cpu:gloo,cuda:nccl" if cuda else None, timeout=_STEP)
            self.rank, self.size = int(state.process_index), int(state.num_processes)
            self.local_size = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
            self._patient = torch.distributed.new_group(backend="gloo", timeout=_WAIT)

    def from_main(self, value: Any = None) -> Any:
        return json.loads(self._bytes_from_main(json.dumps(value).encode() if self.rank == 0 else b""))

    def tensors_from_main(self, tensors: Mapping[str, torch.Tensor] | None = None) -> dict[str, torch.Tensor]:
        from safetensors.torch import load, save

        if self.rank == 0:
            plain = {name: tensor.detach().cpu().contiguous() for name, tensor in (tensors or {}).items()}
            self._bytes_from_main(save(plain))
            return dict(tensors or {})
        return dict(load(self._bytes_from_main(b"")))

    def add_up(self, tensor: torch.Tensor) -> None:
        import torch

        with _reaching("adding up the gradients of a step"):
            torch.distributed.all_reduce(tensor)

    def agree(self, what: str, digest: str) -> None:
        import torch

        mine = torch.frombuffer(bytearray.fromhex(digest), dtype=torch.uint8)
        found = [torch.empty_like(mine) for _ in range(self.size)]
        with _reaching(f"comparing {what}"):
            torch.distributed.all_gather(found, mine, group=self._patient)
        compare(what, [bytes(one.tolist()).hex() for one in found])

    def leave(self) -> None:
        """Close the connections; processes that still wait for this one fail at once."""
        import torch

        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()

    def _bytes_from_main(self, content: bytes) -> bytes:
        import torch

        size = torch.tensor([len(content)])
        with _reaching("waiting for the main process" if self.rank else "calling the workers"):
            torch.distributed.broadcast(size, 0, group=self._patient)
            whole = torch.empty(int(size), dtype=torch.uint8)
            if self.rank == 0:
                whole = torch.frombuffer(bytearray(content), dtype=torch.uint8)
            for start in range(0, int(size), _CHUNK_BYTES):
                torch.distributed.broadcast(whole[start : start + _CHUNK_BYTES], 0, group=self._patient)
        return whole.numpy().tobytes()


def compare(what: str, digests: Sequence[str]) -> None:
    """Raise RunError unless all processes gave the same digest, naming those that differ from the main one."""
    other = [str(rank) for rank, digest in enumerate(digests) if digest != digests[0]]
    if other:
        several = len(other) > 1
        raise RunError(
            f"{what}: process{'es' if several else ''} {', '.join(other)} differ{'' if several else 's'} from the main "
            "one; training on would mislead.",
            hint="all processes need the same versions of tunesmith and torch, the same base model and like hardware.",
        )


def is_launched() -> bool:
    """Whether a launcher started this process together with others."""
    return "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


_world: list[Processes] = []


def world() -> Group:
    """The group that this process was started in: ALONE unless `meet` was called."""
    return _world[0] if _world else ALONE


def meet() -> Processes:
    """Meet the other processes that the launcher started; waits for them. Once per process.

    Raises Lost if they do not come.
    """
    if not _world:
        _world.append(Processes())
    return _world[0]


@contextmanager
def _reaching(doing: str) -> Iterator[None]:
    """A broken connection as an error that says what to do."""
    try:
        yield
    except RuntimeError as error:
        raise Lost(
            f"lost contact with the other processes while {doing}: {str(error).splitlines()[0]}",
            hint="their own messages say why; the same command goes on from the last checkpoint.",
        ) from error
