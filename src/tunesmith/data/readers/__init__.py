"""What files can be read: one reader a file, chosen by suffix, then by what the file really holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from tunesmith.core.registry import Registry
from tunesmith.data.table import Table


@dataclass(frozen=True)
class Reading:
    """What the user said about how to read; None means: find out.

    delimiter: one character between cells (csv). encoding: any that Python knows. sheet: name of an xlsx sheet.
    nested: keep objects and lists in a column whole, as JSON, instead of making columns of what is in them.
    """

    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    nested: bool = False


class Reader(Protocol):
    """Reads one kind of file.

    suffixes: with the dot, lower case. Raises DataError (file, row, column, remedy) for anything it cannot use.
    """

    suffixes: tuple[str, ...]

    def __call__(self, path: Path, how: Reading) -> Table: ...


def suffixes(*endings: str) -> Callable[[Callable[[Path, Reading], Table]], Reader]:
    """Decorator: the file endings a reader is for."""

    def mark(read: Callable[[Path, Reading], Table]) -> Reader:
        marked = cast(Reader, read)
        marked.suffixes = endings
        return marked

    return mark


reader: Registry[Reader] = Registry("reader", __name__)
