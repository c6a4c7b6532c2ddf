"""A model cut in two gives what the whole gives, forwards and backwards, and is whole again afterwards."""

from __future__ import annotations

import pytest
import torch
from test_tree_attention import model_of, rows_of, wide  # noqa: F401 - the same small families

from tunesmith.core.errors import ConfigError, ModelError
from tunesmith.models.methods import method, saved_with
from tunesmith.models.tree import plant
from tunesmith.models.tree_attention import read_tree
from tunesmith.models.trunk import above, entering, recording, stack_of, top_of

CUT = ("llama", "qwen3", "mistral", "phi3", "gemma", "gemma2", "gemma3")
METHODS = {
    "lora": {"rank": 4},
    "dora": {"rank": 4, "dora": True},
    "pissa": {"rank": 4, "pissa": True},
    "ia3": {},
    "layernorm": {},
    "head": {},
    "full": {},
}


def on(family, name, *, top, dtype=torch.float64, seed=0):
    model = model_of(family, dtype, seed).requires_grad_(False)
    how = method.get("lora" if name in ("dora", "pissa") else name)
    return how, how.apply(model, {**METHODS[name], "top_layers": top}, seed=1)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("top", [1, 2])
@pytest.mark.parametrize("family", CUT)
def test_the_top_layers_on_recorded_states_give_the_logits_and_gradients_of_the_whole(family, top):
    """States recorded in one packing, read in another; layers that slide and layers that do not."""
    model, rows = model_of(family), rows_of()
    with torch.no_grad(), recording(model, top) as seen:
        big = plant(rows)
        read_tree(model, big)
    some = [rows[4], rows[1], rows[2]]
    tree = plant(some, least=1)
    states = torch.empty(1, len(tree), seen.states.shape[-1], dtype=torch.float64)
    for row, where in zip(some, tree.where, strict=True):
        states[0, where] = seen.states[0, big.where[rows.index(row)]]

    probe = torch.randn(len(tree), 64, dtype=torch.float64)
    layers = list(stack_of(model).layers)[-top:]
    found = {}
    for kind in ("whole", "cut"):
        model.zero_grad()
        if kind == "whole":
            logits = read_tree(model, tree)
        else:
            with entering(model, top, states):
                logits = read_tree(model, tree)
        (logits * probe).sum().backward()
        found[kind] = [logits.detach(), *(t.grad.clone() for layer in layers for t in layer.parameters())]
    for whole, cut in zip(found["whole"], found["cut"], strict=True):
        assert float((whole - cut).norm() / whole.norm().clamp(min=1e-30)) < 1e-10


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_afterwards_the_model_is_what_it_was_even_after_an_error(family):
    model = model_of(family, torch.float32)
    names, kinds = list(model.state_dict()), getattr(model.config, "layer_types", None)
    stack = model.model.layers
    ids = torch.tensor([[5, 6, 7]])
    before = model(input_ids=ids).logits
    for block in (lambda: entering(model, 1, torch.zeros(1, 3, 32)), lambda: recording(model, 1)):
        with pytest.raises(RuntimeError, match="stop"), block():
            raise RuntimeError("stop")
        assert model.model.layers is stack
    assert list(model.state_dict()) == names
    assert model.config.num_hidden_layers == 3
    assert getattr(model.config, "layer_types", None) == kinds
    assert torch.equal(model(input_ids=ids).logits, before)


def test_states_of_other_tokens_change_the_answer():
    """What the test above compares is not blind to the states."""
    model, rows = model_of("llama"), rows_of()
    tree = plant(rows)
    with torch.no_grad():
        with recording(model, 1) as seen:
            read_tree(model, tree)
        with entering(model, 1, seen.states.flip(1)):
            wrong = read_tree(model, tree)
        assert float((wrong - read_tree(model, tree)).norm()) > 1.0


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("family", ["llama", "gemma3", "phi3"])
def test_a_restricted_method_trains_nothing_below_and_something_above(family, name):
    how, model = on(family, name, top=1, dtype=torch.float32)
    trained = [key for key, tensor in model.named_parameters() if tensor.requires_grad]
    assert trained
    assert not [key for key in trained if "layers.0." in key or "layers.1." in key or "embed_tokens" in key]
    if name != "head":
        assert [key for key in trained if "layers.2." in key]
    assert how.memory(model, {"top_layers": 1}) > 0


@pytest.mark.parametrize("name", METHODS)
def test_a_restricted_method_is_read_back_as_it_was_and_merges(name, tmp_path):
    how, model = on("llama", name, top=1, dtype=torch.float32)
    for key, tensor in model.named_parameters():
        if tensor.requires_grad:
            torch.manual_seed(len(key))
            tensor.data += 0.1 * torch.randn_like(tensor)
    ids = torch.tensor([[5, 9, 11, 30, 7]])
    model.eval()
    with torch.no_grad():
        ours = model(input_ids=ids).logits
        how.save(model, tmp_path / "adapter", base="tiny")
        again = saved_with(tmp_path / "adapter").load(
            model_of("llama", torch.float32).requires_grad_(False), tmp_path / "adapter"
        )
        torch.testing.assert_close(again(input_ids=ids).logits, ours, rtol=0, atol=1e-5)
        how.save(again, tmp_path / "second", base="tiny")
        folded = how.merge(again)
        torch.testing.assert_close(folded(input_ids=ids).logits, ours, rtol=0, atol=2e-4)
    for file in ("method.json", "adapter_model.safetensors", "weights.safetensors"):
        if (tmp_path / "adapter" / file).exists():
            assert (tmp_path / "adapter" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()
    assert float((ours - model_of("llama", torch.float32)(input_ids=ids).logits).abs().max()) > 1e-3


def test_a_file_that_lacks_a_weight_of_the_top_layers_is_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    how, model = on("llama", "layernorm", top=2, dtype=torch.float32)
    how.save(model, tmp_path, base="tiny")
    stored = load_file(tmp_path / "adapter_model.safetensors")
    assert len(stored) == 5  # two norms in each of two layers, and the last one
    stored.popitem()
    save_file(stored, tmp_path / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="lacks"):
        how.load(model_of("llama", torch.float32), tmp_path)


def test_a_head_that_shares_the_embedding_lies_below():
    model = model_of("gemma3", torch.float32)
    assert model.config.tie_word_embeddings
    names = [name for name, _ in model.named_parameters()]
    assert above(model, names, top=1)[-1] == "model.norm.weight"
    assert all(name.startswith(("model.layers.2.", "model.norm.")) for name in above(model, names, top=1))
    own = model_of("llama", torch.float32)
    assert above(own, [name for name, _ in own.named_parameters()], top=1)[-1] == "lm_head.weight"


def test_how_many_layers_are_adapted():
    model = model_of("llama", torch.float32)
    assert top_of({}, model) is top_of({"top_layers": "auto"}, model) is None
    assert top_of({"top_layers": 2}, model) == 2
    assert top_of({"top_layers": 3}, model) is top_of({"top_layers": 30}, model) is None
    for wrong in (0, -1, 1.5, True, "many"):
        with pytest.raises(ConfigError, match="top_layers"):
            top_of({"top_layers": wrong}, model)


def test_a_method_with_nothing_in_the_top_layers_says_so():
    model = model_of("qwen2", torch.float32).requires_grad_(False)
    for name, module in model.named_modules():
        if name.startswith("model.layers.2."):
            module._parameters.pop("bias", None)
    with pytest.raises(ModelError, match="nothing to train in the top 1 layers"):
        method.get("bitfit").apply(model, {"top_layers": 1}, seed=0)


def test_a_model_whose_layers_cannot_be_told_is_refused():
    with pytest.raises(ModelError, match="its layers"):
        stack_of(torch.nn.Sequential(torch.nn.Linear(2, 2)))
