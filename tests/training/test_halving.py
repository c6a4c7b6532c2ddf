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


def costly(asked, *, fixed=20.0, stepping=100.0, curves=CURVES):
    """Like `reader`, of trainings that cost something whatever their length; the first of all also pays for others."""

    def read(arm, share):
        asked.append((arm, share))
        last, power = curves[arm]
        base = fixed + (30.0 if len(asked) == 1 else 0.0)
        score = 1.0 - min(1.0, last * share**-power)
        return Reading(arm, share, score, 0.005, base + stepping * share, steps_s=stepping * share)

    return read


def test_what_a_training_costs_whatever_its_length_is_told_apart_from_its_steps():
    asked = []
    found = halve(list(CURVES), costly(asked), limit=1.0, kinds=dict.fromkeys(CURVES, "one"))
    assert found.whole == pytest.approx(8 * 120, rel=0.01)
    assert found.best == "best"


@pytest.mark.parametrize("fixed", [2.0, 10.0, 20.0, 40.0])
def test_the_share_is_kept_however_much_a_short_run_costs_beside_its_steps(fixed):
    asked = []
    kinds = {arm: "ab"[at % 2] for at, arm in enumerate(CURVES)}
    found = halve(list(CURVES), costly(asked, fixed=fixed), limit=0.3, kinds=kinds)
    assert found.spent <= 0.3 * 8 * (100 + fixed) + 30
    assert [share for _, share in asked].count(1.0) == 1
    assert set(found.left) | {found.best} == set(CURVES)
    if fixed > 10:
        assert any(why.startswith("not begun") for why in found.left.values())


def test_a_kind_whose_first_arm_cannot_come_near_is_not_looked_at_further():
    curves = {"good a": (0.05, 0.1), "bad a": (0.6, 0.02), "good b": (0.06, 0.1), "bad b": (0.55, 0.02)}
    asked = []
    found = halve(list(curves), costly(asked, fixed=1.0, curves=curves), limit=0.6, kinds={a: a[:4] for a in curves})
    assert ("bad b", 1 / 16) not in asked
    assert "alike" in found.left["bad b"]
    assert found.best == "good a"


def test_a_round_that_could_choose_nothing_is_left_out():
    asked = []
    halve(["best", "near", "flat"], costly(asked, fixed=1.0), limit=0.45)
    assert [share for arm, share in asked] == [1 / 16] * 3 + [1.0]
