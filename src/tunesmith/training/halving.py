"""Which of several ways of training deserves a whole training: successive halving over real short ones.

    found = halve(["encoder · lora", "encoder · ia3", …], read, shares=(1/16, 1/4, 1))

`read(arm, share)` trains an arm for a share of its steps and scores it on dev. After each round every arm's score
after all steps is extrapolated, with an interval, and the next round is for those that may still be best. What is spent
stays below `limit` of what training every arm whole would cost, by the costs seen so far.

Extrapolation: the error falls with the share of the steps as a power, e(s) = e_k (s / s_k)^-c. Between two rounds c is
what was seen, shrunk towards _USUAL; after one it is _USUAL. The interval is what the rows allow, and c between 0 (no
more is gained) and _STEEPEST. Sources: Jamieson & Talwalkar 2016 (halving); Hestness et al. 2017 (power law).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_USUAL, _STEEPEST = 0.12, 0.45
_Z = 1.96
_LEAST_ERROR = 1e-3  # of a score that is perfect on dev


@dataclass(frozen=True)
class Reading:
    """What a share of an arm's training gave. error: standard error of the score, by rows. why: if it failed."""

    arm: str
    share: float
    score: float | None
    error: float
    cpu_s: float
    why: str = ""


@dataclass(frozen=True)
class Outlook:
    """The score after all steps that is expected of an arm, with a 95 % interval; measured: it was trained whole."""

    arm: str
    value: float
    low: float
    high: float
    measured: bool


@dataclass(frozen=True)
class Halving:
    """readings: in the order made. outlooks: of every arm, best first. left: why an arm was not trained further.

    best: the arm with the best score of those trained whole; where no share was whole, with the best outlook.
    level: others whose outlook reaches the best's score: by what was seen they are indistinguishable from it.
    spent, whole: CPU seconds, the second as estimated for training every arm whole.
    """

    best: str
    level: tuple[str, ...]
    readings: tuple[Reading, ...]
    outlooks: tuple[Outlook, ...]
    left: dict[str, str]
    spent: float
    whole: float


def halve(
    arms: Sequence[str],
    read: Callable[[str, float], Reading],
    *,
    shares: Sequence[float] = (1 / 16, 1 / 4, 1.0),
    limit: float = 0.25,
    cheap: Sequence[str] = (),
) -> Halving:
    """Find the best arm. shares: of the steps, rising to 1. cheap: arms that are read whole at once.

    Arms that fail are out. Raises ValueError if all do.
    """
    seen: dict[str, list[Reading]] = {arm: [] for arm in arms}
    made: list[Reading] = []
    left: dict[str, str] = {}

    def take(arm: str, share: float) -> None:
        reading = read(arm, share)
        made.append(reading)
        if reading.score is None:
            left[arm] = f"failed: {reading.why}"
        else:
            seen[arm].append(reading)

    for arm in arms:
        take(arm, 1.0 if arm in cheap else shares[0])
    for share in shares[1:]:
        running = [arm for arm in arms if seen[arm] and arm not in left]
        going = [arm for arm in running if seen[arm][-1].share < 1.0]
        if not going:
            break
        views = {arm: outlook(seen[arm]) for arm in running}
        best = max(running, key=lambda arm: views[arm].value)
        floor = max(seen[arm][-1].score or 0.0 for arm in running)
        hopeful = []
        for arm in sorted(going, key=lambda arm: -views[arm].value):
            if views[arm].high < floor and arm != best:
                left[arm] = f"{_told(views[arm])} expected, {best} has {100 * floor:.1f} already"
            else:
                hopeful.append(arm)
        room = limit * _whole(made, seen, arms) - sum(r.cpu_s for r in made)
        kept = _affordable(hopeful, seen, share, room, most=max(1, math.ceil(len(hopeful) / 2)))
        for arm in hopeful[len(kept) :]:
            left[arm] = f"{_told(views[arm])} expected, behind {', '.join(kept)}"
        for arm in kept:
            take(arm, share)
    views = {arm: outlook(seen[arm]) for arm in arms if seen[arm] and not left.get(arm, "").startswith("failed")}
    if not views:
        raise ValueError("every arm failed: " + "; ".join(f"{arm}: {why}" for arm, why in left.items()))
    whole = [arm for arm in views if views[arm].measured] if shares[-1] >= 1.0 else list(views)
    best = max(whole or views, key=lambda arm: views[arm].value)
    outlooks = sorted(views.values(), key=lambda o: (o.arm != best, -o.value))
    reached = views[best].value
    level = tuple(o.arm for o in outlooks if o.arm != best and o.high >= reached and o.value >= outlooks[0].low)
    spent = sum(r.cpu_s for r in made)
    return Halving(best, level, tuple(made), tuple(outlooks), left, spent, _whole(made, seen, arms))


def outlook(readings: Sequence[Reading]) -> Outlook:
    """What an arm's readings, of rising shares, promise of all its steps."""
    last = readings[-1]
    score = last.score or 0.0
    reach = _Z * last.error
    if last.share >= 1.0:
        return Outlook(last.arm, score, score - reach, score + reach, True)
    wrong = max(_LEAST_ERROR, 1.0 - score)
    power = _USUAL
    if len(readings) > 1:
        before = readings[-2]
        fell = math.log(max(_LEAST_ERROR, 1.0 - (before.score or 0.0)) / wrong) / math.log(last.share / before.share)
        power = 0.5 * (_USUAL + min(max(fell, 0.0), _STEEPEST))
    value = 1.0 - wrong * last.share**power
    # What the rows leave open, and on top of it what the curve does: from nothing more to the steepest.
    low = score - reach
    high = min(1.0, 1.0 - max(0.0, wrong - reach) * last.share**_STEEPEST)
    return Outlook(last.arm, value, low, high, False)


def _affordable(
    hopeful: Sequence[str], seen: dict[str, list[Reading]], share: float, room: float, *, most: int
) -> list[str]:
    """The first of `hopeful`, as many as leave room for the whole training of the dearest; one at the least."""
    kept = list(hopeful[:1])
    for arm in hopeful[1:most]:
        cost = sum(_cost(seen[a], share) for a in (*kept, arm))
        after = max(_cost(seen[a], 1.0) for a in (*kept, arm)) if share < 1.0 else 0.0
        if cost + after > room:
            break
        kept.append(arm)
    return kept


def _cost(readings: Sequence[Reading], share: float) -> float:
    """CPU seconds of training for a share, from what the last reading took."""
    return readings[-1].cpu_s * share / readings[-1].share


def _whole(made: Sequence[Reading], seen: dict[str, list[Reading]], arms: Sequence[str]) -> float:
    failed = {r.arm: r.cpu_s for r in made if r.score is None}
    return sum(_cost(seen[arm], 1.0) if seen[arm] else failed.get(arm, 0.0) for arm in arms)


def _told(view: Outlook) -> str:
    return f"{100 * view.value:.1f} ({100 * view.low:.1f} to {100 * view.high:.1f})"
