"""What the frozen layers below the trained ones give, computed once and read from disk by every fit of the same rows.

    <cache>/trunks/<24 hex digits>/states.bin   (n, hidden), raw, in the dtype that the model computes in
                                  about.json    shape, dtype, hash of states.bin and everything that the key is made of

A hidden state depends on the tokens before it and on nothing else, so a row's states serve in whatever batch the row
stands; where rows begin alike, the shared tokens are there once. The rows are read in their sorted order in batches of
a fixed size, so that the bytes follow from the key alone, and training reads them from disk even where it has just
written them: a fit gives the same whether it found its trunk or made it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tunesmith.core.errors import ConfigError, ModelError
from tunesmith.core.events import Emit
from tunesmith.core.files import canonical, read_json, sha256_bytes, sha256_file, whole, write_json
from tunesmith.models import cache
from tunesmith.models.fingerprint import fingerprint
from tunesmith.models.lm import LanguageModel, computing, head_at
from tunesmith.models.tree import plant
from tunesmith.models.tree_attention import read_tree
from tunesmith.models.trunk import entering, plain, recording, stack_of
from tunesmith.training.batches import Packing, TokenBatch
from tunesmith.training.gradients import Loss

# Packed tokens read at once while a trunk is made: no gradients, so one layer's activations are all there is.
_AT_ONCE = 4096
# Trunks of other data that were not used for longest make room for new ones beyond this.
_ALL_BYTES = 20 << 30
# What a trunk leaves free on the disk.
_LEFT_FREE = 1 << 30
_STATES, _ABOUT = "states.bin", "about.json"

Row = tuple[int, ...]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Trunk:
    """What enters the top layers, for every token of some rows.

    top: how many layers are above it. states: (n, hidden), mapped from disk. where: per row, by its tokens, the index
    in `states` of each. found: another fit had made it.
    """

    top: int
    states: torch.Tensor
    where: Mapping[Row, Ints]
    found: bool = False

    @property
    def bytes(self) -> int:
        """On disk."""
        return self.states.nbytes

    def through(self, loss: Loss[TokenBatch]) -> Loss[TokenBatch]:
        """The same loss with the trunk read from here: (sum, weight), gradients for the top layers."""

        def cut(model: torch.nn.Module, batch: TokenBatch) -> tuple[torch.Tensor, float]:
            with entering(model, self.top, self.of(batch).to(next(model.parameters()).device)):
                return loss(model, batch)

        return cut

    def of(self, batch: TokenBatch) -> torch.Tensor:
        """(b, t, hidden) what enters the top layers for the batch's tokens, packed or padded (padding: anything).

        Raises ModelError if one of the rows is not among those that the trunk was made for.
        """
        index = np.zeros(tuple(batch.ids.shape), dtype=np.int64)
        if batch.tree is not None:
            for where in batch.tree.where:
                index[0, where] = self._stored(tuple(batch.tree.ids[where].tolist()))
        else:
            for row, ids in enumerate(batch.ids.tolist()):
                found = self._stored(_unpadded(ids, self.where))
                index[row, : len(found)] = found
        return self.states[torch.from_numpy(index)]

    def _stored(self, row: Row) -> Ints:
        if row not in self.where:
            raise ModelError(
                f"a row of {len(row)} tokens is not among the {len(self.where)} that the trunk was made for.",
                hint="make it for all rows that are trained and tested on, or set train.trunk: never.",
            )
        return self.where[row]


def _unpadded(ids: Sequence[int], known: Mapping[Row, Ints]) -> Row:
    """A row without the token 0 that pads it. Where a longer row of the trunk fits too, its states are the same."""
    last = max((at for at, token in enumerate(ids) if token), default=0)
    fits = (tuple(ids[:end]) for end in range(last + 1, len(ids) + 1))
    return next((row for row in fits if row in known), tuple(ids))


@dataclass(frozen=True)
class _Layout:
    """Rows in the order in which they are read. new: tokens that each adds to those before. n: tokens in all."""

    rows: tuple[Row, ...]
    new: tuple[int, ...]
    where: dict[Row, Ints]
    n: int


def _lay_out(rows: Iterable[Sequence[int]]) -> _Layout:
    """Every shared beginning once: sorted, a row shares most with the one before it."""
    order = sorted({tuple(row) for row in rows})
    where: dict[Row, Ints] = {}
    new: list[int] = []
    n, before, at = 0, np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    for row in order:
        tokens = np.asarray(row, dtype=np.int64)
        least = min(len(tokens), len(before))
        differ = np.flatnonzero(tokens[:least] != before[:least])
        common = int(differ[0]) if len(differ) else least
        at = np.concatenate([at[:common], np.arange(n, n + len(row) - common)])
        where[row] = at
        new.append(len(row) - common)
        n += len(row) - common
        before = tokens
    return _Layout(tuple(order), tuple(new), where, n)


@torch.no_grad()
def _states(model: torch.nn.Module, layout: _Layout, *, top: int, packing: Packing) -> Iterator[torch.Tensor]:
    """(new tokens, hidden) per row, in order: what stands in states.bin."""
    model.eval()
    for group in _groups(layout, packing):
        rows = [layout.rows[i] for i in group]
        seen = _lower(model, rows, top=top, packing=packing)
        for i, states in zip(group, seen, strict=True):
            yield states[len(layout.rows[i]) - layout.new[i] :].cpu()


def _groups(layout: _Layout, packing: Packing) -> list[list[int]]:
    """Rows that are read at once: neighbours, of no more than _AT_ONCE tokens as they are packed."""
    groups: list[list[int]] = []
    size = longest = 0
    for i, row in enumerate(layout.rows):
        longest = max(longest, len(row))
        after = size + layout.new[i] if packing == "tree" else longest * (len(groups[-1]) + 1 if groups else 1)
        if groups and after <= _AT_ONCE:
            groups[-1].append(i)
            size = after
        else:
            groups.append([i])
            size = longest = len(row)
    return groups


def _lower(model: torch.nn.Module, rows: Sequence[Row], *, top: int, packing: Packing) -> list[torch.Tensor]:
    """Per row (tokens, hidden): what enters the top layers."""
    device = next(model.parameters()).device
    nowhere = torch.empty(0, dtype=torch.long, device=device)
    tree = plant(rows) if packing == "tree" else None
    with computing(model), head_at(model, (nowhere, nowhere)), recording(model, top) as seen:
        if tree is not None:
            read_tree(model, tree)
        else:
            ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long, device=device)
            for at, row in enumerate(rows):
                ids[at, : len(row)] = torch.tensor(row)
            model(input_ids=ids, use_cache=False)
    if tree is not None:
        return [seen.states[0, torch.from_numpy(where).to(device)] for where in tree.where]
    return [seen.states[at, : len(row)] for at, row in enumerate(rows)]


def held(model: torch.nn.Module, rows: Iterable[Sequence[int]], *, top: int, packing: Packing = "tree") -> Trunk:
    """The trunk of a few rows in memory."""
    layout = _lay_out(rows)
    return Trunk(top, torch.cat(list(_states(model, layout, top=top, packing=packing))), layout.where)


def stored(
    lm: LanguageModel,
    rows: Iterable[Sequence[int]],
    *,
    top: int,
    emit: Emit,
    packing: Packing = "tree",
    first: Callable[[], None] = lambda: None,
) -> Trunk:
    """The trunk of these rows from the machine's cache, made there first if no fit has made it or it is damaged.

    lm.model may have a method on it, if that method leaves the trunk alone. Bytes are said before they are written.
    first: called before one is made, and not where it is found; what it raises is raised.
    Raises ModelError where they do not fit on the disk.
    """
    layout = _lay_out(rows)
    about = _key(lm, layout, top=top, packing=packing)
    key = sha256_bytes(canonical(about))[:24]
    path = cache.root() / "trunks" / key
    about |= {"shape": [layout.n, int(_text_width(lm.model))]}
    made, faults = False, set[str]()

    def find() -> dict[str, Any] | None:
        known, fault = _sound(path, about)
        if fault is not None and fault not in faults:  # asked twice: before and under the lock
            faults.add(fault)
            emit("trunk.damaged", path=path.name, reason=fault)
        return known

    def make() -> dict[str, Any]:
        nonlocal made
        made = True
        first()
        cache.sweep(path)
        _write(path, lm.model, layout, about, top=top, packing=packing, emit=emit)
        return dict(read_json(path / _ABOUT))

    known = cache.once(f"trunk-{key}", find, make, emit)
    cache.touch(path)
    n, width = known["shape"]
    dtype = getattr(torch, str(known["dtype"]))
    states = torch.from_file(str(path / _STATES), shared=False, size=n * width, dtype=dtype).view(n, width)
    emit("trunk", top=top, tokens=n, bytes=states.nbytes, found=not made)
    return Trunk(top, states, layout.where, found=not made)


def _key(lm: LanguageModel, layout: _Layout, *, top: int, packing: Packing) -> dict[str, Any]:
    """Everything that a byte of the states can depend on."""
    import transformers

    tokens = hashlib.sha256()
    for row in layout.rows:
        tokens.update(np.asarray([len(row), *row], dtype="<i8").tobytes())
    layers = list(stack_of(lm.model).layers)[:-top]
    weights = [tensor for layer in layers for tensor in layer.parameters()]
    return {
        "version": 1,
        "base": fingerprint(lm.folder),
        # 4-bit layers are others than the folder's.
        "form": sorted({type(part).__name__ for layer in layers for part in layer.modules()}),
        "dtypes": sorted({str(tensor.dtype) for tensor in weights}),
        "template": lm.template.fingerprint,
        "rows": tokens.hexdigest(),
        "top": top,
        "packing": packing,
        "device": str(lm.device.type),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def _text_width(model: torch.nn.Module) -> int:
    return int(plain(model).config.get_text_config().hidden_size)  # type: ignore[union-attr, operator]


def _sound(path: Path, about: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str | None]:
    """(what about.json says, None) if the states are what was written, (None, fault), or (None, None) for nothing."""
    if not path.is_dir():
        return None, None
    try:
        known = read_json(path / _ABOUT)
        fault = None if {k: known.get(k) for k in about} == about else "it is described as something else"
        if fault is None and sha256_file(path / _STATES) != known["sha256"]:
            fault = f"{_STATES} is not what was written"
    except (OSError, json.JSONDecodeError, UnicodeDecodeError, KeyError, AttributeError) as error:
        fault = f"it cannot be read ({error})"
    return (dict(known), None) if fault is None else (None, fault)


def _write(
    path: Path, model: torch.nn.Module, layout: _Layout, about: Mapping[str, Any], *, top: int, packing: Packing,
    emit: Emit,
) -> None:  # fmt: skip
    chunks = _states(model, layout, top=top, packing=packing)
    first = next(chunks)
    needed = layout.n * first.shape[-1] * first.element_size()
    _make_room(needed)
    emit("trunk.making", tokens=layout.n, bytes=needed, layers=len(stack_of(model).layers) - top)
    digest = hashlib.sha256()
    try:
        with whole(path) as draft:
            draft.mkdir()
            with (draft / _STATES).open("wb") as handle:
                for chunk in _chain(first, chunks):
                    raw = chunk.contiguous().view(torch.uint8).numpy().tobytes()
                    digest.update(raw)
                    handle.write(raw)
            dtype = str(first.dtype).removeprefix("torch.")
            write_json(draft / _ABOUT, {**about, "dtype": dtype, "sha256": digest.hexdigest()})
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _no_room(needed) from error
        raise


def _chain(first: torch.Tensor, rest: Iterator[torch.Tensor]) -> Iterator[torch.Tensor]:
    yield first
    yield from rest


def _make_room(needed: int) -> None:
    """Trunks that were not used for longest go first; raises ModelError where the disk has no room even so."""
    old = sorted((e for e in cache.entries() if e.name.startswith("trunks/")), key=lambda e: (e.used, e.name))
    held_bytes = sum(entry.bytes for entry in old)
    for entry in old:
        if held_bytes + needed <= _ALL_BYTES and needed + _LEFT_FREE <= _free():
            return
        try:
            held_bytes -= cache.remove(entry.name)
        except (ConfigError, FileNotFoundError):
            continue  # another process was quicker
    if needed + _LEFT_FREE > _free():
        raise _no_room(needed)


def _free() -> int:
    place = cache.root()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def _no_room(needed: int) -> ModelError:
    return ModelError(
        f"the trunk needs {needed / 1e9:.2f} GB in {cache.root()}, where {_free() / 1e9:.2f} GB are free "
        f"({_LEFT_FREE / 1e9:.1f} are left alone).",
        hint="free some space there, set TUNESMITH_CACHE to a folder on a disk that has more, or do without it: "
        "train.trunk: never.",
    )
