"""The base language model as it is, asked with the task's wording alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.training.prompting import TEXT_ROWS, PromptedFitted, fit_prompted, load_prompted
from tunesmith.training.systems import Job, Workload, system

# Train rows that decide how to ask, and on which the labels' prior is measured.
_ROWS = 32
# Small chat models were mostly tuned behind such a sentence, and some answer nonsense without it.
_PREAMBLE = "You are a helpful assistant. "


@dataclass(frozen=True)
class ZeroShot:
    """No example is shown. The task's wording is asked as it is and behind "You are a helpful assistant."; a few train
    rows decide which. For labels, what the model says of any text at all may be taken off (a batch's mean prediction
    as prior: Zhou et al. 2023, Batch Calibration); the same rows decide whether it is."""

    name: str = "zero_shot"
    kind: Literal["untuned", "tuned"] = "untuned"
    needs: Literal["nothing", "encoder", "lm"] = "lm"
    outputs: tuple[str, ...] = ("label", "text", "json")

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> PromptedFitted:
        polite = replace(job.prompt, instruction=_PREAMBLE + job.prompt.instruction)
        return fit_prompted(self.name, train, job, ctx, candidates=[job.prompt, polite], rows=_ROWS)

    def load(self, folder: Path, job: Job, ctx: Context) -> PromptedFitted:
        return load_prompted(self.name, folder, job)

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) seconds."""
        from tunesmith.training.probe import LOAD_S, answer_tokens

        speed = max(work.lm_tokens_per_s, 1e-9)
        per_answer = answer_tokens(work, whole_tree=True) / speed
        choosing = _ROWS * per_answer if work.n_labels else TEXT_ROWS * work.tokens_per_text / speed
        return LOAD_S + 2 * choosing, LOAD_S + work.n_predict * per_answer


system("zero_shot")(ZeroShot())
