"""What all rungs that answer from documents share: probabilities, when to cite, saving and reading back.

A finder says which passages it thinks of, best first; how probable it is that the first one is right is learned from
train questions, and with it from which probability on it is cited.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.errors import DataError
from tunesmith.core.files import read_json, write_json
from tunesmith.core.library import Library
from tunesmith.core.predictions import Predictions
from tunesmith.models.retrieve import Found, Shelf
from tunesmith.tasks.citations import references_of
from tunesmith.training.choice import Settings
from tunesmith.training.embeddings import embed, encoder_spec
from tunesmith.training.linear import LinearHead, fit_logistic, load_arrays, save_arrays
from tunesmith.training.quoting import answers
from tunesmith.training.systems import Job

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Of what is cited, how much should be right; and nothing is cited that is less probable than its opposite.
PRECISION, LEAST_SURE = 0.86, 0.5
# Questions at once: bounds the memory of their scores over a large library.
CHUNK = 64
_PARTS = 4  # of the passages, for questions whose passages no train question had
_FEWEST_APART = 30
# Questions of one form may all be equally far ahead; and a bound must not hang on the last digit of a probability.
_LEAST_SPREAD, _LAST_DIGIT = 0.01, 1e-6


class Finder(Protocol):
    """What a rung has learned."""

    def find(self, texts: Sequence[str], shelf: Shelf, ctx: Context) -> Found:
        """The likeliest passages for each question, best first."""
        ...

    def save(self, folder: Path) -> None:
        """Write what was learned, but for the library."""
        ...


@dataclass(frozen=True)
class Certainty:
    """The probability that the first passage found is right, from how far it is ahead."""

    head: LinearHead
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    def of(self, found: Found) -> NDArray[np.float64]:
        """(n,) probabilities."""
        if not len(found):
            return np.zeros(0)
        ahead = _log_odds(self.head, (_ahead(found) - self.mean) / self.scale)
        return np.asarray(1 / (1 + np.exp(np.clip(-ahead, -60, 60))), dtype=np.float64)

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """What to save, by name."""
        return {**self.head.arrays(), "mean": self.mean, "scale": self.scale}


@dataclass(frozen=True)
class RetrievalFitted:
    """A finder with its library: answers with quotes, or abstains.

    settings: cite_at, the probability from which on a passage is cited, and what else fitting chose.
    """

    system: str
    finder: Finder
    shelf: Shelf
    certainty: Certainty
    settings: Settings

    def predict(self, texts: Sequence[str], ctx: Context) -> Predictions:
        """CitedAnswers as JSON, with the probability that what was found first is right."""
        parts = [self._some(texts[start : start + CHUNK], ctx) for start in range(0, len(texts), CHUNK)]
        return Predictions.joined(parts) if parts else Predictions((), confidences=np.zeros(0))

    def _some(self, texts: Sequence[str], ctx: Context) -> Predictions:
        found = self.finder.find(texts, self.shelf, ctx)
        asked = np.array([bool(text.strip()) for text in texts])
        sure = self.certainty.of(found) * asked
        made = answers(texts, found, sure.tolist(), self.shelf, cite_at=float(self.settings["cite_at"]))
        return Predictions(tuple(answer.to_json() for answer in made), confidences=sure)

    def save(self, folder: Path) -> None:
        self.shelf.library.save(folder / "library.parquet")
        save_arrays(folder / "certainty.safetensors", self.certainty.arrays())
        if self.shelf.vectors is not None:
            save_arrays(folder / "vectors.safetensors", {"passages": self.shelf.vectors})
        self.finder.save(folder)
        write_json(folder / "retrieval.json", {"settings": self.settings, "library": self.shelf.library.fingerprint})


def shelf_of(job: Job, ctx: Context, *, vectors: bool) -> Shelf:
    """The job's library made ready; DataError if it has none. vectors: read by the job's encoder too."""
    if job.library is None:
        raise DataError("there are no documents to answer from.", hint="name them with --documents.")
    if not vectors:
        return Shelf(job.library)
    return Shelf(job.library, embed(Shelf(job.library).texts, encoder_spec(job), ctx))


def load_shelf(folder: Path) -> Shelf:
    """The shelf that was saved in `folder`, with its vectors if it had some."""
    path = folder / "vectors.safetensors"
    return Shelf(Library.load(folder / "library.parquet"), load_arrays(path)["passages"] if path.exists() else None)


def load_fitted(system: str, finder: Finder, folder: Path) -> RetrievalFitted:
    """The fitted rung in `folder` around a finder that was read from it."""
    arrays = load_arrays(folder / "certainty.safetensors")
    certainty = Certainty(LinearHead.from_arrays(arrays), arrays["mean"], arrays["scale"])
    settings: Settings = read_json(folder / "retrieval.json")["settings"]
    return RetrievalFitted(system, finder, load_shelf(folder), certainty, settings)


def in_chunks(find: Callable[[Sequence[str]], Found], texts: Sequence[str]) -> Found:
    """What `find` finds, some questions at a time."""
    parts = [find(texts[start : start + CHUNK]) for start in range(0, len(texts), CHUNK)]
    if not parts:
        return Found(np.zeros((0, 0), dtype=np.int64), np.zeros((0, 0)))
    return Found(np.concatenate([p.at for p in parts]), np.concatenate([p.score for p in parts]))


def gold_places(targets: Sequence[str], library: Library) -> list[set[int]]:
    """Positions of each question's gold passages; what is not in the library is left out."""
    return [{library.at[r] for r in references_of(target) if r in library.at} for target in targets]


def first_is_right(found: Found, golds: Sequence[set[int]]) -> NDArray[np.bool_]:
    """(n,) whether the first passage found is gold."""
    return np.array(
        [bool(len(places)) and int(places[0]) in gold for places, gold in zip(found.at, golds, strict=True)]
    )


def finish(
    system: str, finder: Finder, shelf: Shelf, seen: tuple[Found, Sequence[set[int]]], job: Job, settings: Settings
) -> RetrievalFitted:
    """The rung with its probabilities and when it cites, from what it found for questions that it did not learn from.

    seen: what was found, and the gold passages. Frozen jobs keep the probability that they cite from.
    """
    found, golds = seen
    right = first_is_right(found, golds)
    certainty = _certainty(found, golds)
    if job.frozen and "cite_at" in job.options:
        cite_at = float(job.options["cite_at"])
    else:
        cite_at = cite_from(certainty.of(found), right, precision=float(job.options.get("precision", PRECISION)))
    return RetrievalFitted(system, finder, shelf, certainty, {**settings, "cite_at": cite_at})


def cite_from(sure: NDArray[np.float64], right: NDArray[np.bool_], *, precision: float) -> float:
    """The lowest probability, at least one half, from which on so many of the passages cited are right.

    Where no probability reaches that, the promise itself: `precision`.
    """
    order = np.argsort(-sure, kind="stable")
    held = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero((held >= precision) & (sure[order] >= LEAST_SURE))
    return max(LEAST_SURE, float(sure[order][good[-1]]) - _LAST_DIGIT) if good.size else max(LEAST_SURE, precision)


def apart(golds: Sequence[set[int]], *, seed: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """(questions to learn from, questions to try on) several times, no gold passage on both sides.

    Questions to come ask for passages that no train question asked for. Where too few questions can be kept apart
    so, they are parted at random.
    """
    n = len(golds)
    rng = np.random.default_rng([seed, 41])
    part = dict(
        zip(sorted(set().union(*golds)), rng.integers(0, _PARTS, sum(1 for _ in set().union(*golds))), strict=True)
    )
    cuts = []
    for fold in range(_PARTS):
        inside = np.array([bool(gold) and all(part[at] == fold for at in gold) for gold in golds])
        outside = np.array([bool(gold) and all(part[at] != fold for at in gold) for gold in golds])
        if inside.any() and outside.any():
            cuts.append((np.flatnonzero(outside), np.flatnonzero(inside)))
    if sum(len(held) for _, held in cuts) >= min(_FEWEST_APART, n // 2):
        return cuts
    fold_of = rng.permutation(n) % _PARTS
    return [(np.flatnonzero(fold_of != f), np.flatnonzero(fold_of == f)) for f in range(min(_PARTS, n))]


def train_rows(rows: Rows, library: Library) -> tuple[tuple[str, ...], list[set[int]]]:
    """(questions, gold passages) of the rows that have both."""
    golds = gold_places(rows.targets, library)
    at = [i for i, (text, gold) in enumerate(zip(rows.texts, golds, strict=True)) if text.strip() and gold]
    return tuple(rows.texts[i] for i in at), [golds[i] for i in at]


def _certainty(found: Found, golds: Sequence[set[int]]) -> Certainty:
    """How far ahead a right passage is, learned against what is found when the right ones are missing.

    Every question is shown a second time without its gold passages: what then comes first is wrong, however far ahead.
    From that follows what counts; the probabilities themselves are those of the questions as they are. Two made-up
    questions stand beside them, so that nothing is ever certain: a usual one that is right, and one to which all
    passages are alike and of which none is right.
    """
    if not len(found):
        raise DataError(
            "no train question names a passage of the library, so nothing can be learned.",
            hint="bring questions with their passages, or check --documents and --target.",
        )
    right = first_is_right(found, golds).astype(np.int64)
    features = _ahead(found)
    mean, scale = features.mean(axis=0), np.maximum(features.std(axis=0), _LEAST_SPREAD)
    alike = np.array([features[:, 0].min(), 0.0, 0.0, -np.log(max(1, found.score.shape[1] - 1))])
    rows = (np.vstack([features, mean, alike]) - mean) / scale
    said = np.concatenate([right, [1, 0]])
    missing = (_ahead(unsupported(found, golds)) - mean) / scale
    both, none = np.vstack([rows, missing]), np.concatenate([said, np.zeros(len(missing), dtype=np.int64)])
    head = fit_logistic(both, none, np.ones(len(none)), n_labels=2, C=1.0)
    ahead = _log_odds(head, rows)
    level = fit_logistic(ahead[:, None], said, np.ones(len(said)), n_labels=2, C=1.0)
    # A line of a line is a line: what is kept is one head.
    slope = (level.weight[1] - level.weight[0]) / 2
    bias = slope * (head.bias[1] - head.bias[0]) + (level.bias[1] - level.bias[0]) / 2
    weight = slope * (head.weight[1] - head.weight[0])
    return Certainty(
        LinearHead(np.stack([-weight, weight]).astype(np.float32), np.array([-bias[0], bias[0]], dtype=np.float32)),
        mean,
        scale,
    )


def unsupported(found: Found, golds: Sequence[set[int]]) -> Found:
    """What would be found without the gold passages; questions that have fewer than two others are left out."""
    hit = np.array([[int(at) in gold for at in row] for row, gold in zip(found.at, golds, strict=True)], dtype=bool)
    some = (~hit).sum(axis=1) >= min(2, found.at.shape[1])
    last = np.argsort(hit[some], axis=1, kind="stable")  # gold ones behind the others
    at = np.take_along_axis(found.at[some], last, axis=1)
    score = np.take_along_axis(np.where(hit, -np.inf, found.score)[some], last, axis=1)
    lowest = np.where(np.isfinite(score), score, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    return Found(at, np.where(np.isfinite(score), score, lowest))


def _log_odds(head: LinearHead, features: NDArray[np.float64]) -> NDArray[np.float64]:
    logits = head.logits(features)
    return np.asarray(logits[:, 1] - logits[:, 0], dtype=np.float64)


def _ahead(found: Found) -> NDArray[np.float64]:
    """(n, 4) the best score, how far it is before the second and the fifth, and its log-odds among those found."""
    score = found.score
    first = score[:, 0]
    second, fifth = score[:, min(1, score.shape[1] - 1)], score[:, min(4, score.shape[1] - 1)]
    others = np.exp(np.clip(score[:, 1:] - first[:, None], -60, 0)).sum(axis=1)
    return np.stack([first, first - second, first - fifth, -np.log(others + 1e-6)], axis=1)
