"""The review queue: one finding at a time, by keyboard or by hand; every decision is a line of reviews.jsonl."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tunesmith.core.errors import TunesmithError
from tunesmith.core.findings import Finding
from tunesmith.evaluation.curation_page import marked_change
from tunesmith.feedback import table_of_batch
from tunesmith.studio import frame, jobs
from tunesmith.studio.queue import Item, Queue
from tunesmith.studio.served import Served

_LONGEST = 4_000
_KEYS = frame.said(
    '<p class="small muted keys"><kbd>a</kbd> accept <kbd>r</kbd> reject <kbd>e</kbd> other answer '
    "<kbd>u</kbd> undo <kbd>j</kbd> next <kbd>k</kbd> back</p>"
)
_HELD = {"accept": "accepted", "reject": "rejected", "edit": "corrected"}


def register(served: Served) -> None:
    """Answer "/runs/NAME/review"."""
    from nicegui import ui

    async def review(name: str) -> None:
        folder = frame.opened(served, name)
        if folder is None:
            return
        with frame.page("Review what was found", run=folder.name, view="review"):
            try:
                queue = await frame.aside(Queue.open, folder)
            except TunesmithError as error:
                frame.complaint(error)
                return
            _Desk(served, folder, queue).show()

    ui.page("/runs/{name}/review", response_timeout=frame.PATIENCE_S)(review)


class _Desk:
    """The queue as it is shown in one browser."""

    def __init__(self, served: Served, folder: Path, queue: Queue) -> None:
        self.served, self.folder, self.queue = served, folder, queue

    def show(self) -> None:
        from nicegui import ui

        if not self.queue.items:
            frame.text("Nothing was found in this data.", css="absent")
            return
        self.trouble = frame.html(Markup(""))
        self.count = frame.html(Markup("")).props('role="status"')
        self.card = frame.html(Markup(""), css="card item").props('id="item" aria-live="polite"')
        with frame.box("div", "acts"):
            self.accept = frame.button("Accept", self._doing(lambda: self.queue.decide("accept")), ident="accept")
            self.reject = frame.button("Reject", self._doing(lambda: self.queue.decide("reject")), ident="reject")
            frame.button("Undo", self._doing(self.queue.undo), ident="undo")
            frame.button("Back", self._doing(lambda: self.queue.move(-1)))
            frame.button("Next", self._doing(lambda: self.queue.move(1)))
        with frame.box("div", "acts"):
            self.answer = ui.input("The right answer", autocomplete=list(self.queue.labels)).props(
                'outlined dense for="answer"'
            )
            self.answer.classes("answer").on("keydown.enter", self._doing(self._correct))
            self.save = frame.button("Save this answer", self._doing(self._correct), ident="save")
        frame.html(_KEYS)
        table = table_of_batch(self.folder)
        if table is None:
            with frame.box("div", "acts"):
                frame.button("Apply: run again with these decisions", self._again, css="primary", ident="again")
        else:  # nothing was kept for testing, so it is no run by itself
            words = (
                "These rows were asked of a model. Corrected, they can be learned with the run's own data; they are in "
            )
            frame.html(
                frame.said("<p>{}<code>{}</code>, and the corrections hold wherever they come.</p>", words, str(table))
            )
        frame.command(
            self.served.command("findings", self.folder.name, "--accept ROW"),
            self.served.command("findings", self.folder.name, "--reject ROW"),
            self.served.command("findings", self.folder.name, "--edit ROW=ANSWER"),
            self.served.command("findings", self.folder.name, "--withdraw ROW"),
            self.served.command("run", self.folder.name),
        )
        ui.keyboard(on_key=self._key)
        self._draw()

    def _doing(self, act: Callable[[], Any]) -> Callable[[], None]:
        def do() -> None:
            self.trouble.set_content("")
            try:
                act()
            except TunesmithError as error:
                words = frame.said('<p class="alarm" role="alert">{} {}</p>', error.message, error.hint or "")
                self.trouble.set_content(str(words))
            self._draw()

        return do

    def _correct(self) -> None:
        self.queue.correct(str(self.answer.value or ""))

    def _key(self, event: Any) -> None:
        if not event.action.keydown or event.action.repeat or event.modifiers.ctrl or event.modifiers.meta:
            return
        acts: dict[str, Callable[[], Any]] = {
            "a": lambda: self.queue.decide("accept"), "r": lambda: self.queue.decide("reject"), "u": self.queue.undo,
            "j": lambda: self.queue.move(1), "k": lambda: self.queue.move(-1),
        }  # fmt: skip
        if str(event.key) == "e":
            self.answer.run_method("focus")
        elif str(event.key) in acts:
            self._doing(acts[str(event.key)])()

    async def _again(self) -> None:
        from nicegui import ui

        try:
            jobs.start(self.served, self.folder, "run")
        except TunesmithError as error:
            self.trouble.set_content(str(frame.said('<p class="alarm" role="alert">{} {}</p>', error.message,
                                                    error.hint or "")))  # fmt: skip
            return
        ui.navigate.to(frame.link(self.folder.name))

    def _draw(self) -> None:
        queue = self.queue
        item = queue.item
        told = f"{queue.at + 1:,} of {len(queue.items):,} · " if item else ""
        self.count.set_content(str(frame.said('<p class="muted">{}{} to decide</p>', told, f"{queue.left:,}")))
        if item is None:
            self.card.set_content("<p>Everything was decided on.</p>")
        else:
            self.card.set_content(str(shown(item, queue)))
            self.answer.set_value(item.target or "")
        for control in (self.accept, self.save, self.answer):
            control.set_enabled(item is not None and not item.is_test)
        self.reject.set_enabled(item is not None)


def shown(item: Item, queue: Queue) -> Markup:
    """One finding with its row, as HTML."""
    f = item.finding
    held = queue.decision(item)
    said = frame.said('<span class="pill tone-good">{}</span>', _HELD[held.verdict]) if held is not None else Markup("")
    if f.fix is not None and f.field == "text":
        before, after = marked_change((f.was or item.text)[:_LONGEST], f.fix[:_LONGEST])
        change = frame.said(
            '<div class="quote" dir="auto">{}</div><div class="quote" dir="auto">{}</div>', before, after
        )
    else:
        change = frame.said('<div class="quote" dir="auto">{}</div>', item.text[:_LONGEST])
    target = "sealed until the run is evaluated" if item.is_test and item.target is None else item.target or "none"
    if f.fix is not None and f.field == "target":
        answer = frame.said("<del><bdi>{}</bdi></del> <ins><bdi>{}</bdi></ins>", f.was or target, f.fix)
    else:
        answer = frame.said("<bdi>{}</bdi>", target)
    note = (
        frame.said('<p class="small muted">A test row: nothing in it is changed.</p>') if item.is_test else Markup("")
    )
    return frame.said(
        '<div class="run-head"><h2>{}</h2>{}</div><p>{}</p>{}<p><span class="muted">Answer</span> {}</p>'
        '<p class="small muted">row {}, {} {}</p>{}',
        f.step.replace("_", " ").capitalize(), said, f.reason, change, answer, f.id, item.place,
        "" if item.is_test else f" · accepted, {_effect(f)}", note,
    )  # fmt: skip


def _effect(f: Finding) -> str:
    return "it takes the new one" if f.fix is not None else "the row is left out"
