"""Turns what a model was asked (deploy/server/feedback.py, or `keep_wrong`) into a batch that people review.

The batch is a curated folder with a finding for each row (step `asked`): decisions and corrections go through the same
reviews.jsonl as those of any data.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tunesmith.core.errors import ConfigError, DataError
from tunesmith.core.files import write_text
from tunesmith.curation import Curated, curate_table
from tunesmith.data.curate import CurateOptions
from tunesmith.pipeline import SavedRun, open_run
from tunesmith.planning import paths_of
from tunesmith.reviewing import request_for

# The rows of a batch as a table; what was answered to each and said of it, for the step `asked`.
ROWS, ANSWERS = "asked.jsonl", "answers.jsonl"


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
    text: str
    row: dict[str, Any]
    answer: str
    confidence: float
    wrong: bool
    right: str | None


def keep_wrong(
    kept: Path, *, model: str, row: Mapping[str, Any], answer: str | None, confidence: float | None, right: str | None
) -> None:
    """Append one answer that a person says is wrong, as `tunesmith serve --keep-inputs` writes what it was asked.

    Unlike there the row stays as it is: a person sends it. right: what it should have been, if that is known.
    """
    when = datetime.now(UTC).isoformat(timespec="seconds")
    line = {
        "when": when, "model": model, "row": dict(row), "answer": answer, "confidence": confidence, "wrong": True,
        "right": right,
    }  # fmt: skip
    try:
        with os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as handle:
            handle.write(json.dumps(line, ensure_ascii=False) + "\n")
    except OSError as error:
        raise DataError(f"{kept}: cannot be written: {error.strerror}.", hint="free some space.") from error


def make_batch(
    kept: Path, run: Path, *, out: Path, review: Path | None = None, model: str | None = None, most: int = 200
) -> Batch:
    """The rows that a model was asked, with its answers as targets, said to be wrong or least sure first.

    kept: what `tunesmith serve --keep-inputs` or `keep_wrong` wrote. model: the name it was served under; None if there
    is only one. out: folder of the table; review: the curated folder, out/review if not given. Texts that the run has
    seen are left out unless their answers were said to be wrong, and of those that come again all but the last. Raises
    ConfigError, DataError.
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
    sure = [one.confidence if one.confidence >= 0 else None for one in chosen[:most]]
    rows = [{**one.row, target: one.answer, "confidence": c} for one, c in zip(chosen, sure, strict=False)]
    told = [
        {"text": one.text, "answer": one.answer, "confidence": c, "wrong": one.wrong, "right": one.right}
        for one, c in zip(chosen, sure, strict=False)
    ]
    for name, lines_of in ((ROWS, rows), (ANSWERS, told)):
        write_text(out / name, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines_of))
    steps = CurateOptions().steps
    options = {
        "target": target, "task": saved.data.task, "inputs": list(rows[0].keys() - {target, "confidence"}),
        # Nothing is measured on it: every row may be corrected.
        "test_share": 0.0, "dev_share": 0.0,
        # Last, when texts are mended as a model is given them.
        "curate": {"steps": {**dict.fromkeys(steps), "asked": {"file": str(out / ANSWERS)}}},
    }  # fmt: skip
    made = curate_table(out / ROWS, out=review or out / "review", options=options)
    return Batch(made, out / ROWS, len(rows), known, repeated, damaged)


def table_of_batch(folder: Path) -> Path | None:
    """The table of a curated batch, None for any other folder."""
    config = request_for(folder).config
    steps = config.curate.steps
    is_batch = isinstance(steps, dict) and bool((steps.get("asked") or {}).get("file"))
    return paths_of(config.data)[0] if is_batch else None


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
        wrong, right = bool(line.get("wrong")), line.get("right")
        if text in seen and not wrong:
            known += 1
            continue
        repeated += text in found
        sure = line.get("confidence")
        found[text] = _Asked(
            text, dict(line["row"]), str(line.get("answer") or right or ""), -1.0 if sure is None else float(sure),
            wrong, None if right is None else str(right),
        )  # fmt: skip
    return sorted(found.values(), key=lambda one: (not one.wrong, one.confidence)), known, repeated
