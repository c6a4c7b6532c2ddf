"""The lowest rung for fields and spans: the answer that most train rows have, whatever the text says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.files import read_json, write_json
from tunesmith.core.predictions import Predictions
from tunesmith.tasks.schema import read_schema
from tunesmith.tasks.values import dump, fit
from tunesmith.training.systems import Job, Workload, system


@dataclass(frozen=True)
class CommonestFitted:
    """answer: JSON."""

    system: ClassVar[str] = "commonest"
    answer: str

    def predict(self, texts: Sequence[str], ctx: Context) -> Predictions:
        return Predictions((self.answer,) * len(texts))

    def save(self, folder: Path) -> None:
        write_json(folder / "commonest.json", {"answer": self.answer})


@dataclass(frozen=True)
class Commonest:
    """The most frequent answer among the train rows; of equally frequent ones the shortest."""

    name: str = "commonest"
    kind: Literal["untuned", "tuned"] = "untuned"
    needs: Literal["nothing", "encoder", "lm"] = "nothing"
    outputs: tuple[str, ...] = ("json",)

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> CommonestFitted:
        counts = Counter(train.targets)
        answer = min(counts, key=lambda a: (-counts[a], len(a), a))
        return CommonestFitted(dump(fit(json.loads(answer), read_schema(job.prompt.schema))))

    def load(self, folder: Path, job: Job, ctx: Context) -> CommonestFitted:
        return CommonestFitted(str(read_json(folder / "commonest.json")["answer"]))

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) CPU seconds."""
        return 1e-6 * work.n_train, 1e-6 * work.n_predict


system("commonest")(Commonest())
