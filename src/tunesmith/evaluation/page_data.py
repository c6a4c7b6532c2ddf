"""The page's sections about data, time, estimates and limits: what ingest noted, in words, whatever its shape.

Ingest's notes are free JSON that grows with new steps, so they are drawn as a tree without knowing their
keys; only what the page promises by name (split inflation, label counts) is looked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.evaluation import charts, wording
from tunesmith.evaluation.reading import Reading, mapping, number, rows, text, whole

# How many entries of one note are shown at once, and how many at all.
_SHOWN, _KEPT, _DEEPEST = 12, 200, 5
_KEPT_TOGETHER = "Copies and near-copies of rows stand on one side of the split."
_SHOWN_ELSEWHERE = frozenset({"lineage", "decisions", "warnings", "inflation"})


@dataclass(frozen=True)
class Node:
    """A piece of a note. kind: "text", "pairs" (key, Node), "list" (Node), "table" (cells), "bars" (name, said, bar),
    "inline" (key, said).

    more: the rest, folded away under more_said.
    """

    kind: str
    text: str = ""
    items: tuple[Any, ...] = ()
    heads: tuple[str, ...] = ()
    more: Node | None = None
    more_said: str = ""


def data_sections(reading: Reading) -> dict[str, Any]:
    """The template's variables for data, time, estimates, limits and glossary."""
    details = reading.details
    data = mapping(details.get("data"))
    notes = mapping(data.get("notes"))
    free = mapping(_worth_showing({key: _counted(key, value) for key, value in notes.items()}))
    seconds = {
        text(key): spent
        for key, value in mapping(details.get("seconds")).items()
        if (spent := number(value)) is not None
    }
    return {
        "lineage": _lineage(rows(data.get("lineage"))),
        "splits": _splits(reading, data),
        "notes": tree(free) if free else None,
        "warnings": [text(line) for line in warned[:20]] if isinstance(warned := notes.get("warnings"), list) else [],
        "flattered": _flattered(notes, reading.leads),
        "stages": _stages(seconds),
        "budget": _budget(number(details.get("budget_s")), sum(seconds.values())),
        "estimates": _estimates(mapping(details.get("estimates")), reading.verdict.winner),
        "limits": _limits(reading, mapping(data.get("ledger"))),
        "glossary": _glossary(reading),
    }


def tree(value: object, *, key: str = "", depth: int = 0) -> Node:
    """Free JSON as a Node; long collections are folded, very long and very deep ones cut and said to be."""
    if depth >= _DEEPEST:
        return Node("text", text(value)[:2000])
    if isinstance(value, Mapping):
        if not value:
            return Node("text", "none")
        if _are_counts(value) or (_are_shares(value) and "share" in key.lower()):
            return _bars(value)
        if depth and len(value) <= 8 and all(_is_short(v) for v in value.values()):
            return Node("inline", items=tuple((wording.humanize(text(k)), _leaf(v, text(k))) for k, v in value.items()))
        # Names with sentences are names out of the data (columns, labels): they stay as they are.
        named = depth > 0 and all(isinstance(v, str) for v in value.values())
        made = [
            (text(k) if named else wording.humanize(text(k)), tree(v, key=text(k), depth=depth + 1))
            for k, v in list(value.items())[:_KEPT]
        ]
        return _folded("pairs", made, len(value))
    if isinstance(value, list | tuple):
        if not value:
            return Node("text", "none")
        if all(isinstance(item, Mapping) for item in value):
            return _table(rows(value), key)
        if all(not isinstance(item, Mapping | list | tuple) for item in value):
            said = [text(item) for item in value]
            rest = f" and {len(said) - 40:,} more" if len(said) > 40 else ""
            return Node("text", ", ".join(said[:40]) + rest)
        return _folded("list", [tree(item, key=key, depth=depth + 1) for item in value[:_KEPT]], len(value))
    return Node("text", _leaf(value, key))


def _is_short(value: object) -> bool:
    return not isinstance(value, Mapping | list | tuple) and (not isinstance(value, str) or len(value) <= 24)


def _worth_showing(value: object) -> object:
    """Notes without what another section shows, and without what is empty."""
    if not isinstance(value, Mapping):
        return value
    kept = {key: _worth_showing(item) for key, item in value.items() if key not in _SHOWN_ELSEWHERE}
    return {key: item for key, item in kept.items() if item is not None and item not in ("", {}, [], ())}


def _counted(key: str, value: object) -> object:
    """Lists of row numbers as counts: nobody reads ten thousand of them."""
    if key != "test_flags" or not isinstance(value, Mapping):
        return value
    return {k: f"{len(v):,} rows" if isinstance(v, list | tuple) else v for k, v in value.items()}


def _leaf(value: object, key: str) -> str:
    """A scalar in the unit that its key names."""
    found = number(value)
    name = key.lower()
    if found is None:
        return text(value) or "none"
    if name.endswith("_bytes") or name == "bytes":
        return wording.size(found)
    if name.endswith("_s") or name == "seconds":
        return wording.duration(found)
    if 0 <= found <= 1 and any(part in name for part in ("share", "rate", "confidence", "coverage", "inflation")):
        return wording.percent(found)
    return wording.plain(found)


def _are_counts(value: Mapping[str, Any]) -> bool:
    """Several plain non-negative numbers of one kind: label counts or shares, not a summary such as min and max."""
    found = [number(v) for v in value.values()]
    if len(found) < 2 or any(v is None or v < 0 for v in found):
        return False
    if {"min", "max", "median", "mean", "p50", "n", "seconds"} & {text(k).lower() for k in value}:
        return False
    if any(marker in text(k).lower() for k in value for marker in ("_bytes", "_s", "confidence", "threshold")):
        return False
    total = sum(v for v in found if v is not None)
    return abs(total - 1) < 0.02 or all(v is not None and float(v).is_integer() for v in found)


def _are_shares(value: Mapping[str, Any]) -> bool:
    """Shares of a whole, even if it has but one part."""
    found = [number(v) for v in value.values()]
    return all(v is not None and v >= 0 for v in found) and abs(sum(v or 0.0 for v in found) - 1) < 0.02


def _bars(value: Mapping[str, Any]) -> Node:
    counted = sorted(
        ((text(k) or "(empty)", float(number(v) or 0)) for k, v in value.items()), key=lambda kv: (-kv[1], kv[0])
    )
    shares = _are_shares(value) and (len(value) == 1 or any(v != int(v) for _, v in counted))
    most = max(v for _, v in counted) or 1.0
    made = [(k, wording.percent(v) if shares else wording.count(v), charts.bar(v / most)) for k, v in counted[:_KEPT]]
    return _folded("bars", made, len(counted))


def _folded(kind: str, made: list[Any], total: int) -> Node:
    if len(made) <= _SHOWN + 2:
        return Node(kind, items=tuple(made))
    cut = f", of which the first {len(made):,}" if total > len(made) else ""
    more = Node(kind, items=tuple(made[_SHOWN:]))
    return Node(kind, items=tuple(made[:_SHOWN]), more=more, more_said=f"{total - _SHOWN:,} more{cut}")


def _table(found: list[Mapping[str, Any]], key: str) -> Node:
    names = list(dict.fromkeys(text(k) for row in found[:_KEPT] for k in row))[:8]
    made = [
        tuple(
            _leaf(row[n], n) if not isinstance(row.get(n), Mapping | list | tuple) and n in row else text(row.get(n))
            for n in names
        )
        for row in found[:_KEPT]
    ]
    heads = tuple(wording.humanize(n) for n in names)
    label = wording.humanize(key) or "Notes"
    if len(made) <= _SHOWN + 2:
        return Node("table", label, tuple(made), heads)
    more = Node("table", label, tuple(made[_SHOWN:]), heads)
    return Node("table", label, tuple(made[:_SHOWN]), heads, more, f"{len(found) - _SHOWN:,} more")


def _lineage(found: list[Mapping[str, Any]]) -> list[dict[str, str]]:
    made = []
    for row in found:
        before, after = whole(row.get("rows_in")), whole(row.get("rows_out"))
        lost = (
            "" if before is None or after is None or before == after else f"{after - before:+,}".replace("-", "\u2212")
        )
        said = wording.count(after if after is not None else before, "row") if (before, after) != (None, None) else ""
        made.append(
            {"stage": text(row.get("stage")) or "step", "rows": said, "lost": lost, "what": text(row.get("what"))}
        )
    return made


def _splits(reading: Reading, data: Mapping[str, Any]) -> Node | None:
    said = {
        "train": "learned from",
        "dev": "used to choose between systems",
        "test": "sealed until the end",
    }
    pairs = [
        (wording.humanize(name), Node("text", f"{wording.count(reading.counts[name], 'row')}, {meaning}"))
        for name, meaning in said.items()
        if name in reading.counts
    ]
    for key, words in (("inputs", "What it reads"), ("target", "What it gives"), ("labels", "Labels")):
        given = data.get(key)
        if given:
            pairs.append((words, _label_list(given) if key == "labels" else Node("text", text(given))))
    return Node("pairs", items=tuple(pairs)) if pairs else None


def _label_list(given: object) -> Node:
    if isinstance(given, list | tuple) and len(given) > 16:
        return Node("text", f"{len(given):,} labels", more=tree(given), more_said="All of them")
    return tree(given)


def _walk(value: object, depth: int = 0) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping) and depth < _DEEPEST:
        for key, item in value.items():
            yield text(key), item
            yield from _walk(item, depth + 1)


def _flattered(notes: Mapping[str, Any], leads: str) -> str:
    """By how much a split at random would have flattered the score, where ingest measured it."""
    told = next((item for key, item in _walk(notes) if "inflation" in key.lower() and isinstance(item, Mapping)), None)
    if told is not None:
        return " ".join(part for part in (_KEPT_TOGETHER, as_sentence(text(told.get("sentence")))) if part)
    found = next(
        (value for key, item in _walk(notes) if "inflation" in key.lower() and (value := number(item)) is not None),
        None,
    )
    if found is None:
        return ""
    if found <= 0:
        return f"{_KEPT_TOGETHER} A split at random would not have flattered the score."
    return (
        f"{_KEPT_TOGETHER} A split at random would have flattered the score "
        f"by about {wording.points(found, leads).lstrip('+')}."
    )


def _stages(seconds: Mapping[str, float]) -> Node | None:
    if not seconds:
        return None
    most = max(seconds.values()) or 1.0
    return Node(
        "bars",
        items=tuple((wording.humanize(k), wording.duration(v), charts.bar(v / most)) for k, v in seconds.items()),
    )


def _budget(budget: float | None, spent: float) -> str:
    if budget is None:
        return "No budget was set." if spent else ""
    return f"{wording.duration(spent)} of the budget of {wording.duration(budget)}."


def _estimates(about: Mapping[str, Any], winner: str) -> dict[str, Any] | None:
    energy, money = number(about.get("energy_wh")), about.get("money")
    facts = []
    if energy is not None:
        facts.append(("Energy of the whole run, about", f"{wording.plain(energy)}\u00a0Wh"))
    if text(money):
        facts.append(("Money, about", text(money)))
    apiece = number(mapping(about.get("energy_wh_per_1000_predictions")).get(winner))
    if apiece is not None:
        facts.append(("Energy of 1,000 predictions, about", f"{wording.plain(apiece)}\u00a0Wh"))
    return {"facts": facts, "assumptions": text(about.get("assumptions"))} if facts else None


def _limits(reading: Reading, ledger: Mapping[str, Any]) -> list[str]:
    n = reading.verdict.n if reading.verdict.n is not None else reading.counts.get("test")
    opened = whole(ledger.get("opened"))
    said = []
    if n is not None:
        said.append(
            f"All test scores rest on at most {wording.count(n, 'row')}. The intervals say how far chance "
            "alone could move them."
        )
    else:
        said.append("The number of test rows is not recorded, so how far chance could move the scores is unknown.")
    if opened is None:
        said.append("How often this test was opened on this machine is not recorded.")
    elif opened <= 1:
        said.append("This test was opened once on this machine, by this run.")
    else:
        said.append(
            f"This test was opened {opened:,} times on this machine. Each look makes its scores a little "
            "less trustworthy; after many, set fresh rows aside."
        )
    said.append(
        "The test rows came from the same source as the training rows. On texts of another kind, place or "
        "year the system may do worse."
    )
    said.append(
        "The labels or references were taken as they are in the file. Where they are wrong, the scores are "
        "wrong with them."
    )
    written = number(reading.details.get("references_unsupported_rate"))
    if written is not None:
        said.append(
            f"By the same count, {wording.percent(written)} of the facts in the references are not in their "
            "source either: the rates of the systems are to be read beside that."
        )
    if any(rung.status == "subset" for rung in reading.rungs):
        said.append(
            "Systems marked “subset” were trained or scored on fewer rows to stay in the budget; their "
            "intervals are wider."
        )
    return said


def _glossary(reading: Reading) -> list[tuple[str, str]]:
    lead = wording.metric(reading.leads)
    shown = dict.fromkeys(name for rung in reading.rungs for name in rung.scores)
    words = [
        (
            "Tuned, untuned",
            "A tuned system had the weights of a ready-made language model adapted to this data (where "
            "passages are looked for: how they are ranked). An "
            "untuned one did not.",
        ),
        ("Train, dev, test", "Rows to learn from; rows to choose by; rows kept sealed until everything was decided."),
        (
            "95 % interval",
            "If the test were drawn again and again from the same source, about 95 in 100 such intervals "
            "would hold the true score.",
        ),
        (
            "p",
            "How often chance alone would give a difference this large if there were none. Below 0.05 counts as found.",
        ),
        ("Better, worse", "A difference was found (p below 0.05), in this direction."),
        (
            "No evidence",
            "No difference was found although the test was large enough to show one of 2 points. It does "
            "not prove equality.",
        ),
        ("Underpowered", "No difference was found, and the test was too small to have shown one of 2 points."),
        (
            "Candidate, reference",
            "The best tuned and the best untuned system on dev, fixed before the test was opened.",
        ),
        ("Frugal", "The cheapest system whose score is within reach of the one that ships."),
    ]
    metrics = [
        (wording.metric(name).title, as_sentence(wording.metric(name).plain))
        for name in shown
        if wording.metric(name).plain
    ]
    first = [] if lead.title in dict(metrics) or not lead.plain else [(lead.title, as_sentence(lead.plain))]
    return words + first + metrics


def as_sentence(words: str) -> str:
    """The words with a capital and a full stop."""
    words = words.strip()
    return words and words[:1].upper() + words[1:] + ("" if words[-1] in ".!?" else ".")
