"""Preference pairs: the loss is the formula's however pairs share rows; the reference is the untrained model's."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lm_case import echoes, job_of
from test_tree_attention import wide  # noqa: F401 - float64 stays float64

from tunesmith.core.context import Limits
from tunesmith.core.dataset import Rows
from tunesmith.core.errors import ConfigError, DataError
from tunesmith.models.lm import LanguageModel
from tunesmith.models.methods import method
from tunesmith.training.batches import Encoded, Packing
from tunesmith.training.loop import Recipe, Steering, train
from tunesmith.training.losses import token_log_probs
from tunesmith.training.preference import (
    PairBatches,
    PreferenceLoss,
    chosen_rows,
    encode_pairs,
    pair_batches,
    preferred,
    reference_log_probs,
)
from tunesmith.training.prompted import asker_for

N = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("preference")
    assert job_of(found, text=True).lm is not None
    return found


@pytest.fixture(scope="module")
def pairs(folder: Path) -> Encoded:
    return encoded(folder, preferences(N))


def preferences(n: int) -> Rows:
    """Answers of several lengths; two rows share their prompt, one pair shares the beginning of its answers."""
    rows = echoes(n)
    texts = (*rows.texts[:-1], rows.texts[0])
    rejected = [f"{'Nothing is known about it. ' * (i % 3)}{i}" for i in range(n)]
    rejected[1] = rows.targets[1] + " " + rows.targets[2]
    weights = np.linspace(0.5, 2.0, n, dtype=np.float32)
    return replace(rows, texts=texts, rejected=tuple(rejected), weights=weights)


def encoded(folder: Path, rows: Rows, **limits: int) -> Encoded:
    lm = LanguageModel.load(folder / "tiny", Limits())
    return encode_pairs(rows, asker_for(lm, job_of(folder, text=True)), **{"max_tokens": 512, "room": 400, **limits})


def tuned(folder: Path, *, double: bool = True, spread: float = 0.3, dtype: str = "float32") -> torch.nn.Module:
    """The tiny model with an adapter that is far from the base."""
    model = method.get("lora").apply(LanguageModel.load(folder / "tiny", Limits(dtype=dtype)).model, {}, seed=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        for name, tensor in model.named_parameters():
            if "lora_B" in name:
                tensor.data.normal_(0.0, spread)
    return model.double() if double else model


def untuned(folder: Path) -> torch.nn.Module:
    return LanguageModel.load(folder / "tiny", Limits()).model.double()


def plain_log_probs(model: torch.nn.Module, pairs: Encoded) -> torch.Tensor:
    """(2n,) log P of each answer, every row by itself through the model as transformers runs it."""
    found = []
    for ids, start in zip(pairs.ids, pairs.n_prompt, strict=True):
        log_probs = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0, :-1], dim=-1)
        found.append(log_probs[torch.arange(start - 1, len(ids) - 1), torch.tensor(ids[start:])].sum())
    return torch.stack(found)


def plain_loss(
    model: torch.nn.Module, base: torch.nn.Module, pairs: Encoded, *, beta: float, smoothing: float, supervised: float
) -> torch.Tensor:
    """The weighted sum over pairs, written out."""
    with torch.no_grad():
        ref = plain_log_probs(base, pairs)
    log_probs = plain_log_probs(model, pairs)
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(pairs) // 2):
        chosen, rejected = 2 * i, 2 * i + 1
        h = beta * ((log_probs[chosen] - ref[chosen]) - (log_probs[rejected] - ref[rejected]))
        cost = -(1 - smoothing) * torch.log(torch.sigmoid(h)) - smoothing * torch.log(torch.sigmoid(-h))
        cost = cost - supervised * log_probs[chosen] / (len(pairs.ids[chosen]) - pairs.n_prompt[chosen])
        total = total + pairs.weights[chosen] * cost
    return total


def gradients(model: torch.nn.Module, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    named = {name: tensor for name, tensor in model.named_parameters() if tensor.requires_grad}
    return dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize(
    ("beta", "smoothing", "supervised"), [(0.1, 0.0, 0.0), (0.5, 0.2, 0.0), (0.1, 0.0, 1.0), (0.3, 0.1, 0.5)]
)
def test_loss_and_gradients_are_the_formulas_however_pairs_share_rows(
    folder: Path, pairs: Encoded, beta: float, smoothing: float, supervised: float
) -> None:
    model, base = tuned(folder), untuned(folder)
    expected = plain_loss(model, base, pairs, beta=beta, smoothing=smoothing, supervised=supervised)
    wanted = gradients(model, expected)
    assert max(float(g.abs().max()) for g in wanted.values()) > 1e-3
    loss = PreferenceLoss(beta, smoothing, supervised)
    model.train()
    for packing, tokens in itertools.product(get_args(Packing), (10_000, 250, 1)):
        reference = reference_log_probs(base, pairs, max_tokens=tokens, packing=packing)
        batches = pair_batches(pairs, reference, range(N), max_tokens=tokens, packing=packing)
        assert any(batch.tokens.large for batch in batches) == (tokens == 1)  # recomputed in backward
        parts = [loss(model, batch) for batch in batches]
        assert sum(weight for _, weight in parts) == pytest.approx(sum(pairs.weights) / 2)
        total = torch.stack([part for part, _ in parts]).sum()
        torch.testing.assert_close(total, expected, rtol=1e-10, atol=1e-10)
        for name, gradient in gradients(model, total).items():
            torch.testing.assert_close(gradient, wanted[name], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_log_probs_in_pieces_are_those_of_log_softmax(dtype: torch.dtype) -> None:
    draw = torch.Generator().manual_seed(0)
    logits = (9 * torch.randn(150, 40, generator=draw, dtype=torch.float64)).to(dtype)  # more rows than one piece has
    targets, weights = torch.randint(40, (150,), generator=draw), torch.randn(150, generator=draw)
    found, grads = [], []
    for plain in (True, False):
        z = logits.clone().requires_grad_()
        wider = z if dtype == torch.float64 else z.float()
        logs = torch.log_softmax(wider, 1)[range(150), targets] if plain else token_log_probs(z, targets)
        (logs * weights).sum().backward()
        assert z.grad is not None
        found.append(logs.detach())
        grads.append(z.grad)
    bound = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 1e-5}[dtype]
    torch.testing.assert_close(found[1], found[0], rtol=bound, atol=bound)
    # Gradients are rounded to the logits' own type at the end; an eighth bit may fall to either side.
    near = 8e-3 if dtype == torch.bfloat16 else bound
    torch.testing.assert_close(grads[1], grads[0], rtol=near, atol=bound)


def test_a_fresh_adapter_costs_log_two_and_prefers_nothing(folder: Path, pairs: Encoded) -> None:
    base = untuned(folder)
    batches = pair_batches(pairs, reference_log_probs(base, pairs, max_tokens=300), range(N), max_tokens=300)
    found = preferred(tuned(folder, spread=0.0), batches, PreferenceLoss())
    assert found.n == N
    assert found.loss == pytest.approx(math.log(2.0))
    assert abs(found.margin) < 1e-12


def test_margins_and_accuracy_are_those_of_the_rewards(folder: Path, pairs: Encoded) -> None:
    model, base = tuned(folder), untuned(folder)
    gains = (plain_log_probs(model, pairs) - plain_log_probs(base, pairs)).view(-1, 2).detach()
    margins = 0.2 * (gains[:, 0] - gains[:, 1])
    weights = torch.tensor(pairs.weights[::2], dtype=torch.float64)
    batches = pair_batches(pairs, reference_log_probs(base, pairs, max_tokens=200), range(N), max_tokens=200)
    found = preferred(model, batches, PreferenceLoss(0.2))
    assert found.margin == pytest.approx(float((weights * margins).sum() / weights.sum()))
    assert found.accuracy == pytest.approx(float(weights[margins > 0].sum() / weights.sum()))
    cost = -torch.log(torch.sigmoid(margins))
    assert found.loss == pytest.approx(float((weights * cost).sum() / weights.sum()))


def test_a_pairs_prompt_is_read_once_and_the_instruction_once_for_all(pairs: Encoded) -> None:
    reference = torch.zeros(N, 2)
    (packed,) = pair_batches(pairs, reference, range(N), max_tokens=10_000)
    answers = sum(len(ids) - n for ids, n in zip(pairs.ids, pairs.n_prompt, strict=True))
    prompts = sum(pairs.n_prompt[::2])
    assert packed.tokens.tree is not None
    assert len(packed.tokens.tree) < 0.6 * prompts + answers
    one = pair_batches(pairs, reference, [2], max_tokens=10_000)[0].tokens.tree
    assert one is not None
    assert len(one) <= pairs.n_prompt[4] + len(pairs.ids[4]) + len(pairs.ids[5]) - 2 * pairs.n_prompt[4]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 200), st.integers(1, 90), st.integers(1, 90)), min_size=1, max_size=12),
    st.integers(64, 1500),
)
def test_no_pair_is_torn_apart_and_batches_keep_their_bound(sizes: list[tuple[int, int, int]], bound: int) -> None:
    ids = [row for p, c, r in sizes for row in ((*range(1, p + 1), *[7] * c), (*range(1, p + 1), *[8] * r))]
    made = Encoded(tuple(ids), tuple(p for p, _, _ in sizes for _ in "12"), (1,) * len(ids), (1.0,) * len(ids))
    reference = torch.arange(2.0 * len(sizes)).view(-1, 2)
    for packing in get_args(Packing):
        batches = pair_batches(made, reference, range(len(sizes)), max_tokens=bound, packing=packing)
        seen = [int(first) // 2 for batch in batches for first in batch.reference[:, 0]]
        assert sorted(seen) == list(range(len(sizes)))
        for batch in batches:
            members = [row for first in batch.reference[:, 0] for row in (int(first), int(first) + 1)]
            learned = [token for row in members for token in ids[row][made.n_prompt[row] :]]
            assert batch.tokens.targets.tolist() == learned
            if packing == "padded":
                assert batch.tokens.large == (batch.tokens.ids.numel() > bound)
                assert batch.tokens.ids.numel() <= bound or len(members) == 2


def test_training_learns_the_preference_and_the_reference_stays(folder: Path, tmp_path: Path) -> None:
    rows = replace(echoes(12), rejected=tuple(f"No idea about {i}." for i in range(12)))
    pairs = encoded(folder, rows)
    base = LanguageModel.load(folder / "tiny", Limits()).model
    reference = reference_log_probs(base, pairs, max_tokens=1000)
    kept = reference.clone()
    model = method.get("lora").apply(base, {}, seed=1)
    loss = PreferenceLoss(supervised=0.2)
    every = pair_batches(pairs, reference, range(12), max_tokens=1000)
    result = train(
        model, PairBatches(pairs, reference, 4, 0, 1000), loss, recipe=Recipe(24, 1e-2), folder=tmp_path,
        emit=lambda *_, **__: None, steering=Steering(score=lambda: -preferred(model, every, loss).loss),
    )  # fmt: skip
    after = preferred(model, every, loss)
    assert result.best_score == pytest.approx(-after.loss, rel=1e-4)
    assert after.accuracy == 1.0
    assert after.loss < 0.5 * math.log(2.0)
    assert after.margin > 0
    assert torch.equal(reference, kept)


def test_a_bfloat16_base_gives_nearly_the_same_loss(folder: Path, pairs: Encoded) -> None:
    totals = []
    for dtype in ("float32", "bfloat16"):
        base = LanguageModel.load(folder / "tiny", Limits(dtype=dtype)).model  # type: ignore[arg-type]
        reference = reference_log_probs(base, pairs, max_tokens=300)
        model = tuned(folder, double=False, spread=0.05, dtype=dtype)
        parts = [PreferenceLoss()(model, b) for b in pair_batches(pairs, reference, range(N), max_tokens=300)]
        totals.append(sum(float(part.detach()) for part, _ in parts))
        sum(part for part, _ in parts).backward()  # type: ignore[union-attr]
    assert totals[1] == pytest.approx(totals[0], rel=0.03)  # bfloat16 keeps eight bits


def test_batches_of_a_step_depend_on_seed_and_step_alone(pairs: Encoded) -> None:
    reference = torch.arange(2.0 * N).view(-1, 2)
    first, again, other = (PairBatches(pairs, reference, 2, seed, 200) for seed in (3, 3, 4))
    assert [b.reference.tolist() for b in first(5)] == [b.reference.tolist() for b in again(5)]
    assert [[b.reference.tolist() for b in first(s)] for s in range(3)] != [
        [b.reference.tolist() for b in other(s)] for s in range(3)
    ]
    seen = sorted(int(v) // 2 for step in range(3) for b in first(step) for v in b.reference[:, 0])
    assert seen == list(range(N))


def test_rows_that_say_nothing_about_a_preference_are_refused_by_name(folder: Path) -> None:
    rows = preferences(N)
    with pytest.raises(DataError, match=r"5 rows have 0 rejected answers"):
        encoded(folder, replace(rows, rejected=()))
    with pytest.raises(DataError, match=r"row 3: the rejected answer is empty \(1 such"):
        encoded(folder, replace(rows, rejected=(*rows.rejected[:3], "  ", rows.rejected[4])))
    with pytest.raises(DataError, match=r"row 2: the rejected answer is the chosen one") as caught:
        encoded(folder, replace(rows, rejected=(*rows.rejected[:2], rows.targets[2] + " ", *rows.rejected[3:])))
    assert caught.value.hint


def test_answers_that_differ_beyond_the_cut_only_are_refused(folder: Path) -> None:
    rows = preferences(N)
    room = max(encoded(folder, rows).n_prompt)
    with pytest.raises(DataError, match=r"row 1: chosen and rejected answer are the same to the model"):
        encoded(folder, rows, max_tokens=room + 2)
    longest = max(map(len, encoded(folder, rows).ids))
    cut = encoded(folder, rows, max_tokens=longest - 2)
    assert cut.answer_lost == 2
    assert cut.answer_tokens == encoded(folder, rows).answer_tokens


def test_the_chosen_answers_stand_alone(pairs: Encoded) -> None:
    alone = chosen_rows(pairs)
    assert len(alone) == N
    assert alone.ids[1] == pairs.ids[2]


@pytest.mark.parametrize("values", [{"beta": 0.0}, {"beta": math.inf}, {"smoothing": 0.5}, {"supervised": -1.0}])
def test_weights_that_make_no_sense_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError) as caught:
        PreferenceLoss(**values)
    assert caught.value.hint


@pytest.mark.slow
def test_loss_and_gradients_are_those_of_trl(tmp_path: Path) -> None:
    """In TRL's own environment, whose interpreter TUNESMITH_PEER names: see benchmarks/engine/dpo_against_trl.py."""
    peer = os.environ.get("TUNESMITH_PEER")
    if not peer:
        pytest.skip("TUNESMITH_PEER names no interpreter with TRL")
    root = Path(__file__).parents[2]
    run = subprocess.run(
        [peer, str(root / "benchmarks/engine/dpo_against_trl.py"), "--folder", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(root / "src")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert sys.executable != peer
