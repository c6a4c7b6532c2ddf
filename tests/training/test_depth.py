"""The curve over depths: one point per depth, each from the base, the loss the same with and without the trunk."""

from __future__ import annotations

import pytest
from lm_case import context_of, job_of, tickets

from tunesmith.models.lm import LanguageModel
from tunesmith.training.batches import encode
from tunesmith.training.depth import depth_curve
from tunesmith.training.loop import Recipe
from tunesmith.training.prompted import asker_for


def test_a_point_per_depth_with_its_cost_and_its_loss(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    job, limits = job_of(tmp_path), context_of(tmp_path / "w").limits
    asker = asker_for(LanguageModel.load(tmp_path / "tiny", limits), job)
    train, held_out = (encode(rows, asker, max_tokens=200, room=150) for rows in (tickets(16), tickets(4, start=50)))

    def curve(**more):
        return list(depth_curve(tmp_path / "tiny", train, held_out, limits=limits, recipe=Recipe(6, 5e-3),
                                emit=lambda event, **fields: None, tops=(1, None), **more))  # fmt: skip

    one, every = curve()
    assert (one.top, one.cached, one.found, every.top, every.cached, every.trunk_bytes) == (
        1,
        True,
        False,
        None,
        False,
        0,
    )
    assert one.trunk_bytes > 0
    assert one.trained * 2 == every.trained
    assert min(one.step_cpu_s, every.step_cpu_s, one.dev_loss, every.dev_loss) > 0
    again, same = curve()
    assert again.found
    assert (again.dev_loss, same.dev_loss) == (one.dev_loss, every.dev_loss)
    plain, _ = curve(trunk="never")
    assert not plain.cached
    assert plain.dev_loss == pytest.approx(one.dev_loss, rel=1e-3)
