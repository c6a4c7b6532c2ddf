"""Says whether two texts are one text worded a little differently, and in what way.

Words are compared as multisets: what one text has and the other lacks decides. Spelling mistakes, other spacing and
other order make the same text; another number, another name or a negation makes another one, however alike the rest is.

What this does not see: paraphrases (data/meaning.py), and exchanged words that differ in two letters or fewer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, permutations
from typing import Literal

import numpy as np

from tunesmith.data.duplicates import NEAR

Kind = Literal["order", "spelling", "wording", "meaning"]

# Fewer words than this in another order may say something else ("pound to euro").
FEWEST_REORDERED = 7
# The Jaccard index from which words put into a shorter text than eight words leave it the same.
_SHORT = 0.85
# Spelling mistakes that leave a text the same: two, and one more for each ten words.
_MISTAKES = 2
# A word this frequent in the table, or in the lists below, is a word; a rarer one may be a misspelling.
_KNOWN = 3
# A misspelling of a word is at least so many times rarer than the word itself.
_TIMES = 20
# One word that a mistake made into another word is let pass in texts of so many words, two in longer ones. In 59,000
# different texts of six kinds, words one letter apart in otherwise equal texts were misspellings or the same word in
# all cases of three letters and more; words two letters apart ("frozen", "broken") were mostly two things.
_ONE_OTHER_WORD, _TWO_OTHER_WORDS = 5, 8


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Normalising leaves "don t" of "don't": one word again.
_STEMS = "don doesn didn won wouldn can couldn shouldn isn aren wasn weren hasn haven hadn mustn needn shan ain mightn"
_ONLY_STEMS = "|".join(word for word in _STEMS.split() if word not in ("can", "won", "shan"))
_CUT = re.compile(rf"\b(\w+n) (t)\b|\b({_ONLY_STEMS}) (\w)\b")
# Words that change what is said though they change few letters.
_TURNS = _words(
    "not no never none nothing nobody without neither nor cannot "
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion "
    "first second third fourth fifth sixth seventh eighth ninth tenth half double twice "
    "monday tuesday wednesday thursday friday saturday sunday "
    "january february march april may june july august september october november december "
    "more less most least before after up down in out on off to from over under with into "
    "he she his her him male female man woman men women"
) | {stem + "t" for stem in _STEMS.split()}
# Those that turn what is said only where they stand for one another.
_SOFT = _words("up down in out on off to from over under with into before after may he she his her him")
_TURNING = _TURNS - _SOFT - _words("one more less most least first second half")
_SOUND_ALIKE = (frozenset(("to", "two")), frozenset(("for", "four")))
# Words that can be put in, left out or exchanged for one another without saying something else.
_FILLERS = _words(
    "a an the this that these those is are was were be been am do does did has have had will would can could shall "
    "should may might i you we they it me my your our their its please hi hello hey thanks thank so just really very "
    "also then there here well oh ok okay yes s m re ve d ll and but or of for at by as if how what"
)
# Words so common that what looks like one is one misspelt.
_COMMON = _FILLERS | _words("why when where who which get got need want only because about any all")
# Words that look like a misspelt turning word, known in tables too small to know them.
_LOOK_ALIKES = _words(
    "now note got hot lot pot dot net nut go do so know knew ever lever fever done gone bone tone own son sun "
    "ton tan tin fun fire fine live hive sex six nice mine line tree there then tin ran run fist fast tired hall "
    "calf wore mode mote moan loss lass last lest east upon town dawn owner ore our oil of if it is as at an and am "
    "form rover oven cover wander wind wish width both she he the them this his has hip hit main many map mean "
    "even seen mere more too us uk eu "
)
# In front of a word these turn it round ("blocked", "unblocked").
_PREFIXES = ("un", "in", "im", "ir", "il", "re", "de")
# So many different words are compared letter by letter; more are no misspelling.
_MOST_COMPARED = 12
_UNPAIRED = 100


@dataclass(frozen=True)
class Likeness:
    """How two texts are the same. score: 0 to 1, the share of letters or shingles that agree."""

    kind: Kind
    score: float


class Wording:
    """Compares normalised texts against the words of their own table.

    keys: different normalised texts (`duplicates.normalise`). How often a word occurs in them tells a misspelt word
    (rare, close to a common one) from another word (both common).
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._counts: Counter[str] = Counter(chain.from_iterable(map(_split, keys)))

    def compare(self, one: str, other: str, *, threshold: float = NEAR) -> Likeness | None:
        """How the two are the same text; None if they are not, or if it cannot be told.

        threshold: Jaccard index of 5-character shingles from which a text with words put in or left out is the same.
        """
        first, second = _split(one), _split(other)
        lost, gained = _beyond(first, second), _beyond(second, first)
        size = max(len(first), len(second))
        if not lost and not gained:
            return Likeness("order", 0.99) if size >= FEWEST_REORDERED else None
        if size < FEWEST_REORDERED and _left(first, lost) != _left(second, gained):
            return None
        if "".join(lost) == "".join(gained):
            return Likeness("spelling", 0.99)
        if max(len(lost), len(gained)) > 0.6 * size + 2:
            return None
        if max(len(lost), len(gained)) <= _MOST_COMPARED:
            mistakes = self._respaced(lost, gained)
            if mistakes is None:
                lost, gained, mistakes = self._without_misspelt(lost, gained, size)
            else:
                lost, gained = [], []
            if mistakes and not lost and not gained:
                score = 1 - mistakes / max(len(one), len(other))
                return Likeness("spelling", round(score, 3)) if mistakes <= max(_MISTAKES, size // 10) else None
        if _turns(lost) != _turns(gained) or _digits(lost) != _digits(gained):
            return None
        if lost and gained and not all(word in _FILLERS for word in chain(lost, gained)):
            return None
        index = jaccard(one, other)
        if size < FEWEST_REORDERED + 1 and not all(word in _FILLERS for word in chain(lost, gained)):
            threshold = max(threshold, _SHORT)  # one word more may be what a short text is about
        return Likeness("wording", round(index, 3)) if index >= threshold else None

    def _without_misspelt(
        self, lost: Sequence[str], gained: Sequence[str], size: int
    ) -> tuple[list[str], list[str], int]:
        """What is left when words and their misspellings are taken out, and how many mistakes that were.

        size: words of the text. Words are paired so that the fewest stay unpaired, with the fewest mistakes.
        """
        costs = [[self._mistakes(word, other, size) for other in gained] for word in lost]
        pairs = _paired(costs)
        matched = [(lost[i], gained[j]) for i, j in pairs]
        others = sum(self._is_word(one, other) and self._is_word(other, one) for one, other in matched)
        if others > (0 if size < _ONE_OTHER_WORD else 1 if size < _TWO_OTHER_WORDS else 2):
            return list(lost), list(gained), 0
        mistakes = sum(costs[i][j] or 0 for i, j in pairs)
        left = [word for at, word in enumerate(lost) if at not in {i for i, _ in pairs}]
        free = [word for at, word in enumerate(gained) if at not in {j for _, j in pairs}]
        more = self._respaced(left, free)
        if more is not None:
            return [], [], mistakes + more
        lone = all(len(word) == 1 and word.isalpha() for word in chain(left, free))
        if lone and not (left and free and all(word in _FILLERS for word in chain(left, free))):
            return [], [], mistakes + max(len(left), len(free))  # a lone letter went, came or is another
        return left, free, mistakes

    def _respaced(self, lost: Sequence[str], gained: Sequence[str]) -> int | None:
        """Mistakes if both are the same letters but for moved spaces and two letters at most, else None."""
        if not lost or not gained or not 2 <= max(len(lost), len(gained)) <= 4:
            return None
        if any(map(_has_digit, chain(lost, gained))) or min(self._counts[w] for w in chain(lost, gained)) >= _KNOWN:
            return None  # where all are words of this table, spaces have not moved
        whole = "".join(lost)
        most = _MISTAKES if len(lost) + len(gained) <= 3 or len(lost) == len(gained) else 1
        if len(whole) < 4 or abs(len(whole) - sum(map(len, gained))) > most:
            return None
        cost = min(edits(whole, "".join(order)) for order in permutations(gained))
        return max(cost, 1) if cost <= most and 3 * cost <= len(whole) else None

    def _is_word(self, word: str, beside: str) -> bool:
        """Whether it is a word of its own and no misspelling of the other."""
        if word in _FILLERS or word in _TURNS or word in _LOOK_ALIKES:
            return True
        return self._counts[word] >= _KNOWN and self._counts[word] * _TIMES > self._counts[beside]

    def _mistakes(self, one: str, other: str, size: int) -> int | None:
        """Edits that make one word of the other if one of them may be the other misspelt, else None."""
        if abs(len(one) - len(other)) > _MISTAKES:
            return None
        if _has_digit(one) or _has_digit(other):
            return _beside_digits(one, other)
        cost = edits(one, other)
        if cost > _MISTAKES:
            return None
        short, long = sorted((one, other), key=len)
        both = self._is_word(one, other) and self._is_word(other, one)
        if one in _TURNS or other in _TURNS:
            if frozenset((one, other)) in _SOUND_ALIKE:
                return cost
            if one in _TURNS and other in _TURNS:
                return None
            if both:  # "to" and "do", but not "not" and "now"
                return cost if cost == 1 and (one in _SOFT or other in _SOFT) else None
            return cost if cost == 1 or len(short) >= 4 else None
        if len(short) >= 4 and long.startswith(short) and long[len(short) :] in ("s", "es", "d", "ed"):
            return 1
        common = one in _COMMON or other in _COMMON
        if both:
            return cost if cost == 1 and (common or len(long) >= 4 or len(long) == 3 <= size - 3) else None
        if cost == 1:
            return cost if len(long) >= 3 or len(short) == 1 or common or size >= FEWEST_REORDERED else None
        if long[2:] == short and long[:2] in _PREFIXES:
            return None
        if common:
            return cost if len(long) >= 4 or size >= FEWEST_REORDERED else None
        if not (self._is_word(one, other) or self._is_word(other, one)):
            return cost if len(long) >= 6 and (one[0] == other[0] or one[-1] == other[-1]) else None
        return cost if len(long) >= 4 else None


def _beside_digits(one: str, other: str) -> int | None:
    """Edits in the letters of two words with the same digits, as in "2004this"; None for other digits."""
    letters = [re.sub(r"\d", "", word) for word in (one, other)]
    if re.sub(r"\D", "", one) != re.sub(r"\D", "", other) or min(map(len, letters)) < 3:
        return None
    cost = edits(*letters)
    return cost if cost <= _MISTAKES else None


def _paired(costs: Sequence[Sequence[int | None]]) -> list[tuple[int, int]]:
    """(row, column) pairs of least cost, as many as can be; None cannot be paired."""
    if not costs or not costs[0]:
        return []
    from scipy.optimize import linear_sum_assignment

    full = np.array([[_UNPAIRED if cost is None else cost for cost in row] for row in costs])
    rows, columns = linear_sum_assignment(full)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if full[i, j] < _UNPAIRED]


def _split(key: str) -> list[str]:
    return _CUT.sub(r"\1\2\3\4", key).split()


def differing(one: str, other: str) -> tuple[str, str]:
    """The words of each normalised text that the other lacks, in order, without fillers."""
    first, second = _split(one), _split(other)
    lost, gained = (
        [word for word in words if word not in _FILLERS] for words in (_beyond(first, second), _beyond(second, first))
    )
    return " ".join(lost), " ".join(gained)


def says_otherwise(one: str, other: str) -> bool:
    """Whether two normalised texts differ in a number or in a word that turns what is said (not, before, monday)."""
    first, second = _split(one), _split(other)
    lost, gained = _beyond(first, second), _beyond(second, first)
    return _digits(lost) != _digits(gained) or bool((set(lost) ^ set(gained)) & _TURNING)


def jaccard(one: str, other: str) -> float:
    """The Jaccard index of the 5-character shingles of two normalised texts (Broder 1997, section 2: resemblance)."""
    a, b = ({text[at : at + 5] for at in range(max(1, len(text) - 4))} for text in (one, other))
    return len(a & b) / len(a | b)


@lru_cache(maxsize=1 << 16)
def edits(one: str, other: str, most: int = _MISTAKES) -> int:
    """Insertions, deletions, exchanges and swaps of letters that are or were neighbours (Damerau 1964).

    A swap and one letter put in or left out between the two count two (Lowrance and Wagner 1975, section 2). Counts up
    to `most`; `most` + 1 stands for more. Only the diagonals that so many edits can reach are filled in (Ukkonen
    1985), so that long words cost no more than their length.
    """
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    one, other = one[start:], other[start:]
    while one and other and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    over = most + 1
    if abs(len(one) - len(other)) > most:
        return over
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    before: dict[int, int] = {}
    row = {j: j for j in range(min(most, len(other)) + 1)}
    for i, a in enumerate(one, 1):
        first, last, before, row = last, before, row, {}
        for j in range(max(0, i - most), min(len(other), i + most) + 1):
            if j == 0:
                row[0] = i
                continue
            b = other[j - 1]
            best = min(before.get(j, over) + 1, row.get(j - 1, over) + 1, before.get(j - 1, over) + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                best = min(best, last.get(j - 2, over) + 1)
            if i > 2 and j > 1 and a == other[j - 2] and one[i - 3] == b:
                best = min(best, first.get(j - 2, over) + 2)
            if i > 1 and j > 2 and a == other[j - 3] and one[i - 2] == b:
                best = min(best, last.get(j - 3, over) + 2)
            row[j] = best
        if min(row.values()) > most:
            return over
    return min(row.get(len(other), over), over)


def _left(words: Sequence[str], without: Sequence[str]) -> list[str]:
    """The words in order, without some."""
    gone = Counter(without)
    found = []
    for word in words:
        if gone[word] > 0:
            gone[word] -= 1
        else:
            found.append(word)
    return found


def _beyond(words: Sequence[str], others: Sequence[str]) -> list[str]:
    """The words that the others lack, as a multiset, in order."""
    left = Counter(others)
    found = []
    for word in words:
        if left[word] > 0:
            left[word] -= 1
        else:
            found.append(word)
    return found


def _has_digit(word: str) -> bool:
    return any(letter.isdigit() for letter in word)


def _digits(words: Sequence[str]) -> list[str]:
    return sorted(word for word in words if _has_digit(word))


def _turns(words: Sequence[str]) -> list[str]:
    return sorted(word for word in words if word in _TURNS)
