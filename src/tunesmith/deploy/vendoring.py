"""Gives an export the sources that it answers with: this package's own, as few as it needs, under another name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

from tunesmith.core.run import sources_of
from tunesmith.deploy.shipped import Shipped
from tunesmith.models.methods import method as methods
from tunesmith.tasks import task as tasks
from tunesmith.training.systems import system as systems

_RUNTIME = "tunesmith.deploy.runtime"
_OWN_NAME = re.compile(r"\btunesmith\.(?=[a-z_])")
_FRONT = '''"""{what}"""

from {name}.deploy.runtime import Answer, Predictor, main

__all__ = ["Answer", "Predictor", "main"]
'''


def roots_of(model: Shipped, more: Iterable[str] = ()) -> list[str]:
    """Modules that answering imports by name at run time, besides what they import themselves."""
    found = [_RUNTIME, systems.module(model.name), tasks.module(model.job.task.name), *more]
    if model.adapter is not None:
        from tunesmith.models.methods import BENEATH, saved_with

        for folder in (model.adapter, model.adapter / BENEATH):
            if folder.is_dir():
                found.append(methods.module(str(getattr(saved_with(folder), "name", "lora"))))
    return found


def vendor(roots: Iterable[str], into: Path, *, what: str) -> None:
    """Write the roots and all that they import to the package folder `into`, named like it."""
    name = into.name
    sources = sources_of(_with_parents(roots))
    sources |= sources_of(_with_parents(sources))
    for module, path in sorted(sources.items()):
        if module == "tunesmith" or path.suffix != ".py":
            continue
        package = path.name == "__init__.py"
        inner = Path(*module.split(".")[1:])
        place = into / inner / "__init__.py" if package else into / inner.with_suffix(".py")
        place.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8")
        place.write_text(_OWN_NAME.sub(f"{name}.", text), encoding="utf-8")
    (into / "__init__.py").write_text(_FRONT.format(what=what, name=name), encoding="utf-8")


def imported_below(folder: Path) -> set[str]:
    """Top-level names of what the Python files below a folder import."""
    return {name for path in folder.rglob("*.py") for name in _imported(path.read_text(encoding="utf-8"))}


def _with_parents(modules: Iterable[str]) -> list[str]:
    """The modules and the packages that they lie in; the root, which only lists names, is written anew."""
    found: dict[str, None] = {}
    for module in modules:
        parts = module.split(".")
        for end in range(2, len(parts) + 1):
            found[".".join(parts[:end])] = None
    return list(found)


def _imported(text: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found
