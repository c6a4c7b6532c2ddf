"""Texts that went through the wrong encoding or a web page on their way: mojibake, HTML entities, stray controls."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

# Letters that begin a UTF-8 sequence read as a western code page, before a byte that continues it.
_MOJIBAKE = re.compile(
    r"[ÂÃÄÅÆÇÐÑØÙÎÏâãäåæçèéêëìíîïð][\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]"
)
_ENTITY = re.compile(r"&(?:#\d{2,7}|#[xX][0-9a-fA-F]{2,6}|[A-Za-z][A-Za-z0-9]{1,30});")
# "AT amp;T", " quot;yes quot;", " #39;s": entities that lost their ampersand to a space.
_BARE_ENTITY = re.compile(r"(?:(?<=\s)|^|\s)(amp|quot|lt|gt|apos|nbsp|#\d{2,4});")
_MARKUP = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff\u200b\u2060]")


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
    """Every text with its encoding damage undone; texts that need nothing are returned as they are.

    Entities are left alone where a text holds markup of its own: there they may be meant.
    """
    out = list(texts)
    kinds: dict[int, tuple[str, ...]] = {}
    for at, text in enumerate(texts):
        if text.isascii() and ";" not in text and (text.isprintable() or _CONTROLS.search(text) is None):
            continue
        fixed, done = _mend_one(text)
        if fixed != text:
            out[at] = fixed
            kinds[at] = tuple(done)
    return Mended(out, kinds)


def _mend_one(text: str) -> tuple[str, list[str]]:
    kinds = []
    fixed = text
    if _CONTROLS.search(fixed):
        fixed = _CONTROLS.sub("", fixed)
        kinds.append("control characters")
    if ";" in fixed and (_ENTITY.search(fixed) or _BARE_ENTITY.search(fixed)) and not _MARKUP.search(fixed):
        plain = html.unescape(html.unescape(fixed)) if "&" in fixed else fixed
        plain = _BARE_ENTITY.sub(_bare, plain)
        if plain != fixed:
            fixed = plain.replace("\xa0", " ")
            kinds.append("HTML entities")
    if not fixed.isascii() and _MOJIBAKE.search(fixed):
        import ftfy

        mended = ftfy.fix_encoding(fixed)
        if mended != fixed:
            fixed = mended
            kinds.append("wrong encoding (mojibake)")
    return fixed, kinds


def _bare(match: re.Match[str]) -> str:
    name = match.group(1)
    character = html.unescape(f"&{name};")
    # The ampersand of an opening quote was followed by the word, that of anything else followed one.
    opens = name == "quot" and match.end() < len(match.string) and not match.string[match.end()].isspace()
    lead = match.group(0)[: -len(name) - 1]
    return (lead if opens else "") + character
