"""From the name that a person typed to a ModelSpec, and from a ModelSpec to a folder.

smollm2-135m-instruct                       a name of the catalogue
HuggingFaceTB/SmolLM2-360M-Instruct[@REV]   a model of the Hugging Face hub
./my-model                                  a folder that exists
wheel:ID[@REV]  hub:ORG/NAME[@REV]  folder:PATH[@SHA]   the same, unmistakably: ModelSpec.uri
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

from tunesmith.core.errors import ConfigError, did_you_mean, nearest
from tunesmith.core.events import Emit
from tunesmith.models.catalogue import by_hub_id, catalogue
from tunesmith.models.sources import source
from tunesmith.models.spec import ModelSpec

Kind = Literal["encoder", "lm"]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_SHA256 = re.compile(r"[0-9a-f]{8,64}")
_WHAT = {"encoder": "a sentence encoder", "lm": "a language model"}


def resolve(name: str, kind: Kind | None = None) -> ModelSpec:
    """The ModelSpec that `name` stands for; looks at the catalogue and at folders, never at the network.

    kind: what is needed. Raises ConfigError if the name is unknown (with the nearest one) or of the other kind, or
    if nothing here tells the kind of a hub model and `kind` is None.
    """
    spec = _find(name.strip(), kind)
    if kind is not None and spec.kind != kind:
        known = [entry.name for entry in catalogue().values() if entry.spec.kind == kind]
        raise ConfigError(
            f"'{name}' is {_WHAT[spec.kind]}; {_WHAT[kind]} is needed here.",
            hint=f"for example: {', '.join(known[:4])}",
        )
    return spec


def pin(spec: ModelSpec) -> ModelSpec:
    """The same spec with its exact revision; asks the network only for a hub model that is not cached."""
    return source.get(spec.source).pin(spec)


def fetch(spec: ModelSpec, emit: Emit) -> Path:
    """A transformers folder of the model, downloaded if need be.

    Raises SourceUnavailable if it cannot be had here, ModelError if it cannot be used as it is.
    """
    return source.get(spec.source).fetch(spec, emit)


def local(spec: ModelSpec) -> Path | None:
    """The same folder if it is on this machine already, else None; never touches the network."""
    return source.get(spec.source).local(spec)


def _find(name: str, kind: Kind | None) -> ModelSpec:
    if not name:
        raise ConfigError("the name of a base model is empty.", hint="see all names with:  tunesmith list models")
    if name.lower() in catalogue():
        return catalogue()[name.lower()].spec
    scheme, colon, rest = name.partition(":")
    if colon and scheme == "wheel":
        return _wheel(rest)
    if colon and scheme == "hub":
        return _hub(rest, kind)
    if colon and scheme == "folder":
        return _folder(rest)
    if Path(name).expanduser().is_dir():
        return _folder(name)
    short, at, revision = name.partition("@")
    if at and short.lower() in catalogue():
        return replace(catalogue()[short.lower()].spec, revision=revision)
    if _HUB_ID.fullmatch(short):
        return _hub(name, kind)
    raise _unknown(name)


def _wheel(rest: str) -> ModelSpec:
    model, _, revision = rest.partition("@")
    entry = catalogue().get(model.lower())
    if entry is None or entry.recipe is None:
        known = [entry.name for entry in catalogue().values() if entry.recipe is not None]
        raise ConfigError(f"no base model called '{model}' comes in a wheel.", hint=did_you_mean(model, known))
    return replace(entry.spec, revision=revision or entry.spec.revision)


def _hub(rest: str, kind: Kind | None) -> ModelSpec:
    model, _, revision = rest.partition("@")
    if not _HUB_ID.fullmatch(model):
        raise ConfigError(
            f"'{model}' is not the id of a hub model.",
            hint="it looks like ORGANISATION/NAME, with @REVISION if wanted.",
        )
    entry = by_hub_id(model)
    if entry is not None:
        return replace(entry.spec, revision=revision or None)
    spec = ModelSpec("hub", model, kind or "lm", revision=revision or None)
    if kind is None:
        from tunesmith.models.layout import kind_of

        folder = local(spec)
        if folder is None:
            raise ConfigError(
                f"whether {model} is an encoder or a language model is not known before it is downloaded.",
                hint="say which: name it where an encoder, or a language model, is asked for.",
            )
        return replace(spec, kind=kind_of(folder))
    return spec


def _folder(rest: str) -> ModelSpec:
    from tunesmith.models.layout import describe

    path, at, revision = rest.rpartition("@")
    if not at or not _SHA256.fullmatch(revision):
        path, revision = rest, ""
    folder = Path(path).expanduser().absolute()
    return replace(describe(folder), source="folder", id=str(folder), revision=revision or None)


def _unknown(name: str) -> ConfigError:
    if "/" in name or "\\" in name or name.startswith((".", "~")):
        return ConfigError(f"there is no folder '{name}', and it is not the id of a hub model (ORGANISATION/NAME).")
    names = list(catalogue())
    guess = nearest(name, names)
    hint = f"Did you mean '{guess}'?" if guess else "see all names with:  tunesmith list models"
    return ConfigError(f"no base model is called '{name}'.", hint=hint)
