"""A report in the terminal: verdict, ladder with intervals, checks, cost. What `tunesmith show` prints.

Names and texts come from data: they are put out as plain Text, never as markup, and without control
characters, so that a label cannot colour, move or clear the display.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tunesmith.evaluation import charts, wording
from tunesmith.evaluation.domain_card import domain_lines
from tunesmith.evaluation.drawing import Scale, clean, widened
from tunesmith.evaluation.forgetting import forgetting_lines
from tunesmith.evaluation.reading import Reading, Rung, read

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_TONES = {"good": "green", "bad": "red", "warn": "yellow", "calm": "cyan"}
_ICONS = {"up": "✔", "down": "▼", "equal": "=", "question": "?"}
# Widths from which the ladder shows more: kind; a picture. From _ROOMY on the cost table is complete.
_ROOMY, _WIDE = 90, 118
_SHOWN_TEXT = 600


def show(report: Mapping[str, Any], console: Console) -> None:
    """Print the report: verdict, ladder, checks, cost. report: the object of report.json, with or without details."""
    reading, screen = read(report), _Screen(console)
    _verdict(reading, screen)
    if reading.rungs:
        screen.console.print(_ladder(reading, screen))
        _not_run(reading, screen)
        screen.console.print(_costs(reading, screen))
    else:
        screen.say("No systems are recorded in this report.", "dim")
    for line in (*domain_lines(report), *forgetting_lines(reading.details)):
        screen.say(_short(line, _SHOWN_TEXT))
    _checks(reading, screen)
    _data(reading, screen)


# Marks and overrides of writing direction: harmless in a page that isolates them, not in a terminal.
_DIRECTIONS = dict.fromkeys(map(ord, "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"))
# For terminals that know only ASCII.
_LETTERS = str.maketrans(
    {
        "\u2013": "-",
        "\u2212": "-",
        "\u2264": "<=",
        "\u2265": ">=",
        "µ": "u",
        "\u00d7": "x",
        "\u2026": "...",
        "\u00b7": "-",
    }
)


@dataclass(frozen=True)
class _Screen:
    """Where to print, and what its encoding can show."""

    console: Console

    @property
    def fancy(self) -> bool:
        return (self.console.encoding or "").lower().replace("-", "").startswith("utf")

    def text(self, words: str, style: str = "") -> Text:
        """Plain text: no markup, no control characters, no direction marks, ordinary spaces."""
        from rich.text import Text

        said = clean(words.replace("\u00a0", " ")).translate(_DIRECTIONS)
        return Text(said if self.fancy else said.translate(_LETTERS), style=style)

    def say(self, words: str, style: str = "") -> None:
        """Print one paragraph; a number stays on the line of its sign."""
        # textwrap leaves no-break spaces alone, rich would break at them.
        lines = textwrap.wrap(wording.unbroken(words), self.console.width, drop_whitespace=True) or [""]
        for line in lines:
            self.console.print(self.text(line, style))


def _short(words: str, longest: int = 60) -> str:
    words = " ".join(words.split())
    return words if len(words) <= longest else words[: longest - 1].rstrip() + "…"


def _verdict(reading: Reading, screen: _Screen) -> None:
    v = reading.verdict
    style = f"bold {_TONES[v.words.tone]}"
    icon = _ICONS[v.words.icon] if screen.fancy else "*"
    claim = f" ({v.claim})" if v.claim else ""
    screen.console.print()
    screen.say(f"{icon} {v.words.headline}{claim}", style)
    screen.say(_short(v.sentence, _SHOWN_TEXT) or v.words.plain)
    if v.difference is not None:
        parts = [
            f"tuned minus untuned: {wording.points(v.difference, reading.leads)} {wording.metric(reading.leads).title}"
        ]
        if v.low is not None:
            parts.append(f"95 % interval {wording.interval(v.low, v.high, reading.leads)}")
        if v.p_value is not None:
            said = wording.p_value(v.p_value)
            parts.append(f"p {said}" if said.startswith("<") else f"p = {said}")
        if v.n is not None:
            parts.append(f"n = {v.n:,}")
        screen.say(", ".join(parts), "dim")
    for guard in v.guards:
        metric = wording.metric(guard.metric)
        mine, best = (wording.score(value, guard.metric) for value in (guard.candidate_value, guard.best_value))
        screen.say(
            f"guard, {metric.title}: tuned {mine}, best other {best} ({guard.best}): {guard.state}",
            "dim",
        )
    screen.console.print()


def _grid(title: str) -> Table:
    from rich import box
    from rich.table import Table

    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        safe_box=True,
        header_style="bold",
    )


def _ladder(reading: Reading, screen: _Screen) -> Table:
    """Kind, test rows and dev score as columns where there is room; the picture where there is much."""
    metric = wording.metric(reading.leads)
    roomy, wide = (
        screen.console.width >= _ROOMY,
        screen.console.width >= _WIDE and any(rung.lead for rung in reading.rungs),
    )
    table = _grid(f"Ladder: {metric.title} on the test, best first")
    table.add_column("system", overflow="fold", min_width=14)
    if roomy:
        table.add_column("kind", no_wrap=True)
    for name in ("test", "95 % interval", "n", "dev"):
        table.add_column(name, justify="right", no_wrap=True)
    if wide:
        table.add_column("", no_wrap=True)
    low, high = _range(reading)
    for rung in reading.rungs:
        if not rung.ran:
            continue
        lead, kind = rung.lead, "tuned" if rung.tuned else "untuned"
        known = lead is not None and lead.low is not None
        cells = [
            wording.score(lead.value, reading.leads) if lead is not None else "-",
            wording.interval(lead.low, lead.high, reading.leads) if lead is not None and known else "-",
            f"{lead.n:,}{' subset' if rung.status == 'subset' else ''}" if lead is not None and lead.n else "-",
            wording.score(rung.dev.value, reading.leads) if rung.dev is not None else "-",
        ]
        if roomy:
            cells.insert(0, kind)
        if wide:
            cells.append(_strip(rung, low, high, fancy=screen.fancy))
        table.add_row(_name(rung, screen), *(screen.text(cell) for cell in cells), style="bold" if rung.ships else "")
    return table


def _name(rung: Rung, screen: _Screen) -> Text:
    name = screen.text(_short(rung.name) or "(no name)")
    for role in ("ships", "frugal"):
        if role in rung.roles:
            name.append(f" {role}", style="green" if role == "ships" else "dim")
    return name


def _range(reading: Reading) -> tuple[float, float]:
    dots = [
        charts.Dot(r.name, "", r.tuned, r.ships, False, r.lead.value, r.lead.low, r.lead.high, None, "", "")
        for r in reading.rungs
        if r.lead is not None
    ]
    return widened(*charts.ladder_range(dots), least=0.02)


def _strip(rung: Rung, low: float, high: float, *, fancy: bool, width: int = 30) -> str:
    """The interval and the score as one line of characters, on the axis of the ladder."""
    if rung.lead is None:
        return ""
    place = Scale(low, high, 0, width - 1)

    def cell(value: float) -> int:
        return min(max(round(place(value)), 0), width - 1)

    if rung.lead.value < low:
        return "◂" if fancy else "<"
    line = [" "] * width
    if rung.lead.low is not None and rung.lead.high is not None:
        for k in range(cell(rung.lead.low), cell(rung.lead.high) + 1):
            line[k] = "─" if fancy else "-"
    mark = ("●" if rung.tuned else "◇") if fancy else ("o" if rung.tuned else "x")
    line[cell(rung.lead.value)] = mark
    return "".join(line)


def _not_run(reading: Reading, screen: _Screen) -> None:
    for rung in reading.rungs:
        if not rung.ran:
            why = rung.why or "no reason recorded"
            said = why if why.lower().startswith("not run") else f"not run: {why}"
            screen.say(f"{_short(rung.name)}  {_short(said, _SHOWN_TEXT)}", "dim")


def _costs(reading: Reading, screen: _Screen) -> Table:
    """Wall and CPU time of training, memory, disk, CPU time of an answer; CPU of training only where there is room."""
    roomy = screen.console.width >= _ROOMY
    table = _grid("Cost, measured")
    table.add_column("system", overflow="fold", min_width=14)
    for name in ("train", *(("train CPU",) if roomy else ()), "memory", "stored", "CPU/answer"):
        table.add_column(name, justify="right", no_wrap=True)
    for rung in reading.rungs:
        if not rung.ran:
            continue
        c = rung.cost
        cells = (
            wording.duration(c.train_wall_s),
            *((wording.duration(c.train_cpu_s),) if roomy else ()),
            wording.size(c.peak_rss_bytes),
            wording.size(c.stored_bytes),
            wording.duration(c.predict_cpu_s_per_example),
        )
        table.add_row(_name(rung, screen), *(screen.text("-" if cell == wording.ABSENT else cell) for cell in cells))
    return table


def _checks(reading: Reading, screen: _Screen) -> None:
    if not reading.checks:
        screen.say("No checks are recorded in this report: nothing was proved.", "yellow")
        return
    failed = [check for check in reading.checks if check.state == "failed"]
    passed = sum(check.state == "passed" for check in reading.checks)
    other = len(reading.checks) - passed - len(failed)
    style = "bold red" if failed else "green"
    verb = "does" if other == 1 else "do"
    screen.say(f"Checks: {passed} passed, {len(failed)} failed, {other} {verb} not apply", style)
    for check in failed:
        name = _short(check.name, 100) + (f" ({_short(check.system)})" if check.system else "")
        measured = f"measured {_short(check.value)}, must be {_short(check.bound)}"
        screen.say(f"  failed: {name}: {measured}", "red")
        if check.remedy:
            screen.say(f"  {_short(check.remedy, _SHOWN_TEXT)}")


def _data(reading: Reading, screen: _Screen) -> None:
    c = reading.counts
    if c:
        screen.say("Data: " + ", ".join(f"{n:,} {name}" for name, n in c.items()), "dim")
