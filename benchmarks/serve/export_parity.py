"""Every export of two tuned models beside the original: answers, logits, score, size and time; limits; damaged files.

The numbers are those of each export's verified.json: what a fresh process without Tunesmith answered to held rows. The
bars are the bounds of the forms.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import report

_CELL = "export_parity"
_ENCODER = (("bundle", "none"), ("adapter", "none"), ("merged", "none"), ("merged", "f16"), ("onnx", "none"),
            ("onnx", "int8"), ("wheel", "none"))  # fmt: skip
_LM = (("adapter", "none"), ("merged", "none"), ("gguf", "f16"), ("gguf", "q8_0"), ("ctranslate2", "int8"),
       ("ollama", "q8_0"), ("wheel", "none"))  # fmt: skip
_ROWS = 200
_TRAIN, _TEST = 130, 110  # messages of each label


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    rows = [*_exports(_intents(asked), "encoder", _ENCODER[-2:] if asked.quick else _ENCODER, asked)]
    rows += _exports(_messages(asked), "lm", _LM[4:5] if asked.quick else _LM, asked)
    rows += [_limits(asked.work / "intents"), _damaged(asked.work / "intents")]
    return rows


def _exports(
    run: Path, system: str, forms: tuple[tuple[str, str], ...], asked: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    from tunesmith.core.errors import CheckFailed
    from tunesmith.exporting import export_run

    for form, kind in forms:
        folder = run / "11-export" / (form if kind == "none" else f"{form}-{kind}")
        name = f"{run.name}, {system}: {form}{'' if kind == 'none' else ' ' + kind}"
        rows = 50 if asked.quick else _ROWS
        try:
            if not (folder / "verified.json").is_file():
                export_run(run, form, out=folder, quantisation=kind, system=system, rows=rows)
        except CheckFailed as error:
            yield report.row(
                f"{name}, verified", 0.0, bar=1.0, unit="exports", cell=_CELL, n=rows, why=error.message
            )  # fmt: skip
            continue
        yield from _told(name, json.loads((folder / "verified.json").read_text(encoding="utf-8")))


def _told(name: str, told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    bounds = {check["name"]: check["bound"] for check in told["checks"]}
    of, gain, logits = (next(b for n, b in bounds.items() if n.startswith(w)) for w in
                        ("answers of", f"{told['metric']} of", "logits of"))  # fmt: skip
    n = told["n"]
    yield report.row(
        f"{name}, equal answers", round(told["agreement"], 4), bar=float(of.split()[1]), unit="share", cell=_CELL, n=n,
        interval=told["agreement_interval"], size_mb=round(told["size_bytes"] / 1e6, 1),
        cpu_ms=round(told["timed"]["cpu_ms_p50"], 1), wall_ms=round(told["timed"]["wall_ms_p50"], 1),
    )  # fmt: skip
    yield report.row(
        f"{name}, {told['metric']} beside the original", round(told["difference"], 4), bar=float(gain.split()[1]),
        unit="share", cell=_CELL, n=n, interval=told["interval"], score=told["score"],
    )  # fmt: skip
    mean = any(n.startswith("logits") and "mean" in n for n in bounds)
    yield report.row(
        f"{name}, {'mean' if mean else 'largest'} difference of logits", told["logits"][1 if mean else 0],
        bar=float(logits.split()[1]), unit="nats", cell=_CELL, higher=False, n=told["logits_n"],
    )  # fmt: skip


def _limits(run: Path) -> dict[str, Any]:
    """What a limit chooses, and why."""
    from tunesmith.exporting import export_run

    place = run / "11-export" / "limited"
    if not (place / "verified.json").is_file():
        export_run(run, None, out=place, system="encoder", rows=_ROWS, max_size=60_000_000)
    told = json.loads((place / "verified.json").read_text(encoding="utf-8"))
    return report.row(
        "intents, encoder: --max-size 60MB", round(told["size_bytes"] / 1e6, 1), bar=60.0, unit="MB", cell=_CELL,
        higher=False, n=told["n"], form=f"{told['to']} {told['quantisation']}", why=told["why"],
    )  # fmt: skip


def _damaged(run: Path) -> dict[str, Any]:
    """Of exports with one byte of one file changed, the share that refuses to answer."""
    caught, tried = 0, 0
    for form in ("onnx-int8", "merged", "bundle"):
        folder = run / "11-export" / form
        if not folder.is_dir():
            continue
        for file in sorted(folder.glob("fitted/*.safetensors"))[:2]:
            kept = file.read_bytes()
            file.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
            command = [sys.executable, "-I", str(folder / "predict.py"), "where is my card"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            file.write_bytes(kept)
            tried += 1
            caught += done.returncode == 2 and "changed or damaged" in done.stderr
    return report.row(
        "exports with one changed byte that refuse to answer", caught / max(tried, 1), bar=1.0, unit="share",
        cell=_CELL, n=tried,
    )  # fmt: skip


def _intents(asked: argparse.Namespace) -> Path:
    import tunesmith as ts

    out = asked.work / "intents"
    if not (out / "report.html").is_file():
        with (asked.shared / "banking77" / "train.csv").open(encoding="utf-8") as handle:
            rows = [{"text": row["text"], "category": row["category"]} for row in csv.DictReader(handle)]
        random.Random(0).shuffle(rows)
        model = {"only": ["majority", "encoder"], "lm": "none"}
        ts.run(rows[:2500], out=out, target="category", inputs=["text"], budget="4m", threads=1, model=model)
    return out


def _messages(asked: argparse.Namespace) -> Path:
    import tunesmith as ts

    out = asked.work / "messages"
    if not (out / "report.html").is_file():
        lines = (asked.shared / "sms_spam" / "sms_spam.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        draw = random.Random(0)
        draw.shuffle(rows)
        tables = {}
        for split, n in (("train", _TRAIN), ("test", _TEST)):
            some = [[row for row in rows if (row["split"], row["label"]) == (split, label)][:n] for label in
                    ("spam", "ham")]  # fmt: skip
            table = [row for part in some for row in part]
            draw.shuffle(table)
            tables[split] = asked.work / f"messages-{split}.jsonl"
            kept = "".join(json.dumps({"text": row["text"], "label": row["label"]}) + "\n" for row in table)
            tables[split].write_text(kept, encoding="utf-8")
        ts.run(
            tables["train"], test=str(tables["test"]), out=out, target="label", inputs=["text"], budget="40m",
            threads=1, model={"only": ["majority", "lm"], "lm": "smollm2-135m-instruct", "encoder": "none"},
            train={"epochs": 1},
        )  # fmt: skip
    return out
