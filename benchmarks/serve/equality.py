"""The answers of the server beside those of *evaluate*: byte for byte when asked one at a time, and eight at once.

SmolLM2-135M in float32, asked through the `openai` client. *evaluate* writes with `predict`; where an answer differs,
the least difference between the two likeliest tokens on its way is measured.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

import numpy as np
from report import row
from running import Server, machine_load, messages

CELL = "equality"
_TEXTS, _ALONE = 48, 16
HERE = Path(__file__).parent


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    from openai import AsyncOpenAI, OpenAI

    n = 8 if asked.quick else _TEXTS
    texts = [message["text"] for message in messages(asked.shared)[1000 : 1000 + n]]
    with Server(asked.work / "writing", 0, 16, program=str(HERE / "writing_server.py")) as server:
        options: dict[str, Any] = {"base_url": f"http://127.0.0.1:{server.port}/v1", "api_key": server.key,
                                   "max_retries": 0, "timeout": 600.0}  # fmt: skip
        client = OpenAI(**options)
        alone = [
            client.chat.completions.create(model="base", messages=_turns(text)).choices[0].message.content
            for text in texts[:_ALONE]
        ]
        together = asyncio.run(_together(AsyncOpenAI(**options), texts))
    # The server is gone before the model is read here, so that one of them is in memory.
    wanted, margins = _evaluated(asked.work / "writing", texts, together)
    same_alone = sum(a == b for a, b in zip(alone, wanted, strict=False))
    same = sum(a == b for a, b in zip(together, wanted, strict=True))
    return [
        row("asked one at a time: answers equal to those of evaluate, byte for byte", same_alone / len(alone), bar=1.0,
            unit="of all", cell=CELL, n=len(alone), different_answers_of_evaluate=len(set(wanted))),
        row("eight at once: answers equal to those of evaluate", same / n, bar=0.995, unit="of all", cell=CELL, n=n,
            least_margins_where_they_differ=margins, also_running=machine_load()),
    ]  # fmt: skip


def _turns(text: str) -> Any:
    return [{"role": "user", "content": text}]


async def _together(client: Any, texts: list[str]) -> list[str]:
    turn = asyncio.Semaphore(8)

    async def one(text: str) -> str:
        async with turn:
            said = await client.chat.completions.create(model="base", messages=_turns(text))
        return str(said.choices[0].message.content)

    return list(await asyncio.gather(*map(one, texts)))


def _evaluated(folder: Path, texts: list[str], got: list[str]) -> tuple[list[str], list[float]]:
    """(what *evaluate* writes for these texts, the least margin on the way of each that differs)."""
    from writing_server import base_of

    fitted, ctx = base_of(folder)
    wanted = [value or "" for value in fitted.predict(texts, ctx).values]
    asked = fitted.answers(ctx)
    margins = []
    for text, a, b in zip(texts, got, wanted, strict=True):
        if a != b:
            ids = asked.asker.ask(text, room=asked.lengths.room).ids
            written = asked.lm.generate([ids], max_new_tokens=asked.lengths.max_new_tokens, break_loops=True)[0].ids
            logits = asked.lm.first_logits([[*ids, *written[:at]] for at in range(len(written) + 1)])
            top = np.sort(logits, axis=1)[:, -2:]
            margins.append(float((top[:, 1] - top[:, 0]).min()))
    return wanted, margins
