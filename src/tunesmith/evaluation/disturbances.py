"""Texts as people also send them: mistyped, in capitals, without marks, put in other words, with chatter around them.

Each disturbance is a function of a text and a random stream that leaves its meaning, and so the right answer, alone.
What it cannot change comes back as it was. Rules and sentences are written for this; rewording knows English only.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_WORD = re.compile(r"[^\W\d_]{4,}")
_SPACES = re.compile(r"[ \t]+")
# One word in so many gets one mistake; a text gets at least one where it has a word of four letters.
_WORDS_PER_TYPO = 8
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_CHATTER = (
    "Hello, I hope you are doing well today.",
    "I am writing this from my phone on the way home.",
    "It has been raining here since the early morning.",
    "My neighbour told me that I should simply write to you.",
    "I have a few minutes before the next meeting begins.",
    "Sorry if this is not the right place to ask.",
    "We had a lovely weekend by the lake, by the way.",
    "Thank you very much and have a good day.",
    "Please excuse any mistakes, the screen is small.",
    "The office is quiet this week because of the holidays.",
)
_PADDED_TO_WORDS = 40
# (what is found, what stands there instead); the first letter's case is kept.
_OTHER_WORDS = tuple(
    (re.compile(rf"\b{found}\b", re.IGNORECASE), instead)
    for found, instead in (
        (r"can't", "cannot"), (r"cannot", "can not"), (r"won't", "will not"), (r"don't", "do not"),
        (r"doesn't", "does not"), (r"didn't", "did not"), (r"isn't", "is not"), (r"wasn't", "was not"),
        (r"haven't", "have not"), (r"hasn't", "has not"), (r"i'm", "I am"), (r"i've", "I have"), (r"i'd", "I would"),
        (r"i'll", "I will"), (r"it's", "it is"), (r"that's", "that is"), (r"what's", "what is"),
        (r"do not", "don't"), (r"does not", "doesn't"), (r"did not", "didn't"), (r"is not", "isn't"),
        (r"will not", "won't"), (r"i am", "I'm"), (r"i have", "I've"), (r"it is", "it's"), (r"what is", "what's"),
        (r"want to", "would like to"), (r"need to", "have to"), (r"have to", "need to"), (r"can you", "could you"),
        (r"can i", "could I"), (r"could you", "can you"), (r"how do i", "how can I"), (r"help me", "assist me"),
        (r"right now", "at the moment"), (r"why is", "why would it be that"), (r"a lot of", "many"),
        (r"maybe", "perhaps"), (r"also", "as well"), (r"about", "regarding"), (r"very", "really"),
        (r"buy", "purchase"), (r"begin", "start"), (r"get", "receive"), (r"big", "large"), (r"however", "but"),
    )
)  # fmt: skip


@dataclass(frozen=True)
class Disturbance:
    """name: for people. make: text and stream to text. work: its answer's cost, in answers to the text as it was."""

    name: str
    make: Callable[[str, np.random.Generator], str]
    work: float = 1.0
    english: bool = False


def typos(text: str, draw: np.random.Generator) -> str:
    """One word in eight mistyped: two letters swapped, one left out, doubled, or its neighbour on the keyboard."""
    found = list(_WORD.finditer(text))
    if not found:
        return text
    hit = draw.choice(len(found), size=max(1, len(found) // _WORDS_PER_TYPO), replace=False)
    for at in sorted(hit.tolist(), reverse=True):
        word = found[at]
        text = text[: word.start()] + _mistyped(word.group(), draw) + text[word.end() :]
    return text


def _mistyped(word: str, draw: np.random.Generator) -> str:
    at = int(draw.integers(1, len(word) - 1))
    kind = int(draw.integers(4))
    if kind == 0:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == 1:
        return word[:at] + word[at + 1 :]
    if kind == 2:
        return word[: at + 1] + word[at:]
    row = next((keys for keys in _KEYS if word[at].lower() in keys), "")
    if not row:
        return word[: at + 1] + word[at:]
    place = row.index(word[at].lower())
    return word[:at] + row[place - 1 if place else 1] + word[at + 1 :]


def capitals(text: str, _: np.random.Generator) -> str:
    """All in capitals."""
    return text.upper()


def lower_case(text: str, _: np.random.Generator) -> str:
    """All in small letters."""
    return text.lower()


def no_marks(text: str, _: np.random.Generator) -> str:
    """Without punctuation; Latin, Greek and Cyrillic letters without diacritics (other scripts need theirs)."""
    plain = "".join(_bare(letter) for letter in text)
    kept = "".join(" " if unicodedata.category(letter)[0] == "P" else letter for letter in plain)
    return _SPACES.sub(" ", kept).strip() or text


def _bare(letter: str) -> str:
    apart = unicodedata.normalize("NFD", letter)
    if len(apart) == 1 or not unicodedata.name(apart[0], "").startswith(("LATIN", "GREEK", "CYRILLIC")):
        return letter
    return "".join(part for part in apart if not unicodedata.combining(part))


def reworded(text: str, draw: np.random.Generator) -> str:
    """Up to three short English phrases by others that say the same."""
    places = [(*m.span(), instead) for pattern, instead in _OTHER_WORDS for m in pattern.finditer(text)]
    taken: list[tuple[int, int, str]] = []
    for at in draw.permutation(len(places)).tolist():
        start, end, instead = places[at]
        if len(taken) < 3 and all(end <= a or start >= b for a, b, _ in taken):
            taken.append((start, end, instead))
    for start, end, instead in sorted(taken, reverse=True):
        first = instead[0].upper() if text[start].isupper() else instead[0]
        text = text[:start] + first + instead[1:] + text[end:]
    return text


def padded(text: str, draw: np.random.Generator) -> str:
    """With about forty words before and after it that have nothing to do with it."""
    around: list[str] = []
    for at in draw.permutation(len(_CHATTER)).tolist():
        if sum(len(line.split()) for line in around) >= _PADDED_TO_WORDS:
            break
        around.append(_CHATTER[at])
    middle = len(around) // 2
    return " ".join([*around[:middle], text, *around[middle:]])


DISTURBANCES = (
    Disturbance("mistyped", typos),
    Disturbance("in capitals", capitals),
    Disturbance("in small letters", lower_case),
    Disturbance("without marks", no_marks),
    Disturbance("reworded", reworded, english=True),
    Disturbance("chatter around it", padded, work=3.0),
)
