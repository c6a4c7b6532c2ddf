"""Damage of texts is undone, and nothing else is touched."""

from __future__ import annotations

import html
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.data.mending import mend

CYRILLIC = "\u0420\u045f\u0421\u0402\u0420\u0451\u0420\u0406\u0420\u00b5\u0421\u201a"  # UTF-8 read as cp1251


@pytest.mark.parametrize(
    ("damaged", "whole", "kinds"),
    [
        ("caf\u00c3\u00a9 au lait", "café au lait", ("wrong encoding (mojibake)",)),
        ("acess\u00c3\u00advel", "acessível", ("wrong encoding (mojibake)",)),  # the second byte is a soft hyphen
        (
            "\u0420\u045f\u0421\u0402\u0420\u0451\u0420\u0406\u0420\u00b5\u0421\u201a",
            "Привет",
            ("wrong encoding (mojibake)",),
        ),
        ("\x93quoted\x94 \x96 5", "“quoted” – 5", ("wrong encoding (mojibake)",)),
        ("AT&amp;amp;T &lt;#&gt;", "AT&T <#>", ("HTML entities",)),
        ("Messier #39;s lawyer", "Messier's lawyer", ("HTML entities",)),
        ("bell\x07 and zero\u200bwidth", "bell and zerowidth", ("control characters",)),
        ("one\u00a0two\u2009three\r\nfour\u2028five", "one two three\nfour\nfive", ("spaces and line ends",)),
        ("cafe\u0301 de\ufb01ned", "café defined", ("letters in pieces",)),
        (
            "\x07caf\u00c3\u00a9 &amp; bar",
            "café & bar",
            ("wrong encoding (mojibake)", "control characters", "HTML entities"),
        ),
    ],
)
def test_damage_is_undone(damaged: str, whole: str, kinds: tuple[str, ...]) -> None:
    found = mend([damaged])
    assert found.texts == [whole]
    assert found.kinds == {0: kinds}


@pytest.mark.parametrize(
    "text",
    [
        "two  spaces\tand a tab",
        "“curly” quotes – and dashes…",
        "می\u200cخواهم",  # a joiner that Persian needs
        "family 👨\u200d👩\u200d👧 ❤\ufe0f",
        "日本語\u3000空白 ＡＢＣ",
        "<b>AT&amp;T</b> is markup",
        "São Paulo, Ângela, ÐOÀN",
        "x = a & b; y = &c;",
    ],
)
def test_what_may_be_meant_is_left(text: str) -> None:
    assert mend([text]).texts == [text]


@given(st.text(max_size=80))
def test_mending_twice_is_mending_once_for_what_was_escaped(text: str) -> None:
    plain = unicodedata.normalize("NFC", "".join(c for c in text if c.isalnum() or c == " "))
    assert mend([html.escape(plain)]).texts == mend([plain]).texts


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=40), max_size=5))
def test_nothing_stops_it_and_positions_fit(texts: list[str]) -> None:
    found = mend(texts)
    assert len(found.texts) == len(texts)
    assert list(found.changed) == [at for at in range(len(texts)) if found.texts[at] != texts[at]]
