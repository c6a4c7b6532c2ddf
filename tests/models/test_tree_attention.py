"""A packed tree gives what each row alone gives, on families of every kind, forwards and backwards."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tunesmith.core.errors import ModelError
from tunesmith.models.tree import plant
from tunesmith.models.tree_attention import attending, blocks_of

WORDS, WIDTH = 64, 32
COMMON = {"vocab_size": WORDS, "hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": 3,
          "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512, "head_dim": 8,
          "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}  # fmt: skip
FAMILIES = {
    "llama": ("LlamaConfig", {}),
    "qwen2": ("Qwen2Config", {}),
    "qwen3": ("Qwen3Config", {}),
    "mistral": ("MistralConfig", {"sliding_window": 23}),
    "phi3": ("Phi3Config", {}),
    "gemma": ("GemmaConfig", {}),
    "gemma2": ("Gemma2Config", {"sliding_window": 17, "attn_logit_softcapping": 2.0, "query_pre_attn_scalar": 8}),
    "gemma3": ("Gemma3TextConfig", {"sliding_window": 17, "query_pre_attn_scalar": 8}),
}


@pytest.fixture
def wide(monkeypatch):
    """float64 stays float64: families narrow it in their norms and softmax, which would hide what is compared."""
    to, softmax = torch.Tensor.to, torch.nn.functional.softmax

    def not_narrower(x, *given, **named):
        if x.dtype == torch.float64 and (torch.float32 in given or named.get("dtype") == torch.float32):
            return x
        return to(x, *given, **named)

    def softmax_as_it_is(x, dim=None, dtype=None, **named):
        return softmax(x, dim=dim, dtype=None if x.dtype == torch.float64 else dtype, **named)

    monkeypatch.setattr(torch.Tensor, "to", not_narrower)
    monkeypatch.setattr(torch.Tensor, "float", lambda x: x if x.dtype == torch.float64 else to(x, torch.float32))
    monkeypatch.setattr(torch.nn.functional, "softmax", softmax_as_it_is)


def model_of(family, dtype=torch.float64, seed=0):
    import transformers

    config_name, more = FAMILIES[family]
    config = getattr(transformers, config_name)(**{**COMMON, **more})
    config._attn_implementation = "eager"
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype)
    for tensor in model.parameters():  # wider than at birth: attention that is wrong must show
        torch.nn.init.normal_(tensor, std=0.3) if tensor.dim() > 1 else None
    return model.eval()


def rows_of(seed=0, prefix=30, n=7, longest=40):
    rng = np.random.default_rng(seed)
    shared = rng.integers(3, WORDS, size=prefix).tolist()
    question = rng.integers(3, WORDS, size=20).tolist()
    rows = []
    for i in range(n):
        middle = question if i % 3 == 0 else []
        rows.append([*shared, *middle, *rng.integers(3, WORDS, size=rng.integers(1, longest)).tolist()])
    return [*rows, rows[0]]


def packed_logits(model, rows, least=16):
    tree = plant(rows, least=least)
    with attending(model):
        out = model(
            input_ids=torch.from_numpy(tree.ids)[None], position_ids=torch.from_numpy(tree.at)[None],
            blocks=blocks_of(tree), use_cache=False,
        ).logits[0]  # fmt: skip
    return [out[torch.from_numpy(where)] for where in tree.where], len(tree)


def alone(model, row):
    return model(input_ids=torch.tensor([row]), use_cache=False).logits[0]


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_packed_tree_gives_the_logits_of_each_row_alone(family):
    model, rows = model_of(family), rows_of()
    with torch.no_grad():
        packed, n = packed_logits(model, rows)
        assert n < 0.7 * sum(map(len, rows))
        for row, logits in zip(rows, packed, strict=True):
            torch.testing.assert_close(logits, alone(model, row), rtol=0, atol=1e-10)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_of_all_weights_equal_those_of_rows_alone(family):
    model, rows = model_of(family), rows_of(1)
    probe = [torch.randn(len(row), WORDS, dtype=torch.float64) for row in rows]
    packed, _ = packed_logits(model, rows)
    sum((p * w).sum() for p, w in zip(packed, probe, strict=True)).backward()
    got = {name: t.grad.clone() for name, t in model.named_parameters()}
    model.zero_grad()
    sum((alone(model, row) * w).sum() for row, w in zip(rows, probe, strict=True)).backward()
    for name, tensor in model.named_parameters():
        gap = float((got[name] - tensor.grad).norm() / tensor.grad.norm().clamp(min=1e-30))
        assert gap < 1e-10, name


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_rows_longer_than_a_tile_of_scores(family, monkeypatch):
    from tunesmith.models import tree_attention

    monkeypatch.setattr(tree_attention, "_TILE", 16)
    model, rows = model_of(family), rows_of(2, prefix=70, longest=90)
    with torch.no_grad():
        packed, _ = packed_logits(model, rows)
        for row, logits in zip(rows, packed, strict=True):
            torch.testing.assert_close(logits, alone(model, row), rtol=0, atol=1e-10)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("family", ["llama", "gemma3"])
@pytest.mark.parametrize("least", [1, 16, 10**9])
def test_what_one_row_says_does_not_reach_another(family, least):
    model, rows = model_of(family), rows_of(3)
    with torch.no_grad():
        before, _ = packed_logits(model, rows, least)
        changed = [list(row) for row in rows]
        changed[2][-1] = (changed[2][-1] + 7) % (WORDS - 3) + 3
        after, _ = packed_logits(model, changed, least)
    for i, (a, b) in enumerate(zip(before, after, strict=True)):
        if i == 2:
            torch.testing.assert_close(a[:-1], b[:-1], rtol=0, atol=1e-12)
            assert float((a[-1] - b[-1]).abs().max()) > 1e-3
        else:
            torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_float32_is_right_to_rounding():
    model, rows = model_of("llama", torch.float32), rows_of(4)
    with torch.no_grad():
        packed, _ = packed_logits(model, rows)
        for row, logits in zip(rows, packed, strict=True):
            torch.testing.assert_close(logits, alone(model, row), rtol=0, atol=2e-4)


def test_the_models_own_attention_is_back_afterwards():
    model = model_of("llama")
    with pytest.raises(RuntimeError, match="stop"), attending(model):
        raise RuntimeError("stop")
    assert model.config._attn_implementation == "eager"


def test_a_family_that_asks_for_more_is_refused_and_not_computed_wrongly():
    from tunesmith.models.tree_attention import tree_attention

    tree = plant([[1, 2, 3]])
    x = torch.randn(1, 2, 3, 4)
    with pytest.raises(ModelError, match="s_aux"):
        tree_attention(torch.nn.Identity(), x, x, x, None, blocks=blocks_of(tree), s_aux=torch.ones(2))
    with pytest.raises(ModelError, match="attention dropout"):
        tree_attention(torch.nn.Identity(), x, x, x, None, blocks=blocks_of(tree), dropout=0.1)
    with pytest.raises(ModelError, match="a mask"):
        tree_attention(torch.nn.Identity(), x, x, x, torch.ones(1, 1, 3, 3), blocks=blocks_of(tree))


def test_the_derivative_agrees_with_finite_differences():
    from tunesmith.models.tree_attention import Form, _TreeAttention

    torch.manual_seed(0)
    tree = plant([[*range(20), 1, 2], [*range(20), 3], [*range(20), 4, 5, 6], [7, 8]])
    n = len(tree)
    q = torch.randn(2, 2, n, 3, dtype=torch.float64, requires_grad=True)
    k, v = (torch.randn(2, n, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    blocks, form = blocks_of(tree), Form(0.6, 1.5, 9)
    assert torch.autograd.gradcheck(lambda *x: _TreeAttention.apply(*x, blocks, form), (q, k, v), fast_mode=True)
