"""What every page of the studio has: its head, the way around, and pieces that look alike everywhere."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from markupsafe import Markup

from tunesmith.core.errors import RunError, TunesmithError
from tunesmith.evaluation.drawing import clean
from tunesmith.studio.served import STATES, Served

if TYPE_CHECKING:
    from nicegui.element import Element

_LOG = logging.getLogger(__name__)
Click = Callable[[], Awaitable[None] | None]
_MARK = Markup(
    '<svg viewBox="0 0 24 24" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="2.4" '
    'stroke-linecap="round"><path d="M4 19V9M10 19V5M16 19v-7M22 19v-4"/></svg>'
)
_VIEWS = (
    ("", "Run"), ("data", "Data"), ("review", "Review"), ("row", "Any row"), ("try", "Try it"), ("compare", "Compare"),
    ("use", "Use it"),
)  # fmt: skip
# Seconds that a page may take to read what it shows: the first to need them loads the libraries that read tables.
PATIENCE_S = 120.0

T = TypeVar("T")


async def aside(function: Callable[..., T], *given: Any) -> T:
    """What a function that reads files gives, while other pages go on being answered.

    Raises what it raises, and RunError where a run's files are not what this version reads.
    """
    from nicegui import run

    try:
        made: T = await run.io_bound(function, *given)
        return made
    except (KeyError, ValueError, TypeError, OSError) as error:
        _LOG.warning("a run could not be read: %s", type(error).__name__, exc_info=error)
        raise RunError(
            "this run's files cannot be read by this version of Tunesmith.",
            hint="run it again in a new folder; the window of the studio tells more.",
        ) from error


def said(template: str, *values: object, **named: object) -> Markup:
    """HTML from a template of ours; every value is cleaned and escaped."""
    return Markup(template).format(*map(_clean, values), **{k: _clean(v) for k, v in named.items()})


def _clean(value: object) -> object:
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def html(content: Markup, *, tag: str = "div", css: str = "") -> Any:
    """An element with HTML of ours. Takes Markup only, so that a plain text cannot be mistaken for it."""
    from nicegui import ui

    made = ui.html(str(Markup(content)), sanitize=False, tag=tag)
    return made.classes(css) if css else made


def text(words: str, *, tag: str = "p", css: str = "") -> Any:
    """An element with plain words."""
    return html(said("{}", words), tag=tag, css=css)


def button(words: str, on_click: Click, *, css: str = "", ident: str = "") -> Any:
    """A button. css: "primary" for the one that goes on."""
    from nicegui import ui

    made = ui.button(words, on_click=on_click, color=None).props("unelevated no-caps no-wrap").classes(f"act {css}")
    return made.props(f'id="{ident}"') if ident else made


@contextmanager
def box(tag: str = "div", css: str = "", **attributes: str) -> Iterator[Element]:
    """A plain HTML element around what is made inside."""
    from nicegui import ui

    made = ui.element(tag).classes(css)
    for name, value in attributes.items():
        made.props[name.replace("_", "-")] = value
    with made:
        yield made


@contextmanager
def page(title: str, *, run: str | None = None, view: str = "", state: str | None = None) -> Iterator[None]:
    """The frame of a page. run: of which run it is; then its views are offered, `view` being this one."""
    from nicegui import ui

    ui.page_title(clean(f"{title} · Tunesmith"))
    ui.add_head_html('<link rel="stylesheet" href="/assets/studio.css"><script src="/assets/studio.js" defer></script>')
    html(said('<a class="skip" href="#content">Skip to the content</a>'))
    with box("header", "masthead studio-head"):
        html(said('<a class="brand" href="/">{}Tunesmith</a>', _MARK))
        crumbs = said('<a href="/">Runs</a>')
        if run is not None:
            crumbs += said(' <span aria-hidden="true">/</span> <a href="{}">{}</a>', link(run), run)
        html(crumbs, tag="nav", css="crumbs").props('aria-label="Where you are"')
    with box("div", "studio", id="content"):
        with box("div", "title-row"):
            text(title, tag="h1")
            if state is not None:
                html(pill(state))
        if run is not None:
            html(_tabs(run, view), tag="nav", css="tabs").props('aria-label="Views of this run"')
        yield


def opened(served: Served, name: str) -> Path | None:
    """The folder of a run; None, and a page that says so, where there is no such run."""
    try:
        return served.run(name)
    except RunError as error:
        with page("No such run"):
            complaint(error)
        return None


def link(run: str, view: str = "") -> str:
    """The address of a view of a run."""
    return f"/runs/{quote(run, safe='')}" + (f"/{view}" if view else "")


def _tabs(run: str, view: str) -> Markup:
    made = [
        said('<a href="{}"{}>{}</a>', link(run, name), Markup(' aria-current="page"' if name == view else ""), words)
        for name, words in _VIEWS
    ]
    return Markup("").join(made)


def pill(state: str) -> Markup:
    """The mark of a run's state: words, and a colour beside them."""
    words, tone = STATES[state]
    return said('<span class="pill tone-{}">{}</span>', tone, words)


def command(*lines: str) -> None:
    """The command line that does what the page does."""
    words = Markup("\n").join(said("{}", line) for line in lines)
    html(said('<details class="cli"><summary>On the command line</summary><pre><code>{}</code></pre></details>', words))


def written(run: str, file: str, title: str, *, sandbox: str = "allow-same-origin") -> Markup:
    """A page that a run wrote, in a frame of its own, where no script runs."""
    return said(
        '<iframe class="report" src="{}" sandbox="{}" title="{}"></iframe>', link(run, file), sandbox, title
    )  # fmt: skip


def complaint(error: TunesmithError) -> None:
    """What went wrong and what to do about it."""
    html(said('<div class="alarm" role="alert"><p><strong>{}</strong></p><p>{}</p></div>', error.message,
              error.hint or ""))  # fmt: skip


def when(moment: float) -> str:
    """A time as people read it, on this machine's clock."""
    return datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M")
