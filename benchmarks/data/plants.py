"""Copies of a text, and texts that only look like copies, made at random."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable, Sequence

Make = Callable[[str, random.Random], str | None]

_FEWEST_LETTERS = 15  # below, two mistakes may make any text of any other
_FEWEST_WORDS = 8  # in another order
_NAMES = [
    "Lisbon", "Nairobi", "Oslo", "Hanoi", "Quito", "Google", "Toyota", "Nokia", "Siemens",
    "Pepsi", "Maria", "Kwame", "Ingrid", "Pedro", "Yusuf", "Portugal", "Kenya", "Norway",
    "Vietnam", "Ecuador", "Boston", "Tesla", "Amazon", "Sweden", "Fatima",
]  # fmt: skip
_AUXILIARY = re.compile(r"\b(is|are|was|were|do|does|did|can|could|will|would|has|have|should)\b(?! not|n't)", re.I)


def misspelt(mistakes: int) -> Make:
    """One or more letters swapped, left out, put in or exchanged, anywhere."""

    def make(text: str, draw: random.Random) -> str | None:
        letters = list(text)
        if sum(map(str.isalpha, text)) < _FEWEST_LETTERS:
            return None
        for _ in range(mistakes):
            at = draw.choice([i for i, letter in enumerate(letters) if letter.isalpha()])
            how = draw.choice(("swap", "drop", "add", "change"))
            if how == "swap" and at + 1 < len(letters) and letters[at + 1].isalpha():
                letters[at], letters[at + 1] = letters[at + 1], letters[at]
            elif how == "drop":
                del letters[at]
            elif how == "add":
                letters.insert(at, draw.choice(string.ascii_lowercase))
            else:
                letters[at] = draw.choice(string.ascii_lowercase)
        return "".join(letters)

    return make


def in_other_case(text: str, draw: random.Random) -> str:
    """All letters large, small, swapped, or the first of each word large."""
    return draw.choice((str.upper, str.lower, str.title, str.swapcase))(text)


def repunctuated(text: str, draw: random.Random) -> str:
    """Other spaces, and other marks at the end."""
    return "  ".join(text.split()).rstrip(".!? ") + draw.choice(("", ".", "!", " ?", "..."))


def reordered(text: str, draw: random.Random) -> str | None:
    """All words in another order; None for fewer than eight."""
    words = text.split()
    if len(words) < _FEWEST_WORDS:
        return None
    draw.shuffle(words)
    return " ".join(words)


def reordered_and_misspelt(text: str, draw: random.Random) -> str | None:
    """Both."""
    turned = reordered(text, draw)
    return turned and misspelt(1)(turned, draw)


def other_number(text: str, draw: random.Random) -> str | None:
    """One digit is another."""
    spots = list(re.finditer(r"\d+", text))
    if not spots:
        return None
    spot = draw.choice(spots)
    at = draw.randrange(len(spot.group()))
    other = draw.choice([d for d in "123456789" if d != spot.group()[at]])
    return text[: spot.start() + at] + other + text[spot.start() + at + 1 :]


def other_name(text: str, draw: random.Random) -> str | None:
    """A name in the middle of a sentence exchanged for another."""
    spots = list(re.finditer(r"(?<=[a-z] )[A-Z][a-z]{3,}", text))
    if not spots:
        return None
    spot = draw.choice(spots)
    return text[: spot.start()] + draw.choice([n for n in _NAMES if n != spot.group()]) + text[spot.end() :]


def denied(text: str, draw: random.Random) -> str | None:
    """A "not" behind a verb that had none, or one taken away."""
    if re.search(r"\bnot ", text):
        return re.sub(r"\bnot ", "", text, count=1)
    spots = list(_AUXILIARY.finditer(text))
    if not spots:
        return None
    spot = draw.choice(spots)
    return text[: spot.end()] + " not" + text[spot.end() :]


def other_word(vocabulary: Sequence[str]) -> Make:
    """One word of five letters and more exchanged for another such word of the table."""

    def make(text: str, draw: random.Random) -> str | None:
        spots = list(re.finditer(r"\b[a-z]{5,}\b", text))
        if not spots:
            return None
        spot = draw.choice(spots)
        stem = spot.group()[:4]
        other = draw.choice(vocabulary)
        return None if other.startswith(stem) else text[: spot.start()] + other + text[spot.end() :]

    return make


COPIES: dict[str, Make] = {
    "one mistake": misspelt(1),
    "two mistakes": misspelt(2),
    "case": in_other_case,
    "order": reordered,
    "order and one mistake": reordered_and_misspelt,
}


def look_alikes(texts: Sequence[str]) -> dict[str, Make]:
    """Ways to make another text that looks like one of `texts`."""
    vocabulary = sorted({word for text in texts for word in re.findall(r"\b[a-z]{5,}\b", text)})
    return {"number": other_number, "name": other_name, "denied": denied, "word": other_word(vocabulary)}


def plant(
    texts: Sequence[str], makes: dict[str, Make], draw: random.Random, *, share: float
) -> tuple[list[str], list[tuple[str, int, int]]]:
    """(what was made, (kind, place of the original, place among what was made)); `share` of the texts for each kind."""
    made, marks = [], []
    for kind, make in makes.items():
        for at in draw.sample(range(len(texts)), max(1, int(share * len(texts)))):
            text = make(texts[at], draw)
            if text is not None and text != texts[at]:
                marks.append((kind, at, len(made)))
                made.append(text)
    return made, marks
