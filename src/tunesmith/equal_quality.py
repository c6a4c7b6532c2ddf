"""What full fine-tuning really took beside a rung with few weights: two finished runs on the same data.

They are compared as they stand on the same sealed test, and at equal held-out quality: what each had spent when its
dev score was first as good as the worse of their two best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.errors import RunError
from tunesmith.training.ladder import Ladder, Rung, standing
from tunesmith.training.replaced import steps_of, tuned_rung


@dataclass(frozen=True)
class EqualQuality:
    """Each pair is (the rung, the full fine-tuning). scores: on the test, of `metric`, None where not scored.

    reached: steps to the same dev quality, None where one of them has no dev scores; reached_cpu_s: CPU seconds of the
    training's share up to there.
    """

    run: str
    rung: str
    metric: str
    n: int
    scores: tuple[float | None, float | None]
    cpu_s: tuple[float, float]
    peak_rss_bytes: tuple[int | None, int | None]
    stored_bytes: tuple[int | None, int | None]
    reached: tuple[int, int] | None
    reached_cpu_s: tuple[float, float] | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def line(self) -> str:
        """In words."""
        mine, full = ("not scored" if score is None else f"{score:.3f}" for score in self.scores)
        said = f"measured: {self.run} trained every weight: {self.metric} {full} against {mine} on {self.n:,} test rows"
        said += f", {self.cpu_s[1]:.3g} s of CPU against {self.cpu_s[0]:.3g} s"
        if self.reached is None or self.reached_cpu_s is None:
            return f"{said}. No dev scores on the way, so nothing is said of equal quality."
        return (
            f"{said}. To the same dev quality it took {self.reached[1]} steps and {self.reached_cpu_s[1]:.3g} s, the "
            f"rung {self.reached[0]} steps and {self.reached_cpu_s[0]:.3g} s."
        )


def at_equal_quality(folder: Path, other: Path) -> EqualQuality:
    """The tuned rung of one finished run beside the full fine-tuning of the same base in another.

    Raises RunError where a run is not finished, the data differ, or the other run has no such full fine-tuning.
    """
    from tunesmith.pipeline import open_run

    one, two = open_run(folder), open_run(other)
    mine = tuned_rung(Ladder.load(standing(folder)))
    if mine is None:
        raise RunError(f"{folder}: no rung tuned the weights of a base.")
    if one.report.fingerprint != two.report.fingerprint:
        raise RunError(
            f"{other} was made from other data than {folder}.",
            hint="run the same table with the same options.",
        )
    ladder = Ladder.load(standing(other))
    full = [r for r in ladder.rungs if r.ran and r.name == mine.name and r.settings.get("method") == "full"]
    theirs = full[0] if full else None
    if theirs is None or theirs.base != mine.base:
        raise RunError(
            f"{other} did not train every weight of {mine.base} as the rung {mine.name}.",
            hint="make such a run with --set train.method=full and another --out.",
        )
    metric = one.report.leads
    found = [run.report[mine.name] for run in (one, two)]
    scores = [result.scores.get(metric) for result in found]
    reached = first_as_good(mine.curve, theirs.curve)
    cpu = (mine.cost.train_cpu_s or 0.0, theirs.cost.train_cpu_s or 0.0)
    shares = None if reached is None else (_share(mine, reached[0]) * cpu[0], _share(theirs, reached[1]) * cpu[1])
    return EqualQuality(
        str(other), mine.name, metric, found[0].n,
        (None if scores[0] is None else scores[0].value, None if scores[1] is None else scores[1].value), cpu,
        (mine.cost.peak_rss_bytes, theirs.cost.peak_rss_bytes), (mine.cost.stored_bytes, theirs.cost.stored_bytes),
        reached, shares,
    )  # fmt: skip


def first_as_good(
    one: Sequence[Mapping[str, float | None]], other: Sequence[Mapping[str, float | None]]
) -> tuple[int, int] | None:
    """The steps at which two curves first were as good on dev as the worse of their best; None without dev scores."""
    curves = [[(int(at["step"] or 0), q) for at in curve if (q := _quality(at)) is not None] for curve in (one, other)]
    if not all(curves):
        return None
    worse = min(max(q for _, q in curve) for curve in curves)
    first, second = (next(step for step, q in curve if q >= worse) for curve in curves)
    return first, second


def _quality(at: Mapping[str, float | None]) -> float | None:
    loss = at.get("dev_loss")
    return at.get("dev") if loss is None else -loss


def _share(rung: Rung, step: int) -> float:
    return step / steps_of(rung)
