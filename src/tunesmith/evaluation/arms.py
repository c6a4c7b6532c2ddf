"""The data as it would be with some curation steps and without others, from the findings that curation wrote down.

What a step did is done again, or left out, finding by finding; no step runs again. A step that looks at what an earlier
one left would have found a little else without it: where a later change builds on one that is left out, the later value
is taken as it stands, and how many rows that concerns is said (`Arm.entangled`).

Dev rows are never dropped or relabelled here. All arms are judged on the dev rows as they came, by their targets as
they came, so that no step gains by deleting what is hard or by grading its own corrections. Three things are done to
them, alike in every arm: a person's decision on a target holds; a label that a step renamed wherever it stood is
renamed; and dev rows of which train holds a copy are left out. Their *texts* are mended by the arm's own steps, as the
inputs of a deployed model are.

Where dev labels are wrong in the way that train labels are, a step that corrects both loses by the labels as they came.
So the rows that a step disputes are kept apart (`Replay.disputed`): an experiment also looks at them as the step does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.core.dataset import Dataset
from tunesmith.core.findings import Finding
from tunesmith.data.duplicates import copies_of, near_groups_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Arm:
    """Train rows and the texts to judge by, after some steps.

    at: (m,) positions of the train rows in `Replay.train`, so that arms can be sampled alike. ask: one text per judged
    row. entangled: rows in which a later change builds on one that was left out.
    """

    at: NDArray[np.int64]
    texts: tuple[str, ...]
    targets: tuple[str, ...]
    ask: tuple[str, ...]
    entangled: int = 0


@dataclass(frozen=True)
class Replay:
    """A Dataset as it came and what was done to it. before: the ingest artifact; findings: in the order done."""

    before: Dataset
    findings: Sequence[Finding]

    @cached_property
    def ids(self) -> NDArray[np.int64]:
        """(n,) ids of the train rows as they came: what `Arm.at` counts."""
        return self.before.rows("train").ids

    @cached_property
    def steps(self) -> tuple[str, ...]:
        """The steps that changed a train row or a text to be judged by, in order."""
        inside = {*self.ids.tolist(), *self.judged.tolist()}
        trained = set(self.ids.tolist())
        return tuple(
            dict.fromkeys(
                f.step
                for f in self.findings
                if (f.action == "drop" and f.id in trained)
                or (f.action == "fix" and (f.id in trained or (f.field == "text" and f.id in inside)))
            )
        )

    @cached_property
    def touched(self) -> dict[str, dict[str, int]]:
        """step -> how many train rows it dropped, relabelled and changed the text of."""
        trained = set(self.ids.tolist())
        told: dict[str, dict[str, int]] = {}
        for f in self.findings:
            if f.id in trained and f.action in ("drop", "fix"):
                what = "dropped" if f.action == "drop" else "relabelled" if f.field == "target" else "mended"
                counts = told.setdefault(f.step, {})
                counts[what] = counts.get(what, 0) + 1
        return told

    @cached_property
    def judged(self) -> NDArray[np.int64]:
        """Ids of the dev rows that arms are judged on: all that came, but those of which train holds a copy."""
        splits = self.before.table["split"].to_numpy(zero_copy_only=False)
        used = np.flatnonzero((splits == "train") | (splits == "dev"))
        part = self.before.table.take(used)
        groups = near_groups_of(self.before, used)
        copied = copies_of(part["text"].to_pylist(), groups, splits[used] == "train")
        return np.asarray(part["id"].to_numpy()[(splits[used] == "dev") & ~copied], dtype=np.int64)

    @cached_property
    def copied(self) -> int:
        """Dev rows that are not judged because train holds a copy of them."""
        return self.before.count("dev") - len(self.judged)

    @cached_property
    def renamed(self) -> dict[str, str]:
        """Labels that a step renamed wherever they stood in train and dev, as the last step left them.

        None of a text task: an answer that occurs once would be "renamed" by whatever mends it, and grade itself.
        """
        if not self.before.labels:
            return {}
        dev = self.before.rows("dev")
        rows = self.before.rows("train") + dev
        now = dict(zip(rows.ids.tolist(), rows.targets, strict=True))
        names = {label: label for label in set(now.values())}
        for step in dict.fromkeys(f.step for f in self.findings):
            fixes = {f.id: f.fix for f in self.findings if f.step == step and f.action == "fix" and f.field == "target"}
            goes: dict[str, set[str | None]] = {}
            for row, label in now.items():
                goes.setdefault(label, set()).add(fixes.get(row, label))
            whole = {old: str(next(iter(new))) for old, new in goes.items() if len(new) == 1 and new != {old}}
            names = {first: whole.get(last, last) for first, last in names.items()}
            now |= {row: str(fix) for row, fix in fixes.items() if row in now and fix is not None}
        return {old: new for old, new in names.items() if old != new}

    @cached_property
    def truth(self) -> tuple[str, ...]:
        """The targets of the judged rows, in their order."""
        by_people = {
            f.id: f.fix
            for f in self.findings
            if f.action == "fix" and f.field == "target" and f.review in ("edit", "accept")
        }
        rows = self.before.rows("dev")
        known = dict(zip(rows.ids.tolist(), rows.targets, strict=True))
        found = [by_people.get(i) or known[i] for i in self.judged.tolist()]
        return tuple(self.renamed.get(label, label) for label in found)

    def disputed(self, steps: Collection[str]) -> dict[int, str | None]:
        """Judged rows whose target these steps hold to be wrong: id -> what they would have it be; None: they drop it.

        What a person decided is no longer in dispute.
        """
        judged = set(self.judged.tolist())
        found: dict[int, str | None] = {}
        for f in self.findings:
            if f.step not in steps or f.id not in judged or f.review is not None:
                continue
            if f.action == "drop":
                found[f.id] = None
            elif f.field == "target" and f.fix is not None and f.action in ("fix", "flag"):
                found[f.id] = self.renamed.get(f.fix, f.fix)
        truth = dict(zip(self.judged.tolist(), self.truth, strict=True))
        return {row: label for row, label in found.items() if truth[row] != label}

    def arm(self, steps: Collection[str]) -> Arm:
        """The rows with what these steps did, and nothing else."""
        train, dev = self.before.rows("train"), self.before.rows("dev")
        texts = dict(zip((train + dev).ids.tolist(), (train + dev).texts, strict=True))
        targets = dict(zip(train.ids.tolist(), train.targets, strict=True))
        dropped: set[int] = set()
        entangled: set[int] = set()
        for f in self.findings:
            if f.step not in steps or f.id not in texts:
                continue
            if f.action == "drop":
                dropped.add(f.id)
            elif f.action == "fix" and f.fix is not None:
                column = texts if f.field == "text" else targets
                if f.id not in column:
                    continue
                if f.was is not None and column[f.id] != f.was:
                    entangled.add(f.id)
                column[f.id] = f.fix
        ids = train.ids.tolist()
        at = np.array([i for i, row in enumerate(ids) if row not in dropped], dtype=np.int64)
        return Arm(
            at, tuple(texts[ids[i]] for i in at), tuple(targets[ids[i]] for i in at),
            tuple(texts[row] for row in self.judged.tolist()), len(entangled - dropped),
        )  # fmt: skip


def same(a: Arm, b: Arm) -> bool:
    """Whether two arms train on and answer the same."""
    return a.texts == b.texts and a.targets == b.targets and a.ask == b.ask and np.array_equal(a.at, b.at)


def codes_of(values: Sequence[str], names: Mapping[str, int]) -> NDArray[np.int64]:
    """(n,) the code of each label; -1 for one that is not among them."""
    return np.array([names.get(value, -1) for value in values], dtype=np.int64)
