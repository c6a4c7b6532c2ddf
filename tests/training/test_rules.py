"""Rules: what train rows confirm, and what a row may be told of the others."""

from __future__ import annotations

from tunesmith.training.marking import Mark
from tunesmith.training.rules import Rules, learn_rules

TEXTS = [
    f"Call {name} at {n}-77 now" for name, n in (("Zubrow", 555), ("Zubrow", 123), ("Quill", 321), ("Zubrow", 999))
]


def _marks() -> list[list[Mark]]:
    found = []
    for text in TEXTS:
        name, code = text.split()[1], text.split()[3]
        found.append([Mark(text.index(v), text.index(v) + len(v), tag) for tag, v in ((0, name), (1, code))])
    return found


def test_a_value_and_a_form_are_marked_where_they_come_again():
    rules, _ = learn_rules(TEXTS, _marks())
    text = "Did Zubrow say 100-77 or 10-7?"
    assert [(text[m.start : m.end], m.tag) for m in rules.marks(text)] == [("Zubrow", 0), ("100-77", 1)]
    assert Rules.from_dict(rules.to_dict()).marks(text) == rules.marks(text)


def test_a_row_is_told_only_what_the_others_know():
    _, seen = learn_rules(TEXTS, _marks())
    values = [[s.what for s in row if s.rule == "value" and s.what == "0"] for row in seen]
    assert [len(v) for v in values] == [1, 1, 0, 1]  # nobody else has said Quill
    assert all(any(s.rule == "form" and s.what == "1" for s in row) for row in seen)


def test_what_is_more_often_nothing_is_no_rule():
    texts = [*TEXTS, *("Zubrow is a town" for _ in range(4))]
    rules, _ = learn_rules(texts, [*_marks(), *([] for _ in range(4))])
    assert "zubrow" not in rules.held["value"]
