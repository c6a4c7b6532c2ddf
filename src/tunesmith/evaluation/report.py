"""The Report: what the test said, with its verdict, and the report.json that other tools read.

The keys at the top of report.json are a contract (docs/stages/evaluate.md); everything that is only
for people and the page lies under "details".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tunesmith.core.checks import Check
from tunesmith.core.files import read_json, write_json
from tunesmith.core.meter import Cost
from tunesmith.evaluation.verdict import Comparison, Verdict

VERSION = 1
_IN_CONTRACT = ("a", "b", "metric", "difference", "interval", "p_value", "p_adjusted", "test", "n")
_BESIDE = ("score_a", "score_b", "detectable", "needs_n")


def _not_keyed(default: Any) -> Any:
    return field(default=default, metadata={"key": False})


@dataclass(frozen=True)
class History:
    """What happened in the run before *evaluate*; told in the report, part of no key.

    decisions: (what, choice, why). seconds: wall time by stage. folder: the run's, as the user named it.
    """

    checks: tuple[Check, ...] = _not_keyed(())
    decisions: tuple[tuple[str, str, str], ...] = _not_keyed(())
    seconds: Mapping[str, float] = field(default_factory=dict, metadata={"key": False})
    budget_s: float | None = _not_keyed(None)
    forecast: tuple[Mapping[str, Any], ...] = _not_keyed(())
    folder: str = _not_keyed("")


@dataclass(frozen=True)
class Score:
    """One metric over n test rows, with its 95 % interval (None where the metric gives none)."""

    value: float
    interval: tuple[float, float] | None
    n: int


@dataclass(frozen=True)
class SystemResult:
    """One rung on the test. status: "full", "subset" (trained or scored on fewer rows) or "not run"."""

    name: str
    kind: str
    status: str
    base: str | None = None
    method: str | None = None
    n: int = 0
    scores: Mapping[str, Score] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)


@dataclass(frozen=True)
class Report:
    """Scores against baselines with the verdict. counts: rows, train, dev, test. details: for people and the page."""

    task: str
    leads: str
    counts: Mapping[str, int]
    fingerprint: str
    verdict: Verdict
    systems: tuple[SystemResult, ...]
    checks: tuple[Check, ...] = ()
    decisions: tuple[tuple[str, str, str], ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def winner(self) -> str:
        """The system that ships."""
        return self.verdict.winner

    @property
    def claim(self) -> str | None:
        """better, worse, no evidence, underpowered (needs n = N); None when nothing was tuned."""
        return self.verdict.claim

    @property
    def sentence(self) -> str:
        """The verdict for people."""
        return self.verdict.sentence

    def __getitem__(self, name: str) -> SystemResult:
        """The system of that name."""
        return next(system for system in self.systems if system.name == name)

    def summary(self) -> str:
        """One line for the command line."""
        return self.sentence

    def with_checks(self, checks: Iterable[Check]) -> Report:
        """The same report with more checks, after those that it has."""
        return replace(self, checks=(*self.checks, *checks))

    def with_decisions(self, decisions: Iterable[tuple[str, str, str]]) -> Report:
        """The same report with more decisions (what, choice, why)."""
        return replace(self, decisions=(*self.decisions, *decisions))

    def to_json(self) -> dict[str, Any]:
        """The object of report.json. A number that is not finite becomes null."""
        v = self.verdict
        made = {
            "version": VERSION,
            "task": self.task,
            "data": {**self.counts, "fingerprint": self.fingerprint},
            "verdict": {
                "winner": v.winner,
                "against": v.against,
                "claim": v.claim,
                "difference": v.difference,
                "interval": v.interval,
                "p_value": v.p_value,
                "n": v.n,
                "sentence": v.sentence,
            },
            "comparisons": [{key: getattr(c, key) for key in _IN_CONTRACT} for c in v.comparisons],
            "systems": [
                {
                    "name": s.name,
                    "kind": s.kind,
                    "base": s.base,
                    "method": s.method,
                    "status": s.status,
                    "n": s.n,
                    "scores": {
                        metric: {"value": score.value, "interval": score.interval, "n": score.n}
                        for metric, score in s.scores.items()
                    },
                    "cost": s.cost.to_dict(),
                }
                for s in self.systems
            ],
            "checks": [check.to_dict() for check in self.checks],
            "decisions": [{"what": what, "choice": choice, "why": why} for what, choice, why in self.decisions],
            "leads": self.leads,
            "details": {
                **self.details,
                "verdict": {
                    "candidate": v.candidate,
                    "reference": v.reference,
                    "metric": v.metric,
                    "comparisons": [{key: getattr(c, key) for key in _BESIDE} for c in v.comparisons],
                    "guards": [vars(guard) for guard in v.guards],
                },
            },
        }
        plain: dict[str, Any] = _plain(made)
        return plain

    def save(self, folder: Path) -> None:
        """Write report.json."""
        write_json(folder / "report.json", self.to_json())

    @classmethod
    def load(cls, path: Path) -> Report:
        """From report.json or the folder that it lies in."""
        return cls.from_json(read_json(path / "report.json" if path.is_dir() else path))

    @classmethod
    def from_json(cls, about: Mapping[str, Any]) -> Report:
        """The Report that `to_json` gave."""
        data = dict(about["data"])
        details = dict(about["details"])
        return cls(
            task=about["task"],
            leads=about["leads"],
            fingerprint=data.pop("fingerprint"),
            counts=data,
            verdict=_verdict(about["verdict"], about["comparisons"], details.pop("verdict")),
            systems=tuple(_system(row) for row in about["systems"]),
            checks=tuple(Check.from_dict(row) for row in about["checks"]),
            decisions=tuple((row["what"], row["choice"], row["why"]) for row in about["decisions"]),
            details=details,
        )


def _verdict(about: Mapping[str, Any], comparisons: Iterable[Mapping[str, Any]], more: Mapping[str, Any]) -> Verdict:
    from tunesmith.evaluation.verdict import Guard

    rows: list[dict[str, Any]] = [
        {key: math.nan if value is None else value for key, value in {**row, **beside}.items()}
        for row, beside in zip(comparisons, more["comparisons"], strict=True)
    ]
    return Verdict(
        **{**about, "interval": _pair(about["interval"])},
        candidate=more["candidate"],
        reference=more["reference"],
        metric=more["metric"],
        comparisons=tuple(Comparison(**{**row, "interval": tuple(row["interval"])}) for row in rows),
        guards=tuple(Guard(**row) for row in more["guards"]),
    )


def _system(row: Mapping[str, Any]) -> SystemResult:
    scores = {
        metric: Score(math.nan if s["value"] is None else s["value"], _pair(s["interval"]), s["n"])
        for metric, s in row["scores"].items()
    }
    return SystemResult(**{**row, "scores": scores, "cost": Cost(**row["cost"])})


def _pair(value: Any) -> tuple[float, float] | None:
    return None if value is None else (value[0], value[1])


def _plain(value: Any) -> Any:
    """JSON's own kinds: tuples as lists, numpy scalars as numbers, NaN and infinity as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [_plain(item) for item in value]
        # An interval that is unknown at one end is unknown.
        return None if len(items) == 2 and None in items and all(isinstance(v, float) for v in value) else items
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
