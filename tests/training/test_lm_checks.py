"""What the proofs of a language model's training measure, against the same measured another way."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lm_case import job_of, tickets

from tunesmith.core.context import Limits
from tunesmith.models.lm import LanguageModel
from tunesmith.models.template import Asker
from tunesmith.training import lm_checks as checks
from tunesmith.training.batches import Packing, encode


@pytest.mark.parametrize("packing", ["tree", "padded"])
@pytest.mark.parametrize("at_once", [1024, 60], ids=["one batch", "several"])
def test_the_chance_of_ending_is_that_of_each_row_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: Packing, at_once: int
) -> None:
    job = job_of(tmp_path)
    lm = LanguageModel.load(tmp_path / "tiny", Limits())
    encoded = encode(tickets(20), Asker(lm.template, job.task, job.prompt), max_tokens=256, room=200)
    alone = []
    for ids in encoded.ids[: checks.END_ROWS]:
        with torch.no_grad():
            logits = lm.model(input_ids=torch.tensor([ids[:-1]]), use_cache=False).logits[0, -1]
        alone.append(float(torch.softmax(logits.float(), dim=0)[lm.template.end_id]))
    monkeypatch.setattr(checks, "AT_ONCE", at_once)
    found = checks.end_probability(lm.model, encoded, end_id=lm.template.end_id, packing=packing)
    assert found == pytest.approx(sum(alone) / len(alone), rel=1e-4)


@pytest.mark.parametrize(("lengths", "n"), [([10] * 9, 4), ([600] * 9, 2), ([300] * 9, 3), ([5000], 1), ([], 0)])
def test_few_prompts_are_compared_by_and_fewer_long_ones(lengths: list[int], n: int) -> None:
    assert list(checks.few([[0] * length for length in lengths])) == list(range(n))
