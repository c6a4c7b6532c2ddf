"""The licences that travel with an export: of the sources in it, and of the base model."""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from tunesmith.core.files import write_text
from tunesmith.deploy.shipped import Shipped
from tunesmith.models.resolve import local
from tunesmith.models.spec import ModelSpec

_NAMES = ("LICENSE", "LICENCE", "NOTICE", "COPYING", "USE_POLICY", "MODEL_LICENSE")


def licence_of(base: ModelSpec) -> str:
    """The base model's licence by its SPDX name, or that it is unknown."""
    return base.licence or "unknown"


def write_notices(model: Shipped, draft: Path) -> None:
    """LICENSE (of the sources) and NOTICE (of everything), and the licence files that came with the base model."""
    ours = _our_licence()
    if ours is not None:
        shutil.copyfile(ours, draft / "LICENSE")
    lines = [
        f"The model of the run {model.run}, made with Tunesmith.",
        "",
        "Sources (the package of this folder, and predict.py): part of Tunesmith, Apache License, Version 2.0.",
    ]
    base = model.base
    if base is not None:
        lines += [
            "",
            f"Base model: {base.uri}",
            f"Licence of the base model: {licence_of(base)}. What is derived from it (adapters, merged and converted "
            "weights) is subject to that licence as well.",
            *([base.note] if base.note else []),
        ]
        folder = local(base)
        found = [] if folder is None else [f for f in sorted(folder.iterdir()) if f.name.upper().startswith(_NAMES)]
        for file in found:
            if file.is_file():
                (draft / "licences").mkdir(exist_ok=True)
                shutil.copyfile(file, draft / "licences" / f"base-{file.name}")
        lines.append("Its licence files are in licences/." if found else "It came without a licence file.")
    lines += ["", "What was learnt comes from the data of the run; its licence is for you to state."]
    write_text(draft / "NOTICE", "\n".join(lines) + "\n")


def _our_licence() -> Path | None:
    """The text of Tunesmith's licence: in its wheel's metadata, or beside its sources."""
    beside = Path(__file__).parents[3] / "LICENSE"
    if beside.is_file():
        return beside
    try:
        files = distribution("tunesmith").files or []
    except PackageNotFoundError:
        return None
    found = [Path(str(file.locate())) for file in files if file.name == "LICENSE"]
    return next((path for path in found if path.is_file()), None)
