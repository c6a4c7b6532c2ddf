"""What trains twice: evidence for each curation step, measured on dev rows that no step may touch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import DataError
from tunesmith.core.events import Emit, progress
from tunesmith.core.files import canonical, read_json, sha256_bytes
from tunesmith.core.findings import Finding
from tunesmith.evaluation import wording
from tunesmith.evaluation.arms import Arm, Replay, codes_of, same
from tunesmith.evaluation.effects import WORTHWHILE, Effect, effect, family
from tunesmith.evaluation.trainers import ProbeTrainer, Trainer, probe_trainer

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
        said = signed(e)
        if self.in_dispute:
            assert self.own_view is not None
            return (
                f"{self.step} cannot be told: {said} by the dev labels as they came, {signed(self.own_view)} by its "
                f"own view of {self.disputed:,} of them. A person's decision on those rows would settle it."
            )
        if e.claim in ("helps", "hurts"):
            scores = f"macro-F1 {100 * e.with_:.1f} with it, {100 * e.without:.1f} without"
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

    def lines(self) -> list[str]:
        """What to tell: a line per step, then all steps together, then how it was judged."""
        if not self.steps:
            return ["No step changed anything, so there is nothing to measure."]
        told = [step.sentence for step in self.steps]
        if self.together is not None:
            told.append(f"All steps together, against the data as it came: {signed(self.together)}.")
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
            "metric": "macro_f1", "trained": self.trained, "judged": self.judged, "copied": self.copied,
            "draws": self.draws, "seconds": round(self.seconds, 2),
            "together": None if self.together is None else self.together.to_dict(),
            "steps": [step.to_dict() for step in self.steps],
        }  # fmt: skip


def signed(e: Effect) -> str:
    """The difference with its interval, in words."""
    low, high = (f"{100 * limit:+.1f}".replace("-", "\u2212") for limit in e.interval)
    return f"{wording.points(e.difference, 'macro_f1')} (95 % interval {low} to {high})"


def evidence(
    before: Dataset,
    findings: Sequence[Finding],
    *,
    trainer: Callable[[tuple[str, ...]], Trainer] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    emit: Emit | None = None,
) -> Evidence:
    """Train with and without each step that changed something, and compare on dev rows.

    before: the ingest artifact; findings: what curation did, in order. trainer: makes a Trainer for these labels;
    None: the cheap probe. draws: bootstrap samples besides the fit on all rows; 0: the luck of training is unknown.
    Raises DataError for text tasks, and where dev has fewer than 20 rows to judge by.
    """
    began = time.monotonic()
    emit = emit or _quiet
    if before.task != "classify":
        raise DataError(
            f"evidence is measured for labels, and this data's task is {before.task}.",
            hint="the cheap probe gives labels; of written answers nothing is measured here.",
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
    truth = replay.truth
    suggested = {label for label in replay.disputed(steps).values() if label is not None}
    names = tuple(sorted({*truth, *suggested, *(target for arm in arms.values() for target in arm.targets)}))
    trained: Trainer = _probe(arms, names) if trainer is None else trainer(names)
    code = {name: at for at, name in enumerate(names)}
    new_name = np.array([code[replay.renamed.get(name, name)] for name in names], dtype=np.int64)
    said = _trained(arms, trained, len(replay.ids), new_name, draws=draws, seed=seed, emit=emit)
    right = codes_of(truth, code)

    def compare(a: str, b: str, view: NDArray[np.int64] = right) -> Effect | None:
        if same(arms[a], arms[b]):
            return None
        known = view >= 0
        return effect(view[known], said[a][:, known], said[b][:, known], len(names), draws="resampled")

    def by_its_own(step: str) -> tuple[int, Effect | None]:
        disputed = replay.disputed([step])
        if not disputed:
            return 0, None
        labels = (disputed.get(row, label) for row, label in zip(replay.judged.tolist(), truth, strict=True))
        view = np.array([-1 if label is None else code[label] for label in labels], dtype=np.int64)
        return len(disputed), compare("all", f"without {step}", view)

    left_out = _family([compare("all", f"without {step}") for step in steps])
    alone = _family([compare(f"only {step}", "none") for step in steps])
    told = tuple(
        StepEvidence(step, replay.touched.get(step, {}), out, one, arms[f"without {step}"].entangled, *by_its_own(step))
        for step, out, one in zip(steps, left_out, alone, strict=True)
    )
    return Evidence(
        told, compare("all", "none"), trained.about, len(right), replay.copied, draws, time.monotonic() - began
    )


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
    arms: Mapping[str, Arm],
    trainer: Trainer,
    n: int,
    new_name: NDArray[np.int64],
    *,
    draws: int,
    seed: int,
    emit: Emit,
) -> dict[str, NDArray[np.int64]]:
    """Per arm (1 + draws, judged rows): the answers after training on all rows, then on bootstrap samples of them.

    Every arm takes the same number of copies of the same row. Arms that are equal are trained once.
    """
    rng = np.random.default_rng([seed, 17])
    samples = [None, *(rng.multinomial(n, np.full(n, 1 / n)).astype(np.float64) for _ in range(draws))]
    first: dict[str, str] = {}
    for name, arm in arms.items():
        first[name] = next((other for other in first.values() if same(arms[other], arm)), name)
    distinct = list(dict.fromkeys(first.values()))
    said: dict[str, list[NDArray[np.int64]]] = {name: [] for name in distinct}
    total = len(distinct) * len(samples)
    with progress(emit, "evidence", total) as tick:
        began = time.monotonic()
        for sample in samples:
            for name in distinct:
                arm = arms[name]
                weights = None if sample is None else sample[arm.at]
                found = trainer.answers(arm.texts, arm.targets, arm.ask, weights=weights)
                said[name].append(np.where(found >= 0, new_name[found], -1))
                tick(1)
                if sample is None and name == distinct[0]:
                    about = (time.monotonic() - began) * total
                    emit("note", text=f"evidence: {total} trainings of {trainer.about}, about {about:.0f} s")
    return {name: np.stack(said[of]) for name, of in first.items()}


def _family(found: Sequence[Effect | None]) -> list[Effect | None]:
    adjusted = iter(family([e for e in found if e is not None]))
    return [None if e is None else next(adjusted) for e in found]


def _quiet(event: str, **fields: Any) -> None:
    del event, fields
