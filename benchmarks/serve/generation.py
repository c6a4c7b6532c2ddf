"""Texts from SmolLM2-135M for eight clients at once that share a system prompt, beside a plain `generate` loop.

Both servers answer the same requests on the same core, in turn, with other texts in every round. Requests a second are
requests per CPU second of the server: what others do on the machine does not enter. Both end a text that repeats itself
by the same rule.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from report import row
from running import Server, machine_load, messages
from writing_server import BASE, SYSTEM, TOKENS

CELL = "generation"
_CLIENTS, _ROUNDS = 8, 3
HERE = Path(__file__).parent


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    from tunesmith.core.events import EventLog
    from tunesmith.models.resolve import fetch, resolve

    folder = fetch(resolve(BASE, "lm"), EventLog(None))
    texts = [message["text"] for message in messages(asked.shared)[600:]]
    rounds = []
    for number in range(1 if asked.quick else _ROUNDS):
        some = texts[number * _CLIENTS :][:_CLIENTS]
        sides = {
            "ours": lambda some=some: _asked(
                some, asked.work / "writing", 0, 16, program=str(HERE / "writing_server.py")
            ),
            "peer": lambda some=some: _asked(some, folder, TOKENS, program=str(HERE / "peer_loop.py")),
        }
        order = ("ours", "peer") if number % 2 == 0 else ("peer", "ours")
        rounds.append({side: sides[side]() for side in order})
    for one in rounds:
        assert one["ours"]["prompt_tokens"] == one["peer"]["prompt_tokens"], "the prompts are not the same"
    ratios = [one["peer"]["cpu_s"] / one["ours"]["cpu_s"] for one in rounds]
    same = [a == b for one in rounds for a, b in zip(one["ours"]["texts"], one["peer"]["texts"], strict=True)]
    n = len(same)
    cpu_s = {side: sum(one[side]["cpu_s"] for one in rounds) for side in ("ours", "peer")}
    return [
        row("requests per CPU-s, eight clients, as a multiple of a generate loop behind FastAPI",
            median(ratios), bar=3.0, unit="x", cell=CELL, n=n, interval=[min(ratios), max(ratios)],
            peer="generate loop, requests per CPU-s", peer_value=n / cpu_s["peer"], ours=n / cpu_s["ours"],
            wall_ratios=[one["peer"]["wall_s"] / one["ours"]["wall_s"] for one in rounds],
            prompt_tokens=[sum(one["peer"]["prompt_tokens"]) for one in rounds], answer_tokens_at_most=TOKENS,
            also_running=machine_load()),
        row("the same texts as the loop's", sum(same) / n, bar=1.0, unit="of all", cell=CELL, n=n),
    ]  # fmt: skip


def _asked(texts: list[str], *arguments: Any, program: str) -> dict[str, Any]:
    def one(text: str) -> Any:
        turns = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]
        body = {"model": "base", "messages": turns, "max_tokens": TOKENS, "temperature": 0}
        status, reply, _ = server.ask(server.link(600), "/v1/chat/completions", body)
        assert status == 200, reply
        return reply

    with Server(*arguments, program=program) as server:
        one("warm up")
        before, began = server.cpu_s, time.monotonic()
        with ThreadPoolExecutor(_CLIENTS) as pool:
            replies = list(pool.map(one, texts))
        return {
            "cpu_s": server.cpu_s - before,
            "wall_s": time.monotonic() - began,
            "texts": [reply["choices"][0]["message"]["content"].strip() for reply in replies],
            "prompt_tokens": [reply["usage"]["prompt_tokens"] for reply in replies],
        }
