"""Which rows can go, and whether a learning curve's forecast holds, on tables that the method was not tried on before.

Forecast: of TRAIN rows half is shown to the curve, and the score with all of them is forecast and then measured.
Removal: the 30 % that are worth least taken out, against 30 % at random; with labels as they are, and with 20 % of the
train labels made wrong at random.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import report

TRAIN, DEV, SPARE, TRIALS, SEEDS, NOISE, SHARE = 1200, 800, 600, 15, 3, 0.2, 0.3


def tables(shared: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """(name, texts, labels)."""
    with (shared / "noisyag_news" / "samples10000valMed.csv").open(encoding="utf-8", newline="") as handle:
        news = list(csv.DictReader(handle))
    yield "noisyag_news", [r["text"] for r in news], [r["label"] for r in news]
    with (shared / "banking77" / "train.csv").open(encoding="utf-8", newline="") as handle:
        intents = list(csv.DictReader(handle))
    some = sorted({r["category"] for r in intents})[2::3]
    yield (
        "banking77 (25 other intents)",
        [r["text"] for r in intents if r["category"] in some],
        [r["category"] for r in intents if r["category"] in some],
    )
    texts, labels = [], []
    path = shared / "vader_sentiment" / "nytEditorialSnippets_GroundTruth.txt"
    for line in path.read_text(encoding="utf-8").splitlines():
        _, valence, text = line.split("\t", 2)
        texts.append(text)
        labels.append("positive" if float(valence) > 0.5 else "negative" if float(valence) < -0.5 else "neutral")
    yield "vader nyt", texts, labels
    with (shared / "afrisenti" / "kin" / "train.tsv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.reader(handle, delimiter="\t"))[1:]
    yield "afrisenti kin", [r[-2] for r in rows], [r[-1] for r in rows]


def measure(asked: Any) -> list[dict[str, Any]]:
    from tunesmith.core.statistics import wilson

    trials, seeds = (2, 1) if asked.quick else (TRIALS, SEEDS)
    rows, held, misses, naive, widths = [], 0, [], [], []
    gains: dict[bool, list[tuple[float, str]]] = {False: [], True: []}
    for name, texts, labels in tables(asked.shared):
        known = Known(texts, labels)
        here = [forecast(known, seed) for seed in range(trials)]
        inside = sum(one[0] for one in here)
        held += inside
        misses += [one[1] for one in here]
        naive += [one[2] for one in here]
        widths += [one[3] for one in here]
        rows.append(report.row(f"forecast held, {name}", inside / trials, bar=None, unit="share", n=trials))
        for noisy in (False, True):
            gains[noisy] += (here := [removal(known, noisy, seed) for seed in range(seeds)])
            what = "20 % wrong labels" if noisy else "as it is"
            rows.append(
                report.row(f"30 % out, chosen minus random, {name}, {what}", 100 * mean_of(here),
                           bar=None, unit="points", seeds=seeds, rankings=[one[2] for one in here])
            )  # fmt: skip
    n = len(misses)
    rows.append(
        report.row("forecast of the score at twice the rows lies in its 95 % interval", held / n, bar=0.9, unit="share",
                   n=n, interval=wilson(held, n), width_points=round(100 * float(np.median(widths)), 2))
    )  # fmt: skip
    rows.append(
        report.row("error of that forecast, mean", 100 * float(np.mean(misses)), bar=None, unit="points", n=n,
                   peer="no gain at all", peer_value=100 * float(np.mean(naive)))
    )  # fmt: skip
    for noisy, found in gains.items():
        share = sum(claim == "helps" for _, claim, _ in found) / len(found)
        worse = sum(claim == "hurts" for _, claim, _ in found)
        rows.append(
            report.row(f"30 % out, chosen minus random, {'20 % wrong labels' if noisy else 'labels as they are'}",
                       100 * mean_of(found), bar=0.0, unit="points", n=len(found),
                       significantly_better=share, significantly_worse=worse / len(found))
        )  # fmt: skip
    return rows


def mean_of(found: list[tuple[float, str, str]]) -> float:
    return float(np.mean([gain for gain, *_ in found]))


class Known:
    """A table whose vectors are made once; every trial draws its own train and dev rows of it."""

    def __init__(self, texts: list[str], labels: list[str]) -> None:
        from tunesmith.evaluation.trainers import probe_trainer

        some = np.random.default_rng(11).permutation(first_of(texts))[: TRAIN + DEV + SPARE].tolist()
        self.texts, self.labels = [texts[i] for i in some], [labels[i] for i in some]
        self.names = sorted(set(self.labels))
        self.made = probe_trainer(self.texts, (self.texts, self.labels), self.names, vectors=narrow)

    def bench(self, seed: int, *, noisy: bool = False) -> Any:
        """A Bench of TRAIN random rows, judged by DEV others with their labels as they are."""
        from tunesmith.evaluation.arms import codes_of
        from tunesmith.evaluation.value_bench import Bench

        rng = np.random.default_rng([seed, 1005])
        order = rng.permutation(len(self.texts))
        train, dev = order[:TRAIN].tolist(), order[TRAIN : TRAIN + DEV].tolist()
        given = [
            str(rng.choice([other for other in self.names if other != self.labels[i]]))
            if noisy and rng.random() < NOISE else self.labels[i] for i in train
        ]  # fmt: skip
        at = self.made.at(self.texts)
        code = {name: position for position, name in enumerate(self.names)}
        truth = codes_of([self.labels[i] for i in dev], code)
        return Bench(self.made, at[train], codes_of(given, code), at[dev], truth, seed)


def narrow(texts: Sequence[str]) -> Any:
    """The probe's features in 256 columns, as for a large table."""
    from tunesmith.evaluation.dense_probe import count_vectors

    return count_vectors(texts, width=256)


def first_of(texts: list[str]) -> list[int]:
    """Positions of the first of equal texts."""
    seen: dict[str, int] = {}
    for at, text in enumerate(texts):
        seen.setdefault(text, at)
    return list(seen.values())


def forecast(known: Known, seed: int) -> tuple[bool, float, float, float]:
    """(held, error of the forecast, error of expecting no gain, width of the interval)."""
    from tunesmith.evaluation.effects import score_interval
    from tunesmith.evaluation.learning_curve import subset_sizes

    made = known.bench(seed)
    n = len(made.at)
    half = np.sort(np.random.default_rng([seed, 7]).permutation(n)[: n // 2])
    sizes = subset_sizes(n // 2, least=max(2 * made.classes, 30))
    curve = made.curve(half, sizes, seed)
    guess = curve.forecast(n)
    seen = score_interval(made.truth, made.full()[None], made.classes)[0]
    low, high = guess.interval
    return low <= seen <= high, abs(guess.score - seen), abs(float(curve.scores[:, -1].mean()) - seen), high - low


def removal(known: Known, noisy: bool, seed: int) -> tuple[float, str, str]:
    """(difference to random, what is claimed, the ranking chosen)."""
    from tunesmith.evaluation.effects import effect

    made = known.bench(seed + 100, noisy=noisy)
    n = len(made.at)
    out = round(SHARE * n)
    ranking = made.suited()
    order = np.argsort(made.values(ranking, np.arange(n)), kind="stable")
    rng = np.random.default_rng([seed, 9])
    chance = np.stack([made.answers(np.sort(rng.permutation(n)[out:])) for _ in range(10)])
    lean = np.repeat(made.answers(np.sort(order[out:]))[None], 10, axis=0)
    found = effect(made.truth, lean, chance, made.classes, draws="repeated")
    return found.difference, found.claim, ranking
