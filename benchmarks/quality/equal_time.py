"""Quality in equal wall time on four labelled tables: what `tunesmith run` ships beside TRL + PEFT, SetFit, TF-IDF.

Every side gets the same train and test rows, the same cores and threads, and the same wall time from its rows to a
model: 5 minutes for labels, 40 for texts. Ours also curates, evaluates and writes its report in that time; what the
peers need to answer the test is not counted. Peers run at their documented settings (peers/), in an environment of
their own, named by --peer equal_time=PYTHON; SetFit and ours have the same encoder, TRL and ours the same language
model. Language models answer the first rows of the test only: n is stated.

Each side's answers are kept in the work folder as they are made, so that a cell that is stopped goes on. The two
tables of texts, and the means over all six, are the cell equal_time_texts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import narrow
import numpy as np
import report

HERE = Path(__file__).parent
PEERS = {"linear": "TF-IDF + linear", "contrastive": "SetFit", "script": "TRL + PEFT"}
_BASES = {"encoder": "all-minilm-l6-v2", "lm": "smollm2-135m-instruct"}
_MARGIN = 0.01  # that counts as not inferior
_FIRST = 400  # test rows of a labelled table that a language model answers


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """A row per table and peer."""
    labelled = [table for table in narrow.tasks(asked.shared, asked.work) if table.task == "classify"]
    return [row for table in labelled[: 1 if asked.quick else None] for row in compared(table, asked, "equal_time")]


def compared(table: narrow.Table, asked: argparse.Namespace, cell: str) -> list[dict[str, Any]]:
    """Ours against each peer, paired over the rows that the peer answered."""
    work = asked.work / "equal_time" / table.name
    work.mkdir(parents=True, exist_ok=True)
    budget_s = table.budget_s / 5 if asked.quick else table.budget_s
    ours = _kept(work / "ours.json", lambda: _ours(table, work, budget_s))
    rows = []
    for peer in PEERS if table.task == "classify" else ("linear", "script"):
        n = len(table.test) if peer != "script" else min(_FIRST // (10 if asked.quick else 1), len(table.test))
        theirs = _kept(work / f"{peer}.json", lambda p=peer, k=n: _theirs(p, table, asked, work, budget_s, k))
        mine, its = (_values(table, said["answers"][:n]) for said in (ours, theirs))
        gap, (low, high) = _difference(mine, its)
        rows.append(
            report.row(
                f"{table.name}: {table.metric}, {table.budget_s / 60:g} minutes, less {PEERS[peer]}", 100 * gap,
                bar=-100 * _MARGIN, unit="points", cell=cell, interval=[100 * low, 100 * high],
                not_inferior=low > -_MARGIN, ours=float(mine.mean()), peer=theirs["version"], peer_name=peer,
                peer_value=float(its.mean()), n=n, table=table.name, ships=ours["ships"], ours_s=ours["wall_s"],
                peer_fit_s=theirs["fit_s"], settings=theirs["settings"], cores=_cores(),
            )
        )  # fmt: skip
        rows[-1]["met"] = rows[-1]["not_inferior"]
        print(f"{rows[-1]['measure']}: {100 * gap:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})", file=sys.stderr)
    return rows


def _difference(mine: np.ndarray, its: np.ndarray) -> tuple[float, tuple[float, float]]:
    """(mean difference, its 95 % interval): Newcombe's for shares, the bootstrap's for means."""
    from tunesmith.core import statistics as st

    gap = mine - its
    if set(np.unique(gap)) <= {-1.0, 0.0, 1.0}:
        return float(gap.mean()), st.proportion_difference(int((gap > 0).sum()), int((gap < 0).sum()), len(gap))
    return float(gap.mean()), st.bootstrap_mean(gap, resamples=4000, seed=0)


def _values(table: narrow.Table, answers: Sequence[str | None]) -> np.ndarray:
    """The metric of each row."""
    from tunesmith.core.predictions import Predictions
    from tunesmith.tasks import task

    pairs = table.test[: len(answers)]
    truth, sources = [target for _, target in pairs], [text for text, _ in pairs]
    if table.task == "classify":
        return np.array([said == target for said, target in zip(answers, truth, strict=True)], dtype=np.float64)
    scores = task.get(table.task).row_scores(Predictions(tuple(answers)), truth, sources, ())
    return np.asarray(scores[table.metric], dtype=np.float64)


def _ours(table: narrow.Table, work: Path, budget_s: float) -> dict[str, Any]:
    """`tunesmith run` as a person types it, in a process of its own."""
    import pyarrow.parquet as pq

    train, test = table.written(work)
    began = time.monotonic()
    subprocess.run(
        [
            sys.executable, "-m", "tunesmith", "run", str(train), "--test", str(test),
            "--input", "input", "--target", "answer", "--task", table.task, "--budget", f"{budget_s:g}s",
            "--threads", str(_cores()), "--keep-leaks", "--out", str(work / "run"), *table.words,
        ],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    wall_s = time.monotonic() - began
    told = json.loads((work / "run" / "08-evaluate" / "report.json").read_text(encoding="utf-8"))
    ships = told["verdict"]["winner"]
    answers = pq.read_table(work / "run" / "08-evaluate" / "predictions.parquet")[ships].to_pylist()
    if len(answers) != len(table.test):
        raise RuntimeError(f"{table.name}: {len(answers)} answers to {len(table.test)} test rows")
    return {"answers": answers, "ships": ships, "wall_s": wall_s}


def _theirs(
    peer: str, table: narrow.Table, asked: argparse.Namespace, work: Path, budget_s: float, n: int
) -> dict[str, Any]:
    """The peer's own program, in its own environment."""
    from tunesmith.models.resolve import fetch, resolve

    python = sys.executable if peer == "linear" else asked.peer.get("equal_time")
    if python is None:
        raise SystemExit(
            "equal_time needs --peer equal_time=PYTHON, an interpreter with benchmarks/quality/requirements.txt."
        )
    base = {kind: str(fetch(resolve(name, kind), lambda *_, **__: None).resolve()) for kind, name in _BASES.items()}
    job = {
        "train": {"texts": [text for text, _ in table.train], "answers": [target for _, target in table.train]},
        "test": [text for text, _ in table.test[:n]], "budget_s": budget_s, "threads": _cores(), "seed": 0, **base,
        "work": str(work / f"{peer}-work"), "answer_tokens": table.answer_tokens, "longest": table.longest,
        "system": [{"role": "system", "content": table.system}] if table.system else [],
    }  # fmt: skip
    asks, gives = work / f"{peer}-job.json", work / f"{peer}-result.json"
    asks.write_text(json.dumps(job), encoding="utf-8")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(_cores()), "CUDA_VISIBLE_DEVICES": ""}
    environment.pop("PYTHONPATH", None)
    with (work / f"{peer}.log").open("w") as log:
        done = subprocess.run(
            [python, str(HERE / "peers" / f"{peer}.py"), str(asks), str(gives)], stdout=log, stderr=log,
            env=environment, check=False,
        )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{peer} ended with {done.returncode}; see {work / f'{peer}.log'}")
    told: dict[str, Any] = json.loads(gives.read_text(encoding="utf-8"))
    return told


def _kept(path: Path, make: Any) -> dict[str, Any]:
    if not path.exists():
        made = make()
        path.write_text(json.dumps(made), encoding="utf-8")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
