"""Which of several ways of training deserves a whole training: successive halving over real short ones.

    found = halve(["encoder · lora", "encoder · ia3", …], read, shares=(1/16, 1/4, 1))

`read(arm, share)` trains an arm for a share of its steps and scores it on dev. After each round every arm's score
after all steps is extrapolated, with an interval, and the next round is for those that may still be best. What is spent
stays below `limit` of what training every arm whole would cost, by the costs seen so far.

Costs: a training costs something whatever its length (reading rows, heads, checks, dev) and something for each step.
Both are told apart in what was read; of an arm that was not read yet they are its kind's. Where even the short runs of
all arms would cost too much, arms of the kinds that look poorest are never begun. A round that would train a single
arm is left out: it could choose nothing.

Extrapolation: the error falls with the share of the steps as a power, e(s) = e_k (s / s_k)^-c. Between two rounds c is
what was seen, shrunk towards _USUAL; after one it is _USUAL. The interval is what the rows allow, and c between 0 (no
more is gained) and _STEEPEST. Sources: Jamieson & Talwalkar 2016 (halving); Hestness et al. 2017 (power law).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_USUAL, _STEEPEST = 0.12, 0.45
_Z = 1.96
_LEAST_ERROR = 1e-3  # of a score that is perfect on dev


@dataclass(frozen=True)
class Reading:
    """What a share of an arm's training gave. error: standard error of the score, by rows. why: if it failed.

    steps_s: of cpu_s, what grows with the share; None: all of it.
    """

    arm: str
    share: float
    score: float | None
    error: float
    cpu_s: float
    why: str = ""
    steps_s: float | None = None


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
    """readings: in the order made. outlooks: of every arm read, best first. left: why an arm was not trained further.

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


class _Costs:
    """CPU seconds of readings made and to be made."""

    def __init__(self, arms: Sequence[str], kinds: Mapping[str, str]) -> None:
        self.arms, self.kinds = arms, kinds
        self.made: list[Reading] = []

    @property
    def spent(self) -> float:
        return sum(reading.cpu_s for reading in self.made)

    def of(self, arm: str, share: float) -> float:
        """Of training an arm for a share; 0 where nothing at all was read yet."""
        own = [r for r in self.made if r.arm == arm]
        kin = [r for r in self.made if self.kinds.get(r.arm, r.arm) == self.kinds.get(arm, arm)]
        for some in (own, kin, self.made):
            some = [r for r in some if r.score is not None] or some
            if some:
                stepping = sum(_stepping(r) for r in some) / sum(r.share for r in some)
                # The first of a kind also pays for what the others find ready.
                return min(r.cpu_s - _stepping(r) for r in some) + stepping * share
        return 0.0

    def whole(self) -> float:
        """Of training every arm whole; an arm that failed costs what it took to see that."""
        failed = {r.arm: r.cpu_s for r in self.made if r.score is None}
        return sum(failed[arm] if arm in failed else self.of(arm, 1.0) for arm in self.arms)


def halve(
    arms: Sequence[str],
    read: Callable[[str, float], Reading],
    *,
    shares: Sequence[float] = (1 / 16, 1 / 4, 1.0),
    limit: float = 0.25,
    cheap: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
) -> Halving:
    """Find the best arm. arms: within a kind, the most promising first. shares: of the steps, rising.

    cheap: arms that are read whole at once. kinds: of arms that cost and learn alike, one of each is always read; an
    arm without one is a kind of its own. Arms that fail are out. Raises ValueError if all do.
    """
    kinds = {arm: (kinds or {}).get(arm, arm) for arm in arms}
    costs = _Costs(arms, kinds)
    seen: dict[str, list[Reading]] = {arm: [] for arm in arms}
    left: dict[str, str] = {}

    def take(arm: str, share: float) -> None:
        reading = read(arm, share)
        costs.made.append(reading)
        if reading.score is None:
            left[arm] = f"failed: {reading.why}"
        else:
            seen[arm].append(reading)

    for arm in cheap:
        take(arm, 1.0)
    ahead = [share for share in shares if share >= 1.0]
    waiting = [arm for arm in arms if arm not in cheap]
    begun: set[str] = set()
    while waiting:
        arm = _next(waiting, begun, seen, kinds)
        waiting.remove(arm)
        if kinds[arm] in begun:
            # What has to be left for is the whole training of whatever looks best by now.
            last = _best_of({a: some for a, some in seen.items() if some and a not in cheap}) if ahead else None
            room = limit * costs.whole() - costs.spent - (0.0 if last is None else costs.of(last, 1.0))
            needs = costs.of(arm, shares[0])
            if needs > room:
                left[arm] = f"not begun: a short run takes about {needs:.0f} CPU s, and {max(0.0, room):.0f} are left"
                continue
            poor = _poor_kind(kinds[arm], seen, kinds)
            if poor:
                left[arm] = poor
                continue
        begun.add(kinds[arm])
        take(arm, shares[0])
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
        room = limit * costs.whole() - costs.spent
        hopeful = _cheaper_first(hopeful, views, costs, share, room)
        after = share < 1.0 and bool(ahead)
        kept = _affordable(hopeful, costs, share, room, most=max(1, math.ceil(len(hopeful) / 2)), after=after)
        for arm in hopeful[len(kept) :]:
            left[arm] = f"{_told(views[arm])} expected, behind {', '.join(kept)}"
        if share < 1.0 and len(kept) < 2:
            continue
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
    return Halving(best, level, tuple(costs.made), tuple(outlooks), left, costs.spent, costs.whole())


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


def _next(waiting: Sequence[str], begun: set[str], seen: Mapping[str, list[Reading]], kinds: Mapping[str, str]) -> str:
    """The arm to begin: one of each kind first, then of the kind that looks best."""
    fresh = [arm for arm in waiting if kinds[arm] not in begun]
    if fresh:
        return fresh[0]

    def looks(arm: str) -> float:
        return max((outlook(some).value for a, some in seen.items() if some and kinds[a] == kinds[arm]), default=0.0)

    return max(waiting, key=looks)


def _poor_kind(kind: str, seen: Mapping[str, list[Reading]], kinds: Mapping[str, str]) -> str:
    """Why no more arms of a kind are begun; "" while one of them may be the best."""
    views = {arm: outlook(some) for arm, some in seen.items() if some}
    best = max(views, key=lambda arm: seen[arm][-1].score or 0.0)
    floor = seen[best][-1].score or 0.0
    alike = [view for arm, view in views.items() if kinds[arm] == kind]
    if not alike or max(view.high for view in alike) >= floor:
        return ""
    top = max(alike, key=lambda view: view.high)
    return (
        f"not begun: of {top.arm}, which is alike, {_told(top)} are expected, and {best} has {100 * floor:.1f} already"
    )


def _best_of(seen: Mapping[str, list[Reading]]) -> str | None:
    """The arm with the best outlook of those read."""
    return max(seen, key=lambda arm: outlook(seen[arm]).value, default=None)


def _cheaper_first(
    hopeful: list[str], views: Mapping[str, Outlook], costs: _Costs, share: float, room: float
) -> list[str]:
    """`hopeful`, best first; where the first is too dear, after one that fits and cannot be told from it."""
    if costs.of(hopeful[0], share) <= room:
        return hopeful
    first = views[hopeful[0]]
    level = [a for a in hopeful[1:] if views[a].high >= first.value and views[a].value >= first.low]
    fits = next((arm for arm in level if costs.of(arm, share) <= room), None)
    return hopeful if fits is None else [fits, *(arm for arm in hopeful if arm != fits)]


def _affordable(
    hopeful: Sequence[str], costs: _Costs, share: float, room: float, *, most: int, after: bool
) -> list[str]:
    """The first of `hopeful`, as many as leave room, one at the least. after: the dearest is trained whole later."""
    kept = list(hopeful[:1])
    for arm in hopeful[1:most]:
        cost = sum(costs.of(a, share) for a in (*kept, arm))
        if cost + (max(costs.of(a, 1.0) for a in (*kept, arm)) if after else 0.0) > room:
            break
        kept.append(arm)
    return kept


def _stepping(reading: Reading) -> float:
    return reading.cpu_s if reading.steps_s is None else min(reading.steps_s, reading.cpu_s)


def _told(view: Outlook) -> str:
    return f"{100 * view.value:.1f} ({100 * view.low:.1f} to {100 * view.high:.1f})"
