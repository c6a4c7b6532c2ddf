"""Ten times as many requests as the server can answer, for a minute, with slow clients beside them; then kill -9.

Requests come at their times whether or not those before are answered (an open loop), each of 32 fresh texts.
"""

from __future__ import annotations

import argparse
import json
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from report import row
from running import Server, frozen_run, machine_load, messages

CELL = "overload"
_TIMES, _SECONDS, _TEXTS = 10, 60, 32
_PROBED = 8
_SLOW = 40  # clients that send a byte a second, and as many that never read


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    folder = frozen_run(asked.work, asked.shared)
    texts = [message["text"] for message in messages(asked.shared)[600:]]
    seconds = 6 if asked.quick else _SECONDS
    arguments = (folder, "--queue", 256, "--timeout", 300)
    with Server(*arguments) as server:
        before = _probe(server, texts)
        capacity = _capacity(server, texts)
        statuses, no_wait, sizes, took = _storm(server, texts, rate=_TIMES * capacity, seconds=seconds)
        alive = server.is_alive
        after = _probe(server, texts)
    kept = asked.work / "overload-inputs.jsonl"
    kept.unlink(missing_ok=True)
    with Server(*arguments, "--keep-inputs", kept) as server:
        _probe(server, texts)
        stopper = threading.Timer(10.0, server.kill)
        stopper.start()
        broken, _, _, _ = _storm(server, texts, rate=capacity, seconds=14, slow=0)
        stopper.join()
    with Server(*arguments, "--keep-inputs", kept) as server:
        again = _probe(server, texts)
    written = sum(_whole(line) for line in kept.read_text(encoding="utf-8").splitlines()) - 2 * _PROBED
    lost = max(0, _TEXTS * broken[200] - written)
    bad = sum(n for status, n in statuses.items() if status >= 500 and status != 503)
    half = len(sizes) // 2
    flat = max(sizes[half:]) / max(sizes[:half])
    told = {str(status): n for status, n in sorted(statuses.items())}
    return [
        row(f"5xx other than 503 at {_TIMES}x capacity for {seconds} s", bad, bar=0, unit="answers", cell=CELL,
            higher=False, n=sum(statuses.values()), statuses=told, capacity_requests_per_s=capacity,
            refused_without_retry_after=no_wait, also_running=machine_load()),
        row("connections lost or never answered under overload", statuses[0], bar=0, unit="requests", cell=CELL,
            higher=False, n=sum(statuses.values()), slow_clients=2 * _SLOW),
        row("answered under overload, of what the server could answer with its core to itself",
            statuses[200] / (capacity * took), bar=None, unit="x", cell=CELL, n=statuses[200]),
        row("memory: most in the second half of the storm over the first", flat, bar=1.1, unit="x", cell=CELL,
            higher=False, megabytes_before=sizes[0] >> 20, megabytes_most=max(sizes) >> 20),
        row("after the storm it lives and answers as before", float(alive and after == before), bar=1, unit="",
            cell=CELL),
        row("answered before kill -9 and not in the file of inputs", lost, bar=0, unit="texts", cell=CELL,
            higher=False, n=_TEXTS * broken[200], texts_in_the_file=written),
        row("after kill -9 and a restart it answers as before", float(again == before), bar=1, unit="", cell=CELL,
            statuses_around_the_kill={str(status): n for status, n in sorted(broken.items())}),
    ]  # fmt: skip


def _whole(line: str) -> bool:
    try:
        return "row" in json.loads(line)
    except ValueError:
        return False


def _capacity(server: Server, texts: list[str]) -> float:
    """Requests a second that the server could answer if it had its core to itself."""
    link, before = server.link(), server.cpu_s
    for number in range(4):
        assert server.ask(link, "/v1/classify", {"input": _some(texts, number)})[0] == 200
    return 4 / (server.cpu_s - before)


def _probe(server: Server, texts: list[str]) -> list[tuple[str, float]]:
    """Labels and confidences of the same few texts; comes again when told to, as clients do."""
    while True:
        status, reply, headers = server.ask(server.link(300), "/v1/classify", {"input": texts[:_PROBED]})
        if status == 200:
            return [(one["label"], round(one["confidence"], 5)) for one in reply["results"]]
        assert status == 429, reply
        time.sleep(float(headers["Retry-After"]))


def _storm(
    server: Server, texts: list[str], *, rate: float, seconds: float, slow: int = _SLOW
) -> tuple[Counter[int], int, list[int], float]:
    """(statuses, 0 where there was no answer; refusals that do not say when to come again; sizes; seconds it took)."""
    statuses: Counter[int] = Counter()
    no_wait = 0
    lock = threading.Lock()

    def one(at: float, number: int) -> None:
        nonlocal no_wait
        time.sleep(max(0.0, at - time.monotonic()))
        try:
            link = server.link()
            status, _, headers = server.ask(link, "/v1/classify", {"input": _some(texts, number)})
            link.close()
        except OSError:
            status, headers = 0, {}
        with lock:
            statuses[status] += 1
            no_wait += status in (429, 503) and not headers["Retry-After"]

    plugs = _slow_clients(server, slow)
    sizes: list[int] = []
    done = threading.Event()
    watching = threading.Thread(target=_watch, args=(server, plugs, sizes, done))
    watching.start()
    began = time.monotonic()
    with ThreadPoolExecutor(64) as pool:
        for number in range(max(1, int(rate * seconds))):
            pool.submit(one, began + number / rate, 1000 + number)
    took = time.monotonic() - began
    done.set()
    watching.join()
    for plug in plugs:
        plug.close()
    return statuses, no_wait, sizes or [server.resident if server.is_alive else 1] * 2, took


def _slow_clients(server: Server, slow: int) -> list[socket.socket]:
    head = f"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.key}\r\n"
    body = json.dumps({"input": ["x"] * _TEXTS, "top": 5})
    whole = f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    plugs = []
    for at in range(2 * slow):
        plug = socket.create_connection(("127.0.0.1", server.port))
        plug.sendall((whole if at % 2 else head).encode())
        plugs.append(plug)
    return plugs


def _watch(server: Server, plugs: list[socket.socket], sizes: list[int], done: threading.Event) -> None:
    while not done.wait(1.0) and server.is_alive:
        sizes.append(server.resident)
        for plug in plugs[::2]:
            try:
                plug.sendall(b"X")  # a header that never ends
            except OSError:
                continue


def _some(texts: list[str], number: int) -> list[str]:
    """32 texts that were not asked together before."""
    return [f"{texts[(number * _TEXTS + at) % len(texts)]} {number}" for at in range(_TEXTS)]
