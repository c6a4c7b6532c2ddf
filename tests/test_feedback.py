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
from tunesmith.deploy.server.feedback import Kept
from tunesmith.deploy.server.served import Answer
from tunesmith.feedback import make_batch
from tunesmith.reviewing import review
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
