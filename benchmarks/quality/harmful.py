"""A learning rate 30 times too high: is it caught, and is what is kept no worse than the untuned model?

60 trainings of a tiny model that was taught a little first: 10 seeds x 6 settings (LoRA in three forms, IA3, norms,
everything). Each is trained at 30 times a sane rate, with a budget of forgetting of one point and without any, and at
the sane rate too: a guard that cries out there is no good either. Caught: the training was rolled back. Sound: what
was kept is finite, and its loss on rows held out is at most
0.02 nats above the untuned model's. `harmful_smollm2` is the same of SmolLM2-135M.
"""

from __future__ import annotations

import argparse
from typing import Any

import forgetting
import report

TOO_HIGH = 30.0
# Rates picked by hand at which each setting learns; that they do is seen in the rows of the sane rate.
_TINY = {
    "lora": (3e-3, {"method": "lora", "rank": 8}),
    "lora, rank 2": (3e-3, {"method": "lora", "rank": 2}),
    "dora": (3e-3, {"method": "lora", "rank": 8, "dora": True}),
    "ia3": (1e-2, {"method": "ia3"}),
    "layernorm": (1e-2, {"method": "layernorm"}),
    "full": (3e-3, {"method": "full"}),
}
_SEEDS, STEPS = 10, 24
_WORSE = 0.02
# A budget, and nothing done to keep it: the guard alone.
_BUDGET = {"forget_at_most": 1.0, "forget_controls": ""}


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    seeds = range(1 if asked.quick else _SEEDS)
    cases = [(name, seed) for name in _TINY for seed in seeds]
    held = [_tiny(*case, TOO_HIGH, asked, _BUDGET) for case in cases]
    high, sane = ([_tiny(*case, factor, asked) for case in cases] for factor in (TOO_HIGH, 1.0))
    return [
        *(
            report.row(
                f"tiny model, rate 30 times too high, {what}: caught, and what is kept is sound",
                sum(one["caught"] and one["sound"] for one in some), bar=len(some), unit="runs", cell="harmful",
                n=len(some), seeds=len(seeds), settings=list(_TINY), by=reasons(some),
                missed=[[one["name"], one["seed"]] for one in some if not (one["caught"] and one["sound"])],
            )
            for what, some in (("at most 1 point to be forgotten", held), ("no budget", high))
        ),
        report.row(
            "tiny model, sane rate: caught all the same", sum(one["caught"] for one in sane), bar=None, higher=False,
            unit="runs", cell="harmful", n=len(sane), seeds=len(seeds), by=reasons(sane),
        ),
    ]  # fmt: skip


def _tiny(
    name: str, seed: int, factor: float, asked: argparse.Namespace, budget: dict[str, Any] | None = None
) -> dict[str, Any]:
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
    options = {"rate": factor * rate, **settings, **(budget or {})}
    job = Job(kind, labels, prompt, None, lm, RungPlan("lm", steps=STEPS), options)
    rows = {"train": tickets(0, 64), "dev": tickets(1000, 24), "test": tickets(2000, 60)}
    mark = f"tiny-{'held-' if budget else ''}{name.replace(', ', '-').replace(' ', '')}"
    return judged(mark, seed, factor, rows, job, asked) | {"name": name}


def judged(
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
    ctx = forgetting.context_in(folder, seed)
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


def reasons(runs: list[dict[str, Any]]) -> dict[str, int]:
    """What the guard said, by kind."""
    kinds = (
        "training loss",
        "dev fell",
        "points forgotten",
        "probe B",
        "no step was as good",
        "not finite",
        "is nan",
        "is inf",
    )
    found = {kind: sum(kind in one["why"] for one in runs) for kind in kinds}
    return {kind: n for kind, n in found.items() if n}
