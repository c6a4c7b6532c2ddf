"""Answers as templates with slots: what an answer took over from its source is cut out, and put back for another.

What is cut out: quoted texts, and words with a digit, that the source holds too. What belongs into a slot of another
source is told by what stood in slots of that kind before, by its shape, and by its neighbours.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_WORD = re.compile(r"\w+(?:[-.:/@']\w+)*")
_QUOTED = re.compile(r"\"([^\"\n]{1,80})\"|'([^'\n]{1,80})'")
_SLOT = re.compile("\N{MATHEMATICAL LEFT WHITE SQUARE BRACKET}(\\d+)\N{MATHEMATICAL RIGHT WHITE SQUARE BRACKET}")
_LONGEST = 5  # words of a value
# How much speaks for a value: it stood in such a slot before, it looks like what did, it has the same neighbours.
_KNOWN, _SHAPE, _NEIGHBOUR = 3.0, 1.5, 1.0


@dataclass(frozen=True)
class Form:
    """An answer without what it took from its source. values: what was taken, by number of slot."""

    template: str
    values: tuple[str, ...]


@dataclass
class Habits:
    """What stood in slots of one kind: values, their shapes, and the words beside them in the sources, with counts."""

    values: Counter[str] = field(default_factory=Counter)
    shapes: Counter[str] = field(default_factory=Counter)
    beside: Counter[str] = field(default_factory=Counter)


def form_of(source: str, target: str) -> Form:
    """The target with slots for what the source holds as well, whole words, whatever their case."""
    held = f" {_plain(source)} "
    spans = [m.span(1 if m.group(1) is not None else 2) for m in _QUOTED.finditer(target)]
    spans = [_trimmed(target, span) for span in spans]
    spans = [span for span in spans if span[0] < span[1] and f" {_plain(target[slice(*span)])} " in held]
    for match in _WORD.finditer(target):
        inside = any(a < match.end() and match.start() < b for a, b in spans)
        if not inside and any(sign.isdigit() for sign in match.group()) and f" {_plain(match.group())} " in held:
            spans.append(match.span())
    values: list[str] = []
    made, at = "", 0
    for start, end in sorted(spans):
        value = target[start:end]
        if value not in values:
            values.append(value)
        made += target[at:start] + _slot(values.index(value))
        at = end
    return Form(made + target[at:], tuple(values))


class Filler:
    """Fills slots as the rows that it learned from did."""

    def __init__(self, habits: dict[str, Habits]) -> None:
        self.habits = habits
        self._known = {word for kind in habits.values() for word in kind.values}

    @classmethod
    def learn(cls, sources: Sequence[str], forms: Sequence[Form]) -> Filler:
        """From sources and the forms of their answers."""
        habits: dict[str, Habits] = defaultdict(Habits)
        for source, form in zip(sources, forms, strict=True):
            words = _WORD.findall(source)
            plain = [word.casefold() for word in words]
            for slot, kind in _kinds(form.template).items():
                if slot >= len(form.values):
                    continue  # the target itself holds such brackets
                value = _plain(form.values[slot])
                habit = habits[kind]
                habit.values[value] += 1
                habit.shapes[_shape(form.values[slot])] += 1
                size = len(value.split())
                for at in range(len(plain) - size + 1):
                    if " ".join(plain[at : at + size]) == value:
                        habit.beside.update(_beside(plain, at, at + size))
        return cls(dict(habits))

    def fill(self, template: str, source: str) -> str:
        """The template with values from the source; where none fits, with the one that was there most often."""
        kinds = _kinds(template)
        if not kinds:
            return template
        words = _WORD.findall(source)
        plain = [word.casefold() for word in words]
        found = self._candidates(words, plain)
        ranked = sorted(
            ((self._speaks(kind, span, words, plain), -slot, span) for slot, kind in kinds.items() for span in found),
            reverse=True,
        )
        chosen: dict[int, tuple[int, int]] = {}
        for score, negative, span in ranked:
            taken = any(a < span[1] and span[0] < b for a, b in chosen.values())
            if score > 0 and -negative not in chosen and not taken:
                chosen[-negative] = span
        said = {slot: " ".join(words[slice(*span)]) for slot, span in chosen.items()}
        for slot, kind in kinds.items():
            usual = self.habits[kind].values.most_common(1) if kind in self.habits else []
            said.setdefault(slot, usual[0][0] if usual else "")
        return _SLOT.sub(lambda match: said[int(match.group(1))], template)

    def masked(self, source: str) -> str:
        """The source with the kind of slot in the place of what may be a value, so that texts compare by the rest."""
        matches = list(_WORD.finditer(source))
        words = [match.group() for match in matches]
        plain = [word.casefold() for word in words]
        made, at, read = "", 0, 0
        while at < len(words):
            kind = ""
            for end in range(min(len(words), at + _LONGEST), at, -1):
                kind = self._kind_of(" ".join(plain[at:end]), _shape(" ".join(words[at:end])))
                if kind:
                    break
            if kind:
                made += source[read : matches[at].start()] + kind
                read = matches[end - 1].end()
            at = end if kind else at + 1
        return made + source[read:]

    def _kind_of(self, said: str, shape: str) -> str:
        """The kind of slot in which this stood most often, or what looks like it if it holds a digit; "" for none."""
        known = [(habit.values[said], kind) for kind, habit in self.habits.items() if habit.values[said]]
        if not known and "9" in shape and " " not in said:
            known = [(habit.shapes[shape], kind) for kind, habit in self.habits.items() if habit.shapes[shape]]
        return max(known)[1] if known else ""

    def to_dict(self) -> dict[str, Any]:
        """JSON of what was learned."""
        return {
            kind: {"values": dict(h.values), "shapes": dict(h.shapes), "beside": dict(h.beside)}
            for kind, h in self.habits.items()
        }

    @classmethod
    def from_dict(cls, about: dict[str, Any]) -> Filler:
        """The inverse of `to_dict`."""
        return cls({
            kind: Habits(Counter(h["values"]), Counter(h["shapes"]), Counter(h["beside"])) for kind, h in about.items()
        })  # fmt: skip

    def _candidates(self, words: Sequence[str], plain: Sequence[str]) -> list[tuple[int, int]]:
        """Spans of words that may be values: with a digit or a capital, or known as one."""
        found = []
        for start in range(len(words)):
            for end in range(start + 1, min(len(words), start + _LONGEST) + 1):
                marked = end == start + 1 and any(
                    sign.isdigit() or (start > 0 and sign.isupper()) for sign in words[start]
                )  # the first word has a capital because it is the first
                if marked or " ".join(plain[start:end]) in self._known:
                    found.append((start, end))
        return found

    def _speaks(self, kind: str, span: tuple[int, int], words: Sequence[str], plain: Sequence[str]) -> float:
        """How much speaks for these words in a slot of this kind."""
        habit = self.habits.get(kind)
        if habit is None:
            return 0.0
        start, end = span
        n = sum(habit.values.values())
        said = " ".join(plain[start:end])
        known = _KNOWN * (habit.values[said] > 0)
        shape = _SHAPE * habit.shapes[_shape(" ".join(words[start:end]))] / n
        neighbours = _NEIGHBOUR * sum(habit.beside[word] for word in _beside(plain, start, end)) / n
        # A value that stands at the beginning of a sentence is mostly none; longer known values are surer.
        return known + shape + neighbours + 0.1 * (end - start) * bool(known) if known or shape else 0.0


def _kinds(template: str) -> dict[int, str]:
    """Slot -> its kind: the two words before it in the answer, where it stands first."""
    found: dict[int, str] = {}
    for match in _SLOT.finditer(template):
        before = _WORD.findall(_SLOT.sub(" ", template[max(0, match.start() - 60) : match.start()]))
        found.setdefault(int(match.group(1)), " ".join(before[-2:]).casefold())
    return found


def _beside(plain: Sequence[str], start: int, end: int) -> list[str]:
    return [f"<{plain[start - 1]}" if start else "<", f">{plain[end]}" if end < len(plain) else ">"]


def _plain(text: str) -> str:
    return " ".join(word.casefold() for word in _WORD.findall(text))


def _shape(text: str) -> str:
    """Digits as 9, letters as a and A, repeats once: "EECS 281" is "A 9"."""
    marked = "".join("9" if s.isdigit() else "A" if s.isupper() else "a" if s.isalpha() else s for s in text)
    return re.sub(r"(.)\1+", r"\1", marked)


def _slot(number: int) -> str:
    return f"\N{MATHEMATICAL LEFT WHITE SQUARE BRACKET}{number}\N{MATHEMATICAL RIGHT WHITE SQUARE BRACKET}"


def _trimmed(text: str, span: tuple[int, int]) -> tuple[int, int]:
    """The span without the wildcards and spaces at its ends."""
    start, end = span
    while start < end and text[start] in "% ":
        start += 1
    while start < end and text[end - 1] in "% ":
        end -= 1
    return start, end
