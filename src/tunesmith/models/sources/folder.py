"""Base models in a local folder, as transformers' save_pretrained writes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tunesmith.core.errors import ModelError
from tunesmith.core.events import Emit
from tunesmith.models.fingerprint import fingerprint
from tunesmith.models.layout import describe
from tunesmith.models.sources import source
from tunesmith.models.spec import ModelSpec


class Folder:
    """The model that lies in `spec.id`; its revision is the SHA-256 over the folder's files."""

    def search(self, wanted: str) -> list[ModelSpec]:
        """The model at the path `wanted`; a disk is not searched."""
        folder = Path(wanted).expanduser()
        return [self.pin(describe(folder.absolute()))] if wanted and (folder / "config.json").is_file() else []

    def pin(self, spec: ModelSpec) -> ModelSpec:
        """The spec with the hash of what is in the folder; raises ModelError if another one was asked for."""
        folder = Path(spec.id)
        about = describe(folder)
        revision = fingerprint(folder)
        if spec.revision is not None and not revision.startswith(spec.revision):
            raise ModelError(
                f"{folder} has changed: its content is {revision[:12]}, not {spec.revision[:12]}.",
                hint="put the old files back, or name the folder without @revision and run again.",
            )
        if about.kind != spec.kind:
            raise ModelError(f"{folder} holds {_WHAT[about.kind]}; {_WHAT[spec.kind]} is needed.")
        return replace(spec, revision=revision, parameters=about.parameters, context=about.context, chat=about.chat)

    def local(self, spec: ModelSpec) -> Path | None:
        try:
            return self.fetch(spec, _silent)
        except ModelError:
            return None

    def fetch(self, spec: ModelSpec, emit: Emit) -> Path:
        """The folder itself, after every check."""
        return Path(self.pin(spec).id)


source("folder")(Folder())

_WHAT = {"encoder": "an encoder", "lm": "a language model"}


def _silent(event: str, **fields: object) -> None:
    """Hears nothing."""
