"""Halving over arms whose curves are known."""

import pytest

from tunesmith.training.halving import Reading, halve, outlook

CURVES = {  # error after a share of the steps: last * share^-power
    "best": (0.08, 0.15), "near": (0.085, 0.10), "slow": (0.10, 0.30), "poor": (0.30, 0.05), "worse": (0.40, 0.02),
    "flat": (0.15, 0.01), "other": (0.20, 0.1), "last": (0.25, 0.2),
}  # fmt: skip


def reader(asked, cost=100.0):
    def read(arm, share):
        asked.append((arm, share))
        last, power = CURVES[arm]
        return Reading(arm, share, 1.0 - min(1.0, last * share**-power), 0.005, cost * share)

    return read


def test_the_best_arm_is_found_at_a_quarter_of_the_cost():
    asked = []
    found = halve(list(CURVES), reader(asked), limit=0.25)
    assert found.best in ("best", "near")
    assert found.spent <= 0.25 * 800
    assert found.whole == pytest.approx(800)
    assert sum(share == 1.0 for _, share in asked) == 1
    assert set(found.left) | {found.best} == set(CURVES)
    assert "expected" in found.left["poor"]
    assert "near" in (*found.level, found.best)
    assert "poor" not in found.level


def test_more_room_trains_more_arms_whole():
    asked = []
    found = halve(list(CURVES), reader(asked), limit=0.6)
    assert found.best == "best"
    assert sum(share == 1.0 for _, share in asked) >= 2


def test_an_arm_that_fails_is_out_and_a_cheap_one_is_read_whole_at_once():
    asked = []
    plain = reader(asked)

    def read(arm, share):
        return Reading(arm, share, None, 0.0, 1.0, "diverged") if arm == "best" else plain(arm, share)

    found = halve(["best", "flat", "near"], read, cheap=("flat",))
    assert found.best == "near"
    assert found.left["best"] == "failed: diverged"
    assert [share for arm, share in asked if arm == "flat"] == [1.0]
    with pytest.raises(ValueError, match="diverged"):
        halve(["best"], read)


def test_an_outlook_holds_what_a_power_law_comes_to():
    for last, power in CURVES.values():
        for shares in ((1 / 16,), (1 / 16, 1 / 4)):
            seen = [Reading("a", s, 1.0 - min(1.0, last * s**-power), 0.005, 1.0) for s in shares]
            view = outlook(seen)
            assert view.low <= 1.0 - last <= view.high
            assert view.low <= view.value <= view.high
    whole = outlook([Reading("a", 1.0, 0.9, 0.01, 1.0)])
    assert whole.measured
    assert (whole.low, whole.high) == pytest.approx((0.9 - 0.0196, 0.9 + 0.0196))
