"""Give each text any number of labels of a closed set: none, one or several."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.core.predictions import Predictions
from tunesmith.tasks import Averaged, Message, Prompt, task, turns
from tunesmith.tasks.classify import humanise
from tunesmith.tasks.label_sets import dump_set, indicators, names_of, read_set

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LONGEST_LABEL = 60
_LABELS_IN_ONE_LINE = 8
# Between the labels of one cell of a table.
JOINT = "|"
# Labels of which a table of answers shows the probability although they were not given.
_SHOWN = 0.01

Counted = tuple["NDArray[np.float64]", "Callable[[NDArray[np.float64]], NDArray[np.float64]]"]


class Tag(Averaged):
    """Several labels per text. Leads with micro-F1: every label that is due or given counts once.

    Macro-F1 stands beside it. It does not lead: of many labels some have a handful of test rows, and one of them more
    or less right would move it by more than tuning does.
    """

    name = "tag"
    leads = "micro_f1"
    output = "labels"
    lower: tuple[str, ...] = ("brier",)
    guards: tuple[str, ...] = ()

    def detect(self, targets: Sequence[str], inputs: Sequence[str]) -> float:
        """The share of targets that are lists of short labels which come again; 0 where no list holds several."""
        filled = [t for t in targets if t and t.strip()]
        sets = [found for t in filled if (found := read_set(t)) is not None]
        counts = Counter(label for found in sets for label in found)
        given = sum(counts.values())
        if len(filled) < 2 or len(counts) < 2 or max(map(len, sets), default=0) < 2:
            return 0.0
        short = sum(n for label, n in counts.items() if len(label) <= _LONGEST_LABEL) / given
        again = sum(n for n in counts.values() if n > 1) / given
        return short * again * min(1.0, given / len(counts) / 5) * len(sets) / len(filled)

    def prompt(self, labels: Sequence[str], *, inputs: Sequence[str], target: str) -> Prompt:
        """The labels stand in the system turn, which all rows share; the row's text alone follows."""
        what = "labels" if "," in target else humanise(target) or "labels"  # of several columns, each is a label
        wording = f"Read the text and give all of its {what} that apply, as a JSON list; [] if none does."
        if len(labels) <= _LABELS_IN_ONE_LINE:
            return Prompt(f"{wording} Choose from: {', '.join(labels)}.", tuple(labels))
        return Prompt(f"{wording} Choose from this list:\n" + "\n".join(labels), tuple(labels))

    def render(self, text: str, prompt: Prompt) -> list[Message]:
        return turns(text, prompt)

    def parse(self, answer: str, prompt: Prompt) -> str | None:
        """The labels that the answer lists, as JSON or with commas, bars, semicolons or lines between them.

        None if it names anything that is no label: a set with a guess in it is another set.
        """
        said = answer.strip()
        known = {label: label for label in prompt.labels}
        found = read_set(said)
        if found is not None:
            parts: list[str] = list(found)
        elif not said:
            return None
        elif said in known:
            parts = [said]
        else:
            parts = [part.strip(" \t.-*\"'") for part in re.split(r"[|;,\n]", said)]
            parts = [part for part in parts if part]
        folded: dict[str, str | None] = {}
        for label in prompt.labels:
            key = label.casefold()
            folded[key] = None if key in folded else label  # two labels that differ in case only: no guessing
        named = [known.get(part) or folded.get(part.casefold()) for part in parts]
        if known and any(label is None for label in named):
            return None
        return dump_set(label or part for label, part in zip(named, parts, strict=True))

    def row_scores(
        self, predictions: Predictions, references: Sequence[str], sources: Sequence[str], labels: Sequence[str]
    ) -> Mapping[str, NDArray[np.float64]]:
        """set_f1: F1 of a row's labels, 1 where there are none and none were given. subset_accuracy: whether the whole
        set is right. brier: squared error of the labels' probabilities, averaged over the labels, where there are such.
        """
        truth, said = _tables(predictions, references, labels)
        answered = np.array([value is not None for value in predictions.values], dtype=bool)
        both, either = (truth & said).sum(axis=1), truth.sum(axis=1) + said.sum(axis=1)
        f1 = np.where(either > 0, 2.0 * both / np.maximum(either, 1), 1.0) * answered
        made = {"set_f1": f1, "subset_accuracy": ((truth == said).all(axis=1) & answered).astype(np.float64)}
        if predictions.marginals is not None:
            known = indicators(references, labels)
            made["brier"] = np.asarray(((predictions.marginals - known) ** 2).mean(axis=1), dtype=np.float64)
        return made

    def corpus_scores(
        self, predictions: Predictions, references: Sequence[str], sources: Sequence[str], labels: Sequence[str]
    ) -> Mapping[str, Callable[[NDArray[np.int64]], float]]:
        """micro_f1, precision and recall over all labels of all rows; macro_f1 over the labels in the references."""

        def over(name: str) -> Callable[[NDArray[np.int64]], float]:
            counts, score = counted[name]
            return lambda at: float(score(counts[at].sum(axis=0)[None])[0])

        counted = self.additive(predictions, references, sources, labels)
        return {name: over(name) for name in counted}

    def additive(
        self, predictions: Predictions, references: Sequence[str], sources: Sequence[str], labels: Sequence[str]
    ) -> Mapping[str, Counted]:
        """The corpus metrics: (n, m) counts per row, and a function from (draws, m) sums of them to (draws,) scores."""
        truth, said = _tables(predictions, references, labels)
        hit = truth & said
        rows = np.stack([hit.sum(axis=1), said.sum(axis=1), truth.sum(axis=1)], axis=1).astype(np.float64)
        per_label = np.concatenate([hit, said, truth], axis=1).astype(np.float64)
        return {
            "micro_f1": (rows, lambda s: _share(2 * s[:, 0], s[:, 1] + s[:, 2])),
            "precision": (rows, lambda s: _share(s[:, 0], s[:, 1])),
            "recall": (rows, lambda s: _share(s[:, 0], s[:, 2])),
            "macro_f1": (per_label, _macro),
        }

    def told(self, value: str) -> str:
        """The set as people read it: the labels with commas between them."""
        return ", ".join(sorted(read_set(value) or ())) or "none"

    def cells(self, value: str | None) -> dict[str, Any]:
        """The set in one cell of a table, bars between the labels (JSON where a label holds a bar itself)."""
        found = read_set(value)
        if found is None:
            return {"prediction": ""}
        return {"prediction": dump_set(found) if any(JOINT in label for label in found) else JOINT.join(sorted(found))}

    def beside(
        self, value: str | None, marginals: NDArray[np.float64], labels: Sequence[str], *, as_json: bool
    ) -> dict[str, Any]:
        """How sure of single labels: in a table of those given, in their order; in JSON also of others that may be."""
        found = sorted(read_set(value) or ())
        place = {label: code for code, label in enumerate(labels)}
        if not as_json:
            return {"label_confidences": JOINT.join(f"{marginals[place[name]]:.4f}" for name in found)}
        order = sorted(range(len(labels)), key=lambda code: (-marginals[code], code))
        shown = [code for code in order if marginals[code] >= _SHOWN or labels[code] in found]
        return {"label_confidences": {labels[code]: round(float(marginals[code]), 6) for code in shown}}


def _tables(
    predictions: Predictions, references: Sequence[str], labels: Sequence[str]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(n, k) truth and answers over the known labels and any other that occurs."""
    names = names_of(labels, references, predictions.values)
    return indicators(references, names), indicators(predictions.values, names)


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """part / whole; 1 where there was nothing to find and nothing was claimed."""
    return np.where(whole > 0, part / np.maximum(whole, 1.0), 1.0)


def _macro(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """(draws,) mean F1 over the labels that occur in the references of a draw."""
    hit, said, true = np.split(sums, 3, axis=1)
    present = true > 0
    f1 = np.where(present, 2.0 * hit / np.maximum(said + true, 1.0), 0.0)
    return np.where(present.any(axis=1), f1.sum(axis=1) / np.maximum(present.sum(axis=1), 1), 1.0)


task("tag")(Tag())
