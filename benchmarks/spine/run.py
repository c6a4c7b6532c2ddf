"""Measures the whole job on real data, as a user runs it: raw files in, report.json out.

    python benchmarks/spine/run.py [--quick] [--only MEASURE ...] [--data DIR] [--work DIR]

Each cell is written to results.json as it ends; a cell that is there is not measured again unless it is
named with --only. Runs lie in --work and are resumed like any run.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
ALWAYS: list[str] = []  # options of every run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the headline rows with small budgets, under 5 minutes")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--data", type=Path, default=HERE.parents[2] / "shared" / "data")
    parser.add_argument("--work", type=Path, default=Path("runs") / "bench")
    parser.add_argument("--threads", type=int, help="threads of every run; default: as tunesmith decides")
    asked = parser.parse_args()
    if asked.threads:
        ALWAYS[:] = ["--threads", str(asked.threads)]
    asked.work.mkdir(parents=True, exist_ok=True)
    names = asked.only or (["sms_spam"] if asked.quick else list(CELLS))
    for name in names:
        rows = {row["measure"]: row for row in read()}
        if name in rows and name not in asked.only:
            continue
        print(f"== {name}", flush=True)
        measured = CELLS[name](asked.data, asked.work, asked.quick)
        rows.update({row["measure"]: row for row in measured})
        if not asked.quick:
            RESULTS.write_text(json.dumps(list(rows.values()), indent=1, ensure_ascii=False) + "\n")
            (HERE / "table.md").write_text(table(list(rows.values())))
        for row in measured:
            print(json.dumps(row, ensure_ascii=False), flush=True)


def read() -> list[dict[str, Any]]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else []


def tunesmith(*words: str | Path, without_network: bool = False) -> tuple[int, str, float]:
    """(exit code, stdout, wall seconds) of a `tunesmith` command in a fresh process."""
    command = [sys.executable, "-m", "tunesmith", *map(str, words)]
    if without_network:
        command = ["unshare", "--net", "--map-root-user", *command]
    began = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stdout, time.monotonic() - began


def finished(*words: str | Path, out: Path, without_network: bool = False) -> tuple[dict[str, Any], float]:
    """(report.json, wall seconds) of a run that must end well."""
    shutil.rmtree(out, ignore_errors=True)
    code, stdout, seconds = tunesmith("run", *words, *ALWAYS, "--out", out, "--json", without_network=without_network)
    if code:
        sys.exit(f"run failed with exit code {code}: {' '.join(map(str, words))}")
    return json.loads(stdout), seconds


def row(measure: str, value: float, *, bar: float | None, unit: str, command: str, **more: Any) -> dict[str, Any]:
    met = None if bar is None else (value >= bar if more.pop("higher", True) else value <= bar)
    return {
        "measure": measure,
        "value": value,
        "interval": more.pop("interval", None),
        "unit": unit,
        "peer": more.pop("peer", None),
        "peer_value": more.pop("peer_value", None),
        "bar": bar,
        "met": met,
        "n": more.pop("n", None),
        "seeds": more.pop("seeds", 1),
        "machine": machine(),
        "date": datetime.now(UTC).date().isoformat(),
        "command": command,
        **more,
    }


def machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


def system(report: dict[str, Any], name: str) -> dict[str, Any]:
    return next(s for s in report["systems"] if s["name"] == name)


def ladder(report: dict[str, Any], metric: str) -> dict[str, float | None]:
    return {
        s["name"]: s["scores"][metric]["value"] if s["scores"].get(metric) else None
        for s in report["systems"]
        if s["status"] != "not run"
    }


def scored(
    measure: str, report: dict[str, Any], seconds: float, metric: str, *, bar: float, aim: float, command: str
) -> dict[str, Any]:
    shipped = system(report, report["verdict"]["winner"])["scores"][metric]
    return row(
        measure,
        shipped["value"],
        bar=bar,
        unit=metric,
        command=command,
        interval=shipped["interval"],
        n=shipped["n"],
        aim=aim,
        winner=report["verdict"]["winner"],
        claim=report["verdict"]["claim"],
        seconds=round(seconds, 1),
        ladder=ladder(report, metric),
        sentence=report["verdict"]["sentence"],
        checks_failed=[c["name"] for c in report["checks"] if c["passed"] is False],
    )


def banking77(data: Path, work: Path, quick: bool) -> list[dict[str, Any]]:
    folder = data / "banking77"
    words = [folder / "train.csv", "--test", folder / "test.csv", "--budget", "10m"]
    report, seconds = finished(*words, out=work / "banking77")
    command = "tunesmith run train.csv --test test.csv --budget 10m"
    return [scored("banking77", report, seconds, "accuracy", bar=0.942, aim=0.948, command=command)]


def banking77_few(data: Path, work: Path, quick: bool) -> list[dict[str, Any]]:
    """10 rows per intent, three draws."""
    folder = data / "banking77"
    with (folder / "train.csv").open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    rows_by_label: dict[str, list[dict[str, str]]] = {}
    for item in rows:
        rows_by_label.setdefault(item["category"], []).append(item)
    values, runs = [], []
    for seed in range(3):
        draw = random.Random(seed)
        path = work / f"few-{seed}" / "train.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, ["text", "category"])
            writer.writeheader()
            for label in sorted(rows_by_label):
                writer.writerows(draw.sample(rows_by_label[label], 10))
        words = [path, "--test", folder / "test.csv", "--seed", str(seed)]
        report, seconds = finished(*words, out=work / f"banking77-few-{seed}")
        one = scored("", report, seconds, "accuracy", bar=0.86, aim=0.88, command="")
        values.append(one["value"])
        runs.append({key: one[key] for key in ("value", "winner", "claim", "seconds", "ladder")})
    command = "tunesmith run few.csv --test test.csv --seed S"
    mean = sum(values) / len(values)
    return [
        row("banking77_few", mean, bar=0.86, aim=0.88, unit="accuracy", command=command, n=3080, seeds=3, runs=runs)
    ]


def sms_spam(data: Path, work: Path, quick: bool) -> list[dict[str, Any]]:
    words = [data / "sms_spam" / "sms_spam.jsonl", "--target", "label", *(["--budget", "3m"] if quick else [])]
    report, seconds = finished(*words, out=work / "sms_spam")
    command = "tunesmith run sms_spam.jsonl --target label"
    return [scored("sms_spam", report, seconds, "macro_f1", bar=0.983, aim=0.988, command=command)]


def noisyag_news(data: Path, work: Path, quick: bool) -> list[dict[str, Any]]:
    folder = data / "noisyag_news"
    words = [
        folder / "samples10000valMed.csv",
        "--test",
        folder / "test_2000.csv",
        "--target",
        "label",
        "--input",
        "text",
    ]
    report, seconds = finished(*words, out=work / "noisyag_news")
    command = "tunesmith run samples10000valMed.csv --test test_2000.csv --target label --input text"
    return [scored("noisyag_news", report, seconds, "accuracy", bar=0.82, aim=0.83, command=command)]


def mts_dialog(data: Path, work: Path, quick: bool) -> list[dict[str, Any]]:
    folder = data / "mts_dialog"
    words = [
        folder / "MTS-Dialog-TrainingSet.csv",
        "--dev",
        folder / "MTS-Dialog-ValidationSet.csv",
        "--test",
        folder / "MTS-Dialog-TestSet-1-MEDIQA-Chat-2023.csv",
        "--task",
        "rewrite",
        "--input",
        "dialogue",
        "--target",
        "section_text",
        "--budget",
        "40m",
    ]
    report, seconds = finished(*words, out=work / "mts_dialog")
    command = (
        "tunesmith run train.csv --dev validation.csv --test test-1.csv --task rewrite --input dialogue "
        "--target section_text --budget 40m"
    )
    made = []
    for metric in ("rouge_l", "fact_f1", "unsupported_rate"):
        scores = ladder(report, metric)
        rivals = [v for k, v in scores.items() if k in ("zero_shot", "copying", "lead") and v is not None]
        bar = max(rivals) if metric == "rouge_l" else None
        tuned = system(report, "lm")["scores"][metric]
        made.append(
            row(
                f"mts_dialog {metric}",
                tuned["value"],
                bar=bar,
                unit=metric,
                command=command,
                n=tuned["n"],
                interval=tuned["interval"],
                ladder=scores,
                claim=report["verdict"]["claim"],
                winner=report["verdict"]["winner"],
                seconds=round(seconds, 1),
                sentence=report["verdict"]["sentence"],
            )
        )
    return made


def offline(data: Path, work: Path, quick: bool) -> list[dict[str, Any]]:
    """A whole run where no network interface exists, every attempt to connect traced."""
    folder = data / "sms_spam"
    trace = work / "connects.txt"
    small = work / "offline.jsonl"
    lines = (folder / "sms_spam.jsonl").read_text(encoding="utf-8").splitlines()[:800]
    small.write_text("\n".join(lines) + "\n", encoding="utf-8")
    out = work / "offline"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "tunesmith", "run", small, "--target", "label", "--budget", "4m", "--out", out]
    traced = ["strace", "-f", "-e", "trace=connect,sendto", "-o", trace] if shutil.which("strace") else []
    done = subprocess.run(["unshare", "--net", "--map-root-user", *traced, *command], check=False)
    attempts = [
        line
        for line in (trace.read_text().splitlines() if traced else [])
        if "AF_INET" in line and "ENOSYS" not in line
    ]
    return [
        row(
            "offline run: exit code",
            done.returncode,
            bar=0,
            higher=False,
            unit="code",
            command="unshare --net tunesmith run …",
        ),
        row(
            "offline run: attempts to connect",
            len(attempts) if traced else float("nan"),
            bar=0,
            higher=False,
            unit="calls",
            command="strace -e connect,sendto",
        ),
    ]


def random_labels(data: Path, work: Path, quick: bool) -> list[dict[str, Any]]:
    """Whole runs on labels that mean nothing: how many say that tuning was better."""
    with (data / "banking77" / "train.csv").open(newline="", encoding="utf-8") as handle:
        texts = [item["text"] for item in csv.DictReader(handle)]
    runs = 4 if quick else 40
    said = []
    for seed in range(runs):
        draw = random.Random(seed)
        path = work / "random" / f"random-{seed}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle)
            writer.writerow(["text", "kind"])
            writer.writerows([text, draw.choice(["red", "green", "blue"])] for text in draw.sample(texts, 300))
        only = [word for name in ("majority", "tfidf", "frozen", "encoder") for word in ("--only", name)]
        words = [path, "--target", "kind", "--input", "text", "--seed", str(seed), "--budget", "90s", *only]
        report, _ = finished(*words, out=work / "random" / f"run-{seed}")
        said.append(report["verdict"]["claim"])
    better = said.count("better")
    return [
        row(
            "random labels: runs that say better",
            better,
            bar=5,
            higher=False,
            unit="of 40 runs",
            n=runs,
            seeds=runs,
            claims={claim: said.count(claim) for claim in sorted(set(map(str, said)))},
            command="tunesmith run random.csv --only …",
        )
    ]


def million_rows(data: Path, work: Path, quick: bool) -> list[dict[str, Any]]:
    """One million rows of CSV through ingest: questions put together from the halves of real ones."""
    with (data / "banking77" / "train.csv").open(newline="", encoding="utf-8") as handle:
        real = [(item["text"].split(), item["category"]) for item in csv.DictReader(handle)]
    draw = random.Random(0)
    path = work / "million.csv"
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["text", "kind"])
        for _ in range(100_000 if quick else 1_000_000):
            (first, kind), (second, _) = draw.choice(real), draw.choice(real)
            writer.writerow([" ".join(first[: len(first) // 2] + second[len(second) // 2 :]), kind])
    out = work / "million"
    shutil.rmtree(out, ignore_errors=True)
    words = ["plan", path, "--target", "kind", "--input", "text", "--only", "majority", "--threads", "2", "--out", out]
    code, _, _ = tunesmith(*words)
    if code:
        sys.exit(f"plan failed with exit code {code}")
    stage = json.loads((out / "01-ingest" / "stage.json").read_text())
    command = "tunesmith plan million.csv --target kind --input text --only majority --threads 2"
    common = {"command": command, "higher": False, "n": 1_000_000, "file_bytes": path.stat().st_size}
    return [
        row(
            "one million rows: ingest", stage["seconds"], bar=60.0, unit="s", cpu_seconds=stage["cpu_seconds"], **common
        ),
        row("one million rows: memory", stage["peak_rss_bytes"] / 1e9, bar=4.0, unit="GB", **common),
    ]


def table(rows: list[dict[str, Any]]) -> str:
    lines = ["| measure | value | interval | bar | met | n | winner | seconds |", "|---|---|---|---|---|---|---|---|"]
    for r in rows:
        interval = "" if not r["interval"] else f"{r['interval'][0]:.3f}–{r['interval'][1]:.3f}"
        bar = "" if r["bar"] is None else f"{r['bar']:g}"
        met = {True: "yes", False: "**no**", None: ""}[r["met"]]
        lines.append(
            f"| {r['measure']} | {r['value']:.4g} {r['unit']} | {interval} | {bar} | {met} | {r['n'] or ''} "
            f"| {r.get('winner', '')} | {r.get('seconds', '')} |"
        )
    return "\n".join(lines) + "\n"


CELLS: dict[str, Callable[[Path, Path, bool], list[dict[str, Any]]]] = {
    "banking77": banking77,
    "banking77_few": banking77_few,
    "sms_spam": sms_spam,
    "noisyag_news": noisyag_news,
    "mts_dialog": mts_dialog,
    "offline": offline,
    "random_labels": random_labels,
    "million_rows": million_rows,
}

if __name__ == "__main__":
    main()
