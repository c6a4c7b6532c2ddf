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
_SLOW = 40  # clients that send a byte a second, and as many that never read


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    folder = frozen_run(asked.work, asked.shared)
    texts = [message["text"] for message in messages(asked.shared)[600:]]
    seconds = 6 if asked.quick else _SECONDS
    arguments = (folder, "--queue", 256, "--timeout", 30)
    with Server(*arguments) as server:
        link = server.link()
        before = server.ask(link, "/v1/classify", {"input": texts[:8]})[1]
        capacity = _capacity(server, texts)
        statuses, no_wait, sizes, took = _storm(server, texts, rate=_TIMES * capacity, seconds=seconds)
        time.sleep(1)
        alive = server.is_alive
        after = server.ask(server.link(), "/v1/classify", {"input": texts[:8]})[1]
    kept = asked.work / "overload-inputs.jsonl"
    kept.unlink(missing_ok=True)
    with Server(*arguments, "--keep-inputs", kept) as server:
        killed = threading.Event()
        stopper = threading.Timer(6.0, lambda: (killed.set(), server.kill()))
        stopper.start()
        broken, _, _, _ = _storm(server, texts, rate=capacity, seconds=8)
        assert killed.is_set()
    with Server(*arguments, "--keep-inputs", kept) as server:
        again = server.ask(server.link(), "/v1/classify", {"input": texts[:8]})[1]
    written = sum(_whole(line) for line in kept.read_text(encoding="utf-8").splitlines()) - 8
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
        row("answered under overload, of what the server can answer", statuses[200] / (capacity * took), bar=None,
            unit="x", cell=CELL, n=statuses[200]),
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
    """Requests a second, one after the other."""
    link, began, n = server.link(), time.monotonic(), 0
    while time.monotonic() - began < 5:
        server.ask(link, "/v1/classify", {"input": _some(texts, n)})
        n += 1
    return n / (time.monotonic() - began)


def _storm(
    server: Server, texts: list[str], *, rate: float, seconds: float
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

    plugs = _slow_clients(server)
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


def _slow_clients(server: Server) -> list[socket.socket]:
    head = f"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.key}\r\n"
    body = json.dumps({"input": ["x"] * _TEXTS, "top": 5})
    whole = f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    plugs = []
    for at in range(2 * _SLOW):
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
