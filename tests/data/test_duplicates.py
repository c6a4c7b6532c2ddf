"""Which texts count as the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.data import duplicates
from tunesmith.data.duplicates import NEAR, copies_of, group_texts, normalise

LONG = "i ordered a new card two weeks ago and it has still not arrived at my address in the city"


def jaccard(a: str, b: str) -> float:
    """The reference: sets of 5-character shingles of the normalised texts."""
    sets = [{t[i : i + 5] for i in range(len(t) - 4)} for t in (normalise(a), normalise(b))]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


@pytest.mark.parametrize(
    ("text", "same"),
    [("My card?!", "my card"), ("a\n b\t c", "A b C"), ("x_1-2", "x 1 2"), ("STRASSE", "straße"), (":-)", " :-) ")],
)
def test_case_punctuation_and_spaces_do_not_count(text: str, same: str) -> None:
    assert normalise(text) == normalise(same)


def test_digits_count() -> None:
    assert normalise("order 12") != normalise("order 13")


@given(st.text(max_size=60))
def test_the_fast_path_for_ascii_gives_what_the_general_one_gives(text: str) -> None:
    general = duplicates._SEPARATORS.sub(" ", text.casefold()).strip() or text.strip()
    assert normalise(text) == general


def test_near_duplicates_are_joined_and_numbered_by_first_appearance() -> None:
    groups = group_texts([LONG, "something else entirely about the exchange rate", LONG + " yet", LONG.upper()])
    assert groups.exact.tolist() == [0, 1, 2, 0]
    assert groups.near.tolist() == [0, 1, 0, 0]


def test_short_questions_that_differ_in_their_key_word_stay_apart() -> None:
    texts = [
        "can i top up with apple pay",
        "can i top up with google pay",
        "can i top up with a cheque",
        "can i top up by card",
    ]
    assert len(set(group_texts(texts).near.tolist())) == 4


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_pairs_clearly_above_the_threshold_are_found_and_below_it_are_not(seed: int) -> None:
    """Agreement with the Jaccard index computed plainly, for a text and copies with 0 to 8 changed words."""
    draw = np.random.default_rng(seed)
    words = ["".join(draw.choice(list("abcdefghijklmnop"), size=6)) for _ in range(30)]
    texts = [" ".join(words)]
    for changes in range(1, 9):
        other = list(words)
        for at in draw.choice(30, size=changes, replace=False):
            other[at] = "zzzz" + str(draw.integers(10, 99))
        texts.append(" ".join(other))
    for other in texts[1:]:
        near = group_texts([texts[0], other]).near
        if jaccard(texts[0], other) >= NEAR + 0.1:
            assert near[0] == near[1]
        elif jaccard(texts[0], other) < NEAR:
            assert near[0] != near[1]


def test_the_cheaper_signatures_for_many_texts_say_so_and_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    base = [" ".join("".join(draw.choice(list("abcdefghijklmnop"), size=6)) for _ in range(12)) for _ in range(60)]
    texts = base + [text + " x" for text in base]
    measured = group_texts(texts)
    monkeypatch.setattr(duplicates, "EXACT_UP_TO", 10)
    estimated = group_texts(texts)
    assert "estimated" in estimated.how
    assert "measured" in measured.how
    assert estimated.near.tolist() == measured.near.tolist() == [*range(60), *range(60)]


def test_only_direct_copies_count_as_copies() -> None:
    chain = [LONG, LONG + " at all", LONG + " at all until now", LONG + " at all until now or ever before"]
    groups = np.zeros(4, dtype=np.int64)
    of = np.array([True, False, False, False])
    found = copies_of(chain, groups, of)
    expected = [False] + [jaccard(chain[0], other) >= NEAR for other in chain[1:]]
    assert found.tolist() == expected
    assert expected == [False, True, True, False]


def test_groups_do_not_depend_on_what_else_is_in_the_table() -> None:
    texts = [LONG, LONG + " yet"]
    more = texts + [f"filler text number {at} about nothing in particular {at * 7}" for at in range(500)]
    assert group_texts(texts).near.tolist() == group_texts(more).near[:2].tolist() == [0, 0]
