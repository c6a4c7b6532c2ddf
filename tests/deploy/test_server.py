"""The server answers what *evaluate* answered, to whom it should, and refuses the rest without falling."""

import asyncio
import gzip
import hashlib
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tunesmith.core.errors import ConfigError, MissingExtra, RunError
from tunesmith.deploy.server import run as running
from tunesmith.deploy.server.engine import Busy, Engine
from tunesmith.deploy.server.keys import Bucket, Caller, Doorkeeper, Key, add_key, hash_of, new_key, read_keys
from tunesmith.pipeline import open_run
from tunesmith.serving import offered, offered_by

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from web import HEAD, KEY, Server

from tunesmith.deploy.server.gate import Gate, Limits
from tunesmith.deploy.server.served import Answer


@pytest.fixture(scope="module")
def runs(finished):
    return {"tickets": replace(offered(str(finished), system="tfidf"), name="tickets")}


@pytest.fixture(scope="module")
def server(runs):
    made = Server(runs)
    yield made
    made.close()


def test_labels_and_confidences_are_those_of_the_run(server, finished, runs):
    texts = ["my invoice was charged twice", "the parcel is late", "password locked"]
    said = runs["tickets"].read().predict(texts, runs["tickets"].ctx)
    status, reply, _ = server.ask("/v1/classify", {"input": texts})
    assert status == 200
    assert [one["label"] for one in reply["results"]] == list(said.values)
    assert [one["confidence"] for one in reply["results"]] == pytest.approx(said.confidence.tolist(), abs=1e-12)
    assert reply["results"][0]["probabilities"][0]["label"] == said.values[0]
    _, row, _ = server.ask("/v1/classify", {"model": "tickets", "input": {"message": texts[0]}, "top": 1})
    assert row["results"][0] == {**reply["results"][0], "probabilities": reply["results"][0]["probabilities"][:1]}


def test_what_is_not_sure_enough_is_held_back_as_by_the_run(server, runs):
    texts = ["my invoice was charged twice", "zebra harmonica quantum"]
    o = runs["tickets"]
    decided = o.acceptance().decide(o.read().predict(texts, o.ctx), texts, 0.7, o.ctx)
    _, reply, _ = server.ask("/v1/classify", {"input": texts, "accept_at": 0.7})
    assert [one["accepted"] for one in reply["results"]] == decided.accepted.tolist()
    assert [one["why_not"] for one in reply["results"]] == list(decided.reasons)
    status, reply, _ = server.ask("/v1/classify", {"input": texts, "accept_at": 0.9999})
    assert status == 400
    assert "no threshold keeps that promise" in reply["error"]["message"]


def test_many_requests_at_once_get_the_answers_that_each_gets_alone(server):
    texts = [f"the {word} number {n}" for n, word in enumerate(["invoice", "parcel", "login", "refund"] * 8)]
    alone = [server.ask("/v1/classify", {"input": text})[1]["results"][0]["label"] for text in texts]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda text: server.ask("/v1/classify", {"input": text})[1], texts))
    assert [one["results"][0]["label"] for one in together] == alone


def test_models_are_listed_and_chosen_by_name_alone(server):
    _, listed, _ = server.ask("/v1/models")
    assert [one["id"] for one in listed["data"]] == ["tickets"]
    for name in ("../tickets", "/etc/passwd", "runs/tickets", "tickets/../../x", "tickets\0", ""):
        status, reply, _ = server.ask("/v1/classify", {"model": name, "input": "x"})
        assert status == 404
        assert reply["error"]["code"] == "model_not_found"
        assert "etc" not in reply["error"]["message"]
    for path in ("/v1/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/v1/models/../../x", "/docs", "/report.html"):
        assert server.ask(path)[0] == 404


@pytest.mark.parametrize("key", ["", "ts-guess", "é", KEY[:-1], KEY + "x", hash_of(KEY)])
def test_without_the_key_nothing_is_answered(server, key):
    for path, body in (("/v1/models", None), ("/v1/classify", {"input": "x"}), ("/openapi.json", None)):
        status, reply, headers = server.ask(path, body, key=key.encode().decode("latin-1"))
        assert status == 401
        assert headers["WWW-Authenticate"] == "Bearer"
        assert reply["error"]["code"] == "invalid_api_key"
    assert server.ask("/health", key="")[1] == {"status": "ok"}


def test_guessing_keys_is_slowed_down_and_does_not_lock_out_who_has_one(runs):
    made = Server(runs)
    try:
        codes = [made.ask("/v1/models", key="wrong")[0] for _ in range(80)]
        assert set(codes) == {401, 429}
        assert made.ask("/v1/models", key="wrong")[2]["Retry-After"]
        assert made.ask("/v1/models")[0] == 200
    finally:
        made.close()


def test_every_stored_key_is_compared_and_none_by_its_text(monkeypatch):
    compared = []
    monkeypatch.setattr(
        "tunesmith.deploy.server.keys.hmac.compare_digest", lambda a, b: compared.append((a, b)) or a == b
    )
    keeper = Doorkeeper([Key("a", hash_of("one")), Key("b", hash_of("two"))])
    assert keeper.caller("Bearer one").name == "a"
    assert keeper.caller("Basic one") is None
    assert keeper.caller("") is None
    assert len(compared) == 6
    assert all(len(a) == len(b) == 32 for a, b in compared)


def test_pages_of_other_sites_are_refused_even_with_the_key(server):
    body = {"input": "x"}
    assert server.ask("/v1/classify", body, Origin="https://evil.example")[0] == 403
    assert server.ask("/v1/classify", body, Origin="null")[0] == 403
    assert server.ask("/v1/classify", body, Sec_Fetch_Site="cross-site")[0] == 403
    assert server.ask("/v1/classify", body, Host="evil.example")[0] == 421  # a name bound to 127.0.0.1
    assert server.ask("/health", Host="evil.example:8000")[0] == 421
    assert server.ask("/v1/classify", body, Origin=f"http://127.0.0.1:{server.port}")[0] == 200
    assert server.ask("/v1/classify", json.dumps(body), Content_Type="text/plain")[0] == 415
    assert "access-control-allow-origin" not in {name.lower() for name in server.ask("/v1/models")[2]}


def test_oversized_requests_are_refused_however_they_are_sent(server):
    assert server.ask("/v1/classify", {"input": "x" * 70_000})[0] == 413
    link = socket.create_connection(("127.0.0.1", server.port))
    link.sendall((HEAD + "Transfer-Encoding: chunked\r\n\r\n").encode())
    for _ in range(9):
        link.sendall(b"2000\r\n" + b"x" * 0x2000 + b"\r\n")
    assert link.recv(64).startswith(b"HTTP/1.1 413")
    link.close()
    assert server.ask("/v1/classify", {"input": ["x"] * 257})[1]["error"]["code"] == "too_many_texts"


def test_who_sends_too_slowly_is_not_waited_for(runs):
    made = Server(runs, limits=Limits(body_s=0.2))
    try:
        link = socket.create_connection(("127.0.0.1", made.port))
        link.sendall((HEAD + "Content-Length: 100\r\n\r\n{").encode())
        assert link.recv(64).startswith(b"HTTP/1.1 408")
        link.close()
    finally:
        made.close()


def _closed(link):
    try:
        return link.recv(64) == b""
    except ConnectionResetError:
        return True


def test_a_connection_that_asks_nothing_is_closed(runs, monkeypatch):
    monkeypatch.setattr("tunesmith.deploy.server.link._LOOK_S", 0.2)
    with Server(runs) as made:
        silent, dribbling = (socket.create_connection(("127.0.0.1", made.port), timeout=5) for _ in range(2))
        dribbling.sendall(b"POST /v1/classify HTTP/1.1\r\nHost: loc")
        for link in (silent, dribbling):
            assert _closed(link)
            link.close()


def test_who_goes_away_is_not_answered_and_gives_its_place_back(runs):
    slow = _Slow()
    with Server(runs, limits=Limits(at_once=2)) as made:
        made.engine.store = slow
        body = json.dumps({"input": "x"})
        links = [socket.create_connection(("127.0.0.1", made.port)) for _ in range(2)]
        for n, link in enumerate(links):
            link.sendall((HEAD + f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
            _wait(lambda n=n: slow.asked and made.engine.n_waiting == n)
        status, reply, headers = made.ask("/v1/classify", {"input": "x"})
        assert (status, reply["error"]["code"], headers["Retry-After"]) == (429, "busy", "1")
        for link in links:
            link.close()
        _wait(lambda: made.ask("/v1/models")[0] == 200)
        slow.go.set()
        _wait(lambda: not made.engine.n_waiting)
        assert slow.asked == ["x"]  # the second was never begun


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "null", '"x"', '{"input": 1}', '{"input": []}', '{"input": [1]}', '{"input": null}', '{}',
     '{"input": "\\ud800"}', '{"input": "x", "accept_at": "1"}', '{"input": "x", "accept_at": NaN}',
     '{"input": "x", "secret": "surprise"}', '{"input": {"message": []}}', '{"input": [{"a": "b"}]}',
     '{"input": ["a", {"message": "b"}]}',
     '{"input": "x", "\\ud800": 1}', '{"input": "x", "' + "k" * 9000 + '": 1}', '{"input": {"\\ud800": "x"}}',
     '{"model": {}, "input": "x"}', '{"input": "x", "top": 1e400}', "[" * 3000],
)  # fmt: skip
def test_malformed_requests_are_told_what_is_wrong_without_being_quoted(server, body):
    status, reply, _ = server.ask("/v1/classify", body)
    assert status == 400
    assert reply["error"]["message"]
    assert '"surprise"' not in json.dumps(reply)  # its name may be told, not what it holds
    assert len(reply["error"]["message"]) <= 500


def test_what_is_sent_packed_is_never_unpacked(server):
    bomb = gzip.compress(b'{"input": "' + b"x" * 20_000_000 + b'"}')
    assert len(bomb) < 64 << 10  # within the limit of a request
    status, reply, _ = server.ask("/v1/classify", bomb, Content_Encoding="gzip")
    assert status == 400, reply


def test_strange_texts_are_answered(server):
    for text in ("", " ", "\0", "\u202e", "a" * 20_000, "🙂" * 500, "<script>alert(1)</script>"):
        status, reply, headers = server.ask("/v1/classify", {"input": text})
        assert status == 200
        assert headers["content-type"] == "application/json"
        assert headers["x-content-type-options"] == "nosniff"
        assert reply["results"][0]["label"]


def test_a_key_has_its_own_limits(runs):
    small, key = new_key(), new_key()
    known = [Key("few", hash_of(small), requests_per_minute=2), Key("short", hash_of(key), tokens_per_minute=10)]
    made = Server(runs, keys=known)
    try:
        codes = [made.ask("/v1/classify", {"input": "x"}, key=small)[0] for _ in range(3)]
        assert codes == [200, 200, 429]
        assert 0 < int(made.ask("/v1/models", key=small)[2]["Retry-After"]) <= 60
        assert made.ask("/v1/classify", {"input": "x" * 400}, key=key)[0] == 200
        status, reply, headers = made.ask("/v1/classify", {"input": "x"}, key=key)
        assert (status, reply["error"]["code"]) == (429, "rate_limit_exceeded")
        assert int(headers["Retry-After"]) > 60
        assert made.ask("/v1/classify", {"input": "x"})[0] == 200
    finally:
        made.close()


def test_a_bucket_fills_again():
    now = [0.0]
    bucket = Bucket(60, clock=lambda: now[0])
    bucket.take(90)
    assert bucket.wait_s() == 31
    now[0] += 31
    assert bucket.wait_s() == 0
    now[0] += 1e6
    bucket.take(61)
    assert bucket.wait_s() > 0  # no more than a minute's worth is ever saved


class _Slow:
    """A store whose model waits until it may answer."""

    def __init__(self):
        self.go = threading.Event()
        self.asked = []
        self.loaded = ()

    def get(self, name):
        return self

    def answer(self, texts, accept_at):
        self.asked += texts
        self.go.wait(10)
        return [Answer("late", 1.0)] * len(texts)

    def writing(self):
        return []

    def clear(self):
        pass


def _wait(until):
    ends = time.monotonic() + 10
    while not until():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_beyond_what_may_wait_the_engine_says_when_to_come_again():
    slow = _Slow()
    engine = Engine(slow, waiting=4)
    engine.start()
    first = engine.answer("m", ["a"])
    while engine.n_waiting:
        time.sleep(0.005)
    held = [engine.answer("m", ["b", "c"]) for _ in range(2)]
    with pytest.raises(Busy) as busy:
        engine.answer("m", ["d"])
    assert busy.value.retry_s >= 1
    slow.go.set()
    assert [len(one.result(5)) for one in (first, *held)] == [1, 2, 2]
    engine.close()
    with pytest.raises(Busy):
        engine.answer("m", ["e"])


def test_a_full_queue_is_told_to_clients_and_empties_again(runs):
    slow = _Slow()
    with Server(runs, waiting=2) as made, ThreadPoolExecutor(2) as pool:
        made.engine.store = slow
        ask = lambda: made.ask("/v1/classify", {"input": ["x", "y"]})  # noqa: E731
        first = pool.submit(ask)
        _wait(lambda: slow.asked)
        second = pool.submit(ask)
        _wait(lambda: made.engine.n_waiting == 2)
        status, reply, headers = ask()
        assert (status, reply["error"]["type"], reply["error"]["code"]) == (429, "rate_limit_error", "busy")
        assert int(headers["Retry-After"]) >= 1
        assert made.ask("/health")[0] == 200
        slow.go.set()
        assert [one.result()[0] for one in (first, second)] == [200, 200]
        assert ask()[0] == 200


def test_what_is_under_way_is_answered_before_the_server_ends(runs):
    slow = _Slow()
    made = Server(runs)
    made.engine.store = slow
    with ThreadPoolExecutor(2) as pool:
        asked = pool.submit(made.ask, "/v1/classify", {"input": "x"})
        _wait(lambda: slow.asked)
        ending = pool.submit(made.close)
        _wait(lambda: _refused(made.port))
        slow.go.set()
        assert asked.result()[0] == 200
        ending.result()


def _refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False


def test_who_does_not_take_an_answer_is_not_waited_for():
    ended = []

    async def writes(scope, receive, send):
        try:
            await receive()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
        except asyncio.CancelledError:
            ended.append(True)
            raise

    async def asked():
        sent = []

        async def receive():
            if not sent:
                sent.append(1)
                return {"type": "http.request", "body": b"{}", "more_body": False}
            return await asyncio.Event().wait()

        async def send(message):
            if message["type"] == "http.response.body":
                await asyncio.Event().wait()  # its buffers are full and stay so

        gate = Gate(writes, keeper=Doorkeeper([Key("a", hash_of("k"))]), limits=Limits(body_s=0.1))
        headers = [(b"host", b"localhost"), (b"authorization", b"Bearer k"), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/v1/classify", "headers": headers}
        await asyncio.wait_for(gate(scope, receive, send), 5)
        return gate._under_way

    assert asyncio.run(asked()) == 0
    assert ended == [True]


def test_an_answer_that_takes_too_long_is_503_and_a_fault_names_no_text(runs, caplog):
    class Failing:
        def predict(self, texts, ctx):
            if texts[0].startswith("slow"):
                time.sleep(0.5)
            raise ValueError(texts[0])

    broken = {"tickets": replace(runs["tickets"], read=Failing)}
    made = Server(broken, limits=Limits(answer_s=0.2))
    try:
        status, reply, headers = made.ask("/v1/classify", {"input": "slow secret"})
        assert (status, reply["error"]["code"]) == (503, "timeout")
        assert headers["Retry-After"]
        time.sleep(0.6)
        status, reply, _ = made.ask("/v1/classify", {"input": "my secret"})
        assert status == 503
        assert "secret" not in json.dumps(reply) + caplog.text
        assert "ValueError" in caplog.text
    finally:
        made.close()


def test_no_text_is_in_the_log(server, caplog):
    caplog.set_level("INFO")
    server.ask("/v1/classify", {"input": "a very private text"})
    server.ask("/v1/classify?text=a-private-query", {"input": "x"})
    server.ask("/v1/a-private-path", {"input": "x"})
    lines = [record.getMessage() for record in caplog.records if record.name == "tunesmith.serve"]
    assert any(line.startswith("POST /v1/classify 200 test ") for line in lines)
    assert "private" not in caplog.text
    assert KEY not in caplog.text


def test_keys_are_kept_as_hashes_and_only_for_their_owner(tmp_path):
    path = tmp_path / "keys.jsonl"
    key = add_key(path, "anna", requests_per_minute=5)
    assert key not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    assert read_keys(path) == [Key("anna", hashlib.sha256(key.encode()).hexdigest(), 5, None)]
    with pytest.raises(ConfigError, match="already"):
        add_key(path, "anna")
    limit = json.dumps({"name": "x", "sha256": "0" * 64, "requests_per_minute": 0})
    for line in ('{"name": "x"}', '{"name": "x", "sha256": "00"}', "[]", "x", limit):
        path.write_text(line)
        with pytest.raises(ConfigError, match="line 1"):
            read_keys(path)
    path.write_text("\n")
    with pytest.raises(ConfigError, match="no key in it"):
        read_keys(path)
    assert Caller(Key("a", hash_of("k"))).admit() == 0


def test_runs_that_cannot_be_served_are_refused_before_anything_listens(finished, tmp_path):
    with pytest.raises(RunError):
        offered(str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match="both called"):
        offered_by([str(finished), str(finished)])
    assert list(offered_by([f"a={finished}", f"b={finished}"])) == ["a", "b"]
    with pytest.raises(ConfigError, match="no rung"):
        offered(str(finished), system="tfidff")
    made = offered(str(finished))
    assert made.system == open_run(finished).report.winner
    with running.listening(0) as sock, pytest.raises(ConfigError, match="--port"):
        running.listening(sock.getsockname()[1])


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingExtra, match="serve"):
        running.require_extra()


def test_an_openai_client_may_ask_what_does_not_write(server, runs):
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key=KEY, max_retries=0)
    o = runs["tickets"]
    text = "my invoice was charged twice"
    label = o.read().predict([text], o.ctx).values[0]
    turns = [{"role": "user", "content": text}]
    assert client.chat.completions.create(model="tickets", messages=turns).choices[0].message.content == label
    parts = list(client.chat.completions.create(model="tickets", messages=turns, stream=True))
    assert "".join(part.choices[0].delta.content or "" for part in parts) == label
    assert [one.id for one in client.models.list()] == ["tickets"]
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="other", messages=turns)
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="tickets", messages=[{"role": "system", "content": "x"}, *turns])
    with pytest.raises(openai.BadRequestError, match="n"):
        client.chat.completions.create(model="tickets", messages=turns, n=2)
