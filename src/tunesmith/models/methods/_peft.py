"""What the methods that stand on PEFT share: put on from a seed, take off, write and read the adapter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tunesmith.core.errors import ModelError
from tunesmith.models.methods import Options
from tunesmith.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig, PeftModel
    from torch import nn


class OnPeft:
    """A method whose adapter PEFT builds; what is its own is `config` and, where needed, `dress`."""

    name: str

    def config(self, model: nn.Module, options: Options) -> PeftConfig:
        """PEFT's description of the adapter for this model."""
        raise TypeError(f"{type(self).__name__} does not say its PEFT config")

    def dress(self, model: PeftModel, options: Options | None) -> None:
        """What is changed on the fresh adapter; options is None where it will be filled from a file."""

    def undressed(self, model: PeftModel, config: dict[str, Any]) -> dict[str, Any]:
        """PEFT's config as it must be written for the adapter as it is."""
        return config

    def prepare(self, model: nn.Module) -> nn.Module:
        return model

    def apply(self, model: nn.Module, options: Options, *, seed: int) -> nn.Module:
        import torch
        from peft import get_peft_model

        model = self.prepare(model)
        nowhere = next(model.parameters()).is_meta  # counted only
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            adapted: PeftModel = get_peft_model(
                model, self.config(model, options), autocast_adapter_dtype=True, low_cpu_mem_usage=nowhere
            )
            self.dress(adapted, options)
        for tensor in adapted.parameters():
            if tensor.requires_grad:
                tensor.data = tensor.data.float()
        return cast("nn.Module", adapted)

    def merge(self, model: nn.Module) -> nn.Module:
        merged: nn.Module = cast("PeftModel", model).merge_and_unload()
        return merged

    def save(self, model: nn.Module, folder: Path, *, base: str | None = None) -> None:
        from tunesmith.models.methods import _files

        config = cast("PeftModel", model).peft_config["default"].to_dict()
        config |= {"inference_mode": True}
        config = self.undressed(cast("PeftModel", model), config)
        _files.write(folder, _files.ADAPTER, _adapter(model), name=self.name, base=base, config=config)

    def load(self, model: nn.Module, folder: Path) -> nn.Module:
        return self.filled(self.prepare(model), folder)

    def filled(self, model: nn.Module, folder: Path) -> nn.Module:
        """The adapter of a folder on a base that is already as it must be, frozen."""
        import warnings

        from peft import PeftModel

        from tunesmith.models.methods import _files
        from tunesmith.models.quiet import silent

        stored = _files.read(folder, _files.ADAPTER)
        try:
            with silent(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # PEFT warns about missing tensors; here they are an error, below
                adapted = PeftModel.from_pretrained(model, str(folder), autocast_adapter_dtype=True)
        except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
            raise ModelError(
                f"the adapter in {folder} does not fit this base model: {error}", hint="use the base that it names."
            ) from error
        self.dress(adapted, None)
        _files.same_names(stored, _adapter(adapted), folder)
        adapted.requires_grad_(False)
        adapted.eval()
        return cast("nn.Module", adapted)

    def exchange(self, model: nn.Module, folder: Path) -> None:
        """Put another adapter of the same config in the place of the one that the model has, tensor by tensor.

        In 10 to 30 ms where `load` takes a second to make modules. Raises ModelError, and changes nothing, unless the
        folder has exactly the tensors that are there, or where they are computed from others.
        """
        import torch
        from torch.nn.utils import parametrize

        from tunesmith.models.methods import _files

        stored, held = _files.read(folder, _files.ADAPTER), _adapter(model)
        _files.same_names(stored, held, folder)
        odd = [name for name, tensor in held.items() if tensor.shape != stored[name].shape]
        if odd or any(parametrize.is_parametrized(module) for module in model.modules()):
            raise ModelError(f"the adapter in {folder} is of another form than the one it would replace.")
        with torch.no_grad():
            for name, tensor in held.items():
                tensor.copy_(stored[name])

    def rates(self, model: nn.Module, options: Options) -> Mapping[str, float]:
        return {}

    def memory(self, base: ModelSpec | nn.Module, options: Options) -> int:
        from tunesmith.models.methods._count import training_bytes

        return training_bytes(self.apply, base, options)


def adapter_layers(model: nn.Module, kind: type) -> list[Any]:
    """The PEFT layers of one kind, in the model's order."""
    return [module for module in model.modules() if isinstance(module, kind)]


def linear_layers(model: nn.Module) -> list[str]:
    """The layers that multiply by a matrix, by name; the output head among them."""
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D

    return [name for name, module in model.named_modules() if isinstance(module, Linear | Conv1D)]


def task_type(model: nn.Module) -> str | None:
    """What PEFT calls the task, for its own loaders."""
    return "CAUSAL_LM" if hasattr(model, "lm_head") else None


def _adapter(model: nn.Module) -> dict[str, torch.Tensor]:
    """The adapter's tensors by PEFT's names; a weight computed from others (parametrised) counts as what it is."""
    from peft import get_peft_model_state_dict
    from torch.nn.utils import parametrize

    state = model.state_dict()
    for name, module in model.named_modules():
        if parametrize.is_parametrized(module):
            for attribute in module.parametrizations:
                inner = f"{name}.parametrizations.{attribute}."
                state = {key: value for key, value in state.items() if not key.startswith(inner)}
                state[f"{name}.{attribute}"] = getattr(module, attribute)
    found: dict[str, torch.Tensor] = get_peft_model_state_dict(model, state_dict=state, save_embedding_layers=False)
    return found
