"""What works on this machine, and what there is to choose from."""

from __future__ import annotations

import importlib.util
import inspect
import shutil
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from tunesmith.core.errors import ConfigError, did_you_mean
from tunesmith.core.machine import describe, free_cores, library_versions, memory_bytes, usable_cores
from tunesmith.core.places import cache_root

_LEAST_DISK_BYTES = 2 * 10**9
_LEAST_MEMORY_BYTES = 2 * 10**9


# What each extra is for, and what it brings.
_EXTRAS = {
    "ingest (pdf, docx)": ("pypdf", "docx"),
    "answer (questions over documents)": ("bm25s",),
    "code (SQL by its normal form)": ("sqlglot",),
    "structured (JSON from language models)": ("llguidance",),
    "tune (settings by what earlier trials taught)": ("optuna",),
    "ray (trials side by side on a cluster)": ("ray",),
}


def examine() -> list[dict[str, Any]]:
    """One row per thing looked at: what, found, ok, needed, remedy."""
    rows = [_row("cpu", f"{describe()['cpu']}, {usable_cores()} cores, {free_cores()} free now", ok=True)]
    total, free = memory_bytes()
    rows.append(
        _row(
            "memory",
            f"{total / 1e9:.1f} GB, {free / 1e9:.1f} free",
            ok=free >= _LEAST_MEMORY_BYTES,
            remedy="close other programs: a language model needs about 2 GB",
        )
    )
    root = cache_root()
    place = next(parent for parent in (root, *root.parents) if parent.exists())
    disk = shutil.disk_usage(place).free
    rows.append(
        _row(
            "disk for base models",
            f"{disk / 1e9:.1f} GB free at {root}",
            ok=disk >= _LEAST_DISK_BYTES,
            remedy="free some space, or set TUNESMITH_CACHE to a larger disk",
        )
    )
    for name, found in library_versions().items():
        rows.append(_row(name, found, ok=found != "absent", remedy=f"pip install {name}", needed=True))
    rows += [_torch(), _torchvision(), _models()]
    for extra, modules in _EXTRAS.items():
        missing = [m for m in modules if importlib.util.find_spec(m) is None]
        name = extra.partition(" ")[0]
        rows.append(
            _row(
                f"extra {extra}",
                "missing: " + ", ".join(missing) if missing else "installed",
                ok=not missing,
                remedy=f'pip install "tunesmith[{name}]"',
            )
        )
    return rows


def listing(what: str) -> list[dict[str, Any]]:
    """Rows of name and one sentence about it."""
    kinds: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "models": _list_models,
        "methods": lambda: _list_registry("tunesmith.models.methods", "method"),
        "tasks": lambda: _list_registry("tunesmith.tasks", "task"),
        "steps": lambda: _list_registry("tunesmith.data.steps", "step"),
        "systems": lambda: _list_registry("tunesmith.training.systems", "system"),
        "readers": lambda: _list_registry("tunesmith.data.readers", "reader"),
        "sources": lambda: _list_registry("tunesmith.models.sources", "source"),
        "exporters": lambda: _list_registry("tunesmith.deploy.exporters", "exporter"),
    }
    if what not in kinds:
        raise ConfigError(f"list {what}: no such kind.", hint=did_you_mean(what, kinds))
    return kinds[what]()


def _list_registry(package: str, attribute: str) -> list[dict[str, Any]]:
    registry = getattr(importlib.import_module(package), attribute)
    return [{"name": name, "about": _first_sentence(found)} for name, found in registry.items()]


def _list_models() -> list[dict[str, Any]]:
    from tunesmith.models.catalogue import catalogue
    from tunesmith.models.resolve import local

    rows = []
    for name, entry in catalogue().items():
        spec = entry.spec
        size = f"{spec.parameters / 1e6:,.0f} M" if spec.parameters else "?"
        here = "here" if local(spec) is not None else spec.source
        tongues = " ".join(spec.languages[:6]) + (" …" if len(spec.languages) > 6 else "")
        facts = asdict(spec)
        facts["uri"] = spec.uri
        about = f"{spec.kind:<8} {size:>9}  {spec.licence:<14} {here:<7} {tongues}"
        rows.append({"name": name, "about": about, "gated": entry.gated, **facts})
    return rows


def _first_sentence(found: object) -> str:
    text = inspect.getdoc(found) or inspect.getdoc(type(found)) or ""
    return text.partition("\n")[0]


def _row(what: str, found: str, *, ok: bool, remedy: str = "", needed: bool = False) -> dict[str, Any]:
    return {"what": what, "found": found, "ok": ok, "needed": needed, "remedy": remedy}


def _torch() -> dict[str, Any]:
    import torch

    devices = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
    return _row("torch devices", ", ".join(devices), ok=True)


def _torchvision() -> dict[str, Any]:
    """A torchvision built for another torch stops every transformers import; absent is best."""
    there = importlib.util.find_spec("torchvision") is not None
    return _row(
        "torchvision",
        "installed" if there else "absent, as it should be",
        ok=not there,
        remedy="pip uninstall torchvision: built for another torch, it breaks transformers",
    )


def _models() -> dict[str, Any]:
    from tunesmith.models.resolve import local, resolve
    from tunesmith.planning import DEFAULT_ENCODER, DEFAULT_LM

    missing = [name for name in (DEFAULT_ENCODER, DEFAULT_LM) if local(resolve(name)) is None]
    found = "not fetched yet: " + ", ".join(missing) if missing else "here"
    return _row("default base models", found, ok=not missing, remedy="the first run fetches them (about 180 MB)")
