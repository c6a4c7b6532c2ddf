"""A language model cut in two: the trunk, its lower layers, which stays as it is, and the top layers, which learn.

    with recording(model, 10) as seen: model(…)   # only the trunk runs; seen.states is what enters the top ten layers
    with entering(model, 10, states): model(…)    # only the top ten layers run, on those states, then norm and head

Inside such a block the model's list of layers is a shorter one of the same layer objects, and its config says so, as
what a family does by a layer's number (the kind of its mask) is read from there. Nothing is copied; afterwards the
model is what it was. In place of the layers that are left out stands one that gives the states, so what a family does
to its embeddings (scaling, positions) has no say in what the top layers see.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from tunesmith.core.errors import ConfigError, ModelError


@dataclass(frozen=True, eq=False)
class Stack:
    """Where a model keeps its layers: `parent`.`attribute`, called `name` in the whole plain model."""

    parent: nn.Module
    attribute: str
    name: str

    @property
    def layers(self) -> nn.ModuleList:
        return cast("nn.ModuleList", getattr(self.parent, self.attribute))


def plain(model: nn.Module) -> nn.Module:
    """The transformers model inside a PEFT wrapper, adapters in its layers; any other model is itself."""
    inner: nn.Module = model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator]
    return inner


def stack_of(model: nn.Module) -> Stack:
    """The decoder's layers. Raises ModelError where there is not exactly one list that must be it."""
    found = []
    for name, parent in plain(model).named_modules():
        count = getattr(getattr(parent, "config", None), "num_hidden_layers", None)
        for attribute, child in parent.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == count:
                found.append(Stack(parent, attribute, f"{name}.{attribute}".lstrip(".")))
    if len(found) != 1:
        raise ModelError(
            f"{type(plain(model)).__name__} does not show which of its parts are its layers.",
            hint="adapt all of it (train.top_layers: auto).",
        )
    return found[0]


def top_of(options: Mapping[str, Any], model: nn.Module) -> int | None:
    """How many layers are adapted, from the top, by the option `top_layers`; None: all, and everything beside them.

    Raises ConfigError unless it is a whole number from 1, ModelError where the model's layers are not known.
    """
    given = options.get("top_layers")
    if given is None or given == "auto":
        return None
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise ConfigError(f"top_layers: expected a whole number of at least 1, or auto; got {given!r}.")
    return given if given < len(stack_of(model).layers) else None


def above(model: nn.Module, names: Sequence[str], *, top: int) -> list[str]:
    """Of the weights called `names`, in the model's order, those of the top layers and of what follows them.

    Tied weights have the name of the embedding, which lies below: a head that shares it is not among them.
    """
    stack = stack_of(model)
    first = len(stack.layers) - top
    numbers = [_number(name, stack.name) for name in names]
    begin = next((at for at, number in enumerate(numbers) if number is not None), len(names))
    return [
        name
        for at, (name, number) in enumerate(zip(names, numbers, strict=True))
        if (at >= begin if number is None else number >= first)
    ]


def in_top(model: nn.Module, names: Sequence[str], *, top: int) -> list[str]:
    """Of these names (of modules or weights), those that lie inside the top layers."""
    stack = stack_of(model)
    first = len(stack.layers) - top
    return [name for name in names if (_number(name, stack.name) or 0) >= first]


def _number(name: str, stack: str) -> int | None:
    head, _, rest = name.partition(stack + ".")
    number = rest.partition(".")[0]
    return int(number) if not head and number.isdigit() else None


class _Given(nn.Module):
    """Stands for the trunk: whatever arrives, it gives these states."""

    def __init__(self, states: torch.Tensor) -> None:
        super().__init__()
        self.states = states  # no buffer: a model that moves or changes its dtype must not touch the cache

    def forward(self, hidden_states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        del hidden_states
        return self.states


class Seen(nn.Module):
    """Stands for the top layers: keeps what would have entered them."""

    states: torch.Tensor

    def forward(self, hidden_states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        """(…, n, hidden) as they are."""
        self.states = hidden_states
        return hidden_states


@contextmanager
def entering(model: nn.Module, top: int, states: torch.Tensor) -> Iterator[None]:
    """Inside the block only the top layers run, on `states` (b, n, hidden), whatever tokens the model is given."""
    stack = stack_of(model)
    layers = list(stack.layers)
    with _instead(stack, [_Given(states), *layers[-top:]], range(len(layers) - top - 1, len(layers))):
        yield


@contextmanager
def recording(model: nn.Module, top: int) -> Iterator[Seen]:
    """Inside the block only the trunk runs, with the final norm and head after it; gives what enters the top layers."""
    stack, seen = stack_of(model), Seen()
    layers = list(stack.layers)
    with _instead(stack, [*layers[:-top], seen], range(len(layers) - top + 1)):
        yield seen


@contextmanager
def _instead(stack: Stack, layers: Sequence[nn.Module], places: range) -> Iterator[None]:
    """The stack with these layers, each under the kind that the layer of that place has."""
    config: Any = stack.parent.config
    before = stack.layers
    count, kinds = config.num_hidden_layers, getattr(config, "layer_types", None)
    try:
        config.num_hidden_layers = len(layers)
        if kinds is not None:
            config.layer_types = [kinds[place] for place in places]
        setattr(stack.parent, stack.attribute, nn.ModuleList(layers))
        yield
    finally:
        setattr(stack.parent, stack.attribute, before)
        config.num_hidden_layers = count
        if kinds is not None:
            config.layer_types = kinds
