"""Trains one arm of an experiment and lets it answer: by the cheap probe, or by a rung of the ladder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows, rows_of
from tunesmith.core.errors import ConfigError, DataError, did_you_mean
from tunesmith.core.meter import Meter
from tunesmith.evaluation.arms import codes_of
from tunesmith.evaluation.dense_probe import DenseProbe, Vectors, choose_ridge, count_vectors
from tunesmith.training.embeddings import metered_alone
from tunesmith.training.systems import Job
from tunesmith.training.systems import system as systems

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROBE = "probe"
# Of the train rows, what steers the early stopping of a rung that trains by gradient: the judged rows must not.
_STEERING = 0.1
_FEWEST_STEERING = 8


class Trainer(Protocol):
    """Trains on some rows and answers some texts.

    names: every label of any arm; answers are codes into them. about: what it is, in words.
    """

    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def about(self) -> str: ...

    def answers(
        self,
        texts: Sequence[str],
        targets: Sequence[str],
        ask: Sequence[str],
        *,
        weights: NDArray[np.float64] | None = None,
    ) -> NDArray[np.int64]:
        """(len(ask),) codes. weights: (n,) whole numbers, how often each row counts; None: once."""
        ...


@dataclass(frozen=True)
class ProbeTrainer:
    """The cheap probe over texts whose vectors are made once."""

    names: tuple[str, ...]
    about: str
    place: Mapping[str, int]
    probe: DenseProbe

    def answers(
        self,
        texts: Sequence[str],
        targets: Sequence[str],
        ask: Sequence[str],
        *,
        weights: NDArray[np.float64] | None = None,
    ) -> NDArray[np.int64]:
        code = {name: at for at, name in enumerate(self.names)}
        return self.probe.answers(self.at(texts), codes_of(targets, code), self.at(ask), weights=weights)

    def at(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """(n,) positions of texts among the vectors."""
        return np.fromiter((self.place[text] for text in texts), dtype=np.int64, count=len(texts))


def probe_trainer(
    texts: Sequence[str],
    rows: tuple[Sequence[str], Sequence[str]],
    names: Sequence[str],
    *,
    vectors: Vectors | None = None,
    about: str = "ridge regression on TF-IDF",
) -> ProbeTrainer:
    """The probe for every text that any arm will train on or answer.

    rows: (texts, targets) on which the ridge's strength is chosen, once for all arms.
    vectors: makes (n, d) float32 of texts; None: TF-IDF, reduced.
    """
    distinct = list(dict.fromkeys(texts))
    made = (vectors or count_vectors)(distinct)
    place = {text: at for at, text in enumerate(distinct)}
    code = {name: at for at, name in enumerate(names)}
    some = np.array([place[text] for text in rows[0]], dtype=np.int64)
    ridge = choose_ridge(made[some], codes_of(rows[1], code), len(names))
    return ProbeTrainer(tuple(names), about, place, DenseProbe(made, len(names), ridge))


class Writer(Protocol):
    """Trains on some rows and writes an answer to some texts."""

    @property
    def about(self) -> str: ...

    def said(
        self,
        texts: Sequence[str],
        targets: Sequence[str],
        ask: Sequence[str],
        *,
        weights: NDArray[np.float64] | None = None,
    ) -> tuple[str | None, ...]:
        """An answer to each text that is asked. weights: as of a Trainer."""
        ...


@dataclass
class NearestWriter:
    """The cheap probe of text tasks: the answer of the most similar row that is trained on.

    rows: (texts, width) TF-IDF of words and pairs of words, of length 1, of every text of any arm; place: text -> row.
    """

    place: Mapping[str, int]
    rows: Any
    about: str = "the nearest train row's answer, by TF-IDF"
    _likeness: dict[tuple[int, int], tuple[Any, NDArray[np.float32]]] = field(default_factory=dict, repr=False)

    def said(
        self,
        texts: Sequence[str],
        targets: Sequence[str],
        ask: Sequence[str],
        *,
        weights: NDArray[np.float64] | None = None,
    ) -> tuple[str | None, ...]:
        like = self._like(texts, ask)
        if weights is not None:
            like = np.where(weights > 0, like, -1.0)
        if not like.shape[1] or (weights is not None and not (weights > 0).any()):
            raise DataError("an arm of the experiment has no train rows.")
        return tuple(targets[int(at)] for at in like.argmax(axis=1))

    def _like(self, texts: Sequence[str], ask: Sequence[str]) -> NDArray[np.float32]:
        """(ask, texts) cosines; kept, with the texts that they are of, for the next sample of the same arm."""
        key = (id(texts), id(ask))
        if key not in self._likeness:
            one, other = ([self.place[text] for text in some] for some in (ask, texts))
            self._likeness[key] = ((texts, ask), (self.rows[one] @ self.rows[other].T).toarray().astype(np.float32))
        return self._likeness[key][1]


def nearest_writer(texts: Sequence[str]) -> NearestWriter:
    """The probe for every text that any arm will train on or answer; no target is looked at."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    distinct = list(dict.fromkeys(texts))
    vectorizer = TfidfVectorizer(token_pattern=r"\w+|[^\w\s]", ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32)
    rows = vectorizer.fit_transform([f"{text} ." for text in distinct])  # an empty text has no word at all
    return NearestWriter({text: at for at, text in enumerate(distinct)}, rows)


@dataclass
class SystemTrainer:
    """A rung of the ladder, trained anew for every arm, with the same options.

    spent: seconds of CPU so far; waited: of wall time.
    """

    names: tuple[str, ...]
    job: Job
    system: str
    ctx: Context
    spent: float = 0.0
    waited: float = 0.0
    _fits: int = 0

    @property
    def about(self) -> str:
        return f"the rung {self.system}"

    def answers(
        self,
        texts: Sequence[str],
        targets: Sequence[str],
        ask: Sequence[str],
        *,
        weights: NDArray[np.float64] | None = None,
    ) -> NDArray[np.int64]:
        seen = {target for at, target in enumerate(targets) if weights is None or weights[at] > 0}
        if len(seen) < 2:
            raise DataError(f"an arm of the experiment has {len(seen)} label(s), so there is nothing to train.")
        code = {name: at for at, name in enumerate(self.names)}
        said = self.said(texts, targets, ask, weights=weights)
        return np.array([-1 if value is None else code.get(value, -1) for value in said], dtype=np.int64)

    def said(
        self,
        texts: Sequence[str],
        targets: Sequence[str],
        ask: Sequence[str],
        *,
        weights: NDArray[np.float64] | None = None,
    ) -> tuple[str | None, ...]:
        """What the rung, trained on these rows, answers: of `names` where there are labels."""
        if weights is not None:
            take = np.repeat(np.arange(len(texts)), weights.astype(np.int64))
            texts, targets = [texts[int(i)] for i in take], [targets[int(i)] for i in take]
        rung = systems.get(self.system)
        train, steer = self._steered(rows_of(texts, targets), tuned=rung.kind == "tuned")
        folder = self.ctx.workdir / f"fit-{self._fits}"
        folder.mkdir(parents=True, exist_ok=True)
        self._fits += 1
        ctx = replace(self.ctx, workdir=folder)
        job = replace(self.job, labels=self.names, prompt=replace(self.job.prompt, labels=self.names))
        with metered_alone() as meter:
            said = rung.fit(train, steer, job, ctx).predict(ask, ctx)
        self._count(meter)
        shutil.rmtree(folder, ignore_errors=True)
        return said.values

    def _count(self, meter: Meter) -> None:
        self.spent += meter.cpu_s
        self.waited += meter.wall_s

    def _steered(self, rows: Rows, *, tuned: bool) -> tuple[Rows, Rows]:
        """(rows to train on, rows that steer): a rung that does not train by gradient keeps all of them."""
        if not tuned:
            return rows, rows.take([])
        order = np.random.default_rng([self.ctx.seed, 3]).permutation(len(rows))
        few = min(max(_FEWEST_STEERING, round(_STEERING * len(rows))), len(rows) // 2)
        return rows.take(np.sort(order[few:])), rows.take(np.sort(order[:few]))


def known_system(name: str, output: str) -> str:
    """The name of a rung that can be trained for the task; ConfigError with the nearest name otherwise."""
    fitting = sorted(n for n, rung in systems.items() if output in rung.outputs)
    if name not in fitting:
        raise ConfigError(
            f"--system {name}: expected one of {', '.join([PROBE, *fitting])}.",
            hint=did_you_mean(name, [PROBE, *fitting]),
        )
    return name
