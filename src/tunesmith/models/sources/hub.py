"""Base models of the Hugging Face hub, by "organisation/name".

Only safetensors, configs and tokenizer files are downloaded: no pickles and no code can come along. The commit is
pinned; HF_HOME, HF_TOKEN, HF_HUB_OFFLINE and HF_ENDPOINT are honoured, since huggingface_hub does the talking.
Nothing here talks to anybody unless a hub model was named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.core.errors import ModelError, SourceUnavailable
from tunesmith.core.events import Emit
from tunesmith.models import cache
from tunesmith.models.catalogue import specs
from tunesmith.models.layout import PICKLES, TO_SAFETENSORS, describe
from tunesmith.models.quiet import silent
from tunesmith.models.sources import source
from tunesmith.models.spec import ModelSpec

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

_COMMIT = re.compile(r"[0-9a-f]{40}")
# For an answer about a model, not for a download.
_ANSWER_S = 15.0

# What a model is made of, at the top of its repository. Copies for other engines (onnx/, consolidated.safetensors)
# and everything pickled stay where they are.
_WANTED = (
    "config.json",
    "generation_config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "tokenizer*.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.*",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "1_Pooling/config.json",
    "LICENSE*",
    "README.md",
)


class Hub:
    """Models of the hub that huggingface_hub is configured for."""

    def search(self, wanted: str) -> list[ModelSpec]:
        """Those of the catalogue; the hub itself is not asked."""
        return specs("hub", wanted)

    def pin(self, spec: ModelSpec) -> ModelSpec:
        """The spec with its commit: the hub's answer, or the one in the cache where the hub cannot be asked."""
        from huggingface_hub import constants

        if spec.revision is not None and _COMMIT.fullmatch(spec.revision):
            return spec
        if constants.HF_HUB_OFFLINE:
            return self._pin_cached(spec, None)
        try:
            with _explained(spec):
                info = _info(spec)
        except SourceUnavailable as error:
            return self._pin_cached(spec, error)
        size = info.safetensors.total if info.safetensors else 0
        licence = str(info.card_data.get("license") or spec.licence) if info.card_data else spec.licence
        return replace(
            spec,
            revision=info.sha,
            parameters=spec.parameters or size,
            licence=licence if spec.licence == "unknown" else spec.licence,
        )

    def local(self, spec: ModelSpec) -> Path | None:
        """The snapshot in the hub's cache, if it is whole and usable; without a revision, the one that came last."""
        for revision in _cached_revisions(spec):
            path = _snapshot(spec.id, revision)
            if path is not None:
                return path
        return None

    def fetch(self, spec: ModelSpec, emit: Emit) -> Path:
        """The snapshot of the pinned commit. Raises SourceUnavailable, or ModelError if it may not be used."""
        from huggingface_hub import constants, snapshot_download

        spec = self.pin(spec)
        found = self.local(spec)
        if found is None:
            if constants.HF_HUB_OFFLINE:
                raise _away(spec, "HF_HUB_OFFLINE is set")
            with _explained(spec):
                info = _info(spec)
                _refuse_pickles(spec, info)
                emit("source.start", what=spec.id, source="hub")
                with silent(), cache.room_for_writing():
                    path = snapshot_download(spec.id, revision=spec.revision, allow_patterns=list(_WANTED))
            found = Path(path)
            emit("source.done", what=spec.id, path=path)
        about = describe(found)
        if spec.kind == "lm" and about.kind != "lm":
            raise ModelError(f"{spec.id} is an encoder; a language model is needed.")
        return found

    def config(self, spec: ModelSpec) -> Path:
        """config.json alone. Raises SourceUnavailable, or ModelError if the hub has no such model."""
        from huggingface_hub import constants, hf_hub_download

        if constants.HF_HUB_OFFLINE:
            raise _away(spec, "HF_HUB_OFFLINE is set")
        with _explained(spec), silent():
            return Path(hf_hub_download(spec.id, "config.json", revision=spec.revision))

    def _pin_cached(self, spec: ModelSpec, why: SourceUnavailable | None) -> ModelSpec:
        found = self.local(spec)
        if found is None:
            raise why or _away(spec, "HF_HUB_OFFLINE is set")
        return replace(spec, revision=found.name)  # a snapshot's folder is named after its commit


source("hub")(Hub())


def _cached_revisions(spec: ModelSpec) -> list[str]:
    """What to look for in the cache, in order: a pinned download leaves a snapshot there and no branch name."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    if spec.revision not in (None, constants.DEFAULT_REVISION):
        return [str(spec.revision)]
    snapshots = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=spec.id, repo_type="model") / "snapshots"
    folders = [path for path in snapshots.iterdir() if path.is_dir()] if snapshots.is_dir() else []
    return [path.name for path in sorted(folders, key=lambda path: (-path.stat().st_mtime, path.name))]


def _snapshot(model_id: str, revision: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        path = Path(snapshot_download(model_id, revision=revision, local_files_only=True, allow_patterns=list(_WANTED)))
        describe(path)
    except LocalEntryNotFoundError:
        return None
    except ModelError:
        return None  # half a download of another program, or a model that `fetch` will refuse with the reason
    return path


def _info(spec: ModelSpec) -> ModelInfo:
    from huggingface_hub import HfApi

    return HfApi().model_info(spec.id, revision=spec.revision, timeout=_ANSWER_S)


def _refuse_pickles(spec: ModelSpec, info: ModelInfo) -> None:
    """Before anything large is downloaded: are there weights that may be read?"""
    files = [file.rfilename for file in info.siblings or []]
    if any(fnmatch(name, "model*.safetensors") for name in files):
        return
    pickled = [name for name in files if any(fnmatch(name, pattern) for pattern in PICKLES) and "/" not in name]
    if pickled:
        raise ModelError(
            f"{spec.id} has pickled weights only ({pickled[0]}); reading a pickle runs code, so it is refused.",
            hint="look for a revision or a copy with model.safetensors, or, where you trust it, " + TO_SAFETENSORS,
        )
    raise ModelError(
        f"{spec.id} has no model.safetensors.",
        hint="name the repository of the original model rather than one of a conversion (GGUF, ONNX, MLX).",
    )


@contextmanager
def _explained(spec: ModelSpec) -> Iterator[None]:
    """Turns what huggingface_hub raises into errors that say what to do."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise SourceUnavailable(
            f"{spec.id} is given only to those who accepted its licence.",
            hint=f"accept it on the model's page of the hub ({spec.id}), then set HF_TOKEN to a token of that account.",
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"the hub has no model '{spec.id}' (or it is private).",
            hint="check the spelling; a private model needs HF_TOKEN.",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(
            f"{spec.id} has no revision '{spec.revision}'.", hint="give a branch, a tag or a whole commit."
        ) from error
    except _unreachable() as error:
        said = str(error).strip()
        raise _away(spec, said.splitlines()[0] if said else type(error).__name__) from error


def _unreachable() -> tuple[type[Exception], ...]:
    """Everything that huggingface_hub raises when a hub does not answer, or answers with an error."""
    from huggingface_hub import errors

    # HTTPError: of the client that huggingface_hub is built on, whichever that is.
    return (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, errors.HTTPError)


def _away(spec: ModelSpec, why: str) -> SourceUnavailable:
    name = f"{spec.id} --revision {spec.revision}" if spec.revision else spec.id
    return SourceUnavailable(
        f"{spec.id} is not in the cache and the hub cannot be reached: {why}.",
        hint=f"where there is a network, run:  hf download {name}\n"
        "(and copy HF_HOME here), or use a model that needs no hub, such as smollm2-135m-instruct or all-minilm-l6-v2.",
    )
