"""Asking a chat endpoint: a real server on the loopback, its faults, and what is kept."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import ConfigError, ModelError, SourceUnavailable
from tunesmith.models import endpoint as module
from tunesmith.models.endpoint import Endpoint


class Server(ThreadingHTTPServer):
    """Answers with the last word of the question, after `faults` (status, headers) are used up."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults: list[tuple[int, dict[str, str]]] = []
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.body: bytes | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(told)
        self.server.keys.append(self.headers.get("Authorization"))
        status, headers = self.server.faults.pop(0) if self.server.faults else (200, {})
        said = {
            "choices": [{"message": {"role": "assistant", "content": told["messages"][-1]["content"].split()[-1]}}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 2},
        }
        body = self.server.body or json.dumps(said).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(module, "_WAITS_S", (0.0, 0.0))
    made = Server()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def talk(text: str) -> list[Any]:
    return [{"role": "system", "content": "answer"}, {"role": "user", "content": text}]


def test_answers_come_in_order_with_their_cost_and_are_asked_for_once(server: Server, tmp_path: Path) -> None:
    talks = [talk(f"say {n}") for n in range(9)]
    said = Endpoint(server.url, "big").ask_all(talks, tmp_path)
    assert [answer.text for answer in said] == [str(n) for n in range(9)]
    assert (said[0].tokens_in, said[0].tokens_out) == (7, 2)
    assert all(asked["temperature"] == 0.0 and asked["model"] == "big" for asked in server.asked)
    again = Endpoint(server.url, "big").ask_all([*talks, talk("say more")], tmp_path)
    assert [answer.text for answer in again][-1] == "more"
    assert len(server.asked) == 10


def test_the_key_is_read_from_the_environment_and_stands_in_no_file(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    Endpoint(server.url, "big", "MY_KEY").ask_all([talk("say a")], tmp_path)
    assert server.keys == ["Bearer sk-secret"]
    assert all("sk-secret" not in path.read_text() for path in tmp_path.iterdir())
    with pytest.raises(ConfigError, match="must not hold a key"):
        Endpoint("https://user:sk-secret@host/v1", "big")


def test_a_busy_server_is_asked_again_and_a_refusal_is_told(server: Server, tmp_path: Path) -> None:
    server.faults = [(429, {"Retry-After": "0"}), (503, {})]
    assert Endpoint(server.url, "big").ask_all([talk("say b")], tmp_path)[0].text == "b"
    server.faults = [(401, {})]
    with pytest.raises(SourceUnavailable, match="answers 401") as caught:
        Endpoint(server.url, "big").ask_all([talk("say c")], tmp_path)
    assert "OPENAI_API_KEY" in str(caught.value.hint)
    server.faults = [(302, {"Location": "http://127.0.0.1:1/v1"})]
    with pytest.raises(SourceUnavailable, match="answers 302"):
        Endpoint(server.url, "big").ask_all([talk("say d")], tmp_path)


def test_what_is_no_completion_and_nobody_there_are_told_apart(server: Server, tmp_path: Path) -> None:
    server.body = b"<html>"
    with pytest.raises(ModelError, match="no chat completion"):
        Endpoint(server.url, "big").ask_all([talk("say e")], tmp_path)
    with pytest.raises(SourceUnavailable, match="does not answer"):
        Endpoint("http://127.0.0.1:9/v1", "big", timeout_s=2.0).ask_all([talk("say f")], tmp_path)
    with pytest.raises(ConfigError, match="no address"):
        Endpoint("ftp://host", "big")
