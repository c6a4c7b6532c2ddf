"""A learning rate 30 times too high: is it caught, and is what is kept no worse than the untuned model?

60 trainings of a tiny model that was taught a little first (10 seeds x 6 settings: LoRA in three forms, IA3, norms,
everything) and 6 of SmolLM2-135M (2 tasks x 3 seeds). Each is trained at 30 times a sane rate, and, for the tiny model,
at the sane rate too: a guard that cries out there is no good either. Caught: the training was rolled back, or ended by
the guard. Sound: what was kept is finite, and its loss on rows held out is at most 0.02 nats above the untuned model's.
"""

from __future__ import annotations

import argparse
from typing import Any

import forgetting
import report

_TOO_HIGH = 30.0
# Sane rates of the tiny model: those that left the least loss on dev of 1e-4 … 1e-1, in steps of about 3, seed 100.
_TINY = {
    "lora": (3e-3, {"method": "lora", "rank": 8}),
    "lora, rank 2": (3e-3, {"method": "lora", "rank": 2}),
    "dora": (3e-3, {"method": "lora", "rank": 8, "dora": True}),
    "ia3": (1e-2, {"method": "ia3"}),
    "layernorm": (1e-2, {"method": "layernorm"}),
    "full": (3e-3, {"method": "full"}),
}
_SEEDS, _STEPS = 10, 24
_SMOLLM_RATE, _SMOLLM_TASKS = 1e-3, {"banking77, 20 intents": "intents:20", "sms_spam": "messages"}
_WORSE = 0.02


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    seeds = range(1 if asked.quick else _SEEDS)
    tiny = [_tiny(name, seed, factor, asked) for name in _TINY for seed in seeds for factor in (_TOO_HIGH, 1.0)]
    high, sane = ([one for one in tiny if one["factor"] == factor] for factor in (_TOO_HIGH, 1.0))
    rows = [
        report.row(
            "tiny model, rate 30 times too high: caught, and what is kept is sound",
            sum(one["caught"] and one["sound"] for one in high), bar=len(high), unit="runs", cell="harmful",
            n=len(high), seeds=len(seeds), settings=list(_TINY), by=_reasons(high),
            missed=[[one["name"], one["seed"]] for one in high if not (one["caught"] and one["sound"])],
        ),
        report.row(
            "tiny model, sane rate: caught all the same", sum(one["caught"] for one in sane), bar=None, higher=False,
            unit="runs", cell="harmful", n=len(sane), seeds=len(seeds), by=_reasons(sane),
        ),
    ]  # fmt: skip
    if asked.quick:
        return rows
    large = [_smollm(task, table, seed, asked) for task, table in _SMOLLM_TASKS.items() for seed in range(3)]
    rows.append(report.row(
        "SmolLM2-135M, rate 30 times too high: caught, and what is kept is sound",
        sum(one["caught"] and one["sound"] for one in large), bar=len(large), unit="runs", cell="harmful",
        n=len(large), seeds=3, tasks=list(_SMOLLM_TASKS), by=_reasons(large), cpu_s=[one["cpu_s"] for one in large],
    ))  # fmt: skip
    return rows


def _tiny(name: str, seed: int, factor: float, asked: argparse.Namespace) -> dict[str, Any]:
    from tunesmith.core.dataset import rows_of
    from tunesmith.models.resolve import resolve
    from tunesmith.tasks import task
    from tunesmith.testing import schooled_lm
    from tunesmith.training.systems import Job, RungPlan

    labels = ("billing", "login")
    kind = task.get("classify")
    prompt = kind.prompt(labels, inputs=["text"], target="topic")
    rate, settings = _TINY[name]

    def tickets(start: int, n: int) -> Any:
        texts = [
            f"I was charged twice for order {i}." if i % 2 else f"I cannot log in with password {i}."
            for i in range(start, start + n)
        ]
        return rows_of(texts, [labels[0] if i % 2 else labels[1] for i in range(start, start + n)])

    base = asked.work / "harmful" / f"base-{seed}"
    if not (base / "config.json").exists():
        # Taught the very task: what is tuned is no worse than a base that somebody would want to tune.
        said = tickets(5000, 40)
        talks = [
            ("\n\n".join(message["content"] for message in kind.render(text, prompt)), label)
            for text, label in zip(said.texts, said.targets, strict=True)
        ]
        schooled_lm(base, talks, seed=seed)
    lm = resolve(str(base), "lm")
    job = Job(kind, labels, prompt, None, lm, RungPlan("lm", steps=_STEPS), {"rate": factor * rate, **settings})
    rows = {"train": tickets(0, 64), "dev": tickets(1000, 24), "test": tickets(2000, 60)}
    return _judged(f"tiny-{name.replace(', ', '-').replace(' ', '')}", seed, factor, rows, job, asked) | {"name": name}


def _smollm(task: str, table: str, seed: int, asked: argparse.Namespace) -> dict[str, Any]:
    rows = forgetting._rows(table, seed, asked)
    job = forgetting._job(rows, {"rate": _TOO_HIGH * _SMOLLM_RATE}, _STEPS)
    return _judged(table.replace(":", "-"), seed, _TOO_HIGH, rows, job, asked) | {"name": task}


def _judged(
    mark: str, seed: int, factor: float, rows: dict[str, Any], job: Any, asked: argparse.Namespace
) -> dict[str, Any]:
    """One training and what came of it; from disk if it ended before."""
    import math

    from tunesmith.core.files import read_json, write_json
    from tunesmith.core.meter import metered
    from tunesmith.training.systems import system

    folder = asked.work / "harmful" / f"{mark}-{seed}-{factor:g}"
    done = folder / "run.json"
    if done.exists():
        return dict(read_json(done))
    ctx = forgetting._context(folder, seed)
    with metered() as meter:
        fitted = system.get("lm").fit(rows["train"], rows["dev"], job, ctx)
        before = _loss(None, rows["test"], job, ctx)
        after = _loss(fitted, rows["test"], job, ctx)
    told = fitted.forgetting
    made = {
        "seed": seed, "factor": factor, "caught": bool(told["rolled_back"]), "why": told["rolled_back"],
        "to_base": told["to_base"], "kept_step": told["kept_step"], "before": before,
        "after": after if math.isfinite(after) else None, "sound": math.isfinite(after) and after <= before + _WORSE,
        "points": told["suites"][0]["points"], "cpu_s": round(meter.cpu_s, 1), "dev": told["dev"],
        "drifts": told["drifts"],
    }  # fmt: skip
    write_json(done, made)
    return made


def _loss(fitted: Any, test: Any, job: Any, ctx: Any) -> float:
    """Nats per answer token on rows held out, of what was kept or (None) of the untuned model."""
    from tunesmith.models.lm import LanguageModel
    from tunesmith.training.batches import encode, micro_batches
    from tunesmith.training.losses import mean_loss
    from tunesmith.training.prompted import asker_for, lengths_of, lm_folder

    lm = LanguageModel.load(lm_folder(job, ctx), ctx.limits) if fitted is None else fitted.answers(ctx).lm
    lengths = lengths_of(lm.template, test.targets, lm.context)
    encoded = encode(test, asker_for(lm, job), max_tokens=lengths.max_tokens, room=lengths.room)
    return mean_loss(lm.model, micro_batches(encoded, range(len(encoded)), max_tokens=1024))


def _reasons(runs: list[dict[str, Any]]) -> dict[str, int]:
    """What the guard said, by kind."""
    kinds = ("training loss", "dev fell", "points forgotten", "no step was as good", "not finite", "is nan", "is inf")
    found = {kind: sum(kind in one["why"] for one in runs) for kind in kinds}
    return {kind: n for kind, n in found.items() if n}
