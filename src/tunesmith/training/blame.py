"""Which layer a number that is not finite came from: the first that is to blame, not the first that suffers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from tunesmith.core.errors import ModelError


class NotFinite(ModelError):
    """A number of the training is not finite. frozen: a weight of the base is to blame, which no step has touched."""

    frozen = False

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuilt, (self.message, self.hint, self.frozen))


def _rebuilt(message: str, hint: str | None, frozen: bool) -> NotFinite:
    made = NotFinite(message, hint=hint)
    made.frozen = frozen
    return made


_HINT = "lower the learning rate, or train with float32 weights (dtype: float32)."


def not_finite(
    what: str, value: float, step: int, model: torch.nn.Module, *, again: Callable[[], object] | None = None
) -> NotFinite:
    """The error that stops a training: what was not finite, at which step, and which layer is the first to blame.

    In this order: a weight that is not finite, trained or frozen; the first layer of a forward pass whose output is
    not (again: the pass, done once more to see); the last layer whose gradient is not, as backward begins there.
    """
    weight = _weight(model)
    if weight is not None:
        name, trained = weight
        if trained:
            return _error(what, value, step, f"the weight {name} is not finite", _HINT)
        fault = "delete the base model from the cache (tunesmith cache --remove), or choose another one."
        error = _error(what, value, step, f"the frozen weight {name} of the base is not finite", fault)
        error.frozen = True
        return error
    layer = None if again is None else _first_output(model, again)
    if layer is not None:
        return _error(what, value, step, f"every weight is finite, the output of {layer} is not", _HINT)
    slope = next((n for n, t in reversed(_trained(model).items()) if t.grad is not None and not _sound(t.grad)), None)
    blame = "every gradient is finite" if slope is None else f"the gradient of {slope} is not finite"
    if again is not None:
        blame += "; so is every layer's output" if slope is None else ", though every layer's output is"
        blame += ": look at the rows and their weights"
    return _error(what, value, step, blame, _HINT)


def sound_weights(weights: Mapping[str, torch.Tensor], step: int) -> None:
    """Raise ModelError, naming step and layer, if a trained weight is not finite."""
    bad = next((name for name, tensor in weights.items() if not _sound(tensor)), None)
    if bad is not None:
        raise _error("update", float("nan"), step, f"the weight {bad} is not finite", _HINT)


def _error(what: str, value: float, step: int, blame: str, hint: str) -> NotFinite:
    return NotFinite(f"training stopped at step {step}: the {what} is {value}; {blame}.", hint=hint)


def _sound(tensor: torch.Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())


def _trained(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    return {name: tensor for name, tensor in model.named_parameters() if tensor.requires_grad}


def _weight(model: torch.nn.Module) -> tuple[str, bool] | None:
    """(name, whether it is trained) of the first weight that is not finite; buffers count as frozen."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_floating_point() and not _sound(tensor):
            return name, tensor.requires_grad
    return None


def _first_output(model: torch.nn.Module, again: Callable[[], object]) -> str | None:
    """The innermost layer that first gave something that is not finite."""
    found: list[str] = []

    def watch(name: str) -> Callable[[Any, Any, Any], None]:
        def look(_module: Any, _given: Any, out: Any) -> None:
            first = out[0] if isinstance(out, tuple) else out
            if not found and isinstance(first, torch.Tensor) and first.is_floating_point() and not _sound(first):
                found.append(name)

        return look

    handles = [module.register_forward_hook(watch(name)) for name, module in model.named_modules() if name]
    try:
        with torch.no_grad():
            again()
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None
