"""Weights of 16 bits are compared in 32, and come back bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lm_case import job_of

from tunesmith.core.context import Limits
from tunesmith.models import rounding
from tunesmith.models.lm import LanguageModel


@pytest.fixture
def model(tmp_path: Path) -> torch.nn.Module:
    job_of(tmp_path)
    return LanguageModel.load(tmp_path / "tiny", Limits(dtype="bfloat16")).model


def test_weights_are_wide_inside_and_as_they_were_after(model: torch.nn.Module) -> None:
    before = {name: (t.data_ptr(), t.clone()) for name, t in model.named_parameters()}
    assert rounding.bound_of(model) == rounding.SAME[torch.bfloat16]
    with rounding.widened(model):
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        assert rounding.bound_of(model) == rounding.SAME[torch.float32]
    for name, tensor in model.named_parameters():
        place, old = before[name]
        assert tensor.data_ptr() == place
        assert torch.equal(tensor, old)


def test_weights_that_are_too_many_stay_short(model: torch.nn.Module) -> None:
    with rounding.widened(model, most=1000):
        assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
