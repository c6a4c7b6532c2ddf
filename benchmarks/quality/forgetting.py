"""What a tuned SmolLM2-135M forgets, with a budget of one point and without: three tasks, three seeds.

Each run is trained twice on the same rows: free, and with `--forget-at-most 1.0`. Both are judged on the same probe B
(text of the base's own, which steered nothing) and on the same held-out rows. `gain` is the leading metric of the task
less that of the untuned model with the same prompt. A run that ended is not trained again (`--work`).
"""

from __future__ import annotations

import argparse
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import report
import tables

_BASE = "smollm2-135m-instruct"
_TASKS = {"banking77, 20 intents": "intents:20", "sms_spam": "messages", "vader polarity": "polarity"}
_TRAIN, _DEV, _TEST, _STEPS = 240, 48, 200, 40
BUDGET = 1.0
# An unreachable budget and no control: trained as without one, and judged on the same probes.
_FREE = {"forget_at_most": 1000.0, "forget_controls": ""}


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    tasks = dict(list(_TASKS.items())[:1]) if asked.quick else _TASKS
    seeds = range(1 if asked.quick else 3)
    runs = [run(task, table, seed, asked) for task, table in tasks.items() for seed in seeds]
    rows = [
        report.row(
            f"forgotten, {one['task']}, seed {one['seed']}", one["held"]["points"],
            bar=None, higher=False, unit="points on probe B", cell="forgetting", n=one["held"]["n"],
            interval=one["held"]["interval"], without_budget=one["free"]["points"], scores={
                "untuned": one["untuned"]["score"], "free": one["free"]["score"], "held": one["held"]["score"],
            }, metric=one["metric"], kl={"free": one["free"]["kl"], "held": one["held"]["kl"]},
            test_loss={arm: one[arm]["loss"] for arm in ("untuned", "free", "held")},
            controls=one["held"]["controls"], rolled_back=one["held"]["rolled_back"], cpu_s=one["cpu_s"],
        )
        for one in runs
    ]  # fmt: skip
    within = [one["held"]["points"] <= BUDGET + one["held"]["points"] - one["held"]["interval"][0] for one in runs]
    kept = [_kept(one, "score") for one in runs]
    losses = [_kept(one, "loss") for one in runs]
    rows.append(report.row(
        f"runs within {BUDGET:g} point and half of the interval on probe B", sum(within), bar=len(runs), unit="runs",
        cell="forgetting", n=len(runs), seeds=len(seeds), tasks=list(tasks),
    ))  # fmt: skip
    free, held = (
        float(np.mean([one[arm]["score"] - one["untuned"]["score"] for one in runs])) for arm in ("free", "held")
    )
    rows.append(report.row(
        "gain kept within the budget, of the gain without one", held / free, bar=0.95, unit="share", cell="forgetting",
        n=len(runs), seeds=len(seeds), each=kept, of_test_loss=float(np.mean(losses)),
        points_forgotten={arm: float(np.mean([one[arm]["points"] for one in runs])) for arm in ("free", "held")},
    ))  # fmt: skip
    return rows


def run(task: str, table: str, seed: int, asked: argparse.Namespace) -> dict[str, Any]:
    """One task and seed: the untuned model, tuned freely, tuned within the budget; from disk if it ended before."""
    from tunesmith.core.files import read_json, write_json
    from tunesmith.core.meter import metered

    folder = asked.work / "forgetting" / f"{table.replace(':', '-')}-{seed}"
    done = folder / "run.json"
    if done.exists():
        return dict(read_json(done))
    rows = rows_of_table(table, seed, asked)
    made: dict[str, Any] = {"task": task, "seed": seed}
    with metered() as meter:
        for arm, options in (("free", _FREE), ("held", {"forget_at_most": BUDGET})):
            part = folder / f"{arm}.json"
            if not part.exists():
                write_json(part, trained(rows, options, folder / arm, seed=seed, steps=_STEPS))
            made[arm] = read_json(part)
        made["untuned"] = untuned(rows, folder / "untuned", seed=seed)
    made |= {"metric": made["free"]["metric"], "cpu_s": round(meter.cpu_s)}
    write_json(done, made)
    return made


def trained(rows: dict[str, Any], options: dict[str, Any], folder: Path, *, seed: int, steps: int) -> dict[str, Any]:
    """The rung `lm` fitted with these options: what it forgot, and what it scores on rows held out."""
    from tunesmith.training.systems import system

    job, ctx = job_of(rows, options, steps), context_in(folder, seed)
    fitted = system.get("lm").fit(rows["train"], rows["dev"], job, ctx)
    told = fitted.forgetting
    own = told["suites"][0]
    return {
        **_scores(fitted.answers(ctx), rows["test"], job, ctx),
        "points": own["points"], "interval": list(own["interval"]), "n": own["n"], "kl": own["kl"],
        "perplexity_ratio": own["perplexity_ratio"], "base_accuracy": own["base_accuracy"], "drifts": told["drifts"],
        "controls": told["controls"], "rolled_back": told["rolled_back"], "kept_step": told["kept_step"],
        "dev": told["dev"],
    }  # fmt: skip


def untuned(rows: dict[str, Any], folder: Path, *, seed: int) -> dict[str, Any]:
    """The base with the same prompt."""
    from tunesmith.models.lm import LanguageModel
    from tunesmith.training.prompted import Prompted, asker_for, lengths_of, lm_folder

    job, ctx = job_of(rows, {}, 1), context_in(folder, seed)
    lm = LanguageModel.load(lm_folder(job, ctx), ctx.limits)
    lengths = lengths_of(lm.template, rows["train"].targets, lm.context)
    return _scores(Prompted(lm, asker_for(lm, job), lengths, job.labels, exact=False), rows["test"], job, ctx)


def _scores(answers: Any, test: Any, job: Any, ctx: Any) -> dict[str, Any]:
    """The task's leading metric and the loss per answer token on the test rows."""
    from tunesmith.training.batches import encode, micro_batches
    from tunesmith.training.losses import mean_loss

    said = answers.predict(test.texts, ctx)
    score = job.task.score(said, test.references, test.texts, job.labels)[job.task.leads]
    encoded = encode(test, answers.asker, max_tokens=answers.lengths.max_tokens, room=answers.lengths.room)
    batches = micro_batches(encoded, range(len(encoded)), max_tokens=1024)
    return {"score": float(score), "loss": mean_loss(answers.lm.model, batches), "metric": job.task.leads}


def rows_of_table(table: str, seed: int, asked: argparse.Namespace) -> dict[str, Any]:
    import csv

    from tunesmith.core.dataset import rows_of

    with tables.table(table, asked.shared, asked.work).open(newline="", encoding="utf-8") as lines:
        pairs = sorted({(row["text"], row["label"]) for row in csv.DictReader(lines)})
    random.Random(seed).shuffle(pairs)
    made, at = {}, 0
    for part, n in (("train", _TRAIN), ("dev", _DEV), ("test", _TEST)):
        some = pairs[at : at + n]
        made[part], at = rows_of([text for text, _ in some], [label for _, label in some]), at + n
    labels = tuple(sorted({label for _, label in pairs}))
    return {**made, "labels": labels}


def job_of(rows: dict[str, Any], options: dict[str, Any], steps: int) -> Any:
    from tunesmith.models.resolve import resolve
    from tunesmith.tasks import task
    from tunesmith.training.systems import Job, RungPlan

    kind = task.get("classify")
    prompt = kind.prompt(rows["labels"], inputs=["text"], target="label")
    return Job(kind, rows["labels"], prompt, None, resolve(_BASE, "lm"), RungPlan("lm", steps=steps), options)


def context_in(folder: Path, seed: int) -> Any:
    from tunesmith.core.context import Context, Limits
    from tunesmith.core.machine import set_threads

    folder.mkdir(parents=True, exist_ok=True)
    set_threads(1)
    return replace(Context(folder, seed), limits=Limits(threads=1))


def _kept(one: dict[str, Any], what: str) -> float | None:
    """The share of the free training's gain that the held one has; None where the free one gained nothing."""
    free, held = (one[arm][what] - one["untuned"][what] for arm in ("free", "held"))
    return held / free if free else None
