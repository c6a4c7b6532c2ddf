"""The vectors of a frozen encoder, computed once per text and shared by every rung that stands on them.

Within a process they are kept in memory; across a kill they are kept as .npy files with a manifest under the
folder given. What a rung gets without computing it is counted, so that costs can be stated as if each rung
stood alone (`borrowed_cpu_s`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.errors import ModelError
from tunesmith.core.events import progress
from tunesmith.core.files import canonical, read_json, sha256_bytes, sha256_file, whole, write_json
from tunesmith.core.meter import Meter, borrow, borrowed_cpu_s, cpu_seconds, metered
from tunesmith.models.encoder import Encoder
from tunesmith.models.resolve import fetch
from tunesmith.models.spec import ModelSpec
from tunesmith.training.systems import Job
from tunesmith.training.workers import workers_cpu_s

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FOLDER = "embeddings"
# Texts whose vectors stay in memory per encoder: 300 MB at 384 dimensions. Beyond that, the oldest go.
_MOST_IN_MEMORY = 200_000
# A kill loses the vectors of at most so many texts.
_TEXTS_PER_PIECE = 4096
_LEAST_WORTH_WRITING = 256

_lock = threading.Lock()
_encoders: dict[tuple[str, str], Encoder] = {}
_stores: dict[str, _Store] = {}
_most_in_memory = [_MOST_IN_MEMORY]


@dataclass
class _Store:
    """Vectors by the hash of their text. cost_s: CPU seconds per character, as measured when they were made."""

    vectors: dict[bytes, NDArray[np.float32]] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)  # pieces on disk that are in `vectors`
    cost_s: float = 0.0


def encoder_spec(job: Job) -> ModelSpec:
    """The job's encoder; raises ModelError if it has none."""
    if job.encoder is None:
        raise ModelError(
            "this rung stands on an encoder, and the plan names none.", hint="set model.encoder, or leave the rung out."
        )
    return job.encoder


def encoder(spec: ModelSpec, ctx: Context) -> Encoder:
    """The frozen encoder, loaded once per process and device. Never train it: copy it first."""
    key = (spec.uri, ctx.limits.device)
    with _lock:
        if key not in _encoders:
            _encoders.clear()  # one at a time: a second encoder would double the memory
            _encoders[key] = Encoder.load(fetch(spec, ctx.emit), ctx.limits)
        return _encoders[key]


def embed(texts: Sequence[str], spec: ModelSpec, ctx: Context, *, keep: bool = True) -> NDArray[np.float32]:
    """(n, width) float32 unit vectors of `texts` by the frozen encoder `spec`, from memory or disk where known.

    keep: also write new vectors under `ctx.workdir`/embeddings, for a resumed run.
    """
    store = _stores.setdefault(spec.uri, _Store())
    folder = ctx.workdir / _FOLDER
    _read_pieces(store, folder, spec)
    keys = [sha256_bytes(text.encode("utf-8", "surrogatepass")).encode()[:32] for text in texts]
    fresh = {key: text for key, text in zip(keys, texts, strict=True) if key not in store.vectors}
    known = sum(len(text) for key, text in zip(keys, texts, strict=True) if key not in fresh)
    borrow(store.cost_s * known)
    if fresh:
        _compute(store, fresh, spec, ctx, folder if keep else None)
    if not texts:
        return np.zeros((0, encoder(spec, ctx).width), dtype=np.float32)
    found = np.stack([store.vectors[key] for key in keys])
    while len(store.vectors) > _most_in_memory[0]:
        del store.vectors[next(iter(store.vectors))]
    return found


def remember_at_most(texts: int) -> None:
    """Keep the vectors of so many texts per encoder in memory, for a process that answers for a long time."""
    _most_in_memory[0] = texts


def forget() -> None:
    """Drop every vector and encoder that this process holds (tests; before a memory-hungry stage)."""
    with _lock:
        _encoders.clear()
        _stores.clear()


def _compute(store: _Store, fresh: dict[bytes, str], spec: ModelSpec, ctx: Context, folder: Path | None) -> None:
    model = encoder(spec, ctx)
    began = cpu_seconds()
    # In order of length, so that a piece's texts fill the encoder's batches evenly.
    pending = sorted(fresh, key=lambda key: (len(fresh[key]), key))
    with progress(ctx.emit, "embed", len(pending)) as tick:
        for start in range(0, len(pending), _TEXTS_PER_PIECE):
            some = pending[start : start + _TEXTS_PER_PIECE]
            vectors = model.embed([fresh[key] for key in some], tick)
            store.vectors.update(zip(some, vectors, strict=True))
            if folder is not None and len(some) >= _LEAST_WORTH_WRITING:
                store.read.add(_write_piece(folder, some, vectors, spec))
    store.cost_s = max(0.0, cpu_seconds() - began) / max(1, sum(len(text) for text in fresh.values()))


def _write_piece(folder: Path, keys: Sequence[bytes], vectors: NDArray[np.float32], spec: ModelSpec) -> str:
    name = sha256_bytes(canonical([spec.uri, [key.decode() for key in keys]]))[:16]
    with whole(folder / f"{name}.npy") as draft, draft.open("wb") as handle:
        np.save(handle, vectors, allow_pickle=False)
    write_json(
        folder / f"{name}.json",
        {"encoder": spec.uri, "sha256": sha256_file(folder / f"{name}.npy"), "texts": [key.decode() for key in keys]},
    )
    return name


def _read_pieces(store: _Store, folder: Path, spec: ModelSpec) -> None:
    """Take in what a killed run left; a piece that is not what its manifest says is left alone and made anew."""
    for manifest in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        if manifest.stem in store.read:
            continue
        about = read_json(manifest)
        piece = manifest.with_suffix(".npy")
        if about["encoder"] != spec.uri or not piece.is_file() or sha256_file(piece) != about["sha256"]:
            continue
        vectors = np.load(piece, allow_pickle=False)
        store.vectors.update(zip((key.encode() for key in about["texts"]), vectors, strict=True))
        store.read.add(manifest.stem)


@contextmanager
def metered_alone() -> Iterator[Meter]:
    """`metered`, and the CPU seconds of workers and of what was found ready made: the block's own cost."""
    before = borrowed_cpu_s() + workers_cpu_s()
    with metered() as meter:
        yield meter
    meter.cpu_s += borrowed_cpu_s() + workers_cpu_s() - before
