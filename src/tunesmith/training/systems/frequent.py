"""The lowest rung for texts and for sets of labels: always gives the answer that most train rows have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.files import read_json, write_json
from tunesmith.core.predictions import Predictions
from tunesmith.training.systems import Job, Workload, system


@dataclass(frozen=True)
class FrequentFitted:
    """The one answer."""

    system: ClassVar[str] = "frequent"
    answer: str

    def predict(self, texts: Sequence[str], ctx: Context) -> Predictions:
        return Predictions((self.answer or None,) * len(texts))

    def save(self, folder: Path) -> None:
        write_json(folder / "frequent.json", {"answer": self.answer})


@dataclass(frozen=True)
class Frequent:
    """The most frequent target; of equals, the first by the alphabet."""

    name: str = "frequent"
    kind: Literal["untuned", "tuned"] = "untuned"
    needs: Literal["nothing", "encoder", "lm"] = "nothing"
    outputs: tuple[str, ...] = ("text", "labels")

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> FrequentFitted:
        counts = Counter(train.targets)
        return FrequentFitted(min(counts, key=lambda answer: (-counts[answer], answer), default=""))

    def load(self, folder: Path, job: Job, ctx: Context) -> FrequentFitted:
        return FrequentFitted(str(read_json(folder / "frequent.json")["answer"]))

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) CPU seconds."""
        return 1e-6 * work.n_train, 1e-7 * work.n_predict


system("frequent")(Frequent())
