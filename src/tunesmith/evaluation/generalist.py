"""A large generalist beside the shipped model: its score on the same rows, its price, and the volume where tuning pays.

Its answers come from an OpenAI-compatible endpoint that the user configured, or from a file of predictions. It can be
no rung that ships, so it takes no part in the choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.dataset import Dataset, Rows
from tunesmith.core.errors import ConfigError, DataError, did_you_mean
from tunesmith.core.events import progress
from tunesmith.core.predictions import Predictions
from tunesmith.core.statistics import bootstrap_mean
from tunesmith.data.reading import read_path
from tunesmith.data.rendering import texts_of
from tunesmith.evaluation.acceptance import Acceptance
from tunesmith.evaluation.scores import scores_of
from tunesmith.evaluation.verdict import Answers, verdict
from tunesmith.models.endpoint import Endpoint, Said
from tunesmith.tasks import Prompt, Task

NAME = "generalist"
# Promises that the pair is judged at, where the run was asked for none.
_TARGETS = (0.9, 0.95, 0.98, 0.99)


@dataclass(frozen=True)
class GeneralistOptions:
    """Who the generalist is, and what it costs. Nothing is sent anywhere unless `endpoint` is given."""

    endpoint: str | None = field(default=None, metadata={"help": "OpenAI-compatible address: test texts go there"})
    model: str | None = field(default=None, metadata={"help": "what the endpoint calls the model"})
    key_env: str = field(default="OPENAI_API_KEY", metadata={"help": "environment variable that holds the key"})
    predictions: Path | None = field(
        default=None,
        metadata={"help": "or a table of its answers: the input columns and `prediction`", "content": True},
    )
    rows: int = field(default=200, metadata={"help": "test rows that the endpoint is asked for"})
    shots: int = field(default=8, metadata={"help": "train rows shown in each question to the endpoint"})
    max_tokens: int = field(default=256, metadata={"help": "longest answer of the endpoint"})
    at_once: int = field(default=4, metadata={"help": "questions in flight"})
    price_in: float | None = field(default=None, metadata={"help": "price of a million tokens asked"})
    price_out: float | None = field(default=None, metadata={"help": "price of a million tokens answered"})
    price: float | None = field(default=None, metadata={"help": "or price of one answer"})
    seconds: float | None = field(default=None, metadata={"help": "of one answer, where a file does not tell"})

    def __post_init__(self) -> None:
        if self.endpoint is not None and self.predictions is not None:
            raise ConfigError("generalist: give an endpoint or a file of predictions, not both.")
        if self.endpoint is not None:
            if not self.model:
                raise ConfigError("generalist.model: say which model to ask at the endpoint.")
            Endpoint(self.endpoint, self.model, self.key_env)  # refused before anything is spent
        for name in ("price_in", "price_out", "price", "seconds"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"generalist.{name}: expected a number of at least 0, got {value}.")
        if self.rows < 1 or self.shots < 0 or self.max_tokens < 1 or self.at_once < 1:
            raise ConfigError("generalist: rows, max_tokens and at_once start at 1, shots at 0.")

    @property
    def is_asked(self) -> bool:
        """Whether there is a generalist at all."""
        return self.endpoint is not None or self.predictions is not None


@dataclass(frozen=True)
class Spent:
    """What the specialised model costs, in the currency of the report's estimates: once, and per answer."""

    once: float
    per_answer: float
    seconds_per_answer: float | None


@dataclass(frozen=True)
class Stage:
    """What is compared: the shipped system's answers, and the truth of every test row."""

    task: Task
    data: Dataset
    test: Rows
    references: Sequence[str]
    winner: str
    shipped: Answers
    acceptance: Acceptance | None = None
    accept_at: float | None = None


def beside_generalist(
    stage: Stage, prompt: Prompt, options: GeneralistOptions, spent: Spent, *, resamples: int, ctx: Context
) -> dict[str, Any]:
    """The report's "generalist": scores, the paired comparison, price, seconds and the volume where tuning pays.

    Raises DataError for a file that knows none of the test rows, SourceUnavailable where the endpoint does not answer.
    """
    if options.endpoint is not None:
        given, said = _asked(stage, prompt, options, ctx)
        source = f"{options.model} at {options.endpoint}, shown {options.shots} train rows"
    else:
        assert options.predictions is not None
        given, said = _stored(stage, options.predictions), []
        source = options.predictions.name
    answers = {stage.winner: stage.shipped, NAME: given}
    found = verdict(
        stage.task, stage.references, sources=stage.test.texts, labels=stage.data.labels, answers=answers,
        candidate=None, reference=stage.winner, against=[NAME], resamples=resamples, seed=ctx.seed,
    )  # fmt: skip
    scores = scores_of(
        stage.task, given, stage.references, sources=stage.test.texts, labels=stage.data.labels, resamples=resamples,
        seed=ctx.seed,
    )  # fmt: skip
    price, seconds = _price(said, options), _seconds(said, options)
    return {
        "source": source,
        "n": len(given.predictions),
        "scores": {name: asdict(score) for name, score in scores.items()},
        "comparisons": [made.to_dict() for made in found.comparisons],
        "price_per_answer": price,
        "seconds_per_answer": seconds,
        "specialised": asdict(spent),
        "crossover": crossover(spent, price),
        "cascade": [] if stage.acceptance is None else cascade(
            stage, given, stage.acceptance, (stage.accept_at,) if stage.accept_at else _TARGETS, price, spent, ctx
        ),
    }  # fmt: skip


def crossover(spent: Spent, price: float | None) -> dict[str, Any]:
    """From how many answers on the specialised model is cheaper: its one-off cost over what each answer saves.

    {"answers": N or None, "why"}.
    """
    if price is None:
        return {"answers": None, "why": "the generalist's price is not known: give price_in and price_out, or price"}
    saved = price - spent.per_answer
    if saved <= 0:
        return {"answers": None, "why": "the generalist's answers cost no more, so tuning never pays by price alone"}
    n = math.ceil(spent.once / saved * (1 - 1e-9))  # not one more for a last digit
    return {"answers": n, "why": f"{spent.once:.4g} once, and each answer saves {saved:.3g}"}


def _asked(stage: Stage, prompt: Prompt, options: GeneralistOptions, ctx: Context) -> tuple[Answers, list[Said]]:
    n = len(stage.test)
    rows = np.sort(np.random.default_rng([ctx.seed, n]).permutation(n)[: options.rows]).astype(np.int64)
    asking = Asking.of(stage.task, stage.data, prompt, options, seed=ctx.seed)
    ctx.emit("note", text=f"asking {options.model} at {options.endpoint} for {len(rows)} answers to test texts")
    with progress(ctx.emit, "generalist", len(rows)) as tick:
        values, said = asking.answers([stage.test.texts[int(i)] for i in rows], ctx.workdir / NAME, tick=tick)
    return Answers(Predictions(values), None if len(rows) == n else rows), said


@dataclass(frozen=True)
class Asking:
    """How a generalist is asked. prompt: the run's wording, with the train rows that are shown."""

    task: Task
    prompt: Prompt
    endpoint: Endpoint
    at_once: int

    @classmethod
    def of(cls, task: Task, data: Dataset, prompt: Prompt, options: GeneralistOptions, *, seed: int) -> Asking:
        """Raises ConfigError where no endpoint is configured."""
        if options.endpoint is None or options.model is None:
            raise ConfigError(
                "no generalist is configured that could be asked.",
                hint="run with --set evaluate.generalist.endpoint=URL --set evaluate.generalist.model=NAME",
            )
        shown = Prompt(prompt.instruction, prompt.labels, _shots(data, options.shots, seed=seed), prompt.schema)
        endpoint = Endpoint(options.endpoint, options.model, options.key_env, options.max_tokens)
        return cls(task, shown, endpoint, options.at_once)

    def answers(
        self, texts: Sequence[str], folder: Path, *, tick: Callable[[int], object] = lambda _: None
    ) -> tuple[tuple[str | None, ...], list[Said]]:
        """(parsed answers, what was said), in order; kept in `folder` by what was asked."""
        talks = [self.task.render(text, self.prompt) for text in texts]
        said = self.endpoint.ask_all(talks, folder, at_once=self.at_once, tick=tick)
        return tuple(self.task.parse(answer.text, self.prompt) for answer in said), said


def cascade(
    stage: Stage, given: Answers, acceptance: Acceptance, targets: Sequence[float], price: float | None, spent: Spent,
    ctx: Context,
) -> list[dict[str, Any]]:  # fmt: skip
    """What the pair is worth: answers that a promise covers are ours, the others the generalist's, on common rows.

    Of each target whose promise can be kept: {target, handed_on, score, interval, n, price_per_answer}; score is the
    mean of the task's first row metric.
    """
    n = len(stage.test)
    ours = np.arange(n) if stage.shipped.rows is None else stage.shipped.rows
    theirs = np.arange(n) if given.rows is None else given.rows
    common, at_ours, at_theirs = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
    if not len(common) or acceptance.judged is None or not len(acceptance.judged):
        return []
    mine, other = stage.shipped.predictions.take(at_ours), given.predictions.take(at_theirs)
    texts, truth = [stage.test.texts[int(i)] for i in common], [stage.references[int(i)] for i in common]
    made = []
    for target in targets:
        if not acceptance.judged.promise(target).is_kept:
            continue
        kept = acceptance.decide(mine, texts, target, ctx).accepted
        pair = tuple(a if k else b for a, b, k in zip(mine.values, other.values, kept, strict=True))
        by_row = stage.task.row_scores(Predictions(pair), truth, texts, stage.data.labels)
        values = next(iter(by_row.values()))
        handed = float(1.0 - kept.mean())
        made.append({
            "target": target, "handed_on": handed, "metric": next(iter(by_row)), "score": float(values.mean()),
            "interval": bootstrap_mean(values, resamples=1000, seed=ctx.seed), "n": len(common),
            "price_per_answer": None if price is None else spent.per_answer + handed * price,
        })  # fmt: skip
    return made


def _shots(data: Dataset, k: int, *, seed: int) -> tuple[tuple[str, str], ...]:
    """k train rows, of different targets as far as there are."""
    train = data.rows("train")
    order = np.random.default_rng([seed, 41]).permutation(len(train)).tolist()
    seen: dict[str, int] = {}
    turns = []
    for i in order:
        turns.append((seen.setdefault(train.targets[i], 0), i))
        seen[train.targets[i]] += 1
    picked = [i for _, i in sorted(turns, key=lambda turn: turn[0])[:k]]
    return tuple((train.texts[i], train.targets[i]) for i in picked)


def _stored(stage: Stage, path: Path) -> Answers:
    """The predictions of a table, matched to the test by what the model is given."""
    table = read_path(path)
    if "prediction" not in table.names:
        raise DataError(
            f"{path}: no column called prediction.", hint=did_you_mean("prediction", table.names) or "add one."
        )
    missing = [name for name in stage.data.inputs if name not in table.names]
    if missing:
        raise DataError(
            f"{path}: the input column {missing[0]} is missing.", hint=did_you_mean(missing[0], table.names)
        )
    known: dict[str, str | None] = {}
    for text, value in zip(texts_of(table, stage.data.inputs), table.values("prediction"), strict=True):
        known.setdefault(text, value)
    rows = [i for i, text in enumerate(stage.test.texts) if text in known]
    if not rows:
        raise DataError(
            f"{path}: none of its {len(known):,} texts is among the {len(stage.test):,} test rows.",
            hint="predict the texts of the test split; `tunesmith trace RUN ROW` says where a row went.",
        )
    prompt = stage.task.prompt(stage.data.labels, inputs=stage.data.inputs, target=stage.data.target)
    raw = [known[stage.test.texts[i]] for i in rows]
    values = tuple(None if value is None else stage.task.parse(value, prompt) for value in raw)
    everything = len(rows) == len(stage.test)
    return Answers(Predictions(values), None if everything else np.asarray(rows, dtype=np.int64))


def _price(said: Sequence[Said], options: GeneralistOptions) -> float | None:
    """Mean price of an answer; None where it cannot be told."""
    if options.price is not None:
        return options.price
    if options.price_in is None or options.price_out is None or not said:
        return None
    counts = [(answer.tokens_in, answer.tokens_out) for answer in said]
    if any(a is None or b is None for a, b in counts):
        return None
    return sum((a or 0) * options.price_in + (b or 0) * options.price_out for a, b in counts) / 1e6 / len(said)


def _seconds(said: Sequence[Said], options: GeneralistOptions) -> float | None:
    return float(np.median([answer.seconds for answer in said])) if said else options.seconds


def money_spent(details: Mapping[str, Any], winner: str, *, watts: float, per_kwh: float) -> Spent:
    """What the run and an answer of the winner cost in energy: the estimates of the report, in its currency."""
    per_thousand = details["estimates"]["energy_wh_per_1000_predictions"].get(winner, 0.0)
    once = details["estimates"]["energy_wh"] / 1000 * per_kwh
    seconds = per_thousand / 1000 * 3600 / watts if watts else None
    return Spent(once, per_thousand / 1e6 * per_kwh, seconds)
