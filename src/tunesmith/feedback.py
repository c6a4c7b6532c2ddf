"""Turns what a server was asked (deploy/server/feedback.py) into a batch that people review like any table.

The batch is a curated folder: its findings, decisions and corrections go through the same reviews.jsonl as those of any
data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.errors import ConfigError, DataError
from tunesmith.core.files import write_text
from tunesmith.curation import Curated, curate_table
from tunesmith.pipeline import SavedRun, open_run

ROWS = "asked.jsonl"


@dataclass(frozen=True)
class Batch:
    """curated: the folder to review. rows: in it. known, repeated, damaged: lines of the file that are not in it."""

    curated: Curated
    file: Path
    rows: int
    known: int
    repeated: int
    damaged: int


@dataclass(frozen=True)
class _Asked:
    row: dict[str, Any]
    answer: str
    confidence: float


def make_batch(kept: Path, run: Path, *, out: Path, model: str | None = None, most: int = 200) -> Batch:
    """The rows that a model was asked, with its answers as targets, the least sure first, as a curated folder.

    kept: what `tunesmith serve --keep-inputs` wrote. model: the name it was served under; None if there is only one.
    Texts that the run has seen and those that come again are left out. Raises ConfigError, DataError.
    """
    saved = open_run(run)
    lines, damaged = _read(kept)
    names = sorted({str(line["model"]) for line in lines})
    if model is None and len(names) > 1:
        raise ConfigError(f"{kept} holds what {len(names)} models were asked.", hint=f"--model {' or '.join(names)}.")
    if model is not None and model not in names:
        raise ConfigError(f"--model {model}: nothing was asked of it.", hint=f"there are {', '.join(names)}.")
    if (out / ROWS).exists():
        raise ConfigError(f"{out} holds a batch already.", hint="name another folder with --out.")
    lines = [line for line in lines if model is None or line["model"] == model]
    chosen, known, repeated = _chosen(lines, saved)
    if not chosen:
        raise DataError(f"{kept}: nothing new was asked.", hint="every text was asked before or is in the run's data.")
    target = saved.data.target
    out.mkdir(parents=True, exist_ok=True)
    rows = [
        {**one.row, target: one.answer, "confidence": one.confidence if one.confidence >= 0 else None}
        for one in chosen[:most]
    ]
    write_text(out / ROWS, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    options = {
        "target": target, "task": saved.data.task, "inputs": list(rows[0].keys() - {target, "confidence"}),
        # Nothing is measured on it: every row may be corrected.
        "test_share": 0.0, "dev_share": 0.0,
    }  # fmt: skip
    made = curate_table(out / ROWS, out=out / "review", options=options)
    return Batch(made, out / ROWS, len(rows), known, repeated, damaged)


def _read(path: Path) -> tuple[list[dict[str, Any]], int]:
    """(whole lines, how many are not)."""
    try:
        content = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.", hint="it is what --keep-inputs named.") from error
    lines, damaged = [], 0
    for raw in filter(str.strip, content.split("\n")):
        try:
            line = json.loads(raw)
        except ValueError:
            line = None
        if not isinstance(line, Mapping) or not isinstance(line.get("row"), Mapping) or "model" not in line:
            damaged += 1
        else:
            lines.append(dict(line))
    if not lines:
        raise DataError(f"{path}: no line of it is what a server keeps.", hint="it is what --keep-inputs named.")
    return lines, damaged


def _chosen(lines: list[dict[str, Any]], saved: SavedRun) -> tuple[list[_Asked], int, int]:
    """(new rows, the least sure first; how many the run knows; how many come again)."""
    seen = set(saved.data.table["text"].to_pylist())
    texts = saved.texts([line["row"] for line in lines])
    found: dict[str, _Asked] = {}
    known = repeated = 0
    for line, text in zip(lines, texts, strict=True):
        if text in seen:
            known += 1
            continue
        repeated += text in found
        sure = line.get("confidence")
        found[text] = _Asked(dict(line["row"]), str(line.get("answer") or ""), -1.0 if sure is None else float(sure))
    return sorted(found.values(), key=lambda one: one.confidence), known, repeated
