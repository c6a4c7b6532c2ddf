import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tunesmith.core.checks import Check
from tunesmith.core.context import Context
from tunesmith.core.dataset import rows_of
from tunesmith.core.errors import CheckFailed
from tunesmith.models.spec import ModelSpec
from tunesmith.tasks import task
from tunesmith.testing import tiny_encoder
from tunesmith.training import adapters, tuned_encoder
from tunesmith.training.systems import Job, RungPlan, system
from tunesmith.training.systems.encoder import forecast_steps
from tunesmith.training.tuned_encoder import TextBatches, Tuned, adapted_encoder, label_loss

LABELS = ("card", "money")
SETTINGS = {"method": "lora", "rank": 4, "layers": 0.5}


@pytest.fixture(scope="module")
def spec(tmp_path_factory) -> ModelSpec:
    return ModelSpec("folder", str(tiny_encoder(tmp_path_factory.mktemp("encoder"))), "encoder")


@pytest.fixture
def job(spec) -> Job:
    what = task.get("classify")
    prompt = what.prompt(LABELS, inputs=("text",), target="topic")
    return Job(what, LABELS, prompt, spec, plan=RungPlan("encoder", steps=6))


def rows(n: int):
    texts = [f"the card number {i} is late" if i % 2 else f"please give {i} coins of money back" for i in range(n)]
    return rows_of(texts, [LABELS[(i + 1) % 2] for i in range(n)])


def test_it_records_that_its_adapter_is_sound(job, tmp_path):
    seen: list[Check] = []
    ctx = Context(tmp_path, check=seen.append)
    fitted = system.get("encoder").fit(rows(64), rows(80).take(range(64, 80)), job, ctx)
    assert {check.name: check.passed for check in seen} == {
        "vectors of an untrained adapter = base": True,
        "adapter finite and moved from its start": True,
        "saved and reloaded = in memory": True,
        "merged = adapter": True,
    }
    assert {check.system for check in seen} == {"encoder"}
    assert 1 <= fitted.settings["best_step"] <= 6
    assert fitted.curve[-1]["dev"] is not None


def test_dev_decides_who_else_has_a_say_and_refitting_keeps_it(job, tmp_path):
    ctx = Context(tmp_path / "work")
    fitted = system.get("encoder").fit(rows(64), rows(104).take(range(64, 104)), job, ctx)
    weights = {key: value for key, value in fitted.settings.items() if key.endswith(".weight")}
    assert weights["tuned.weight"] > 0
    assert sum(weights.values()) == pytest.approx(1.0)
    assert fitted.together.names == [key.removesuffix(".weight") for key, value in weights.items() if value > 0]
    frozen = replace(job, options=fitted.settings, frozen=True, plan=RungPlan("encoder", steps=2))
    again = system.get("encoder").fit(rows(104), rows(1).take([]), frozen, Context(tmp_path / "again"))
    assert again.together.names == fitted.together.names
    assert again.predict(["the card is late"], ctx).values == ("card",)


def test_a_learning_rate_of_zero_is_caught(job, tmp_path):
    with pytest.raises(CheckFailed, match="moved from its start"):
        system.get("encoder").fit(rows(64), rows(80).take([]), replace(job, options={"rate": 0.0}), Context(tmp_path))


def test_the_saved_adapter_is_in_peft_layout_and_names_no_path(job, tmp_path):
    fitted = system.get("encoder").fit(rows(64), rows(64).take([]), job, Context(tmp_path / "work"))
    fitted.save(tmp_path / "saved")
    config = json.loads((tmp_path / "saved" / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == job.encoder.uri
    assert (tmp_path / "saved" / "adapter" / "adapter_model.safetensors").exists()
    assert (tmp_path / "saved" / "head.safetensors").exists()


def test_an_adapter_that_was_changed_on_disk_is_caught(spec, tmp_path):
    ctx = Context(tmp_path)
    encoder = adapted_encoder(spec, SETTINGS, ctx, seed=0)
    adapters.save_adapter(encoder, tmp_path / "adapter", spec, method="lora")
    with torch.no_grad():
        for name, tensor in encoder.module.named_parameters():
            if "lora_B" in name:
                tensor += 0.5
    beside = adapters.load_adapter(tmp_path / "adapter", spec, ctx, merge=False)
    reloaded, merged = tuned_encoder.check_reloaded(encoder, beside, beside, ["some text"], system="encoder")
    assert reloaded.passed is False
    assert merged.passed is False


def test_only_the_upper_layers_learn(spec, tmp_path):
    encoder = adapted_encoder(spec, SETTINGS, Context(tmp_path), seed=0)
    learning = [name for name, tensor in encoder.module.named_parameters() if tensor.requires_grad]
    assert learning
    assert all(".layer.1." in name for name in learning)  # of layers 0 and 1
    both = adapted_encoder(spec, {**SETTINGS, "layers": 1.0}, Context(tmp_path), seed=0)
    assert any(".layer.0." in name for name, tensor in both.module.named_parameters() if tensor.requires_grad)


def test_full_tuning_trains_whatever_the_vectors_depend_on_and_is_read_back(job, spec, tmp_path):
    settings = {"method": "full", "layers": 0.5}
    encoder = adapted_encoder(spec, settings, Context(tmp_path), seed=0)
    learning = {name for name, tensor in encoder.module.named_parameters() if tensor.requires_grad}
    assert any("embeddings" in name for name in learning)
    assert any(".layer.0." in name for name in learning)
    assert not any("pooler" in name for name in learning)
    seen: list[Check] = []
    ctx = Context(tmp_path / "work", check=seen.append)
    fitted = system.get("encoder").fit(rows(64), rows(80).take([]), replace(job, options={"method": "full"}), ctx)
    assert all(check.passed for check in seen)
    assert fitted.method.startswith("full")


def test_every_text_is_read_once_per_epoch_and_steps_depend_on_nothing_else(spec, tmp_path):
    encoder = adapted_encoder(spec, SETTINGS, Context(tmp_path), seed=0)
    texts = ["word " * (1 + i % 9) for i in range(50)]
    batches = TextBatches(encoder, texts, size=8, seed=3)
    assert batches.steps_per_epoch == 7
    for epoch in (0, 1):
        seen = [int(r) for step in range(7) for b in batches(7 * epoch + step) for r in b.rows]
        assert sorted(seen) == list(range(50))
    again = TextBatches(encoder, texts, size=8, seed=3)
    assert [b.rows.tolist() for b in again(9)] == [b.rows.tolist() for b in batches(9)]


def test_texts_beyond_the_window_are_averaged_over_windows(spec, tmp_path):
    encoder = adapted_encoder(spec, SETTINGS, Context(tmp_path), seed=0)
    long = " ".join(f"card {i}" for i in range(100))  # several windows of 64 tokens
    batches = TextBatches(encoder, ["short", long, "another short text"], size=3, seed=0)
    model = Tuned(encoder, np.zeros((2, 32), np.float32), np.zeros(2, np.float32), gain=1.0)
    batch = batches.batches_of(np.array([0, 1, 2]))[0]
    assert len(batch.ids) > 3
    with torch.no_grad():
        found = model.vectors(batch).numpy()
    assert np.allclose(found, encoder.embed(["short", long, "another short text"]), atol=1e-5)


def test_the_loss_by_hand_with_weights(spec, tmp_path):
    encoder = adapted_encoder(spec, SETTINGS, Context(tmp_path), seed=0)
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(2, 32)).astype(np.float32), rng.normal(size=2).astype(np.float32)
    model = Tuned(encoder, weight, bias, gain=5.0)
    texts = ["one", "two words", "three words here"]
    batch = TextBatches(encoder, texts, size=3, seed=0).batches_of(np.array([2, 0, 1]))[0]
    total, n = label_loss(np.array([0, 1, 1]), np.array([1, 2, 3], np.float32), smoothing=0.0)(model, batch)
    logits = encoder.embed(texts).astype(float) @ weight.T + bias
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert float(total) == pytest.approx(-(log_p[0, 0] + 2 * log_p[1, 1] + 3 * log_p[2, 1]), rel=1e-4)
    assert n == 6.0
    assert np.allclose(model.head()[0], weight, atol=1e-6)


def test_many_rows_are_read_twice_and_few_more_often():
    assert forecast_steps(32_000) == 2000
    assert forecast_steps(4000) == 250
    assert forecast_steps(320) == 80
    assert forecast_steps(1) == 8


@pytest.mark.parametrize(("asked", "choice"), [("auto", "packed"), ("padded", "padded")])
def test_how_texts_are_read_is_decided_and_said(job, tmp_path, asked, choice):
    said = []
    ctx = Context(tmp_path, emit=lambda event, **about: said.append((event, about)))
    system.get("encoder").fit(rows(16), rows(1).take([]), replace(job, options={"packing": asked}), ctx)
    decided = [about for event, about in said if event == "decision" and "packing" in about["what"]]
    assert [about["choice"] for about in decided] == [choice]
    assert "relative difference" in decided[0]["why"] or decided[0]["why"] == "you asked for it"
