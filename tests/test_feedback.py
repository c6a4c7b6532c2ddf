"""What a server was asked becomes a batch whose corrections hold."""

import json
from dataclasses import replace

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from web import Server

import tunesmith as ts
from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import ConfigError, DataError
from tunesmith.curation import curate_table
from tunesmith.data.steps import CannotRun, findings_of
from tunesmith.deploy.server.feedback import Kept
from tunesmith.deploy.server.served import Answer
from tunesmith.feedback import keep_wrong, make_batch
from tunesmith.reviewing import Listed, review
from tunesmith.serving import offered

_ANSWER = Answer("billing", 1.0)
TEXTS = ["my refund to anna.berg@nordpost.de is late", "the parcel of Anna Berg is late", "call me on +44 20 7946 0018",
         "again the invoice", "my refund to anna.berg@nordpost.de is late"]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    rows = [{"message": f"the {word} of number {n} was {how}", "kind": kind}
            for n in range(15)
            for word, kind in (("invoice", "billing"), ("parcel", "delivery"))
            for how in ("late", "wrong")]  # fmt: skip
    model = {"encoder": "none", "lm": "none", "only": ["majority", "tfidf"]}
    out = tmp_path_factory.mktemp("runs") / "tickets"
    return ts.run(rows, out=out, target="kind", inputs=["message"], budget="60s", threads=1, model=model).folder


@pytest.fixture(scope="module")
def kept(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("kept") / "inputs.jsonl"
    with Server({"tickets": replace(offered(str(run)), name="tickets")}, noted=Kept(path)) as server:
        status, reply, _ = server.ask("/v1/classify", {"input": TEXTS})
        assert status == 200
        # Whoever has an answer finds its line: it is written before the answer is sent.
        assert [json.loads(line)["answer"] for line in path.read_text().splitlines()] == [
            one["label"] for one in reply["results"]
        ]
        assert server.ask("/v1/classify", {"input": {"message": "the parcel of number 3 was late"}})[0] == 200
        turns = [{"role": "user", "content": "is my parcel here"}]
        assert server.ask("/v1/chat/completions", {"model": "tickets", "messages": turns})[0] == 200
    return path


def test_what_is_kept_holds_no_personal_data_and_is_for_its_owner_alone(kept):
    text = kept.read_text()
    for secret in ("anna.berg", "Anna", "Berg", "7946"):
        assert secret not in text
    rows = [json.loads(line)["row"]["message"] for line in text.splitlines()]
    assert len(rows) == 7
    assert rows[0] == rows[4]  # the same value has the same pseudonym
    assert rows[0].endswith("is late")
    assert kept.stat().st_mode & 0o077 == 0


def test_nothing_is_kept_unless_asked_for_and_no_more_than_was_allowed(kept, run, tmp_path, caplog):
    path = tmp_path / "small.jsonl"
    few = Kept(path, most_bytes=10)
    o = offered(str(run))
    few(o, ["a secret"], [_ANSWER])
    assert path.read_text() == ""
    assert "no more inputs are kept" in caplog.text
    assert "secret" not in caplog.text
    path.write_text("half a li")
    Kept(path)(o, ["again"], [_ANSWER])
    assert [line[:6] for line in path.read_text().splitlines()] == ["half a", '{"when']
    with pytest.raises(ConfigError, match="--keep-inputs"):
        Kept(tmp_path / "nowhere" / "x.jsonl")


def test_a_batch_holds_what_is_new_the_least_sure_first_and_corrections_hold(kept, run, tmp_path):
    batch = make_batch(kept, run, out=tmp_path / "batch", most=100)
    assert (batch.rows, batch.known, batch.repeated, batch.damaged) == (5, 1, 1, 0)
    rows = [json.loads(line) for line in batch.file.read_text().splitlines()]
    sure = [row["confidence"] for row in rows]
    assert sure == sorted(sure)
    assert set(rows[0]) == {"message", "kind", "confidence"}
    assert review(batch.curated.folder, [(0, "delivery"), (1, "billing")], by="anna") == 2
    assert (batch.file.parent / "reviews.jsonl").exists()
    options = {"target": "kind", "task": "classify", "inputs": ["message"], "test_share": 0.0, "dev_share": 0.0}
    curate_table(batch.file, out=batch.curated.folder, options=options)
    cleaned = Dataset.load(batch.curated.folder / "02-curate")
    targets = dict(zip(cleaned.table["id"].to_pylist(), cleaned.table["target"].to_pylist(), strict=True))
    assert (targets[0], targets[1]) == ("delivery", "billing")


def test_an_answer_said_to_be_wrong_comes_first_in_the_queue_and_its_correction_reaches_the_data(kept, run, tmp_path):
    sent = tmp_path / "sent.jsonl"
    sent.write_text(kept.read_text())
    texts = ["the lamp never came", "the parcel of number 3 was late", "I was charged twice &amp; more"]
    for text, right in zip(texts, ("delivery", None, "billing"), strict=True):
        keep_wrong(sent, model="tickets", row={"message": text}, answer="billing", confidence=0.9, right=right)
    batch = make_batch(sent, run, out=tmp_path / "batch", review=tmp_path / "queue", most=100)
    assert (
        batch.rows == 8
    )  # one of the three is in the run's data: whoever calls its answer wrong is heard all the same
    found = {f.id: f for f in Listed.open(tmp_path / "queue", steps=["asked"]).findings}
    assert sorted(found) == list(range(8))
    assert [found[n].fix for n in range(3)] == ["delivery", None, "billing"]
    assert all(found[n].score == 1.0 and "wrong" in found[n].reason for n in range(3))
    assert "% sure, not checked yet" in found[7].reason
    review(tmp_path / "queue", accept="0-1", steps=["asked"], by="anna")
    curate_table(tmp_path / "queue")
    cleaned = Dataset.load(tmp_path / "queue" / "02-curate").table
    left = dict(zip(cleaned["id"].to_pylist(), cleaned["target"].to_pylist(), strict=True))
    assert left[0] == "delivery"  # the suggestion was accepted
    assert 1 not in left  # wrong, and nobody said what is right
    assert left[2] == "billing"


def test_the_step_for_batches_needs_a_file_and_understands_it(kept, run, tmp_path):
    data = Dataset.load(make_batch(kept, run, out=tmp_path / "batch").curated.folder / "02-curate")
    with pytest.raises(CannotRun):
        findings_of("asked", data)
    (tmp_path / "odd.jsonl").write_text('{"text": "x"}\n')
    for file in ("odd.jsonl", "none.jsonl"):
        with pytest.raises(DataError, match="does not say"):
            findings_of("asked", data, {"file": tmp_path / file})


def test_what_is_no_batch_is_refused(kept, run, tmp_path):
    make_batch(kept, run, out=tmp_path / "batch", most=2)
    with pytest.raises(ConfigError, match="already"):
        make_batch(kept, run, out=tmp_path / "batch")
    with pytest.raises(ConfigError, match="--model other"):
        make_batch(kept, run, out=tmp_path / "b", model="other")
    damaged = tmp_path / "damaged.jsonl"
    damaged.write_text("{\n[]\n")
    with pytest.raises(DataError, match="no line"):
        make_batch(damaged, run, out=tmp_path / "b")
    with pytest.raises(DataError, match="cannot be read"):
        make_batch(tmp_path / "none", run, out=tmp_path / "b")
    damaged.write_text(kept.read_text().splitlines()[5] + "\n{\n")
    with pytest.raises(DataError, match="nothing new"):
        make_batch(damaged, run, out=tmp_path / "b")
    assert not (tmp_path / "b").exists()
