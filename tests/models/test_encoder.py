"""The encoder reads every text whole, alike in any company, and like the reference implementation."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.core.context import Limits
from tunesmith.core.errors import ModelError
from tunesmith.models.encoder import Encoder, batches
from tunesmith.testing import tiny_encoder
from tunesmith.testing.sentences import SENTENCES

# fp32 sums of a few dozen terms in another order
SAME = 2e-6


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("encoder") / "tiny")


@pytest.fixture(scope="module")
def encoder(folder) -> Encoder:
    return Encoder.load(folder, Limits())


def changed(folder: Path, target: Path, name: str, **values: object) -> Path:
    shutil.copytree(folder, target)
    path = target / name
    about = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**about, **values}))
    return target


def reference(encoder: Encoder, text: str) -> np.ndarray:
    """Mean pooling as the sentence-transformers documentation defines it, one text at a time, unbatched."""
    import torch

    fed = encoder.tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        hidden = encoder.module(**fed).last_hidden_state[0].numpy()
    mean = hidden.mean(axis=0)
    return mean / np.linalg.norm(mean)


def test_vectors_agree_with_the_plain_definition(encoder):
    texts = list(SENTENCES[:12])
    vectors = encoder.embed(texts)
    assert vectors.shape == (12, 32)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, [reference(encoder, text) for text in texts], atol=SAME)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from([*SENTENCES, "", " ", "x " * 300]), min_size=1, max_size=20), st.randoms())
def test_a_vector_does_not_depend_on_company_or_order(encoder, texts, random):
    vectors = encoder.embed(texts)
    order = list(range(len(texts)))
    random.shuffle(order)
    np.testing.assert_allclose(encoder.embed([texts[i] for i in order]), vectors[order], atol=SAME)
    np.testing.assert_allclose(encoder.embed(texts[:1]), vectors[:1], atol=SAME)


def test_the_same_call_gives_the_same_bytes(encoder):
    texts = [*SENTENCES, "word " * 500]
    assert encoder.embed(texts).tobytes() == encoder.embed(texts).tobytes()


def test_a_long_text_is_read_to_its_end(encoder):
    long = "the card has not arrived yet " * 40
    windows = encoder.tokenize([long])
    assert len(windows) > 3
    inside = [token for ids in windows.ids for token in ids[1:-1]]
    assert inside == encoder.tokenizer(long, add_special_tokens=False, verbose=False)["input_ids"]
    assert max(len(ids) for ids in windows.ids) <= encoder.window
    sizes = [len(ids) for ids in windows.ids]
    assert max(sizes) - min(sizes) <= 1, "equal parts: a last window of three tokens would weigh as noise"
    first, last = encoder.embed([long + "prize", long + "fever"])
    assert np.abs(first - last).max() > 1e-4, "the last word counts"


def test_weights_of_windows_sum_to_one_for_every_text(encoder):
    texts = ["", "one", "word " * 200, "word " * 63]
    windows = encoder.tokenize(texts)
    np.testing.assert_allclose(np.bincount(windows.owner, windows.weight), 1.0)
    assert sorted(set(windows.owner.tolist())) == [0, 1, 2, 3]


def test_texts_without_content_get_finite_vectors(encoder):
    vectors = encoder.embed(["", "   ", "\n", "\u200b", "\x00"])
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)


def test_nothing_gives_nothing(encoder):
    assert encoder.embed([]).shape == (0, 32)


def test_progress_counts_every_text_once(encoder):
    ticks: list[int] = []
    texts = [*SENTENCES, SENTENCES[0], SENTENCES[0], "word " * 400, ""]
    encoder.embed(texts, ticks.append)
    assert sum(ticks) == len(texts)


@given(st.lists(st.integers(1, 40), max_size=80), st.integers(1, 200))
def test_batches_hold_every_window_once_without_padding(lengths, tokens):
    found = batches(lengths, tokens=tokens)
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    for batch in found:
        assert len({lengths[i] for i in batch}) == 1
        assert len(batch) == 1 or len(batch) * lengths[batch[0]] <= tokens


def test_padded_windows_pool_like_lone_ones(encoder):
    """Training pads; what it tunes must be what is served."""
    ids = encoder.tokenize(list(SENTENCES[:6])).ids
    together = encoder.forward(ids).numpy()
    np.testing.assert_allclose(together, encoder.embed(SENTENCES[:6]), atol=SAME)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "last"])
def test_every_pooling_ignores_padding(encoder, pooling):
    import torch

    other = Encoder(encoder.module, encoder.tokenizer, window=encoder.window, width=encoder.width, pooling=pooling)
    hidden = torch.arange(2 * 4 * 3, dtype=torch.float32).reshape(2, 4, 3)
    mask = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]])
    spoiled = hidden.clone()
    spoiled[0, 2:] = 1e6
    pooled = other.pool(hidden, mask)
    assert torch.equal(pooled, other.pool(spoiled, mask))
    expected = {"mean": [1.5, 2.5, 3.5], "cls": [0, 1, 2], "max": [3, 4, 5], "last": [3, 4, 5]}[pooling]
    assert pooled[0].tolist() == expected


def test_gradients_flow_through_the_same_pooling(encoder, folder):
    fresh = Encoder.load(folder, Limits())
    assert not any(p.requires_grad for p in fresh.module.parameters()), "frozen unless somebody unfreezes it"
    fresh.module.requires_grad_(True)
    ids = fresh.tokenize(["the card", "the longer text about a card"]).ids
    fresh.forward(ids).sum().backward()
    assert all(
        p.grad is not None and p.grad.isfinite().all() for n, p in fresh.module.named_parameters() if "pooler" not in n
    )


def test_another_module_is_served_by_the_same_encoder(encoder):
    import copy

    import torch

    twin = copy.deepcopy(encoder.module)
    with torch.no_grad():
        twin.encoder.layer[0].output.dense.weight.mul_(2)
    assert np.abs(encoder.with_module(twin).embed(["a card"]) - encoder.embed(["a card"])).max() > 1e-4


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": True}, "max"),
        ({"pooling_mode_mean_tokens": False, "pooling_mode_lasttoken": True}, "last"),
    ],
)
def test_pooling_is_what_the_folder_says(folder, tmp_path, values, expected):
    other = changed(folder, tmp_path / "other", "1_Pooling/config.json", **values)
    assert Encoder.load(other, Limits()).pooling == expected


def test_unknown_pooling_is_refused(folder, tmp_path):
    other = changed(folder, tmp_path / "other", "1_Pooling/config.json", pooling_mode_weightedmean_tokens=True)
    with pytest.raises(ModelError, match="weightedmean"):
        Encoder.load(other, Limits())


def test_parts_after_the_transformer_are_refused_rather_than_left_out(folder, tmp_path):
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    (other / "modules.json").write_text(json.dumps([{"type": "sentence_transformers.models.Dense"}]))
    with pytest.raises(ModelError, match="'Dense'"):
        Encoder.load(other, Limits())


def test_the_window_is_the_narrowest_that_the_folder_names(folder, tmp_path):
    other = changed(folder, tmp_path / "other", "sentence_bert_config.json", max_seq_length=16)
    small = Encoder.load(other, Limits())
    assert small.window == 16
    assert max(len(ids) for ids in small.tokenize(list(SENTENCES)).ids) == 16


def test_the_prompt_of_the_makers_is_put_before_every_text(folder, tmp_path):
    about = {"prompts": {"query": "question: "}, "default_prompt_name": "query"}
    other = Encoder.load(changed(folder, tmp_path / "o", "config_sentence_transformers.json", **about), Limits())
    plain = Encoder.load(folder, Limits())
    np.testing.assert_allclose(other.embed(["the card"]), plain.embed(["question: the card"]), atol=SAME)


def test_damaged_weights_are_explained(folder, tmp_path):
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    (other / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="is damaged"):
        Encoder.load(other, Limits())


def test_weights_that_are_missing_are_not_made_up(folder, tmp_path):
    other = changed(folder, tmp_path / "other", "config.json", num_hidden_layers=3)
    with pytest.raises(ModelError, match="lacks 16 of its weights"):
        Encoder.load(other, Limits())


def test_a_word_in_place_is_the_mean_of_its_tokens_two_thirds_up(encoder):
    text = "the dog ran home and slept"
    hidden = encoder.module(
        input_ids=torch.tensor([encoder.tokenize([text]).ids[0]]), output_hidden_states=True
    ).hidden_states[round(2 * encoder.module.config.num_hidden_layers / 3)][0]
    where = encoder.tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
    mine = [at for at, (start, end) in enumerate(where) if end > start and (start < 7 and end > 4)]
    expected = hidden[mine].mean(dim=0).detach().numpy()
    found = encoder.in_place([text, "x"], [(0, [(4, 7)]), (0, [(4, 7), (8, 11)]), (1, [])])
    np.testing.assert_allclose(found[0], expected / np.linalg.norm(expected), atol=SAME)
    assert not np.allclose(found[0], found[1], atol=1e-3)
    assert not found[2].any()


def test_a_word_beyond_the_window_is_read_too(encoder):
    text = " ".join(SENTENCES[:12])
    assert len(encoder.tokenize([text])) > 1
    last = text.rindex(" ") + 1
    (found,) = encoder.in_place([text], [(0, [(last, len(text))])])
    assert np.linalg.norm(found) == pytest.approx(1.0, abs=1e-5)
