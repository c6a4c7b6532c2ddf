"""`serve` and `feedback` as people type them."""

import http.client
import json
import signal
import subprocess
import sys
import threading

import pytest

import tunesmith as ts
from tunesmith.cli import main

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    rows = [{"message": f"the {word} of number {n} was late", "kind": kind}
            for n in range(25) for word, kind in (("invoice", "billing"), ("parcel", "delivery"))]  # fmt: skip
    model = {"encoder": "none", "lm": "none", "only": ["majority", "tfidf"]}
    out = tmp_path_factory.mktemp("runs") / "tickets"
    return ts.run(rows, out=out, target="kind", inputs=["message"], budget="60s", threads=1, model=model).folder


def _typed(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["tunesmith", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    return ended.value.code or 0, said.out, said.err


def test_a_new_key_is_shown_once_and_kept_as_a_hash(monkeypatch, capsys, tmp_path):
    keys = tmp_path / "keys.jsonl"
    code, out, _ = _typed(
        monkeypatch, capsys, "serve", "--keys", keys, "--new-key", "anna", "--requests-per-minute", 60
    )
    assert code == 0
    key = out.split()[0]
    assert key.startswith("ts-")
    assert key not in keys.read_text()
    assert json.loads(keys.read_text())["requests_per_minute"] == 60


@pytest.mark.parametrize(
    ("arguments", "said"),
    [((), "name at least one run"), (("nowhere",), "nowhere"), (("--new-key", "a"), "--keys"),
     (("x", "--timeout", 0), "--timeout"),
     (("x", "--keys", "nowhere.jsonl"), "nowhere.jsonl"), (("x", "--max-body", "much"), "--max-body")],
)  # fmt: skip
def test_what_cannot_be_served_is_refused_with_what_to_do(monkeypatch, capsys, tmp_path, arguments, said):
    monkeypatch.chdir(tmp_path)
    code, _, err = _typed(monkeypatch, capsys, "serve", *arguments)
    assert code == 2
    assert said in err
    assert "Traceback" not in err


def test_feedback_says_what_to_do_next(monkeypatch, capsys, run, tmp_path):
    kept = tmp_path / "kept.jsonl"
    line = {"when": "", "model": "tickets", "row": {"message": "the bill is wrong"}, "answer": "billing"}
    kept.write_text(json.dumps(line) + "\n")
    code, out, _ = _typed(monkeypatch, capsys, "feedback", kept, run, "--out", tmp_path / "batch")
    assert code == 0
    assert out.startswith("1 rows to review")
    assert "--edit ROW=ANSWER" in out
    code, out, _ = _typed(monkeypatch, capsys, "feedback", kept, run, "--out", tmp_path / "other", "--json")
    assert json.loads(out)["rows"] == 1
    code, _, err = _typed(monkeypatch, capsys, "feedback", kept, run, "--out", tmp_path / "batch")
    assert code == 2
    assert "already" in err


def _started(*arguments):
    line = [sys.executable, "-m", "tunesmith", "serve", *map(str, arguments), "--port", "0"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = [process.stdout.readline() for _ in range(3)]
    port = int(said[0].rsplit(":", 1)[1].partition("/")[0])
    return process, port, said[1].rsplit(" ", 1)[1].strip()


def _ask(port, key, texts):
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    head = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    link.request("POST", "/v1/classify", json.dumps({"input": texts}), head)
    reply = link.getresponse()
    return reply.status, json.loads(reply.read())


@pytest.mark.slow
def test_a_killed_server_answers_again_as_before_and_a_stopped_one_ends_what_it_began(run, tmp_path):
    kept = tmp_path / "kept.jsonl"
    process, port, key = _started(run, "--keep-inputs", kept)
    first = _ask(port, key, ["the invoice is wrong"])
    assert first[0] == 200
    process.kill()
    process.communicate()
    assert len(kept.read_text().splitlines()) == 1  # what was answered is there
    process, port, key = _started(run, "--keep-inputs", kept)
    assert _ask(port, key, ["the invoice is wrong"]) == first
    got = []
    many = [f"the parcel {n} is late" for n in range(256)]
    asking = threading.Thread(target=lambda: got.append(_ask(port, key, many)))
    asking.start()
    while len(kept.read_text().splitlines()) < 2:
        pass
    _ask(port, key, ["again"])
    process.send_signal(signal.SIGTERM)
    asking.join()
    _, log = process.communicate(timeout=60)
    assert [status for status, _ in got] == [200]
    assert process.returncode == -signal.SIGTERM  # as a process that ends by it says, after it has drained
    assert "parcel" not in log
    assert len(kept.read_text().splitlines()) == 2 + 256 + 1
