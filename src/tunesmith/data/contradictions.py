"""Rows that ask nearly the same and whose answers cannot both be right: another number, or a yes against a no.

Which rows ask the same is decided by the rules for near copies and for the same in other words, which keep apart what
differs in a number, name, negation or opposite. Of their answers only what can contradict is compared: numbers of one
unit, and what one answer states and the other denies. Two answers in other words are no contradiction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.data.claims import Claims, claims_of
from tunesmith.data.meaning import Reader, meaning_pairs
from tunesmith.data.near import near_pairs

# Bound of `meaning_pairs`, lower than for copies: answers must contradict each other besides. Of 1.25 to 1.5, each
# without an alarm in three tables, it found 67 % and was right in 87 % where 1.5 was in 62 and 74 % (one table).
_SAME_ASKED = 1.35
_ALIKE = 0.3  # share of common terms from which two answers are about the same
_MOST_OF_A_TEXT = 20  # rows with the same input that are compared with those of another


@dataclass(frozen=True)
class Contradiction:
    """row: position of the row. other: of a row whose answer contradicts it. why: in words.

    share: of the rows that ask nearly the same as `row`, itself included, those whose answers contradict it.
    """

    row: int
    other: int
    why: str
    share: float


def contradictions(inputs: Sequence[str], answers: Sequence[str], reader: Reader | None) -> list[Contradiction]:
    """Rows that most of those asking nearly the same contradict, in order.

    reader: for what is asked in other words; None: wording alone decides. Rows with equal inputs
    are no pair here: `conflicts` compares those.
    """
    near = near_pairs(inputs)
    pairs = [*near.pairs, *(meaning_pairs(inputs, near, reader, bound=_SAME_ASKED).pairs if reader is not None else ())]
    members: dict[int, list[int]] = defaultdict(list)
    for at, number in enumerate(near.exact.tolist()):
        members[number].append(at)
    against: dict[int, list[tuple[int, str]]] = defaultdict(list)
    beside: dict[int, int] = defaultdict(int)
    read: dict[int, Claims] = {}
    for pair in pairs:
        for one in members[pair.one][:_MOST_OF_A_TEXT]:
            for other in members[pair.other][:_MOST_OF_A_TEXT]:
                for at in (one, other):
                    beside[at] += 1
                    if at not in read:
                        read[at] = claims_of(answers[at])
                why = _contradicts(read[one], read[other])
                if why:
                    against[one].append((other, why))
                    against[other].append((one, why))
    found = []
    for row in sorted(against):
        if 2 * len(against[row]) > beside[row]:
            other, why = against[row][0]
            found.append(Contradiction(row, other, why, len(against[row]) / (beside[row] + 1)))
    return found


def _contradicts(one: Claims, other: Claims) -> str:
    """How two answers contradict each other, or ""."""
    mine, theirs = one.polarity.keys(), other.polarity.keys()
    if not mine or not theirs:
        alike = not mine and not theirs
    else:
        alike = len(mine & theirs) >= _ALIKE * min(len(mine), len(theirs))
    if not alike:
        return ""
    units: list[dict[str | None, set[str]]] = []
    for claims in (one, other):
        by_unit: dict[str | None, set[str]] = defaultdict(set)
        for value, seen in claims.numbers.items():
            for unit in seen:
                by_unit[unit].add(value)
        units.append(by_unit)
    for unit in units[0]:
        if unit in units[1] and not units[0][unit] & units[1][unit]:
            a, b = (f"{min(values[unit])} {unit or ''}".strip() for values in units)
            return f"{a} against {b}"
    for word in sorted(mine & theirs):
        if one.polarity[word] == (True, False) and other.polarity[word] == (False, True):
            return f"'{word}' against no '{word}'"
        if one.polarity[word] == (False, True) and other.polarity[word] == (True, False):
            return f"no '{word}' against '{word}'"
    return ""
