"""Curation steps, one file each: what is noticed about Examples, and what should be done about it."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping
from typing import Any, Protocol

from tunesmith.core.config import convert
from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import ConfigError, DataError, did_you_mean
from tunesmith.core.findings import Finding
from tunesmith.core.registry import Registry


class Step(Protocol):
    """Looks at a Dataset and returns Findings; changes nothing itself.

    Test rows are seen without their targets and may be flagged or fixed (text only), never dropped.
    Options are keyword-only with defaults. Raises CannotRun where it has nothing to work on.
    """

    def __call__(self, data: Dataset, **options: Any) -> list[Finding]: ...


class CannotRun(DataError):
    """A step lacks what it needs (labels, a second class, a model); *curate* says so and goes on without it."""


step: Registry[Step] = Registry("step", __name__)


def step_options(name: str, given: Mapping[str, Any] | None, *, where: str) -> dict[str, Any]:
    """The options given to a step, checked against its keyword-only parameters.

    Raises ConfigError with the nearest name for an unknown step or option, and for a value of the wrong kind.
    """
    function = step.get(name)
    known = {n: p for n, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY}
    try:
        hints = typing.get_type_hints(function)
    except NameError:  # a hint that only type checkers can see: its values are taken as they are
        hints = {}
    checked: dict[str, Any] = {}
    for key, value in (given or {}).items():
        option = str(key).replace("-", "_")
        if option not in known:
            hint = did_you_mean(option, known) or (None if known else f"the step {name} takes no options.")
            raise ConfigError(f"{where}.{key}: no such option.", hint=hint)
        checked[option] = convert(value, hints.get(option, Any), where=f"{where}.{option}")
    return checked
