"""What trains twice: evidence for each curation step, measured on dev rows that no step may touch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import DataError
from tunesmith.core.events import Emit, progress
from tunesmith.core.files import canonical, read_json, sha256_bytes
from tunesmith.core.findings import Finding
from tunesmith.core.predictions import Predictions
from tunesmith.evaluation import wording
from tunesmith.evaluation.arms import Arm, Replay, same
from tunesmith.evaluation.effects import WORTHWHILE, Effect, effect, family, mean_effect
from tunesmith.evaluation.trainers import ProbeTrainer, Trainer, Writer, nearest_writer, probe_trainer
from tunesmith.tasks import Task, is_costly
from tunesmith.tasks import task as tasks

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Bootstrap samples of the train rows beside the fit on all of them: their spread is known to about 16 %.
DRAWS = 20
EVIDENCE = "evidence.json"  # in the run folder
_FEWEST_JUDGED = 20


@dataclass(frozen=True)
class StepEvidence:
    """What one step's changes did to the score.

    left_out: all steps against all but this one. alone: this one against none. None: no difference in what is trained
    on or asked. touched: train rows by what was done. entangled: see `arms`. disputed: judged rows whose target the
    step holds to be wrong; own_view: `left_out` again, with those rows as the step has them (dropped ones left out).
    """

    step: str
    touched: Mapping[str, int]
    left_out: Effect | None
    alone: Effect | None
    entangled: int = 0
    disputed: int = 0
    own_view: Effect | None = None
    metric: str = "macro_f1"

    @property
    def claim(self) -> str:
        """What leaving it out says; "changed nothing" where there is nothing to compare.

        Credit is given by the labels as they came alone. Blame is not, where the step disputes some of those labels and
        would be right by its own view of them: then nothing can be told.
        """
        if self.left_out is None:
            return "changed nothing"
        return "cannot be told" if self.in_dispute else self.left_out.claim

    @property
    def in_dispute(self) -> bool:
        """Whether the answer hangs on who is right about the disputed dev rows."""
        one, other = self.left_out, self.own_view
        if one is None or other is None:
            return False
        return one.claim != "helps" and other.claim in ("helps", "cannot be told")

    @property
    def sentence(self) -> str:
        """The claim with its numbers, for people."""
        e = self.left_out
        if e is None:
            return f"{self.step} changed nothing that is trained on."
        said = signed(e, self.metric)
        if self.in_dispute:
            assert self.own_view is not None
            own = signed(self.own_view, self.metric)
            return (
                f"{self.step} cannot be told: {said} by the dev targets as they came, {own} by its own view of "
                f"{self.disputed:,} of them. A person's decision on those rows would settle it."
            )
        if e.claim in ("helps", "hurts"):
            name = wording.within(wording.metric(self.metric).title)
            scores = f"{name} {100 * e.with_:.1f} with it, {100 * e.without:.1f} without"
            return f"{self.step} {e.claim}: {scores}, {said}."
        if e.claim == "does not help":
            return f"{self.step} does not help: {said}; a gain of {100 * WORTHWHILE:g} point is ruled out."
        return (
            f"{self.step} cannot be told apart from doing nothing: {said}; the smallest effect that would have been "
            f"seen is {100 * e.detectable:.1f} points."
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "step": self.step, "claim": self.claim, "sentence": self.sentence, "touched": dict(self.touched),
            "left_out": None if self.left_out is None else self.left_out.to_dict(),
            "alone": None if self.alone is None else self.alone.to_dict(), "entangled": self.entangled,
            "disputed": self.disputed, "own_view": None if self.own_view is None else self.own_view.to_dict(),
        }  # fmt: skip


@dataclass(frozen=True)
class Evidence:
    """What curation did to the score, step by step and together. judged: dev rows; copied: left out as copies."""

    steps: tuple[StepEvidence, ...]
    together: Effect | None
    trained: str
    judged: int
    copied: int
    draws: int
    seconds: float
    metric: str = "macro_f1"

    def lines(self) -> list[str]:
        """What to tell: a line per step, then all steps together, then how it was judged."""
        if not self.steps:
            return ["No step changed anything, so there is nothing to measure."]
        told = [step.sentence for step in self.steps]
        if self.together is not None:
            told.append(f"All steps together, against the data as it came: {signed(self.together, self.metric)}.")
        entangled = sum(step.entangled for step in self.steps)
        if entangled:
            told.append(f"In {entangled:,} rows a later step builds on an earlier one; its change was left as it is.")
        return [*told, self.how]

    @property
    def how(self) -> str:
        """How it was judged, in words."""
        luck = f"and {self.draws} bootstrap samples of the train rows" if self.draws > 1 else "alone: one training each"
        copies = f"; {self.copied:,} more are not judged, for train holds a copy" if self.copied else ""
        return (
            f"Judged on the {self.judged:,} dev rows as they came{copies}. Trained: {self.trained}. The intervals are "
            f"over dev rows {luck}."
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "how": self.how, "lines": self.lines(),
            "metric": self.metric, "trained": self.trained, "judged": self.judged, "copied": self.copied,
            "draws": self.draws, "seconds": round(self.seconds, 2),
            "together": None if self.together is None else self.together.to_dict(),
            "steps": [step.to_dict() for step in self.steps],
        }  # fmt: skip


def signed(e: Effect, metric: str = "macro_f1") -> str:
    """The difference with its interval, in words."""
    low, high = (f"{100 * limit:+.1f}".replace("-", "\u2212") for limit in e.interval)
    return f"{wording.points(e.difference, metric)} (95 % interval {low} to {high})"


def evidence(
    before: Dataset,
    findings: Sequence[Finding],
    *,
    trainer: Callable[[tuple[str, ...]], Trainer] | Callable[[tuple[str, ...]], Writer] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    emit: Emit | None = None,
) -> Evidence:
    """Train with and without each step that changed something, and compare on dev rows.

    before: the ingest artifact; findings: what curation did, in order. trainer: makes a Trainer for these labels, or
    a Writer where answers are texts; None: the cheap probe. draws: bootstrap samples besides the fit on all rows; 0:
    the luck of training is unknown. Labels are judged by macro-F1, texts by the task's leading score of a row.
    Raises DataError for tasks whose answers are dear to judge or quote documents, and where dev has fewer than 20 rows.
    """
    began = time.monotonic()
    emit = emit or _quiet
    task = tasks.get(before.task)
    if task.output not in ("label", "text", "json") or is_costly(task):
        raise DataError(
            f"evidence is measured for one label and for texts, and not for the task {before.task}.",
            hint="answers of several labels, that quote documents or that are run to be judged are not measured here.",
        )
    replay = Replay(before, tuple(findings))
    steps = replay.steps
    if not steps:
        return Evidence((), None, "nothing", len(replay.judged), replay.copied, 0, time.monotonic() - began)
    if len(replay.judged) < _FEWEST_JUDGED:
        raise DataError(
            f"{len(replay.judged)} dev rows are too few to judge a step by; {_FEWEST_JUDGED} are needed.",
            hint="give a larger --dev file, or more rows.",
        )
    arms = {"all": replay.arm(steps), "none": replay.arm(())}
    for step in steps:
        arms[f"without {step}"] = replay.arm([s for s in steps if s != step])
        arms[f"only {step}"] = replay.arm([step])
    court: _Labels | _Texts
    if task.output == "label":
        court = _Labels.open(replay, arms, steps, cast("Callable[[tuple[str, ...]], Trainer] | None", trainer))
    else:
        court = _Texts.open(replay, arms, task, cast("Callable[[tuple[str, ...]], Writer] | None", trainer))
    said = _trained(arms, court, len(replay.ids), draws=draws, seed=seed, emit=emit)

    def compare(a: str, b: str, view: Sequence[str | None] = replay.truth) -> Effect | None:
        return None if same(arms[a], arms[b]) else court.compare(said[a], said[b], view, arms[a].ask)

    def by_its_own(step: str) -> tuple[int, Effect | None]:
        disputed = replay.disputed([step])
        if not disputed:
            return 0, None
        view = [disputed.get(row, target) for row, target in zip(replay.judged.tolist(), replay.truth, strict=True)]
        return len(disputed), compare("all", f"without {step}", view)

    left_out = _family([compare("all", f"without {step}") for step in steps])
    alone = _family([compare(f"only {step}", "none") for step in steps])
    told = tuple(
        StepEvidence(
            step, replay.touched.get(step, {}), out, one, arms[f"without {step}"].entangled, *by_its_own(step),
            metric=court.metric,
        )
        for step, out, one in zip(steps, left_out, alone, strict=True)
    )  # fmt: skip
    return Evidence(
        told, compare("all", "none"), court.about, len(replay.truth), replay.copied, draws, time.monotonic() - began,
        court.metric,
    )  # fmt: skip


@dataclass(frozen=True)
class _Labels:
    """Judges labels by macro-F1. new_name: (labels,) the code that each has after curation's renaming."""

    trainer: Trainer
    code: Mapping[str, int]
    new_name: NDArray[np.int64]
    metric: str = "macro_f1"

    @classmethod
    def open(
        cls, replay: Replay, arms: Mapping[str, Arm], steps: Sequence[str],
        trainer: Callable[[tuple[str, ...]], Trainer] | None,
    ) -> _Labels:  # fmt: skip
        suggested = {label for label in replay.disputed(steps).values() if label is not None}
        names = tuple(sorted({*replay.truth, *suggested, *(target for arm in arms.values() for target in arm.targets)}))
        code = {name: at for at, name in enumerate(names)}
        new_name = np.array([code[replay.renamed.get(name, name)] for name in names], dtype=np.int64)
        return cls(_probe(arms, names) if trainer is None else trainer(names), code, new_name)

    @property
    def about(self) -> str:
        return self.trainer.about

    def answers(self, arm: Arm, weights: NDArray[np.float64] | None) -> NDArray[np.int64]:
        found = self.trainer.answers(arm.texts, arm.targets, arm.ask, weights=weights)
        return np.where(found >= 0, self.new_name[found], -1)

    def compare(
        self, a: Sequence[NDArray[np.int64]], b: Sequence[NDArray[np.int64]], truth: Sequence[str | None],
        asked: Sequence[str],
    ) -> Effect:  # fmt: skip
        """The effect by these targets; a row without one (None) is left out."""
        del asked
        view = np.array([-1 if label is None else self.code.get(label, -1) for label in truth], dtype=np.int64)
        known = view >= 0
        one, other = np.stack(a)[:, known], np.stack(b)[:, known]
        return effect(view[known], one, other, len(self.code), draws="resampled")


@dataclass
class _Texts:
    """Judges written answers by the mean of the task's leading score of a row."""

    writer: Writer
    task: Task
    metric: str
    _known: dict[tuple[str | None, str, str], float] = field(default_factory=dict)

    @classmethod
    def open(
        cls, replay: Replay, arms: Mapping[str, Arm], task: Task,
        writer: Callable[[tuple[str, ...]], Writer] | None,
    ) -> _Texts:  # fmt: skip
        texts = [text for arm in arms.values() for part in (arm.texts, arm.ask) for text in part]
        scored = task.row_scores(Predictions((replay.truth[0],)), replay.truth[:1], arms["none"].ask[:1], ())
        metric = task.leads if task.leads in scored else next(iter(scored))
        return cls(nearest_writer(texts) if writer is None else writer(()), task, metric)

    @property
    def about(self) -> str:
        return self.writer.about

    def answers(self, arm: Arm, weights: NDArray[np.float64] | None) -> tuple[str | None, ...]:
        return self.writer.said(arm.texts, arm.targets, arm.ask, weights=weights)

    def compare(
        self, a: Sequence[tuple[str | None, ...]], b: Sequence[tuple[str | None, ...]], truth: Sequence[str | None],
        asked: Sequence[str],
    ) -> Effect:  # fmt: skip
        """The effect by these targets; a row without one (None) is left out."""
        one, other = (np.array([self._scores(said, truth, asked) for said in draws]) for draws in (a, b))
        return mean_effect(one, other, draws="resampled")

    def _scores(self, said: tuple[str | None, ...], truth: Sequence[str | None], asked: Sequence[str]) -> list[float]:
        """Of each row with a target; an answer is judged once, however many samples give it."""
        rows = [(s, t, q) for s, t, q in zip(said, truth, asked, strict=True) if t is not None]
        new = list(dict.fromkeys(row for row in rows if row not in self._known))
        if new:
            given = Predictions(tuple(s for s, _, _ in new))
            scores = self.task.row_scores(given, [t for _, t, _ in new], [q for _, _, q in new], ())[self.metric]
            self._known.update(zip(new, scores.tolist(), strict=True))
        return [self._known[row] for row in rows]


def evidence_key(before: Dataset, findings: Sequence[Finding]) -> str:
    """16 hex digits of what evidence depends on: the rows as they came and what was done to them."""
    done = [[f.step, f.id, f.action, f.field, f.fix, f.review] for f in findings]
    return sha256_bytes(canonical([before.fingerprint, done]))[:16]


def kept_evidence(folder: Path, before: Dataset, findings: Sequence[Finding]) -> dict[str, Any]:
    """{"evidence": as JSON} as it was measured earlier for just these rows and findings; {} if it was not."""
    path = folder / EVIDENCE
    if not path.exists():
        return {}
    known = read_json(path)
    return {"evidence": known} if known.get("of") == evidence_key(before, findings) else {}


def _probe(arms: Mapping[str, Arm], names: tuple[str, ...]) -> ProbeTrainer:
    texts = [text for arm in arms.values() for part in (arm.texts, arm.ask) for text in part]
    return probe_trainer(texts, (arms["none"].texts, arms["none"].targets), names)


def _trained(
    arms: Mapping[str, Arm], court: _Labels | _Texts, n: int, *, draws: int, seed: int, emit: Emit
) -> dict[str, list[Any]]:
    """Per arm the answers after training on all rows, then on each of `draws` bootstrap samples of them.

    Every arm takes the same number of copies of the same row. Arms that are equal are trained once.
    """
    rng = np.random.default_rng([seed, 17])
    samples = [None, *(rng.multinomial(n, np.full(n, 1 / n)).astype(np.float64) for _ in range(draws))]
    first: dict[str, str] = {}
    for name, arm in arms.items():
        first[name] = next((other for other in first.values() if same(arms[other], arm)), name)
    distinct = list(dict.fromkeys(first.values()))
    said: dict[str, list[Any]] = {name: [] for name in distinct}
    total = len(distinct) * len(samples)
    with progress(emit, "evidence", total) as tick:
        began = time.monotonic()
        for sample in samples:
            for name in distinct:
                arm = arms[name]
                said[name].append(court.answers(arm, None if sample is None else sample[arm.at]))
                tick(1)
                if sample is None and name == distinct[0]:
                    about = (time.monotonic() - began) * total
                    emit("note", text=f"evidence: {total} trainings of {court.about}, about {about:.0f} s")
    return {name: said[of] for name, of in first.items()}


def _family(found: Sequence[Effect | None]) -> list[Effect | None]:
    adjusted = iter(family([e for e in found if e is not None]))
    return [None if e is None else next(adjusted) for e in found]


def _quiet(event: str, **fields: Any) -> None:
    del event, fields
