"""Answers with the beginning of the source: the baseline that text systems are ashamed to lose to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.files import read_json, write_json
from tunesmith.core.predictions import Predictions
from tunesmith.training.systems import Job, Workload, system

Unit = Literal["words", "sentences"]

# The lengths that are tried: fine where answers are short, coarse where they are long.
_SENTENCES = (1, 2, 3, 5, 8)
_WORDS = (5, 10, 20, 30, 40, 60, 80, 120, 180, 260)
_ROWS = 400  # train rows that the length is chosen on: more would not change it

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


@dataclass(frozen=True)
class LeadFitted:
    """How much of the source is copied: the first `count` words or sentences."""

    system: ClassVar[str] = "lead"
    unit: Unit
    count: int

    @property
    def settings(self) -> dict[str, float | int | str | bool]:
        """What fitting chose."""
        return {"unit": self.unit, "count": self.count}

    def predict(self, texts: Sequence[str], ctx: Context) -> Predictions:
        return Predictions(tuple(beginning(text, self.unit, self.count) or None for text in texts))

    def save(self, folder: Path) -> None:
        write_json(folder / "lead.json", self.settings)


@dataclass(frozen=True)
class Lead:
    """The first words or sentences, as many as score best on train rows by the task's leading metric."""

    name: str = "lead"
    kind: Literal["untuned", "tuned"] = "untuned"
    needs: Literal["nothing", "encoder", "lm"] = "nothing"
    outputs: tuple[str, ...] = ("text",)

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> LeadFitted:
        if job.frozen and "count" in job.options:
            unit: Unit = "sentences" if job.options["unit"] == "sentences" else "words"
            return LeadFitted(unit, int(job.options["count"]))
        rows = train
        if len(train) > _ROWS:
            rows = train.take(np.sort(np.random.default_rng([ctx.seed, 31]).choice(len(train), _ROWS, replace=False)))
        tried: list[LeadFitted] = [LeadFitted("words", n) for n in _WORDS]
        tried += [LeadFitted("sentences", n) for n in _SENTENCES]
        scores = [
            job.task.score(fitted.predict(rows.texts, ctx), rows.references, rows.texts, ())[job.task.leads]
            for fitted in tried
        ]
        return tried[int(np.argmax(scores))]

    def load(self, folder: Path, job: Job, ctx: Context) -> LeadFitted:
        about = read_json(folder / "lead.json")
        return LeadFitted(about["unit"], int(about["count"]))

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) CPU seconds: the metric over a few hundred rows for each length tried."""
        per_row = 2.5e-6 * (work.tokens_per_text + 50)
        return (len(_WORDS) + len(_SENTENCES)) * min(work.n_train, _ROWS) * per_row, 1e-5 * work.n_predict


def beginning(text: str, unit: Unit, count: int) -> str:
    """The first `count` words or sentences of a text; line breaks end sentences too."""
    if unit == "words":
        return " ".join(text.split()[:count])
    sentences = [part.strip() for part in _SENTENCE_END.split(text) if part.strip()]
    return " ".join(sentences[:count])


system("lead")(Lead())
