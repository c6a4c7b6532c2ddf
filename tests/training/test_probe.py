"""Probes: a dtype with its reason, speeds that are possible, memory that bounds a micro-batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lm_case import job_of, tickets

from tunesmith.core.context import Limits
from tunesmith.models.lm import LanguageModel
from tunesmith.tasks import Prompt, task
from tunesmith.training import probe


def test_the_dtype_that_is_faster_is_taken_only_if_clearly_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def timed(float32_s: float, bfloat16_s: float) -> tuple[str, str]:
        seconds = iter([float32_s, bfloat16_s])
        monkeypatch.setattr(probe, "_quickest", lambda work, **_: next(seconds))
        return probe.probe_dtype(1)

    assert timed(4e-3, 1e-3)[0] == "bfloat16"
    assert "4.0x faster" in timed(4e-3, 1e-3)[1]
    assert timed(1.1e-3, 1e-3)[0] == "float32"
    assert timed(1e-3, 5e-3)[0] == "float32"


def test_the_dtype_is_measured_here_and_the_thread_count_put_back() -> None:
    import torch

    before = torch.get_num_threads()
    dtype, why = probe.probe_dtype(1)
    assert dtype in ("float32", "bfloat16")
    assert "GFLOP/s" in why
    assert torch.get_num_threads() == before


def test_the_dtype_is_measured_on_the_device_that_will_train(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    waited, made = [], []
    ones = torch.ones
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda: waited.append(True))
    monkeypatch.setattr(torch, "ones", lambda *n, device, **how: made.append(device) or ones(*n, **how))
    assert probe.probe_dtype(1, "cuda")[1].split(" in float32 on ")[1].startswith("cuda")
    assert set(made) == {"cuda"}
    assert len(waited) >= 4  # each product is waited for, the first of each dtype and those that are timed


def test_speeds_of_a_base_model_are_measured_on_rows_as_they_are_trained(tmp_path: Path) -> None:
    job_of(tmp_path)
    rows, prompt = tickets(20), Prompt("Choose a label of the list.", ("billing", "login"))
    speed = probe.probe_lm(tmp_path / "tiny", rows, task.get("classify"), prompt, Limits())
    lm = LanguageModel.load(tmp_path / "tiny", Limits())
    counts = [len(lm.template.tokenizer.encode(text, add_special_tokens=False)) for text in rows.texts]
    assert speed.text_tokens == pytest.approx(sum(counts) / 20)
    # a row takes longer to train on than its own text to read, whatever the rows of a step share
    assert speed.train_s > speed.text_tokens / speed.tokens_per_s > 0


def test_what_the_rows_of_a_step_share_is_not_forecast_once_per_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_of(tmp_path)
    monkeypatch.setattr(probe, "_quickest", lambda work, **_: (work(), 1.0)[1])  # equal steps: only tokens differ
    short, long = Prompt("Choose.", ("billing", "login")), Prompt("Choose. " * 60, ("billing", "login"))
    rows = tickets(16)

    def per_row(prompt: Prompt) -> float:
        """Tokens of a step that an Example stands for: in one second the tokens of the timed rows are trained on."""
        speed = probe.probe_lm(tmp_path / "tiny", rows, task.get("classify"), prompt, Limits())
        return speed.train_s * speed.tokens_per_s

    lm = LanguageModel.load(tmp_path / "tiny", Limits())
    longer = len(lm.template.tokenizer.encode("Choose. " * 59, add_special_tokens=False))
    assert per_row(long) - per_row(short) == pytest.approx(longer / 8, rel=0.1)


def test_micro_batches_shrink_with_the_memory_and_the_size_of_numbers(tmp_path: Path) -> None:
    job_of(tmp_path)
    model = LanguageModel.load(tmp_path / "tiny", Limits()).model

    def tokens(**limits: Any) -> int:
        return probe.micro_batch_tokens(model, Limits(**limits))

    small, large = tokens(max_memory_bytes=64 << 20), tokens(max_memory_bytes=640 << 20)
    assert small * 9 < large < small * 11
    assert tokens(dtype="bfloat16", max_memory_bytes=64 << 20) > small
    assert tokens(max_memory_bytes=1) == 64


def test_what_autograd_keeps_stays_below_the_bound(tmp_path: Path) -> None:
    """Bytes of all saved tensors of one micro-batch as large as is allowed, counted."""
    import torch

    from tunesmith.models.methods import method
    from tunesmith.training.batches import Encoded, micro_batches
    from tunesmith.training.losses import answer_loss

    job_of(tmp_path)
    bound = 24 << 20
    limits = Limits(max_memory_bytes=3 * bound)
    model = method.get("lora").apply(LanguageModel.load(tmp_path / "tiny", limits).model, {"rank": 2}, seed=0)
    n = probe.micro_batch_tokens(model, limits) // 64
    rows = Encoded(tuple((3 + i % 700, *range(3, 66)) for i in range(n)), (56,) * n, (1,) * n, (1.0,) * n)
    batches = micro_batches(rows, range(n), max_tokens=64 * n)
    assert len(batches) == 1
    own = {t.untyped_storage().data_ptr() for t in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        total, _ = answer_loss(model, batches[0])
    size = sum(t.untyped_storage().nbytes() for t in kept.values())
    assert total.isfinite()
    assert bound / 4 < size <= bound * 1.1
