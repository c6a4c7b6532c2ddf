import pytest

from tunesmith.core.checks import Check, require
from tunesmith.core.errors import CheckFailed


def test_a_failed_check_stops_with_value_bound_and_remedy():
    with pytest.raises(CheckFailed, match=r"rows with no supervised token \(lm\): measured 3, must be = 0") as caught:
        require(Check("rows with no supervised token", 3, "= 0", False, "shorten the prompt", "lm"))
    assert caught.value.exit_code == 3
    assert caught.value.hint == "shorten the prompt"


def test_a_check_that_does_not_apply_neither_passes_nor_stops():
    check = Check.not_applicable("merged = adapter", "<= 1e-4", "no adapter was trained")
    require(check)
    assert (check.applies, check.passed) == (False, None)
    assert Check.from_dict(check.to_dict()) == check
