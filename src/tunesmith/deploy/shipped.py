"""What is exported: one system of a finished run as values, with held data to compare its exports on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.checks import Check
from tunesmith.core.context import Context
from tunesmith.core.files import read_json
from tunesmith.core.predictions import Predictions
from tunesmith.evaluation.acceptance import Acceptance
from tunesmith.models.spec import ModelSpec
from tunesmith.training.ladder import Rung
from tunesmith.training.systems import Job

# Parts of a system that read the vectors of the encoder as it was before tuning.
_ON_FROZEN = ("linear", "kernel")


@dataclass(frozen=True)
class Held:
    """Rows that the system was scored on and did not learn from, with what it said of them. All of length n."""

    texts: tuple[str, ...]
    references: tuple[str, ...]
    predictions: Predictions

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class Shipped:
    """run: name of the run. path: folder of the fitted system, as it ships. accept_at: what was asked for, or None.

    inputs: columns that a text is made of. leads: the metric that decided. verdict: its sentence, or why this system.
    rounded: the arithmetic in which `held` was answered, where exports compute in float32 and it was another one.
    checks: what was found before any export was written.
    """

    run: str
    path: Path
    rung: Rung
    job: Job
    held: Held
    acceptance: Acceptance
    coarse_acceptance: Acceptance  # the same, standing on n-grams alone
    accept_at: float | None
    inputs: tuple[str, ...]
    leads: str
    verdict: str
    ctx: Context
    rounded: str | None = None
    checks: tuple[Check, ...] = ()

    @property
    def name(self) -> str:
        """The system's name."""
        return self.rung.name

    @property
    def base(self) -> ModelSpec | None:
        """The base model that it stands on."""
        return {"nothing": None, "encoder": self.job.encoder, "lm": self.job.lm}[self.rung.needs]

    @property
    def adapter(self) -> Path | None:
        """The folder of its adapter, if it has one."""
        folder = self.path / "adapter"
        return folder if folder.is_dir() else None

    @property
    def experts(self) -> tuple[str, ...]:
        """Whose opinions are put together, where several are."""
        for file in ("together.json", "fusion.json", "system.json"):
            if (self.path / file).exists():
                about: dict[str, Any] = read_json(self.path / file)
                return tuple(about.get("experts", ()))
        return ()

    @property
    def reads_frozen(self) -> bool:
        """Whether it needs the vectors of the encoder as it was before tuning."""
        if self.rung.needs != "encoder":
            return False
        return self.adapter is None or any(name in _ON_FROZEN for name in self.experts)

    @property
    def writes(self) -> bool:
        """Whether answers are written word by word, not chosen from labels."""
        return self.job.task.output in ("text", "json")


def package_of(model: Shipped) -> str:
    """The name of the package of sources in an export: a word of the run's name, and `_model`."""
    word = re.sub(r"[^a-z0-9]+", "_", model.run.lower()).strip("_")
    return f"{word if word[:1].isalpha() else f'run_{word}'}_model"
