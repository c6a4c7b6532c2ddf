"""What is in the data of a run and what was wrong with it, in pictures."""

from __future__ import annotations

from tunesmith.core.errors import RunError
from tunesmith.studio import frame
from tunesmith.studio.served import Served


def register(served: Served) -> None:
    """Answer "/runs/NAME/data"."""
    from nicegui import ui

    def data(name: str) -> None:
        try:
            folder = served.run(name)
        except RunError as error:
            with frame.page("No such run"):
                frame.complaint(error)
            return
        with frame.page("The data", run=folder.name, view="data"):
            if not (folder / "02-curate" / "stage.json").exists():
                frame.text("The data has not been looked at yet.", css="absent")
                return
            frame.html(
                frame.said(
                    '<iframe class="report" src="{}" sandbox="allow-same-origin" title="Profile of the data"></iframe>',
                    frame.link(folder.name, "data.html"),
                )
            )
            frame.command(served.command("curate", folder.name), served.command("findings", folder.name))

    ui.page("/runs/{name}/data")(data)
