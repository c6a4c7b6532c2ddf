"""A person's time from moments, and money, energy and CO2 from machine time: by hand."""

import pytest

from tunesmith.core.config import load_options
from tunesmith.core.costs import CostOptions, Moment, Rates, Used, pace
from tunesmith.core.errors import ConfigError


def test_gaps_between_decisions_are_work_and_longer_ones_are_pauses():
    found = pace([Moment(at, "anna") for at in (1000, 1020, 1050, 9000, 9010)], pause_s=300)
    assert found.gaps == (20, 30, 10)
    assert found.unseen == 2, "the first of each sitting: nothing says when it was begun"
    assert found.likely(300) == (60 + 2 * 20, 60, 60 + 600)


def test_looking_at_the_findings_begins_the_first_decision():
    moments = [Moment(100, "anna", False), Moment(140, "anna"), Moment(160, "anna", False), Moment(161, "anna")]
    found = pace(moments, pause_s=300)
    assert (found.gaps, found.unseen, found.between) == ((40, 1), 0, 20)
    assert found.likely(300) == (61, 61, 61)


def test_people_are_timed_apart_and_what_was_decided_at_once_is_one_decision():
    moments = [Moment(0, "anna"), Moment(10, "ben"), Moment(20, "anna"), Moment(20, "anna"), Moment(22, "ben")]
    assert pace(moments, pause_s=60).gaps == (20, 12)


def test_a_single_decision_took_from_nothing_to_the_bound():
    assert pace([Moment(5, "anna")], pause_s=300).likely(300) == (150, 0, 300)
    assert pace([], pause_s=300).likely(300) == (0, 0, 0)


def test_machine_time_becomes_energy_money_and_co2():
    rates = Rates(10, 250, 0.30, 480, "EUR")
    spent = rates.machine(Used(cpu_s=3600, wall_s=1800, device_s=720))
    assert spent.energy_wh == pytest.approx(10 + 50)
    assert spent.money == pytest.approx(0.060 * 0.30)
    assert spent.co2_g == pytest.approx(0.060 * 480)
    assert spent.co2_range_g == pytest.approx((0.060 * 30, 0.060 * 713))
    rented = Rates(10, 250, 0.30, 480, "EUR", machine_hour=2.0)
    assert rented.machine(Used(3600, 1800, 720)).money == pytest.approx(1.0), "half an hour of the machine"
    assert "2 EUR for an hour of the machine" in rented.assumed()


def test_options_that_make_no_sense_are_refused():
    assert load_options(CostOptions, {"wage": 40, "pause": "5m"}, where="cost") == CostOptions(wage=40, pause=300)
    with pytest.raises(ConfigError, match=r"cost\.wage: expected a number of at least 0"):
        CostOptions(wage=-1)
    with pytest.raises(ConfigError, match=r"cost\.wages"):
        load_options(CostOptions, {"wages": 40}, where="cost")
