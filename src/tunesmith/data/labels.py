"""One spelling per label: spaces, entities, 1.0 and 1, and variants that differ in case only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tunesmith.data.columns import is_integer
from tunesmith.data.mending import mend
from tunesmith.data.table import LIST_MARK


@dataclass(frozen=True)
class Labels:
    """The cleaned values (None: absent) and how many rows each kind of repair touched."""

    values: tuple[str | None, ...]
    counts: Mapping[str, int] = field(default_factory=dict)


def clean_labels(raw: Sequence[str | None]) -> Labels:
    """Every label in one spelling; the most frequent of those that differ in case and spaces alone wins."""
    seen = Counter(value for value in raw if value is not None)
    spelled: dict[str, str] = {}
    for value in seen:
        text = " ".join(mend([value.replace(LIST_MARK, ", ")]).texts[0].split())
        if text.lower() in ("nan", "null", "none", "n/a", "na", "?", "-") and _is_rare(seen[value], raw):
            text = ""
        spelled[value] = text
    if spelled and all(is_integer(text) for text in spelled.values() if text):
        spelled = {value: _whole(text) for value, text in spelled.items()}
    totals: Counter[str] = Counter()
    for value, count in seen.items():
        totals[spelled[value]] += count
    chosen: dict[str, str] = {}
    for text in sorted(totals, key=lambda t: (-totals[t], t)):
        chosen.setdefault(text.casefold(), text)
    final = {value: chosen[text.casefold()] or None for value, text in spelled.items()}
    merged = sum(count for value, count in seen.items() if final[value] is not None and final[value] != spelled[value])
    counts = {"labels that differed in case only": merged} if merged else {}
    return Labels(tuple(None if value is None else final[value] for value in raw), counts)


def _is_rare(count: int, raw: Sequence[str | None]) -> bool:
    """Words for "missing" count as missing; a class that is really called "none" is not rare."""
    return count < 0.02 * len(raw)


def _whole(text: str) -> str:
    return str(int(text.replace(",", ".").split(".")[0])) if text else text
