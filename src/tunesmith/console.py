"""Shows a run on a terminal while it happens: a bar per long task on stderr, a line per stage on stdout."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from tunesmith.core.run import NUMBERS

# Tasks that end sooner than this never get a bar.
_QUIET_S = 1.0


class Follower:
    """A listener for EventLog; use as a context manager. quiet: no stage lines (for --json)."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.out = Console(file=sys.stderr if quiet else sys.stdout, highlight=False, soft_wrap=True)
        self.err = Console(stderr=True, highlight=False)
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeRemainingColumn(), console=self.err, transient=True, disable=not self.err.is_terminal,
        )  # fmt: skip
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Follower:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, event: dict[str, Any]) -> None:
        handler = getattr(self, "_" + event["event"].replace(".", "_"), None)
        if handler is not None:
            handler(event)

    def _progress(self, event: dict[str, Any]) -> None:
        what = event["what"]
        if what not in self._tasks:
            if event["seconds"] < _QUIET_S:
                return
            self._tasks[what] = self._bars.add_task(what, total=event["total"])
        self._bars.update(self._tasks[what], completed=event["done"], total=event["total"])

    def _progress_end(self, event: dict[str, Any]) -> None:
        if event["what"] in self._tasks:
            self._bars.remove_task(self._tasks.pop(event["what"]))

    def _note(self, event: dict[str, Any]) -> None:
        self.err.print(f"   {event['text']} …", style="dim")

    def _warning(self, event: dict[str, Any]) -> None:
        self.err.print(f"   note: {event['text']}", markup=False)

    def _stage_done(self, event: dict[str, Any]) -> None:
        name = event["stage"]
        self.out.print(f"{NUMBERS[name]:02d} {name:<10} {event.get('summary', ''):<60} {_told(event['seconds'])}")

    def _stage_reused(self, event: dict[str, Any]) -> None:
        name = event["stage"]
        self.out.print(f"{NUMBERS[name]:02d} {name:<10} {'unchanged, not done again':<60}", style="dim")

    def _rung(self, event: dict[str, Any]) -> None:
        score = "not run" if event["dev"] is None else f"{event['dev']:.4f} on dev"
        seconds = "" if event.get("seconds") is None else _told(event["seconds"])
        self.out.print(f"   {event['name']:<12} {score:<16} {event['why']:<52} {seconds}")

    def _trial(self, event: dict[str, Any]) -> None:
        score = event["state"] if event["score"] is None else f"{event['score']:.4f} on dev"
        point = ", ".join(f"{name} {_short(value)}" for name, value in event["point"].items())
        seconds = "" if event["seconds"] is None else _told(event["seconds"])
        self.out.print(f"   {event['number']:>3} {event['role']:<8} {score:<16} {point}   {seconds}", markup=False)

    def _decision(self, event: dict[str, Any]) -> None:
        self.out.print(f"   decided: {event['what']} = {event['choice']} ({event['why']})")

    def _run_done(self, event: dict[str, Any]) -> None:
        self.out.print(f"\nreport: {Path(event['report'])}   {_told(event['seconds'])} in all")


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)[:40]


def _told(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
