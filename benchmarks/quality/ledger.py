"""Whether the cost of full fine-tuning, said from a few steps of it, is what a full fine-tuning then really takes.

Each case is two runs of 200 rows with the same planned steps: one with the default method, after which full
fine-tuning is timed for a few steps (`tunesmith show RUN --cost --full`), and one that really trains every weight.
Encoder cases take 3 minutes of a quiet core each and 1.2 GB; the language model's case takes 20 minutes and 6 GB. What
is in the work folder is not run again. Of each table 200 rows are drawn; test scores decide nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import report
import tables
import yaml

from tunesmith.core.statistics import wilson
from tunesmith.equal_quality import first_as_good

# (table, rung, optimizer steps)
CASES = (
    ("intents:20", "encoder", 36), ("messages", "encoder", 36), ("polarity:film", "encoder", 36),
    ("intents:20", "contrastive", 24), ("intents:20", "lm", 40),
)  # fmt: skip
_ROWS = 200


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Runs what is not there yet, then holds each estimate against its full training."""
    wanted = os.environ.get("LEDGER_RUNGS", "encoder,contrastive,lm").split(",")  # where memory is short
    found = [_case(*case, asked) for case in CASES[: 1 if asked.quick else None] if case[1] in wanted]
    rows = [row for case in found for row in _rows(case)]
    held, n = sum(case["inside"] for case in found), len(found)
    rows.append(
        report.row(
            "CPU seconds of full fine-tuning inside the 80 % interval said from a few steps", held / n, bar=None,
            unit="of cases", cell="ledger", n=n, interval=list(wilson(held, n)),
        )
    )  # fmt: skip
    return rows


def _case(table: str, rung: str, steps: int, asked: argparse.Namespace) -> dict[str, Any]:
    """What was said and what came."""
    path = tables.table(table, asked.shared, asked.work, rows=_ROWS)
    plain = _run(path, rung, steps, {}, asked)
    if "likely" not in str(_read(plain / "full.json")["cpu_s"]):
        _tunesmith(["show", str(plain), "--cost", "--full", "--json"])
    said = _read(plain / "full.json")
    full = _run(path, rung, steps, {"method": "full"}, asked)
    ours, theirs = _rung(plain, rung), _rung(full, rung)
    if said["skipped"]:
        raise SystemExit(f"{table}, {rung}: {said['skipped']}")
    cpu, came = said["cpu_s"], theirs["cost"]["train_cpu_s"]
    return {
        "name": f"{table}, {rung}", "said": said, "came": came, "inside": cpu["low"] <= came <= cpu["high"],
        "ours": ours, "theirs": theirs, "scores": [_score(folder, rung) for folder in (plain, full)],
        "steps": [int(r["curve"][-1]["step"]) for r in (ours, theirs)],
        "reached": first_as_good(ours["curve"], theirs["curve"]),
    }  # fmt: skip


def _run(path: Path, rung: str, steps: int, train: dict[str, str], asked: argparse.Namespace) -> Path:
    folder: Path = asked.work / "ledger" / f"{path.stem}-{rung}-{train.get('method', 'default')}"
    rungs = [{"name": "majority"}, {"name": "tfidf"}, {"name": rung, "steps": steps}]
    config = {
        "data": {"path": str(path.resolve()), "target": "label"}, "budget": "30m", "threads": 1,
        "model": {"rungs": rungs}, "train": {**train, "refit": []}, "cost": {"full": "auto"},
    }  # fmt: skip
    if not (folder / "cost.json").exists():
        print(f"   {folder.name}", file=sys.stderr, flush=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        asks = folder.with_suffix(".yaml")
        asks.write_text(yaml.safe_dump(config), encoding="utf-8")
        _tunesmith(["run", str(asks), "--out", str(folder), "--json"])
    return folder


def _tunesmith(words: list[str]) -> None:
    subprocess.run([sys.executable, "-m", "tunesmith", *words], check=True, stdout=subprocess.DEVNULL)


def _rung(folder: Path, name: str) -> dict[str, Any]:
    ladder = _read(folder / "05-select" / "ladder.json")
    return next(rung for rung in ladder["rungs"] if rung["name"] == name)


def _score(folder: Path, rung: str) -> dict[str, Any]:
    told = _read(folder / "cost.json")
    return next(
        {"metric": told["metric"], "score": r["score"], "n": r["n"]} for r in told["rungs"] if r["name"] == rung
    )


def _rows(case: dict[str, Any]) -> list[dict[str, Any]]:
    said, came, (mine, full) = case["said"], case["came"], case["scores"]
    cpu = said["cpu_s"]
    took = case["ours"]["cost"]["train_cpu_s"]
    steps = case["steps"]
    equal = [seconds * at / whole for seconds, at, whole in zip((took, came), case["reached"], steps, strict=True)]
    peak = case["theirs"]["cost"]["peak_rss_bytes"]
    name = case["name"]
    return [
        report.row(
            f"{name}: CPU seconds of full fine-tuning said from {len(said['full_step_s'])} of {said['steps']} steps, "
            "over those it took", cpu["likely"] / came, bar=None, unit="x", cell="ledger",
            interval=[cpu["low"] / came, cpu["high"] / came], inside=case["inside"], took_s=came, said_s=cpu["likely"],
            steps=steps, probe_cpu_s=said["probe_cpu_s"],
        ),
        report.row(
            f"{name}: peak memory said over measured", said["peak_rss_bytes"] / peak, bar=None, unit="x", cell="ledger",
        ),
        report.row(
            f"{name}: CPU of full fine-tuning over that of {case['ours']['method']}, equal steps", came / took,
            bar=None, unit="x", cell="ledger", test_scores=[mine, full], equal_dev_quality=equal[1] / equal[0],
            equal_dev_quality_at_steps=case["reached"],
        ),
    ]  # fmt: skip


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
