"""What work costs people and machines: hours to money, CPU time to energy, money and CO2.

Times are measured. Watts, prices, wages and the grid's CO2 are the user's settings, so that whatever follows from
them is an estimate and is called one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from tunesmith.core.errors import ConfigError

# Of the electricity of a country, lowest and highest named here: Norway and India in 2023 (Ember 2024).
CLEANEST, DIRTIEST = 30.0, 713.0


@dataclass(frozen=True)
class CostOptions:
    """What the cost ledger assumes. Nothing here changes a result; no stage is done again for it."""

    wage: float | None = field(
        default=None, metadata={"help": "money for an hour of a person's time; none: minutes only", "key": False}
    )
    pause: float = field(
        default=300.0,
        metadata={"unit": "duration", "help": "a longer gap between two decisions is a pause, not work", "key": False},
    )
    seconds_per_label: float | None = field(
        default=None,
        metadata={"help": "a person's seconds for each label in the data; none: not counted", "key": False},
    )
    grams_per_kwh: float = field(
        default=480.0,
        metadata={"help": "grams of CO2 of a kWh; the world's mean in 2023 (Ember 2024)", "key": False},
    )
    watts_device: float = field(
        default=250.0, metadata={"help": "power of a busy accelerator, where one is used", "key": False}
    )
    machine_hour: float | None = field(
        default=None,
        metadata={"help": "rent of the machine for an hour, counted instead of its energy's price", "key": False},
    )
    full: Literal["auto", "never"] = field(
        default="auto",
        metadata={
            "help": "'auto': time a few steps of full fine-tuning, if the budget has room for them", "key": False
        },
    )  # fmt: skip

    def __post_init__(self) -> None:
        for name in ("wage", "seconds_per_label", "grams_per_kwh", "watts_device", "machine_hour"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"cost.{name}: expected a number of at least 0, got {value:g}.")


@dataclass(frozen=True)
class Rates:
    """What turns measured time into energy, money and CO2."""

    watts_per_core: float
    watts_device: float
    per_kwh: float
    grams_per_kwh: float
    currency: str
    wage: float | None = None
    machine_hour: float | None = None

    def assumed(self) -> str:
        """The assumptions in a sentence."""
        said = f"{self.watts_per_core:g} W for each busy core"
        said += f", {self.watts_device:g} W for a busy accelerator" if self.watts_device else ""
        said += (
            f", {self.per_kwh:g} {self.currency} for a kWh"
            if self.machine_hour is None
            else f", {self.machine_hour:g} {self.currency} for an hour of the machine"
        )
        said += f", {self.grams_per_kwh:g} g CO2 for a kWh (from {CLEANEST:g} in Norway to {DIRTIEST:g} in India, 2023)"
        return said + ("" if self.wage is None else f", {self.wage:g} {self.currency} for an hour of a person")

    def machine(self, used: Used) -> Spent:
        """What machine time comes to."""
        energy = (used.cpu_s * self.watts_per_core + used.device_s * self.watts_device) / 3600
        by_energy = energy / 1000 * self.per_kwh
        money = by_energy if self.machine_hour is None else used.wall_s / 3600 * self.machine_hour
        low, high = (energy / 1000 * grams for grams in sorted((CLEANEST, DIRTIEST)))
        return Spent(energy, money, energy / 1000 * self.grams_per_kwh, (low, high))


@dataclass(frozen=True)
class Used:
    """Machine time. device_s: of an accelerator, counted as busy while the work that is meant for it went on."""

    cpu_s: float = 0.0
    wall_s: float = 0.0
    device_s: float = 0.0

    def __add__(self, other: Used) -> Used:
        return Used(self.cpu_s + other.cpu_s, self.wall_s + other.wall_s, self.device_s + other.device_s)


@dataclass(frozen=True)
class Spent:
    """Estimates. co2_range_g: the same energy from the cleanest and the dirtiest grid named here."""

    energy_wh: float
    money: float
    co2_g: float
    co2_range_g: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "co2_range_g": list(self.co2_range_g)}


@dataclass(frozen=True)
class Attention:
    """A person's time on one thing. seconds is the likely one; low to high is what is possible.

    kind: what it was spent for. times: how many questions or decisions; rows: that these were about.
    """

    what: str
    kind: Literal["data", "compute"]
    times: int
    rows: int
    seconds: float
    low: float
    high: float
    why: str

    def money(self, wage: float | None) -> float | None:
        """At a wage; None without one."""
        return None if wage is None else self.seconds / 3600 * wage


@dataclass(frozen=True)
class Moment:
    """A point in time (seconds) at which a person did something. decides: else they only began to look."""

    at: float
    by: str
    decides: bool = True


@dataclass(frozen=True)
class Pace:
    """Seconds between a person's decisions. gaps: of decisions whose beginning is known; unseen: of the others, how
    many; between: spent looking without deciding."""

    gaps: tuple[float, ...]
    unseen: int
    between: float = 0.0

    def likely(self, pause_s: float) -> tuple[float, float, float]:
        """(likely, low, high) seconds in all.

        What was seen is what is certain. A decision that nothing came before took from no time to the longest that is
        not a pause; likely as long as the middle one of those that were seen, half of the bound where none was.
        """
        seen = sum(self.gaps) + self.between
        each = float(np.median(self.gaps)) if self.gaps else pause_s / 2
        return seen + self.unseen * each, seen, seen + self.unseen * pause_s


def pace(moments: Sequence[Moment], *, pause_s: float) -> Pace:
    """How long decisions took, from when they were made: a gap of more than `pause_s` is a pause.

    Several people are timed each by themselves; moments of one person at the same time are one.
    """
    gaps: list[float] = []
    unseen, between = 0, 0.0
    for who in sorted({m.by for m in moments}):
        decides: dict[float, bool] = {}
        for m in moments:
            if m.by == who:
                decides[m.at] = decides.get(m.at, False) or m.decides
        last = -math.inf
        for at in sorted(decides):
            gap = at - last
            if decides[at] and gap <= pause_s:
                gaps.append(gap)
            elif decides[at]:
                unseen += 1
            elif gap <= pause_s:
                between += gap
            last = at
    return Pace(tuple(gaps), unseen, between)


def shares(parts: Mapping[str, float]) -> dict[str, float]:
    """Each part of the whole; all zero where there is nothing."""
    total = sum(parts.values())
    return {name: value / total if total else 0.0 for name, value in parts.items()}
