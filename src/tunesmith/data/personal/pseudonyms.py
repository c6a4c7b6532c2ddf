"""Stands in invented values of the same kind for personal ones: the same value gets the same one every time.

Values are taken from ranges that belong to nobody where there are such: example.com, 555-01xx, the documentation
networks, social security areas that are never issued, cards and accounts whose checks cannot hold. A name gets an
everyday name, word by word, so that "Maria Ortega" and a later "Ortega" stay one family.
"""

# ruff: noqa: E501, SIM905 - lists of words read better as one string

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence

from tunesmith.data.personal.checksums import luhn
from tunesmith.data.personal.given import GIVEN
from tunesmith.data.personal.spans import Span
from tunesmith.data.personal.surnames import PARTICLES

_FIRST = (
    "Ada Ned Kim Lou Jo Rae Ike Una Ola Ivo Mila Nora Hugo Otto Lena Arlo Cleo Juno Remy Tess Alma Enzo Iris Noel Petra Linus Della "
    "Rufus Greta Simon Clara Oscar Naomi Felix Hazel Edgar Mabel Robin Sasha Corin Elowen Jasper Marion Rowena Silvan Thelma "
    "Walter Imogen Dorian Estela Florin Harlan Ottilie Leopold Rosalind Cornelia Philippa Valentin Florentin Clementine Bartholomew"
).split()
_LAST_HEADS = "Ash Birch Cald Dun Elm Fen Gorse Hal Ing Kel Lang Marl Nor Oak Pen Quill Rook Sed Thorn Ull Vale Wain Yar Zell".split()
_LAST_TAILS = "by den ley mere combe thwaite worth field ridge wick stow brook hurst garth sett croft".split()
_PLACE_TAILS = " mouth stead minster bury dale haven gate cote".split(" ")
_STREETS = (
    "Alder Beech Cedar Chestnut Hawthorn Juniper Larch Linden Maple Poplar Rowan Spruce Sycamore Walnut Willow".split()
)
_COMPANIES = "Acorn Beacon Compass Drumlin Ember Falcon Gantry Harbour Ivory Juniper Keystone Lantern Meridian Nimbus Orchard".split()
_WORD = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")
_NUMBER = re.compile(r"\d")


class Pseudonyms:
    """Pseudonyms of one Dataset. Keyed by seed and by all the texts: the output alone does not lead back to a value.

    Whoever holds the original texts and the seed can make the same pseudonyms again; nobody else can test a guess.
    Two different values get two different pseudonyms as long as the range of the kind is not used up.
    """

    def __init__(self, texts: Iterable[str], *, seed: int = 0) -> None:
        digest = hashlib.sha256(f"pseudonyms {seed}\0".encode())
        for text in texts:
            digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
        self._key = digest.digest()
        self._given: dict[tuple[str, str], str] = {}
        self._used: set[tuple[str, str]] = set()

    def replace(self, text: str, spans: Sequence[Span]) -> str:
        """The text with every span's value replaced; spans as `find` gives them: in order, without overlaps."""
        parts, at = [], 0
        for span in spans:
            parts += [text[at : span.start], self.of(span.kind, text[span.start : span.end])]
            at = span.end
        return "".join([*parts, text[at:]])

    def of(self, kind: str, value: str) -> str:
        """The pseudonym of one value; its capitals, separators and rough length are kept."""
        if kind == "person":
            return _WORD.sub(lambda m: self._word(kind, m.group()), value)
        plain = value.casefold() if kind in ("email", "url", "place", "organisation") else value
        if kind in ("phone", "card", "iban", "national_id"):
            plain = "".join(c for c in value.casefold() if c.isalnum() or c == "+")
            return _laid_over(value, self._once(kind, plain, value))
        return (
            _cased(value, self._once(kind, plain, value))
            if kind in ("place", "organisation")
            else self._once(kind, plain, value)
        )

    def _word(self, kind: str, word: str) -> str:
        if word.casefold() in PARTICLES or word.casefold() in ("mr", "mrs", "ms", "dr", "and"):
            return word
        return _cased(word, self._once(kind, word.casefold(), word))

    def _once(self, kind: str, plain: str, value: str) -> str:
        known = self._given.get((kind, plain))
        if known is not None:
            return known
        made = ""
        for attempt in range(60):
            made = self._make(kind, value, _Draw(self._key, f"{kind}\0{plain}\0{attempt}"))
            if made.casefold() != plain and (kind, made.casefold()) not in self._used:
                break
        self._given[kind, plain] = made
        self._used.add((kind, made.casefold()))
        return made

    def _make(self, kind: str, value: str, draw: _Draw) -> str:
        if kind == "person":
            return _name(value, draw)
        if kind == "place":
            return draw.one(_LAST_HEADS) + draw.one([*_LAST_TAILS, *_PLACE_TAILS])
        if kind == "organisation":
            tail = re.search(
                r"(?i)[ ,]+(?:inc|ltd|llc|llp|plc|gmbh|ag|corp|co|sa|bv|ab|group|bank|university|company)\.?$", value
            )
            return (
                f"{draw.one(_COMPANIES)} {draw.one(_LAST_HEADS)}{draw.one(_LAST_TAILS)}{tail.group() if tail else ''}"
            )
        if kind == "email":
            return f"{draw.one(_FIRST).lower()}.{draw.one(_LAST_HEADS).lower()}{draw.one(_LAST_TAILS)}{draw.below(100)}@example.com"
        if kind == "url":
            scheme = re.match(r"(?i)[a-z]+://", value)
            host = "www." if re.match(r"(?i)(?:[a-z]+://)?www\.", value) else ""
            return f"{scheme.group() if scheme else ''}{host}{draw.one(_LAST_HEADS).lower()}{draw.one(_LAST_TAILS)}{draw.below(1000)}.example.com"
        if kind == "ip":
            if ":" in value:
                return f"2001:db8::{draw.below(65536):x}:{draw.below(65536):x}"
            return f"{draw.one(['192.0.2', '198.51.100', '203.0.113'])}.{1 + draw.below(254)}"
        if kind == "address":
            return _address(value, draw)
        if kind == "date_of_birth":
            return _date(value, draw)
        return _number(kind, "".join(c for c in value if c.isalnum()), draw)


class _Draw:
    """Endless choices out of a keyed hash."""

    def __init__(self, key: bytes, label: str) -> None:
        self._key, self._label, self._at = key, label, 0

    def below(self, bound: int) -> int:
        self._at += 1
        digest = hmac.new(
            self._key, f"{self._label}\0{self._at}".encode("utf-8", "surrogatepass"), hashlib.sha256
        ).digest()
        return int.from_bytes(digest[:8], "big") % bound

    def one(self, choices: Sequence[str]) -> str:
        return choices[self.below(len(choices))]

    def digits(self, count: int) -> str:
        return "".join(str(self.below(10)) for _ in range(count))


def _name(word: str, draw: _Draw) -> str:
    if len(word) == 1:
        return "ABCDEFGHJKLMNOPRSTW"[draw.below(19)]
    if word.casefold() in GIVEN:
        near = [name for name in _FIRST if _length_class(name) == _length_class(word)]
        if draw.below(3):  # of the short pool first, then of the endless one: many data sets hold more given names
            return draw.one(near)
        return draw.one(near) + draw.one(["a", "o", "e", "is", "an"])
    made = draw.one(_LAST_HEADS)
    return made if len(word) <= 4 and draw.below(2) else made + draw.one(_LAST_TAILS)


def _length_class(word: str) -> int:
    return 0 if len(word) <= 4 else 1 if len(word) <= 7 else 2


def _address(value: str, draw: _Draw) -> str:
    """Street, and as many of unit, town and code as the value has, in its own line breaks."""
    breaks = re.findall(r"[\s,>?*|]*\n[\s,>?*|]*|, ", value)
    parts = [f"{1 + draw.below(899)} {draw.one(_STREETS)} {draw.one(['Street', 'Road', 'Lane', 'Avenue'])}"]
    for at in range(len(breaks)):
        town = f"{draw.one(_LAST_HEADS)}{draw.one([*_LAST_TAILS, *_PLACE_TAILS])}"
        parts.append(
            town if at + 1 < len(breaks) or not re.search(r"\d{4}", value[-12:]) else f"{town} 00{draw.digits(3)}"
        )
    made = parts[0]
    for gap, part in zip(breaks, parts[1:], strict=True):
        made += gap + part
    return made


def _date(value: str, draw: _Draw) -> str:
    """Another day and year within four of the first, in the same form; a month in words stays."""
    groups = re.findall(r"\d+", value)
    made = []
    for group in groups:
        if len(group) == 4:
            made.append(str(int(group) - 4 + draw.below(9)))
        elif int(group) > 31:
            made.append(f"{(int(group) - 4 + draw.below(9)) % 100:02d}")
        else:
            made.append(str(1 + draw.below(12)).zfill(len(group)))
    found = iter(made)
    return re.sub(r"\d+", lambda _: next(found), value)


def _number(kind: str, bare: str, draw: _Draw) -> str:
    """As many letters and digits as `bare` has, none of which anybody holds."""
    if kind == "phone":
        tail = f"55501{draw.digits(2)}"
        plain = re.split(r"(?i)[a-z]", bare)[0]
        head = "".join(str(2 + draw.below(8)) if c.isdigit() else c for c in plain[: max(0, len(plain) - 7)])
        return (
            head + tail[-len(plain) :] + "".join(str(draw.below(10)) if c.isdigit() else c for c in bare[len(plain) :])
        )
    if kind == "iban":
        return (
            bare[:2].upper()
            + "00"
            + "".join(draw.digits(1) if c.isdigit() else "ABCDEFGHKLMN"[draw.below(12)] for c in bare[4:])
        )
    if kind == "card":
        made = bare[0] + draw.digits(len(bare) - 1)
        return made if not luhn(made) else made[:-1] + str((int(made[-1]) + 1) % 10)
    if kind == "national_id" and re.fullmatch(r"\d{9}", bare):
        return "000" + draw.digits(6)
    return "".join(
        draw.digits(1) if c.isdigit() else c if not c.isalpha() else "ABCDEFGHKLMN"[draw.below(12)] for c in bare
    )


def _laid_over(value: str, made: str) -> str:
    """The letters and digits of `made` in the places of those of `value`, separators kept."""
    left = iter(made)
    return "".join(next(left, "0") if c.isalnum() else c for c in value)


def _cased(value: str, made: str) -> str:
    return made.upper() if value.isupper() and len(value) > 1 else made.lower() if value.islower() else made
