"""Vectors for curation: of the packaged sentence encoder, where it lies on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.core.context import Limits
from tunesmith.core.errors import TunesmithError
from tunesmith.data.meaning import Reader

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tunesmith.models.encoder import Encoder

ENCODER = "all-minilm-l6-v2"
_MOST_KEPT = 50_000  # vectors (77 MB at 384 numbers): several steps read the same rows
_kept: dict[tuple[str, str], NDArray[np.float32]] = {}


def sentence_vectors(texts: Sequence[str], *, encoder: str = ENCODER) -> NDArray[np.float32] | None:
    """(n, width) float32 unit vectors, or None where the encoder is not on this machine; never downloads.

    Vectors of up to 50,000 texts are kept for the next step that asks for them.
    """
    from tunesmith.models.resolve import local, resolve

    try:
        folder = local(resolve(encoder, "encoder"))
        if folder is None:
            return None
        unread = [text for text in dict.fromkeys(texts) if (encoder, text) not in _kept]
        if len(texts) > _MOST_KEPT:
            return _loaded(folder).embed(texts)
        if len(_kept) + len(unread) > _MOST_KEPT:
            _kept.clear()
            unread = list(dict.fromkeys(texts))
        if unread:
            vectors = _loaded(folder).embed(unread)
            _kept.update(((encoder, text), vector) for text, vector in zip(unread, vectors, strict=True))
    except TunesmithError:  # a damaged copy or another machine's cache: the caller says what was used instead
        return None
    if not texts:
        return np.zeros((0, 1), dtype=np.float32)
    return np.stack([_kept[encoder, text] for text in texts])


def reader(encoder: str = ENCODER) -> Reader | None:
    """Reads texts, and words where they stand, with the encoder; None where it is not here, or cannot do the latter."""
    from tunesmith.models.resolve import local, resolve

    try:
        folder = local(resolve(encoder, "encoder"))
        if folder is None:
            return None
        loaded = _loaded(folder)
        loaded.in_place([], [])
    except TunesmithError:
        return None

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = sentence_vectors(texts, encoder=encoder)  # which keeps them for other steps
        return loaded.embed(texts) if vectors is None else vectors

    return Reader(embed, loaded.in_place)


@lru_cache(maxsize=1)
def _loaded(folder: Path) -> Encoder:
    from tunesmith.models.encoder import Encoder

    return Encoder.load(folder, Limits())
