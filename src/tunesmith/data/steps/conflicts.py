"""Rows that ask the same, word for word or nearly, and have different answers: one of the answers is wrong."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any, Literal

import numpy as np

from tunesmith.core.dataset import Dataset
from tunesmith.core.findings import Action, Finding
from tunesmith.data.duplicates import normalise
from tunesmith.data.near import Near, near_pairs
from tunesmith.data.steps import CannotRun, step
from tunesmith.data.wording import jaccard

# Where this share of the repeated questions has several answers, that is how the data was made (several references).
_BY_DESIGN, _FEWEST = 0.5, 10
_MOST_NAMED = 3


@step("conflicts")
def conflicts(
    data: Dataset,
    *,
    keep: Literal["all", "majority", "none"] = "all",
    **options: Any,  # noqa: ARG001
) -> list[Finding]:
    """Flag train and dev rows whose text another row repeats, or nearly repeats (kind "near"), with another answer.

    keep: of train rows with equal texts "all", those with the answer that more than half of the rows have ("majority";
    none where no answer has it), or "none". Nearly equal ones are only flagged. Where an answer has the majority and
    answers are labels, it is suggested as the fix. Written answers that equal each other after normalising, or are near
    copies, do not conflict.
    """
    splits = data.table["split"].to_numpy(zero_copy_only=False)
    part = data.table.take(np.flatnonzero((splits == "train") | (splits == "dev")))
    ids, parts = part["id"].to_pylist(), part["split"].to_pylist()
    targets = [target or "" for target in part["target"].to_pylist()]
    if not any(targets):
        raise CannotRun("conflicts need answers, and no row has one.")
    found = near_pairs(part["text"].to_pylist())
    answers = _answers(targets, written=not data.labels)
    members: dict[int, list[int]] = defaultdict(list)
    for at, number in enumerate(found.exact.tolist()):
        members[number].append(at)
    surety = 0.4 if not data.labels and _several_by_design(members, answers) else 1.0
    findings: dict[int, Finding] = {}
    for group in members.values():
        if len({answers[at] for at in group}) < 2:
            continue
        usual = _majority([answers[at] for at in group])
        meant = next((targets[at] for at in group if answers[at] == usual), None) if data.labels else None
        for at in group:
            agrees = answers[at] == usual
            action: Action = "drop" if parts[at] == "train" and keep != "all" else "flag"
            if keep == "majority" and agrees:
                action = "flag"
            others = [other for other in group if answers[other] != answers[at]]
            reason = f"the same text also has the answer {_named(others, targets, ids)}"
            score = surety * _apart(targets, at, others, written=not data.labels)
            fix = None if agrees else meant
            findings[at] = Finding("conflicts", ids[at], action, reason, score, fix, field="target" if fix else "text")
    for at, other, score in _near_conflicts(found, members, answers):
        reason = f"nearly the same text has the answer {_named([other], targets, ids)}"
        near = Finding("conflicts", ids[at], "flag", reason, round(0.9 * surety * score, 3), kind="near")
        findings.setdefault(at, near)
    return [findings[at] for at in sorted(findings)]


def _answers(targets: list[str], *, written: bool) -> list[int]:
    """Equal numbers for answers that do not contradict each other."""
    if written:
        return [int(number) for number in near_pairs(targets).groups()]
    number: dict[str, int] = {}
    return [number.setdefault(target, len(number)) for target in targets]


def _near_conflicts(found: Near, members: dict[int, list[int]], answers: list[int]) -> list[tuple[int, int, float]]:
    """(row, row with another answer, how alike their texts are) for both rows of each pair of texts."""
    out = []
    for pair in found.pairs:
        for own, others in ((pair.one, pair.other), (pair.other, pair.one)):
            theirs = {answers[at]: at for at in reversed(members[others])}
            for at in members[own]:
                other = next((theirs[a] for a in theirs if a != answers[at]), None)
                if other is not None and answers[at] not in theirs:
                    out.append((at, other, pair.score))
    return out


def _several_by_design(members: dict[int, list[int]], answers: list[int]) -> bool:
    repeated = [group for group in members.values() if len(group) > 1]
    several = sum(len({answers[at] for at in group}) > 1 for group in repeated)
    return len(repeated) >= _FEWEST and several >= _BY_DESIGN * len(repeated)


def _majority(answers: list[int]) -> int | None:
    answer, count = Counter(answers).most_common(1)[0]
    return answer if 2 * count > len(answers) else None


def _apart(targets: list[str], at: int, others: list[int], *, written: bool) -> float:
    """How far the answers are apart: 1 for labels, less for written answers that share much of their text."""
    if not written:
        return 1.0
    own = normalise(targets[at])
    return round(1 - min(jaccard(own, normalise(targets[other])) for other in others[:_MOST_NAMED]), 3)


def _named(others: list[int], targets: list[str], ids: list[int]) -> str:
    shown: dict[str, int] = {}
    for other in others:
        shown.setdefault(targets[other], ids[other])
    names = sorted(shown.items(), key=lambda item: item[1])
    text = ", ".join(f"{target[:60]!r} (row {row})" for target, row in names[:_MOST_NAMED])
    return text + (f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else "")
