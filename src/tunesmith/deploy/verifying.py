"""Proves an export by using it: a fresh process answers held rows with it, and its answers are compared.

The process has no Tunesmith, and none of the libraries that the form must do without. Bounds belong to the form
(exporters/); whatever is measured is recorded with them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.core.checks import Check, require
from tunesmith.core.events import Emit, progress
from tunesmith.core.predictions import Predictions
from tunesmith.core.statistics import clopper_pearson
from tunesmith.deploy.exporters import Bounds, Made
from tunesmith.deploy.shipped import Held, Shipped
from tunesmith.evaluation.verdict import Answers, Comparison, verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Prompts whose first logits are compared, where answers are written; each is a whole vocabulary.
LOGIT_ROWS = 16
_LEAST_PROBABILITY = 1e-6
# Answers on which the original itself was undecided may come out either way.
_TIE = 1e-4
_WORSE = 0.005  # of the leading metric, that answers in float32 may certainly be worse
_REMEDY = "nothing was written; another form or quantisation may hold (tunesmith list exporters)."
_INSTALLED = """
import sys
sys.path.insert(0, {folder!r})
from {package}.command import main
raise SystemExit(main())
"""
# Runs a script as if alone: the modules named may not be imported, and what was imported is told.
_ALONE = """
import json, runpy, sys
for name in json.loads(sys.argv[1]):
    sys.modules[name] = None
told, sys.argv = sys.argv[2], sys.argv[3:]
code = 0
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as end:
    code = end.code or 0
with open(told, "w") as handle:
    json.dump(sorted({n.partition(".")[0] for n, module in sys.modules.items() if module is not None}), handle)
sys.exit(code)
"""


@dataclass(frozen=True)
class Replied:
    """What a fresh process said. modules: what it imported, top-level names. timed: milliseconds of single answers."""

    predictions: Predictions
    logits: NDArray[np.float32] | None
    modules: frozenset[str]
    timed: dict[str, float]


@dataclass(frozen=True)
class Compared:
    """An export beside the original on the same rows. Points are of the leading metric, export minus original.

    agreement: share of equal answers with its interval. logits: (largest, mean) difference; None where none are told.
    """

    n: int
    agreement: float
    agreement_interval: tuple[float, float]
    ties: int
    logits: tuple[float, float] | None
    logits_n: int
    metric: str
    score: float
    original_score: float
    difference: float
    interval: tuple[float, float]
    checks: tuple[Check, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "checks": [check.to_dict() for check in self.checks]}


def asked(
    script: Path,
    texts: Sequence[str],
    *,
    made: Made,
    logits: int = 0,
    time: int = 0,
    threads: int = 1,
    emit: Emit,
) -> Replied:
    """What the export behind `script` answers in a fresh process.

    logits: of so many texts. time: single answers that are timed. emit: told how far it is. Raises CheckFailed if the
    process ends otherwise than well.
    """
    with tempfile.TemporaryDirectory(prefix="tunesmith-export-") as scratch:
        told = Path(scratch) / "modules.json"
        numbers = Path(scratch) / "logits.npy"

        def run(more: Sequence[str], some: Sequence[str]) -> tuple[list[str], str]:
            """Lines of stdout, and stderr."""
            words = [*more, "--jsonl", "--threads", str(threads), *made.arguments]
            blocked = json.dumps(["tunesmith", *made.without])
            command = [sys.executable, "-I", "-c", _ALONE, blocked, str(told), str(script), *words]
            asks, complaints = Path(scratch) / "asks.jsonl", Path(scratch) / "stderr"
            asks.write_text("".join(json.dumps(text) + "\n" for text in some), encoding="utf-8")
            said = []
            with (
                asks.open("rb") as reads,
                complaints.open("wb") as errors,
                progress(emit, "answers of the export", len(some)) as tick,
                subprocess.Popen(
                    command, stdin=reads, stdout=subprocess.PIPE, stderr=errors, env=_environment(threads),
                    encoding="utf-8",
                ) as process,
            ):  # fmt: skip
                assert process.stdout is not None
                for line in process.stdout:
                    said.append(line)
                    tick(1)
            told_wrong = complaints.read_text(encoding="utf-8", errors="replace")
            if process.returncode:
                last = " | ".join(told_wrong.strip().splitlines()[-3:]) or "no message"
                require(
                    Check("the export answers in a fresh process", f"code {process.returncode}: {last[:600]}", "code 0",
                          False, _REMEDY)
                )  # fmt: skip
            return said, told_wrong

        timing = ["--time", str(time)] if time else []
        said, timed = run(["--probabilities", *timing], texts)
        first = None
        modules = frozenset(json.loads(told.read_text(encoding="utf-8")))
        if logits:
            run(["--probabilities", "--logits", str(numbers)], texts[:logits])
            first = np.load(numbers, allow_pickle=False)
    return Replied(_read(said), first, modules, _timed(timed))


def installed(wheel: Path, package: str, texts: Sequence[str], made: Made, threads: int, *, emit: Emit) -> Replied:
    """What a wheel answers in a fresh process once pip has put it (and nothing else) into a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="tunesmith-wheel-") as scratch:
        command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--no-compile", "--quiet"]
        done = subprocess.run(
            [*command, "--target", scratch, str(wheel)], capture_output=True, text=True, check=False
        )  # fmt: skip
        last = done.stderr.strip()[-600:] or "no message"
        require(
            Check("pip installs the wheel", f"code {done.returncode}: {last}", "code 0", done.returncode == 0, _REMEDY)
        )
        script = Path(scratch) / "answer.py"
        script.write_text(_INSTALLED.format(folder=scratch, package=package), encoding="utf-8")
        return asked(script, texts, made=made, threads=threads, emit=emit)


def same_answers(again: Replied, before: Replied) -> Check:
    """Whether a second process answered what the first one did, to the last bit."""
    ours, theirs = before.predictions, again.predictions
    equal = ours.values == theirs.values and all(
        np.array_equal(getattr(ours, name), getattr(theirs, name))
        for name in ("probabilities", "marginals", "confidences")
        if getattr(ours, name) is not None
    )
    return Check("answers of the packed file = of its folder", "equal" if equal else "others", "equal", equal, _REMEDY)


def compared(
    model: Shipped, held: Held, said: Replied, bounds: Bounds, *, logits: NDArray[np.float32] | None = None
) -> Compared:
    """The export's answers beside the original's. logits: the original's first logits, where answers are written."""
    ours, theirs = held.predictions, said.predictions
    n = len(held)
    differ = [at for at in range(n) if ours.values[at] != theirs.values[at]]
    ties = 0 if ours.probabilities is None else sum(_margin(ours.probabilities[at]) <= _TIE for at in differ)
    equal = n - len(differ) + ties
    gaps, of = _gaps(ours, theirs, logits, said.logits)
    told = _difference(model, held, theirs, ours)
    found = Compared(
        n, equal / n, clopper_pearson(equal, n), ties, gaps, of, told.metric, float(told.score_a), float(told.score_b),
        told.difference, told.interval,
    )  # fmt: skip
    return Compared(**{**vars(found), "checks": (*model.checks, *_checks(found, bounds, model.name))})


def rounding(model: Shipped, held: Held, said: Predictions) -> Check:
    """Whether the original answers no worse in float32 (`said`) than it did in the arithmetic of the run."""
    told = _difference(model, held, said, held.predictions)
    low, high = told.interval
    equal = float(np.mean([a == b for a, b in zip(said.values, held.predictions.values, strict=True)]))
    shown = f"{told.difference:+.4f} ({low:+.4f} to {high:+.4f}), {equal:.1%} of {len(held)} answers equal"
    return Check(
        f"{told.metric} in float32 = in {model.rounded}", shown, f"not below -{_WORSE:g} beyond chance",
        bool(high >= -_WORSE),
        "the run's numbers hold for its own arithmetic alone: run it again with --set dtype=float32, then export.",
        model.name,
    )  # fmt: skip


def _difference(model: Shipped, held: Held, a: Predictions, b: Predictions) -> Comparison:
    """The leading metric of a less that of b, on the same rows."""
    return verdict(
        model.job.task, held.references, sources=held.texts, labels=model.job.labels,
        answers={"a": Answers(a), "b": Answers(b)}, candidate=None, reference="a", against=["b"], leads=model.leads,
        permutations=200, seed=model.ctx.seed,
    ).comparisons[0]  # fmt: skip


def _checks(found: Compared, bounds: Bounds, system: str) -> list[Check]:
    made = [
        Check("answers of the export = original", found.agreement, f">= {bounds.agreement:g} of {found.n} rows",
              found.agreement >= bounds.agreement, _REMEDY, system),
        Check(f"{found.metric} of the export = original", found.difference, f">= -{bounds.score:g}",
              found.difference >= -bounds.score, _REMEDY, system),
    ]  # fmt: skip
    which = "mean" if bounds.by_mean else "largest"
    name = f"logits of the export = original ({which} difference)"
    if found.logits is None:
        made.append(Check.not_applicable(name, f"<= {bounds.logits:g}", "it states no probabilities.", system=system))
    else:
        gap = found.logits[1] if bounds.by_mean else found.logits[0]
        made.append(Check(name, gap, f"<= {bounds.logits:g}", bool(gap <= bounds.logits), _REMEDY, system))
    return made


def _gaps(
    ours: Predictions, theirs: Predictions, logits: NDArray[np.float32] | None, said: NDArray[np.float32] | None
) -> tuple[tuple[float, float] | None, int]:
    """(largest, mean) difference of logits, up to a constant per row, and over how many rows."""
    if logits is not None and said is not None:
        if logits.shape != said.shape:
            return (float("inf"), float("inf")), len(logits)
        gap = np.abs(_centred(logits) - _centred(said))
        return (float(gap.max()), float(gap.mean())), len(logits)
    for name in ("probabilities", "marginals", "confidences"):
        a, b = getattr(ours, name), getattr(theirs, name)
        if a is None and b is None:
            continue
        if a is None or b is None or a.shape != b.shape:
            return (float("inf"), float("inf")), len(ours)
        gap = np.abs(_logits(name, a) - _logits(name, b))
        return (float(gap.max(initial=0.0)), float(gap.mean())), len(ours)
    return None, 0


def _logits(name: str, p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-probabilities of a distribution; log-odds of probabilities that stand alone. Below 1e-6 they say no more."""
    logs = np.log(np.maximum(p, _LEAST_PROBABILITY))
    return logs if name == "probabilities" else logs - np.log(np.maximum(1.0 - p, _LEAST_PROBABILITY))


def _centred(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    z = logits.astype(np.float64)
    return np.asarray(z - z.mean(axis=1, keepdims=True), dtype=np.float64)


def _margin(p: NDArray[np.float64]) -> float:
    best = np.sort(p)[-2:]
    return float(best[-1] - best[0])


def _read(told: Sequence[str]) -> Predictions:
    rows = [json.loads(line) for line in told if line.startswith("{")]
    tables: dict[str, Any] = {}
    for name in ("probabilities", "confidences", "marginals"):
        given = rows and all(name in row for row in rows)
        tables[name] = np.array([row[name] for row in rows], dtype=np.float64) if given else None
    return Predictions(tuple(row["prediction"] for row in rows), **tables)


def _timed(told: str) -> dict[str, float]:
    for line in told.splitlines():
        if line.startswith('{"timed"'):
            found: dict[str, float] = json.loads(line)["timed"]
            return found
    return {}


def _environment(threads: int) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONSTARTUP")}
    numeric = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    return {
        **kept, **numeric, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUTF8": "1",
    }  # fmt: skip
