"""Answers as the most similar train row was answered, with the slots filled from the text that is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.files import read_json, write_json
from tunesmith.core.predictions import Predictions
from tunesmith.training.systems import Job, Workload, system
from tunesmith.training.templates import Answers, slots_pay

if TYPE_CHECKING:
    from numpy.typing import NDArray

_AT_ONCE = 512  # texts whose likeness to all rows is in memory together


@dataclass(frozen=True)
class NearestFitted:
    """The train rows: their texts (without values where answers have slots), and which template answers each."""

    system: ClassVar[str] = "nearest"
    texts: tuple[str, ...]
    codes: tuple[int, ...]
    answers: Answers
    slots: bool

    @property
    def settings(self) -> dict[str, float | int | str | bool]:
        """What fitting chose."""
        return {"slots": self.slots}

    def predict(self, texts: Sequence[str], ctx: Context) -> Predictions:
        said = [
            self.answers.say(self.codes[at], text)
            for at, text in zip(self._nearest(self.answers.asked(texts)), texts, strict=True)
        ]
        return Predictions(tuple(value or None for value in said))

    def save(self, folder: Path) -> None:
        about = {"texts": list(self.texts), "codes": list(self.codes), "slots": self.slots}
        write_json(folder / "nearest.json", {"version": 1, **about, **self.answers.to_dict()})

    def _nearest(self, texts: Sequence[str]) -> NDArray[np.int64]:
        vectorizer, rows = self._index
        found = [np.zeros(0, dtype=np.int64)]
        for start in range(0, len(texts), _AT_ONCE):
            like = (vectorizer.transform(texts[start : start + _AT_ONCE]) @ rows.T).toarray()
            found.append(like.argmax(axis=1).astype(np.int64))
        return np.concatenate(found)

    @cached_property
    def _index(self) -> tuple[Any, Any]:
        """TF-IDF of words and pairs of words, rows of length 1; made anew from the texts: nothing is pickled."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(token_pattern=r"\w+|[^\w\s]", ngram_range=(1, 2), sublinear_tf=True)
        try:
            return vectorizer, vectorizer.fit_transform(self.texts)
        except ValueError:  # no text has a word: all are alike
            return vectorizer, vectorizer.fit_transform([f"{text} x" for text in self.texts])


@dataclass(frozen=True)
class Nearest:
    """The most similar train row's answer: what a text system must be better than to have learned anything."""

    name: str = "nearest"
    kind: Literal["untuned", "tuned"] = "untuned"
    needs: Literal["nothing", "encoder", "lm"] = "nothing"
    outputs: tuple[str, ...] = ("text", "labels")

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> NearestFitted:
        # A set of labels is chosen, not written: nothing in it stands for a word of the text.
        if job.frozen and "slots" in job.options:
            slots = bool(job.options["slots"])
        else:
            slots = job.task.output == "text" and slots_pay(train)
        answers, codes = Answers.of(train, slots=slots, most=len(train))
        return NearestFitted(answers.asked(train.texts), tuple(codes), answers, slots)

    def load(self, folder: Path, job: Job, ctx: Context) -> NearestFitted:
        about = read_json(folder / "nearest.json")
        return NearestFitted(tuple(about["texts"]), tuple(about["codes"]), Answers.from_dict(about), about["slots"])

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) CPU seconds."""
        row = 4e-6 * (work.tokens_per_text + 20)
        return 2 * row * work.n_train, (row + 1e-7 * work.n_train) * work.n_predict


system("nearest")(Nearest())
