"""Fits prompted systems: how to ask, which shots to show, and whether to take off what is said of any text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.files import read_json, write_json
from tunesmith.core.predictions import Predictions
from tunesmith.tasks import Prompt
from tunesmith.training.systems import Job

if TYPE_CHECKING:
    from tunesmith.models.lm import LanguageModel
    from tunesmith.training.prompted import Lengths, Prompted

# Rows that choose between prompts for text, by the loss of their answers: they are long, and few suffice.
TEXT_ROWS = 16
_LEAST = 1e-6  # of a probability whose logarithm is taken


@dataclass
class PromptedFitted:
    """A base named by its uri, the shots that it is shown, and the labels' prior."""

    system: str
    job: Job
    about: dict[str, Any]
    _answers: Prompted | None = field(default=None, repr=False)

    @property
    def settings(self) -> dict[str, float | int | str | bool]:
        """What fitting chose; "chosen" is all of it, for refitting, as JSON."""
        return {**self.about["settings"], "chosen": json.dumps(self.about, ensure_ascii=False, sort_keys=True)}

    def predict(self, texts: Sequence[str], ctx: Context) -> Predictions:
        return self.answers(ctx).predict(texts, ctx)

    def answers(self, ctx: Context) -> Prompted:
        """The loaded model with its wording; read from disk when first asked for."""
        from tunesmith.models.lm import LanguageModel
        from tunesmith.training.prompted import lm_folder

        if self._answers is None:
            lm = LanguageModel.load(lm_folder(self.job, ctx), ctx.limits)
            self._answers = _prompted(lm, self.job, self.about)
        return self._answers

    def through(self, lm: LanguageModel) -> PromptedFitted:
        """The same, answered by a model that was loaded already."""
        return replace(self, _answers=_prompted(lm, self.job, self.about))

    def save(self, folder: Path) -> None:
        write_json(folder / "system.json", self.about)


def fit_prompted(
    name: str, train: Rows, job: Job, ctx: Context, *, candidates: Sequence[Prompt], rows: int
) -> PromptedFitted:
    """The best of some prompts on a few train rows: by errors and log-loss for labels, by the answers' loss for text.

    rows: how many train rows decide (spread over the labels; 16 for text); for labels they also measure the prior.
    With job.frozen, what an earlier fit chose (in job.options) is taken over as it is.
    """
    if job.frozen and "chosen" in job.options:
        return PromptedFitted(name, job, json.loads(str(job.options["chosen"])))
    from tunesmith.models.lm import LanguageModel
    from tunesmith.training.prompted import lengths_of, lm_folder

    lm = LanguageModel.load(lm_folder(job, ctx), ctx.limits)
    judges = train.take(_spread(train.targets, rows if job.labels else TEXT_ROWS, seed=ctx.seed))
    tried: list[tuple[float, int, dict[str, Any]]] = []
    for i, prompt in enumerate(candidates):
        lengths = lengths_of(lm.template, train.targets, lm.context)
        about: dict[str, Any] = {
            "version": 1,
            "system": name,
            "base": "" if job.lm is None else job.lm.uri,
            "task": job.task.name,
            "instruction": prompt.instruction,
            "labels": list(job.labels),
            "shots": [list(shot) for shot in prompt.shots],
            "template": lm.template.fingerprint,
            "lengths": [lengths.max_tokens, lengths.max_new_tokens],
            "prior": None,
            "settings": {"calibrated": False, "prompt": i},
        }
        if job.labels:
            loss, prior = _label_loss(_prompted(lm, job, about), judges)
            about["prior"] = prior
            about["settings"]["calibrated"] = prior is not None
        else:
            loss = _text_loss(lm, _prompted(lm, job, about), judges, lengths) if len(candidates) > 1 else 0.0
        tried.append((loss, i, about))
    loss, _, best = min(tried, key=lambda t: t[:2])
    ctx.emit("prompted", system=name, loss=round(loss, 4), tried=len(tried), **best["settings"])
    return PromptedFitted(name, job, best, _prompted(lm, job, best))


def load_prompted(name: str, folder: Path, job: Job) -> PromptedFitted:
    """What `PromptedFitted.save` wrote."""
    return PromptedFitted(name, job, read_json(folder / "system.json"))


def _prompted(lm: LanguageModel, job: Job, about: dict[str, Any]) -> Prompted:
    from tunesmith.training.prompted import Lengths, Prompted, asker_for

    shots = tuple((str(a), str(b)) for a, b in about["shots"])
    prompt = replace(job.prompt, instruction=str(about["instruction"]), shots=shots)
    prior = None if about["prior"] is None else np.array(about["prior"], dtype=np.float64)
    return Prompted(lm, asker_for(lm, job, prompt), Lengths(*about["lengths"]), job.labels, prior)


def _label_loss(asked: Prompted, judges: Rows) -> tuple[float, list[float] | None]:
    """(errors, with log-loss to break ties; the prior to take off, None if the answers are better with it on)."""
    from tunesmith.training.prompted import softmax

    prompts = [asked.asker.ask(text, room=asked.lengths.room).ids for text in judges.texts]
    scores = asked.log_probs(prompts)
    # The judges are spread over the labels, so an unprejudiced model's mean prediction would be even.
    prior = np.log(np.maximum(softmax(scores).mean(axis=0), _LEAST))
    truth = np.array([asked.labels.index(target) for target in judges.targets])
    losses = []
    for taken in (np.zeros_like(prior), prior):
        p = softmax(scores - taken)
        right = p.argmax(axis=1) == truth
        nats = -np.log(np.maximum(p[np.arange(len(truth)), truth], _LEAST))
        losses.append(float((~right).mean() + 0.01 * nats.mean()))
    return (losses[1], prior.tolist()) if losses[1] < losses[0] else (losses[0], None)


def _text_loss(lm: LanguageModel, asked: Prompted, judges: Rows, lengths: Lengths) -> float:
    from tunesmith.training.batches import encode, micro_batches
    from tunesmith.training.losses import mean_loss

    encoded = encode(judges, asked.asker, max_tokens=lengths.max_tokens, room=lengths.room)
    return mean_loss(lm.model, micro_batches(encoded, range(len(encoded)), max_tokens=1024))


def _spread(targets: Sequence[str], n: int, *, seed: int) -> list[int]:
    """n positions, the same number of each target where there are so many, drawn by `seed`."""
    order = np.random.default_rng([seed, 29]).permutation(len(targets)).tolist()
    seen: dict[str, int] = {}
    turn = []
    for i in order:
        turn.append((seen.get(targets[i], 0), i))
        seen[targets[i]] = seen.get(targets[i], 0) + 1
    return sorted(i for _, i in sorted(turn, key=lambda pair: pair[0])[:n])
