"""The page of a run, whatever it has come to: the question it asks, its plan, its work, its report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tunesmith.core.errors import ConfigError, RunError, TunesmithError
from tunesmith.costing import answered
from tunesmith.planning import read_plan
from tunesmith.studio import frame, jobs
from tunesmith.studio.pages import live
from tunesmith.studio.progress import Progress
from tunesmith.studio.served import Served, state_of

_EVERY_S = 1.0
_BUDGETS = ("2m", "5m", "10m", "30m", "1h", "3h")


def register(served: Served) -> None:
    """Answer "/runs/NAME"."""
    from nicegui import ui

    def result(name: str) -> None:
        folder = frame.opened(served, name)
        if folder is None:
            return
        progress = Progress(folder / "events.jsonl")
        progress.read()
        state = state_of(folder, progress)
        with frame.page(folder.name, run=folder.name, state=state):
            if state == "done":
                show_report(served, folder)
            else:
                _Under(served, folder, progress, state).show()

    ui.page("/runs/{name}", response_timeout=frame.PATIENCE_S)(result)


def show_report(served: Served, folder: Path) -> None:
    """The finished report in a frame of its own, where no script runs, and what can be done next."""
    title = f"Report of {folder.name}"
    frame.html(frame.written(folder.name, "report.html", title, sandbox="allow-same-origin allow-popups"))
    alone = '<p><a href="{}" target="_blank" rel="noopener">Open the report alone</a></p>'
    frame.html(frame.said(alone, frame.link(folder.name, "report.html")))
    frame.command(
        served.command("show", folder.name), served.command("predict", folder.name, "new.csv"),
        served.command("show", folder.name, "--cost"),
    )  # fmt: skip


class _Under:
    """A run that has no report: follows its events while the page is open, and offers what can be done."""

    def __init__(self, served: Served, folder: Path, progress: Progress, state: str) -> None:
        self.served, self.folder, self.progress, self.state = served, folder, progress, state
        self.opened = time.monotonic()
        self.drawn: dict[str, Any] = {}

    def show(self) -> None:
        from nicegui import ui

        if self.state == "failed" and self.progress.problem is not None:
            message, hint = self.progress.problem
            frame.complaint(RunError(message, hint=hint))
        if self.state == "question":
            self._ask()
        with frame.box("div", "acts"):
            self._acts()
        self.trouble = frame.html(frame.said(""))
        if self.state == "planned":
            frame.html(live.planned(self.folder))
        with frame.box("section", "card", aria_live="polite"):
            self.figures = frame.html(frame.said(""))
            self.stages = frame.html(frame.said(""))
        self.warnings = frame.html(frame.said(""))
        self.scores = frame.html(frame.said(""))
        self.curves = frame.html(frame.said(""))
        if self.state in ("paused", "stopped", "broken off"):
            frame.html(live.planned(self.folder))
        verb = "plan" if self.state == "planned" else "run"
        frame.command(self.served.command(verb, self.folder.name))
        self._draw()
        ui.timer(_EVERY_S, self._look)

    def _look(self) -> None:
        from nicegui import ui

        fresh = self.progress.read()
        state = state_of(self.folder, self.progress)
        if state != self.state:
            ui.navigate.reload()
        elif fresh:
            self._draw()

    def _draw(self) -> None:
        working = self.state == "working"
        self._set(self.figures, live.facts(self.progress, read_plan(self.folder / "plan.yaml"), working=working))
        self._set(self.stages, live.stages(self.progress, working=working))
        self._set(self.warnings, live.told_warnings(self.progress))
        self._set(self.scores, live.scores(self.progress))
        self._set(self.curves, live.curves(self.folder, self.progress))

    @staticmethod
    def _set(element: Any, content: str) -> None:
        if element.content != str(content):
            element.set_content(str(content))

    def _acts(self) -> None:
        if self.state == "working":
            frame.button("Pause", self._ending("paused"), ident="pause")
            frame.button("Stop", self._ending("stopped"), css="danger", ident="stop")
        elif self.state == "planned":
            plan = read_plan(self.folder / "plan.yaml")
            own = _told_budget(plan.budget_s) if plan is not None else "10m"
            self.budget = self._budget(own)
            frame.button("Start", self._going("run", own), css="primary", ident="start")
        elif self.state == "failed":
            frame.button("Try again", self._going("plan"), css="primary", ident="again")
        elif self.state in ("paused", "stopped", "broken off"):
            frame.button("Go on", self._going("run"), css="primary", ident="resume")

    def _budget(self, own: str) -> Any:
        from nicegui import ui

        choices = {text: f"{text} in all" for text in dict.fromkeys((own, *_BUDGETS))}
        return ui.select(choices, value=own, label="Time it may take").props("outlined dense").classes("budget")

    def _going(self, mode: Any, own_budget: str | None = None) -> Callable[[], Awaitable[None]]:
        async def go() -> None:
            options = {}
            if own_budget is not None and self.budget.value != own_budget:
                options["budget"] = self.budget.value
            await self._start(mode, options)

        return go

    async def _start(self, mode: Any, options: dict[str, Any]) -> None:
        from nicegui import ui

        try:
            jobs.start(self.served, self.folder, mode, options=options)
        except TunesmithError as error:
            self._complain(error)
            return
        await asyncio.sleep(0.3)
        ui.navigate.reload()

    def _ending(self, how: Any) -> Callable[[], Awaitable[None]]:
        async def end() -> None:
            self._set(self.trouble, frame.said('<p class="muted">Ending after what is under way…</p>'))
            await jobs.stop(self.folder, how)

        return end

    def _complain(self, error: TunesmithError) -> None:
        words = frame.said('<div class="alarm" role="alert"><p><strong>{}</strong> {}</p></div>', error.message,
                           error.hint or "")  # fmt: skip
        self._set(self.trouble, words)

    def _ask(self) -> None:
        """The one question that a table may leave open, with the choices, likeliest first."""
        asked = self.progress.question or {}
        option, choices = str(asked.get("option")), [str(choice) for choice in asked.get("choices", ())]

        def answering(choice: str) -> Callable[[], Awaitable[None]]:
            async def answer() -> None:
                if option not in ("target", "task", "inputs"):
                    self._complain(ConfigError(f"'{option}' cannot be answered here."))
                    return
                answered(self.folder, option, time.monotonic() - self.opened)
                await self._start("plan", {option: choice})

            return answer

        with frame.box("section", "card question", id="question"):
            frame.text(str(asked.get("question", "")), tag="h2")
            with frame.box("div", "acts"):
                for number, choice in enumerate(choices):
                    frame.button(choice[:80], answering(choice), css="" if number else "primary")


def _told_budget(seconds: float) -> str:
    """As the command line takes it: whole minutes where they are."""
    return f"{seconds / 60:.0f}m" if seconds % 60 == 0 else f"{seconds:.0f}s"
