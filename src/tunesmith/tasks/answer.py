"""Answer questions from the user's own documents, quoting the passages that support the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.core.predictions import Predictions
from tunesmith.tasks import Averaged, Message, Prompt, task, turns
from tunesmith.tasks.citations import CitedAnswer, references_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

AT = 5  # how many passages a reader is ready to look at


class Answer(Averaged):
    """Passages for a question. Leads with recall_at_5; what is cited is held to citation_precision."""

    name = "answer"
    leads = "recall_at_5"
    output = "citations"
    needs_retrieval = True
    lower: tuple[str, ...] = ()
    guards: tuple[str, ...] = ()

    def detect(self, targets: Sequence[str], inputs: Sequence[str]) -> float:
        """Sure when every target is a list of passages, as *ingest* writes them."""
        filled = [t for t in targets if t.strip()]
        return float(bool(filled) and all(references_of(t) for t in filled))

    def prompt(self, labels: Sequence[str], *, inputs: Sequence[str], target: str) -> Prompt:
        """What a model is told that answers from passages."""
        return Prompt(
            "Answer the question from the passages alone. Quote them word for word, with document and passage id. "
            "Say nothing if they do not answer it."
        )

    def render(self, text: str, prompt: Prompt) -> list[Message]:
        return turns(text, prompt)

    def parse(self, answer: str, prompt: Prompt) -> str | None:
        """The answer as it stands if it is one (citations.py says of what form), else None."""
        said = answer.strip()
        return said if CitedAnswer.from_json(said) is not None else None

    def is_right(self, value: str | None, reference: str) -> bool:
        """Whether something is cited and all of it is gold: what abstains is right of nothing."""
        right, all_cited = cited_right(value, reference)
        return 0 < all_cited == right

    def told(self, value: str) -> str:
        """An answer, or a target, as people read it."""
        answer = CitedAnswer.from_json(value)
        if answer is None:
            return "; ".join(_named(reference) for reference in references_of(value))
        if answer.citations:
            return "\n".join(f"{_named(c.reference)}: “{c.quote}”" for c in answer.citations)
        if not answer.passages:
            return "no answer"
        return "no answer that is probable enough; nearest: " + "; ".join(map(_named, answer.passages[:3]))

    def cells(self, value: str | None) -> dict[str, str]:
        """An answer as columns of a table: prediction, document, passage, quote, found. Empty where it abstains."""
        answer = CitedAnswer.from_json(value) or CitedAnswer("")
        return {
            "prediction": answer.answer,
            "document": "; ".join(c.document for c in answer.citations),
            "passage": "; ".join(c.passage for c in answer.citations),
            "quote": "\n".join(c.quote for c in answer.citations),
            "found": "; ".join(map(_named, answer.passages)),
        }

    def row_scores(
        self, predictions: Predictions, references: Sequence[str], sources: Sequence[str], labels: Sequence[str]
    ) -> Mapping[str, NDArray[np.float64]]:
        """recall_at_1 and recall_at_5: the share of a question's gold passages among the first found; mrr: one over the
        rank of the first gold passage, 0 if it was not found; answered: whether something is cited.
        """
        made = [CitedAnswer.from_json(value) for value in predictions.values]
        rows = [(answer, references_of(reference)) for answer, reference in zip(made, references, strict=True)]
        return {
            "recall_at_5": np.array([_recall(a, gold, AT) for a, gold in rows], dtype=np.float64),
            "recall_at_1": np.array([_recall(a, gold, 1) for a, gold in rows], dtype=np.float64),
            "mrr": np.array([_reciprocal_rank(a, gold) for a, gold in rows], dtype=np.float64),
            "answered": np.array([a is not None and bool(a.citations) for a, _ in rows], dtype=np.float64),
        }

    def corpus_scores(
        self, predictions: Predictions, references: Sequence[str], sources: Sequence[str], labels: Sequence[str]
    ) -> Mapping[str, Callable[[NDArray[np.int64]], float]]:
        """citation_precision: of all passages cited, the share that are gold (0 if nothing is cited)."""
        counts = np.array(
            [cited_right(value, target) for value, target in zip(predictions.values, references, strict=True)],
            dtype=np.float64,
        ).reshape(-1, 2)
        return {"citation_precision": lambda at: float(counts[at, 0].sum() / max(1.0, counts[at, 1].sum()))}


def cited_right(value: str | None, target: str) -> tuple[int, int]:
    """(passages cited that are gold, passages cited) of one answer."""
    answer = CitedAnswer.from_json(value)
    cited = set() if answer is None else {citation.reference for citation in answer.citations}
    return len(cited & set(references_of(target))), len(cited)


def _named(reference: tuple[str, str]) -> str:
    return f"{reference[0]} § {reference[1]}"


def _recall(answer: CitedAnswer | None, gold: Sequence[tuple[str, str]], most: int) -> float:
    if answer is None or not gold:
        return 0.0
    return len(set(answer.passages[:most]) & set(gold)) / len(set(gold))


def _reciprocal_rank(answer: CitedAnswer | None, gold: Sequence[tuple[str, str]]) -> float:
    found = () if answer is None else answer.passages
    return next((1.0 / rank for rank, reference in enumerate(found, 1) if reference in set(gold)), 0.0)


task("answer")(Answer())
