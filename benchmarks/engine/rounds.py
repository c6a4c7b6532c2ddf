"""Ours and the peer in turn, each measurement in a fresh process: screening, rounds, medians with their spread."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
GATE = 1e-5  # relative L2 difference of all adapter gradients
# Wall seconds by CPU seconds of a thread; beyond this other programs had the cores, and CPU seconds are compared.
BUSY = 1.25
# A variant whose first step takes so many times the best one's is not measured further.
_HOPELESS = 3.0


@dataclass(frozen=True)
class Variant:
    """One way to run the peer. weights: dtype that the model is loaded in."""

    bf16: bool
    checkpointing: bool
    packing: bool = False
    padding_free: bool = False
    weights: str = "float32"

    @property
    def dense(self) -> bool:
        """Whether rows stand in one row without padding."""
        return self.packing or self.padding_free


# TRL's defaults, and what is faster on some machine: bfloat16 needs units that not every CPU has.
VARIANTS: dict[str, Variant] = {
    "float32, no checkpointing": Variant(False, False),
    "float32, packing": Variant(False, False, packing=True),
    "float32, padding-free": Variant(False, False, padding_free=True),
    "float32, checkpointing": Variant(False, True),
    "bfloat16, no checkpointing": Variant(True, False),
    "bfloat16 weights, no checkpointing": Variant(True, False, weights="bfloat16"),
    "bfloat16, packing": Variant(True, False, packing=True),
    "default (bfloat16, checkpointing)": Variant(True, True),
}


@dataclass(frozen=True)
class Plan:
    """How much is measured. deadline: time.monotonic() after which nothing new begins."""

    model: Path
    rows: Path
    work: Path
    peer_python: str
    batch: int
    threads: int
    order: tuple[tuple[int, ...], ...]  # rows of each step, of all rounds
    rounds: int = 5
    warmup: int = 1
    measured: int = 3
    variants: tuple[str, ...] = tuple(VARIANTS)
    dtype: str = ""
    pin: int = 0
    objective: str = "answers"
    rate: float = 1e-3
    rank: int = 16
    gate_tokens: int = 1 << 30
    step_budget_s: float = float("inf")
    deadline: float = float("inf")

    def job(self, round_: int, **more: Any) -> dict[str, Any]:
        """What a process is told. Every round trains on other rows, ours and the peer's the same."""
        size = self.warmup + self.measured
        steps = [self.order[(round_ * size + i) % len(self.order)] for i in range(size)]
        return {
            "model": str(self.model), "rows": str(self.rows), "batch": self.batch, "threads": self.threads,
            "steps": steps, "warmup": self.warmup, "measured": self.measured, "budget_s": self.step_budget_s,
            "give_up_s": float("inf"), "seed": round_, "rate": self.rate, "rank": self.rank, "pin": self.pin,
            "method": "lora", "objective": self.objective, "dtype": self.dtype, "gate_tokens": self.gate_tokens,
            "until": time.time() + self.left_s, "whole": False, "save": None, **more,
        }  # fmt: skip

    @property
    def left_s(self) -> float:
        return self.deadline - time.monotonic()


def fresh(script: str, python: str, job: dict[str, Any], work: Path, *, cache: str | None = None) -> dict[str, Any]:
    """The result of one process; "process_s": its wall seconds in all. cache: the product's, if not the machine's."""
    work.mkdir(parents=True, exist_ok=True)
    told, said, log = work / "job.json", work / "result.json", work / f"{Path(script).stem}.log"
    said.unlink(missing_ok=True)
    told.write_text(json.dumps(job))
    threads = str(job["threads"])
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    quiet = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(work / "datasets")}
    env = {**os.environ, **dict.fromkeys(names, threads), **quiet}
    if cache is not None:
        env["TUNESMITH_CACHE"] = cache
    if python != sys.executable:
        env.pop("PYTHONPATH", None)
    began = time.monotonic()
    with log.open("w") as out:
        done = subprocess.run([python, HERE / script, told, said], env=env, stdout=out, stderr=out, check=False)
    if done.returncode == -signal.SIGKILL:
        raise MemoryError(f"{script} was killed: the machine's memory was full.")
    if done.returncode or not said.exists():
        sys.exit(f"{script} ended with {done.returncode}:\n" + "\n".join(log.read_text().splitlines()[-25:]))
    return {**json.loads(said.read_text()), "process_s": time.monotonic() - began}


def peer(plan: Plan, name: str, round_: int, **more: Any) -> dict[str, Any]:
    """One process of the peer."""
    job = plan.job(round_, variant=asdict(VARIANTS[name]), out=str(plan.work / "peer-out"), **more)
    return fresh("peer.py", plan.peer_python, job, plan.work)


def ours(plan: Plan, round_: int, **more: Any) -> dict[str, Any]:
    """One process of ours."""
    return fresh("ours.py", sys.executable, plan.job(round_, **more), plan.work)


def gate(plan: Plan) -> dict[str, Any]:
    """The gradient gate; see gate.py."""
    return fresh("gate.py", sys.executable, plan.job(0), plan.work)


def screen(plan: Plan) -> tuple[str, dict[str, float]]:
    """(the peer's quickest variant, seconds per example of each that was tried), one measured step each."""
    tried: dict[str, float] = {}
    spent = 0.0
    short = replace(plan, measured=1)
    for name in plan.variants:
        if tried and spent * 1.2 > plan.left_s / 3:  # rounds have to fit as well
            break
        best = min(tried.values(), default=float("inf"))
        try:
            found = peer(short, name, 0, give_up_s=_HOPELESS * best * plan.batch)
        except MemoryError as error:
            print(f"  peer, {name}: {error}", file=sys.stderr, flush=True)
            continue
        tried[name] = found["s_per_example"]
        spent = found["process_s"]
        print(f"  peer, {name}: {tried[name]:.3f} s per example", file=sys.stderr, flush=True)
    if not tried:
        sys.exit("no variant of the peer fits into the memory of this machine.")
    return min(tried, key=lambda name: tried[name]), tried


def compare(plan: Plan) -> dict[str, Any]:
    """Everything about one table: gate, screening, rounds of both in turn."""
    checked = gate(plan)
    print(f"  gradients differ by {checked['gradient_error']:.1e}", file=sys.stderr, flush=True)
    best, tried = screen(plan)
    mine: list[dict[str, Any]] = []
    theirs: list[dict[str, Any]] = []
    longest = 0.0
    for round_ in range(plan.rounds):
        if mine and longest * 1.2 > plan.left_s:
            break
        began = time.monotonic()
        sides = [("ours", mine), ("peer", theirs)]
        for side, results in sides if round_ % 2 == 0 else sides[::-1]:
            results.append(ours(plan, round_) if side == "ours" else peer(plan, best, round_))
        longest = max(longest, time.monotonic() - began)
        seconds = " s, peer ".join(f"{results[-1]['s_per_example']:.3f}" for results in (mine, theirs))
        print(f"  round {round_ + 1}: ours {seconds} s per example", file=sys.stderr, flush=True)
    return summary(plan, checked, best, tried, mine, theirs)


def summary(
    plan: Plan, checked: dict[str, Any], best: str, tried: dict[str, float], mine: Sequence[dict[str, Any]],
    theirs: Sequence[dict[str, Any]],
) -> dict[str, Any]:  # fmt: skip
    """Medians over rounds; ratios are medians of each round's own, so that a slow minute hits both sides."""
    exact = checked["gradient_error"] <= GATE

    def median(results: Sequence[dict[str, Any]], key: str) -> float:
        return statistics.median(r[key] for r in results)

    def ratios(key: str) -> list[float]:
        return sorted(b[key] / a[key] for a, b in zip(mine, theirs, strict=True))

    wall, cpu = ratios("s_per_example"), ratios("cpu_s_per_example")
    busy = wall_over_cpu(mine, theirs, plan.threads)
    clock = "wall" if busy <= BUSY else "cpu"
    seconds, used = ("s_per_example", wall) if clock == "wall" else ("cpu_s_per_example", cpu)
    return {
        "peer": f"{theirs[0]['version']}, {best}",
        "peer_s_per_example": median(theirs, seconds),
        "s_per_example": median(mine, seconds),
        "ratio": statistics.median(used) if exact else 1.0,
        "gradient_error": checked["gradient_error"],
        "exact": exact,
        "clock": clock,
        "busy": busy,
        "ratio_spread": [used[0], used[-1]],
        "ratio_wall": statistics.median(wall),
        "ratio_cpu": statistics.median(cpu),
        "peer_wall_s_per_example": median(theirs, "s_per_example"),
        "wall_s_per_example": median(mine, "s_per_example"),
        "peer_cpu_s_per_example": median(theirs, "cpu_s_per_example"),
        "cpu_s_per_example": median(mine, "cpu_s_per_example"),
        "peer_peak_rss_bytes": int(median(theirs, "peak_rss_bytes")),
        "peak_rss_bytes": int(median(mine, "peak_rss_bytes")),
        "peer_variants": {name: round(seconds, 4) for name, seconds in tried.items()},
        "loss_error": checked["loss_error"],
        "gate_rows": checked["rows"],
        "gate_dtype": checked["dtype"],
        "first_loss": mine[0]["first_loss"],
        "peer_first_loss": theirs[0]["first_loss"],
        "rounds": len(mine),
        "n": sum(r["examples"] for r in mine),
        "peer_n": sum(r["examples"] for r in theirs),
        "batch": plan.batch,
        "threads": plan.threads,
        "dtype": mine[0]["dtype"],
        "packing": mine[0]["packing"],
        "tokens_per_example": median(mine, "tokens_per_example"),
        "packed_tokens_per_example": median(mine, "packed_tokens_per_example"),
        "useful_gflop_per_example": median(mine, "useful_flops_per_example") / 1e9,
        "warm": all(r["warm"] for r in (*mine, *theirs)),
    }


def wall_over_cpu(mine: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]], threads: int) -> float:
    """Wall seconds by CPU seconds of a thread: 1.0 on quiet cores, more where other programs had them."""
    both = [*mine, *theirs]
    wall = sum(r["s_per_example"] * r["examples"] for r in both)
    cpu = sum(r["cpu_s_per_example"] * r["examples"] for r in both)
    return round(wall * threads / cpu, 2)
