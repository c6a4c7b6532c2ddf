"""What the events of a run tell so far: stages, rungs, curves, memory, how far the work under way has come."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tunesmith.core.run import NUMBERS

# What each stage does, for people.
STAGES = {
    "ingest": "Read and split the data", "curate": "Look for what is wrong in it",
    "select": "Try systems, from simple to tuned", "tune": "Try other settings", "train": "Train what may ship",
    "evaluate": "Judge on the sealed test",
}  # fmt: skip
# How a worker of the studio says that it ended.
_ENDS = ("planned", "question", "failed", "paused", "stopped")
_MOST_POINTS, _MOST_NOTES = 600, 50


@dataclass(frozen=True)
class Task:
    """Long work under way: `done` of `total` units after `seconds`."""

    what: str
    done: float
    total: float
    seconds: float

    @property
    def share(self) -> float:
        return min(self.done / self.total, 1.0) if self.total else 0.0

    @property
    def left_s(self) -> float | None:
        """What the rest takes at the pace so far; None before anything is done."""
        return self.seconds * (self.total - self.done) / self.done if self.done else None


@dataclass
class Progress:
    """events.jsonl, read as it grows.

    stages: name to "working" or "done". curves: name of a training to its (step, loss or score). memory: (seconds since
    this work began, bytes). ended: how the worker said that it ended; None while it has not. problem: (message, hint)
    of an error. question: what the worker asks before it can go on.
    """

    path: Path
    stages: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    summaries: dict[str, str] = field(default_factory=dict)
    rungs: dict[str, dict[str, Any]] = field(default_factory=dict)
    trials: list[dict[str, Any]] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    checks: dict[str, int] = field(default_factory=dict)
    task_done: Task | None = None
    rows: int | None = None
    task: str | None = None
    began: datetime | None = None
    last: datetime | None = None
    ended: str | None = None
    problem: tuple[str, str] | None = None
    question: dict[str, Any] | None = None
    _at: int = 0

    def read(self) -> bool:
        """Take in what is new; whether anything was. A last line without its end is left for the next time."""
        try:
            with self.path.open("rb") as handle:
                handle.seek(self._at)
                fresh = handle.read()
        except OSError:
            return False
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._at += len(whole)
        for line in whole.split(b"\n"):
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                self._take(event)
        return bool(whole)

    @property
    def stage(self) -> str | None:
        """The stage under way."""
        return next((name for name in NUMBERS if self.stages.get(name) == "working"), None)

    @property
    def elapsed_s(self) -> float:
        """Seconds from the beginning of this work to its last event."""
        return (self.last - self.began).total_seconds() if self.began and self.last else 0.0

    def words(self) -> str:
        """Where a run stands that has no verdict yet."""
        if self.problem is not None:
            return self.problem[0]
        if self.question is not None:
            return str(self.question.get("question", ""))
        if self.stage is not None:
            return f"{STAGES.get(self.stage, self.stage)}."
        done = [name for name in NUMBERS if self.stages.get(name) == "done"]
        return f"Stopped after {done[-1]}." if done else "Nothing was done yet."

    def _take(self, event: Mapping[str, Any]) -> None:
        try:
            self.last = datetime.fromisoformat(str(event.get("t")))
            handle = getattr(self, "_on_" + str(event["event"]).replace(".", "_"), None)
            if handle is not None:
                handle(event)
        except (KeyError, TypeError, ValueError):  # an event of another version
            return

    def _on_worker_start(self, event: Mapping[str, Any]) -> None:
        self._begin()

    def _begin(self) -> None:
        self.began, self.ended, self.problem, self.question = self.last, None, None, None
        self.stages.clear()
        self.notes.clear()
        self.warnings.clear()
        self.checks.clear()
        self.memory.clear()
        self.task_done = None

    def _on_worker_end(self, event: Mapping[str, Any]) -> None:
        how = str(event["how"])
        self.ended = how if how in _ENDS else None
        self.task_done = None
        if how == "failed":
            self.problem = (str(event["message"]), str(event.get("hint") or ""))
        if how == "question":
            self.question = {name: event[name] for name in ("question", "option", "choices")}

    def _on_worker_memory(self, event: Mapping[str, Any]) -> None:
        if len(self.memory) >= _MOST_POINTS:
            del self.memory[::2]  # half as dense, over the whole time
        self.memory.append((self.elapsed_s, float(event["bytes"])))

    def _on_stage_start(self, event: Mapping[str, Any]) -> None:
        name = str(event["stage"])
        if name == "ingest" or self.began is None:
            self._begin()
        order = list(NUMBERS)  # of the work: the numbers themselves are of folders
        for later in list(self.stages):
            if order.index(later) >= order.index(name):
                del self.stages[later]
        self.ended = None
        self.stages[name] = "working"
        if name == "select":
            self.rungs.clear()
        if name == "tune":
            self.trials.clear()

    def _on_stage_done(self, event: Mapping[str, Any]) -> None:
        name = str(event["stage"])
        self.stages[name] = "done"
        self.seconds[name] = float(event["seconds"])
        self.summaries[name] = str(event.get("summary") or "")
        self.task_done = None

    def _on_stage_reused(self, event: Mapping[str, Any]) -> None:
        if event["stage"] == "ingest" and self.ended is None and self.stage is None and not self.memory:
            self._begin()
        self.stages[str(event["stage"])] = "done"

    def _on_progress(self, event: Mapping[str, Any]) -> None:
        self.task_done = Task(str(event["what"]), float(event["done"]), float(event["total"]), float(event["seconds"]))

    def _on_progress_end(self, event: Mapping[str, Any]) -> None:
        self.task_done = None

    def _on_rung(self, event: Mapping[str, Any]) -> None:
        self.rungs[str(event["name"])] = dict(event)

    def _on_trial(self, event: Mapping[str, Any]) -> None:
        self.trials.append(dict(event))

    def _on_ingest_rows(self, event: Mapping[str, Any]) -> None:
        self.rows, self.task = int(event["rows"]), str(event["task"])

    def _on_note(self, event: Mapping[str, Any]) -> None:
        self.notes = [*self.notes, str(event["text"])][-_MOST_NOTES:]

    def _on_warning(self, event: Mapping[str, Any]) -> None:
        self.warnings = [*self.warnings, str(event["text"])][-_MOST_NOTES:]

    def _on_check(self, event: Mapping[str, Any]) -> None:
        said = "passed" if event.get("passed") else "does not apply" if event.get("passed") is None else "failed"
        self.checks[said] = self.checks.get(said, 0) + 1

    def _on_run_done(self, event: Mapping[str, Any]) -> None:
        self.task_done, self.ended = None, None
