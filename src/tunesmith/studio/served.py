"""The runs that a studio shows: children of one folder, found by name and never by path."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tunesmith.core.errors import RunError
from tunesmith.core.files import read_json
from tunesmith.pipeline import runs_below
from tunesmith.studio.progress import Progress

# What a run's state is called, and the tone of its mark.
STATES = {
    "working": ("working", "calm"), "done": ("finished", "good"), "planned": ("planned", "calm"),
    "question": ("needs an answer", "warn"), "failed": ("stopped by an error", "bad"), "paused": ("paused", "warn"),
    "stopped": ("stopped", "warn"), "broken off": ("broken off", "warn"),
}  # fmt: skip


# Number of the process that the studio started in a run folder; it takes seconds until that holds the lock.
STARTED = ".worker"


@dataclass(frozen=True)
class Served:
    """root: the folder whose children are the runs. shown: how it was named on the command line."""

    root: Path
    shown: str

    @classmethod
    def of(cls, folder: Path) -> Served:
        """Make the folder if it is not there. Raises RunError if it cannot be."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"--runs {folder}: {error.strerror}.", hint="name a folder for runs.") from error
        return cls(folder.resolve(), str(folder))

    def folders(self) -> list[Path]:
        """Run folders, the one in which something happened last first. A link that leads elsewhere is none of them."""
        found = [folder for folder in runs_below(self.root) if folder.resolve() == folder]
        return sorted(found, key=_last_touched, reverse=True)

    def run(self, name: str) -> Path:
        """The folder of a run that is listed under this name; RunError for anything else."""
        for folder in runs_below(self.root):
            if folder.name == name and folder.resolve() == folder:
                return folder
        raise RunError(f"there is no run '{name[:80]}' here.", hint="look at the list of runs.")

    def command(self, verb: str, name: str, *more: str) -> str:
        """The command line that does the same to a run of this studio."""
        return " ".join(["tunesmith", verb, self.shown_path(name), *more])

    def shown_path(self, name: str) -> str:
        """The folder of a run as a command line names it."""
        return shlex.quote(str(Path(self.shown) / name))


@dataclass(frozen=True)
class Glance:
    """What the list says of a run. claim: the verdict's word, of a finished run."""

    name: str
    state: str
    sentence: str
    claim: str | None
    task: str | None
    rows: int | None
    when: float


def glance(folder: Path) -> Glance:
    """A run at a glance, from report.json where it has one and its events where not."""
    progress = Progress(folder / "events.jsonl")
    progress.read()
    state = state_of(folder, progress)
    report: dict[str, Any] = {}
    if state == "done":
        report = _json(folder / "08-evaluate" / "report.json")
    verdict = report.get("verdict") or {}
    return Glance(
        name=folder.name,
        state=state,
        sentence=str(verdict.get("sentence") or progress.words()),
        claim=verdict.get("claim"),
        task=report.get("task") or progress.task,
        rows=(report.get("data") or {}).get("rows") or progress.rows,
        when=_last_touched(folder),
    )


def state_of(folder: Path, progress: Progress) -> str:
    """Which of STATES a run is in. progress: its events, read."""
    if worker(folder) is not None:
        return "working"
    if progress.ended is not None:
        return progress.ended
    if (folder / "report.html").exists() and (folder / "08-evaluate" / "stage.json").exists():
        return "done"
    return "broken off"


def worker(folder: Path) -> psutil.Process | None:
    """The process that works in a run folder: one that has its lock open, or that the studio started there."""
    lock = folder.resolve() / ".lock"
    process = _process(lock)
    try:
        if process is not None and any(opened.path == str(lock) for opened in process.open_files()):
            return process
        process = _process(folder / STARTED)
        if process is not None and process.status() != psutil.STATUS_ZOMBIE:
            words = process.cmdline()  # the number may be another process's by now
            return process if "tunesmith.studio.worker" in words and str(folder) in words else None
    except psutil.Error:
        pass
    return None


def _process(file: Path) -> psutil.Process | None:
    try:
        return psutil.Process(int(file.read_text(encoding="utf-8") or 0))
    except (OSError, ValueError, psutil.Error):
        return None


def _last_touched(folder: Path) -> float:
    events = folder / "events.jsonl"
    return (events if events.exists() else folder).stat().st_mtime


def _json(path: Path) -> dict[str, Any]:
    """A JSON object; {} where it is absent or damaged."""
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
