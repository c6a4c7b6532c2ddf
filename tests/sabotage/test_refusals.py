"""What cannot be trained rightly is refused: where it is noticed, in words, and through the command line."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lm_case import context_of, echoes, job_of, tickets
from safetensors.torch import load_file, save_file

from tunesmith.core.context import Limits
from tunesmith.core.errors import CheckFailed, ConfigError, ModelError, TunesmithError
from tunesmith.models.lm import LanguageModel
from tunesmith.models.template import Template
from tunesmith.testing import tiny_lm
from tunesmith.training.systems import system


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_lm(tmp_path_factory.mktemp("refused") / "tiny")


def copy_of(tiny: Path, folder: Path) -> Path:
    shutil.copytree(tiny, folder / "tiny")
    return folder / "tiny"


def fit(folder: Path, *, text: bool = False, rows: Any = None, **options: Any) -> Any:
    job = job_of(folder, text=text, **{"steps": 3, **options})
    few = echoes if text else tickets
    return system.get("lm").fit(few(16) if rows is None else rows, few(8, start=100), job, context_of(folder / "w"))


# Numbers that are not finite


@pytest.mark.parametrize(
    ("weight", "value"),
    [
        ("model.layers.1.mlp.down_proj.weight", float("inf")),
        ("model.layers.0.input_layernorm.weight", float("nan")),
        ("model.layers.0.self_attn.k_proj.weight", float("-inf")),
    ],
)
def test_a_base_with_a_broken_weight_is_refused_naming_step_and_layer(
    tiny: Path, tmp_path: Path, weight: str, value: float
) -> None:
    path = copy_of(tiny, tmp_path) / "model.safetensors"
    tensors = load_file(path)
    tensors[weight].view(-1)[3] = value
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=rf"step 0: the loss is nan; the frozen weight {weight} of the base") as caught:
        fit(tmp_path)
    assert "another one" in str(caught.value.hint)
    assert not (tmp_path / "w/fitted").exists()


def test_a_frozen_weight_that_breaks_on_the_way_is_named_and_not_the_adapter_behind_it(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.training import loop

    real = loop.accumulate

    def breaks(model: Any, *given: Any, step: int, **named: Any) -> Any:
        if step == 2:
            frozen = dict(model.named_parameters())["base_model.model.model.layers.1.mlp.up_proj.base_layer.weight"]
            with torch.no_grad():
                frozen[0, 0] = float("inf")
        return real(model, *given, step=step, **named)

    monkeypatch.setattr(loop, "accumulate", breaks)
    copy_of(tiny, tmp_path)
    with pytest.raises(ModelError, match=r"step 2: the loss is nan; the frozen weight .*layers\.1\.mlp\.up_proj\.base"):
        fit(tmp_path)


def test_a_layer_that_overflows_though_every_weight_is_finite_is_named(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.training import loop

    real = loop.accumulate

    def breaks(model: Any, *given: Any, step: int, **named: Any) -> Any:
        if step == 1:
            with torch.no_grad():
                model.get_base_model().model.layers[0].mlp.down_proj.base_layer.weight.mul_(1e38)
                model.get_base_model().model.layers[0].mlp.up_proj.base_layer.weight.mul_(1e38)
        return real(model, *given, step=step, **named)

    monkeypatch.setattr(loop, "accumulate", breaks)
    copy_of(tiny, tmp_path)
    with pytest.raises(ModelError, match=r"step 1: the loss is nan; every weight is finite, the output of .*layers\.0"):
        fit(tmp_path)


@pytest.mark.parametrize("rate", [1e30, 1e35])
def test_a_huge_rate_is_stopped_naming_step_and_layer_and_saves_nothing(
    tiny: Path, tmp_path: Path, rate: float
) -> None:
    copy_of(tiny, tmp_path)
    with pytest.raises(ModelError, match=r"training stopped at step \d+: the .* is .*; .*layers\.\d") as caught:
        fit(tmp_path, rate=rate)
    assert "lower the learning rate" in str(caught.value.hint)
    assert not (tmp_path / "w/fitted").exists()
    assert not list((tmp_path / "w").rglob("*.safetensors")), "a checkpoint with weights that are not finite"


@pytest.mark.parametrize("rate", [1e38, float("inf"), float("nan"), -1e-3])
def test_a_rate_that_is_none_is_refused(tiny: Path, tmp_path: Path, rate: float) -> None:
    copy_of(tiny, tmp_path)
    with pytest.raises(ConfigError, match="the learning rate is") as caught:
        fit(tmp_path, rate=rate)
    assert "train.rate" in str(caught.value.hint)


def test_weights_of_rows_that_are_no_numbers(tiny: Path, tmp_path: Path) -> None:
    copy_of(tiny, tmp_path)
    rows = tickets(16)
    rows = replace(rows, weights=np.where(np.arange(16) == 5, np.nan, 1.0).astype(np.float32))
    with pytest.raises(CheckFailed, match="rows with no supervised token") as caught:
        fit(tmp_path, rows=rows)
    assert caught.value.exit_code == 3


# Templates whose tokens are not there


def edited(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def without(folder: Path, mark: str) -> None:
    """The tokenizer as it would be had nobody added the mark; what names it as a special token names another."""

    def drop(content: dict[str, Any]) -> None:
        content["added_tokens"] = [t for t in content["added_tokens"] if t["content"] != mark]
        vocabulary = content["model"]["vocab"]
        vocabulary["zzz-nothing"] = vocabulary.pop(mark)

    edited(folder, drop)
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        path = folder / name
        if path.exists():
            path.write_text(path.read_text().replace(mark, "<|endoftext|>"))


@pytest.mark.parametrize("mark", ["<|im_end|>", "<|im_start|>"])
def test_a_template_whose_token_the_tokenizer_splits(tiny: Path, tmp_path: Path, mark: str) -> None:
    without(copy_of(tiny, tmp_path), mark)
    with pytest.raises(ModelError) as caught:
        fit(tmp_path)
    assert mark in caught.value.message
    assert "pieces" in caught.value.message
    assert "chat_template" in str(caught.value.hint)
    assert not (tmp_path / "w").exists() or not list((tmp_path / "w").iterdir())


def test_a_tokenizer_with_a_token_that_the_model_has_no_embedding_for(tiny: Path, tmp_path: Path) -> None:
    """Somebody added <|turn_end|> to the tokenizer and did not widen the model."""
    from transformers import AutoTokenizer

    folder = copy_of(tiny, tmp_path)
    words = AutoTokenizer.from_pretrained(folder)
    words.add_special_tokens({"additional_special_tokens": ["<|turn_end|>"]})
    words.chat_template = str(words.chat_template).replace("<|im_end|>", "<|turn_end|>")
    words.save_pretrained(folder)
    with pytest.raises(ModelError, match=r"writes '<\|turn_end\|>', for which the model has no embedding: it knows"):
        LanguageModel.load(folder, Limits())


@pytest.mark.parametrize(
    ("template", "end"),
    [
        # Speakers in letters that look like tokens, ended by the tokenizer's own end token: such bases exist.
        ("{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] + eos_token }}\n{% endfor %}", "<|im_end|>"),
        (
            "{% for m in messages %}{% if m['role'] == 'user' %}<|user|>\n{% else %}<|other|>\n{% endif %}"
            "{{ m['content'] + eos_token }}\n{% endfor %}{% if add_generation_prompt %}<|other|>\n{% endif %}",
            "<|im_end|>",
        ),
        # The end on a line of its own is still the end.
        ("{% for m in messages %}<|im_start|>{{ m['content'] }}\n<|endoftext|>{% endfor %}", "<|endoftext|>"),
        ("{% for m in messages %}Q {{ m['content'] }}\n{% endfor %}", "<|im_end|>"),
    ],
)
def test_templates_that_are_as_they_should_be_are_taken(tiny: Path, template: str, end: str) -> None:
    from transformers import AutoTokenizer

    words = AutoTokenizer.from_pretrained(tiny)
    words.chat_template = template
    assert Template.of(words).end_id == words.convert_tokens_to_ids(end)


# Rows that do not fit


def long_rows(n: int, long: int) -> Any:
    rows = echoes(n)
    return replace(rows, texts=tuple("It came late. " * 60 + t if i < long else t for i, t in enumerate(rows.texts)))


def test_rows_longer_than_the_context_are_refused_with_their_number_the_longest_and_the_context(tmp_path: Path) -> None:
    tiny_lm(tmp_path / "tiny", context=200)
    with pytest.raises(ModelError) as caught:
        fit(tmp_path, text=True, rows=long_rows(16, 3))
    message = caught.value.message
    assert "3 of 24 rows are longer than the context" in message  # the dev rows are looked at as well
    assert "the context has 200" in message
    longest = int(message.partition("the longest needs ")[2].split()[0])
    assert 240 < longest < 900
    assert "train.allow_truncation: true" in str(caught.value.hint)
    fitted = fit(tmp_path, text=True, rows=long_rows(16, 3), allow_truncation=True)
    assert fitted.about["lengths"][0] == 200
    assert fit(tmp_path, text=True, rows=long_rows(16, 0)).about["lengths"][0] == 200


# Through the command line

WORDS = (
    *("parcel", "courier", "late", "address", "arrive", "invoice", "charged", "refund", "payment", "price", "lamp"),
    *("password", "login", "email", "locked", "profile", "table", "window", "broken", "repaired", "colour", "garden"),
    *("letter", "neighbour", "station", "ticket", "morning", "evening", "winter", "summer", "river", "kitchen"),
)


def letters(path: Path, *, long: bool) -> None:
    """150 unlike letters with a note of their first words; long: a tenth of them too long for a short context."""
    draw = random.Random(0)
    rows = []
    for i in range(150):
        words = draw.choices(WORDS, k=300 if long and i % 10 == 0 else 14)
        rows.append({"letter": " ".join(words) + ".", "note": " ".join(words[:3]) + "."})
    path.write_text("\n".join(map(json.dumps, rows)))


CLI = ["--set", "model.at_least=[lm]", "--only", "lm", "--only", "copying", "--threads", "1", "--budget", "90s"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ("template", 2, "<|im_end|>"),
        ("weight", 2, "the frozen weight model.layers.1.mlp.down_proj.weight"),
        ("rate", 2, "training stopped at step"),
        ("context", 2, "longer than the context"),
        ("none", 0, "report:"),
        ("allowed", 0, "report:"),
    ],
)
def test_the_command_line_says_it_with_its_exit_code_and_leaves_nothing_half_written(
    tmp_path: Path, fault: str, code: int, said: str
) -> None:
    folder = tiny_lm(tmp_path / "tiny", context=300 if fault in ("context", "allowed") else 1024)
    if fault == "template":
        without(folder, "<|im_end|>")
    if fault == "weight":
        tensors = load_file(folder / "model.safetensors")
        tensors["model.layers.1.mlp.down_proj.weight"][0, 0] = float("inf")
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    letters(tmp_path / "rows.jsonl", long=fault in ("context", "allowed"))
    words = ["run", tmp_path / "rows.jsonl", "--target", "note", "--task", "rewrite", "--lm", f"folder:{folder}",
             "--encoder", "none", "--out", tmp_path / "run", "--set", "dtype=float32", *CLI]  # fmt: skip
    if fault == "rate":
        words += ["--set", "train.rate=1e30"]
    if fault == "allowed":
        words += ["--set", "train.allow_truncation=true"]
    done = subprocess.run(
        [sys.executable, "-m", "tunesmith", *map(str, words)], capture_output=True, text=True, check=False,
        cwd=tmp_path, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    select = tmp_path / "run/05-select"
    assert (select / "stage.json").exists() == (code == 0)
    assert not list(select.glob("systems/lm/fitted")) or code == 0
    assert not [p for p in (tmp_path / "run").rglob(".*") if p.name != ".lock"], "a draft was left"


def test_every_refusal_here_is_of_the_kind_that_the_command_line_tells_people() -> None:
    assert issubclass(ModelError, TunesmithError)
    assert (ModelError("x").exit_code, CheckFailed("x").exit_code) == (2, 3)
