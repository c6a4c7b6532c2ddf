"""A head on the frozen MiniLM encoder: asked through HTTP, and in the process.

Server and client share one core, so a throughput is texts per CPU second of both; what others do on the machine does
not enter it. The same fresh texts go both ways, in turns. Latency is wall time: where the system lets them, client and
server go before whatever else runs on their core meanwhile.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from report import row
from running import Server, frozen_run, machine_load, messages

CELL = "classification"
_PER_S = 20.0


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    import tunesmith as ts

    folder = frozen_run(asked.work, asked.shared)
    fresh = iter([message["text"] for message in messages(asked.shared)[600:]])
    run = ts.open_run(folder)
    run.predict([next(fresh)])
    shorter = 4 if asked.quick else 1
    rows = []
    with Server(folder) as server:
        for size, requests, bar in ((32, 12 // shorter, 0.8), (1, 240 // shorter, 0.4)):
            rows += _throughput(run, server, fresh, size=size, requests=requests, bar=bar)
        rows.append(_latency(server, fresh, seconds=20.0 / shorter))
    return rows


def _throughput(run: Any, server: Server, fresh: Any, *, size: int, requests: int, bar: float) -> list[dict[str, Any]]:
    link = server.link()
    inside, outside = [], []
    different = 0
    for at in range(requests + 2):
        texts = [next(fresh) for _ in range(size)]
        began = time.process_time()
        said = run.predict(texts).values
        here = time.process_time() - began
        began, before = time.process_time(), server.cpu_s
        status, reply, _ = server.ask(link, "/v1/classify", {"input": texts if size > 1 else texts[0]})
        there = time.process_time() - began + server.cpu_s - before
        assert status == 200, reply
        different += sum(a != b["label"] for a, b in zip(said, reply["results"], strict=True))
        if at >= 2:  # the first ones warm up
            inside.append(here)
            outside.append(there)
    draw = np.random.default_rng(0)
    picks = draw.integers(0, requests, (2000, requests))
    ratios = np.array(inside)[picks].sum(axis=1) / np.array(outside)[picks].sum(axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return [
        row(
            f"throughput through HTTP as a share of in-process, {size} texts a request", sum(inside) / sum(outside),
            bar=bar, unit="of in-process", cell=CELL, interval=[float(low), float(high)], n=requests,
            peer="in-process, texts per CPU-s", peer_value=size * requests / sum(inside),
            through_http=size * requests / sum(outside), different_answers=different, also_running=machine_load(),
        )
    ]  # fmt: skip


def _latency(server: Server, fresh: Any, *, seconds: float) -> dict[str, Any]:
    """Requests at their times, whether or not those before are answered; waiting for the time counts."""
    kept: dict[int, Any] = {}

    def one(at: float, text: str) -> float:
        link = kept.setdefault(threading.get_ident(), server.link())
        time.sleep(max(0.0, at - time.monotonic()))
        assert server.ask(link, "/v1/classify", {"input": text})[0] == 200
        return time.monotonic() - at

    ahead = _ahead([0, *(thread.id for thread in server.process.threads())], os.SCHED_RR, 1)
    used = server.cpu_s + time.process_time()
    with ThreadPoolExecutor(16) as pool:
        start = time.monotonic() + 0.5
        futures = [pool.submit(one, start + at / _PER_S, next(fresh)) for at in range(int(seconds * _PER_S))]
        took = [future.result() * 1000 for future in futures]
    used = server.cpu_s + time.process_time() - used
    p50, p95, p99 = np.quantile(took, [0.5, 0.95, 0.99])
    _ahead([0], os.SCHED_OTHER, 0)
    return row(
        f"95th percentile of latency at {_PER_S:g} requests/s, single texts", float(p95), bar=50.0, unit="ms",
        cell=CELL, higher=False, n=len(took), p50_ms=float(p50), p99_ms=float(p99), longest_ms=max(took),
        core_used=used / seconds, priority="before all others" if ahead else "as all", also_running=machine_load(),
    )  # fmt: skip


def _ahead(threads: list[int], policy: int, priority: int) -> bool:
    """Whether these threads could be put before all others: a busy machine would be measured otherwise."""
    try:
        for thread in threads:
            os.sched_setscheduler(thread, policy, os.sched_param(priority))
    except PermissionError:
        return False
    return True
