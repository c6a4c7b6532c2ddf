"""What reading the user's documents before tuning gave: for the page a card, for the terminal a line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunesmith.core.files import read_json
from tunesmith.evaluation import wording
from tunesmith.evaluation.reading import mapping, number, pair, text, whole


def read_domain(run: Path) -> dict[str, Any] | None:
    """The record of a run folder's stage `domain`; None for a run without it."""
    folder = run / "12-domain"
    if not (folder / "stage.json").exists():
        return None
    record: dict[str, Any] = read_json(folder / "domain.json")
    return record


def domain_card(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """{sentence, rows, gain, notes} of the report's "domain" (`read_domain`); None where there is none."""
    record = mapping(report.get("domain"))
    if not record:
        return None
    return {"sentence": _sentence(record), "rows": _rows(record), "gain": _gain(report), "notes": _notes(record)}


def domain_lines(report: Mapping[str, Any]) -> list[str]:
    """The same for the terminal; none without documents."""
    card = domain_card(report)
    return [] if card is None else [" ".join(part for part in (card["sentence"], card["gain"]) if part)]


def _sentence(record: Mapping[str, Any]) -> str:
    before, after = number(record.get("before")), number(record.get("after"))
    low, high = pair(record.get("interval"))
    held = wording.count(whole(record.get("held_out")), "held-out document")
    told = f"{before:.4f} bits per byte of {held} before and {after:.4f} after" if before and after else "not measured"
    if low is not None and high is not None:
        told += f" (95 % interval of the difference {low:+.4f} to {high:+.4f})".replace("-", "\u2212")
    used = "what was learned is the base of lm_domain" if record.get("adopted") else "the plain base is used"
    return f"Reading the documents: {told}; {used}."


def _gain(report: Mapping[str, Any]) -> str:
    """The tuned model with the documents against the one without, on the test rows that both answered."""
    found = mapping(mapping(report.get("details")).get("domain_gain"))
    value, n, metric = number(found.get("difference")), whole(found.get("n")), text(found.get("metric"))
    low, high = pair(found.get("interval"))
    if value is None or low is None or high is None:
        return ""
    return (
        f"Tuned on top of them, against tuned without: {wording.points(value, metric)} {wording.metric(metric).title}, "
        f"95 % interval {wording.interval(low, high, metric)}, {wording.count(n, 'test row')}."
    )


def _rows(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    left_out = mapping(record.get("left_out"))
    settings = mapping(record.get("settings"))
    rate, rank = number(settings.get("rate")), whole(settings.get("rank"))
    seconds = number(record.get("cpu_seconds"))
    told = [
        ("Learned from", wording.count(whole(record.get("documents")), "document")),
        ("Tokens in them", wording.count(whole(record.get("tokens")))),
        ("Tokens trained on", wording.count(whole(record.get("trained_tokens")))),
        ("Left out: hold a dev or test row", wording.count(whole(left_out.get("holds a row")) or 0)),
        ("Left out: copies", wording.count(whole(left_out.get("copy")) or 0)),
        ("Dev and test texts looked for", wording.count(whole(record.get("rows_looked_for")))),
        ("Adapter", "" if rate is None else f"LoRA of rank {rank}, rate {rate:g}"),
        ("CPU time of the training", "" if seconds is None else wording.duration(seconds)),
        ("SHA-256 of what was learned", text(record.get("sha256"))[:16] if record.get("adopted") else ""),
    ]
    return [(name, value) for name, value in told if value]


def _notes(record: Mapping[str, Any]) -> list[str]:
    made = []
    if not record.get("adopted"):
        made.append(text(record.get("why")))
    if record.get("parts"):
        made.append("There were so few documents that they were cut into parts: parts of one document may lie on both "
                    "sides, so what is measured is how well it is learned, not documents of its kind.")  # fmt: skip
    listed = record.get("warnings")
    return made + [text(one) for one in (listed if isinstance(listed, list | tuple) else ())]
