"""Train and dev rows whose label is probably wrong."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

import numpy as np

from tunesmith.core.dataset import Dataset
from tunesmith.core.findings import Action, Finding
from tunesmith.data.label_errors import MOST_NUMBERS, action_for, score_labels
from tunesmith.data.ngrams import ngram_vectors
from tunesmith.data.steps import CannotRun, step
from tunesmith.data.vectors import ENCODER, sentence_vectors

_FEWEST = 30  # labelled rows; fewer say nothing of each other
_FEWEST_OF_A_LABEL = 3  # a label of one or two rows cannot be learned from the others, so each would look wrong
_MOST_EMBEDDED = 100_000  # rows read with the sentence encoder; beyond, n-grams alone


@step("label_errors")
def label_errors(
    data: Dataset,
    *,
    action: Literal["flag", "auto"] = "flag",
    least: float = 0.5,
    encoder: str = ENCODER,
    probabilities: Any = None,
    **options: Any,  # noqa: ARG001
) -> list[Finding]:
    """Flag rows whose label is wrong with a probability of `least` or more, with the likeliest label as the fix.

    action: "flag", or "auto" to relabel where another label is sure enough and to drop where only the given one is
    surely wrong. A row that this step relabelled before is only flagged. encoder: whose vectors to judge by; "none",
    or one that is not on this machine, or 100,000 rows and more: n-grams alone, and the reasons say so.
    probabilities: (train and dev rows that have a label, in table order; labels in the order of `data.labels`), of a
    model that was not trained on the row (cross-fitted); given by who calls this function, not in a config.
    Raises CannotRun without labels, with too few rows or only one label.
    """
    if data.task == "tag":
        raise CannotRun("texts have several labels, and this step judges one per text.")
    if len(data.labels) < 2:
        raise CannotRun("label errors need rows with one of at least two labels.")
    splits = data.table["split"].to_numpy(zero_copy_only=False)
    targets = np.array([target or "" for target in data.table["target"].to_pylist()], dtype=object)
    known = np.isin(targets, np.array(data.labels, dtype=object))
    labelled = np.flatnonzero(((splits == "train") | (splits == "dev")) & known)
    often = {label for label, n in Counter(targets[labelled].tolist()).items() if n >= _FEWEST_OF_A_LABEL}
    judged = np.array([target in often for target in targets[labelled]], dtype=bool)
    at = labelled[judged]
    if len(at) < _FEWEST or len(often) < 2:
        raise CannotRun(
            f"label errors need {_FEWEST} rows of two labels with {_FEWEST_OF_A_LABEL} rows each; there are {len(at)} "
            f"rows of {len(often)} such labels."
        )
    if len(at) * len(often) > MOST_NUMBERS:
        raise CannotRun(f"{len(at):,} rows of {len(often):,} labels are more than can be judged at once.")
    names = [label for label in data.labels if label in often]
    place = {label: code for code, label in enumerate(names)}
    codes = np.array([place[target] for target in targets[at]], dtype=np.int64)
    part = data.table.take(at)
    texts = [text or "" for text in part["text"].to_pylist()]
    vectors = sentence_vectors(texts, encoder=encoder) if encoder != "none" and len(at) < _MOST_EMBEDDED else None
    if probabilities is not None:
        kept = [data.labels.index(name) for name in names]
        probabilities = np.asarray(probabilities, dtype=np.float64)[judged][:, kept]
    scores = score_labels(vectors, ngram_vectors(texts), codes, len(names), probabilities=probabilities)
    by = "" if vectors is not None else "; judged by n-grams alone, without a sentence encoder"
    found = []
    changes, ids = part["changes"].to_pylist(), part["id"].to_pylist()
    suspects = np.flatnonzero(scores.probability >= least)
    for row in suspects[np.argsort(-scores.score[suspects], kind="stable")]:
        wrong, sure = float(scores.probability[row]), float(scores.confidence[row])
        given, likelier = names[codes[row]], names[scores.proposed[row]]
        reason = f"'{given}' is wrong with probability {wrong:.2f}; '{likelier}' is likeliest ({sure:.2f}){by}"
        done: Action = "flag"
        if action == "auto" and "label_errors" not in (changes[row] or []):
            done = action_for(wrong, sure)
        found.append(Finding("label_errors", ids[row], done, reason, wrong, likelier, field="target"))
    return found
