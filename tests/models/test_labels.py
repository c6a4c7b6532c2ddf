"""The label chosen is the one that transformers' constrained generate writes; label scores equal brute force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from choice_case import FAMILIES, by_hand, choice_by_transformers, family, labels_of, prompts_of

from tunesmith.core.context import Limits
from tunesmith.core.errors import ModelError
from tunesmith.models import labels as labels_module
from tunesmith.models.labels import Trie
from tunesmith.models.lm import LanguageModel
from tunesmith.models.padded import PaddedReader
from tunesmith.testing import tiny_lm


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return LanguageModel.load(tiny_lm(tmp_path_factory.mktemp("lm") / "tiny"), Limits())


@pytest.mark.parametrize("shared", [True, False])
def test_label_scores_equal_brute_force(lm: LanguageModel, shared: bool) -> None:
    prompts, prefix = prompts_of(lm)
    scores = lm.label_log_probs(prompts, labels_of(lm), prefix=prefix if shared else ())
    expected = [[by_hand(lm, prompt, label) for label in labels_of(lm)] for prompt in prompts]
    np.testing.assert_allclose(scores, expected, atol=2e-4)  # float32 sums of some ten terms


def test_bounded_label_scores_keep_the_best_label_and_every_probability_within_a_thousandth(lm: LanguageModel) -> None:
    prompts, prefix = prompts_of(lm, 6)
    head: Any = lm.model.get_output_embeddings()  # type: ignore[operator]
    original = head.weight.data
    head.weight.data = original * 8.0  # as sure of itself as a tuned model
    left_out = 0
    try:
        for prompt in prompts:
            # One answer is what the model itself would say: nearly all the probability is there.
            labels = [*labels_of(lm), lm.generate([prompt], max_new_tokens=4)[0].ids]
            exact = lm.label_log_probs([prompt], labels, prefix=prefix)[0]
            quick = lm.label_log_probs([prompt], labels, prefix=prefix, exact=False)[0]
            assert exact.argmax() == quick.argmax()
            assert (quick >= exact - 1e-3).all(), "what is left out gets an upper bound"
            left_out += int((np.abs(quick - exact) > 1e-2).sum())
            p, q = (np.exp(s - s.max()) for s in (exact, quick))
            np.testing.assert_allclose(q / q.sum(), p / p.sum(), atol=1e-3)
    finally:
        head.weight.data = original
    assert left_out > 0, "nothing was left out: the test shows nothing"


def test_one_label_of_one_token_needs_no_tree(lm: LanguageModel) -> None:
    prompts, prefix = prompts_of(lm, 2)
    scores = lm.label_log_probs(prompts, [[5], [9]], prefix=prefix)
    np.testing.assert_allclose(scores, [[by_hand(lm, p, [w]) for w in (5, 9)] for p in prompts], atol=1e-4)


def test_a_prefix_that_the_prompts_do_not_have_is_not_believed(lm: LanguageModel) -> None:
    prompts, prefix = prompts_of(lm, 3)
    wrong = [*prefix[:5], *[7] * 20]
    np.testing.assert_allclose(
        lm.label_log_probs(prompts, labels_of(lm), prefix=wrong),
        lm.label_log_probs(prompts, labels_of(lm)),
        atol=1e-4,
    )


def test_the_trie_writes_shared_beginnings_once() -> None:
    trie = Trie.of([[1, 2, 9], [1, 2, 3, 9], [1, 9], [4, 9]])
    assert list(zip(trie.token, trie.parent, strict=True)) == [(-1, -1), (1, 0), (2, 1), (3, 2), (4, 0)]
    assert trie.steps[1] == [(0, 1), (1, 2), (2, 3), (3, 9)]
    assert trie.nodes_of([2, 3]) == [1, 4]


def many(lm: LanguageModel) -> list[list[int]]:
    """Labels that share beginnings, labels of one token, and labels forced from their first token on."""
    end = lm.template.end_id
    return [
        *labels_of(lm),
        [5, end],
        [5, 6, end],
        [5, 6, 7, 8, end],
        [5, 6, 7, 9, end],
        [9, end],
        [11, 12, 13, end],
        [14],
    ]


@pytest.fixture(params=["packed", "padded"])
def way(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "packed")


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_chooses_the_label_that_transformers_writes(
    name: str, shared: bool, way: bool, lm: LanguageModel, tmp_path: Path
) -> None:
    other = family(name, lm, tmp_path)
    assert other.packs
    other.packs = way
    prompts, prefix = prompts_of(lm, 10)
    prompts = [*prompts, prompts[3], prompts[4][: len(prefix) + 3]]  # one twice, one that others begin with
    labels = many(lm)
    if not shared:
        prompts, prefix = [prompt[3 * i :] for i, prompt in enumerate(prompts)], []
    expected = [choice_by_transformers(other, prompt, labels) for prompt in prompts]
    assert other.choose_labels(prompts, labels, prefix=prefix) == expected
    assert len(set(expected)) > 1, "always the same label: the test shows little"


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_scores_labels_as_one_by_one(name: str, way: bool, lm: LanguageModel, tmp_path: Path) -> None:
    other = family(name, lm, tmp_path)
    other.packs = way
    prompts, prefix = prompts_of(lm, 4)
    labels = many(lm)
    expected = [[by_hand(other, prompt, label) for label in labels] for prompt in prompts]
    np.testing.assert_allclose(other.label_log_probs(prompts, labels, prefix=prefix), expected, atol=5e-4)


def test_small_batches_choose_and_score_the_same(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the prefix, kept from one batch to the next, or a forgotten answer leaves behind would show here."""
    from tunesmith.models import branch_attention, reading

    prompts, prefix = prompts_of(lm, 9)
    labels = many(lm)
    chosen, scores = lm.choose_labels(prompts, labels), lm.label_log_probs(prompts, labels)
    monkeypatch.setattr(reading, "_AT_ONCE", 60)
    monkeypatch.setattr(reading, "_SHORT", 8)
    monkeypatch.setattr(reading, "_ROWS", 4)
    monkeypatch.setattr(branch_attention, "_SCORES", 4)
    monkeypatch.setattr(labels_module, "_LOGITS_BYTES", 4 * lm.vocabulary * 40)
    assert lm.choose_labels(prompts, labels, prefix=prefix) == chosen
    np.testing.assert_allclose(lm.label_log_probs(prompts, labels, prefix=prefix), scores, atol=2e-4)


def test_only_one_label_and_forced_beginnings_read_as_little_as_they_may(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    forward = lm.model.forward

    def counting(*args: Any, **named: Any) -> Any:
        read.append(named["input_ids"].numel())
        return forward(*args, **named)

    assert lm.packs
    monkeypatch.setattr(lm.model, "forward", counting)
    prompts, _ = prompts_of(lm, 3)
    end = lm.template.end_id
    assert lm.choose_labels(prompts, [[5, 6, end]]) == [0, 0, 0]
    assert not read, "nothing to decide, nothing to read"
    # All begin with 5, 6; then one decision; what follows is forced.
    lm.choose_labels(prompts[:1], [[5, 6, 7, 8, end], [5, 6, 9, 10, end], [5, 6, 11, end]])
    assert read == [len(prompts[0]) + 2]
    read.clear()
    # After 5 the model has 6, 7 forced before the next decision: one pass of three tokens.
    answer = lm.choose_labels(prompts[:1], [[5, 6, 7, 8, end], [5, 6, 7, 9, end]])
    assert answer[0] in (0, 1)
    assert read == [len(prompts[0]) + 3]


def test_labels_that_cannot_be_told_apart_are_refused(lm: LanguageModel) -> None:
    prompts, _ = prompts_of(lm, 1)
    for wrong in ([[5, 6], [5]], [[5], [5, 6]], [[5, 6], [5, 6]], [[5], []]):
        with pytest.raises(ModelError, match="beginning of another"):
            lm.choose_labels(prompts, wrong)
    with pytest.raises(ModelError, match="no label"):
        lm.choose_labels(prompts, [])
    assert lm.choose_labels([], [[5], [6]]) == []


def test_a_bias_of_the_head_counts(lm: LanguageModel, tmp_path: Path) -> None:
    other = family("llama", lm, tmp_path)
    prompts, _ = prompts_of(lm, 3)
    head: Any = other.model.get_output_embeddings()  # type: ignore[operator]
    assert other.packs
    head.bias = torch.nn.Parameter(torch.zeros(other.vocabulary), requires_grad=False)
    for favoured in (17, 23):
        head.bias.data.zero_()[favoured] = 100.0
        assert other.choose_labels(prompts, [[17, 2], [23, 2]]) == [(17, 23).index(favoured)] * 3


def test_a_model_that_gives_something_else_for_packed_rows_is_recognised(lm: LanguageModel, tmp_path: Path) -> None:
    deaf = family("llama", lm, tmp_path)
    inner: Any = deaf.model.model
    forward = inner.forward
    inner.forward = lambda *args, **named: forward(*args, **{**named, "position_ids": None})  # counts for itself
    assert not deaf.packs
    reordering = family("qwen3", lm, tmp_path)
    outer: Any = reordering.model
    whole = outer.forward

    def after_the_head(*args: Any, **named: Any) -> Any:
        out = whole(*args, **named)
        out.logits = out.logits * torch.linspace(-1, 1, out.logits.shape[-1])
        return out

    outer.forward = after_the_head  # not each logit by itself: rows of the head alone would choose wrongly
    assert not reordering.packs
    prompts, prefix = prompts_of(lm, 4)
    labels = many(lm)
    expected = [choice_by_transformers(reordering, prompt, labels) for prompt in prompts]
    assert reordering.choose_labels(prompts, labels, prefix=prefix) == expected


def test_without_packing_the_padded_reader_is_taken(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts, prefix = prompts_of(lm, 5)
    chosen = lm.choose_labels(prompts, many(lm), prefix=prefix)
    used: list[int] = []
    read = PaddedReader.read

    def noting(self: PaddedReader, batch: Any, **named: Any) -> torch.Tensor:
        used.extend(batch)
        return read(self, batch, **named)

    monkeypatch.setattr(PaddedReader, "read", noting)
    monkeypatch.setattr(lm, "packs", False)
    assert lm.choose_labels(prompts, many(lm), prefix=prefix) == chosen
    assert sorted(used) == [0, 1, 2, 3, 4]


def test_an_adapter_is_read_through(lm: LanguageModel, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    other = family("llama", lm, tmp_path)
    prompts, prefix = prompts_of(lm, 6)
    before = other.label_log_probs(prompts, many(lm))
    torch.manual_seed(1)
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    tuned = LanguageModel(get_peft_model(other.model, config).eval(), other.template, other.folder)  # type: ignore[arg-type]
    assert tuned.packs
    labels = many(lm)
    assert tuned.choose_labels(prompts, labels) == [choice_by_transformers(tuned, p, labels) for p in prompts]
    scores = tuned.label_log_probs(prompts, labels, prefix=prefix)
    np.testing.assert_allclose(scores, [[by_hand(tuned, p, a) for a in labels] for p in prompts], atol=5e-4)
    assert float(np.abs(scores - before).max()) > 0.1


def test_a_bfloat16_base_is_read_in_packed_rows_too(lm: LanguageModel, tmp_path: Path) -> None:
    half = LanguageModel.load(tiny_lm(tmp_path / "tiny"), Limits(dtype="bfloat16"))
    prompts, _ = prompts_of(lm, 5)
    assert half.packs
    packed = half.label_log_probs(prompts, many(lm))
    half.packs = False
    # Eight bits of mantissa through two layers; sums of up to ten terms of size 5.
    np.testing.assert_allclose(packed, half.label_log_probs(prompts, many(lm)), atol=0.5)


@pytest.mark.slow
def test_the_real_default_model_chooses_as_transformers_does_one_by_one() -> None:
    from tunesmith.models.resolve import local, resolve

    found = local(resolve("smollm2-135m-instruct", "lm"))
    if found is None:
        pytest.skip("smollm2-135m-instruct is not in the cache (tunesmith run, or make demo, puts it there)")
    real = LanguageModel.load(found, Limits())
    assert real.packs
    names = ("card_arrival", "card_lost", "card_not_working", "cash_withdrawal_charge", "cash_withdrawal_fee", "refund")
    system = "Answer with one of these labels: " + "; ".join(names)
    texts = ("Where is my card?", "I lost my card, or it was stolen.", "It took a fee!", "When do I get my money back?")
    prompts = [
        real.template.prompt_ids([{"role": "system", "content": system}, {"role": "user", "content": text}])
        for text in texts
    ]
    labels = [real.template.answer_ids(name) for name in names]
    expected = [choice_by_transformers(real, prompt, labels) for prompt in prompts]
    assert real.choose_labels(prompts, labels) == expected
    scores = real.label_log_probs(prompts, labels)
    by_one = [[by_hand(real, prompt, label) for label in labels] for prompt in prompts]
    np.testing.assert_allclose(scores, by_one, atol=2e-3)
