"""The base language model as it is, asked with the task's wording alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.training.prompting import PromptedFitted, fit_prompted, load_prompted
from tunesmith.training.systems import Job, system

# Rows that the label prior is measured on; their targets decide only whether it is used.
_PRIOR_ROWS = 48


@dataclass(frozen=True)
class ZeroShot:
    """No example is shown. For labels, what the model says of any text at all may be taken off (a batch's mean
    prediction as prior: Zhou et al. 2023, Batch Calibration); train rows decide whether it is."""

    name: str = "zero_shot"
    kind: Literal["untuned", "tuned"] = "untuned"
    needs: Literal["nothing", "encoder", "lm"] = "lm"
    outputs: tuple[str, ...] = ("label", "text")

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> PromptedFitted:
        return fit_prompted(self.name, train, job, ctx, candidates=[()], rows=_PRIOR_ROWS)

    def load(self, folder: Path, job: Job, ctx: Context) -> PromptedFitted:
        return load_prompted(self.name, folder, job)

    def seconds(
        self,
        *,
        n_train: int,
        n_predict: int,
        n_labels: int,
        encoder_texts_per_s: float,
        lm_tokens_per_s: float,
        tokens_per_text: float,
        steps: int | None,
    ) -> tuple[float, float]:
        """Forecast (fit, predict) seconds. lm_tokens_per_s: of a forward pass; tokens_per_text: prompt and answer."""
        del encoder_texts_per_s, steps
        from tunesmith.training.probe import LOAD_S, answer_tokens

        per_answer = answer_tokens(tokens_per_text, n_labels, whole_tree=True) / max(lm_tokens_per_s, 1e-9)
        rows = min(n_train, _PRIOR_ROWS) if n_labels else 0
        return LOAD_S + rows * per_answer, LOAD_S + n_predict * per_answer


system("zero_shot")(ZeroShot())
