"""What is in the data of a run and what was wrong with it, in pictures."""

from __future__ import annotations

from tunesmith.studio import frame
from tunesmith.studio.served import Served


def register(served: Served) -> None:
    """Answer "/runs/NAME/data"."""
    from nicegui import ui

    def data(name: str) -> None:
        folder = frame.opened(served, name)
        if folder is None:
            return
        with frame.page("The data", run=folder.name, view="data"):
            if not (folder / "02-curate" / "stage.json").exists():
                frame.text("The data has not been looked at yet.", css="absent")
                return
            frame.html(frame.written(folder.name, "data.html", "Profile of the data"))
            frame.command(served.command("curate", folder.name), served.command("findings", folder.name))

    ui.page("/runs/{name}/data")(data)
