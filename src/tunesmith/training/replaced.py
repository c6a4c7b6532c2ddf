"""What full fine-tuning would have cost in the place of a method with few weights: a few steps of it, and arithmetic.

The rung that was tuned is fitted again on some of its rows, by its own code, once with its method and once with
`full`; each training is ended after a few steps. What a whole full fine-tuning takes follows as

    rung as it was  +  steps * (seconds of a full step - seconds of a step)  +  what else differed between the two fits

so that everything that both have in common (loading, dev scores, checks) is what the rung really took. The interval
is of the mean of the steps (Student's t) and of how much two equal trainings differ on one machine. Equal steps and
rows: how good the fully tuned model would be is not measured here.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from scipy.special import stdtrit

from tunesmith.core.context import Context
from tunesmith.core.dataset import Dataset, Rows
from tunesmith.core.errors import TunesmithError
from tunesmith.core.files import stored_bytes
from tunesmith.core.meter import cpu_seconds, resident_bytes
from tunesmith.models.methods import Range
from tunesmith.models.methods import method as methods
from tunesmith.training.embeddings import metered_alone
from tunesmith.training.ladder import Ladder, Rung
from tunesmith.training.systems import Job
from tunesmith.training.systems import system as systems

if TYPE_CHECKING:
    from tunesmith.models.spec import ModelSpec

# Steps that are timed after the first, which allocates what all of them use; and the fewest that tell anything.
_TIMED, _FEWEST = 8, 3
# Rows of train and dev that the short fits see. Dev scores fall outside the steps that are timed.
_ROWS, _DEV_ROWS = 512, 32
# How much equal work differs on a busy machine from one hour to the next, one standard deviation: assumed.
_DRIFT = 0.10
# Of a base: weight, gradient, two moments, best weights, start; one more for what is being written.
_COPIES = 7
_ACTIVATIONS = 256 << 20
# A full step reads and writes every weight: at most so many steps of the method, to be planned for.
_DEARER = 3.0
_LOAD_S, _BYTES_PER_S = 2.0, 40e6
# What is stated holds with this probability; of the normal distribution, that lies within _Z.
COVERAGE, _Z = 0.8, 1.2816


@dataclass(frozen=True)
class Amount:
    """A number with its interval (80 %)."""

    likely: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Replaced:
    """The full fine-tuning that a tuned rung replaces. skipped: why nothing was measured; then the rest is empty.

    steps: of the whole training. step_s, full_step_s: CPU seconds of the steps timed, with the rung's method and with
    full. cpu_s, wall_s: of the whole, estimated. peak_rss_bytes, stored_bytes: measured in the short fit. probe_*: what
    the measurement itself took; took_*: the rung's training, refitting apart.
    """

    system: str
    base: str
    method: str
    skipped: str = ""
    steps: int = 0
    step_s: tuple[float, ...] = ()
    full_step_s: tuple[float, ...] = ()
    cpu_s: Amount | None = None
    wall_s: Amount | None = None
    peak_rss_bytes: int = 0
    stored_bytes: int = 0
    probe_cpu_s: float = 0.0
    probe_wall_s: float = 0.0
    took_cpu_s: float = 0.0
    took_wall_s: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "step_s": list(self.step_s), "full_step_s": list(self.full_step_s)}

    @classmethod
    def from_dict(cls, about: Mapping[str, Any]) -> Replaced:
        """The inverse of `to_dict`."""
        cpu, wall = (None if about[name] is None else Amount(**about[name]) for name in ("cpu_s", "wall_s"))
        steps = {name: tuple(about[name]) for name in ("step_s", "full_step_s")}
        return cls(**{**about, **steps, "cpu_s": cpu, "wall_s": wall})


@dataclass
class _Stopwatch:
    """Asked after every step whether training is to end: notes the time, and ends it after enough of them."""

    steps: int
    for_s: float
    at: list[tuple[float, float]] = field(default_factory=list)

    def __call__(self) -> bool:
        self.at.append((cpu_seconds(), time.monotonic()))
        tired = len(self.at) > _FEWEST and self.at[-1][1] - self.at[0][1] > self.for_s
        return len(self.at) > self.steps or tired

    def each(self, which: int) -> list[float]:
        """Seconds between one step's end and the next one's: 0 of CPU, 1 of the clock."""
        return [b[which] - a[which] for a, b in zip(self.at, self.at[1:], strict=False)]


@dataclass(frozen=True)
class _Fit:
    """A short fit: seconds of its steps, and of all else, on the CPU and by the clock."""

    steps: tuple[list[float], list[float]]
    rest: tuple[float, float]
    peak: int
    stored: int


def tuned_rung(ladder: Ladder) -> Rung | None:
    """The rung that a full fine-tuning would replace: the best on dev that tunes a base's weights by a method."""
    found = [rung for rung in ladder.rungs if rung.ran and rung.kind == "tuned" and "method" in rung.settings]
    if ladder.candidate in {rung.name for rung in found}:
        return ladder[str(ladder.candidate)]
    return found[0] if found else None


def steps_of(rung: Rung) -> int:
    """Optimizer steps that the rung took."""
    taken = [int(at["step"] or 0) for at in rung.curve]
    return max([*taken, int(rung.settings.get("best_step", 0)), 1])


def full_in_place_of(
    rung: Rung, ladder: Ladder, data: Dataset, options: Mapping[str, float | int | str | bool], ctx: Context, *,
    left_s: float = math.inf,
) -> Replaced:  # fmt: skip
    """Time a few steps of full fine-tuning and say what a whole one would take; or why it cannot be timed.

    options: of the training, as the rung had them. left_s: seconds that the measurement may take.
    ctx.workdir is emptied at the end.
    """
    about = Replaced(rung.name, rung.base or "", str(rung.settings.get("method", "")))
    if about.method == "full":
        return replace(about, skipped="the rung is a full fine-tuning itself")
    n = steps_of(rung)
    job = ladder.job(rung.name, options=dict(options))
    against = _too_much(rung, job, ctx, left_s=left_s, steps=n)
    if against:
        return replace(about, skipped=against)
    began = cpu_seconds(), time.monotonic()
    train, dev = _some(data.rows("train"), _ROWS, ctx.seed), _some(data.rows("dev"), _DEV_ROWS, ctx.seed)
    watch_s = left_s / 6
    try:
        plain = _fit(rung, train, dev, job, ctx, steps=n, for_s=watch_s)
        full = _fit(rung, train, dev, replace(job, options=_full(rung, job)), ctx, steps=n, for_s=watch_s)
    except (TunesmithError, MemoryError) as error:
        return replace(about, skipped=f"it failed: {str(error) or type(error).__name__}")
    finally:
        shutil.rmtree(ctx.workdir, ignore_errors=True)
    if min(len(plain.steps[0]), len(full.steps[0])) < 2:
        return replace(about, skipped=f"{n} steps are too few to time any")
    return replace(
        about,
        steps=n,
        step_s=tuple(plain.steps[0]),
        full_step_s=tuple(full.steps[0]),
        cpu_s=whole_of(rung.cost.train_cpu_s or 0.0, n, plain.steps[0], full.steps[0], full.rest[0] - plain.rest[0]),
        wall_s=whole_of(rung.cost.train_wall_s or 0.0, n, plain.steps[1], full.steps[1], full.rest[1] - plain.rest[1]),
        peak_rss_bytes=full.peak,
        stored_bytes=full.stored,
        probe_cpu_s=cpu_seconds() - began[0],
        probe_wall_s=time.monotonic() - began[1],
        took_cpu_s=rung.cost.train_cpu_s or 0.0,
        took_wall_s=rung.cost.train_wall_s or 0.0,
    )


def whole_of(took: float, steps: int, plain: Sequence[float], full: Sequence[float], more: float) -> Amount:
    """Seconds of `steps` full steps in the place of a training that took `took` seconds, with an 80 % interval.

    plain, full: seconds of some steps of each, two at least. more: what a full fit takes beside its steps that the
    other does not.
    """
    a, b = np.asarray(plain, dtype=np.float64), np.asarray(full, dtype=np.float64)
    rest = max(0.0, took - steps * float(a.mean())) + max(0.0, more)
    loop = steps * float(b.mean())
    # The mean of a few steps, and the sum of the steps to come: both vary. What is taken off varies as well.
    scatter = steps**2 * float(b.var(ddof=1)) * (1 / len(b) + 1 / steps)
    scatter += steps**2 * float(a.var(ddof=1)) / len(a) if rest > 0 else 0.0
    margin = float(stdtrit(min(len(a), len(b)) - 1, (1 + COVERAGE) / 2)) * math.sqrt(scatter)
    drift = _Z * _DRIFT * (rest + loop)
    reach = math.hypot(margin, drift)
    return Amount(rest + loop, max(0.0, rest + loop - reach), rest + loop + reach)


def _fit(rung: Rung, train: Rows, dev: Rows, job: Job, ctx: Context, *, steps: int, for_s: float) -> _Fit:
    shutil.rmtree(ctx.workdir, ignore_errors=True)
    ctx.workdir.mkdir(parents=True)
    watch = _Stopwatch(min(_TIMED, steps - 1), for_s)
    plan = replace(rung.plan, steps=steps, pause_steps=None, train_rows=None, dev_rows=None)
    # Proofs are for what ships; of a training that is cut off some cannot hold.
    quiet = replace(ctx, check=lambda _: None)
    with metered_alone() as meter:
        fitted = systems.get(rung.name).fit(train, dev, replace(job, plan=plan, late=watch), quiet)
        fitted.save(ctx.workdir / "saved")
    timed = watch.each(0), watch.each(1)
    # The first step is a step like the others, but for what it allocates, which belongs to all else.
    first = [sum(each) / max(1, len(each)) for each in timed]
    rest = meter.cpu_s - sum(timed[0]) - first[0], meter.wall_s - sum(timed[1]) - first[1]
    return _Fit(timed, rest, meter.peak_rss_bytes, stored_bytes(ctx.workdir / "saved"))


def _full(rung: Rung, job: Job) -> dict[str, float | int | str | bool]:
    """The options of the same training with every weight learning, at the middle of the rates that are sane for it."""
    spec = _spec(rung, job)
    assert spec is not None
    rate = methods.get("full").search_space(spec)["rate"]
    assert isinstance(rate, Range)
    dropped = {"rate", "rank", "alpha", "top_layers", "trunk", "dora", "pissa", "rank_stabilised", "plus_ratio"}
    dropped |= {"forget_at_most", "forget_probe", "forget_controls", "controls"}  # nothing holds what is replaced
    kept = {key: value for key, value in job.options.items() if key not in dropped}
    return {**kept, "method": "full", "rate": math.sqrt(rate.low * rate.high)}


def _spec(rung: Rung, job: Job) -> ModelSpec | None:
    return {"encoder": job.encoder, "lm": job.lm}.get(rung.needs)


def _too_much(rung: Rung, job: Job, ctx: Context, *, left_s: float, steps: int) -> str:
    """Why full fine-tuning cannot be timed here: memory, disk, time; "" if it can."""
    from tunesmith.models.resolve import fetch

    spec = _spec(rung, job)
    if spec is None:
        return f"the base of {rung.name} is not known"
    weights = sum(file.stat().st_size for file in fetch(spec, ctx.emit).glob("*.safetensors"))
    need = resident_bytes() + _COPIES * weights + _ACTIVATIONS
    limit = ctx.limits.max_memory_bytes
    if limit is not None and need > limit:
        return f"memory: it needs about {_gb(need)}, and max_memory is {_gb(limit)}"
    free = psutil.virtual_memory().available
    if need - resident_bytes() > 0.9 * free:
        return f"memory: it needs about {_gb(need)}, and {_gb(free)} are free"
    room = shutil.disk_usage(_above(ctx.workdir)).free
    if room < _COPIES * weights + _ACTIVATIONS:
        return f"disk: it writes up to {_gb(_COPIES * weights)}, and {_gb(room)} are free"
    each = (rung.cost.train_wall_s or 0.0) / steps
    needs_s = 2 * (_LOAD_S + weights / _BYTES_PER_S) + (_FEWEST + 1) * each * (1 + _DEARER)
    if needs_s > left_s:
        return f"time: it needs about {needs_s:.0f} s, and {max(0.0, left_s):.0f} s of the budget are left for it"
    return ""


def _some(rows: Rows, most: int, seed: int) -> Rows:
    """At most so many rows, drawn at random, in order."""
    return rows.take(np.sort(np.random.default_rng([seed, 67]).permutation(len(rows))[:most]))


def _above(path: Path) -> Path:
    """The nearest folder that exists."""
    return path if path.exists() else _above(path.parent)


def _gb(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:.1f} GB"
