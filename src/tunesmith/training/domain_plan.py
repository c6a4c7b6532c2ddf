"""How many tokens of the user's documents are read before tuning, and how long that will take; decided before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.core.errors import ConfigError
from tunesmith.data.corpus import Corpus, Document
from tunesmith.tasks import task as tasks
from tunesmith.training.domain import LEAST_TOKENS, Domain, DomainOptions, refuse_too_few
from tunesmith.training.select import SelectOptions
from tunesmith.training.systems import Asked, RungPlan
from tunesmith.training.systems import system as systems
from tunesmith.training.train import TrainOptions

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TABLE = "domain"
_PASSES = 2  # over the documents, where time allows
_SHARE = 1 / 3  # of the time that is left, at most
_LEAST = 16_000  # tokens: fewer are not worth loading a model for, unless there are no more
_COUNTED = 200  # documents whose tokens stand for those of all
_LATE = 1.5  # times the forecast after which training ends


@dataclass(frozen=True)
class Reading:
    """options: without 'auto'. seconds: forecast of the whole stage; 0 where no speed was probed. run: whether it fits.

    why: for the plan.
    """

    options: DomainOptions
    seconds: float
    run: bool
    why: str

    @property
    def clock_s(self) -> float | None:
        """When training ends whatever is left of it; only for the run that planned."""
        return _LATE * self.seconds if self.seconds else None


def plan_reading(
    options: DomainOptions, corpus: Corpus, folder: Path, *, base: str, tokens_per_s: float, left_s: float, must: bool
) -> Reading:
    """What to read of the corpus with the language model in `folder`.

    tokens_per_s: of a forward pass without its output head; 0: not probed, time bounds nothing. must: read the least
    that shows anything even where there is no time for it. Raises DataError where the documents hold too little.
    """
    from transformers import AutoTokenizer

    from tunesmith.training.probe import LOAD_S
    from tunesmith.training.reading_on import MOST_JUDGED
    from tunesmith.training.tuned_lm import FORWARDS_PER_TRAINED_TOKEN

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    there, judged = _tokens(corpus.train, tokenizer), _tokens(corpus.held_out, tokenizer)
    refuse_too_few(there)
    judged = min(judged, len(corpus.held_out) * MOST_JUDGED * options.window)
    wanted = _PASSES * there if options.tokens == "auto" else options.tokens
    least = min(wanted, max(_LEAST, LEAST_TOKENS))
    per_s = tokens_per_s / _with_head(folder)
    told = f"{len(corpus.train):,} documents of about {there:,} tokens, {len(corpus.held_out):,} held out"
    if not per_s:
        return Reading(replace(options, base=base, tokens=wanted), 0.0, True, told)

    def seconds(tokens: float) -> float:
        return 5 * LOAD_S + (FORWARDS_PER_TRAINED_TOKEN * tokens + 2 * judged) / per_s

    tokens = wanted
    if options.tokens == "auto":
        affordable = int((_SHARE * left_s - seconds(0)) * per_s / FORWARDS_PER_TRAINED_TOKEN)
        tokens = min(wanted, max(affordable, least if must else 0))
    if tokens < least:
        return Reading(
            replace(options, base=base, tokens=least), 0.0, False,
            f"reading the documents needs at least {seconds(least):.0f} s, and a third of what is left is "
            f"{_SHARE * max(0.0, left_s):.0f} s",
        )  # fmt: skip
    spent = seconds(tokens)
    passes = f"{tokens / max(1, there):.1f} passes over {told}: about {spent:.0f} s"
    return Reading(replace(options, base=base, tokens=tokens), spent, True, passes)


def asked_by(name: str) -> str:
    """The table of the config that a rung takes part for; "": it always does."""
    rung = systems.get(name)
    return rung.asked_by if isinstance(rung, Asked) else ""


def refuse_unread(names: Sequence[str], task: str, folders: Mapping[str, Path], lost: str) -> None:
    """Raise ConfigError where documents were given and nothing would read them.

    names: rungs that are considered. folders: of the base models that are here. lost: why there is no language model.
    """
    output = tasks.get(task).output
    if not any(asked_by(name) == TABLE and output in systems.get(name).outputs for name in names):
        why, hint = "model.only leaves that rung out", "add --only lm_domain."
        if output not in systems.get("lm_domain").outputs:
            why, hint = f"the task {task} asks for {output}, which it does not give", "leave --domain out."
        raise ConfigError(f"domain: documents are read for the rung lm_domain, and {why}.", hint=hint)
    if "lm" not in folders:
        raise ConfigError(
            f"domain: documents are read by a language model, and there is none here: {lost}.",
            hint="name one with --lm, or leave --domain out.",
        )


def reads_documents(rungs: Sequence[RungPlan] | str) -> bool:
    """Whether a rung that stands on the user's documents is going to run. rungs: 'auto' if not planned."""
    return not isinstance(rungs, str) and any(rung.run and asked_by(rung.name) == TABLE for rung in rungs)


def with_documents_read(
    model: SelectOptions, training: TrainOptions, read: Domain
) -> tuple[SelectOptions, TrainOptions]:
    """The options for what follows: rungs that stand on documents know what was learnt, or do not run."""
    if read.adapter is not None:
        return model, replace(training, domain=read.adapter)
    assert model.rungs != "auto", "rungs are planned before documents are read"
    rungs = tuple(
        replace(rung, run=False, why=read.why) if rung.run and asked_by(rung.name) == TABLE else rung
        for rung in model.rungs
    )
    return replace(model, rungs=rungs), training


def _tokens(documents: tuple[Document, ...], tokenizer: PreTrainedTokenizerBase) -> int:
    """Tokens of all documents, from those of some."""
    at = sorted({int(i * len(documents) / _COUNTED) for i in range(_COUNTED)}) if documents else []
    texts = [documents[i].text for i in at]
    if not texts:
        return 0
    counted = sum(len(ids) for ids in tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"])
    share = sum(map(len, texts)) / max(1, sum(len(one.text) for one in documents))
    return int(np.ceil(counted / max(share, 1e-9)))


def _with_head(folder: Path) -> float:
    """What a token costs whose next one is predicted, in tokens whose is not: the output head is wide."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    head = model.get_output_embeddings().weight.numel()
    tables = {id(t): t.numel() for t in (model.get_input_embeddings().weight, model.get_output_embeddings().weight)}
    body = sum(t.numel() for t in model.parameters()) - sum(tables.values())
    return float((body + head) / max(1, body))
