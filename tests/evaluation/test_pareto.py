"""Which systems no other beats, and the picture of them."""

from __future__ import annotations

from tunesmith.evaluation import wording
from tunesmith.evaluation.pareto import Placed, drawn, frontier, near_the_best

COUNTS = Placed("Word counts", 0.90, 0.0001, tuned=False, ships=False)
FROZEN = Placed("Frozen <encoder>", 0.88, 0.01, tuned=False, ships=False)
TUNED = Placed("Tuned encoder", 0.95, 0.012, tuned=True, ships=True)
SLOW = Placed("Language model", 0.94, 0.6, tuned=True, ships=False)


def test_the_frontier_holds_what_no_other_beats_in_both() -> None:
    assert frontier([SLOW, FROZEN, TUNED, COUNTS]) == [COUNTS, TUNED]
    assert frontier([TUNED, Placed("as good and slower", 0.95, 1.0, tuned=False, ships=False)]) == [TUNED]


def test_one_far_below_does_not_flatten_the_picture() -> None:
    majority = Placed("Most common answer", 0.02, 0.000001, tuned=False, ships=False)
    assert near_the_best([COUNTS, FROZEN, TUNED, majority]) == [COUNTS, FROZEN, TUNED]
    assert near_the_best([TUNED, majority]) == [TUNED, majority]


def test_every_system_is_in_the_picture_with_what_it_takes_and_its_name_is_escaped() -> None:
    for narrow in (False, True):
        svg = drawn([COUNTS, FROZEN, TUNED, SLOW], "macro_f1", narrow=narrow)
        assert "Frozen &lt;encoder&gt;" in svg
        assert f"Tuned encoder: {wording.score(0.95, 'macro_f1')}, {wording.duration(0.012)} an answer" in svg
        assert svg.count("<circle") == 2
        assert 'class="trace loss"' in svg
