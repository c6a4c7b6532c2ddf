"""What may be packed is found out on the model, said with its reason, and proved on the model that is trained."""

from __future__ import annotations

import pytest
import torch
from test_batches import encoded_of, lm  # noqa: F401 - the same small job

from tunesmith.core.errors import ModelError
from tunesmith.models import tree_attention
from tunesmith.models.lm import LanguageModel
from tunesmith.training.packing import choose_packing, packed_as_alone


@pytest.fixture
def encoded(lm: LanguageModel, tmp_path):  # noqa: F811
    return encoded_of(lm, tmp_path)


def test_a_model_that_gives_the_same_for_packed_rows_is_trained_on_trees(lm: LanguageModel, encoded):  # noqa: F811
    decided = choose_packing(lm.model, encoded)
    assert decided.packing == "tree"
    assert decided.gap is not None
    assert decided.gap < 1e-5
    assert packed_as_alone(lm.model, encoded, decided, system="lm").passed


def test_a_model_that_ignores_the_layout_is_found_out(lm: LanguageModel, encoded, monkeypatch):  # noqa: F811
    """Positions dropped on the way: everything else works, and the numbers are wrong."""
    own = torch.nn.Module.__call__

    def forgetful(module, *given, **named):
        if module is lm.model and "blocks" in named:
            named["position_ids"] = torch.arange(named["input_ids"].shape[1])[None]
        return own(module, *given, **named)

    monkeypatch.setattr(torch.nn.Module, "__call__", forgetful)
    decided = choose_packing(lm.model, encoded)
    assert decided.packing == "padded"
    assert "change this model's logits" in decided.why
    forced = choose_packing(lm.model, encoded, asked="tree")
    assert forced.packing == "tree"
    assert packed_as_alone(lm.model, encoded, forced, system="lm").passed is False


def test_a_family_that_a_tree_cannot_serve_is_padded_and_says_why(lm: LanguageModel, encoded, monkeypatch):  # noqa: F811
    monkeypatch.setattr(tree_attention, "_HARMLESS", set())
    decided = choose_packing(lm.model, encoded)
    assert decided.packing == "padded"
    assert "do not serve" in decided.why
    check = packed_as_alone(lm.model, encoded, decided, system="lm")
    assert check.applies is False
    with pytest.raises(ModelError, match="do not serve"):
        choose_packing(lm.model, encoded, asked="tree")


def test_dropout_would_be_shared_so_rows_are_padded(lm: LanguageModel, encoded):  # noqa: F811
    assert choose_packing(lm.model, encoded, dropout=0.1).packing == "padded"
    assert choose_packing(lm.model, encoded, asked="padded").packing == "padded"


UNSERVED = {
    "BloomConfig": ({"hidden_size": 32, "n_layer": 2, "n_head": 4}, "takes no position ids"),
    "MambaConfig": ({"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}, "takes no position ids"),
    "GPTJConfig": ({"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4}, "attention be chosen"),
    "GptOssConfig": ({"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
                      "num_key_value_heads": 2, "head_dim": 8, "num_local_experts": 2, "num_experts_per_tok": 1},
                     "s_aux"),
    "Lfm2Config": ({"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
                    "num_key_value_heads": 2, "layer_types": ["conv", "full_attention"], "pad_token_id": 0},
                   "change this model's logits"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNSERVED)
def test_families_that_neither_a_tree_nor_plain_packing_serves(name, encoded):
    import transformers

    values, why = UNSERVED[name]
    torch.manual_seed(0)
    config = getattr(transformers, name)(vocab_size=1000, bos_token_id=1, eos_token_id=2, **values)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    for tensor in model.parameters():
        torch.nn.init.normal_(tensor, std=0.2) if tensor.dim() > 1 else None
    decided = choose_packing(model, encoded)
    assert decided.packing == "padded"
    assert why in decided.why
