"""Two finished runs side by side: a paired test on the rows that both tested, what each costs, where they differ."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from tunesmith.comparing import Beside, Differs, compare, costs, guarded, left_out
from tunesmith.core.errors import RunError, TunesmithError
from tunesmith.evaluation import wording
from tunesmith.studio import frame
from tunesmith.studio.served import Served

_LONGEST = 600


def register(served: Served) -> None:
    """Answer "/runs/NAME/compare"."""
    from nicegui import ui

    async def beside(name: str, other: str = "") -> None:
        folder = frame.opened(served, name)
        if folder is None:
            return
        with frame.page("Compare with another run", run=folder.name, view="compare"):
            names = [f.name for f in served.folders() if f.name != folder.name and _finished(f)]
            if not names or not _finished(folder):
                frame.text("It takes two finished runs: tests of both are needed.", css="absent")
                return
            frame.html(_choice(folder.name, names, other))
            if other:
                try:
                    if other not in names:
                        raise RunError(f"there is no finished run '{other[:80]}' here.", hint="choose one of the list.")
                    frame.html(told(await frame.aside(compare, folder, served.run(other))))
                except TunesmithError as error:
                    frame.complaint(error)
            frame.command(served.command("compare", folder.name, served.shown_path(other) if other else "OTHER"))

    ui.page("/runs/{name}/compare", response_timeout=frame.PATIENCE_S)(beside)


def _finished(folder: Path) -> bool:
    return (folder / "08-evaluate" / "stage.json").exists()


def _choice(name: str, names: list[str], chosen: str) -> Markup:
    options = Markup("").join(
        frame.said('<option value="{}"{}>{}</option>', one, Markup(" selected") if one == chosen else "", one)
        for one in names
    )
    return frame.said(
        '<form class="ask" action="{}"><label for="other">The other run</label>'
        '<select id="other" name="other">{}</select><button class="act primary">Compare</button></form>',
        frame.link(name, "compare"), options,
    )  # fmt: skip


def told(beside: Beside) -> Markup:
    """A comparison as HTML."""
    one, two = beside.sides
    same, first, second = beside.agreement
    shares = [(f"{one.run} better", first), ("equally good", same), (f"{two.run} better", second)]
    bars = Markup("").join(
        frame.said(
            '<li><span><bdi>{}</bdi></span><progress max="1" value="{}">{}</progress><span class="num">{}</span></li>',
            words, f"{n / beside.comparison.n:.4f}", f"{n:,}", f"{n:,}",
        )
        for words, n in shares
    )  # fmt: skip
    missing = left_out(beside)
    return frame.said(
        '<section class="card"><p class="lead" id="verdict">{}</p>{}</section>'
        '<section class="card"><h2>On {} both tested</h2><ul class="likely">{}</ul>'
        '<p class="small muted">Paired by {}{}.</p></section>{}',
        beside.sentence, _table(beside), wording.count(beside.comparison.n, "row"), bars, beside.paired_by,
        f"; {missing}" if missing else "", _rows(beside),
    )  # fmt: skip


def _table(beside: Beside) -> Markup:
    metric = beside.metric
    title = wording.metric(metric).title
    own = [wording.score(s.own, metric) + f" ({wording.count(s.own_n, 'row')})" for s in beside.sides]
    rows = [
        ("What ships", *(wording.rung(s.system).title for s in beside.sides)),
        (f"{title} here", *(wording.score(s.score, metric) for s in beside.sides)),
        (f"{title} on its own test", *own),
        *guarded(beside),
        *costs(beside),
    ]
    body = Markup("").join(
        frame.said('<tr><th scope="row">{}</th><td class="n">{}</td><td class="n">{}</td></tr>', *row) for row in rows
    )
    return frame.said(
        '<div class="scroll"><table><thead><tr><th scope="col"></th><th scope="col" class="n">{}</th>'
        '<th scope="col" class="n">{}</th></tr></thead><tbody>{}</tbody></table></div>',
        beside.sides[0].run, beside.sides[1].run, body,
    )  # fmt: skip


def _rows(beside: Beside) -> Markup:
    """The rows on which one answer is better, for reading."""
    names = [side.run for side in beside.sides]
    parts = []
    for better in (0, 1):
        chosen = [row for row in beside.rows if row.better == better]
        if chosen:
            items = Markup("").join(_row(row, names) for row in chosen)
            head = f"Where {names[better]} is better" + (f" (the first {len(chosen)})" if len(chosen) >= 10 else "")
            parts.append(
                frame.said('<section class="card"><h2>{}</h2><ul class="plainlist">{}</ul></section>', head, items)
            )
    return Markup("").join(parts)


def _row(row: Differs, names: list[str]) -> Markup:
    answers = Markup("").join(
        frame.said(
            '<p class="small"><span class="tone-{}">{}</span> <bdi>{}</bdi></p>',
            "good" if at == row.better else "bad", name, (row.answers[at] or "no answer that can be read")[:_LONGEST],
        )
        for at, name in enumerate(names)
    )  # fmt: skip
    return frame.said(
        '<li><a href="{}">row {}</a><div class="quote" dir="auto">{}</div>'
        '<p class="small"><span class="muted">target</span> <bdi>{}</bdi></p>{}</li>',
        frame.link(names[0], f"row?row={row.id}"), row.id, row.text[:_LONGEST], row.target[:_LONGEST], answers,
    )  # fmt: skip
