"""The two kinds of opinion that cheap rungs are made of: counts of n-grams, and vectors of a frozen encoder.

Each fits with given settings, gives log-probabilities, and is a few arrays on disk. A rung is one of them, or
several with weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from tunesmith.core.dataset import Rows
from tunesmith.core.meter import borrow, cpu_seconds
from tunesmith.training.calibrate import log_softmax
from tunesmith.training.choice import Settings
from tunesmith.training.folds import label_codes, rest_of
from tunesmith.training.heads import MOST_CENTRES, KernelHead, fit_kernel
from tunesmith.training.linear import LinearHead, fit_logistic, fit_margins
from tunesmith.training.ngrams import Counts, Vocabulary, count, learn_vocabulary
from tunesmith.training.systems import Workload

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tunesmith.training.systems import Job

T = TypeVar("T")

COUNT_GRID: tuple[Settings, ...] = tuple({"C": C} for C in (0.1, 0.3, 1.0, 3.0))
LINEAR_GRID: tuple[Settings, ...] = tuple({"head": "linear", "C": C} for C in (1.0, 5.0, 20.0))
KERNEL_GRID: tuple[Settings, ...] = tuple({"head": "kernel", "ridge": ridge} for ridge in (0.1, 0.3, 1.0))

FOLDS = 3  # for choosing settings
CHOOSE_ON = 5000  # rows; the best settings move little with more, the time in proportion
# Rows times labels above which out-of-fold answers are not kept for other rungs: some fifteen kinds, 8 bytes a number.
_MOST_SHARED = 2_000_000


@dataclass(frozen=True)
class CountExpert:
    """Counts of word and character n-grams under a linear head of the margin kind."""

    vocabulary: Vocabulary
    head: LinearHead
    temperature: float

    def log_probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """(n, k), normalised."""
        return log_softmax(self.head.logits(self.vocabulary.rows(texts)) / self.temperature)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What to save, by name."""
        return {**self.vocabulary.arrays(), **self.head.arrays(), "temperature": np.array([self.temperature])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> CountExpert:
        """The expert that `arrays` describes."""
        return cls(Vocabulary.from_arrays(arrays), LinearHead.from_arrays(arrays), float(arrays["temperature"][0]))


@dataclass(frozen=True)
class VectorExpert:
    """Unit vectors of a frozen encoder under a linear (logistic) or a kernel head."""

    head: LinearHead | KernelHead
    temperature: float

    def log_probabilities(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n, k), normalised."""
        return log_softmax(self.head.logits(vectors) / self.temperature)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What to save, by name."""
        return {**self.head.arrays(), "temperature": np.array([self.temperature])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> VectorExpert:
        """The expert that `arrays` describes."""
        head: LinearHead | KernelHead
        head = KernelHead.from_arrays(arrays) if "centres" in arrays else LinearHead.from_arrays(arrays)
        return cls(head, float(arrays["temperature"][0]))


def fit_counts(rows: Rows, settings: Settings, job: Job, *, seed: int) -> CountExpert:
    """settings: C, temperature."""
    vocabulary = learn_vocabulary(rows.texts)
    head = fit_margins(
        vocabulary.rows(rows.texts), label_codes(rows.targets, job.labels), rows.weights,
        n_labels=len(job.labels), C=float(settings["C"]), seed=seed,
    )  # fmt: skip
    return CountExpert(vocabulary, head, float(settings["temperature"]))


def fit_vectors(vectors: NDArray[np.float32], rows: Rows, settings: Settings, job: Job, *, seed: int) -> VectorExpert:
    """settings: head ("linear" or "kernel"), C or ridge, temperature. vectors: (n, d) of the rows."""
    codes = label_codes(rows.targets, job.labels)
    head = _vector_head(vectors, codes, rows.weights, settings, n_labels=len(job.labels), seed=seed)
    return VectorExpert(head, float(settings["temperature"]))


def count_logits(
    rows: Rows, folds: Sequence[Sequence[int]], grid: Sequence[Settings], job: Job, *, seed: int
) -> Callable[[Settings], NDArray[np.float64]]:
    """A function from the settings in `grid` to (n, k) out-of-fold logits; the features of a fold are made once."""
    codes, n_labels = label_codes(rows.targets, job.labels), len(job.labels)
    strengths = tuple(float(settings["C"]) for settings in grid)

    def made() -> dict[float, NDArray[np.float64]]:
        found = {C: np.zeros((len(rows), n_labels)) for C in strengths}
        counts = count(rows.texts)
        for held_out in folds:
            rest = rest_of(held_out, len(rows))
            seen, unseen = (_counted(rows, counts, at) for at in (rest, held_out))
            vocabulary = learn_vocabulary(seen)
            x, held_x = vocabulary.rows(seen), vocabulary.rows(unseen)
            for C, logits in found.items():
                head = fit_margins(x, codes[rest], rows.weights[rest], n_labels=n_labels, C=C, seed=seed)
                logits[held_out] = head.logits(held_x)
        return found

    found = _made_once(rows, folds, job, ("counts", *strengths, seed), made)
    return lambda settings: found[float(settings["C"])]


def _counted(rows: Rows, counts: Counts | None, at: Sequence[int] | NDArray[np.int64]) -> Sequence[str] | Counts:
    """The texts at these positions, or their counts where those are known."""
    return [rows.texts[i] for i in at] if counts is None else counts.take(at)


def vector_logits(
    vectors: NDArray[np.float32], rows: Rows, folds: Sequence[Sequence[int]], job: Job, *, seed: int
) -> Callable[[Settings], NDArray[np.float64]]:
    """A function from settings to (n, k) out-of-fold logits of heads on the vectors (n, d) of the rows."""
    codes, n_labels = label_codes(rows.targets, job.labels), len(job.labels)

    def logits(settings: Settings) -> NDArray[np.float64]:
        head = str(settings["head"])

        def made() -> NDArray[np.float64]:
            found = np.zeros((len(rows), n_labels))
            for held_out in folds:
                at = rest_of(held_out, len(rows))
                fitted = _vector_head(vectors[at], codes[at], rows.weights[at], settings, n_labels=n_labels, seed=seed)
                found[held_out] = fitted.logits(vectors[held_out])
            return found

        strength = float(settings["C" if head == "linear" else "ridge"])
        base = None if job.encoder is None else job.encoder.uri
        return _made_once(rows, folds, job, (head, base, strength, seed), made)

    return logits


def _made_once(
    rows: Rows, folds: Sequence[Sequence[int]], job: Job, key: tuple[object, ...], make: Callable[[], T]
) -> T:
    """What `make` gives for these folds of these rows, made once for all rungs of the job.

    The rung that finds it ready is charged what making it took (`borrow`), so that costs are of each rung alone.
    """
    if job.made is None or len(rows) * len(job.labels) > _MOST_SHARED:
        return make()
    ready = True

    def metered() -> tuple[T, float]:
        nonlocal ready
        ready, began = False, cpu_seconds()
        value = make()
        return value, cpu_seconds() - began

    cut = tuple(np.asarray(fold, dtype=np.int64).tobytes() for fold in folds)
    found, cost_s = job.shared(("out of fold", rows.ids.tobytes(), cut, *key), metered)
    if ready:
        borrow(cost_s)
    return found


def _vector_head(
    vectors: NDArray[np.float32],
    codes: NDArray[np.int64],
    weights: NDArray[np.float32],
    settings: Settings,
    *,
    n_labels: int,
    seed: int,
) -> LinearHead | KernelHead:
    if settings["head"] == "kernel":
        return fit_kernel(vectors, codes, weights, n_labels=n_labels, ridge=float(settings["ridge"]), seed=seed)
    return fit_logistic(vectors, codes, weights, n_labels=n_labels, C=float(settings["C"]))


# Measured on one 2.3 GHz server core (benchmarks/rungs). Counting: CPU seconds per token for features, and per token
# and label for a fit (one label against the rest; two labels are one problem). Vectors: per row and label of a
# logistic fit. Kernels: per cubed row where every row is a centre; else (on another such core, 2026-11-23) per row and
# squared centre for the normal equations, and per cubed centre for their factorisation.
_FEATURES_S = 1.1e-5
_WEIGHING_S = 2e-6
_COUNT_FIT_S = 1.7e-7
_LOGISTIC_S = 4.5e-6
_KERNEL_S = 7e-12
_NORMAL_S, _FACTOR_S = 1.5e-11, 1e-11
# Of English text: what the costs above were measured on.
_LETTERS_PER_TOKEN = 4.2


def count_seconds(work: Workload, *, chosen: bool = False) -> tuple[float, float]:
    """Forecast (fit, predict) CPU seconds of choosing, fitting and asking a CountExpert.

    chosen: another rung has chosen settings and cross-validated them on the same rows (`Job.made`).
    """
    # By the letters: a tokenizer made for English takes several tokens for a word of another language.
    tokens = max(work.characters_per_text / _LETTERS_PER_TOKEN or work.tokens_per_text, 4.0)
    n_train, cross_fits = work.n_train, 0 if chosen else work.cross_fits
    chosen_on = 0 if chosen else min(n_train, CHOOSE_ON)
    # Counting is done for the choice, for the fit and once for all folds; weighing what was counted, each time.
    counting = _FEATURES_S * tokens * (chosen_on + n_train * (1 + (cross_fits > 0)))
    weighing = _WEIGHING_S * tokens * (FOLDS * chosen_on + cross_fits * n_train)
    problems = work.n_labels if work.n_labels > 2 else 1
    fitted_on = len(COUNT_GRID) * (FOLDS - 1) * chosen_on + (1 + 0.8 * cross_fits) * n_train
    fits = _COUNT_FIT_S * tokens * problems * fitted_on
    return 0.5 + counting + weighing + fits, 0.1 + _FEATURES_S * tokens * work.n_predict


def vector_seconds(work: Workload) -> float:
    """Forecast CPU seconds of choosing, fitting and cross-validating heads of both kinds on vectors that are known."""
    whole, most = (head_seconds(n, n_labels=work.n_labels) for n in (work.n_train, round(0.8 * work.n_train)))
    return choice_seconds(work) + sum(whole) + work.cross_fits * sum(most)


def choice_seconds(work: Workload) -> float:
    """Forecast CPU seconds of choosing the settings of heads of both kinds on vectors that are known."""
    some = min(work.n_train, CHOOSE_ON) * (FOLDS - 1) // FOLDS
    linear, kernel = head_seconds(some, n_labels=work.n_labels)
    return 0.5 + FOLDS * (len(LINEAR_GRID) * linear + len(KERNEL_GRID) * kernel)


def head_seconds(n: int, *, n_labels: int) -> tuple[float, float]:
    """Forecast CPU seconds of fitting a linear head to n vectors, and of a kernel head."""
    if n <= MOST_CENTRES:
        kernel = _KERNEL_S * n**3
    else:
        kernel = _NORMAL_S * MOST_CENTRES**2 * n + _FACTOR_S * MOST_CENTRES**3
    return _LOGISTIC_S * n_labels * n, kernel
