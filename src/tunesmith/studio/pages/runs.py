"""The first page: every run in the folder, the latest first."""

from __future__ import annotations

from markupsafe import Markup

from tunesmith.evaluation import wording
from tunesmith.studio import frame
from tunesmith.studio.served import Glance, Served, glance

_MOST = 200
# studio.js sends the file in pieces as it is read, and goes to the run's page.
_NEW = frame.said(
    '<section class="card drop" aria-labelledby="new-h"><h2 id="new-h">A new run</h2>'
    "<p>Bring a table: csv, tsv, json, jsonl, parquet, xlsx, or a zip of them. It stays on this machine.</p>"
    '<div class="acts"><label class="act primary" for="file">Choose a file</label>'
    '<input class="hidden" type="file" id="file" data-upload="/uploads">'
    '<span class="muted">or drop it here</span></div>'
    '<p role="status" data-told></p></section>'
)


def register(served: Served) -> None:
    """Answer "/"."""
    from nicegui import ui

    async def runs() -> None:
        folders = served.folders()
        seen = await frame.aside(lambda: [glance(folder) for folder in folders[:_MOST]])
        with frame.page("Runs"):
            frame.html(_NEW)
            if not seen:
                frame.text(f"No runs in {served.shown} yet.", css="absent")
            else:
                frame.html(listed(seen), tag="ul", css="runs")
            if len(folders) > len(seen):
                frame.text(f"and {len(folders) - len(seen):,} older ones.", css="muted")
            frame.command(f"tunesmith runs {served.shown}")

    ui.page("/", response_timeout=frame.PATIENCE_S)(runs)


def listed(seen: list[Glance]) -> Markup:
    """One entry per run, as HTML."""
    return Markup("").join(_entry(one) for one in seen)


def _entry(one: Glance) -> Markup:
    facts = [one.task, f"{wording.count(one.rows, 'row')}" if one.rows else "", frame.when(one.when)]
    told = " · ".join(fact for fact in facts if fact)
    return frame.said(
        '<li class="card run"><div class="run-head"><h2><a href="{}">{}</a></h2>{}</div><p>{}</p>'
        '<p class="small muted">{}</p></li>',
        frame.link(one.name), one.name, frame.pill(one.state), one.sentence, told,
    )  # fmt: skip
