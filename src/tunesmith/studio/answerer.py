"""The process that answers for a page: `python -m tunesmith.studio.answerer FOLDER SYSTEM`.

It reads a system of a finished run once and then, for every line {"row": {column: text}} that comes in, writes a line:

    {"answer", "told", "confidence", "others": [[label, probability], ...], "accepted", "why_not", "seconds"}

or {"message", "hint"} where that cannot be answered. The first answer has no seconds: a model is read with it. Its
first line is {"ready": true}. It ends when nobody writes to it any more, and so with the studio.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from tunesmith.core.errors import TunesmithError

_OTHERS = 3


def answer(saved: Any, row: dict[str, str]) -> dict[str, Any]:
    """What a system of a run (a SavedRun) says of one row."""
    import numpy as np

    from tunesmith.predicting import told
    from tunesmith.tasks import task as tasks

    texts = saved.texts([row])
    began = time.perf_counter()
    decided = saved.decide(texts) if saved.accept_at else None
    made = saved.predict(texts) if decided is None else decided.predictions
    seconds = time.perf_counter() - began
    value, sure, p = made.values[0], made.confidence, made.probabilities
    order = [] if p is None else np.argsort(-p[0], kind="stable")[:_OTHERS].tolist()
    return {
        "answer": value, "told": told(tasks.get(saved.data.task), value),
        "confidence": None if sure is None else float(sure[0]),
        "others": [[saved.data.labels[i], float(p[0][i])] for i in order],
        "accepted": None if decided is None else bool(decided.accepted[0]),
        "why_not": "" if decided is None else decided.reasons[0], "seconds": seconds,
    }  # fmt: skip


def main(lines: TextIO, out: TextIO, folder: Path, system: str) -> None:
    """Answer line by line."""

    def say(what: dict[str, Any]) -> None:
        out.write(json.dumps(what, ensure_ascii=False) + "\n")
        out.flush()

    try:
        from tunesmith.pipeline import open_run

        saved = open_run(folder, system=system)
        _ = saved.fitted
    except TunesmithError as error:
        say({"message": error.message, "hint": error.hint})
        return
    say({"ready": True})
    for number, line in enumerate(lines):
        try:
            made = answer(saved, json.loads(line)["row"])
            say(made if number else {**made, "seconds": None})
        except TunesmithError as error:
            say({"message": error.message, "hint": error.hint})


if __name__ == "__main__":
    main(sys.stdin, sys.stdout, Path(sys.argv[1]), sys.argv[2])
