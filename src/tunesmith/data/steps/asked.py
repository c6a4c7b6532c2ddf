"""Rows that a model was asked, and whose answers nobody has checked yet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import DataError
from tunesmith.core.findings import Finding
from tunesmith.data.steps import CannotRun, step


@step("asked")
def asked(data: Dataset, *, file: Path | None = None, **options: Any) -> list[Finding]:  # noqa: ARG001
    """Flag rows whose target is a model's answer: said to be wrong, with the right one if it was given, or unchecked.

    file: JSON lines of `feedback.make_batch`, one for each row: {"text", "answer", "confidence", "wrong", "right"};
    Accepting a finding without a right answer leaves the row out. Raises CannotRun without a file, DataError for one
    that cannot be read.
    """
    if file is None:
        raise CannotRun("no file says what a model was asked.", hint="tunesmith feedback makes one, and names it.")
    known = _read(file)
    columns = (data.table[name].to_pylist() for name in ("id", "text", "target"))
    found = []
    for number, text, target in zip(*columns, strict=True):
        line = known.get((text or "", target or ""))
        if line is None:
            continue
        sure, right = line.get("confidence"), line.get("right")
        if line.get("wrong"):
            reason = "a model's answer that was said to be wrong"
            found.append(Finding("asked", number, "flag", reason, 1.0, fix=right, kind="answer", field="target"))
        else:
            words = "" if sure is None else f", {float(sure):.0%} sure"
            score = 0.5 if sure is None else 1.0 - float(sure)
            found.append(
                Finding("asked", number, "flag", f"a model's answer{words}, not checked yet", score, kind="answer",
                        field="target")
            )  # fmt: skip
    return found


def _read(file: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The lines of the file by text and answer."""
    try:
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line.strip()]
        return {(str(line["text"]), str(line["answer"])): line for line in lines}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{file}: it does not say what a model was asked.", hint="tunesmith feedback writes it."
        ) from error
