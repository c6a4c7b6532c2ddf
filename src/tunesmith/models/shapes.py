"""The shapes of a base model from its config alone: nothing of its weights is needed, or downloaded."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core.errors import ConfigError, ModelError
from tunesmith.models.layout import check_code, read_config
from tunesmith.models.resolve import local, resolve
from tunesmith.models.sources import source

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_COUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([BM])", re.IGNORECASE)


def parameters_named(name: str) -> int | None:
    """The count that a name such as "70B" or "350M" is; None if it is a name of something."""
    found = _COUNT.fullmatch(name.strip())
    return None if found is None else int(float(found[1]) * {"B": 1e9, "M": 1e6}[found[2].upper()])


def config_of(name: str) -> PreTrainedConfig:
    """The config of a language model: a config.json, a folder with one, a name of the catalogue or of the hub.

    Of a hub model that is not cached, config.json alone is downloaded. Raises ConfigError for a name that stands for
    nothing, ModelError for a config that transformers cannot read, SourceUnavailable where the hub does not answer.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return _read(path)
    if path.is_dir():
        check_code(read_config(path), path)
        return _read(path / "config.json")
    spec = resolve(name, "lm")
    folder = local(spec)
    if folder is None:
        there = source.get(spec.source)
        if not hasattr(there, "config"):
            raise ConfigError(
                f"{spec.id} is not on this machine yet.", hint="a run that uses it fetches it; then ask again."
            )
        return _read(there.config(spec))
    return _read(folder / "config.json")


def _read(path: Path) -> PreTrainedConfig:
    from transformers import CONFIG_MAPPING

    try:
        told: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}.", hint="give the config.json of a model.") from error
    kind = told.get("model_type") if isinstance(told, dict) else None
    if kind not in CONFIG_MAPPING:
        raise ModelError(
            f"{path}: transformers knows no model type '{kind}'.", hint="choose a model whose type it knows."
        )
    try:
        made: PreTrainedConfig = CONFIG_MAPPING[kind].from_dict(told)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ModelError(f"{path}: its values make no {kind} model: {error}.") from error
    return made
