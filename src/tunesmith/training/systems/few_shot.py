"""The base language model as it is, shown a few train rows with their answers first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.training.prompting import TEXT_ROWS, PromptedFitted, fit_prompted, load_prompted
from tunesmith.training.systems import Job, Workload, system

_LABEL_SHOTS = 8
_TEXT_SHOTS = 2
_DRAWS = 2  # sets of shots that are tried; which rows are shown matters more than how many
_ROWS = 24  # further train rows that choose between them
# Characters of a shot's input and answer together: shots are read with every row, and a few long ones fill the context.
_LONGEST_SHOT = 600


@dataclass(frozen=True)
class FewShot:
    """Eight shots (labels, spread over them) or two (text), the better of two random draws on other train rows."""

    name: str = "few_shot"
    kind: Literal["untuned", "tuned"] = "untuned"
    needs: Literal["nothing", "encoder", "lm"] = "lm"
    outputs: tuple[str, ...] = ("label", "text", "json")

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> PromptedFitted:
        draws = [choose_shots(train, job.labels, seed=ctx.seed + draw) for draw in range(_DRAWS)]
        asked = [replace(job.prompt, shots=tuple((train.texts[i], train.targets[i]) for i in draw)) for draw in draws]
        shown = {i for draw in draws for i in draw}
        rest = train.take([i for i in range(len(train)) if i not in shown] or list(range(len(train))))
        return fit_prompted(self.name, rest, job, ctx, candidates=asked, rows=_ROWS)

    def load(self, folder: Path, job: Job, ctx: Context) -> PromptedFitted:
        return load_prompted(self.name, folder, job)

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) seconds."""
        from tunesmith.training.probe import LOAD_S, answer_tokens

        speed = max(work.lm_tokens_per_s, 1e-9)
        # Shots are read once, but every token behind them attends to them.
        per_answer = 1.2 * answer_tokens(work, whole_tree=True) / speed
        choosing = _DRAWS * (_ROWS * per_answer if work.n_labels else TEXT_ROWS * work.tokens_per_text / speed)
        return LOAD_S + choosing, LOAD_S + work.n_predict * per_answer


def choose_shots(train: Rows, labels: Sequence[str], *, seed: int) -> list[int]:
    """Positions of the rows to show: short enough ones, one label after the other, drawn and ordered by `seed`."""
    rng = np.random.default_rng([seed, 23])
    order = rng.permutation(len(train)).tolist()
    lengths = np.array([len(t) + len(a) for t, a in zip(train.texts, train.targets, strict=True)])
    limit = max(_LONGEST_SHOT, int(np.percentile(lengths, 25)))
    order = sorted(order, key=lambda i: bool(lengths[i] > limit))  # stable: long rows only if there are no others
    if not labels:
        return order[:_TEXT_SHOTS]
    seen: dict[str, int] = {}
    turn = []
    for i in order:
        turn.append((seen.get(train.targets[i], 0), i))
        seen[train.targets[i]] = seen.get(train.targets[i], 0) + 1
    chosen = [i for _, i in sorted(turn, key=lambda pair: pair[0])][:_LABEL_SHOTS]
    return [chosen[int(j)] for j in rng.permutation(len(chosen))]


system("few_shot")(FewShot())
