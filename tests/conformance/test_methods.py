"""Every method, found by itself, on small models of several families: starts, trains, merges, saves, counts."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from tunesmith.core.errors import MissingExtra, ModelError
from tunesmith.models.methods import Choice, Method, Range, method, saved_with
from tunesmith.models.spec import ModelSpec

IDS = torch.tensor([[5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], [40, 3, 77, 8, 21, 60, 5, 33, 9, 2, 71, 18]])
FAMILIES = ("Llama", "Qwen2", "Qwen3", "Gemma3Text", "Mistral", "Phi3")
# Wide enough that all methods can be told from noise, narrow enough for a second a family.
SHAPE = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.1,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SPECIAL: dict[str, dict[str, Any]] = {
    "Llama": {"tie_word_embeddings": True},
    "Qwen3": {"head_dim": 8, "tie_word_embeddings": True},
    "Gemma3Text": {"head_dim": 8, "sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]},
    "Mistral": {"sliding_window": 4},
}


@cache
def pristine(family: str) -> Any:
    """A model of the family, always the same; Qwen2 has biases, and those that start at zero are drawn too."""
    import transformers

    config = getattr(transformers, f"{family}Config")(**SHAPE, **SPECIAL.get(family, {}))
    config.architectures = [family.removesuffix("Text") + "ForCausalLM"]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = getattr(transformers, f"{family.removesuffix('Text')}ForCausalLM")(config).eval()
        with torch.no_grad():
            for tensor in model.parameters():
                if tensor.ndim == 1:
                    tensor += 0.1 * torch.randn(tensor.shape)
    return model.requires_grad_(False)


@dataclass
class Trained:
    """A method on a model before and after some steps."""

    how: Method
    family: str
    base_logits: torch.Tensor
    fresh_logits: torch.Tensor
    start: dict[str, torch.Tensor]
    model: Any
    losses: list[float]

    def fresh_base(self) -> Any:
        return copy.deepcopy(pristine(self.family))


def served(how: Method, family: str, *, seed: int = 0, **options: Any) -> tuple[torch.Tensor, Any]:
    """(logits of the base as the method needs it, the base with the method on); skips what is not there."""
    try:
        base = how.prepare(copy.deepcopy(pristine(family)))
        logits = said(base)
        return logits, how.apply(base, options, seed=seed)
    except MissingExtra as error:
        pytest.skip(str(error))
    except ModelError as error:
        # What does serve the family must be said; a refusal without a hint is a failure and not a skip.
        if not error.hint:
            raise
        pytest.skip(f"{how.name} on {family}: {error.message}")


@torch.no_grad()
def said(model: Any) -> torch.Tensor:
    logits: torch.Tensor = model(IDS).logits
    return logits.float()


@pytest.fixture(params=method.names(), scope="module")
def how(request: pytest.FixtureRequest) -> Any:
    return method.get(request.param)


@pytest.fixture(params=FAMILIES, scope="module")
def trained(request: pytest.FixtureRequest, how: Method) -> Trained:
    base_logits, model = served(how, request.param, rank=4)
    model.eval()
    fresh_logits = said(model)
    start = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
    weights = [tensor for tensor in model.parameters() if tensor.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-2, weight_decay=0.0)
    losses = []
    for _ in range(5):
        logits = model(IDS).logits
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), IDS[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    return Trained(how, request.param, base_logits, fresh_logits, start, model, losses)


def test_it_is_named_like_its_file(how: Any) -> None:
    assert method.module(how.name) == f"tunesmith.models.methods.{how.name}"


def test_it_serves_some_family(how: Any) -> None:
    refused = []
    for family in FAMILIES:
        try:
            how.apply(copy.deepcopy(pristine(family)), {"rank": 4}, seed=0)
        except MissingExtra as error:
            pytest.skip(str(error))
        except ModelError:
            refused.append(family)
    assert len(refused) < len(FAMILIES)
    assert not refused or how.name == "bitfit", f"{how.name} refuses {refused}"


def test_it_changes_nothing_until_trained(trained: Trained) -> None:
    torch.testing.assert_close(trained.fresh_logits, trained.base_logits, rtol=0, atol=1e-5)


def test_it_lowers_the_loss_moves_all_that_it_trains_and_nothing_else(trained: Trained) -> None:
    assert trained.losses[-1] < trained.losses[0] - 0.02
    now = dict(trained.model.named_parameters())
    moved = {name for name, tensor in now.items() if not torch.equal(tensor, trained.start[name])}
    meant = {name for name, tensor in now.items() if tensor.requires_grad}
    assert moved == meant
    assert {now[name].dtype for name in meant} == {torch.float32}


def test_what_is_saved_and_loaded_is_what_was_in_memory(trained: Trained, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        trained.how.save(trained.model, tmp_path / folder, base="wheel:some-model@12ab")
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert {path.rpartition(".")[2] for path in files} <= {"safetensors", "json"}
    for name in files:
        content = (tmp_path / "one" / name).read_bytes()
        assert content == (tmp_path / "two" / name).read_bytes()
        assert str(tmp_path).encode() not in content
    again = saved_with(tmp_path / "one").load(trained.fresh_base(), tmp_path / "one")
    assert not any(tensor.requires_grad for tensor in again.parameters())
    memory = said(trained.model)
    torch.testing.assert_close(said(again), memory, rtol=0, atol=1e-6)
    assert (memory - trained.base_logits).abs().max() > 1e-3, "nothing was learned that could have been lost"


def test_merged_it_says_what_it_said_beside_the_weights(trained: Trained, tmp_path: Path) -> None:
    trained.how.save(trained.model, tmp_path)
    beside = said(trained.model)
    merged = trained.how.merge(trained.how.load(trained.fresh_base(), tmp_path))
    torch.testing.assert_close(said(merged), beside, rtol=0, atol=1e-4)
    assert type(merged) is type(pristine(trained.family))
    assert set(merged.state_dict()) == set(pristine(trained.family).state_dict())
    if trained.family in ("Llama", "Phi3"):  # one with tied embeddings, one without
        kept = type(merged).from_pretrained(_written(merged, tmp_path / "merged"))
        torch.testing.assert_close(said(kept.eval()), beside, rtol=0, atol=1e-4)


def _written(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


def test_the_same_seed_gives_the_same_start_and_leaves_the_global_generator_alone(how: Any) -> None:
    def start(seed: int) -> dict[str, torch.Tensor]:
        _, model = served(how, "Qwen2", seed=seed, rank=4)
        return {name: tensor for name, tensor in model.named_parameters() if tensor.requires_grad}

    torch.manual_seed(1)
    first = start(3)
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    second = start(3)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    if how.name in ("lora", "qlora"):  # the others start from what the base has, or from ones
        other = start(4)
        assert not all(torch.equal(first[name], other[name]) for name in first)


def test_rates_are_for_weights_that_it_trains(trained: Trained) -> None:
    meant = {name for name, tensor in trained.model.named_parameters() if tensor.requires_grad}
    assert trained.how.rates(trained.model, {}) == {}
    assert set(trained.how.rates(trained.model, {"plus_ratio": 16.0})) <= meant


def test_its_memory_is_that_of_the_tensors_that_training_holds(trained: Trained) -> None:
    """Weights, gradients and both moments, counted on the very tensors."""
    weights = [tensor for tensor in trained.model.parameters() if tensor.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-9)
    for tensor in weights:
        tensor.grad = torch.zeros_like(tensor)
    optimizer.step()
    held = sum(tensor.nbytes + tensor.grad.nbytes for tensor in weights if tensor.grad is not None)
    held += sum(state[key].nbytes for state in optimizer.state.values() for key in ("exp_avg", "exp_avg_sq"))
    for base in (trained.model, trained.fresh_base()):
        assert trained.how.memory(base, {"rank": 4}) == pytest.approx(held, rel=0.15)


def test_it_says_what_may_be_varied_and_what_it_takes(how: Any) -> None:
    spec = ModelSpec("wheel", "smollm2-135m-instruct", "lm", parameters=134_515_008)
    space = how.search_space(spec)
    assert space
    for options in space.values():
        assert isinstance(options, Choice | Range)
        if isinstance(options, Range):
            assert options.low < options.high
        else:
            assert len(set(options.values)) == len(options.values) > 1
    if how.name != "bitfit":  # the guessed base has no biases
        assert 0 < how.memory(spec, {}) < 20 * spec.parameters
