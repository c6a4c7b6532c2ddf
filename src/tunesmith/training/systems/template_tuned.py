"""Chooses one of the answers of the train rows with an encoder tuned for the choice, and fills its slots."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.training.systems import Job, Workload, system
from tunesmith.training.templates import TemplateFitted, fit_templates, load_templates, seconds_of, why_not

_CHOOSER = "contrastive"


@dataclass(frozen=True)
class TunedTemplate:
    """For texts whose answers come back, as queries and standard replies do. Options: those of contrastive."""

    name: str = "template_tuned"
    kind: Literal["untuned", "tuned"] = "tuned"
    needs: Literal["nothing", "encoder", "lm"] = "encoder"
    outputs: tuple[str, ...] = ("text",)

    def why_not(self, train: Rows) -> str | None:
        """Why it would be no use for these rows; None if it may be."""
        return why_not(train)

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> TemplateFitted:
        return fit_templates(self.name, _CHOOSER, train, dev, job, ctx)

    def load(self, folder: Path, job: Job, ctx: Context) -> TemplateFitted:
        return load_templates(self.name, folder, job, ctx)

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) seconds."""
        return seconds_of(_CHOOSER, work)


system("template_tuned")(TunedTemplate())
