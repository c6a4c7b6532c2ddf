"""A base model on offer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

# Licences that ask for attribution at most; by their SPDX names, lower case.
PERMISSIVE = frozenset(
    {"apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "isc", "cc0-1.0", "cc-by-4.0", "unlicense", "zlib"}
)


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


def reason_against(spec: ModelSpec, *, licence: Sequence[str] | str = "any", languages: Sequence[str] = ()) -> str:
    """Why a model may not be used under these wishes; "" if it may. What is not known of it does not count for it.

    licence: "any", "permissive", or the names that are allowed, whatever their case.
    """
    name = spec.licence.lower()
    allowed = PERMISSIVE if licence == "permissive" else frozenset() if isinstance(licence, str) else _lower(licence)
    if licence != "any" and name not in allowed:
        wanted = "a permissive one" if licence == "permissive" else " or ".join(licence)
        return f"the licence of {spec.id} is {spec.licence}, not {wanted}"
    lacking = sorted(_lower(languages) - _lower(spec.languages))
    if lacking:
        known = ", ".join(spec.languages) or "nothing that is recorded"
        return f"{spec.id} is not known to speak {', '.join(lacking)} (it speaks {known})"
    return ""


def _lower(names: Sequence[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)
