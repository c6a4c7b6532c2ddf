"""Finds the extensions of one kind: one file each in a package, or an entry point of an outside package.

    step = Registry[Step]("step", "tunesmith.data.steps")

    @step("length")            # in tunesmith/data/steps/length.py: the file name is the registered name
    def length(...): ...

Names are listed without importing anything; an extension's file is imported when it is first asked for.
Outside packages register under the entry-point group named like the package (`tunesmith.data.steps`).
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Collection, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Generic, TypeVar

from tunesmith.core.errors import ConfigError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """The extensions of one kind, by name.

    kind:    the noun used in messages ("task", "step").
    package: the importable package whose files are the built-in extensions.
    besides: modules of that package that are not extensions.
    """

    def __init__(self, kind: str, package: str, *, besides: Collection[str] = ()) -> None:
        self.kind = kind
        self.package = package
        self._besides = frozenset(besides)
        self._found: dict[str, T] = {}

    def __call__(self, name: str) -> Callable[[T], T]:
        """Decorator that registers an extension; built-in ones must be named like their file."""

        def register(extension: T) -> T:
            module = getattr(extension, "__module__", "")
            if module.startswith(self.package + "."):
                expected = module.removeprefix(self.package + ".")
                assert expected == name, f"{self.kind} '{name}' must live in {name}.py, not {expected}.py"
            self._found[name] = extension
            return extension

        return register

    def names(self) -> list[str]:
        """All known names, sorted, without importing the extensions."""
        return sorted(set(self._files()) | set(self._points()) | set(self._found))

    def get(self, name: str) -> T:
        """The extension called `name`; raises ConfigError with the nearest name."""
        if name not in self._found:
            if name in self._files():
                importlib.import_module(f"{self.package}.{name}")
            elif name in self._points():
                self._found[name] = self._points()[name].load()
        if name not in self._found:
            raise ConfigError(f"no {self.kind} is called '{name}'.", hint=did_you_mean(name, self.names()))
        return self._found[name]

    def items(self) -> Iterator[tuple[str, T]]:
        """Every (name, extension), imported on the way, in name order."""
        for name in self.names():
            yield name, self.get(name)

    def module(self, name: str) -> str:
        """The importable module that holds the extension, for versioning and `list`."""
        if name in self._files():
            return f"{self.package}.{name}"
        if name in self._points():
            return self._points()[name].module
        return str(getattr(self.get(name), "__module__", ""))

    def _files(self) -> dict[str, Path]:
        spec = importlib.util.find_spec(self.package)
        places = list(spec.submodule_search_locations or []) if spec else []
        return {
            file.stem: file
            for place in places
            for file in Path(place).glob("[!_]*.py")
            if file.stem not in self._besides
        }

    def _points(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self.package)}
