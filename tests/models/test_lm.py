"""Loading: what is refused and how; the head is computed where it is asked for and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tunesmith.core.context import Limits
from tunesmith.core.errors import ModelError
from tunesmith.models.lm import LanguageModel, computing, head_at, recomputing
from tunesmith.testing import tiny_lm

IDS = torch.tensor([[5, 6, 7, 8, 9, 10], [11, 12, 13, 14, 15, 16]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_lm(tmp_path_factory.mktemp("lm") / "tiny")


@pytest.fixture
def lm(folder: Path) -> LanguageModel:
    return LanguageModel.load(folder, Limits())


def test_a_loaded_model_is_frozen_in_eval_mode_and_of_the_dtype_asked_for(folder: Path) -> None:
    model = LanguageModel.load(folder, Limits(dtype="bfloat16")).model
    assert not model.training
    assert {t.dtype for t in model.parameters()} == {torch.bfloat16}
    assert not any(t.requires_grad for t in model.parameters())


def test_context_and_stops_are_the_models_own(lm: LanguageModel) -> None:
    assert lm.context == 1024
    assert lm.stops == (lm.template.end_id,)


def test_a_cut_weights_file_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    path = tiny_lm(tmp_path / "tiny") / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="tiny cannot be read") as caught:
        LanguageModel.load(tmp_path / "tiny", Limits())
    assert caught.value.hint


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_an_error(tmp_path: Path, name: str) -> None:
    (tiny_lm(tmp_path / "tiny") / name).unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        LanguageModel.load(tmp_path / "tiny", Limits())


def test_pickled_weights_are_not_read(tmp_path: Path, lm: LanguageModel) -> None:
    folder = tiny_lm(tmp_path / "tiny")
    (folder / "model.safetensors").unlink()
    torch.save(lm.model.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(ModelError):
        LanguageModel.load(folder, Limits())


def test_a_family_with_layers_that_do_not_attend_is_refused(tmp_path: Path) -> None:
    from transformers import Qwen3NextConfig

    folder = tiny_lm(tmp_path / "tiny")
    Qwen3NextConfig(num_hidden_layers=4).save_pretrained(folder)
    with pytest.raises(ModelError, match="linear_attention"):
        LanguageModel.load(folder, Limits())


def test_an_adapter_that_is_not_there_is_an_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    with pytest.raises(ModelError, match="holds no adapter"):
        LanguageModel.load(folder, Limits(), adapter=tmp_path / "adapter")


def test_the_head_is_computed_at_the_positions_asked_for_and_is_whole_again_afterwards(lm: LanguageModel) -> None:
    with torch.no_grad():
        whole = lm.model(IDS).logits
        keep = (torch.tensor([1, 0, 1]), torch.tensor([0, 5, 3]))
        with head_at(lm.model, keep):
            part = lm.model(IDS).logits
        assert part.shape == (1, 3, whole.shape[-1])
        torch.testing.assert_close(part[0], whole[keep])
        assert lm.model(IDS).logits.shape == whole.shape


def test_logits_with_positions_given_are_the_models_own(lm: LanguageModel) -> None:
    at = torch.arange(6).expand(2, 6)
    keep = (torch.tensor([0, 1]), torch.tensor([5, 5]))
    with torch.no_grad():
        expected = lm.model(IDS).logits[:, -1]
    torch.testing.assert_close(lm.logits(IDS, at=at, keys_at=at, keep=keep), expected, rtol=0, atol=1e-5)


def test_bfloat16_is_computed_in_bfloat16_and_float32_is_left_alone(folder: Path, lm: LanguageModel) -> None:
    with computing(lm.model):
        assert not torch.is_autocast_enabled("cpu")
    with computing(LanguageModel.load(folder, Limits(dtype="bfloat16")).model):
        assert torch.is_autocast_enabled("cpu")
    assert not torch.is_autocast_enabled("cpu")


def test_recomputing_ends_with_its_block_even_after_an_error(lm: LanguageModel) -> None:
    class Boom(Exception):
        pass

    def layers() -> set[bool]:
        return {bool(getattr(m, "gradient_checkpointing", False)) for m in lm.model.modules()}

    def explode() -> None:
        with recomputing(lm.model, True):
            assert True in layers()
            raise Boom

    with pytest.raises(Boom):
        explode()
    assert layers() == {False}


@pytest.mark.slow
def test_the_real_default_model_answers_as_transformers_does_one_by_one() -> None:
    from tunesmith.models.resolve import local, resolve

    spec = resolve("smollm2-135m-instruct", "lm")
    found = local(spec)
    if found is None:
        pytest.skip("smollm2-135m-instruct is not in the cache (tunesmith run, or make demo, puts it there)")
    lm = LanguageModel.load(found, Limits())
    questions = ("What is the capital of France?", "Name a colour.", "Write one short sentence about the sea, please.")
    prompts = [
        lm.template.prompt_ids(
            [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": q}]
        )
        for q in questions
    ]
    prefix = prompts[0][:8]
    for prompt, answer in zip(prompts, lm.generate(prompts, max_new_tokens=24, prefix=prefix), strict=True):
        out = lm.model.generate(  # type: ignore[operator]
            torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), max_new_tokens=24, do_sample=False,
            pad_token_id=0,
        )  # fmt: skip
        theirs = [int(word) for word in out[0, len(prompt) :]]
        assert answer.ids == (theirs[:-1] if answer.ended else theirs)
    assert "Paris" in lm.template.read(lm.generate(prompts[:1], max_new_tokens=24)[0].ids)
    labels = [lm.template.answer_ids(name) for name in ("Paris", "Paris, France", "London", "Rome", "Lyon")]
    scores = lm.label_log_probs(prompts, labels, prefix=prefix)
    with torch.inference_mode():
        for i, prompt in enumerate(prompts):
            for j, label in enumerate(labels):
                logits = lm.model(input_ids=torch.tensor([prompt + label])).logits[0].double()
                log_p = torch.log_softmax(logits, dim=1)
                expected = sum(float(log_p[len(prompt) - 1 + k, word]) for k, word in enumerate(label))
                np.testing.assert_allclose(scores[i, j], expected, atol=2e-3)
