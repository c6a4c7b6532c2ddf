"""What a step sees: the answer and its end are learned, the prompt is not, and padding changes nothing."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lm_case import echoes, job_of

from tunesmith.core.context import Limits
from tunesmith.core.dataset import rows_of
from tunesmith.models.lm import LanguageModel
from tunesmith.models.methods import method
from tunesmith.training.batches import Encoded, Packing, TokenBatches, batch_of, encode, micro_batches, supervised
from tunesmith.training.losses import answer_loss, mean_loss
from tunesmith.training.prompted import asker_for


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    folder = tmp_path_factory.mktemp("batches")
    assert job_of(folder).lm is not None
    return LanguageModel.load(folder / "tiny", Limits())


def encoded_of(lm: LanguageModel, tmp_path: Path, n: int = 6, **limits: int) -> Encoded:
    short = echoes(n - 1)
    rows = rows_of([*short.texts, "Short."], [*short.targets, "A rather longer answer than the others."])
    return encode(rows, asker_for(lm, job_of(tmp_path, text=True)), **{"max_tokens": 512, "room": 400, **limits})


def test_exactly_the_answer_and_its_end_are_supervised(lm: LanguageModel, tmp_path: Path) -> None:
    encoded = encoded_of(lm, tmp_path)
    for row in range(len(encoded)):
        learned = [encoded.ids[row][column] for column in supervised(encoded, row)]
        target = [*echoes(5).targets, "A rather longer answer than the others."][row]
        assert learned == lm.template.answer_ids(target)
        assert learned[-1] == lm.template.end_id
        assert lm.template.tokenizer.decode(encoded.ids[row][: encoded.n_prompt[row]]).endswith("assistant\n")


def test_cut_answers_are_counted_and_do_not_end(lm: LanguageModel, tmp_path: Path) -> None:
    whole = encoded_of(lm, tmp_path)
    longest = max(map(len, whole.ids))
    cut = encoded_of(lm, tmp_path, max_tokens=longest - 3)
    assert whole.answer_lost == 0
    assert cut.answer_lost >= 3
    assert cut.answer_tokens == whole.answer_tokens
    assert cut.n_end.count(0) == sum(len(ids) > longest - 3 for ids in whole.ids)
    assert max(map(len, cut.ids)) == longest - 3


def test_the_loss_is_that_of_each_row_alone_by_plain_means(lm: LanguageModel, tmp_path: Path) -> None:
    encoded = encoded_of(lm, tmp_path)
    expected = 0.0
    for row in range(len(encoded)):
        ids = torch.tensor([encoded.ids[row]])
        labels = ids.clone()
        labels[0, : encoded.n_prompt[row]] = -100
        with torch.no_grad():
            mean = lm.model(input_ids=ids, labels=labels).loss
        expected += float(mean) * len(supervised(encoded, row))
    with torch.no_grad():
        total, weight = answer_loss(lm.model, batch_of(encoded, range(len(encoded))))
    assert weight == sum(len(supervised(encoded, row)) for row in range(len(encoded)))
    assert float(total) == pytest.approx(expected, rel=1e-5)


def test_gradients_do_not_depend_on_how_rows_share_batches_or_on_recomputing(lm: LanguageModel, tmp_path: Path) -> None:
    encoded = encoded_of(lm, tmp_path)
    model = method.get("lora").apply(LanguageModel.load(lm.folder, Limits()).model, {}, seed=1)
    model.train()
    trained = {name: t for name, t in model.named_parameters() if t.requires_grad}

    def gradients(max_tokens: int, packing: Packing) -> dict[str, torch.Tensor]:
        for tensor in trained.values():
            tensor.grad = None
        for batch in micro_batches(encoded, range(len(encoded)), max_tokens=max_tokens, packing=packing):
            answer_loss(model, batch)[0].backward()  # type: ignore[no-untyped-call]
        return {name: t.grad.clone() for name, t in trained.items() if t.grad is not None}

    alone = gradients(1, "padded")  # one row at a time, recomputed
    scale = max(float(g.abs().max()) for g in alone.values())
    assert scale > 0
    for packing, tokens in itertools.product(get_args(Packing), (10_000, 200, 1)):
        batches = micro_batches(encoded, range(6), max_tokens=tokens, packing=packing)
        assert any(batch.large for batch in batches) == (tokens == 1)
        for name, gradient in gradients(tokens, packing).items():
            torch.testing.assert_close(gradient, alone[name], rtol=0, atol=2e-5 * scale)
    assert not getattr(model, "is_gradient_checkpointing", False), "recomputing outlived its batch"


def test_weights_of_rows_weigh_their_tokens(lm: LanguageModel, tmp_path: Path) -> None:
    encoded = encoded_of(lm, tmp_path, 3)
    heavy = Encoded(encoded.ids, encoded.n_prompt, encoded.n_end, (0.0, 2.0, 0.0))
    only = mean_loss(lm.model, [batch_of(encoded, [1])])
    assert mean_loss(lm.model, [batch_of(heavy, [0, 1, 2])]) == pytest.approx(only, rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(2, 300), min_size=1, max_size=30), st.integers(64, 2000))
def test_micro_batches_hold_every_row_once_within_the_bound(lengths: list[int], bound: int) -> None:
    encoded = Encoded(
        tuple(tuple(range(1, n + 1)) for n in lengths), tuple(n - 1 for n in lengths), (1,) * len(lengths),
        (1.0,) * len(lengths),
    )  # fmt: skip
    padded = micro_batches(encoded, range(len(lengths)), max_tokens=bound, packing="padded")
    assert sorted(int((row > 0).sum()) for batch in padded for row in batch.ids) == sorted(lengths)
    assert all(batch.ids.numel() <= bound or batch.ids.shape[0] == 1 for batch in padded)
    packed = micro_batches(encoded, range(len(lengths)), max_tokens=bound)
    assert sorted(len(where) for batch in packed if batch.tree for where in batch.tree.where) == sorted(lengths)
    for batch in packed:
        assert batch.tree is not None
        # Branches that share a few tokens with some of their neighbours stand apart: up to 15 tokens a row.
        most = (8 * bound if batch.large else bound) + 15 * len(batch.tree.where)
        assert len(batch.tree) <= most or len(batch.tree.where) == 1
    for batch in padded:
        assert batch.large == (batch.ids.shape[1] > bound)


def test_rows_of_a_step_share_their_instruction(lm: LanguageModel, tmp_path: Path) -> None:
    encoded = encoded_of(lm, tmp_path)
    packed = batch_of(encoded, range(6))
    own = sum(map(len, encoded.ids))
    assert packed.tree is not None
    assert len(packed.tree) < 0.6 * own
    assert packed.targets.tolist() == batch_of(encoded, range(6), packing="padded").targets.tolist()
    assert packed.rows.tolist() == batch_of(encoded, range(6), packing="padded").rows.tolist()


def test_the_batches_of_a_step_depend_on_seed_and_step_alone(lm: LanguageModel, tmp_path: Path) -> None:
    encoded = encoded_of(lm, tmp_path)
    first, again = (TokenBatches(encoded, 2, 3, 200) for _ in range(2))
    assert all(torch.equal(a.ids, b.ids) for a, b in zip(first(7), again(7), strict=True))
    other = TokenBatches(encoded, 2, 4, 200)

    def learned(batches: TokenBatches) -> list[list[int]]:
        return [np.concatenate([b.targets.numpy() for b in batches(step)]).tolist() for step in range(3)]

    assert learned(first) != learned(other)


@pytest.mark.parametrize("name", ["lora", "ia3", "layernorm"])
def test_recomputing_in_bfloat16_is_what_was_computed_first(tmp_path: Path, name: str) -> None:
    """Backward happens when the blocks that set up the arithmetic have long been left."""
    job_of(tmp_path)
    lm = LanguageModel.load(tmp_path / "tiny", Limits(dtype="bfloat16"))
    model = method.get(name).apply(lm.model, {}, seed=0)
    encoded = encoded_of(lm, tmp_path)
    found = []
    for large in (False, True):
        model.zero_grad()
        answer_loss(model, batch_of(encoded, range(6), large=large))[0].backward()  # type: ignore[no-untyped-call]
        found.append({n: t.grad for n, t in model.named_parameters() if t.grad is not None})
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(found[0][n], found[1][n]) for n in found[0])
