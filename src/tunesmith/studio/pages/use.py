"""Taking the model out of a finished run: exports, each verified, and a server that answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from markupsafe import Markup

from tunesmith.core.errors import TunesmithError
from tunesmith.studio import frame, leaving
from tunesmith.studio.served import Served

_EVERY_S = 1.0


def register(served: Served) -> None:
    """Answer "/runs/NAME/use"."""
    from nicegui import ui

    async def use(name: str) -> None:
        folder = frame.opened(served, name)
        if folder is None:
            return
        with frame.page("Use the model", run=folder.name, view="use"):
            if not (folder / "08-evaluate" / "stage.json").exists():
                frame.text("There is no model yet: the run has not come to its end.", css="absent")
                return
            _Doors(served, folder).show()

    ui.page("/runs/{name}/use", response_timeout=frame.PATIENCE_S)(use)


class _Doors:
    """The two ways out of a run, as one browser sees them."""

    def __init__(self, served: Served, folder: Path) -> None:
        self.served, self.folder = served, folder

    def show(self) -> None:
        from nicegui import ui

        self.trouble = frame.html(Markup("")).props('role="status"')
        with frame.box("section", "card"):
            frame.text("A server on this machine", tag="h2")
            self.server = frame.html(Markup(""))
            with frame.box("div", "acts"):
                self.start = frame.button("Start the server", self._start, css="primary", ident="serve")
                self.stop = frame.button("Stop it", self._stop, css="danger", ident="unserve")
        with frame.box("section", "card"):
            frame.text("Export", tag="h2")
            self.made = frame.html(Markup(""))
            with frame.box("div", "acts", id="forms") as self.forms:
                frame.text("Looking for what can be had …", css="muted")
        frame.command(
            self.served.command("serve", self.folder.name), self.served.command("export", self.folder.name),
            self.served.command("export", self.folder.name, "--to bundle"),
        )  # fmt: skip
        self._draw()
        ui.timer(_EVERY_S, self._draw)
        ui.timer(0.1, self._offer, once=True)

    async def _offer(self) -> None:
        try:
            found = await leaving.forms(self.folder)
        except TunesmithError as error:
            self._tell(error)
            found = []
        self.forms.clear()
        with self.forms:
            for form in found:
                if form.why_not is None:
                    frame.button(form.to, self._exporting(form.to), ident=f"to-{form.to}")
            cannot = [form for form in found if form.why_not is not None]
            if cannot:
                items = Markup("").join(
                    frame.said("<li><strong>{}</strong>: {}</li>", f.to, f.why_not or "") for f in cannot
                )
                frame.html(frame.said("<details><summary>What cannot be had</summary><ul>{}</ul></details>", items))

    def _exporting(self, to: str) -> Callable[[], Awaitable[None]]:
        async def go() -> None:
            words = frame.said('<p class="callout">Writing {} and answering held rows with it …</p>', to)
            self.trouble.set_content(str(words))
            try:
                await leaving.export(self.folder, to)
                self.trouble.set_content("")
            except TunesmithError as error:
                self._tell(error)
            self._draw()

        return go

    async def _start(self) -> None:
        try:
            leaving.start_server(self.folder)
        except TunesmithError as error:
            self._tell(error)
        await asyncio.sleep(0.2)
        self._draw()

    def _stop(self) -> None:
        leaving.stop_server(self.folder)
        self._draw()

    def _draw(self) -> None:
        up = leaving.serving(self.folder)
        if up is None:
            wrong = leaving.complaint_of(self.folder)
            told = frame.said("<p>{}</p>", wrong or "It answers programs on this machine over HTTP, with a key.")
        elif not up.address:
            told = frame.said("<p>Loading the model …</p>")
        else:
            told = frame.said(
                '<dl class="tree"><dt>Address</dt><dd><code id="address">{}</code></dd><dt>Key</dt>'
                '<dd><code id="key">{}</code></dd></dl>',
                up.address, up.key,
            )  # fmt: skip
        _set(self.server, told)
        self.start.set_enabled(up is None)
        self.stop.set_enabled(up is not None)
        rows = Markup("").join(
            frame.said(
                '<li class="made"><strong>{}</strong> <span class="muted">{}</span></li>', f"11-export/{one.name}",
                f"{one.agreement:.1%} of {one.n} held rows answered alike",
            )
            for one in leaving.exports(self.folder)
        )  # fmt: skip
        _set(self.made, frame.said('<ul class="plainlist">{}</ul>', rows) if rows else Markup("<p>None yet.</p>"))

    def _tell(self, error: TunesmithError) -> None:
        words = frame.said('<p class="alarm" role="alert">{} {}</p>', error.message, error.hint or "")
        self.trouble.set_content(str(words))


def _set(element: object, content: Markup) -> None:
    if getattr(element, "content", None) != str(content):
        element.set_content(str(content))  # type: ignore[attr-defined]
