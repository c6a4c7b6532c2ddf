"""Twenty LoRA adapters on one base: what they take beside one, and what being asked for another one each time costs.

CPU time of the server for a first token, prompts read before (an adapter's prompt is its own and is remembered).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from report import row
from running import Server, machine_load

CELL = "adapters"
_ADAPTERS = 20
_HANGING = 4  # as many as have modules at once (deploy/server/served.py)
HERE = Path(__file__).parent


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    rows = []
    for rank in (16,) if asked.quick else (8, 16):
        rows += _with_rank(asked.work / "writing", rank)
    return rows


def _with_rank(folder: Path, rank: int) -> list[dict[str, Any]]:
    program = str(HERE / "writing_server.py")
    names = [f"adapter-{number:02d}-rank-{rank}" for number in range(_ADAPTERS)]
    with Server(folder, _ADAPTERS, rank, program=program) as server:
        link = server.link(600)

        def one(name: str) -> float:
            """CPU seconds of a first token."""
            before = server.cpu_s
            turns = [{"role": "user", "content": "see you at nine"}]
            body = {"model": name, "messages": turns, "max_tokens": 1}
            status, reply, _ = server.ask(link, "/v1/chat/completions", body)
            assert status == 200, reply
            said[name] = reply["choices"][0]["message"]["content"]
            return server.cpu_s - before

        said: dict[str, str] = {}
        first = one(names[0])
        with_one = server.resident
        loading = [one(name) for name in names[1:]]
        with_all = server.resident
        # A prompt that an adapter has read already is not read again: what is left is what asking costs.
        one(names[0])
        same = [one(names[0]) for _ in range(_ADAPTERS)]
        few = [one(name) for _ in range(1 + _ADAPTERS // _HANGING) for name in names[:_HANGING]][_HANGING:]
        other = [one(name) for _ in range(2) for name in names][_ADAPTERS:]
        after = server.resident
    extra, of_few = ((float(np.median(took)) - float(np.median(same))) * 1000 for took in (other, few))
    return [
        row(f"memory of {_ADAPTERS} adapters of rank {rank} over that of one", with_all / with_one, bar=1.3, unit="x",
            cell=CELL, higher=False, n=_ADAPTERS, megabytes_with_one=with_one >> 20, megabytes=with_all >> 20,
            megabytes_after_switching=after >> 20, different_answers=len(set(said.values()))),
        row(f"switching between {_ADAPTERS} adapters of rank {rank}, each time to the one asked longest ago",
            max(0.0, extra), bar=100.0, unit="CPU-ms", cell=CELL, higher=False, n=len(other),
            interval=_spread(other, same), a_token_of_the_same_ms=float(np.median(same)) * 1000,
            a_token_of_another_ms=float(np.median(other)) * 1000, also_running=machine_load()),
        row(f"switching between {_HANGING} adapters of rank {rank}", max(0.0, of_few), bar=100.0, unit="CPU-ms",
            cell=CELL, higher=False, n=len(few), interval=_spread(few, same)),
        row(f"the first answer of an adapter of rank {rank} that is on disk", float(np.median(loading)) * 1000,
            bar=None, unit="CPU-ms", cell=CELL, n=len(loading), first_ms=first * 1000),
    ]  # fmt: skip


def _spread(took: list[float], same: list[float]) -> list[float]:
    """Quartiles of what asking another costs beyond the same, in ms."""
    low, high = np.quantile(took, [0.25, 0.75]) - float(np.median(same))
    return [float(low) * 1000, float(high) * 1000]
