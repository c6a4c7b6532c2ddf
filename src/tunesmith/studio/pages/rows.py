"""The story of any row: where it came from, what was changed and why, where it ended, what the models said."""

from __future__ import annotations

from markupsafe import Markup

from tunesmith.core.errors import TunesmithError
from tunesmith.studio import frame
from tunesmith.studio.served import Served
from tunesmith.tracing import Story, trace

_DONE = {"drop": "dropped", "fix": "mended", "flag": "flagged", "keep": "kept"}
_LONGEST = 4_000


def register(served: Served) -> None:
    """Answer "/runs/NAME/row"."""
    from nicegui import ui

    async def row(name: str, row: str = "") -> None:
        folder = frame.opened(served, name)
        if folder is None:
            return
        with frame.page("Any row, from file to answer", run=folder.name, view="row"):
            frame.html(
                frame.said(
                    '<form class="ask" action="{}"><label for="row">Row number, or file:line</label>'
                    '<input id="row" name="row" value="{}" autocomplete="off" required>'
                    '<button class="act primary">Show it</button></form>',
                    frame.link(folder.name, "row"), row,
                )
            )  # fmt: skip
            if row:
                try:
                    frame.html(told(await frame.aside(trace, folder, row.strip())))
                except TunesmithError as error:
                    frame.complaint(error)
            frame.command(served.command("trace", folder.name, row or "ROW"))

    ui.page("/runs/{name}/row", response_timeout=frame.PATIENCE_S)(row)


def told(story: Story) -> Markup:
    """A Story as HTML."""
    parts = [_part(f"Read from {story.where}", _texts(story.read, story.target_read or story.target, story.split))]
    for finding in story.findings:
        change = ""
        if finding.fix is not None:
            change = frame.said(
                '<div class="quote"><del>{}</del><br><ins>{}</ins></div>', finding.was or "", finding.fix[:_LONGEST]
            )
        by = f" ({finding.review} by a reviewer)" if finding.review else ""
        head = f"{finding.step.replace('_', ' ')}: {_DONE[finding.action]}{by}"
        parts.append(_part(head, frame.said("<p>{}</p>{}", finding.reason, change)))
    if story.split == "none":
        parts.append(_part("Took no part", frame.said("<p>It has no text or no target.</p>")))
    elif story.now is None:
        parts.append(_part("Dropped before it was used", Markup()))
    else:
        changed = f"Used in {story.split}" + (f", changed by {', '.join(story.changes)}" if story.changes else "")
        now = _texts(story.now[0], story.now[1], story.split) if story.now[0] != story.read else Markup()
        parts.append(_part(changed, now))
    if story.answers:
        parts.append(_part("What the models said", _answers(story)))
    return frame.said('<div class="card"><ol class="flow">{}</ol></div>', Markup("").join(parts))


def _part(head: str, body: Markup) -> Markup:
    return frame.said("<li><h3>{}</h3>{}</li>", head, body)


def _texts(text: str, target: str | None, split: str) -> Markup:
    answer = target if target is not None else "sealed until the run is evaluated" if split == "test" else "none"
    return frame.said(
        '<div class="quote" dir="auto">{}</div><p class="small"><span class="muted">target</span> <bdi>{}</bdi></p>',
        text[:_LONGEST] + ("…" if len(text) > _LONGEST else ""), answer,
    )  # fmt: skip


def _answers(story: Story) -> Markup:
    rows = Markup("").join(
        frame.said(
            '<tr><th scope="row">{}</th><td><bdi>{}</bdi></td><td class="n">{}</td><td>{}</td></tr>',
            answer.system, (answer.value or "")[:300], "" if answer.confidence is None else f"{answer.confidence:.1%}",
            frame.said('<span class="tone-{}">{}</span>', *(("good", "right") if answer.value == story.target else
                                                            ("bad", "wrong"))),
        )
        for answer in story.answers
    )  # fmt: skip
    return frame.said(
        '<div class="scroll"><table><thead><tr><th scope="col">System</th><th scope="col">Answer</th>'
        '<th scope="col" class="n">Sure</th><th scope="col"></th></tr></thead><tbody>{}</tbody></table></div>', rows
    )  # fmt: skip
