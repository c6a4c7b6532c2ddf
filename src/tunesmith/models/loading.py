"""Loads the language model in a folder with the engine that its files are for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from tunesmith.core.context import Limits

if TYPE_CHECKING:
    from tunesmith.models.lm import LanguageModel

# Where an export keeps what CTranslate2's converter wrote, in the folder of the model.
CT2 = "ctranslate2"


def load_lm(folder: Path, limits: Limits, *, adapter: Path | None = None) -> LanguageModel:
    """The language model in a transformers folder, with an adapter where there is one; or what an export holds.

    Raises ModelError as LanguageModel.load does, and MissingExtra without the engine.
    """
    if adapter is None and (folder / CT2).is_dir():
        from tunesmith.models.ct2_lm import Ct2LanguageModel

        return cast("LanguageModel", Ct2LanguageModel.load(folder, limits))
    from tunesmith.models.lm import LanguageModel

    return LanguageModel.load(folder, limits, adapter=adapter)
