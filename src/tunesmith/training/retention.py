"""What is asked of a training that must not forget: a budget in points, a probe, and the controls that may keep it.

Controls, each with those before it, in the order in which they cost least of what is gained (docs/stages/train.md):

    hold    every step also lowers KL(base || tuned) on rows that the base wrote. Its weight begins at 1 and follows the
            drift on probe A: doubled at most where it is above 0.7 of the budget, halved at most where it is below
            (multiplicative control as in Ziegler et al. 2019, section 2.2).
    replay  half of that term is the plain cross-entropy of the base's own answers.
    slow    a third of the rate.
    small   a quarter of the rank.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tunesmith.core.errors import ConfigError, did_you_mean

KEPT_GAIN = 0.95  # of what the same training gained on dev whatever it forgot; below it the next control is tried


@dataclass(frozen=True)
class Control:
    """What one control does to a training. hold: first weight of the term on the base's own rows, 0: no such term.

    hard: share of plain cross-entropy in that term. rate, rank: what is left of them.
    """

    hold: float = 0.0
    hard: float = 0.0
    rate: float = 1.0
    rank: float = 1.0

    def and_(self, other: Control) -> Control:
        """Both at once."""
        return Control(
            max(self.hold, other.hold), max(self.hard, other.hard), self.rate * other.rate, self.rank * other.rank
        )


CONTROLS: Mapping[str, Control] = {
    "hold": Control(hold=1.0),
    "replay": Control(hold=1.0, hard=0.5),
    "slow": Control(rate=1 / 3),
    "small": Control(rank=1 / 4),
}
ORDER = ("hold", "slow", "small")


@dataclass(frozen=True)
class Retention:
    """What is asked of a training. at_most: points that may be forgotten; None: what is forgotten is only measured.

    probe: the user's file, if any. controls: names, tried one after the other, each together with those before it.
    """

    at_most: float | None = None
    probe: str | None = None
    controls: tuple[str, ...] = ORDER

    def __post_init__(self) -> None:
        if self.at_most is not None and not 0.0 < self.at_most < math.inf:
            raise ConfigError(
                f"forgetting at most {self.at_most:g} points: expected a number above 0.",
                hint="--forget-at-most 1.0 allows one word in a hundred; leave it out to have it measured only.",
            )
        for name in self.controls:
            if name not in CONTROLS:
                raise ConfigError(
                    f"train.forget.controls: there is no control '{name}'. Controls: {', '.join(CONTROLS)}.",
                    hint=did_you_mean(name, CONTROLS),
                )

    @classmethod
    def of(cls, options: Mapping[str, float | int | str | bool]) -> Retention:
        """From a job's options: forget_at_most, forget_probe, forget_controls."""
        at_most = options.get("forget_at_most")
        probe = options.get("forget_probe")
        named = str(options.get("forget_controls", ",".join(ORDER)))
        return cls(
            None if at_most is None else float(at_most),
            None if probe is None else str(probe),
            tuple(name for name in named.split(",") if name),
        )

    @property
    def attempts(self) -> list[tuple[str, Control]]:
        """[(names, control)] in the order in which they are tried; one without any control where there is no budget."""
        if self.at_most is None or not self.controls:
            return [("none", Control())]
        made = [Control()]
        for name in self.controls:
            made.append(made[-1].and_(CONTROLS[name]))
        return [(" + ".join(self.controls[: i + 1]), control) for i, control in enumerate(made[1:])]

    def named(self, names: str) -> Control:
        """The control of an attempt by its names; "none" is none."""
        found = Control()
        for name in names.split(" + "):
            found = found.and_(CONTROLS.get(name, Control()))
        return found
