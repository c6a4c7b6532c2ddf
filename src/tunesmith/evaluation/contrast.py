"""Vague against curated: a generic set, the data as it came and the curated data, at equal rows and equal compute.

Every arm trains the same rung with the same options on the same number of rows, drawn several times, and answers the
same sealed test. Rows that copy a test row are in no arm. What an arm costs is its labels, those that curation threw
away included, and its machine time; prices are the user's, and without them no money is named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.core.errors import ConfigError, DataError
from tunesmith.core.events import Emit, progress
from tunesmith.data.duplicates import copies_of, group_texts
from tunesmith.evaluation.arms import codes_of
from tunesmith.evaluation.effects import Effect, effect, family, score_interval
from tunesmith.evaluation.trainers import SystemTrainer

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FEWEST = 20


@dataclass(frozen=True)
class Pool:
    """Rows that an arm may draw from. ask: the test texts as this arm's model is given them.

    order: (n,) keys by which rows are drawn: equal rows of two pools have equal keys, so that arms draw alike.
    labelled: rows that had to be labelled to have these. prepared_s: machine seconds spent on them before training.
    """

    texts: tuple[str, ...]
    targets: tuple[str, ...]
    ask: tuple[str, ...]
    order: NDArray[np.int64]
    labelled: int
    prepared_s: float = 0.0

    def without(self, copies: NDArray[np.bool_]) -> Pool:
        """The pool without some rows."""
        keep = np.flatnonzero(~copies)
        return Pool(
            tuple(self.texts[i] for i in keep), tuple(self.targets[i] for i in keep), self.ask, self.order[keep],
            self.labelled, self.prepared_s,
        )  # fmt: skip


@dataclass(frozen=True)
class Prices:
    """In the user's money; None: not given, so that nothing is said. generic: of a row of the generic set."""

    label: float | None = None
    generic: float | None = None
    hour: float | None = None


@dataclass(frozen=True)
class ArmResult:
    """One arm. labelled: rows whose labels were paid for these; seconds: of one training and the answers, mean.

    money: {"data", "compute"} as far as the user gave prices.
    """

    name: str
    rows: int
    pool: int
    labelled: int
    score: float
    interval: tuple[float, float]
    seconds: float
    cpu_s: float
    prepared_s: float
    money: Mapping[str, float]


@dataclass(frozen=True)
class Contrast:
    """The arms side by side. gains: (arm, against, effect), p adjusted by Holm over them."""

    arms: tuple[ArmResult, ...]
    gains: tuple[tuple[str, str, Effect], ...]
    trained: str
    test: int
    seeds: int
    copies: int
    openings: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "metric": "macro_f1", "trained": self.trained, "test": self.test, "seeds": self.seeds,
            "copies_left_out": self.copies, "test_openings": self.openings, "lines": self.lines(),
            "arms": [{**vars(arm), "interval": list(arm.interval), "money": dict(arm.money)} for arm in self.arms],
            "gains": [{"arm": a, "against": b, **e.to_dict()} for a, b, e in self.gains],
        }  # fmt: skip

    def lines(self) -> list[str]:
        """A table and what follows from it, for a terminal."""
        money = [kind for kind in ("data", "compute") if any(kind in arm.money for arm in self.arms)]
        head = f"{'arm':<10}{'rows':>8}{'labels':>9}{'macro-F1':>10}{'95 % interval':>17}{'minutes':>9}"
        told = [head + "".join(f"{kind + ' cost':>14}" for kind in money)]
        for arm in self.arms:
            span = f"{100 * arm.interval[0]:.1f} to {100 * arm.interval[1]:.1f}"
            line = f"{arm.name:<10}{arm.rows:>8,}{arm.labelled:>9,}{100 * arm.score:>10.1f}{span:>17}"
            line += f"{(arm.seconds + arm.prepared_s) / 60:>9.2f}"
            told.append(line + "".join(f"{arm.money[k]:>14,.2f}" if k in arm.money else f"{'–':>14}" for k in money))
        for a, b, e in self.gains:
            low, high = (f"{100 * limit:+.1f}" for limit in e.interval)
            words = {"helps": "better", "hurts": "worse", "does not help": "not better"}.get(
                e.claim, "not to be told apart"
            )
            line = f"{a} against {b}: {words}, {100 * e.difference:+.1f} points (95 % interval {low} to {high})"
            told.append(f"{line}; {100 * e.detectable:.1f} points would have been found.".replace("-", "\u2212"))
        told.append(
            f"Judged on {self.test:,} test rows (opened {self.openings} times on this machine); trained: "
            f"{self.trained}, {self.seeds} draws of the rows. The intervals are over test rows and draws."
        )
        if self.copies:
            told.append(f"{self.copies:,} rows that copy a test row are in no arm.")
        return told


def contrast(
    pools: Mapping[str, Pool],
    truth: Sequence[str],
    trainer: SystemTrainer,
    *,
    rows: int | None = None,
    seeds: int = 3,
    prices: Prices | None = None,
    renamed: Mapping[str, str] | None = None,
    openings: int = 0,
    seed: int = 0,
    emit: Emit | None = None,
) -> Contrast:
    """Train and judge every arm `seeds` times.

    pools: by name, the last compared with each of the others. truth: the targets of the test texts, already renamed.
    rows: per arm; None: as many as the smallest pool has. renamed: labels that curation renamed; answers of any arm
    count as renamed. Raises ConfigError for more rows than a pool has, DataError for fewer than 20.
    """
    emit = emit or _quiet
    clean, copies = _without_copies(pools)
    least = min(len(pool.texts) for pool in clean.values())
    if rows is not None and rows > least:
        raise ConfigError(f"--rows {rows:,}: the smallest arm has {least:,} rows.")
    n = least if rows is None else rows
    if n < _FEWEST:
        raise DataError(f"{n} rows per arm are too few to train on; {_FEWEST} are needed.")
    code = {name: at for at, name in enumerate(trainer.names)}
    new_name = np.array([code[(renamed or {}).get(name, name)] for name in trainer.names], dtype=np.int64)
    right = codes_of(truth, code)
    said: dict[str, list[NDArray[np.int64]]] = {name: [] for name in clean}
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in clean}
    total = seeds * len(clean)
    with progress(emit, "contrast", total) as tick:
        for draw in range(seeds):
            for name, pool in clean.items():
                take = _drawn(pool, n, seed, draw)
                before = trainer.spent, trainer.waited
                found = trainer.answers([pool.texts[i] for i in take], [pool.targets[i] for i in take], pool.ask)
                said[name].append(np.where(found >= 0, new_name[found], -1))
                spent[name].append((trainer.spent - before[0], trainer.waited - before[1]))
                tick(1)
                if draw == 0 and name == next(iter(clean)):
                    wait = spent[name][0][1] * total
                    emit(
                        "note", text=f"contrast: {seeds * len(clean)} trainings of {trainer.about}, about {wait:.0f} s"
                    )
    arms = []
    for name, pool in clean.items():
        score, low, high = score_interval(right, np.stack(said[name]), len(code))
        cpu, wall = (float(value) for value in np.mean(spent[name], axis=0))
        labelled = math.ceil(n * pool.labelled / len(pools[name].texts))
        money = _money(name, labelled, wall + pool.prepared_s, prices or Prices())
        arms.append(
            ArmResult(name, n, len(pool.texts), labelled, score, (low, high), wall, cpu, pool.prepared_s, money)
        )
    last = list(clean)[-1]
    pairs = [(last, other) for other in list(clean)[:-1]]
    if len(clean) == 3:
        pairs.append((list(clean)[1], next(iter(clean))))
    effects = family(
        [effect(right, np.stack(said[a]), np.stack(said[b]), len(code), draws="repeated") for a, b in pairs]
    )
    gains = tuple((a, b, e) for (a, b), e in zip(pairs, effects, strict=True))
    return Contrast(tuple(arms), gains, trainer.about, len(right), seeds, copies, openings)


def _without_copies(pools: Mapping[str, Pool]) -> tuple[dict[str, Pool], int]:
    """(pools without rows that equal or nearly equal a test text, how many rows that were)."""
    tests = tuple(dict.fromkeys(text for pool in pools.values() for text in pool.ask))
    made, copies = {}, 0
    for name, pool in pools.items():
        texts = [*tests, *pool.texts]
        inside = np.arange(len(texts)) < len(tests)
        found = copies_of(texts, group_texts(texts).near, inside)[len(tests) :]
        made[name] = pool.without(found)
        copies += int(found.sum())
    return made, copies


def _drawn(pool: Pool, n: int, seed: int, draw: int) -> list[int]:
    """n positions, in order; a row that two pools share is drawn early or late in both."""
    top = int(pool.order.max()) + 1
    lot = np.random.default_rng([seed, draw, 53]).random(top)
    return sorted(np.argsort(lot[pool.order], kind="stable")[:n].tolist())


def _money(name: str, labelled: int, seconds: float, prices: Prices) -> dict[str, float]:
    label = prices.generic if name == "generic" else prices.label
    found = {} if label is None else {"data": labelled * label}
    return found if prices.hour is None else {**found, "compute": seconds * prices.hour / 3600}


def _quiet(event: str, **fields: Any) -> None:
    del event, fields
