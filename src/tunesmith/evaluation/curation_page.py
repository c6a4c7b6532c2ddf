"""profile.html: what curation did to a table, before and after, as one self-contained file.

Made from the JSON of `data.comparison.compare`. As with the report, data cells are hostile: autoescape is on, every
value is cleaned, there is no script, and the content security policy allows only the one style sheet.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from tunesmith.core.files import write_text
from tunesmith.evaluation import wording
from tunesmith.evaluation.curation_charts import ACTIONS, bars, histogram, stacks
from tunesmith.evaluation.drawing import clean
from tunesmith.evaluation.measured_charts import evidence_section
from tunesmith.evaluation.page import environment, style_sheet

_MOST_LABELS = 24
_TITLES = {"drop": "Dropped", "fix": "Mended", "flag": "Flagged", "keep": "Kept"}
_REVIEWS = {"accept": "accepted", "reject": "rejected", "edit": "written"}
_WORD = re.compile(r"\w+|\s+|[^\w\s]")
# Before is an outline and after is filled: told apart without colour too. Of what was done, order and numbers tell.
_CSS = """
.was{fill:var(--card);stroke:var(--edge);stroke-width:1.25}
.now{fill:var(--tuned)}
.key{display:inline-block;width:14px;height:12px;border-radius:2px;background:var(--tuned)}
.key.before{background:var(--card);border:1.25px solid var(--edge)}
.did-drop{fill:var(--bad)}.did-fix{fill:var(--tuned)}.did-flag{fill:var(--untuned)}.did-keep{fill:var(--good)}
.did-none{fill:var(--sunk);stroke:var(--edge);stroke-width:.75}
.key.drop{background:var(--bad)}.key.flag{background:var(--untuned)}.key.keep{background:var(--good)}
.key.none{background:var(--sunk);border:1.25px solid var(--edge)}
.hero .stats{margin:var(--s4) 0 0}.hero .stats dt{color:var(--muted)}
.hero .stats dd{font-size:1.5rem}
del,ins{text-decoration-thickness:1.5px;border-radius:3px;padding:0 1px}
del{background:var(--bad-soft);color:var(--bad)}
ins{background:var(--good-soft);color:var(--good);text-decoration:none;font-weight:600}
.found{border-left:3px solid var(--edge);padding-left:var(--s3)!important;border-top:0!important;margin:var(--s4) 0 0}
.found.drop{border-color:var(--bad)}.found.fix{border-color:var(--tuned)}.found.flag{border-color:var(--untuned)}
.found.keep{border-color:var(--good)}
.errors>.found{padding-top:0;padding-bottom:var(--s2)}
.found .small{margin-bottom:0}.found .example{margin-top:var(--s2)}
.pairs+.pairs,.pairs>.card{margin-bottom:0}
.quote{max-height:16rem;overflow:auto}
h3 code{font-size:.875em}
"""


def render_profile(profile: Mapping[str, Any]) -> str:
    """The page as one HTML document."""
    style = style_sheet() + _CSS
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    before, after = profile["rows"]
    labels = list(profile["labels"])
    told = profile["steps"]
    parts = [(f"{part} rows", counts) for part, counts in profile["became"].items() if sum(counts.values())]
    found = [(str(one["step"]), one["counts"]) for one in told]
    return environment().get_template("curation.html.j2").render(
        style=Markup(style), style_hash=f"sha256-{digest}", title=profile.get("title", ""),
        run=profile.get("run", ""), headline=_headline(profile), stats=_stats(profile), numbers=_numbers(profile),
        legends=[_legend(parts), _legend(found)],
        became=[stacks(parts, ident="became", title="What became of the rows", narrow=n) for n in (False, True)],
        found=[stacks(found, ident="found", title="What each step found", narrow=n) for n in (False, True)],
        labels=[bars(labels[:_MOST_LABELS], narrow=n) for n in (False, True)] if labels else [],
        every_label=labels, labels_left=max(0, len(labels) - _MOST_LABELS),
        lengths=[histogram(profile["histogram"], narrow=n) for n in (False, True)],
        length_rows=_length_rows(profile["lengths"]),
        languages=_languages(profile["languages"]),
        steps=[_step(one) for one in told], not_run=profile["not_run"], rows=(before, after),
        personal=profile.get("personal", {}), evidence=evidence_section(profile.get("evidence")),
    )  # fmt: skip


def _legend(rows: Sequence[tuple[str, Mapping[str, int]]]) -> list[tuple[str, str]]:
    """(css, words) of what was done to some row."""
    used = {action for _, counts in rows for action, count in counts.items() if count}
    return [(action or "none", said) for action, said in ACTIONS.items() if action in used]


def write_profile(profile: Mapping[str, Any], path: Path) -> None:
    """Write the page, whole or not at all. OSError is the caller's."""
    write_text(path, render_profile(profile))


def _total(profile: Mapping[str, Any], action: str) -> int:
    return sum(counts[action] for counts in profile["became"].values())


def _headline(profile: Mapping[str, Any]) -> str:
    before = profile["rows"][0]
    done = [f"{count:,} {ACTIONS[action]}" for action in ("drop", "fix", "flag") if (count := _total(profile, action))]
    if not done:
        return f"Nothing was found in {before:,} rows."
    listed = done[0] if len(done) == 1 else f"{', '.join(done[:-1])} and {done[-1]}"
    verb = "was" if done[0].startswith("1 ") else "were"
    return f"Of {before:,} rows, {listed.replace(' ', f' {verb} ', 1)}."


def _stats(profile: Mapping[str, Any]) -> list[tuple[str, str]]:
    before, after = profile["rows"]
    rows = [("Rows before", before), ("Rows after", after)]
    rows += [(name, _total(profile, action)) for name, action in (("Mended", "fix"), ("Only flagged", "flag"))]
    if profile["left_out"]:
        rows.append(("Without text or target", profile["left_out"]))
    return [(name, f"{count:,}") for name, count in rows]


def _numbers(profile: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    rows = [("Rows", *(f"{n:,}" for n in profile["rows"]))]
    rows += [(f"Rows for {part}", f"{a:,}", f"{b:,}") for part, (a, b) in profile["splits"].items()]
    before, after = profile["copies"]
    rows += [(f"Copies: {kind}", f"{before[kind]:,}", f"{after.get(kind, 0):,}") for kind in before]
    return [(str(name), str(a), str(b)) for name, a, b in rows]


def _length_rows(lengths: Sequence[Mapping[str, float]]) -> list[tuple[str, str, str]]:
    names = {"shortest": "Shortest", "p5": "5 % are shorter", "median": "Median", "p95": "5 % are longer",
             "longest": "Longest", "mean_words": "Words on average"}  # fmt: skip
    return [
        (said, *(f"{found[name]:,.4g}" if name in found else "–" for found in lengths))  # type: ignore[misc]
        for name, said in names.items()
    ]


def _languages(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    shares = [dict(one.get("shares", {})) for one in found]
    names = sorted({*shares[0], *shares[1]}, key=lambda name: -shares[0].get(name, 0))
    return [(name, *(wording.percent(s[name]) if name in s else "–" for s in shares)) for name in names]


def _step(told: Mapping[str, Any]) -> dict[str, Any]:
    counts = ", ".join(f"{n:,} {ACTIONS[action]}" for action, n in told["counts"].items())
    return {
        "name": told["step"],
        "about": told["about"],
        "counts": counts,
        "examples": [_example(example) for example in told["examples"]],
    }


def _example(told: Mapping[str, Any]) -> dict[str, Any]:
    marked = ("", "") if told["was"] is None or told["fix"] is None else marked_change(told["was"], told["fix"])
    return {
        **told, "title": _TITLES[told["action"]], "by": _REVIEWS.get(told["review"] or "", ""),
        "was_marked": marked[0], "fix_marked": marked[1],
    }  # fmt: skip


def marked_change(was: str, now: str) -> tuple[Markup, Markup]:
    """Both versions of a text, what left it in <del> and what came in <ins>; everything else is escaped."""
    old, new = (_WORD.findall(clean(text)) for text in (was, now))
    left, came = Markup(), Markup()
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        before, after = escape("".join(old[a:b])), escape("".join(new[c:d]))
        left += before if kind == "equal" or not before else Markup("<del>") + before + Markup("</del>")
        came += after if kind == "equal" or not after else Markup("<ins>") + after + Markup("</ins>")
    return left, came
