"""Draws whole ladders with known quality and takes them through dev's choice and the test's verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tunesmith.core.dataset import Rows
from tunesmith.core.predictions import Predictions
from tunesmith.evaluation.verdict import Answers, verdict
from tunesmith.tasks import Prompt
from tunesmith.tasks import task as tasks
from tunesmith.tasks.classify import Classify
from tunesmith.training.dev_scores import Scored, contest
from tunesmith.training.systems import Job


class _ByAccuracy(Classify):
    leads = "accuracy"


_LED = {"macro_f1": tasks.get("classify"), "accuracy": _ByAccuracy()}


@dataclass(frozen=True)
class Flow:
    """What the test said of dev's choice: the claim, the true difference of the two compared, the claim's interval."""

    claim: str
    truth: float
    interval: tuple[float, float]


def through_the_flow(
    rng: np.random.Generator, *, leads: str, seed: int, gain: float, n: int, resamples: int = 200
) -> Flow:
    """Three tuned and three untuned systems; dev chooses one of each as *select* does, and the sealed test judges.

    gain: of the best tuned system over the best untuned one, in truth. The others are as good or up to 10 points worse.
    """
    k = int(rng.choice([2, 5, 20]))
    best = float(rng.uniform(0.6, 0.9))
    apart = float(rng.choice([0.0, 0.02, 0.1]))
    right = {
        f"{kind} {i}": best + (gain if kind == "tuned" else 0.0) - (apart * rng.random() if i else 0.0)
        for kind in ("tuned", "untuned")
        for i in range(3)
    }
    private = float(rng.uniform(0.05, 0.9))
    labels = tuple(f"label {i:02d}" for i in range(k))
    job = Job(_LED[leads], labels, Prompt(""))

    def drawn(rows: int) -> tuple[np.ndarray, dict[str, Predictions]]:
        truth = rng.integers(0, k, rows)
        shared = rng.normal(size=rows)
        said = {}
        for name, share in right.items():  # rows that are hard for one are hard for all, so far as they agree
            own = math.sqrt(1 - private) * shared + math.sqrt(private) * rng.normal(size=rows)
            wrong = (truth + rng.integers(1, k, rows)) % k
            codes = np.where(own < NormalDist().inv_cdf(share), truth, wrong)
            said[name] = Predictions(tuple(labels[c] for c in codes))
        return truth, said

    dev, heard = drawn(int(rng.integers(100, 1_000)))
    ids = np.arange(len(dev))
    rows = Rows(ids, ("",) * len(dev), tuple(labels[c] for c in dev), np.ones(len(dev)), ids)
    seen = {name: Scored(name, rows, answers, job) for name, answers in heard.items()}
    prices = {name: 1.0 + place for place, name in enumerate(sorted(right, reverse=True))}  # what is untuned is cheaper
    tuned, untuned = ([s for name, s in seen.items() if name.startswith(kind)] for kind in ("tuned", "untuned"))
    candidate, reference, _ = contest(tuned, untuned, prices, worth=1.0, prefer="best", seed=seed)
    truth, said = drawn(n)
    found = verdict(
        tasks.get("classify"), [labels[c] for c in truth], sources=[""] * n, labels=labels,
        answers={name: Answers(answers) for name, answers in said.items()}, candidate=candidate, reference=reference,
        against=[s.name for s in untuned], leads=leads, permutations=999, resamples=resamples, seed=seed,
    )  # fmt: skip
    if candidate is None or found.claim is None or found.interval is None:
        raise RuntimeError("a verdict on a tuned candidate makes a claim")
    difference = right[candidate] - right[reference]
    return Flow(found.claim, difference, found.interval)
