"""Written answers that probably belong to another row, or that rows asking the same contradict."""

from __future__ import annotations

from typing import Any

import numpy as np

from tunesmith.core.dataset import Dataset
from tunesmith.core.findings import Finding
from tunesmith.data.contradictions import contradictions
from tunesmith.data.mismatch import mismatch
from tunesmith.data.steps import CannotRun, step
from tunesmith.data.vectors import ENCODER, reader, sentence_vectors

_FEWEST = 50  # rows that what goes with what can be learnt from
_MOST = 10_000  # rows that are judged together: more are taken in parts, in file order


@step("answers")
def answers(
    data: Dataset,
    *,
    least: float = 0.5,
    encoder: str = ENCODER,
    losses: Any = None,
    **options: Any,  # noqa: ARG001
) -> list[Finding]:
    """Flag train and dev rows whose answer is probably another row's, or contradicted by rows that ask nearly the same.

    least: probability from which an answer is taken for another row's (kind "mismatch"), 0 to 1; where the answer of
    another doubted row fits, it is suggested as the fix. A row is contradicted (kind "neighbours") by more
    rows than agree with it; the score is their share. encoder: whose vectors to read by; "none",
    or one that is not on this machine: words alone, and the reasons say so. losses: (train and dev rows with an answer,
    in table order) of a model that was not trained on the row, NaN where unknown; given by who calls this function, not
    in a config. Raises CannotRun for answers that are labels, and for fewer than 50 rows with an answer.
    """
    if data.labels:
        raise CannotRun("the answers are labels; label_errors looks for wrong ones.")
    splits = data.table["split"].to_numpy(zero_copy_only=False)
    targets = [(target or "").strip() for target in data.table["target"].to_pylist()]
    held = (splits == "train") | (splits == "dev")
    at = np.flatnonzero(held & np.array([bool(target) for target in targets], dtype=bool))
    if len(at) < _FEWEST:
        raise CannotRun(f"which answer goes with which input cannot be learnt from {len(at)} rows; it takes {_FEWEST}.")
    if losses is not None and len(losses) != len(at):
        raise CannotRun(f"there are {len(losses)} losses for {len(at)} rows with an answer.")
    found: list[Finding] = []
    ids, texts = data.table["id"].to_pylist(), data.table["text"].to_pylist()
    for part in np.array_split(np.arange(len(at)), -(-len(at) // _MOST)):
        rows = at[part].tolist()
        asked, given = [texts[row] or "" for row in rows], [targets[row] for row in rows]
        vectors, reads = None, None
        if encoder != "none":
            one, other = sentence_vectors(asked, encoder=encoder), sentence_vectors(given, encoder=encoder)
            vectors = None if one is None or other is None else (one, other)
            reads = None if vectors is None else reader(encoder)
        seen = mismatch(asked, given, vectors, losses=None if losses is None else np.asarray(losses)[part])
        by = "" if vectors is not None else "; judged by words alone, without a sentence encoder"
        for row in np.flatnonzero(seen.probability >= least).tolist():
            chance, partner = float(seen.probability[row]), int(seen.partner[row])
            reason = f"the answer goes with another input with probability {chance:.2f}"
            if partner >= 0:
                reason += f"; the answer of row {ids[rows[partner]]} fits"
            fix = given[partner] if partner >= 0 else None
            found.append(Finding("answers", ids[rows[row]], "flag", reason + by, chance, fix, kind="mismatch",
                                 field="text" if fix is None else "target"))  # fmt: skip
        for clash in contradictions(asked, given, reads):
            reason = f"row {ids[rows[clash.other]]} asks nearly the same and has another answer: {clash.why}"
            found.append(Finding("answers", ids[rows[clash.row]], "flag", reason, clash.share, kind="neighbours"))
    return sorted(found, key=lambda finding: (-finding.score, finding.id, finding.kind))
