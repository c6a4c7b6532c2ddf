"""A base model on offer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ModelSpec:
    """One base model: enough to choose it, fetch it and check that it is the same one later.

    source:     name of the Source that can fetch it ("wheel", "hub", "folder").
    id:         what the source calls it: a catalogue name, "organisation/name", or a path.
    revision:   commit (hub) or sha256 of the payload (wheel, folder); None until it is pinned.
    kind:       "encoder" (texts to vectors) or "lm" (causal language model).
    parameters, context: counts; 0 means unknown. languages: ISO 639-1 codes; () means unknown.
    """

    source: str
    id: str
    kind: Literal["encoder", "lm"]
    revision: str | None = None
    licence: str = "unknown"
    parameters: int = 0
    context: int = 0
    languages: tuple[str, ...] = ()
    chat: bool = False
    note: str = ""

    @property
    def uri(self) -> str:
        """One string for configs and keys: "wheel:smollm2-135m-instruct@b179c952…" (whole revision)."""
        return f"{self.source}:{self.id}" + (f"@{self.revision}" if self.revision else "")
