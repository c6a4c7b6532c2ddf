"""Systems of a run answer for a page from processes of their own."""

import asyncio

import pytest

import tunesmith as ts
from tunesmith.core.errors import TunesmithError
from tunesmith.reviewing import Listed
from tunesmith.studio.answering import Answering, Said
from tunesmith.studio.served import Served

pytest.importorskip("nicegui", reason="the extra 'studio' is not installed")
from tunesmith.feedback import keep_wrong
from tunesmith.studio.pages.attempt import SENT, Asked, batch_of, told


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    rows = [{"message": f"the {word} of number {n} was {how}", "kind": kind}
            for n in range(15)
            for word, kind in (("invoice", "billing"), ("parcel", "delivery"))
            for how in ("late", "wrong")]  # fmt: skip
    out = tmp_path_factory.mktemp("runs") / "tickets"
    model = {"encoder": "none", "lm": "none", "only": ["majority", "tfidf"]}
    return ts.run(rows, out=out, target="kind", inputs=["message"], budget="60s", threads=1, model=model).folder


def test_the_shipped_system_and_another_answer_and_stay_for_the_next_question(run):
    asked = Asked.of(run)
    assert (asked.inputs, asked.systems) == (("message",), ("tfidf", "majority"))

    async def talk():
        answering = Answering()
        first = await answering.ask(run, "tfidf", {"message": "the parcel of number 99 was late"})
        kept = list(answering._open.values())
        again = await answering.ask(run, "tfidf", {"message": "the invoice of number 99 was late"})
        assert list(answering._open.values()) == kept
        other = await answering.ask(run, "majority", {"message": "the parcel of number 99 was late"})
        with pytest.raises(TunesmithError, match="no system 'nobody'"):
            await answering.ask(run, "nobody", {"message": "x"})
        assert len(answering._open) < 2 or kept[0] not in answering._open.values()  # the one asked first had to go
        await kept[0].wait()
        back = await answering.ask(run, "tfidf", {"message": "the parcel of number 99 was late"})
        answering._open[run, "tfidf"].kill()
        await answering._open[run, "tfidf"].wait()
        assert await answering.ask(run, "tfidf", {"message": "the parcel of number 99 was late"}) == back
        await answering.close()
        return first, again, other, back

    first, again, other, back = asyncio.run(talk())
    assert (first.answer, again.answer, back.answer) == ("delivery", "billing", "delivery")
    assert first.seconds is None
    assert again.seconds > 0
    assert first.others[0] == ("delivery", first.confidence)
    assert other.answer in ("billing", "delivery")


def test_an_answer_is_shown_as_text(run):
    said = Said("<b>x</b>", "<b>x</b>", 0.5, (("<i>y</i>", 0.5),), False, "too unsure", 0.01)
    page = told("tfidf", said, ships=True)
    assert "<b>" not in page
    assert "<i>" not in page
    assert "to a person: too unsure" in page


def test_what_is_sent_can_be_reviewed_as_a_run_of_its_own(run):
    served = Served.of(run.parent)
    for right in ("delivery", None):
        row = {"message": f"where is my lamp {right}"}
        keep_wrong(run / SENT, model=run.name, row=row, answer="billing", confidence=0.8, right=right)
    assert (run / SENT).stat().st_mode & 0o077 == 0
    first, second = batch_of(served, run), batch_of(served, run)
    assert [folder.name for folder in (first, second)] == ["tickets-asked-1", "tickets-asked-2"]
    assert {f.name for f in served.folders()} >= {"tickets", "tickets-asked-1"}
    assert sorted(f.fix or "" for f in Listed.open(first, steps=["asked"]).findings) == ["", "delivery"]
