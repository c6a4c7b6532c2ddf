"""Specialised small models beside the generalists of this machine: what they score, what an answer costs.

Two runs of each task on the same train and test rows: one with every rung of the 22M encoder and of the 135M language
model, one with the 270M language model, prompted and tuned. Examples in the prompt and the tuned language model run on
the least that shows anything where the budget has no room for more. The specialised model is the rung of the first run
that dev prefers among those that learn from the encoder or the language model; the generalists are the two language
models as they come, with examples in the prompt. From the same runs the size curve: 22M, 135M, 270M, as they come and
tuned.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

import narrow
import numpy as np
import report

_ROWS = 200  # test rows, which prompted models answer slowly
_BUDGETS = {"classify": "10m", "rewrite": "30m", "code": "30m"}
_WINS, _RATIO = 5, 1.25
_ENCODERS = {
    "classify": ("frozen", "fusion", "encoder", "contrastive"), "rewrite": (), "code": ("template", "template_tuned"),
}  # fmt: skip
_FROZEN = ("frozen", "fusion", "template")
_PLAIN = {"classify": ("majority",), "rewrite": ("copying", "nearest"), "code": ("frequent", "nearest")}
_BASES = {"135M": "smollm2-135m-instruct", "270M": "gemma-3-270m"}
_PROMPTED = ("zero_shot", "few_shot")


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """A row per task, the two rows with a bar, and the size curve."""
    rows, curve, ratios, wins = [], [], [], 0
    for table in narrow.tasks(asked.shared, asked.work):
        found = {size: _run(table, size, asked) for size in _BASES}
        special = _preferred(found["135M"])
        general = [
            {**system, "size": size} for size in _BASES for system in found[size].values()
            if system["name"] == "few_shot" and system["scores"]
        ]  # fmt: skip
        if not general:
            raise RuntimeError(f"{table.name}: no generalist answered in {_BUDGETS[table.task]}")
        best = max(general, key=lambda system: _score(system))
        gap, interval = _paired(table, special, best, asked)
        ratios.append(_score(special) / max(_score(best), 1e-3))
        wins += interval[0] > 0
        rows.append(
            report.row(
                f"{table.name}: {_leads(special)} of {special['name']} less few-shot {best['size']}",
                100 * gap, bar=None, unit="points", cell="generalist", interval=[100 * q for q in interval],
                n=special["n"], ours=_score(special), peer=f"few_shot, {_BASES[best['size']]}", peer_value=_score(best),
                ratio=ratios[-1], cost_ratio=_cost(best) / max(_cost(special), 1e-6), cpu_s=_cost(special),
                peer_cpu_s=_cost(best), all_few_shot={g["size"]: _score(g) for g in general},
            )
        )  # fmt: skip
        curve += _curve(table, found)
        if asked.quick:
            return [*rows, *curve]
    mean = float(np.exp(np.mean(np.log(ratios))))
    rows.append(
        report.row(
            "narrow tasks on which the specialised model is ahead, interval above 0", wins, bar=_WINS,
            unit=f"of {len(ratios)}", cell="generalist", n=len(ratios),
        )
    )  # fmt: skip
    rows.append(
        report.row(
            "specialised over best generalist, geometric mean of the score ratios", mean, bar=_RATIO, unit="x",
            cell="generalist", n=len(ratios), ratios=ratios,
        )
    )  # fmt: skip
    return rows + curve


def _run(table: narrow.Table, size: str, asked: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The systems of a run by name, with their leading scores, their costs and where their answers lie."""
    work = asked.work / "generalist" / f"{table.name}-{size}"
    told = work / "run" / "08-evaluate" / "report.json"
    if not told.exists():
        work.mkdir(parents=True, exist_ok=True)
        train, test = table.written(work, test_rows=_ROWS // 4 if asked.quick else _ROWS)
        rungs = (*_PLAIN[table.task], *(_ENCODERS[table.task] if size == "135M" else ()), *_PROMPTED, "lm")
        subprocess.run(
            [
                sys.executable, "-m", "tunesmith", "run", str(train), "--test", str(test), "--input", "input",
                "--target", "answer", "--task", table.task, "--budget", _BUDGETS[table.task], "--lm", _BASES[size],
                "--keep-leaks", "--out", str(work / "run"), *table.words, *(w for r in rungs for w in ("--only", r)),
                "--set", "model.at_least=[few_shot, lm]",
            ],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    about = json.loads(told.read_text(encoding="utf-8"))
    ladder = json.loads((work / "run" / "05-select" / "ladder.json").read_text(encoding="utf-8"))
    dev = {rung["name"]: rung["dev"] for rung in ladder["rungs"]}
    leads = about["leads"]
    return {
        system["name"]: {
            **system, "dev": dev.get(system["name"]), "leads": leads, "run": work / "run",
            "n": system["scores"][leads]["n"] if system["scores"] else 0,
        }
        for system in about["systems"]
    }  # fmt: skip


def _preferred(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The rung that dev likes best of those that learned from the encoder or the language model."""
    learned = [s for s in found.values() if s["name"] in ("lm", *sum(_ENCODERS.values(), ())) and s["scores"]]
    if not learned:
        raise RuntimeError("no specialised model was trained in the budget")
    return max(learned, key=lambda system: system["dev"] or 0.0)


def _paired(
    table: narrow.Table, a: dict[str, Any], b: dict[str, Any], asked: argparse.Namespace
) -> tuple[float, tuple[float, float]]:
    """Difference in the leading metric on the rows that both answered, with a bootstrap interval."""
    import pyarrow.parquet as pq

    from tunesmith.core.predictions import Predictions
    from tunesmith.tasks import task as tasks

    task = tasks.get(table.task)
    said, truth = [], []
    for system in (a, b):
        answers = pq.read_table(system["run"] / "08-evaluate" / "predictions.parquet")
        said.append(answers[system["name"]].to_pylist())
        truth = answers["target"].to_pylist()
    whole = [system["n"] == len(truth) for system in (a, b)]
    both = [i for i in range(len(truth)) if all(w or said[k][i] is not None for k, w in enumerate(whole))]
    sources = [text for text, _ in table.test[: len(truth)]]
    labels = tuple(sorted({target for _, target in (*table.train, *table.test)})) if table.task == "classify" else ()

    def score(answers: list[str | None], at: list[int]) -> float:
        given = Predictions(tuple(answers[i] for i in at))
        found = task.score(given, [truth[i] for i in at], [sources[i] for i in at], labels)
        return float(found[a["leads"]])

    rng = np.random.default_rng(0)
    draws = [rng.choice(both, len(both)).tolist() for _ in range(1000)]
    gaps = [score(said[0], at) - score(said[1], at) for at in draws]
    low, high = (float(q) for q in np.quantile(gaps, [0.025, 0.975]))
    return score(said[0], both) - score(said[1], both), (low, high)


def _curve(table: narrow.Table, found: dict[str, dict[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """22M, 135M, 270M, as they come and tuned."""
    small = found["135M"]
    points = {("22M", "frozen"): [s for n, s in small.items() if n in _FROZEN], ("22M", "tuned"): [
        s for n, s in small.items() if n in sum(_ENCODERS.values(), ()) and n not in _FROZEN
    ]}  # fmt: skip
    for size in _BASES:
        points[size, "prompted"] = [s for n, s in found[size].items() if n in _PROMPTED]
        points[size, "tuned"] = [s for n, s in found[size].items() if n == "lm"]
    rows = []
    for (size, how), systems in points.items():
        ran = [s for s in systems if s["scores"]]
        if ran:
            best = max(ran, key=lambda s: s["dev"] or 0.0)
            rows.append(
                report.row(
                    f"{table.name}: {size}, {how}", _score(best), bar=None, unit=_leads(best), cell="generalist",
                    interval=best["scores"][best["leads"]]["interval"], n=best["n"], rung=best["name"],
                    cpu_s=_cost(best),
                )
            )  # fmt: skip
    return rows


def _score(system: dict[str, Any]) -> float:
    return float(system["scores"][system["leads"]]["value"])


def _leads(system: dict[str, Any]) -> str:
    return str(system["leads"])


def _cost(system: dict[str, Any]) -> float:
    """CPU seconds of an answer."""
    return float(system["cost"]["predict_cpu_s_per_example"] or 0.0)
