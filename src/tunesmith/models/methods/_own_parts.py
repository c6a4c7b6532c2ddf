"""How a weight of the base is trained in float32 while its layer sees it in the base's dtype."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import nn
from torch.nn.utils import parametrize


class Rounded(nn.Module):
    """Shows a float32 weight in the dtype of the base; after model.float(), as it is."""

    like: torch.Tensor

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__()
        # A buffer follows the model to another dtype; a remembered dtype would not.
        self.register_buffer("like", torch.empty(0, dtype=dtype, device=device), persistent=False)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The weight, in the dtype of the base."""
        return weight.to(self.like.dtype)


def train_these(model: nn.Module, names: Sequence[str]) -> None:
    """Freeze everything but the weights of these names; tied weights stay tied. Random numbers are not needed."""
    model.requires_grad_(False)
    wanted = {id(model.get_parameter(name)) for name in names}
    masters: dict[int, nn.Parameter] = {}
    for module in list(model.modules()):
        for attribute, weight in list(module.named_parameters(recurse=False)):
            if id(weight) not in wanted:
                continue
            if weight.dtype == torch.float32:
                weight.requires_grad_(True)
                continue
            master = masters.setdefault(id(weight), nn.Parameter(weight.detach().float()))
            rounded = Rounded(weight.dtype, weight.device)
            parametrize.register_parametrization(module, attribute, rounded, unsafe=True)  # the dtype changes
            module.parametrizations[attribute].original = master  # type: ignore[index, union-attr]


def plain_again(model: nn.Module) -> None:
    """Put what was learned into the base's own weights, in the base's dtype, frozen."""
    plain: dict[int, nn.Parameter] = {}
    for module, attribute in list(_rounded(model)):
        master = module.parametrizations[attribute].original  # type: ignore[index, union-attr]
        value = getattr(module, attribute).detach().clone()
        parametrize.remove_parametrizations(module, attribute, leave_parametrized=False)
        setattr(module, attribute, plain.setdefault(id(master), nn.Parameter(value)))
    model.requires_grad_(False)


def untie(model: nn.Module) -> None:
    """Give the output head weights of its own where it shares the embedding's, and write that into the config.

    Without the second part, transformers ties them again when the model is saved or read, and the head is lost.
    """
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()  # type: ignore[operator]
    if head.weight is embedding.weight:
        head.weight = nn.Parameter(head.weight.detach().clone(), requires_grad=False)
    for config in (model.config, model.config.get_text_config()):  # type: ignore[union-attr, operator]
        config.tie_word_embeddings = False  # type: ignore[union-attr]
    tied = getattr(model, "all_tied_weights_keys", None)
    if isinstance(tied, dict):
        place = next(name for name, module in model.named_modules() if module is head)
        for key in [key for key in tied if key.startswith(place + ".")]:
            del tied[key]


def _rounded(model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    for module in model.modules():
        if parametrize.is_parametrized(module):
            for attribute, steps in module.parametrizations.items():  # type: ignore[union-attr, operator]
                if any(isinstance(step, Rounded) for step in steps):
                    yield module, attribute
