"""The small models are real: they load, speak in tokens, and are the same in every process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tunesmith.core.files import sha256_path
from tunesmith.testing import tiny_encoder, tiny_lm


def test_the_same_seed_gives_the_same_bytes_in_another_process(tmp_path):
    script = (
        "import sys; from pathlib import Path; from tunesmith.core.files import sha256_path\n"
        "from tunesmith.testing import tiny_encoder, tiny_lm; folder = Path(sys.argv[1])\n"
        "print(sha256_path(tiny_lm(folder / 'lm')), sha256_path(tiny_encoder(folder / 'encoder')))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "other")]
    other = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout.split()
    assert other == [sha256_path(tiny_lm(tmp_path / "lm")), sha256_path(tiny_encoder(tmp_path / "encoder"))]


def test_another_seed_gives_other_weights_and_the_same_tokenizer(tmp_path):
    one, two = tiny_lm(tmp_path / "one"), tiny_lm(tmp_path / "two", seed=1)
    assert (one / "model.safetensors").read_bytes() != (two / "model.safetensors").read_bytes()
    assert (one / "tokenizer.json").read_bytes() == (two / "tokenizer.json").read_bytes()


def test_the_global_generator_is_left_alone(tmp_path):
    import torch

    before = torch.get_rng_state()
    tiny_lm(tmp_path / "lm")
    tiny_encoder(tmp_path / "encoder")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture(scope="module")
def lm(tmp_path_factory) -> Path:
    return tiny_lm(tmp_path_factory.mktemp("tiny") / "lm")


def test_any_text_comes_back_from_its_tokens_and_words_are_not_spelt(lm):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(lm)
    text = "My card — Ärger, 漢字 \n\t 20 mg"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert len(tokenizer("The patient takes the medicine.")["input_ids"]) < 12
    assert tokenizer.eos_token_id == tokenizer.pad_token_id, "as in the default base model"


def test_the_template_marks_turns_and_asks_for_the_answer(lm):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(lm)
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    asked = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    assert asked == "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"


def test_it_is_small_and_answers_unevenly(lm):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(lm)
    assert 30_000 < sum(p.numel() for p in model.parameters()) < 70_000
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[5, 300, 400]])).logits
    assert logits.isfinite().all()
    assert logits.std() > 0.05, "a uniform answer would hide differences between two models"
