"""The folder of one pipeline: runs each stage at most once per key, resumes, locks, remembers.

`run.stage(function, *inputs)` hashes what the result depends on. A finished stage with that key is read
back; otherwise the function runs in its folder and `stage.json` is written last, so that its presence
means "finished". What a killed stage left behind under the same key is kept for it to go on from.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import sys
import typing
from collections.abc import Callable, Iterable
from dataclasses import asdict, fields, is_dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from tunesmith.core.checks import Check, require
from tunesmith.core.config import dump_options
from tunesmith.core.context import Context, Limits
from tunesmith.core.errors import RunError
from tunesmith.core.events import EventLog, Listener
from tunesmith.core.files import canonical, read_json, sha256_bytes, sha256_path, stored_bytes, write_json
from tunesmith.core.machine import library_versions
from tunesmith.core.meter import metered

FORMAT = 1
# Fixed for ever, so that folders sort and a skipped stage leaves a gap.
NUMBERS = {
    "ingest": 1, "curate": 2, "label": 3, "synthesize": 4,
    "domain": 12,  # in the order of the work, but younger than the other numbers
    "select": 5, "tune": 6, "train": 7, "evaluate": 8, "explain": 9, "govern": 10, "export": 11,
}  # fmt: skip

T = TypeVar("T")


class Run:
    """One run folder, locked while it is open. Use as a context manager.

    Raises RunError if another process works in the folder or its format is newer than this program.
    """

    def __init__(
        self, folder: Path, *, seed: int = 0, limits: Limits | None = None, listeners: Iterable[Listener] = ()
    ) -> None:
        self.folder = folder
        self.seed = seed
        self.limits = limits or Limits()
        self.checks: list[Check] = []
        self.seconds: dict[str, float] = {}
        self._keys: dict[int, str] = {}
        self._alive: list[object] = []  # keeps artifacts alive so that their id() stays theirs
        self._listeners = list(listeners)
        self._lock: typing.IO[str] | None = None
        self.emit = EventLog(folder / "events.jsonl", self._listeners)

    def __enter__(self) -> Run:
        check_format(self.folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"cannot make the run folder {self.folder}: {error.strerror}.", hint="choose another place with --out."
            ) from error
        self._lock = _lock(self.folder)
        if not (self.folder / "run.json").exists():
            write_json(self.folder / "run.json", {"format": FORMAT, "created": datetime.now(UTC).isoformat()})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            self._lock.close()  # closing releases the lock
            self._lock = None

    def stage(self, function: Callable[..., T], *inputs: Any) -> T:
        """The result of `function(*inputs, ctx)`, from disk if it was already made from equal inputs."""
        name = function.__name__
        folder = self.folder / f"{NUMBERS[name]:02d}-{name}"
        parts = self._key_parts(function, inputs)
        key = sha256_bytes(canonical(parts))[:32]
        kind = typing.get_type_hints(function)["return"]
        done = _finished(folder, key)
        if done is None:
            self._work(function, inputs, folder, key=key, parts=parts)
            done = read_json(folder / "stage.json")
        else:
            self.emit("stage.reused", stage=name, key=key)
        self.checks.extend(Check.from_dict(row) for row in done["checks"])
        self.seconds[name] = done["seconds"]
        # Always the value as read back: what a later command would see is what this one goes on with.
        value: T = kind.load(folder)
        self._keys[id(value)] = key
        self._alive.append(value)
        return value

    def _work(
        self, function: Callable[..., Any], inputs: tuple[Any, ...], folder: Path, *, key: str, parts: dict[str, Any]
    ) -> None:
        name = function.__name__
        working = folder / "working.json"
        if not (working.exists() and read_json(working)["key"] == key):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            write_json(working, {"key": key})
        (folder / "stage.json").unlink(missing_ok=True)
        checks: list[Check] = []

        def record(check: Check) -> None:
            checks.append(check)
            self.emit("check", stage=name, **check.to_dict())
            require(check)

        self.emit("stage.start", stage=name, key=key)
        ctx = Context(folder, self.seed, self.limits, self.emit, record)
        with metered() as meter:
            made = function(*inputs, ctx)
            made.save(folder)
        files = {
            file.relative_to(folder).as_posix(): file.stat().st_size
            for file in sorted(folder.rglob("*"))
            if file.is_file() and file != working
        }
        write_json(
            folder / "stage.json",
            {
                "stage": name,
                "key": key,
                **parts,
                "seconds": round(meter.wall_s, 3),
                "cpu_seconds": round(meter.cpu_s, 3),
                "peak_rss_bytes": meter.peak_rss_bytes,
                "stored_bytes": stored_bytes(folder),
                "files": files,
                "checks": [check.to_dict() for check in checks],
            },
        )
        working.unlink()
        summary = made.summary() if hasattr(made, "summary") else ""
        self.emit("stage.done", stage=name, seconds=round(meter.wall_s, 2), summary=summary)

    def _key_parts(self, function: Callable[..., Any], inputs: tuple[Any, ...]) -> dict[str, Any]:
        options = [value for value in inputs if id(value) not in self._keys]
        uses = getattr(sys.modules[function.__module__], "uses", None)
        extensions = sorted({module for value in options if uses for module in uses(value)})
        return {
            "version": source_version(function.__module__),
            "extensions": {module: source_version(module) for module in extensions},
            "inputs": [self._keys[id(value)] for value in inputs if id(value) in self._keys],
            "options": [keyed(value) for value in options],
            "seed": self.seed,
            # A limit of memory cuts micro-batches, and with them last digits.
            "limits": asdict(self.limits),
            "versions": library_versions(),
        }


def check_format(folder: Path) -> None:
    """Raise RunError if `folder` is not a run folder (or empty) or is of a newer format."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise RunError(f"{folder} is a file, not a run folder.", hint="choose another place with --out.")
    about = folder / "run.json"
    if about.exists():
        form = read_json(about).get("format")
        if form != FORMAT:
            raise RunError(
                f"{folder} was written in run format {form}; this program reads format {FORMAT}.",
                hint="use the version of tunesmith that wrote it, or start a new folder with --out.",
            )
    elif any(not child.name.startswith(".") for child in folder.iterdir()):
        raise RunError(f"{folder} is not empty and not a run folder.", hint="choose an empty or new folder with --out.")


def stage_records(folder: Path) -> dict[str, dict[str, Any]]:
    """The stage.json of every finished stage, by name, in order."""
    found = (folder / f"{number:02d}-{name}" / "stage.json" for name, number in NUMBERS.items())
    return {record["stage"]: record for record in (read_json(path) for path in found if path.exists())}


@cache
def source_version(module: str) -> str:
    """Hash of a module's source and of every tunesmith module that it imports, directly or not.

    Imports inside functions count too. Nobody has to bump a number when code changes.
    """
    found = {name: sha256_bytes(path.read_bytes()) for name, path in sources_of([module]).items()}
    return sha256_bytes(canonical(found))[:16]


def sources_of(modules: Iterable[str]) -> dict[str, Path]:
    """Name to file of these modules and of all of their package that they import, directly or not."""
    seen: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in seen or (found := _module(name)) is None:
            continue
        seen[name], imports = found
        waiting.extend(imports)
    return seen


@cache
def _module(name: str) -> tuple[Path, tuple[str, ...]] | None:
    """A module's file and what it imports of its own package; looked up once, for many modules import the same."""
    path = _module_file(name)
    if path is None:
        return None
    if path.suffix != ".py":
        return path, ()
    return path, tuple(_imports(path.read_bytes(), name, is_package=path.name == "__init__.py"))


def _imports(source: bytes, module: str, *, is_package: bool) -> Iterable[str]:
    root = module.partition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] == root)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")
                above = above[: len(above) - node.level + (1 if is_package else 0)]
                base = ".".join([*above, base] if base else above)
            if base.partition(".")[0] == root:
                yield from (base,) if base != root else ()  # the root's __init__ only lists names
                yield from (f"{base}.{alias.name}" for alias in node.names)


def _module_file(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ModuleNotFoundError, ValueError):
        return None
    return Path(spec.origin) if spec and spec.origin and Path(spec.origin).exists() else None


def keyed(options: Any) -> Any:
    """Options as JSON for a key: files by content and base name, fields that change nothing left out."""
    if not (is_dataclass(options) and not isinstance(options, type)):
        return dump_options(options)
    made = {}
    for spec in fields(options):
        value = getattr(options, spec.name)
        if spec.metadata.get("key") is False:
            continue
        if spec.metadata.get("content"):
            paths = value if isinstance(value, tuple) else (value,)
            made[spec.name] = [None if p is None else _by_content(p) for p in paths]
        else:
            made[spec.name] = keyed(value) if is_dataclass(value) else dump_options(value)
    return made


def _by_content(value: Path | str) -> Any:
    """A file by name and content; a text that is no file (the name of a model) stands for itself."""
    if isinstance(value, str) and not Path(value).exists():
        return value
    return [Path(value).name, sha256_path(Path(value))]


def _finished(folder: Path, key: str) -> dict[str, Any] | None:
    """The record of a finished stage with this key whose files are all there, or None."""
    record = folder / "stage.json"
    if not record.exists():
        return None
    done: dict[str, Any] = read_json(record)
    whole = all(
        (folder / name).exists() and (folder / name).stat().st_size == size for name, size in done["files"].items()
    )
    return done if done["key"] == key and whole else None


def _lock(folder: Path) -> typing.IO[str]:
    handle = (folder / ".lock").open("a+", encoding="utf-8")
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            handle.truncate(0)
            print(os.getpid(), file=handle, flush=True)  # who it is, for whoever wants to follow or stop it
    except OSError as error:
        handle.close()
        raise RunError(
            f"another process is working in {folder}.", hint="wait for it to end, or choose another folder with --out."
        ) from error
    return handle
