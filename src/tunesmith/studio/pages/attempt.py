"""Trying the model: one text, the answer of what ships beside that of another rung, and what to do if it is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup

from tunesmith.core.errors import ConfigError, TunesmithError
from tunesmith.evaluation import wording
from tunesmith.feedback import keep_wrong, make_batch
from tunesmith.pipeline import SavedRun, open_run
from tunesmith.studio import frame
from tunesmith.studio.answering import Answering, Said
from tunesmith.studio.served import Served
from tunesmith.studio.uploading import UPLOADS

SENT = "asked.jsonl"
_LONGEST = 4_000


@dataclass(frozen=True)
class Asked:
    """What the page needs of a run. systems: those that can answer, what ships first, then the one to compare with."""

    folder: Path
    inputs: tuple[str, ...]
    target: str
    labels: tuple[str, ...]
    systems: tuple[str, ...]

    @classmethod
    def of(cls, folder: Path) -> Asked:
        """Raises RunError if the run is not finished."""
        run = open_run(folder)
        return cls(folder, run.data.inputs, run.data.target, tuple(run.data.labels), systems_of(run))


def systems_of(run: SavedRun) -> tuple[str, ...]:
    """Rungs that can answer: what ships, then what it was compared with, then the others by their score."""
    report = run.report
    ran = [system.name for system in report.systems if system.status != "not run"]
    first = [report.winner, *([report.verdict.against] if report.verdict.against in ran else [])]
    return tuple(dict.fromkeys([*first, *ran]))


def register(served: Served) -> None:
    """Answer "/runs/NAME/try"."""
    from nicegui import app, ui

    answering = Answering()
    app.on_shutdown(answering.close)

    async def attempt(name: str) -> None:
        folder = frame.opened(served, name)
        if folder is None:
            return
        with frame.page("Try the model", run=folder.name, view="try"):
            if not (folder / "08-evaluate" / "stage.json").exists():
                frame.text("There is no model yet: the run has not come to its end.", css="absent")
                return
            try:
                asked = await frame.aside(Asked.of, folder)
            except TunesmithError as error:
                frame.complaint(error)
                return
            _Bench(served, asked, answering).show()

    ui.page("/runs/{name}/try", response_timeout=frame.PATIENCE_S)(attempt)


@dataclass
class _Bench:
    """The page as one browser sees it."""

    served: Served
    asked: Asked
    answering: Answering
    said: Said | None = None
    row: Mapping[str, str] = field(default_factory=dict)

    def show(self) -> None:
        from nicegui import ui

        self.fields = {
            name: ui.textarea(name).props(f'outlined autogrow for="in-{at}"').classes("given")
            for at, name in enumerate(self.asked.inputs)
        }
        others = self.asked.systems[1:]
        with frame.box("div", "acts"):
            self.button = frame.button("Ask", self._ask, css="primary", ident="ask")
            names = {name: wording.rung(name).title for name in others}
            self.other = ui.select(
                {"": "nothing beside it", **names}, value=others[0] if others else "", label="Beside it"
            )
            self.other.props("outlined dense").classes("budget")
        self.trouble = frame.html(Markup("")).props('role="status"')
        self.answers = frame.html(Markup(""), css="pairs").props('id="answers" aria-live="polite"')
        with frame.box("section", "card", id="wrong") as self.wrong:
            frame.text("Is it wrong?", tag="h2")
            frame.text("What is sent goes to a review queue of its own, from which corrected rows can be learned.")
            with frame.box("div", "acts"):
                self.right = ui.input("The right answer, if you know it", autocomplete=list(self.asked.labels))
                self.right.props('outlined dense for="right"').classes("answer")
                self.send = frame.button("Send it to the review queue", self._send, ident="send")
            with frame.box("div", "acts"):
                self.review = frame.button("Review what was sent", self._review, ident="review-sent")
        shown = self.served.shown_path(self.asked.folder.name)
        frame.command(
            self.served.command("predict", self.asked.folder.name, '"TEXT"'),
            self.served.command(
                "predict", self.asked.folder.name, '"TEXT"', "--system", others[0] if others else "NAME"
            ),
            f"tunesmith feedback {shown}/{SENT} {shown} --out BATCH",
        )
        self._draw()

    @property
    def _sent(self) -> Path:
        return self.asked.folder / SENT

    async def _ask(self) -> None:
        self.row = {name: str(given.value or "") for name, given in self.fields.items()}
        if not any(value.strip() for value in self.row.values()):
            self._tell(ConfigError("there is nothing to answer.", hint="write a text."))
            return
        self.said = None
        self.button.set_enabled(False)
        systems = [self.asked.systems[0], *([self.other.value] if self.other.value else [])]
        parts = []
        try:
            for system in systems:
                self._note(f"{wording.rung(system).title} is reading … (the first time the model is loaded)")
                said = await self.answering.ask(self.asked.folder, system, self.row)
                self.said = self.said or said
                parts.append(told(system, said, ships=system == systems[0]))
                self.answers.set_content(str(Markup("").join(parts)))
            self.trouble.set_content("")
        except TunesmithError as error:
            self._tell(error)
        finally:
            self.button.set_enabled(True)
        self._draw()

    def _send(self) -> None:
        if self.said is None:
            return
        right = str(self.right.value or "").strip()
        if right and self.asked.labels and right not in self.asked.labels:
            self._tell(
                ConfigError(f"'{right[:80]}' is none of the labels.", hint=f"they are {_few(self.asked.labels)}.")
            )
            return
        try:
            keep_wrong(
                self._sent, model=self.asked.folder.name, row=self.row, answer=self.said.answer,
                confidence=self.said.confidence, right=right or None,
            )  # fmt: skip
        except TunesmithError as error:
            self._tell(error)
            return
        self.said = None
        self.right.set_value("")
        self._note("It is in the queue.")
        self._draw()

    async def _review(self) -> None:
        from nicegui import ui

        self._note("Making a batch of what was sent …")
        try:
            folder = await frame.aside(batch_of, self.served, self.asked.folder)
        except TunesmithError as error:
            self._tell(error)
            return
        ui.navigate.to(frame.link(folder.name, "review"))

    def _draw(self) -> None:
        self.send.set_enabled(self.said is not None)
        self.right.set_enabled(self.said is not None)
        self.review.set_enabled(self._sent.exists())

    def _note(self, words: str) -> None:
        self.trouble.set_content(str(frame.said('<p class="muted">{}</p>', words)))

    def _tell(self, error: TunesmithError) -> None:
        words = frame.said('<p class="alarm" role="alert">{} {}</p>', error.message, error.hint or "")
        self.trouble.set_content(str(words))


def told(system: str, said: Said, *, ships: bool) -> Markup:
    """One answer as HTML."""
    words = wording.rung(system)
    role = frame.said('<span class="pill tone-good">ships</span>') if ships else Markup("")
    sure = "" if said.confidence is None else frame.said("<p>{} sure</p>", wording.percent(said.confidence))
    bars = Markup("").join(
        frame.said(
            '<li><span><bdi>{}</bdi></span><progress max="1" value="{}">{}</progress>'
            '<span class="num">{}</span></li>',
            label[:120], f"{p:.4f}", f"{p:.0%}", f"{p:.1%}",
        )
        for label, p in said.others
    )  # fmt: skip
    held = ""
    if said.accepted is not None:
        tone, mark = ("good", "may go out") if said.accepted else ("warn", f"to a person: {said.why_not}")
        held = frame.said('<p><span class="pill tone-{}">{}</span></p>', tone, mark)
    return frame.said(
        '<section class="card answered"><div class="run-head"><h2>{}</h2>{}</div><div class="quote" dir="auto">{}</div>'
        '{}{}<ul class="likely">{}</ul><p class="small muted">{}{}</p></section>',
        words.title, role, said.told[:_LONGEST] or "no answer that can be read", sure, held, bars, system,
        "" if said.seconds is None else f" · {wording.duration(said.seconds)}",
    )  # fmt: skip


def batch_of(served: Served, folder: Path) -> Path:
    """A new run in the studio with what was sent of a run, ready to be reviewed. Raises DataError if nothing was."""
    number = 1
    while (served.root / f"{folder.name}-asked-{number}").exists():
        number += 1
    name = f"{folder.name}-asked-{number}"
    out = served.root / UPLOADS / name
    return make_batch(folder / SENT, folder, out=out, review=served.root / name, model=folder.name).curated.folder


def _few(labels: tuple[str, ...]) -> str:
    return ", ".join(labels[:12]) + (" …" if len(labels) > 12 else "")
