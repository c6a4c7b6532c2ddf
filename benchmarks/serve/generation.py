"""Texts from SmolLM2-135M for eight clients at once that share a system prompt, beside a plain `generate` loop.

Both servers answer the same requests on the same core, one server after the other. Requests a second are requests per
CPU second of the server: what others do on the machine does not enter.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from report import row
from running import Server, machine_load, messages
from writing_server import BASE, SYSTEM, TOKENS

CELL = "generation"
_CLIENTS, _EACH = 8, 1
HERE = Path(__file__).parent


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    from tunesmith.core.events import EventLog
    from tunesmith.models.resolve import fetch, resolve

    folder = fetch(resolve(BASE, "lm"), EventLog(None))
    texts = [message["text"] for message in messages(asked.shared)[600:]]
    texts = texts[: _CLIENTS * (1 if asked.quick else _EACH)]
    ours = _asked(texts, asked.work / "writing", 0, 16, program=str(HERE / "writing_server.py"))
    peer = _asked(texts, folder, TOKENS, program=str(HERE / "peer_loop.py"))
    assert ours["prompt_tokens"] == peer["prompt_tokens"], "the prompts are not the same"
    same = sum(a == b for a, b in zip(ours["texts"], peer["texts"], strict=True))
    n = len(texts)
    return [
        row("requests per CPU-s, eight clients, as a multiple of a generate loop behind FastAPI",
            peer["cpu_s"] / ours["cpu_s"], bar=3.0, unit="x", cell=CELL, n=n, peer="generate loop, requests per CPU-s",
            peer_value=n / peer["cpu_s"], ours=n / ours["cpu_s"], wall_ratio=peer["wall_s"] / ours["wall_s"],
            prompt_tokens=sum(peer["prompt_tokens"]), answer_tokens_at_most=TOKENS, also_running=machine_load()),
        row("the same texts as the loop's", same / n, bar=1.0, unit="of all", cell=CELL, n=n),
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
