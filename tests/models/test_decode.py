"""Batched decoding and label scoring give what one prompt at a time gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tunesmith.core.context import Limits
from tunesmith.models.decode import _Trie, before_loop
from tunesmith.models.lm import LanguageModel
from tunesmith.testing import tiny_lm
from tunesmith.testing.sentences import SENTENCES

LABELS = ("refund", "refund late", "shipping", "account", "account access", "other", "card not working", "card lost")


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return LanguageModel.load(tiny_lm(tmp_path_factory.mktemp("lm") / "tiny"), Limits())


def prompts_of(lm: LanguageModel, n: int = 7) -> tuple[list[list[int]], list[int]]:
    system = "Choose a label: " + ", ".join(LABELS)
    ids = [
        lm.template.prompt_ids([{"role": "system", "content": system}, {"role": "user", "content": s}])
        for s in SENTENCES[:n]
    ]
    shared = lm.template.prompt_ids([{"role": "system", "content": system}, {"role": "user", "content": ""}])
    return ids, shared


def labels_of(lm: LanguageModel) -> list[list[int]]:
    return [lm.template.answer_ids(label) for label in LABELS]


def by_hand(lm: LanguageModel, prompt: list[int], answer: list[int]) -> float:
    """log P(answer | prompt) from one plain forward pass over the two of them."""
    with torch.inference_mode():
        logits = lm.model(input_ids=torch.tensor([prompt + answer])).logits[0]
    log_p = torch.log_softmax(logits.double(), dim=1)
    return float(sum(log_p[len(prompt) - 1 + j, word] for j, word in enumerate(answer)))


def by_transformers(lm: LanguageModel, prompt: list[int], n: int) -> list[int]:
    out = lm.model.generate(  # type: ignore[operator]
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        max_new_tokens=n,
        do_sample=False,
        eos_token_id=list(lm.stops),
        pad_token_id=0,
    )
    return [int(word) for word in out[0, len(prompt) :]]


def assert_same_as_transformers(lm: LanguageModel, prompts: list[list[int]], prefix: list[int], n: int) -> None:
    for prompt, answer in zip(prompts, lm.generate(prompts, max_new_tokens=n, prefix=prefix, rows=3), strict=True):
        theirs = by_transformers(lm, prompt, n)
        assert answer.ended == (theirs[-1] in lm.stops)
        assert answer.ids == (theirs[:-1] if answer.ended else theirs)


@pytest.mark.parametrize("shared", [True, False])
def test_batched_generation_equals_transformers_one_by_one(lm: LanguageModel, shared: bool) -> None:
    prompts, prefix = prompts_of(lm)
    assert_same_as_transformers(lm, prompts, prefix if shared else [], 24)


def test_generation_ends_at_the_stop_token_and_rows_may_end_at_different_times(lm: LanguageModel) -> None:
    prompts, prefix = prompts_of(lm)
    plain = lm.generate(prompts, max_new_tokens=24, prefix=prefix)
    # Make a token that the random model writes in the middle of one answer an end token.
    stop = plain[2].ids[5]
    config: Any = lm.model.generation_config
    before = config.eos_token_id
    config.eos_token_id = [before, stop]
    try:
        answers = lm.generate(prompts, max_new_tokens=24, prefix=prefix)
        assert answers[2].ended
        assert stop not in answers[2].ids
        assert len({len(a.ids) for a in answers}) > 1
        assert_same_as_transformers(lm, prompts, prefix, 24)
    finally:
        config.eos_token_id = before


def test_a_loop_is_kept_once_and_what_is_no_loop_is_left_alone() -> None:
    said = [1, 2, 3]
    assert before_loop([*said, *[7] * 24]) == 4
    assert before_loop([*said, *[7] * 23]) is None
    assert before_loop([*said, *[7, 8, 9, 10, 11, 12, 13] * 4]) == 3 + 7
    assert before_loop([*said, *[7, 8, 9, 10, 11, 12, 13] * 3, 7, 8, 9]) is None
    assert before_loop(list(range(200))) is None
    assert before_loop([]) is None


def test_breaking_loops_ends_answers_early_and_changes_nothing_before(lm: LanguageModel) -> None:
    prompts, prefix = prompts_of(lm, 12)
    plain = lm.generate(prompts, max_new_tokens=120, prefix=prefix)
    broken = lm.generate(prompts, max_new_tokens=120, prefix=prefix, break_loops=True)
    assert any(len(b.ids) < len(p.ids) for p, b in zip(plain, broken, strict=True)), "no loop: the test shows nothing"
    for p, b in zip(plain, broken, strict=True):
        cuts = [before_loop(p.ids[:n]) for n in range(len(p.ids) + 1)]
        first = next((kept for kept in cuts if kept is not None), None)
        assert b.ids == p.ids[:first]
        assert b.ended == (p.ended or first is not None)


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
    trie = _Trie.of([[1, 2, 9], [1, 2, 3, 9], [1, 9], [4, 9]])
    assert list(zip(trie.token, trie.parent, trie.depth, strict=True)) == [
        (-1, -1, 0),
        (1, 0, 1),
        (2, 1, 2),
        (3, 2, 3),
        (4, 0, 1),
    ]
    assert trie.steps[1] == [(0, 1), (1, 2), (2, 3), (3, 9)]
    assert trie.nodes_of([2, 3]) == [1, 4]


def family(name: str) -> Any:
    """A random two-layer model of a family, with windows short enough to matter."""
    import transformers as t

    size: dict[str, Any] = {
        "vocab_size": 768,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.2,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    slides = {"sliding_window": 12, "layer_types": ["sliding_attention", "full_attention"], "head_dim": 8}
    kinds: dict[str, Any] = {
        "qwen3": lambda: t.Qwen3ForCausalLM(t.Qwen3Config(**size, head_dim=8)),
        "mistral": lambda: t.MistralForCausalLM(t.MistralConfig(**size, sliding_window=12)),
        "gemma2": lambda: t.Gemma2ForCausalLM(t.Gemma2Config(**size, **slides, attn_logit_softcapping=5.0)),
        "gemma3": lambda: t.Gemma3ForCausalLM(t.Gemma3TextConfig(**size, **slides)),
        "phi3": lambda: t.Phi3ForCausalLM(t.Phi3Config(**size)),
    }
    torch.manual_seed(0)
    return kinds[name]()


@pytest.mark.parametrize("name", ["qwen3", "mistral", "gemma2", "gemma3", "phi3"])
def test_every_family_scores_labels_as_one_by_one(name: str, lm: LanguageModel, tmp_path: Path) -> None:
    family(name).save_pretrained(tmp_path)
    lm.template.tokenizer.save_pretrained(tmp_path)
    other = LanguageModel.load(tmp_path, Limits())
    prompts, prefix = prompts_of(lm, 4)
    labels = labels_of(lm)
    expected = [[by_hand(other, prompt, label) for label in labels] for prompt in prompts]
    np.testing.assert_allclose(other.label_log_probs(prompts, labels, prefix=prefix), expected, atol=5e-4)
    assert_same_as_transformers(other, prompts, prefix, 8)
