"""Batched decoding gives what transformers' own generate gives one prompt at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from choice_case import FAMILIES, by_transformers, family, prompts_of

from tunesmith.core.context import Limits
from tunesmith.models import decode
from tunesmith.models.lm import LanguageModel
from tunesmith.models.written import before_loop
from tunesmith.testing import tiny_lm


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return LanguageModel.load(tiny_lm(tmp_path_factory.mktemp("lm") / "tiny"), Limits())


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


@pytest.mark.parametrize("name", ["", *FAMILIES])
def test_rows_that_outgrow_the_room_are_put_back_and_go_on(
    name: str, lm: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts, prefix = prompts_of(lm, 6)
    model = family(name, lm, tmp_path) if name else lm
    alone = [model.generate([prompt], max_new_tokens=24)[0] for prompt in prompts]
    put_back = []
    unpatched = decode.Writer.put_back

    def counted(writer: decode.Writer) -> list[decode.Writing]:
        put_back.append(unpatched(writer))
        return put_back[-1]

    monkeypatch.setattr(decode.Writer, "put_back", counted)
    monkeypatch.setattr(decode, "_HELD", 2 * (max(map(len, prompts)) + 10))
    monkeypatch.setattr(decode, "_GROW", 1)
    seen: list[int] = []
    together = model.generate(prompts, max_new_tokens=24, prefix=prefix, ended=lambda: seen.append(1))
    assert sum(map(len, put_back)) >= 2
    assert together == alone
    assert len(seen) == len(prompts)


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
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_writes_what_transformers_writes_one_by_one(
    name: str, shared: bool, lm: LanguageModel, tmp_path: Path
) -> None:
    prompts, prefix = prompts_of(lm, 4)
    assert len({len(prompt) for prompt in prompts}) > 2
    assert_same_as_transformers(family(name, lm, tmp_path), prompts, prefix if shared else [], 8)
