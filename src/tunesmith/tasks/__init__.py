"""What can be learned. A Task only describes: rendering, parsing, scores; no model is loaded here.

One file each; the file name is the registered name (`@task("classify")` in classify.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypedDict

from tunesmith.core.predictions import Predictions
from tunesmith.core.registry import Registry

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Message(TypedDict):
    """One turn in the shape that chat templates take. role: system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True)
class Prompt:
    """How a run words its task: fixed at ingest, equal in training and serving.

    instruction: the system turn. labels: () for text tasks. shots: (input, answer) pairs shown before the row.
    schema: JSON Schema that decoding is bound to, for tasks whose output is "json"; "" binds it to nothing.
    """

    instruction: str
    labels: tuple[str, ...] = ()
    shots: tuple[tuple[str, str], ...] = ()
    schema: str = ""


class Task(Protocol):
    """What is being learned.

    leads: the metric that decides; greater is better, between 0 and 1.
    output: "label" (one of a closed set), "labels" (a set of them: label_sets.py), "text", "json" (a value that obeys
    the schema of the Prompt), or "citations" (citations.py: quoted passages of a Library).
    lower: metrics of which less is better; of all others, more.
    guards: row metrics in which a system must be no worse than the best rung to be called better.
    """

    name: str
    leads: str
    output: str
    lower: tuple[str, ...]
    guards: tuple[str, ...]

    def detect(self, targets: Sequence[str], inputs: Sequence[str]) -> float:
        """0 to 1: does a table with these columns look like this task?"""
        ...

    def prompt(self, labels: Sequence[str], *, inputs: Sequence[str], target: str) -> Prompt:
        """The default wording for these columns."""
        ...

    def render(self, text: str, prompt: Prompt) -> list[Message]:
        """The turns that ask for the answer to `text` (the answer itself is the next assistant turn)."""
        ...

    def parse(self, answer: str, prompt: Prompt) -> str | None:
        """The label or text that a model's raw answer stands for; None if it stands for none."""
        ...

    def row_scores(
        self, predictions: Predictions, references: Sequence[str], sources: Sequence[str], labels: Sequence[str]
    ) -> Mapping[str, NDArray[np.float64]]:
        """Metrics that are means over rows: name -> (n,) values. sources: the input texts."""
        ...

    def corpus_scores(
        self, predictions: Predictions, references: Sequence[str], sources: Sequence[str], labels: Sequence[str]
    ) -> Mapping[str, Callable[[NDArray[np.int64]], float]]:
        """Metrics of all rows together: name -> the value over some rows, given their positions (for intervals)."""
        ...

    def score(
        self, predictions: Predictions, references: Sequence[str], sources: Sequence[str], labels: Sequence[str]
    ) -> Mapping[str, float]:
        """Every metric of the task over these rows, the leading one among them."""
        ...


class Averaged:
    """A Task whose `score` says all that its row metrics, averaged, and its corpus metrics say."""

    row_scores: Callable[..., Mapping[str, NDArray[np.float64]]]
    corpus_scores: Callable[..., Mapping[str, Callable[[NDArray[np.int64]], float]]]

    def score(
        self, predictions: Predictions, references: Sequence[str], sources: Sequence[str], labels: Sequence[str]
    ) -> Mapping[str, float]:
        """Every metric of the task over these rows."""
        import numpy as np

        everything = np.arange(len(references))
        rows = self.row_scores(predictions, references, sources, labels)
        corpus = self.corpus_scores(predictions, references, sources, labels)
        return {name: float(v.mean()) for name, v in rows.items()} | {name: f(everything) for name, f in corpus.items()}


def is_costly(task: Task) -> bool:
    """Whether judging an answer takes long, as a task may say by `is_costly_to_judge`; then no more is than must be."""
    return bool(getattr(task, "is_costly_to_judge", False))


def turns(text: str, prompt: Prompt) -> list[Message]:
    """The turns most tasks use: instruction, shots, and the text alone, so that rows share all that precedes it."""
    messages: list[Message] = [{"role": "system", "content": prompt.instruction}]
    for given, answer in prompt.shots:
        messages += [{"role": "user", "content": given}, {"role": "assistant", "content": answer}]
    return [*messages, {"role": "user", "content": text}]


task: Registry[Task] = Registry(
    "task",
    __name__,
    besides=("metrics", "facts", "citations", "quotes", "schema", "values", "wordings", "label_sets"),
)
