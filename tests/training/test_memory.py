"""Memory: what is predicted is what autograd keeps, limits are kept, and what cannot fit says what would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lm_case import job_of

from tunesmith.core.context import Context, Limits
from tunesmith.core.errors import TunesmithError
from tunesmith.models.lm import LanguageModel
from tunesmith.models.methods import method
from tunesmith.training import memory
from tunesmith.training.batches import Encoded, micro_batches
from tunesmith.training.losses import answer_loss

METHODS = ("lora", "ia3", "layernorm", "head", "full")


def adapted(folder: Path, name: str = "lora", **options: Any) -> torch.nn.Module:
    job_of(folder)
    return method.get(name).apply(LanguageModel.load(folder / "tiny", Limits()).model, {"rank": 2, **options}, seed=0)


def rows(n: int, length: int = 64) -> Encoded:
    return Encoded(
        tuple((3 + i % 700, *range(3, length + 2)) for i in range(n)), (length - 8,) * n, (1,) * n, (1.0,) * n
    )


@pytest.mark.parametrize("name", METHODS)
def test_what_a_step_keeps_is_what_was_counted_on_a_few_tokens(tmp_path: Path, name: str) -> None:
    model = adapted(tmp_path, name)
    kept = memory.count(model)
    (batch,) = micro_batches(rows(6), range(6), max_tokens=2000)
    tokens, answers = batch.ids.numel(), len(batch.targets)
    measured = memory.saved_bytes(model, lambda: answer_loss(model, batch)[0])
    # The logits and their log-softmax are two of the three copies that an answer is counted with.
    assert measured - answers * model.config.vocab_size * 4 == pytest.approx(
        tokens * kept.per_token, rel=0.15, abs=answers * 4 * 32 * 4
    )


@pytest.mark.parametrize("name", METHODS)
def test_a_config_alone_tells_what_the_model_will_need(tmp_path: Path, name: str) -> None:
    real = adapted(tmp_path, name)
    config: Any = LanguageModel.load(tmp_path / "tiny", Limits()).model.config
    needs = memory.needs_of(config, method.get(name), {"rank": 2}, dtype="float32")
    counted = memory.count(real)
    assert needs.trained == memory.trained_bytes(real)
    assert needs.kept.per_answer == counted.per_answer
    assert needs.kept.per_token == pytest.approx(counted.per_token, rel=0.02)
    assert needs.weights == sum(t.nbytes for t in LanguageModel.load(tmp_path / "tiny", Limits()).model.parameters())


def test_counting_leaves_no_graph_behind(tmp_path: Path) -> None:
    import gc

    model = adapted(tmp_path)
    memory.count(model)
    gc.collect()
    before = sum(isinstance(thing, torch.Tensor) for thing in gc.get_objects())
    for _ in range(3):
        memory.count(model)
    gc.collect()
    assert sum(isinstance(thing, torch.Tensor) for thing in gc.get_objects()) <= before


def test_micro_batches_grow_with_the_limit_and_are_recomputed_where_nothing_else_fits(tmp_path: Path) -> None:
    model = adapted(tmp_path)

    def fit(limit: int | None) -> memory.Fitting:
        return memory.fit_to(limit, model, longest=64, answers_share=0.1, resident=100 << 20)

    none, wide, tight = fit(None), fit(4 << 30), fit(132 << 20)
    assert wide.max_tokens == none.max_tokens
    assert wide.pooled
    assert 64 <= tight.max_tokens < wide.max_tokens
    with pytest.raises(memory.MemoryTooSmall) as caught:
        fit(101 << 20)
    squeezed = fit(caught.value.least + 1000)
    assert squeezed.max_tokens == 0
    assert squeezed.max_recomputed >= 64
    assert not squeezed.pooled


def test_a_fitting_is_predicted_to_stay_below_its_limit(tmp_path: Path) -> None:
    model = adapted(tmp_path)
    limit, before = 160 << 20, 100 << 20
    fits = memory.fit_to(limit, model, longest=64, answers_share=0.1, resident=before)
    for tokens, recompute in ((fits.max_tokens, False), (fits.max_recomputed, True)):
        held = memory.count(model).of(tokens, tokens // 10, recompute=recompute, pooled=fits.pooled)
        assert memory.footprint(before, memory.trained_bytes(model), held).total <= 1.01 * limit


def test_what_cannot_fit_says_what_would(tmp_path: Path) -> None:
    model = adapted(tmp_path)
    with pytest.raises(memory.MemoryTooSmall, match="--max-memory is 110 MB") as caught:
        memory.fit_to(110_000_000, model, longest=700, answers_share=0.1, resident=100_000_000)
    assert caught.value.least > 110_000_000
    assert caught.value.hint
    assert caught.value.exit_code == 2
    assert memory.fit_to(caught.value.least + 1000, model, longest=700, answers_share=0.1, resident=100_000_000)


def test_a_resumed_run_obeys_what_was_decided(tmp_path: Path) -> None:
    model = adapted(tmp_path)
    (tmp_path / "work").mkdir()
    first = memory.fitting_for(model, rows(4), memory.count(model), Context(tmp_path / "work"))
    later = Context(tmp_path / "work", limits=Limits(max_memory_bytes=1))  # would not fit if it were decided again
    assert memory.fitting_for(model, rows(4), memory.count(model), later) == first
    with pytest.raises(TunesmithError):
        memory.fitting_for(model, rows(4), memory.count(model), Context(tmp_path, limits=Limits(max_memory_bytes=1)))


def test_recomputed_micro_batches_stay_within_their_own_bound() -> None:
    few = micro_batches(rows(8), range(8), max_tokens=0, max_recomputed=150)
    assert all(batch.large for batch in few)
    assert max(batch.ids.numel() for batch in few) <= 150
    assert sum(len(batch.targets) for batch in few) == 8 * 8
    padded = micro_batches(rows(8), range(8), max_tokens=0, max_recomputed=150, packing="padded")
    assert all(batch.large and batch.ids.numel() <= 150 for batch in padded)


def test_a_peak_above_prediction_or_limit_fails_the_check() -> None:
    def passed(measured: float, limit: int | None) -> bool | None:
        return memory.peak_as_predicted(10**9, int(measured), limit=limit, system="lm").passed

    assert not passed(1.1e9, 1_050_000_000)
    assert not passed(1.2e9, 2_000_000_000)
    assert passed(1.0e9, 1_050_000_000)
    assert passed(1.2e9, None) is None, "what nobody asked to be kept is measured and fails nothing"


@pytest.mark.slow
def test_resident_memory_does_not_grow_over_a_thousand_steps_of_changing_shapes(tmp_path: Path) -> None:
    """In a fresh process, as the allocator remembers everything that this one has done."""
    import json
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-c", _THOUSAND_STEPS], capture_output=True, text=True, check=True, cwd=tmp_path, timeout=3000
    )
    after_100, most_after, predicted = json.loads(done.stdout.splitlines()[-1])
    assert most_after <= 1.05 * after_100
    assert most_after <= (1 + memory.WITHIN) * predicted


_THOUSAND_STEPS = """
import json, random
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from tunesmith.core.meter import resident_bytes
from tunesmith.models.methods import method
from tunesmith.training import memory
from tunesmith.training.batches import Encoded, batch_of
from tunesmith.training.losses import answer_loss

torch.set_num_threads(1)
config = LlamaConfig(vocab_size=2000, hidden_size=192, intermediate_size=512, num_hidden_layers=6,
                     num_attention_heads=6, num_key_value_heads=2, tie_word_embeddings=True)
model = method.get("lora").apply(LlamaForCausalLM(config).requires_grad_(False), {"rank": 8}, seed=0)

def batches(step):
    draw = random.Random(step)
    rows = [tuple(draw.randrange(3, 2000) for _ in range(draw.randint(8, 120))) for _ in range(draw.randint(1, 5))]
    starts = tuple(len(row) - draw.randint(1, len(row) // 2) for row in rows)
    return [batch_of(Encoded(tuple(rows), starts, (1,) * len(rows), (1.0,) * len(rows)), range(len(rows)))]

watched = memory.Watched(batches, memory.count(model), model)
weights = [tensor for tensor in model.parameters() if tensor.requires_grad]
optimizer = torch.optim.AdamW(weights, lr=1e-4)
after_100 = most_after = 0
for step in range(1000):
    optimizer.zero_grad()
    for batch in watched(step):
        answer_loss(model, batch)[0].backward()
    optimizer.step()
    if step < 100:
        after_100 = max(after_100, resident_bytes())
    most_after = max(most_after, resident_bytes()) if step >= 100 else 0
    if step % 100 == 99:
        print(step + 1, resident_bytes() >> 20, flush=True)
print(json.dumps([after_100, most_after, watched.peak.total]))
"""
