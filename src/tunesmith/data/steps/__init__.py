"""Curation steps, one file each: what is noticed about Examples, and what should be done about it."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

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


F = TypeVar("F", bound=Callable[..., list[Finding]])
# Called with a function and the parts of a table; gives the results in the order of the parts. `map` is one.
Mapper = Callable[[Callable[[Dataset], list[Finding]], Iterable[Dataset]], Iterable[list[Finding]]]


def row_wise(function: F) -> F:
    """Declares that a step judges every row by that row alone: parts of a table give the findings of the whole.

    Such a step is given large tables in parts, and an engine may be given the parts (`findings_of`).
    """
    function.__dict__["row_wise"] = True
    return function


def is_row_wise(name: str) -> bool:
    """Whether the step declares that it judges every row by itself."""
    return bool(getattr(step.get(name), "row_wise", False))


def parts_of(data: Dataset, rows: int) -> Iterator[Dataset]:
    """The Dataset in parts of at most so many rows, in order; nothing is copied."""
    for start in range(0, data.table.num_rows, rows):
        yield data.with_table(data.table.slice(start, rows))


def findings_of(
    name: str,
    data: Dataset,
    options: Mapping[str, Any] | None = None,
    *,
    part_rows: int = 50_000,
    mapper: Mapper = map,
) -> list[Finding]:
    """What a step finds; a row-wise one looks at parts of `part_rows` rows.

    mapper: runs the parts, in this process (`map`) or wherever it sends them (`pool.map` of an engine); part and result
    can be pickled. A row without a text is shown with an empty one. Raises what the step raises.
    """
    look = _Look(name, dict(options or {}))
    data = _with_texts(data)
    if not is_row_wise(name) or data.table.num_rows <= part_rows:
        return look(data)
    return [finding for found in mapper(look, parts_of(data, part_rows)) for finding in found]


def _with_texts(data: Dataset) -> Dataset:
    """The Dataset with an empty text where there is none, so that no step needs to ask."""
    texts = data.table["text"]
    if texts.null_count == 0:
        return data
    return data.with_table(data.table.set_column(data.table.column_names.index("text"), "text", texts.fill_null("")))


@dataclass(frozen=True)
class _Look:
    """A step with its options, as something that can be sent to another process."""

    name: str
    options: dict[str, Any]

    def __call__(self, data: Dataset) -> list[Finding]:
        return step.get(self.name)(data, **self.options)


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
