"""For each check of the language model: a real run with a realistic fault fails by it, and by nothing before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lm_case import context_of, echoes, job_of, tickets

from tunesmith.core.checks import Check
from tunesmith.core.errors import CheckFailed
from tunesmith.models.methods.lora import Lora
from tunesmith.training import batches, loop, prompted
from tunesmith.training import tuned_lm as lm_system
from tunesmith.training.batches import Encoded
from tunesmith.training.systems import Job, system

Patch = pytest.MonkeyPatch


def run(folder: Path, job: Job, *, rows: Any = None, dev: Any = None) -> list[Check]:
    checks: list[Check] = []
    rows = tickets(16) if rows is None else rows
    system.get("lm").fit(rows, tickets(8, start=100) if dev is None else dev, job, context_of(folder / "w", checks))
    return checks


def fails_by(name: str, folder: Path, job: Job, **rows: Any) -> CheckFailed:
    with pytest.raises(CheckFailed, match=name) as caught:
        run(folder, job, **rows)
    assert caught.value.hint, "a failed check says what to do"
    return caught.value


def test_without_a_fault_the_same_run_passes(tmp_path: Path) -> None:
    assert all(check.passed in (True, None) for check in run(tmp_path, job_of(tmp_path)))


def test_a_mask_that_hides_some_rows(tmp_path: Path, monkeypatch: Patch) -> None:
    real: Callable[[Encoded, int], range] = batches.supervised
    # Of the 16 train rows, not of the probes.
    monkeypatch.setattr(
        batches, "supervised", lambda e, row: range(0) if row % 3 == 0 and len(e) == 16 else real(e, row)
    )
    assert "measured 6" in str(fails_by("rows with no supervised token", tmp_path, job_of(tmp_path)))


def test_rows_whose_weight_is_nothing(tmp_path: Path) -> None:
    rows = tickets(16)
    rows = replace(rows, weights=np.where(np.arange(16) < 2, 0.0, 1.0).astype(np.float32))
    assert "measured 2" in str(fails_by("rows with no supervised token", tmp_path, job_of(tmp_path), rows=rows))


def test_answers_longer_than_what_is_read_at_once(tmp_path: Path, monkeypatch: Patch) -> None:
    """They would fit the model's context, which is longer; rows that do not are refused before this check."""
    rows = echoes(12)
    rows = replace(rows, targets=tuple("The order came late and nobody called. " * 12 for _ in rows.texts))
    monkeypatch.setattr(prompted, "_MOST_TOKENS", 160)
    job = job_of(tmp_path, text=True)
    fails_by("answer tokens lost to truncation", tmp_path, job, rows=rows, dev=echoes(4))


def test_a_mask_that_takes_the_end_for_padding(tmp_path: Path, monkeypatch: Patch) -> None:
    """The classic: pad and end are one token, and the mask hides every pad."""
    real = batches.supervised
    monkeypatch.setattr(batches, "supervised", lambda e, row: real(e, row)[: -1 if len(e) == 16 else None])
    fails_by("answers whose end is not supervised", tmp_path, job_of(tmp_path))


def test_an_adapter_that_starts_by_changing_the_model(tmp_path: Path, monkeypatch: Patch) -> None:
    real = Lora.apply

    def noisy(self: Lora, model: Any, options: Any, *, seed: int) -> Any:
        adapted = real(self, model, options, seed=seed)
        with torch.no_grad():
            for name, tensor in adapted.named_parameters():
                if "lora_B" in name:
                    tensor.normal_(0.0, 0.02)
        return adapted

    monkeypatch.setattr(Lora, "apply", noisy)
    fails_by("loss of the untrained adapter minus loss of the base", tmp_path, job_of(tmp_path))


def test_a_learning_rate_of_zero(tmp_path: Path) -> None:
    error = fails_by("distance that the adapter moved", tmp_path, job_of(tmp_path, steps=3, rate=0.0))
    assert "measured 0.0" in str(error)


def test_packed_rows_whose_positions_get_lost_on_the_way(tmp_path: Path, monkeypatch: Patch) -> None:
    from tunesmith.models import tree_attention

    real = tree_attention.blocks_of

    def one_after_the_other(tree: Any, device: Any = "cpu") -> Any:
        tree.at[:] = range(len(tree))
        return real(tree, device)

    monkeypatch.setattr(tree_attention, "blocks_of", one_after_the_other)
    fails_by("packed rows against rows alone", tmp_path, job_of(tmp_path, packing="tree"))


def test_an_end_token_that_the_model_cannot_write(tmp_path: Path) -> None:
    """Its row of the tied embedding is zero, as transformers makes it where pad and end are one token."""
    from safetensors.torch import load_file, save_file

    job = job_of(tmp_path, steps=30)
    path = tmp_path / "tiny/model.safetensors"
    weights = load_file(path)
    weights["model.embed_tokens.weight"][2] = 0.0
    save_file(weights, path, metadata={"format": "pt"})
    fails_by("probability of ending where an answer ends", tmp_path, job)


def test_a_template_that_somebody_tidied_after_training(tmp_path: Path, monkeypatch: Patch) -> None:
    real = lm_system._save_adapter

    def tidied(lm: Any, how: Any, folder: Path, job: Job, read: Path | None) -> None:
        real(lm, how, folder, job, read)
        path = folder / "adapter/chat_template.jinja"
        path.write_text(path.read_text().replace("assistant\\n", "assistant"))

    monkeypatch.setattr(lm_system, "_save_adapter", tidied)
    fails_by("prompts that differ between training and prediction", tmp_path, job_of(tmp_path))


def test_another_adapter_lies_where_this_one_was_saved(tmp_path: Path, monkeypatch: Patch) -> None:
    from safetensors.torch import load_file, save_file

    real = lm_system._save_adapter

    def wrong(lm: Any, how: Any, folder: Path, job: Job, read: Path | None) -> None:
        real(lm, how, folder, job, read)
        path = folder / "adapter/adapter_model.safetensors"
        save_file({k: v * 1.01 for k, v in load_file(path).items()}, path, metadata={"format": "pt"})

    monkeypatch.setattr(lm_system, "_save_adapter", wrong)
    fails_by("saved and reloaded against memory", tmp_path, job_of(tmp_path))


def test_a_merge_that_forgets_the_scale(tmp_path: Path, monkeypatch: Patch) -> None:
    real = Lora.merge

    def unscaled(self: Lora, model: Any) -> Any:
        for module in model.modules():
            if isinstance(getattr(module, "scaling", None), dict):  # a Linear with LoRA
                module.scaling["default"] = 1.0
        return real(self, model)

    monkeypatch.setattr(Lora, "merge", unscaled)
    fails_by("merged against adapter", tmp_path, job_of(tmp_path))


def test_allowing_truncation_is_written_down_and_still_measured(tmp_path: Path) -> None:
    rows = echoes(12)
    rows = replace(rows, targets=tuple("The order came late and nobody called. " * 12 for _ in rows.texts))
    job = job_of(tmp_path, text=True, context=160, steps=2, allow_truncation=True)
    lost = next(c for c in run(tmp_path, job, rows=rows, dev=echoes(4)) if c.name.startswith("answer tokens lost"))
    assert lost.passed
    assert isinstance(lost.value, float)
    assert lost.value > 0.05
    assert "allowed" in lost.bound


def test_a_frozen_layer_that_moves_while_its_states_lie_on_disk(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    real = loop.train

    def moving(model: torch.nn.Module, *given: Any, **named: Any) -> Any:
        result = real(model, *given, **named)
        with torch.no_grad():
            model.get_parameter("base_model.model.model.layers.0.mlp.down_proj.weight").mul_(1.05)
        return result

    monkeypatch.setattr(loop, "train", moving)
    job = job_of(tmp_path, top_layers=1)
    fails_by("cached trunk against the whole model, logits", tmp_path, job)
