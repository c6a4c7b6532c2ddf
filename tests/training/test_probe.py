"""Probes: a dtype with its reason, speeds that are possible, memory that bounds a micro-batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
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


def test_the_row_that_is_timed_costs_per_token_what_all_rows_do() -> None:
    lengths = [20, 30, 30, 40, 60, 90, 160, 300, 410, 900]
    seconds = [1e-3 * n + 1e-5 * n * n for n in lengths]
    first = probe.typical_first(lengths)[0]
    assert seconds[first] / lengths[first] == pytest.approx(sum(seconds) / sum(lengths), rel=0.3)
    assert sorted(probe.typical_first(lengths)) == list(range(10))
    assert probe.typical_first([7, 7, 7]) == [0, 1, 2]


def test_what_reading_takes_is_found_from_calls_of_several_lengths_and_sizes() -> None:
    shapes = np.array([[1.0, size * length, size * length**2] for length in (10, 40, 90) for size in (1, 6, 20)])
    assert probe._positive_fit(shapes, shapes @ [0.01, 2e-4, 1e-6]) == pytest.approx((0.01, 2e-4, 1e-6))
    # what would come out below nothing is nothing, and the others take its place
    call_s, token_s, pair_s = probe._positive_fit(shapes, shapes @ [0.01, 2e-4, -2e-7])
    assert pair_s == 0.0
    assert call_s > 0.0
    assert 0.0 < token_s < 2e-4


def test_many_texts_read_together_take_fewer_calls_than_pieces_of_them() -> None:
    speed = probe.Reading(call_s=1.0, token_s=0.0, pair_s=0.0, text_s=0.0)
    # 1,000 texts of 10 tokens, 200 a call: five calls; a hundred of them: one
    assert speed.each([10] * 50, n=1000, at_most=2000) == pytest.approx(5 / 1000)
    assert speed.each([10] * 50, n=100, at_most=2000) == pytest.approx(1 / 100)
    # of a hundred lengths, most are there once among 100 texts, and each is a call of its own
    assert 0.5 < speed.each(range(1, 101), n=100, at_most=2000) < 0.7


def test_reading_is_timed_by_calls_and_tells_the_texts_of_a_second(tmp_path: Path, monkeypatch: object) -> None:
    from tunesmith.models.encoder import TOKENS_PER_BATCH, Encoder
    from tunesmith.testing.tiny import tiny_encoder

    folder = tiny_encoder(tmp_path / "encoder")
    asked: list[list[int]] = []

    def timed(works, **_):  # type: ignore[no-untyped-def]
        asked.extend(works)
        return {(size, length): 1e-3 + 1e-5 * size * length for size, length in works}

    monkeypatch.setattr(probe, "_passes", timed)  # type: ignore[attr-defined]
    texts = [" ".join(["word"] * (1 + i % 12)) for i in range(60)]
    together, piece = probe.probe_reading(folder, texts, Limits(), n=6000, piece=20)
    assert all(size * length <= max(TOKENS_PER_BATCH, length) for size, length in asked)
    tokens = np.mean([len(ids) for ids in Encoder.load(folder, Limits()).tokenize(texts).ids])
    assert 1 / together >= 1e-5 * tokens
    assert piece < together, "twenty at a time take more calls than all"
