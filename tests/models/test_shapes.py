"""Shapes of a base from a config, however it is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunesmith.core.errors import ConfigError, ModelError, SourceUnavailable
from tunesmith.models.shapes import config_of, parameters_named


def test_a_count_is_told_from_a_name() -> None:
    assert (parameters_named("70B"), parameters_named("1.5b"), parameters_named("350M")) == (70e9, 1.5e9, 350e6)
    assert parameters_named("llama-70b") is None
    assert parameters_named("B") is None


def test_a_config_is_read_from_its_file_or_its_folder_without_any_weights(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "llama", "hidden_size": 48, "num_attention_heads": 4}), encoding="utf-8")
    assert config_of(str(path)).hidden_size == config_of(str(tmp_path)).hidden_size == 48


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "knows no model type"),
        ('{"model_type": "nobody"}', "knows no model type 'nobody'"),
    ],
)
def test_what_is_no_config_is_refused(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=said):
        config_of(str(path))


def test_a_name_that_stands_for_nothing_and_a_hub_that_is_away() -> None:
    with pytest.raises(ConfigError, match="no base model is called"):
        config_of("smollm3")
    with pytest.raises(SourceUnavailable, match="cannot be reached"):
        config_of("nobody/nothing-at-all-7b")
