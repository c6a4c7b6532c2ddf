"""The page of a run: its report, once there is one."""

from __future__ import annotations

from pathlib import Path

from tunesmith.core.errors import RunError
from tunesmith.studio import frame
from tunesmith.studio.progress import Progress
from tunesmith.studio.served import Served, state_of


def register(served: Served) -> None:
    """Answer "/runs/NAME"."""
    from nicegui import ui

    def result(name: str) -> None:
        try:
            folder = served.run(name)
        except RunError as error:
            with frame.page("No such run"):
                frame.complaint(error)
            return
        progress = Progress(folder / "events.jsonl")
        progress.read()
        state = state_of(folder, progress)
        with frame.page(folder.name, run=folder.name, state=state):
            if (folder / "report.html").exists() and state == "done":
                show_report(served, folder)
            else:
                frame.text(progress.words(), css="absent")

    ui.page("/runs/{name}")(result)


def show_report(served: Served, folder: Path) -> None:
    """The finished report in a frame of its own, where no script runs, and what can be done next."""
    address = frame.link(folder.name, "report.html")
    frame.html(
        frame.said(
            '<iframe class="report" src="{}" sandbox="allow-same-origin allow-popups" title="Report of {}"></iframe>',
            address, folder.name,
        )
    )  # fmt: skip
    frame.html(frame.said('<p><a href="{}" target="_blank" rel="noopener">Open the report alone</a></p>', address))
    frame.command(
        served.command("show", folder.name), served.command("predict", folder.name, "new.csv"),
        served.command("show", folder.name, "--cost"),
    )  # fmt: skip
