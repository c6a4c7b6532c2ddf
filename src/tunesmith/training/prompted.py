"""A language model that answers a run's rows: one object behind zero-shot, few-shot and tuned systems."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.errors import ModelError
from tunesmith.core.events import progress
from tunesmith.core.predictions import Predictions
from tunesmith.models.resolve import fetch
from tunesmith.models.template import Asker, Template
from tunesmith.tasks import Prompt
from tunesmith.training.systems import Job

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tunesmith.models.lm import LanguageModel
    from tunesmith.models.structured import Bound

# Longer rows are rare and cost memory squared in attention; what is cut is counted and shown.
_MOST_TOKENS = 2048
_CUT_SHARE = 0.005
_BORDERS = 64  # tokens that may come on top of a prompt's and its text's own where they meet, and at control marks
_BATCH = 64  # labelled texts between two ticks of the progress bar


@dataclass(frozen=True)
class Lengths:
    """Token limits of one system, fixed when it is fitted.

    max_tokens: of prompt and answer together. max_new_tokens: of an answer.
    """

    max_tokens: int
    max_new_tokens: int

    @property
    def room(self) -> int:
        """Tokens left to the prompt."""
        return self.max_tokens - self.max_new_tokens


def lengths_of(template: Template, answers: Sequence[str], context: int) -> Lengths:
    """Limits for answers like these: so long that at most 1 in 200 of their tokens is cut; the rest is the prompt's.

    Prompts are bounded by the context (and 2,048 tokens), not by the longest one seen: later rows may be longer.
    """
    replies = np.array([len(template.answer_ids(answer)) for answer in answers])
    max_tokens = min(context, _MOST_TOKENS)
    longest = int(replies.max(initial=1))
    cut = np.array([np.maximum(0, replies - limit).sum() for limit in range(longest + 1)])
    enough = int(np.argmax(cut <= _CUT_SHARE * replies.sum()))
    return Lengths(max_tokens, min(int(np.ceil(1.1 * enough)) + 8, max_tokens // 2))


def refuse_longer(rows: Rows, asker: Asker, lengths: Lengths, *, context: int) -> None:
    """Raise ModelError if rows do not fit the model's context: how many, the longest, the context.

    A row needs its prompt, uncut, and room for its own answer or for the longest that is ever written.
    """
    needed = [0]
    spare = context - len(asker.ask("").ids) - _BORDERS
    for text, target in zip(rows.texts, rows.targets, strict=True):
        # A token has at least a byte: most rows need not be tokenized to know that they fit.
        if len(text.encode()) + max(len(target.encode()), lengths.max_new_tokens) > spare:
            answer = max(len(asker.template.answer_ids(target)), lengths.max_new_tokens)
            needed.append(len(asker.ask(text).ids) + answer)
    longer = sum(tokens > context for tokens in needed)
    if longer:
        raise ModelError(
            f"{longer} of {len(rows)} rows are longer than the context of this base model: the longest needs "
            f"{max(needed)} tokens (with room for an answer of {lengths.max_new_tokens}), the context has {context}.",
            hint="choose a base with a longer context (model.lm), shorten or drop these rows, or set "
            "train.allow_truncation: true (sources then lose their middle, answers their end; both are counted).",
        )


@dataclass(frozen=True)
class Prompted:
    """Answers texts with a language model.

    labels: () for text. prior: (k,) log-probabilities that the model gives the labels whatever the text says,
    subtracted before they are compared; None: not subtracted.
    """

    lm: LanguageModel
    asker: Asker
    lengths: Lengths
    labels: tuple[str, ...]
    prior: NDArray[np.float64] | None = None
    exact: bool = True

    def predict(self, texts: Sequence[str], ctx: Context) -> Predictions:
        """One answer per text, in order: the most probable label, or what the model writes."""
        asked = [self.asker.ask(text, room=self.lengths.room) for text in texts]
        cut = [a.lost for a in asked if a.lost]
        if cut:
            ctx.emit("prompts.cut", rows=len(cut), tokens=sum(cut), of=len(texts))
        ids = [a.ids for a in asked]
        if not self.labels:
            with progress(ctx.emit, "answers", len(ids)) as tick:
                return Predictions(tuple(self._write(ids, lambda: tick(1))))
        scores: list[NDArray[np.float64]] = []
        # Similar lengths together, so that a batch pads little; the answers go back to their rows.
        order = sorted(range(len(ids)), key=lambda i: (len(ids[i]), i))
        with progress(ctx.emit, "answers", len(ids)) as tick:
            for start in range(0, len(order), _BATCH):
                part = [ids[i] for i in order[start : start + _BATCH]]
                scores.append(self.log_probs(part))
                tick(len(part))
        back = np.argsort(np.array(order, dtype=np.int64), kind="stable")
        table = np.concatenate(scores)[back] if scores else np.zeros((0, len(self.labels)))
        return Predictions.from_probabilities(self.probabilities(table), self.labels)

    def log_probs(self, prompts: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """(n, k) log P(label | prompt) without the prior."""
        return self.lm.label_log_probs(prompts, self.label_ids, prefix=self.asker.prefix, exact=self.exact)

    def probabilities(self, log_probs: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, k) softmax over the labels, the prior taken off."""
        return softmax(log_probs if self.prior is None else log_probs - self.prior)

    @cached_property
    def label_ids(self) -> list[list[int]]:
        ids = [self.asker.template.answer_ids(label) for label in self.labels]
        if len({tuple(i) for i in ids}) < len(ids):
            raise ModelError("two labels are the same to this base model's tokenizer.", hint="rename one of them.")
        return ids

    @cached_property
    def bound(self) -> Bound | None:
        """What answers have to obey: the prompt's schema, if it has one."""
        from tunesmith.models.structured import Bound

        return Bound(self.lm, self.asker.prompt.schema) if self.asker.prompt.schema else None

    def _write(self, prompts: Sequence[Sequence[int]], ended: Callable[[], object]) -> list[str | None]:
        bound = self.bound
        answers = self.lm.generate(
            prompts,
            max_new_tokens=self.lengths.max_new_tokens,
            prefix=self.asker.prefix,
            break_loops=True,
            bound=bound,
            ended=ended,
        )
        if bound is not None:
            return [bound.read(answer.ids) for answer in answers]
        template, task, prompt = self.asker.template, self.asker.task, self.asker.prompt
        return [task.parse(template.read(answer.ids), prompt) for answer in answers]


def asker_for(lm: LanguageModel, job: Job, prompt: Prompt | None = None) -> Asker:
    """How this model is asked the job's task."""
    return Asker(lm.template, job.task, job.prompt if prompt is None else prompt)


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of scores as probabilities."""
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), dtype=np.float64)


def lm_folder(job: Job, ctx: Context) -> Path:
    """The folder of the job's language model. Raises ModelError if the job names none."""
    if job.lm is None:
        raise ModelError("this system needs a language model, and the plan names none.", hint="set model.lm.")
    return fetch(job.lm, ctx.emit)
