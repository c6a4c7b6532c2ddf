"""Kills a run with SIGKILL at many moments, resumes it, and compares what it ends in with a run left alone.

    python benchmarks/spine/kill.py --table FILE --target COLUMN [--kills 20] [--work DIR] [--set OPTION ...]

One plan.yaml is made first and fixed. One kill falls into every stage, the others after a random event.
Compared byte for byte: datasets, findings, adapters and all other model files, predictions; and report.json
without times and costs. Prints JSON: {"kills", "identical", "differences"}.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

STAGES = ("ingest", "curate", "select", "tune", "train", "evaluate")
# What measures time or the machine; everything else must be equal.
TIMED = {"cost", "seconds", "created", "run", "estimates", "train_cpu_s", "machine", "ledger", "forecast", "budget_s"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--work", type=Path, default=Path("runs") / "kill")
    parser.add_argument("--budget", default="60s")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    shutil.rmtree(asked.work, ignore_errors=True)
    asked.work.mkdir(parents=True)
    words = [str(asked.table), "--target", asked.target, "--budget", asked.budget, "--threads", "1"]
    words += [word for setting in asked.settings for word in ("--set", setting)]
    done = start("plan", *words, "--out", str(asked.work / "plan")).wait()
    if done:
        sys.exit(f"plan failed: {done}")
    plan = asked.work / "plan.yaml"
    shutil.copyfile(asked.work / "plan" / "plan.yaml", plan)
    alone = asked.work / "alone"
    began = time.monotonic()
    if start("run", str(plan), "--out", str(alone)).wait():
        sys.exit("the run left alone failed")
    seconds = time.monotonic() - began
    events = [json.loads(line)["event"] for line in (alone / "events.jsonl").read_text().splitlines()]
    truth = fingerprint(alone)
    draw = random.Random(asked.seed)
    differences: list[dict[str, Any]] = []
    for number in range(asked.kills):
        folder = asked.work / f"killed-{number}"
        stage = STAGES[number] if number < len(STAGES) else None
        after = draw.randrange(1, len(events))
        # inside a stage: a little after it began, so that work is under way
        killed_at = kill_once(plan, folder, stage=stage, after=after, wait_s=draw.uniform(0.0, 1.5))
        if start("run", str(plan), "--out", str(folder)).wait():
            differences.append({"kill": number, "at": killed_at, "differs": ["the resumed run failed"]})
            continue
        mine = fingerprint(folder)
        differs = sorted(name for name in truth.keys() | mine.keys() if truth.get(name) != mine.get(name))
        verdict = ", ".join(differs) or "identical"
        print(f"kill {number} at {killed_at}: {verdict}", file=sys.stderr, flush=True)
        if differs:
            differences.append({"kill": number, "at": killed_at, "differs": differs})
        else:
            shutil.rmtree(folder)
    identical = asked.kills - len(differences)
    made = {
        "kills": asked.kills,
        "identical": identical,
        "seconds_alone": round(seconds, 1),
        "differences": differences,
    }
    print(json.dumps(made))
    sys.exit(0 if identical == asked.kills else 3)


def start(*words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tunesmith", *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)


def kill_once(plan: Path, folder: Path, *, stage: str | None, after: int, wait_s: float) -> str:
    """Start the run and kill it `wait_s` after `stage` began, or after its `after`-th event; says where."""
    process = start("run", str(plan), "--out", str(folder))
    log = folder / "events.jsonl"
    while process.poll() is None:
        events = [line for line in log.read_text().splitlines() if line.endswith("}")] if log.exists() else []
        begun = [n for n, line in enumerate(events) if f'"stage.start", "stage": "{stage}"' in line]
        if (stage is not None and begun) or (stage is None and len(events) >= after):
            time.sleep(wait_s)
            break
        time.sleep(0.01)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    lines = log.read_text().splitlines() if log.exists() else []
    last = json.loads(lines[-1]) if lines and lines[-1].endswith("}") else {"event": "nothing yet"}
    return f"{last['event']} {last.get('stage', last.get('name', last.get('what', '')))}".strip()


def fingerprint(folder: Path) -> dict[str, str]:
    """Hash of every result file by name; reports and ladders without their times."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("0*/**/*")):
        name = path.relative_to(folder).as_posix()
        if (
            not path.is_file()
            or path.name in ("stage.json", "steps.jsonl")
            or "work" in path.parts
            or "checkpoints" in name
        ):
            continue
        if path.name == "report.json":
            value = results_of(json.loads(path.read_text()))
            found[name] = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
        elif path.suffix == ".json" and not costs_only(path):
            value = without_times(json.loads(path.read_text()))
            found[name] = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
        elif path.suffix in (".parquet", ".safetensors", ".npy", ".npz"):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def results_of(report: dict[str, Any]) -> dict[str, Any]:
    """The verdict, the comparisons, every score and every check of a report: what must not depend on a kill."""
    scores = {system["name"]: [system["status"], system["n"], system["scores"]] for system in report["systems"]}
    checks = sorted((check["name"], str(check["system"]), check["passed"]) for check in report["checks"])
    return {key: report[key] for key in ("task", "data", "verdict", "comparisons")} | {
        "scores": scores,
        "checks": checks,
    }


def costs_only(path: Path) -> bool:
    """Files that hold what work cost, or which opening of the seal it was."""
    return path.name == "opening.json" or path.parent.name == "07-train" or "predictions" in path.parts


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(v) for key, v in value.items() if key not in TIMED and not key.endswith("_s")}
    if isinstance(value, list):
        return [without_times(v) for v in value]
    return value


if __name__ == "__main__":
    main()
