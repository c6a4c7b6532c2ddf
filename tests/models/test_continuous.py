"""Answers that begin and end at different times are those that each prompt gets alone."""

import pytest
import torch
from choice_case import FAMILIES, family

from tunesmith.core.context import Limits
from tunesmith.core.errors import ModelError
from tunesmith.models import continuous, decode
from tunesmith.models.continuous import Writer, Writing, settled
from tunesmith.models.lm import LanguageModel
from tunesmith.models.written import before_loop
from tunesmith.testing import schooled_lm


@pytest.fixture(scope="module")
def lm(tmp_path_factory):
    return LanguageModel.load(schooled_lm(tmp_path_factory.mktemp("lm") / "lm", steps=40), Limits())


@pytest.fixture(scope="module")
def prompts(lm):
    said = ["Where is my order?", "No", "I was charged twice, and nobody answered my letter about it.", "Hello there",
            "Where is my parcel?", "a", "My password does not work any more."]  # fmt: skip
    system = {"role": "system", "content": "Answer in a short sentence, politely, and to the point."}
    return [lm.template.prompt_ids([system, {"role": "user", "content": text}]) for text in said]


def _write(lm, prompts, *, limit=24, rows=4, together=True, **changes):
    writer = Writer(lm, rows=rows, **changes)
    waiting = [Writing(ids, limit, lambda one: None) for ids in prompts]
    everything = list(waiting)
    while waiting or writer.active:
        if waiting and writer.fits(waiting[0]) and (together or not writer.active):
            writer.join(waiting.pop(0))
        writer.step()
    return everything, writer


def test_answers_written_together_are_those_written_alone(lm, prompts):
    alone = [lm.generate([ids], max_new_tokens=24, break_loops=True)[0] for ids in prompts]
    for together in (False, True):
        written, _ = _write(lm, prompts, together=together)
        assert [one.written for one in written] == [one.ids for one in alone]
        assert [one.finish for one in written] == ["stop" if one.ended else "length" for one in alone]
    assert len({tuple(one.ids) for one in alone}) > 2  # else nothing would be shown


@pytest.mark.parametrize("name", FAMILIES)
def test_so_are_those_of_models_that_see_through_windows(lm, prompts, name, tmp_path):
    other = family(name, lm, tmp_path)
    alone = [other.generate([ids], max_new_tokens=20, break_loops=True)[0].ids for ids in prompts[:5]]
    written, writer = _write(other, prompts[:5], limit=20)
    assert [one.written for one in written] == alone
    assert writer.reads < sum(map(len, prompts[:5]))


def test_rows_attend_by_themselves_and_under_masks_where_a_family_asks_for_more(lm, prompts, monkeypatch):
    by_rows, writer = _write(lm, prompts)
    assert writer._by_rows

    def refused(*_, **__):
        raise ModelError("asks for more")

    monkeypatch.setattr(continuous, "form_of", refused)
    masked, writer = _write(lm, prompts)
    assert not writer._by_rows
    assert [one.written for one in masked] == [one.written for one in by_rows]


def test_what_prompts_have_in_common_is_read_once(lm, prompts):
    written, writer = _write(lm, prompts)
    whole = sum(map(len, prompts))
    assert writer.reads == whole - sum(one.reused for one in written)
    assert all(one.reused >= 8 for one in written[1:])
    again, _ = _write(lm, prompts, kept_tokens=0, together=False)
    assert all(one.reused == 0 for one in again)
    assert [one.written for one in again] == [one.written for one in written]


def test_a_kept_prompt_is_used_after_its_answer_and_forgotten_beyond_the_limit(lm, prompts):
    writer = Writer(lm, kept_tokens=len(prompts[0]) + 1)
    for ids, reused in ((prompts[0], 0), (prompts[0], len(prompts[0]) - 1)):
        one = Writing(ids, 2, lambda _: None)
        writer.join(one)
        while writer.active:
            writer.step()
        assert one.reused == reused
    assert writer.bytes > 0
    writer.clear()
    assert writer.bytes == 0


def test_no_more_rows_join_than_there_is_room_for(lm, prompts):
    writer = Writer(lm, rows=2)
    for ids in prompts[:2]:
        writer.join(Writing(ids, 24, lambda one: None))
    assert len(writer.active) <= 2
    if len(writer.active) == 2:
        assert not writer.fits(Writing(prompts[2], 24, lambda one: None))
    narrow = Writer(lm, tokens=len(prompts[0]) + 24)
    narrow.join(Writing(prompts[0], 24, lambda one: None, break_loops=False))
    assert not narrow.fits(Writing(prompts[1], 24, lambda one: None))


def test_a_prompt_that_waits_takes_the_place_of_a_row_that_ended(lm, prompts, monkeypatch):
    alone = [lm.generate([ids], max_new_tokens=24, break_loops=True)[0] for ids in prompts]
    widths = []
    step = Writer.step

    def watched(writer):
        widths.append(len(writer.active))
        step(writer)

    monkeypatch.setattr(Writer, "step", watched)
    monkeypatch.setattr(decode, "_WORTH_READING", 1)
    assert lm.generate(prompts, max_new_tokens=24, rows=2, break_loops=True) == alone
    lengths = [len(one.ids) for one in alone]
    assert len(set(lengths)) > 2  # else all rows would end together
    in_turns = sum(max(lengths[at : at + 2]) for at in range(0, len(lengths), 2))
    assert max(widths) == 2
    assert len(widths) < in_turns


def test_an_answer_that_nobody_wants_leaves_and_harms_no_other(lm, prompts):
    writer = Writer(lm)
    first, second = (Writing(ids, 24, lambda one: None) for ids in prompts[:2])
    writer.join(first)
    writer.join(second)
    first.cancelled = True
    while writer.active:
        writer.step()
    assert first.finish in ("cancelled", "stop")
    assert second.written == lm.generate([prompts[1]], max_new_tokens=24, break_loops=True)[0].ids


def test_what_is_drawn_is_drawn_again_by_the_same_seed(lm, prompts):
    def drawn(seed, top_p=1.0):
        one = Writing(prompts[0], 16, lambda _: None, temperature=1.5, top_p=top_p)
        one.draw = torch.Generator().manual_seed(seed)
        writer = Writer(lm)
        writer.join(one)
        while writer.active:
            writer.step()
        return one.written

    assert drawn(1) == drawn(1)
    assert len({tuple(drawn(seed)) for seed in range(6)}) > 1
    greedy = lm.generate([prompts[0]], max_new_tokens=16, break_loops=True)[0].ids
    assert drawn(3, top_p=1e-6) == greedy


def test_what_is_settled_is_never_taken_back():
    for loop in ([5], [1, 2, 3], list(range(10, 30))):
        ids, seen = [], 0
        for token in [7, 8, 9, *loop * 30]:
            ids.append(token)
            seen = max(seen, settled(ids))
            kept = before_loop(ids)
            if kept is not None:
                assert seen <= kept
                break
        else:
            raise AssertionError("the loop was not found")
    assert settled([1, 2, 3, 4]) == 4
