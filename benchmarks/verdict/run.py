"""Puts simulated prediction tables through `verdict()` and counts how often it is wrong.

    python benchmarks/verdict/run.py [--quick] [--only MEASURE]

The truth of every table is known because it is drawn: with two systems that are equally good, any "better" or
"worse" is a false claim; with a true difference of 2 points, a test of the size that the planner asked for must
find it in 80 of 100 tables; a 95 % interval must hold the true difference in 95 of 100. Beside it stands what
the usual test (two unpaired proportions, z) makes of the same tables. Cells that are done are not done again.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from tunesmith.core.predictions import Predictions
from tunesmith.core.statistics import wilson
from tunesmith.evaluation.verdict import Answers, Verdict, verdict
from tunesmith.tasks import task as tasks

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from flow import through_the_flow  # noqa: E402

TABLES, QUICK_TABLES = 10_000, 400
PERMUTATIONS, RESAMPLES = 999, 200
INTERVAL_RESAMPLES = 1_000
DIFFERENCE = 0.02


# ---------------------------------------------------------------- tables


@dataclass(frozen=True)
class Table:
    """References and every system's answers as class codes; true_difference of candidate minus reference."""

    truth: np.ndarray
    answers: dict[str, np.ndarray]
    rows: dict[str, np.ndarray]
    classes: int


def label_table(rng: np.random.Generator, *, other_mistakes: bool = False) -> Table:
    """Candidate and reference equally good; size, classes, imbalance, accuracy, agreement and rivals vary.

    other_mistakes: the two are strong on different classes and confuse different pairs. The one is the other
    with the names of equally frequent classes exchanged, so that their macro-F1 is the same in truth.
    """
    n = int(np.exp(rng.uniform(np.log(40), np.log(2_000))))
    k = int(rng.choice([2, 3, 5, 10, 20, 77]))
    shares = np.full(k, 1 / k) if other_mistakes else rng.dirichlet(np.full(k, rng.choice([0.5, 2.0, 50.0])))
    truth = rng.choice(k, n, p=shares)
    accuracy, agreement = rng.uniform(1 / k, 0.99), rng.uniform(0.0, 0.95)
    confusion = rng.dirichlet(np.full(k, 0.3), size=k)
    right = np.clip(rng.normal(accuracy, 0.1, k), 0.02, 0.995)
    shared = rng.random(n) < agreement
    if other_mistakes:
        swap = rng.permutation(k)
        common = truth  # both are right where they agree
        other = _said(rng, truth, right[swap], confusion[swap][:, swap])
    else:
        common = _said(rng, truth, right, confusion)
        other = _said(rng, truth, right, confusion)
    answers = {
        "candidate": np.where(shared, common, _said(rng, truth, right, confusion)),
        "reference": np.where(shared, common, other),
    }
    rows = {}
    for i in range(int(rng.integers(0, 5))):
        loss = rng.choice([0.0, 0.05, 0.3])
        answers[f"rival {i}"] = _said(rng, truth, np.clip(right - loss, 0.01, 0.995), confusion)
    if rng.random() < 0.3:
        rows["subset"] = np.sort(rng.permutation(n)[: max(20, n // 4)])
        answers["subset"] = _said(rng, truth, right, confusion)[rows["subset"]]
    return Table(truth, answers, rows, k)


def _wrong(rng: np.random.Generator, truth: np.ndarray, confusion: np.ndarray) -> np.ndarray:
    """A wrong class per row, drawn from the row's class's own confusions."""
    table = confusion.copy()
    np.fill_diagonal(table, 0)
    table = table + 1e-9 * (1 - np.eye(len(table)))
    edges = np.cumsum(table / table.sum(axis=1, keepdims=True), axis=1)
    return np.minimum((rng.random(len(truth))[:, None] > edges[truth]).sum(axis=1), len(table) - 1)


def _said(rng: np.random.Generator, truth: np.ndarray, right: np.ndarray, confusion: np.ndarray) -> np.ndarray:
    return np.where(rng.random(len(truth)) < right[truth], truth, _wrong(rng, truth, confusion))


def known_table(rng: np.random.Generator, n: int, *, k: int, accuracy: float, discordant: float, gain: float) -> Table:
    """A candidate that is right `gain` more often than the reference; they differ on `discordant` of the rows."""
    truth = rng.integers(0, k, n)
    draw = rng.random(n)
    only_a, only_b = (discordant + gain) / 2, (discordant - gain) / 2
    both = accuracy - only_b
    a_right = draw < both + only_a
    b_right = (draw < both) | ((draw >= both + only_a) & (draw < both + only_a + only_b))
    uniform = np.ones((k, k))
    answers = {
        "candidate": np.where(a_right, truth, _wrong(rng, truth, uniform)),
        "reference": np.where(b_right, truth, _wrong(rng, truth, uniform)),
        "rival": _said(rng, truth, np.full(k, max(0.3, accuracy - 0.2)), uniform),
    }
    return Table(truth, answers, {}, k)


def judged(table: Table, *, leads: str, seed: int, resamples: int = RESAMPLES) -> Verdict:
    """The verdict on a table of labels."""
    labels = tuple(f"label {i:02d}" for i in range(table.classes))
    answers = {
        name: Answers(Predictions(tuple(labels[int(c)] for c in said)), table.rows.get(name))
        for name, said in table.answers.items()
    }
    truth = [labels[int(c)] for c in table.truth]
    return verdict(
        tasks.get("classify"), truth, sources=[""] * len(truth), labels=labels, answers=answers, candidate="candidate",
        reference="reference", leads=leads, permutations=PERMUTATIONS, resamples=resamples, seed=seed,
    )  # fmt: skip


class Written:
    """A text task whose answers say their own scores ("0.61 0.04"): the verdict's statistics without the texts."""

    name, leads, output = "written", "fact_f1", "text"
    lower: tuple[str, ...] = ("unsupported_rate",)
    guards: tuple[str, ...] = ("unsupported_rate",)

    def row_scores(
        self, predictions: Predictions, references: Sequence[str], sources: Sequence[str], labels: Sequence[str]
    ) -> Mapping[str, np.ndarray]:
        table = np.array([value.split() for value in predictions.values if value is not None], dtype=np.float64)
        return {"fact_f1": table[:, 0], "unsupported_rate": table[:, 1]}

    def corpus_scores(self, *_: object) -> dict[str, Callable[[np.ndarray], float]]:
        return {}


def judged_texts(
    rng: np.random.Generator, n: int, *, gain: float, harm: float, seed: int, resamples: int = RESAMPLES
) -> Verdict:
    """Two writers whose fact F1 differs by `gain` and whose unsupported rate differs by `harm` in the mean."""
    row = rng.beta(2, 3, n)
    spread = 0.15
    scores = {name: np.clip(row + rng.normal(0, spread, n), 0, 1) for name in ("candidate", "reference")}
    base = rng.uniform(0, 0.2)
    lacking = {
        name: (rng.random(n) < 0.6) * rng.beta(1, 6, n) * base / 0.0857 * 0.5 for name in ("candidate", "reference")
    }
    scores["candidate"] = scores["candidate"] + gain
    lacking["candidate"] = lacking["candidate"] + harm
    answers = {
        name: Answers(Predictions(tuple(f"{a:.9f} {b:.9f}" for a, b in zip(scores[name], lacking[name], strict=True))))
        for name in scores
    }
    return verdict(
        Written(), [""] * n, sources=[""] * n, labels=(), answers=answers, candidate="candidate",
        reference="reference", permutations=PERMUTATIONS, resamples=resamples, seed=seed,
    )  # type: ignore[arg-type]  # fmt: skip


# ---------------------------------------------------------------- measures


def false_claims(tables: int, *, leads: str, other_mistakes: bool = False) -> dict[str, Any]:
    """How often equally good systems are called better or worse."""
    wrong = better = peer = after = 0
    for seed in range(tables):
        rng = np.random.default_rng([1, seed, other_mistakes])
        table = label_table(rng, other_mistakes=other_mistakes)
        found = judged(table, leads=leads, seed=seed)
        wrong += found.claim in ("better", "worse")
        better += found.claim == "better"
        after += found.comparisons[0].p_value < 0.05
        peer += unpaired_z(table) < 0.05
    return _share(wrong, tables, "false claims", bar="<= 0.055") | {
        "better": better / tables,
        "before Holm": after / tables,
        "peer": "unpaired z-test on accuracy",
        "peer_value": peer / tables,
    }


def false_claims_texts(tables: int) -> dict[str, Any]:
    """The same for texts with equal facts and equal unsupported rates."""
    wrong = 0
    for seed in range(tables):
        rng = np.random.default_rng([2, seed])
        n = int(np.exp(rng.uniform(np.log(30), np.log(1_000))))
        wrong += judged_texts(rng, n, gain=0.0, harm=0.0, seed=seed).claim in ("better", "worse")
    return _share(wrong, tables, "false claims", bar="<= 0.055")


def harmful_texts(tables: int) -> dict[str, Any]:
    """How often a writer that is 5 points ahead but invents 3 points more is called better."""
    wrong = 0
    for seed in range(tables):
        rng = np.random.default_rng([3, seed])
        wrong += judged_texts(rng, int(rng.integers(50, 600)), gain=0.05, harm=0.03, seed=seed).claim == "better"
    return _share(wrong, tables, "harmful called better", bar="<= 0.05")


def power(tables: int, *, leads: str) -> dict[str, Any]:
    """A pilot of 300 rows asks for n rows; how often a true gain of 2 points is found with that n."""
    found = peer = total = 0
    sizes = []
    for seed in range(tables):
        rng = np.random.default_rng([4, seed])
        k = int(rng.choice([2, 5, 20]))
        accuracy, discordant = rng.uniform(0.7, 0.9), rng.uniform(0.04, 0.12)
        setting = {"k": k, "accuracy": accuracy, "discordant": discordant, "gain": DIFFERENCE}
        pilot = judged(known_table(rng, 300, **setting), leads=leads, seed=seed)
        n = pilot.comparisons[0].needs_n
        sizes.append(n)
        table = known_table(rng, n, **setting)
        found += judged(table, leads=leads, seed=seed).claim == "better"
        peer += unpaired_z(table) < 0.05
        total += 1
    return _share(found, total, "power", bar=">= 0.80") | {
        "rows asked for": [int(q) for q in np.quantile(sizes, [0.1, 0.5, 0.9])],
        "peer": "unpaired z-test on accuracy, same rows",
        "peer_value": peer / total,
    }


def coverage(tables: int, *, leads: str) -> dict[str, Any]:
    """How often the claim's interval holds the true difference."""
    held = 0
    for seed in range(tables):
        rng = np.random.default_rng([5, seed])
        k = int(rng.choice([2, 5, 20]))
        n = int(rng.integers(200, 2_000))
        accuracy, discordant = float(rng.uniform(0.6, 0.95)), float(rng.uniform(0.04, 0.2))
        accuracy = min(accuracy, 1 - discordant)
        gain = float(rng.uniform(-0.03, 0.03))
        table = known_table(rng, n, k=k, accuracy=accuracy, discordant=discordant, gain=gain)
        low, high = judged(table, leads=leads, seed=seed, resamples=INTERVAL_RESAMPLES).interval or (math.nan, math.nan)
        # Classes are equally frequent and mistakes uniform, so that both metrics differ by the same in the limit.
        held += low <= gain <= high
    return _share(held, tables, "coverage", bar="0.94 to 0.96")


def coverage_texts(tables: int) -> dict[str, Any]:
    """The same for a mean over texts."""
    held = 0
    for seed in range(tables):
        rng = np.random.default_rng([6, seed])
        gain = float(rng.uniform(-0.05, 0.05))
        made = judged_texts(
            rng, int(rng.integers(60, 800)), gain=gain, harm=0.0, seed=seed, resamples=INTERVAL_RESAMPLES
        )
        low, high = made.interval or (math.nan, math.nan)
        held += low <= gain <= high
    return _share(held, tables, "coverage", bar="0.94 to 0.96")


def flow_false_claims(tables: int, *, leads: str) -> dict[str, Any]:
    """How often a candidate that is no better than the reference in truth is called better, or one no worse, worse.

    In half of the tables all six systems are equally good, so that any claim is false.
    """
    wrong = 0
    for seed in range(tables):
        rng = np.random.default_rng([7, seed])
        found = through_the_flow(rng, leads=leads, seed=seed, gain=0.0, n=int(np.exp(rng.uniform(4.6, 7.6))))
        wrong += (found.claim == "better" and found.truth <= 0) or (found.claim == "worse" and found.truth >= 0)
    return _share(wrong, tables, "false claims", bar="<= 0.055")


def flow_coverage(tables: int, *, leads: str) -> dict[str, Any]:
    """How often the interval of 200 or more rows holds the true difference of what dev had chosen."""
    held = 0
    for seed in range(tables):
        rng = np.random.default_rng([8, seed])
        gain, n = float(rng.uniform(-0.03, 0.03)), int(rng.integers(200, 2_000))
        found = through_the_flow(rng, leads=leads, seed=seed, gain=gain, n=n, resamples=INTERVAL_RESAMPLES)
        held += found.interval[0] <= found.truth <= found.interval[1]
    return _share(held, tables, "coverage", bar="0.94 to 0.98")


MEASURES: dict[str, tuple[Callable[[int], dict[str, Any]], float]] = {
    # name: (measure, share of the tables: power and coverage need fewer)
    "false claims, macro-F1": (lambda n: false_claims(n, leads="macro_f1"), 1.0),
    "false claims, macro-F1, other mistakes": (lambda n: false_claims(n, leads="macro_f1", other_mistakes=True), 0.3),
    "false claims, accuracy": (lambda n: false_claims(n, leads="accuracy"), 1.0),
    "false claims, texts": (false_claims_texts, 1.0),
    "harmful texts called better": (harmful_texts, 0.2),
    "power at the n asked for, macro-F1": (lambda n: power(n, leads="macro_f1"), 0.2),
    "power at the n asked for, accuracy": (lambda n: power(n, leads="accuracy"), 0.2),
    "coverage, macro-F1": (lambda n: coverage(n, leads="macro_f1"), 0.3),
    "coverage, accuracy": (lambda n: coverage(n, leads="accuracy"), 0.3),
    "coverage, texts": (coverage_texts, 0.3),
    "false claims, whole flow, macro-F1": (lambda n: flow_false_claims(n, leads="macro_f1"), 1.0),
    "false claims, whole flow, accuracy": (lambda n: flow_false_claims(n, leads="accuracy"), 1.0),
    "coverage, whole flow, macro-F1": (lambda n: flow_coverage(n, leads="macro_f1"), 0.3),
    "coverage, whole flow, accuracy": (lambda n: flow_coverage(n, leads="accuracy"), 0.3),
}


def unpaired_z(table: Table) -> float:
    """The usual test that treats two systems on the same rows as two samples; two-sided p, on accuracy."""
    n = len(table.truth)
    a = float((table.answers["candidate"] == table.truth).mean())
    b = float((table.answers["reference"] == table.truth).mean())
    error = math.sqrt((a * (1 - a) + b * (1 - b)) / n)
    return 1.0 if error == 0 else 2 * (1 - NormalDist().cdf(abs(a - b) / error))


def _share(hits: int, n: int, unit: str, *, bar: str) -> dict[str, Any]:
    value = hits / n
    bounds = [float(part) for part in bar.replace("<=", "").replace(">=", "").split(" to ")]
    met = value <= bounds[0] if "<=" in bar else value >= bounds[0] if ">=" in bar else bounds[0] <= value <= bounds[1]
    return {"value": value, "interval": wilson(hits, n), "unit": unit, "bar": bar, "met": met, "n": n}


# ---------------------------------------------------------------- results


def _cells(only: str | None, quick: bool) -> Iterator[tuple[str, Callable[[int], dict[str, Any]], int]]:
    for name, (measure, share) in MEASURES.items():
        if only is None or only in name:
            yield name, measure, int(QUICK_TABLES if quick else TABLES * share)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_TABLES} tables a measure")
    parser.add_argument("--only", help="measures whose name holds this")
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    asked = parser.parse_args()
    out = asked.out if not asked.quick else asked.out.with_name("results-quick.json")
    done = {row["measure"]: row for row in (json.loads(out.read_text()) if out.exists() else [])}
    machine = f"{platform.machine()}, one thread, Python {platform.python_version()}, numpy {np.__version__}"
    command = "python benchmarks/verdict/run.py" + (" --quick" if asked.quick else "")
    for name, measure, tables in _cells(asked.only, asked.quick):
        if done.get(name, {}).get("n") == tables and asked.only is None:
            continue
        began = time.process_time()
        row = {"peer": None, "peer_value": None, **measure(tables)}
        spent = time.process_time() - began
        done[name] = {
            "measure": name, **row, "seeds": f"0..{tables - 1}", "cpu_s": round(spent, 1), "machine": machine,
            "date": datetime.now(UTC).date().isoformat(), "command": command,
        }  # fmt: skip
        out.write_text(json.dumps([done[m] for m in MEASURES if m in done], indent=1) + "\n")
        print(
            f"{name}: {row['value']:.4f} {row['interval']} bar {row['bar']} met {row['met']} ({spent:.0f} s)",
            flush=True,
        )
    if not asked.quick:
        (HERE / "RESULTS.md").write_text(_markdown([done[m] for m in MEASURES if m in done]))
    return 0 if all(row["met"] for row in done.values()) else 1


def _markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = ["| measure | value | 95 % interval | bar | met | tables | beside |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        low, high = row["interval"]
        beside = f"{row['peer']}: {row['peer_value']:.4f}" if row["peer"] else ""
        lines.append(
            f"| {row['measure']} | {row['value']:.4f} | {low:.4f} to {high:.4f} | {row['bar']} | "
            f"{'yes' if row['met'] else 'no'} | {row['n']:,} | {beside} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
