"""Give each text one label of a closed set."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.core.predictions import Predictions
from tunesmith.core.statistics import macro_f1
from tunesmith.tasks import Averaged, Message, Prompt, task, turns
from tunesmith.tasks.metrics import all_labels, brier, codes, expected_calibration_error, log_loss

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Labels longer than this are sentences; a table with them is about writing, not choosing.
_LONGEST_LABEL = 60
_LABELS_IN_ONE_LINE = 8


class Classify(Averaged):
    """One label per text. Leads with macro-F1, so that rare labels count as much as common ones."""

    name = "classify"
    leads = "macro_f1"
    output = "label"
    lower: tuple[str, ...] = ("brier", "log_loss", "ece")
    guards: tuple[str, ...] = ()

    def detect(self, targets: Sequence[str], inputs: Sequence[str]) -> float:
        """Sure when a few short labels come back again and again; 0 when most targets are unlike each other."""
        counts = Counter(t.strip() for t in targets if t.strip())
        rows = sum(counts.values())
        if rows < 2 or len(counts) < 2:
            return 0.0
        longest = sorted(len(label) for label in counts)[int(0.9 * (len(counts) - 1))]
        brevity = 1.0 if longest <= _LONGEST_LABEL else max(0.0, 1 - (longest - _LONGEST_LABEL) / _LONGEST_LABEL)
        repeated = sum(n for n in counts.values() if n > 1) / rows
        # Ten rows a label are plenty, two are hardly a pattern.
        depth = min(1.0, rows / len(counts) / 5)
        return float(brevity * repeated * depth)

    def prompt(self, labels: Sequence[str], *, inputs: Sequence[str], target: str) -> Prompt:
        """The labels stand in the system turn, which all rows share; the row's text alone follows."""
        what = humanise(target) or "label"
        if len(labels) <= _LABELS_IN_ONE_LINE:
            listed = ", ".join(labels)
            wording = f"Read the text and give its {what}. Answer with exactly one of: {listed}."
        else:
            listed = "\n".join(labels)
            wording = f"Read the text and give its {what}. Answer with exactly one line of this list:\n{listed}"
        return Prompt(wording, tuple(labels))

    def render(self, text: str, prompt: Prompt) -> list[Message]:
        return turns(text, prompt)

    def parse(self, answer: str, prompt: Prompt) -> str | None:
        """The label that the answer is (whatever its case, punctuation or leading "Label:"), else the one it names."""
        said = answer.strip()
        if said in prompt.labels:
            return said
        plain: dict[str, str | None] = {}
        for label in prompt.labels:
            key = _plain(label)
            plain[key] = None if key in plain else label  # two labels that differ in case only: no guessing
        first = said.splitlines()[0] if said else ""
        for candidate in (said, first, first.partition(":")[2]):
            found = plain.get(_plain(candidate))
            if found is not None and _plain(candidate):
                return found
        words = f" {_plain(first)} "
        named = [(key, label) for key, label in plain.items() if key and label is not None and f" {key} " in words]
        # "card not working" names "card" too: only the labels that are no part of another named one count.
        outer = {label for key, label in named if not any(key != k and f" {key} " in f" {k} " for k, _ in named)}
        return outer.pop() if len(outer) == 1 else None

    def row_scores(
        self, predictions: Predictions, references: Sequence[str], sources: Sequence[str], labels: Sequence[str]
    ) -> Mapping[str, NDArray[np.float64]]:
        """accuracy; brier and log_loss (natural logarithm) where there are probabilities."""
        right = np.array([v == r for v, r in zip(predictions.values, references, strict=True)], dtype=np.float64)
        scores = {"accuracy": right}
        if predictions.probabilities is not None:
            truth = codes(references, labels)
            scores["brier"] = brier(predictions.probabilities, truth)
            scores["log_loss"] = log_loss(predictions.probabilities, truth)
        return scores

    def corpus_scores(
        self, predictions: Predictions, references: Sequence[str], sources: Sequence[str], labels: Sequence[str]
    ) -> Mapping[str, Callable[[NDArray[np.int64]], float]]:
        """macro_f1 over the labels that occur in the references; ece over 15 groups of equal size."""
        names = all_labels(labels, references, predictions.values)
        truth, said = codes(references, names), codes(predictions.values, names)
        scores: dict[str, Callable[[NDArray[np.int64]], float]] = {
            "macro_f1": lambda at: macro_f1(truth[at], said[at], len(names))
        }
        sure = predictions.confidence
        if sure is not None:
            confidence, right = sure, truth == said
            scores["ece"] = lambda at: expected_calibration_error(confidence[at], right[at])
        return scores


def humanise(column: str) -> str:
    """A column's name as words: "section_text" -> "section text", "noteBody" -> "note body"."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column)
    return " ".join(re.sub(r"[_\-.]+", " ", split).casefold().split())


def _plain(text: str) -> str:
    """Lower case, letters, digits and signs that tell labels apart (+, #), single spaces."""
    return " ".join(re.sub(r"[^\w+#]+|_", " ", text.casefold()).split())


task("classify")(Classify())
