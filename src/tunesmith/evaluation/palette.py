"""The colours of the report, light and dark, and which of them meet: a test computes every contrast.

Tuned and untuned differ by hue that colour-blind readers tell apart (blue, orange) and always by shape too.
"""

from __future__ import annotations

LIGHT = {
    "page": "#f5f4f0",
    "card": "#ffffff",
    "sunk": "#f1efea",
    "ink": "#1b1e23",
    "muted": "#545b66",
    "line": "#e1ded7",
    "edge": "#80858e",
    "accent": "#2149b0",
    "tuned": "#2149b0",
    "untuned": "#a14805",
    "good": "#11653a",
    "good-soft": "#e2f2e8",
    "bad": "#9c231b",
    "bad-soft": "#fbe8e6",
    "warn": "#7d4a00",
    "warn-soft": "#fbefd7",
    "calm": "#33435c",
    "calm-soft": "#e7ecf3",
    "hover": "#eef2fb",
}

DARK = {
    "page": "#101215",
    "card": "#191c21",
    "sunk": "#22262c",
    "ink": "#e9eaec",
    "muted": "#a7aeb9",
    "line": "#31363e",
    "edge": "#757d8a",
    "accent": "#93b4ff",
    "tuned": "#93b4ff",
    "untuned": "#f0a45a",
    "good": "#74d49d",
    "good-soft": "#132c1e",
    "bad": "#ffa096",
    "bad-soft": "#381a17",
    "warn": "#efbe62",
    "warn-soft": "#33270f",
    "calm": "#b9c7dd",
    "calm-soft": "#212a37",
    "hover": "#1f2838",
}

# (front, back, least contrast): 4.5 for text, 3 for lines and marks that carry meaning (WCAG 2.2, 1.4.3 and 1.4.11).
MEETINGS = (
    *((front, back, 4.5) for front in ("ink", "muted", "accent") for back in ("page", "card", "sunk", "hover")),
    *((tone, f"{tone}-soft", 4.5) for tone in ("good", "bad", "warn", "calm")),
    *(("ink", f"{tone}-soft", 4.5) for tone in ("good", "bad", "warn", "calm")),
    *((tone, back, 4.5) for tone in ("good", "bad", "warn", "calm") for back in ("card", "sunk", "page")),
    *(
        (mark, back, 4.5)
        for mark in ("tuned", "untuned")
        for back in ("card", "sunk", "hover", "good-soft", "calm-soft")
    ),
    *((f"{mark}", f"{tone}-soft", 3.0) for mark in ("tuned", "untuned") for tone in ("warn", "bad")),
    *(("edge", back, 3.0) for back in ("card", "page", "sunk")),
)


def css_variables() -> str:
    """The colours as CSS custom properties; dark only on screens, so that paper stays white."""
    light = "".join(f"--{name}:{value};" for name, value in LIGHT.items())
    dark = "".join(f"--{name}:{value};" for name, value in DARK.items())
    return (
        f":root{{color-scheme:light dark;{light}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
        f"@media print{{:root{{color-scheme:light;--page:#ffffff}}}}"
    )
