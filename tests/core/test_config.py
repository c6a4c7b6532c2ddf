from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.core.config import dump_options, load_options, parse_bytes, parse_duration
from tunesmith.core.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    name: str
    rows: int | None = None


@dataclass(frozen=True)
class Options:
    path: Path
    target: str | Literal["auto"] = "auto"
    method: Literal["auto", "lora", "ia3"] = "auto"
    rate: float | Literal["auto"] = "auto"
    columns: tuple[str, ...] | Literal["auto"] = "auto"
    inner: tuple[Inner, ...] = ()
    deep: bool = False
    budget: float | Literal["auto"] = field(default="auto", metadata={"unit": "duration"})


def load(**table):
    return load_options(Options, {"path": "a.csv", **table}, where="data")


def test_an_unknown_key_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"data\.targt: no such option") as caught:
        load(targt="x")
    assert caught.value.hint == "Did you mean 'target'?"


def test_a_wrong_word_names_the_allowed_ones():
    with pytest.raises(
        ConfigError, match=r"data\.method: expected one of 'auto', 'lora', 'ia3', got 'lorra'"
    ) as caught:
        load(method="lorra")
    assert caught.value.hint == "Did you mean 'lora'?"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rate", "fast"),
        ("rate", True),
        ("deep", 1),
        ("deep", "yes"),
        ("inner", [{"rows": 1}]),
        ("inner", [{"name": "a", "rows": "x"}]),
        ("columns", [1.5, {}]),
        ("budget", "10 parsecs"),
        ("budget", "-3m"),
        ("budget", 0),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_with_its_place(key, value):
    with pytest.raises(ConfigError, match=rf"data\.{key}"):
        load(**{key: value})


def test_a_list_of_the_wrong_things_says_what_its_items_must_be():
    with pytest.raises(ConfigError, match=r"data\.columns: expected a list \(each item text\) or 'auto', got \[{}\]"):
        load(columns=[{}])


def test_a_missing_required_key_is_named():
    with pytest.raises(ConfigError, match=r"data\.path: this option is required"):
        load_options(Options, {}, where="data")


def test_options_survive_the_way_to_yaml_and_back():
    options = Options(Path("a.csv"), "kind", "ia3", 0.5, ("x", "y"), (Inner("n", 3),), True, 90.0)
    assert load_options(Options, yaml.safe_load(yaml.safe_dump(dump_options(options))), where="data") == options


def test_dashes_in_keys_mean_underscores():
    assert load_options(Inner, {"name": "a"}, where="x") == Inner("a")


@given(st.integers(1, 10**6), st.sampled_from([("s", 1), ("m", 60), ("h", 3600)]))
def test_durations_are_number_times_unit(number, unit):
    assert parse_duration(f"{number}{unit[0]}", where="x") == number * unit[1]


def test_sizes_know_decimal_and_binary_units():
    assert parse_bytes("2GB", where="x") == 2 * 10**9
    assert parse_bytes("512MiB", where="x") == 512 * 2**20
    assert parse_bytes("1.5 kb", where="x") == 1500


def test_a_number_with_an_exponent_and_no_point_is_a_number():
    """YAML 1.1 reads 1e-3 as text."""
    from tunesmith.training.train import TrainOptions

    assert load_options(TrainOptions, {"rate": "1e-3"}, where="train").rate == 0.001
    with pytest.raises(ConfigError, match=r"train\.rate"):
        load_options(TrainOptions, {"rate": "1e-"}, where="train")
