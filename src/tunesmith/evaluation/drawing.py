"""An SVG being written, and the arithmetic of pictures: text that fits, round ticks, scales.

Nothing here knows what a chart is about. All strings may be hostile; `Drawing` escapes them.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

# More combining marks than this on one letter occur in no script and run over the lines above.
_MARKS_ON_A_LETTER = 5


def clean(words: str) -> str:
    """The text without what XML forbids or a terminal obeys.

    Control characters become visible signs, lone surrogates U+FFFD, towers of combining marks are cut.
    """
    if words.isascii() and words.isprintable():
        return words
    shown = []
    stacked = 0
    for letter in words:
        code = ord(letter)
        stacked = stacked + 1 if unicodedata.combining(letter) else 0
        if stacked > _MARKS_ON_A_LETTER:
            continue
        if letter in "\n\t":
            shown.append(letter)
        elif code < 0x20:
            shown.append(chr(0x2400 + code))
        elif code == 0x7F:
            shown.append("\u2421")
        elif 0x80 <= code < 0xA0 or 0xD800 <= code < 0xE000 or code & 0xFFFE == 0xFFFE:
            shown.append("\ufffd")
        else:
            shown.append(letter)
    return "".join(shown)


def _letter_width(letter: str) -> float:
    """Width of a letter in units of the font size: a generous estimate, for no font is measured."""
    if unicodedata.combining(letter):
        return 0.0
    if unicodedata.east_asian_width(letter) in "WF" or ord(letter) > 0x1F000:
        return 1.05
    if letter in "iljtfr.,:;|!' ":
        return 0.34
    return 0.74 if letter.isupper() or letter in "mwMW@%" else 0.57


def text_width(words: str, size: float) -> float:
    """An estimate of the width of `words` in pixels at a font size, rather too wide than too narrow."""
    return sum(_letter_width(letter) for letter in words) * size


def fit(words: str, width: float, size: float) -> str:
    """`words` on one line, cut with an ellipsis where they would not fit."""
    words = " ".join(words.split())
    room = width / size
    taken, cut = 0.0, 0  # cut: letters that leave room for the ellipsis
    for at, letter in enumerate(words):
        taken += _letter_width(letter)
        if taken > room:
            return words[:cut].rstrip(" \u00b7,") + "…"
        if taken + _letter_width("…") <= room:
            cut = at + 1
    return words


def wrap(words: str, width: float, size: float, *, lines: int) -> list[str]:
    """`words` on at most `lines` lines; the last is cut with an ellipsis."""
    made: list[str] = []
    line = ""
    parts = words.split()
    for at, word in enumerate(parts):
        longer = f"{line} {word}".strip()
        if not line or text_width(longer, size) <= width:
            line = longer
            continue
        if len(made) == lines - 1:
            line = " ".join([line, *parts[at:]])
            break
        made.append(line)
        line = word
    return [fit(part, width, size) for part in [*made, line] if part]


class Drawing:
    """An SVG being written. Shapes take coordinates and a CSS class; the page's style gives them colour."""

    def __init__(self, ident: str, width: float, height: float, *, title: str, desc: str, css: str = "") -> None:
        wide, high = coordinate(width), coordinate(height)
        self._head = (
            f'<svg class="chart {escape(css)}" viewBox="0 0 {wide} {high}" width="{wide}" role="img" '
            f'aria-labelledby="{escape(ident)}-t {escape(ident)}-d" xmlns="http://www.w3.org/2000/svg">'
            f'<title id="{escape(ident)}-t">{escape(clean(title))}</title>'
            f'<desc id="{escape(ident)}-d">{escape(clean(desc))}</desc>'
        )
        self._parts: list[str] = []

    def _add(self, tag: str, css: str, tip: str = "", **attributes: float | str) -> None:
        said = "".join(
            f' {key.replace("_", "-")}="{coordinate(value) if isinstance(value, int | float) else escape(value)}"'
            for key, value in attributes.items()
        )
        end = f"><title>{escape(clean(tip))}</title></{tag}>" if tip else "/>"
        self._parts.append(f'<{tag} class="{css}"{said}{end}')

    def line(self, x1: float, y1: float, x2: float, y2: float, css: str) -> None:
        """A straight line."""
        self._add("line", css, x1=x1, y1=y1, x2=x2, y2=y2)

    def rect(
        self, x: float, y: float, width: float, height: float, css: str, *, radius: float = 0, tip: str = ""
    ) -> None:
        """A rectangle; radius rounds its corners."""
        self._add("rect", css, tip, x=x, y=y, width=max(width, 0), height=max(height, 0), rx=radius)

    def path(self, d: str, css: str, *, tip: str = "") -> None:
        """Any outline, in SVG's path language."""
        self._add("path", css, tip, d=d)

    def circle(self, x: float, y: float, radius: float, css: str, *, tip: str = "") -> None:
        """A disc; the mark of tuned rungs."""
        self._add("circle", css, tip, cx=x, cy=y, r=radius)

    def diamond(self, x: float, y: float, radius: float, css: str, *, tip: str = "") -> None:
        """A square on its corner; the mark of untuned rungs."""
        corners = ((x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y))
        self.path("M" + "L".join(f"{coordinate(a)} {coordinate(b)}" for a, b in corners) + "Z", css, tip=tip)

    def text(self, x: float, y: float, words: str, css: str, *, anchor: str = "start") -> None:
        """Words with their baseline at y; anchor: start, middle or end."""
        self._parts.append(
            f'<text class="{css}" x="{coordinate(x)}" y="{coordinate(y)}" text-anchor="{anchor}">'
            f"{escape(clean(words))}</text>"
        )

    def polyline(self, points: Sequence[tuple[float, float]], css: str) -> None:
        """Points joined by straight lines."""
        self._add("polyline", css, points=" ".join(f"{coordinate(x)},{coordinate(y)}" for x, y in points))

    def markup(self) -> Markup:
        """The finished SVG element, safe to put into a page."""
        return Markup(self._head + "".join(self._parts) + "</svg>")


def coordinate(value: float) -> str:
    """A number of pixels with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def ticks(low: float, high: float, wanted: int) -> list[float]:
    """Round numbers between low and high, about `wanted` of them, steps of 1, 2, 2.5 or 5 times a power of ten."""
    if not high > low:
        return [low]
    raw = (high - low) / max(wanted, 1)
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


@dataclass(frozen=True)
class Scale:
    """A straight map from values to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low
        share = 0.5 if span <= 0 else (value - self.low) / span
        return self.start + share * (self.end - self.start)


def widened(low: float, high: float, *, least: float, share: float = 0.06) -> tuple[float, float]:
    """A range with air at both ends and at least `least` wide."""
    span = max(high - low, least)
    middle = (low + high) / 2
    return (middle - span * (0.5 + share), middle + span * (0.5 + share))
