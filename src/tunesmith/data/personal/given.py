"""Given names of many languages, lower case: a hint that a capitalised word is a person, never a proof."""

from __future__ import annotations

from importlib import resources


def read(name: str) -> str:
    """The text of a list of this package."""
    return resources.files("tunesmith.data.personal").joinpath(name).read_text(encoding="utf-8")


GIVEN = frozenset(read("given.txt").split())
