"""Write a text from a text: a note from a dialogue, a summary, an answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.core.predictions import Predictions
from tunesmith.tasks import Averaged, Message, Prompt, task, turns
from tunesmith.tasks.classify import humanise
from tunesmith.tasks.facts import fact_f1, unsupported_numbers, unsupported_rate
from tunesmith.tasks.metrics import (
    length_ratio,
    rouge_l,
    style_distance,
    style_features,
    style_profile,
    words,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Column names that say nothing about what is in them.
_PLAIN_INPUTS = ("text", "input", "prompt", "source", "instruction", "x", "body", "content", "document", "question")
_PLAIN_TARGETS = ("text", "output", "completion", "chosen", "target", "response", "answer", "y", "label", "result")


class Rewrite(Averaged):
    """A text for a text. Leads with the facts it gets right, and is held to the facts its source states."""

    name = "rewrite"
    leads = "fact_f1"
    output = "text"
    lower: tuple[str, ...] = ("unsupported_rate", "unsupported_numbers", "style_distance")
    guards: tuple[str, ...] = ("unsupported_rate",)

    def detect(self, targets: Sequence[str], inputs: Sequence[str]) -> float:
        """Sure when targets are long and hardly ever come back; 0 when they repeat like labels."""
        filled = [t.strip() for t in targets if t.strip()]
        if len(filled) < 2:
            return 0.0
        distinct = len(Counter(filled)) / len(filled)
        median_words = sorted(len(words(t)) for t in filled)[len(filled) // 2]
        return float(distinct * min(1.0, median_words / 4))

    def prompt(self, labels: Sequence[str], *, inputs: Sequence[str], target: str) -> Prompt:
        """Worded from the columns' names where they say something, and held to what the source states."""
        given = " and ".join(humanise(name) for name in inputs) or "text"
        what = humanise(target)
        given = "text" if given in _PLAIN_INPUTS else given
        if what in _PLAIN_TARGETS or not what:
            return Prompt(f"Read the {given} and answer it. State only what the {given} supports.")
        return Prompt(f"Read the {given} and write the {what}. State only facts that the {given} supports.")

    def render(self, text: str, prompt: Prompt) -> list[Message]:
        return turns(text, prompt)

    def parse(self, answer: str, prompt: Prompt) -> str | None:
        """The answer without surrounding space; None if nothing is left."""
        return answer.strip() or None

    def row_scores(
        self, predictions: Predictions, references: Sequence[str], sources: Sequence[str], labels: Sequence[str]
    ) -> Mapping[str, NDArray[np.float64]]:
        """fact_f1 and rouge_l against the reference, unsupported_rate against the source (facts.py defines both)."""
        rows = list(zip(predictions.values, references, sources, strict=True))
        return {
            "fact_f1": np.array([fact_f1(v, r) for v, r, _ in rows], dtype=np.float64),
            "unsupported_rate": np.array([unsupported_rate(v, s) for v, _, s in rows], dtype=np.float64),
            "rouge_l": np.array([rouge_l(v or "", r) for v, r, _ in rows], dtype=np.float64),
        }

    def corpus_scores(
        self, predictions: Predictions, references: Sequence[str], sources: Sequence[str], labels: Sequence[str]
    ) -> Mapping[str, Callable[[NDArray[np.int64]], float]]:
        """length_ratio and style_distance (metrics.py); unsupported_numbers, the share of all numbers and dates written
        that their source lacks (0 if none were written).
        """
        numbers = np.array([unsupported_numbers(v, s) for v, s in zip(predictions.values, sources, strict=True)])
        numbers = numbers.reshape(-1, 2)
        texts = [v or "" for v in predictions.values]
        mine = np.array([len(words(t)) for t in texts], dtype=np.float64)
        theirs = np.array([len(words(t)) for t in references], dtype=np.float64)
        features = style_features(references)
        a, b = style_profile(texts, features), style_profile(references, features)
        return {
            "length_ratio": lambda at: length_ratio(mine[at], theirs[at]),
            "style_distance": lambda at: style_distance(a[at], b[at]),
            "unsupported_numbers": lambda at: float(numbers[at, 0].sum() / max(1, numbers[at, 1].sum())),
        }


task("rewrite")(Rewrite())
