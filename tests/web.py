"""The server's application behind a real socket, and a plain client."""

from __future__ import annotations

import http.client
import json
import threading
import time

from tunesmith.deploy.server import run as running
from tunesmith.deploy.server.app import make_app
from tunesmith.deploy.server.gate import Limits
from tunesmith.deploy.server.keys import Key, hash_of, new_key

KEY = new_key()
HEAD = "\r\n".join(
    (
        "POST /v1/classify HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {KEY}",
        "Content-Type: application/json",
        "",
    )
)


class Server:
    """The application behind a real socket, in a thread."""

    def __init__(self, runs, *, keys=(), limits=None, **options):
        app = make_app(
            runs, [Key("test", hash_of(KEY)), *keys], limits=limits or Limits(body_bytes=64 << 10), **options
        )
        self.engine = app.state.engine
        self._server = running.web_server(app)
        self._sock = running.listening(0)
        self.port = self._sock.getsockname()[1]
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._sock]}, daemon=True)
        self._thread.start()
        self.key = KEY
        self.address = f"http://127.0.0.1:{self.port}/v1"
        while not self._server.started:
            time.sleep(0.01)

    def ask(self, path, body=None, *, key=KEY, **headers):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        known = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        known |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if isinstance(body, str | bytes | None) else json.dumps(body)
        link.request("GET" if body is None else "POST", path, content, known)
        reply = link.getresponse()
        said = reply.read()
        link.close()
        return reply.status, json.loads(said) if said else None, reply.headers

    def close(self):
        self._server.should_exit = True
        self._thread.join(timeout=20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
