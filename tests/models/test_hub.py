"""The hub source against a small real server: the real client, real files, in a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tunesmith.testing import tiny_encoder, tiny_lm

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NEXT = "f" * 40


class HubLike(ThreadingHTTPServer):
    """Speaks as much of the hub's protocol as a download needs; remembers what was asked."""

    def __init__(self, repositories: dict[str, dict[str, bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.repositories = repositories
        self.commit = COMMIT
        self.asked: list[str] = []
        self.tokens: set[str | None] = set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    server: HubLike

    def log_message(self, *args: object) -> None:
        """Keeps the test's output clean."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        self.server.tokens.add(self.headers.get("Authorization"))
        words = path.strip("/").split("/")
        name = "/".join(words[2:4] if words[0] == "api" else words[:2])
        files = self.server.repositories.get(name)
        if name == "org/gated":
            self.answer(403, b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": "gated"})
        elif files is None:
            self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "no such repository"})
        elif words[0] == "api":
            revision = words[5] if len(words) > 5 else "main"
            if revision not in ("main", COMMIT, NEXT):
                self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "no such revision"})
            elif len(words) > 4 and words[4] == "tree":
                listing = [
                    {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                    for path, data in files.items()
                ]
                self.answer(200, json.dumps(listing).encode())
            else:
                sha = self.server.commit if revision == "main" else revision
                siblings = [{"rfilename": path} for path in files]
                info = {"id": name, "modelId": name, "sha": sha, "siblings": siblings, "tags": [], "private": False}
                self.answer(200, json.dumps({**info, "cardData": {"license": "apache-2.0"}}).encode())
        else:
            data = files["/".join(words[4:])]
            digest = hashlib.sha1(data).hexdigest()
            self.answer(200, data, {"ETag": f'"{digest}"', "X-Repo-Commit": self.server.commit})

    def answer(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def read(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def hub(tmp_path) -> Iterator[HubLike]:
    lm = read(tiny_lm(tmp_path / "lm"))
    extras = {
        "pytorch_model.bin": b"a pickle",
        "onnx/model.onnx": b"another engine",
        "modeling_own.py": b"raise SystemExit('code of the hub was run')",
        "consolidated.safetensors": b"the same again",
    }
    pickled = {("pytorch_model.bin" if name == "model.safetensors" else name): data for name, data in lm.items()}
    server = HubLike(
        {
            "org/lm": {**lm, **extras},
            "org/encoder": read(tiny_encoder(tmp_path / "encoder")),
            "org/pickled": pickled,
            "org/gguf": {"model.gguf": b"GGUF"},
        }
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


SCRIPT = """
import json, sys
from pathlib import Path
from tunesmith.core.errors import TunesmithError
from tunesmith.models.resolve import fetch, local, pin, resolve
what, name, kind = sys.argv[1:4]
try:
    spec = resolve(name, kind)
    if what == "fetch":
        folder = fetch(spec, lambda event, **fields: None)
        files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        said = {"folder": str(folder), "files": files}
    elif what == "pin":
        said = {"uri": pin(spec).uri, "licence": pin(spec).licence}
    else:
        said = {"local": str(local(spec))}
except TunesmithError as error:
    said = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
print(json.dumps(said))
"""


@pytest.fixture
def ask(hub, tmp_path):
    """Asks in a fresh process, since huggingface_hub reads its settings when it is imported."""

    def run(what: str, name: str, kind: str = "lm", **settings: str) -> dict:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        ours = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "hf"), "TUNESMITH_CACHE": str(tmp_path / "cache")}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, what, name, kind],
            env={**clean, **ours, **settings},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_only_safetensors_configs_and_tokenizer_are_downloaded_and_then_nothing(hub, ask):
    said = ask("fetch", "org/lm")
    assert said["folder"].endswith(COMMIT)
    assert "model.safetensors" in said["files"]
    assert "tokenizer.json" in said["files"]
    assert not {"pytorch_model.bin", "modeling_own.py", "consolidated.safetensors", "onnx/model.onnx"} & set(
        said["files"]
    )
    assert not any("pytorch_model.bin" in path for path in hub.asked)
    hub.asked.clear()
    assert ask("fetch", f"org/lm@{COMMIT}")["folder"] == said["folder"]
    assert hub.asked == [], "a pinned model in the cache needs no question"
    assert ask("local", "org/lm") == {"local": said["folder"]}
    assert hub.asked == []


def test_a_branch_is_pinned_to_its_commit_and_offline_to_the_cached_one(hub, ask):
    assert ask("pin", "hub:org/lm@main") == {"uri": f"hub:org/lm@{COMMIT}", "licence": "apache-2.0"}
    ask("fetch", "org/lm")
    hub.commit = NEXT
    assert ask("pin", "org/lm")["uri"] == f"hub:org/lm@{NEXT}"
    hub.asked.clear()
    assert ask("pin", "org/lm", HF_HUB_OFFLINE="1")["uri"] == f"hub:org/lm@{COMMIT}"
    assert ask("fetch", "org/lm", HF_HUB_OFFLINE="1")["folder"].endswith(COMMIT)
    assert hub.asked == []
    gone = "http://127.0.0.1:9"  # nobody listens on the discard port
    assert ask("pin", "org/lm", HF_ENDPOINT=gone)["uri"] == f"hub:org/lm@{COMMIT}"


def test_an_encoder_brings_its_pooling(ask):
    assert "1_Pooling/config.json" in ask("fetch", "org/encoder", "encoder")["files"]


def test_an_encoder_is_refused_where_a_language_model_is_needed(ask):
    assert "a language model is needed" in ask("fetch", "org/encoder", "lm")["message"]


def test_pickled_weights_are_refused_before_they_are_downloaded(hub, ask):
    said = ask("fetch", "org/pickled")
    assert said["error"] == "ModelError"
    assert "pickled weights only (pytorch_model.bin)" in said["message"]
    assert not any("/resolve/" in path for path in hub.asked)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("org/gguf", "ModelError", "no model.safetensors"),
        ("org/absent", "ModelError", "no model 'org/absent'"),
        ("org/lm@no-such-branch", "ModelError", "no revision 'no-such-branch'"),
        ("org/gated", "SourceUnavailable", "accepted its licence"),
    ],
)
def test_what_the_hub_refuses_is_explained(ask, name, error, message):
    said = ask("fetch", name)
    assert said["error"] == error
    assert message in said["message"]
    assert said["hint"]


@pytest.mark.parametrize("settings", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_without_the_hub_the_message_names_the_command(hub, ask, settings):
    said = ask("fetch", "org/lm", **settings)
    assert said["error"] == "SourceUnavailable"
    assert "hf download org/lm" in said["hint"]
    assert hub.asked == []


def test_the_token_is_sent_only_where_one_is_set(hub, ask):
    ask("pin", "org/lm")
    assert hub.tokens == {None}
    ask("pin", "org/lm", HF_TOKEN="hf_secret")
    assert hub.tokens == {None, "Bearer hf_secret"}
