"""Rules that train rows confirm: kinds of personal data, values seen before and forms such as 999-9999, each for a tag.

A rule holds if at least half of what it finds in the train texts carries its tag there.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tunesmith.data.personal.find import common_words, find
from tunesmith.training.marking import Mark, tokens_of

_SURE, _LEAST_TIMES = 0.5, 3
_LONGEST_VALUE = 8  # tokens; longer values do not come back
_KINDS = ("personal", "form", "value")


class Sign(NamedTuple):
    """Something found at characters start to end of a text. rule: a kind of rule; what: the thing that it looks for."""

    rule: str
    what: str
    start: int
    end: int


@dataclass(frozen=True)
class Rules:
    """held: kind of rule -> what it looks for -> (tag, share of its finds that carry it). common: words that are no
    names in this data."""

    held: Mapping[str, Mapping[str, tuple[int, float]]]
    common: frozenset[str]

    def marks(self, text: str) -> list[Mark]:
        """What the rules mark, the long before the short, then the sure before the unsure; no overlaps."""
        found = [Mark(s.start, s.end, *self.held[s.rule][s.what]) for s in signs_of(text, self.common)
                 if s.what in self.held[s.rule]]  # fmt: skip
        kept: list[Mark] = []
        for mark in sorted(found, key=lambda m: (m.start - m.end, -m.score, m.start)):
            if all(mark.end <= other.start or other.end <= mark.start for other in kept):
                kept.append(mark)
        return kept

    def seen(self, text: str) -> list[Sign]:
        """Kinds of personal data as they are, and what other rules speak for: what is the tag's number."""
        found = []
        for sign in signs_of(text, self.common):
            if sign.rule == "personal":
                found.append(sign)
            elif sign.what in self.held[sign.rule]:
                found.append(sign._replace(what=str(self.held[sign.rule][sign.what][0])))
        return found

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        held = {rule: {what: list(tag) for what, tag in sorted(own.items())} for rule, own in self.held.items()}
        return {"rules": held, "common": sorted(self.common)}

    @classmethod
    def from_dict(cls, about: Mapping[str, Any]) -> Rules:
        """The inverse of `to_dict`."""
        held = {
            rule: {what: (int(t), float(s)) for what, (t, s) in own.items()} for rule, own in about["rules"].items()
        }
        return cls(held, frozenset(about["common"]))


def learn_rules(texts: Sequence[str], marks: Sequence[Sequence[Mark]]) -> tuple[Rules, list[list[Sign]]]:
    """(the rules; what `Rules.seen` would give for every train text had the rules been learned from the others).

    marks: where the tags are, of every text.
    """
    common = common_words(texts)
    known: dict[str, set[str]] = {rule: set() for rule in _KINDS}
    for text, own in zip(texts, marks, strict=True):
        for mark in own:
            known["value"].add(_value(text[mark.start : mark.end]))
            known["form"].add(_form(text[mark.start : mark.end]))
    found: list[list[tuple[Sign, int]]] = []
    counts: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
    for text, own in zip(texts, marks, strict=True):
        tags = {(mark.start, mark.end): mark.tag for mark in own}
        here = [
            (sign, tags.get((sign.start, sign.end), -1))
            for sign in signs_of(text, common)
            if sign.rule == "personal" or sign.what in known[sign.rule]
        ]
        found.append(here)
        for sign, tag in here:
            counts[sign.rule, sign.what][tag] += 1
    held: dict[str, dict[str, tuple[int, float]]] = {rule: {} for rule in _KINDS}
    for (rule, what), own_counts in counts.items():
        best = _held(rule, own_counts)
        if best is not None:
            held[rule][what] = best
    seen: list[list[Sign]] = []
    for here in found:
        mine: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
        for sign, tag in here:
            mine[sign.rule, sign.what][tag] += 1
        signs = []
        for sign, _ in here:
            if sign.rule == "personal":
                signs.append(sign)
                continue
            best = _held(sign.rule, counts[sign.rule, sign.what] - mine[sign.rule, sign.what])
            if best is not None:
                signs.append(sign._replace(what=str(best[0])))
        seen.append(signs)
    return Rules(held, common), seen


def _held(rule: str, counts: Counter[int]) -> tuple[int, float] | None:
    """(tag, its share) if a rule that found so many places of each tag holds."""
    tag, times = max(((t, n) for t, n in counts.items() if t >= 0), key=lambda tn: (tn[1], -tn[0]), default=(-1, 0))
    if tag < 0 or times < _SURE * sum(counts.values()) or (rule != "value" and times < _LEAST_TIMES):
        return None
    return tag, round(times / sum(counts.values()), 4)


def signs_of(text: str, common: frozenset[str]) -> Iterable[Sign]:
    """Everything in a text that a rule could be about."""
    for span in find(text, common=common):
        yield Sign("personal", span.kind, span.start, span.end)
    tokens = tokens_of(text)
    for i in range(len(tokens)):
        for j in range(i, min(len(tokens), i + _LONGEST_VALUE)):
            start, end = tokens[i][0], tokens[j][1]
            said = text[start:end]
            yield Sign("value", _value(said), start, end)
            if any(letter.isdigit() for letter in said):
                yield Sign("form", _form(said), start, end)


def _value(said: str) -> str:
    return " ".join(said.casefold().split())


def _form(said: str) -> str:
    """Digits as 9, letters by case: "CS 550" is "AA 999"."""
    return re.sub(r"[^\W\d_]", lambda m: "A" if m.group().isupper() else "a", re.sub(r"\d", "9", said))
