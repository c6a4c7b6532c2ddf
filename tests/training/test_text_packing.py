"""Texts of a batch in one row: the same step as padded ones, nothing leaks, and who cannot is found out and padded."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from tunesmith.core.context import Context, Limits
from tunesmith.models.encoder import Encoder
from tunesmith.models.spec import ModelSpec
from tunesmith.testing import tiny_encoder
from tunesmith.training.text_packing import SAME, choose_text_packing
from tunesmith.training.tuned_encoder import TextBatches, Tuned, adapted_encoder, label_loss

TEXTS = ["card", "the card is late", "please give coins of money back " * 3, "where", "the card is late again",
         "a long text about cards and money and what became of them " * 9, "", "late card"]  # fmt: skip
COMMON = {"vocab_size": 90, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "pad_token_id": 1,
          "num_attention_heads": 4, "max_position_embeddings": 130}  # fmt: skip
DISTILBERT = {"vocab_size": 90, "dim": 32, "hidden_dim": 48, "n_layers": 3, "n_heads": 4, "pad_token_id": 1,
              "max_position_embeddings": 130}  # fmt: skip
MODERN = {"local_attention": 16, "global_attn_every_n_layers": 2, "bos_token_id": 2, "eos_token_id": 3,
          "cls_token_id": 2, "sep_token_id": 3}  # fmt: skip
SERVED = {
    "bert": ("BertConfig", COMMON),
    "roberta": ("RobertaConfig", COMMON),
    "xlm-roberta": ("XLMRobertaConfig", COMMON),
    "distilbert": ("DistilBertConfig", DISTILBERT),
    "modernbert": ("ModernBertConfig", {**COMMON, **MODERN}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
def model(folder, tmp_path):
    """An encoder in float64 whose adapter is not at its start any more."""
    spec = ModelSpec("folder", str(folder), "encoder")
    encoder = adapted_encoder(spec, {"method": "lora", "rank": 4, "layers": 1.0}, Context(tmp_path), seed=0)
    torch.manual_seed(0)
    for name, tensor in encoder.module.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(tensor, std=0.3)
    tuned = Tuned(encoder, np.ones((2, 32), np.float32), np.zeros(2, np.float32), gain=1.0, packed=True)
    torch.nn.init.normal_(tuned.weight)
    return tuned.double()


def family(name: str, folder, pooling="mean") -> Encoder:
    import transformers

    config_name, values = {**SERVED, "mpnet": ("MPNetConfig", COMMON), "llama": ("LlamaConfig", COMMON)}[name]
    torch.manual_seed(1)
    module = transformers.AutoModel.from_config(getattr(transformers, config_name)(**values)).eval()
    for tensor in module.parameters():  # wider than at birth: attention that is wrong must show
        torch.nn.init.normal_(tensor, std=0.2) if tensor.dim() > 1 else None
    known = Encoder.load(folder, Limits()).tokenizer
    return Encoder(module, known, window=120, width=32, pooling=pooling)


def some_ids(seed=0, lengths=(3, 40, 5, 5, 100, 1, 38)):
    rng = np.random.default_rng(seed)
    return [rng.integers(4, 90, size=n).tolist() for n in lengths]


def step(model, *, packed, dropped=False):
    batch = TextBatches(model.encoder, TEXTS, size=8, seed=0).whole_batch(np.arange(len(TEXTS)))
    assert len(batch.ids) > len(TEXTS), "a text longer than the window is among them"
    model.packed = packed
    model.train(dropped)
    model.zero_grad()
    loss, _ = label_loss(np.arange(len(TEXTS)) % 2, np.ones(len(TEXTS), np.float32), smoothing=0.05)(model, batch)
    loss.backward()
    return loss.detach(), {name: t.grad.clone() for name, t in model.named_parameters() if t.requires_grad}


def test_loss_and_gradients_of_a_packed_step_are_those_of_the_padded_one(model):
    (loss, got), (expected, want) = step(model, packed=True), step(model, packed=False)
    assert float(abs(loss - expected) / expected) < 1e-10
    assert want.keys() == got.keys()
    for name, grad in want.items():
        assert float((got[name] - grad).norm() / grad.norm().clamp(min=1e-30)) < 1e-10, name


def test_the_step_above_was_packed(model, monkeypatch):
    from tunesmith.models import tree_attention

    seen = []
    own = tree_attention.read_texts
    monkeypatch.setattr(tree_attention, "read_texts", lambda *a, **k: seen.append(len(a[1])) or own(*a, **k))
    step(model, packed=True)
    assert seen == [len(TextBatches(model.encoder, TEXTS, size=8, seed=0).ids)]
    alike = TextBatches(model.encoder, ["one card"] * 4, size=4, seed=0).whole_batch(np.arange(4))
    model.vectors(alike)
    assert len(seen) == 1, "texts of one length have no padding to save"


def test_the_same_seed_drops_the_same_and_another_something_else(model):
    losses = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        loss, grads = step(model, packed=True, dropped=True)
        losses.append((float(loss), [g.numpy().tobytes() for g in grads.values()]))
    assert losses[0] == losses[1]
    assert losses[0][0] != losses[2][0]


@pytest.mark.parametrize("name", SERVED)
@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "last"])
def test_families_that_are_served_give_the_vectors_of_texts_alone(name, pooling, folder):
    encoder, ids = family(name, folder, pooling), some_ids()
    encoder.module.double()
    with torch.no_grad():
        packed = encoder.forward(ids, packed=True)
        for row, vector in zip(ids, packed, strict=True):
            torch.testing.assert_close(vector, encoder.forward([row])[0], rtol=0, atol=1e-10)
    decided = choose_text_packing(encoder.with_module(encoder.module.float()), ids)
    assert decided.packed
    assert decided.gap < SAME


@pytest.mark.parametrize("name", SERVED)
def test_what_one_text_says_does_not_reach_another(name, folder):
    encoder, ids = family(name, folder), some_ids()
    with torch.no_grad():
        before = encoder.forward(ids, packed=True)
        ids[4][50] = 4 + (ids[4][50] + 1) % 80
        after = encoder.forward(ids, packed=True)
    for i, (a, b) in enumerate(zip(before, after, strict=True)):
        if i == 4:
            assert float((a - b).abs().max()) > 1e-4
        else:
            assert torch.equal(a, b)


def test_texts_longer_than_a_tile_of_scores(folder, monkeypatch):
    from tunesmith.models import tree_attention

    monkeypatch.setattr(tree_attention, "_TILE", 16)
    for name in ("bert", "modernbert"):
        encoder, ids = family(name, folder), some_ids()
        encoder.module.double()
        with torch.no_grad():
            packed = encoder.forward(ids, packed=True)
            alone = torch.cat([encoder.forward([row]) for row in ids])
        torch.testing.assert_close(packed, alone, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("name", "why"), [("mpnet", "attention be chosen"), ("llama", "change this encoder's vectors")]
)
def test_families_that_cannot_be_packed_are_found_out_and_padded(name, why, folder, caplog):
    encoder, ids = family(name, folder), some_ids()
    before = encoder.forward(ids)
    logger = logging.getLogger("transformers")
    logger.addHandler(caplog.handler)  # it does not hand on to the root logger
    try:
        decided = choose_text_packing(encoder, ids)
    finally:
        logger.removeHandler(caplog.handler)
    assert not decided.packed
    assert why in decided.why
    assert not caplog.records, "it is said once, as a decision"
    assert torch.equal(encoder.forward(ids), before), "its own attention is back"


def test_positions_that_begin_elsewhere_are_found_out(folder, monkeypatch):
    """RoBERTa read as if it were BERT: everything runs, and the numbers are wrong."""
    from tunesmith.models import encoder as of

    encoder, ids = family("roberta", folder), some_ids()
    monkeypatch.setattr(of, "_first_position", lambda config: 0)
    decided = choose_text_packing(encoder, ids)
    assert not decided.packed
    assert "change this encoder's vectors" in decided.why


def test_who_asks_for_padding_gets_it(folder):
    assert not choose_text_packing(family("bert", folder), some_ids(), asked="padded").packed


def test_dropout_of_attention_agrees_with_finite_differences():
    from tunesmith.models.tree_attention import Form, _TreeAttention, blocks_of_texts

    torch.manual_seed(0)
    blocks, form = blocks_of_texts([5, 4, 9, 1]), Form(0.6, None, None, dropout=0.3, seed=7)
    q = torch.randn(2, 1, 19, 3, dtype=torch.float64, requires_grad=True)
    k, v = (torch.randn(2, 19, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda *x: _TreeAttention.apply(*x, blocks, form), (q, k, v), fast_mode=True)


def test_dropout_keeps_the_mean_and_drops_its_share():
    from tunesmith.models.tree_attention import Form

    form = Form(1.0, None, None, dropout=0.2, seed=1)
    kept = form.kept(torch.empty(200, 200), form.draw(torch.device("cpu")))
    assert set(kept.unique().tolist()) == {0.0, 1.25}
    assert float(kept.mean()) == pytest.approx(1.0, abs=0.01)


def test_a_loop_killed_between_packed_steps_resumes_to_the_same_bytes(folder, tmp_path):
    from tunesmith.training.loop import Recipe, train

    class Killed(BaseException):
        pass

    def run(name, kill_at=None):
        spec = ModelSpec("folder", str(folder), "encoder")
        encoder = adapted_encoder(spec, {"method": "lora", "rank": 4, "layers": 1.0}, Context(tmp_path), seed=0)
        tuned = Tuned(encoder, np.ones((2, 32), np.float32), np.zeros(2, np.float32), gain=1.0, packed=True)
        texts = TextBatches(encoder, TEXTS, size=8, seed=0)

        def batches(step):
            if step == kill_at:
                raise Killed
            return texts(step)

        loss = label_loss(np.arange(len(TEXTS)) % 2, np.ones(len(TEXTS), np.float32), smoothing=0.05)
        recipe = Recipe(steps=5, rate=1e-2)
        train(tuned, batches, loss, recipe=recipe, folder=tmp_path / name, emit=lambda *_, **__: None,
              checkpoint_every_s=0.0)  # fmt: skip
        return [t.detach().numpy().tobytes() for t in tuned.parameters() if t.requires_grad]

    whole = run("whole")
    with pytest.raises(Killed):
        run("killed", kill_at=3)
    assert run("killed") == whole
