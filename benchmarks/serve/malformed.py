"""1,000 malformed requests made by schemathesis from the server's own OpenAPI document; the server must outlive them.

Half break the document and half keep it with strange values; further ones are cut off, not JSON, or not HTTP.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import warnings
from collections import Counter
from typing import Any

from report import row
from running import Server, frozen_run

CELL = "malformed"
_REQUESTS = 1000
_BROKEN = (b"\x00\xff\xfe", b"GET", b"GET / HTTP/9.9\r\n\r\n", b"POST /v1/classify HTTP/1.1\r\n\r\n", b"A" * 70_000,
           b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
           b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nContent-Length: 7\r\n\r\n{}",
           b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
           b"GET /\xc3\xa9 HTTP/1.1\r\nHost: localhost\r\n\r\n")  # fmt: skip


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis import GenerationMode

    folder = frozen_run(asked.work, asked.shared)
    total = _REQUESTS // (10 if asked.quick else 1)
    statuses: Counter[int] = Counter()
    with Server(folder) as server:
        link = server.link()
        probe = {"input": "see you at nine"}
        before = server.ask(link, "/v1/classify", probe)[1]
        schema = schemathesis.openapi.from_dict(server.ask(link, "/openapi.json", None)[1])
        paths = ("/v1/classify", "/v1/extract", "/v1/completions", "/v1/chat/completions")
        headers = {"Authorization": f"Bearer {server.key}"}
        resident = server.resident
        sent = 0
        for path in paths:
            for mode in (GenerationMode.NEGATIVE, GenerationMode.POSITIVE):

                @settings(max_examples=total // 8, deadline=None, database=None, derandomize=True,
                          phases=[Phase.generate], suppress_health_check=list(HealthCheck))  # fmt: skip
                @given(case=schema[path]["POST"].as_strategy(generation_mode=mode))
                def attack(case: Any) -> None:
                    nonlocal sent
                    # What was made is sent as it is, the key included, so that it is the body that is looked at.
                    got = case.call(base_url=f"http://127.0.0.1:{server.port}", headers=headers, timeout=120)
                    statuses[got.status_code] += 1
                    sent += 1

                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    attack()
        draw = random.Random(0)
        whole = json.dumps({"input": "x" * 200, "accept_at": 0.5}).encode()
        for at in range(total // 4):
            damaged = bytearray(whole[: draw.randrange(len(whole))] if at % 2 else whole)
            for _ in range(draw.randrange(1, 6)):
                if damaged:
                    damaged[draw.randrange(len(damaged))] = draw.randrange(256)
            head = {"Content-Type": "application/json", **headers}
            link = server.link()
            link.request("POST", "/v1/classify", bytes(damaged), head)
            reply = link.getresponse()
            reply.read()
            link.close()
            statuses[reply.status] += 1
            sent += 1
        for raw in _BROKEN:
            with socket.create_connection(("127.0.0.1", server.port), timeout=60) as plug:
                plug.sendall(raw)
                plug.shutdown(socket.SHUT_WR)
                said = plug.recv(4096)
            statuses[int(said.split()[1]) if said.startswith(b"HTTP/") else 0] += 1
            sent += 1
        same = server.ask(server.link(), "/v1/classify", probe)[1] == before
        bad = sum(n for status, n in statuses.items() if status >= 500 and status != 503)
        answered = {str(status): n for status, n in sorted(statuses.items())}
        return [
            row("5xx other than 503 among malformed requests", bad, bar=0, unit="answers", cell=CELL, higher=False,
                n=sent, statuses=answered),
            row("the server lives and answers as before", float(server.is_alive and same), bar=1, unit="", cell=CELL),
            row("memory after malformed requests", server.resident / resident, bar=1.1, unit="x", cell=CELL,
                higher=False, megabytes=server.resident >> 20),
        ]  # fmt: skip
