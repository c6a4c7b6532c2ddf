"""Texts that went through the wrong encoding, a web page or a typesetter on their way: what was done to them, undone.

Mojibake (by ftfy), HTML entities, control characters, exotic spaces and line ends, letters in pieces, ligatures.

What this does not do: letters that were lost (question marks, U+FFFD) do not come back, tags are left, spaces are not
counted, and what may be meant (joiners, directions, full-width letters, emoji) stays. A lone "Ã" before a space is read
as "à", as which it is far more common.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

_ENTITY = re.compile(r"&(?:#\d{2,7}|#[xX][0-9a-fA-F]{2,6}|[A-Za-z][A-Za-z0-9]{1,30});")
# "AT amp;T", " quot;yes quot;", " #39;s": entities that lost their ampersand to a space.
_BARE_ENTITY = re.compile(r"(?:(?<=\s)|^|\s)(amp|quot|lt|gt|apos|nbsp|#\d{2,4});")
_MARKUP = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u00ad\ufeff\u200b\u2060\ufff9-\ufffb]")
# Line ends of other systems, and spaces of other widths. The ideographic space is a letter's width on purpose.
_LINE_ENDS = re.compile("\r\n?|\u2028|\u2029")
_SPACES = re.compile("[\xa0\u1680\u2000-\u200a\u202f\u205f]")
# Where a page was set in print, pairs of letters come back as one.
_LIGATURES = {0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st", 0xFB06: "st"}
_LIGATURE = re.compile("[\ufb00-\ufb06]")
# The bytes 0x80 to 0x9f read as latin-1: quotes, dashes and letters of the western code page.
_C1 = re.compile("[\x80-\x9f]")
_WESTERN = {code: bytes([code]).decode("cp1252", "ignore") for code in range(0x80, 0xA0)}


@dataclass(frozen=True)
class Mended:
    """The texts, and for those that changed (by position) the kinds of repair."""

    texts: list[str]
    kinds: dict[int, tuple[str, ...]] = field(default_factory=dict)

    @property
    def changed(self) -> tuple[int, ...]:
        """Positions of the texts that changed, in order."""
        return tuple(self.kinds)

    @property
    def counts(self) -> dict[str, int]:
        """How many texts each kind of repair touched."""
        return dict(Counter(kind for kinds in self.kinds.values() for kind in kinds))


def mend(texts: Sequence[str]) -> Mended:
    """Every text with its damage undone; texts that need nothing are returned as they are.

    Entities are left alone where a text holds markup of its own: there they may be meant.
    """
    out = list(texts)
    kinds: dict[int, tuple[str, ...]] = {}
    for at, text in enumerate(texts):
        if text.isascii() and ";" not in text and (text.isprintable() or not _needs_care(text)):
            continue
        fixed, done = _mend_one(text)
        if fixed != text:
            out[at] = fixed
            kinds[at] = tuple(done)
    return Mended(out, kinds)


def _needs_care(text: str) -> bool:
    return "\r" in text or _CONTROLS.search(text) is not None


def _mend_one(text: str) -> tuple[str, list[str]]:
    kinds = []
    fixed = text
    for kind, mended in (
        # Before anything is taken out: soft hyphens and wide spaces may be halves of letters.
        ("wrong encoding (mojibake)", _in_its_encoding),
        ("control characters", _without_controls),
        ("HTML entities", _without_entities),
        ("wrong encoding (mojibake)", _in_its_encoding),
        ("spaces and line ends", _plain_spaces),
        ("letters in pieces", _whole_letters),
    ):
        was, fixed = fixed, mended(fixed)
        if was != fixed and kind not in kinds:
            kinds.append(kind)
    return fixed, kinds


def _without_controls(text: str) -> str:
    return _CONTROLS.sub("", text)


def _without_entities(text: str) -> str:
    found = ";" in text and (_ENTITY.search(text) or _BARE_ENTITY.search(text))
    if not found or _MARKUP.search(text):
        return text
    plain = html.unescape(html.unescape(text)) if "&" in text else text
    plain = _BARE_ENTITY.sub(_bare, plain)
    return text if plain == text else plain.replace("\xa0", " ")


def _in_its_encoding(text: str) -> str:
    if text.isascii():
        return text
    from ftfy import badness, fix_encoding

    if badness.is_bad(text):
        text = fix_encoding(text)
    # No text means these controls: they are the quotes and dashes of a western file that was read as latin-1.
    return text.translate(_WESTERN) if _C1.search(text) else text


def _plain_spaces(text: str) -> str:
    return _SPACES.sub(" ", _LINE_ENDS.sub("\n", text))


def _whole_letters(text: str) -> str:
    if text.isascii():
        return text
    if _LIGATURE.search(text):
        text = text.translate(_LIGATURES)
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


def _bare(match: re.Match[str]) -> str:
    name = match.group(1)
    character = html.unescape(f"&{name};")
    # The ampersand of an opening quote was followed by the word, that of anything else followed one.
    opens = name == "quot" and match.end() < len(match.string) and not match.string[match.end()].isspace()
    lead = match.group(0)[: -len(name) - 1]
    return (lead if opens else "") + character
