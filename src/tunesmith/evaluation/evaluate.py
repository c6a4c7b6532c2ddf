"""Scores every rung on the sealed test, once, and says whether tuning was worth it.

Everything is predicted, written down and checked before the seal is opened; after that nothing is fitted
or chosen except by the rule in verdict.py. What a killed stage had predicted is not predicted again.
"""

from __future__ import annotations

import gc
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tunesmith.core.checks import Check
from tunesmith.core.context import Context
from tunesmith.core.dataset import Dataset, Rows
from tunesmith.core.errors import ConfigError, DataError
from tunesmith.core.events import progress
from tunesmith.core.files import canonical, read_json, sha256_bytes, stored_bytes, whole, write_json
from tunesmith.core.ledger import Ledger
from tunesmith.core.machine import describe
from tunesmith.core.meter import Cost
from tunesmith.core.predictions import Predictions
from tunesmith.evaluation import replay
from tunesmith.evaluation.acceptance import Acceptance
from tunesmith.evaluation.calibration import calibration
from tunesmith.evaluation.citing import quotes_hold, readable
from tunesmith.evaluation.errors import confused_pairs, telling_errors
from tunesmith.evaluation.forgetting import forgetting
from tunesmith.evaluation.generalist import GeneralistOptions, Stage, beside_generalist, money_spent
from tunesmith.evaluation.more_data import more_data
from tunesmith.evaluation.report import History, Report, SystemResult
from tunesmith.evaluation.scores import scores_of
from tunesmith.evaluation.sets import inspected_sets
from tunesmith.evaluation.trust import Trust, of_rows
from tunesmith.evaluation.verdict import Answers, Verdict, compared, verdict
from tunesmith.tasks import Task
from tunesmith.tasks import task as tasks
from tunesmith.tasks.facts import unsupported_rate
from tunesmith.tasks.metrics import all_labels, codes, per_class, words
from tunesmith.training.embeddings import metered_alone
from tunesmith.training.ladder import Ladder, Rung, Trained, prompt_of, standing

# Rows per call of predict: what a kill can lose. Language models are slow, but write the faster the more they write at
# once. Their first piece is small, because the fresh process repeats it, as a whole: in bfloat16 an answer may depend
# on what else is answered with it.
CHUNK, _CHUNK_LM, _FIRST_LM = 200, 256, 32
_EXAMPLES = 8
_FAULT = "a fault of Tunesmith: please report it with the run folder."


@dataclass(frozen=True)
class EvaluateOptions:
    """How the test is scored, and what the estimates of energy and money assume."""

    test_rows: int | Literal["auto"] = field(
        default="auto", metadata={"help": "test rows for the rungs that are scored on a subset; 'auto' is as planned"}
    )
    permutations: int = field(default=10_000, metadata={"help": "of each paired permutation test"})
    resamples: int = field(default=2_000, metadata={"help": "of each bootstrap interval"})
    errors_shown: int = field(default=10, metadata={"help": "mistakes listed for reading"})
    watts_per_core: float = field(default=10.0, metadata={"help": "power of a busy core, for the estimate of energy"})
    price_per_kwh: float = field(default=0.30, metadata={"help": "price of a kWh, for the estimate of money"})
    currency: str = field(default="EUR", metadata={"help": "what the price is in"})
    accept_at: float | None = field(
        default=None,
        metadata={
            "help": "share of right answers that predict promises: what is too unsure goes to a person; none: all"
        },
    )
    robustness: float | Literal["auto"] = field(
        default="auto",
        metadata={"help": "seconds for answering test texts that were disturbed; 0: none; 'auto': 2 % of the budget"},
    )

    generalist: GeneralistOptions = field(
        default_factory=GeneralistOptions, metadata={"help": "a large model to compare with, which you configure"}
    )

    def __post_init__(self) -> None:
        if self.accept_at is not None and not 0.0 <= self.accept_at < 1.0:
            raise ConfigError(
                f"evaluate.accept_at: expected a share from 0 to below 1, got {self.accept_at:g}.",
                hint="0.98 means: of the answers that are given, 98 % are right.",
            )


def uses(options: object) -> list[str]:  # noqa: ARG001 - every input is asked; the tasks concern them all
    """Modules that the result depends on besides this one."""
    return [tasks.module(name) for name in tasks.names()]


def evaluate(
    data: Dataset, ladder: Ladder, trained: Trained, options: EvaluateOptions, history: History, ctx: Context
) -> Report:
    """Predict the test with every rung that ran, open the seal once, compare, and report.

    Raises DataError without test rows, CheckFailed if dev and test share a text or a fresh process predicts otherwise.
    """
    test = data.rows("test", blind=True)
    if not len(test):
        raise DataError("there are no test rows, so nothing can be said.", hint="give a test file with --test.")
    recorded: list[Check] = []

    def check(made: Check) -> None:
        recorded.append(made)
        ctx.check(made)

    check(disjoint(data))
    answers, costs = {}, {}
    for rung in ladder.rungs:
        if rung.ran and rung.path is not None:
            answers[rung.name], costs[rung.name] = _predicted(rung, test, ladder, trained, options, ctx)
    if data.library is not None:
        for made in quotes_hold(answers, data.library):
            check(made)
    for made in _replayed(ladder, trained, test, answers, ctx):
        check(made)
    for name in answers:
        check(distribution(name, answers[name].predictions))
    may_ship = [name for name in (ladder.candidate, ladder.reference) if name is not None and name in answers]
    ready = {name: Acceptance.of(ladder, name) for name in may_ship}
    references, openings = open_test(data, test, ctx)
    task = tasks.get(data.task)
    untuned = [rung.name for rung in ladder.rungs if rung.kind == "untuned"]
    found = verdict(
        task,
        references,
        sources=test.texts,
        labels=data.labels,
        answers=answers,
        candidate=ladder.candidate if ladder.candidate in answers else None,
        reference=ladder.reference,
        against=untuned,
        leads=ladder.leads,
        permutations=options.permutations,
        resamples=options.resamples,
        seed=ctx.seed,
    )
    systems = tuple(
        _result(rung, answers.get(rung.name), costs.get(rung.name), task, references, data, test, options, ctx)
        for rung in ladder.rungs
    )
    ready[found.winner].save(ctx.workdir)
    about = _about_run(data, systems, options, history, ctx)
    _write_predictions(ctx.workdir / "predictions.parquet", test, references, answers)
    return Report(
        task=data.task,
        leads=ladder.leads,
        counts={
            "rows": data.table.num_rows,
            "train": data.count("train"),
            "dev": data.count("dev"),
            "test": len(test),
        },
        fingerprint=data.fingerprint,
        verdict=found,
        systems=systems,
        checks=(*history.checks, *recorded),
        decisions=(*history.decisions, *_decisions(ladder, trained)),
        details={
            **about,
            **_beside(found, task, data, test, references, answers, ready, about, options, ctx),
            "data": _about_data(data, test_fingerprint(data, test), openings),
            "ladder": {
                "candidate": ladder.candidate,
                "reference": ladder.reference,
                "choice": ladder.choice,
                "frugal": ladder.frugal,
                "why": ladder.why,
            },
            "rungs": {rung.name: _about_rung(rung, trained) for rung in ladder.rungs},
            **forgetting(ladder, trained, ctx),
            **_inspected(found, task, data, test, references, answers, options),
            "more_data": more_data(data, found, seed=ctx.seed, emit=ctx.emit),
            **Trust(
                found.winner,
                found.metric,
                task,
                data,
                test,
                references,
                answers,
                ladder,
                trained,
                ready[found.winner],
                options.accept_at,
                options.robustness,
                ctx,
            ).details(),
        },
    )


# ---------------------------------------------------------------- before the seal is opened


def disjoint(data: Dataset) -> Check:
    """No text of the test occurs in dev, whatever its case, spacing and punctuation."""
    dev = {" ".join(words(text)) for text in data.rows("dev", blind=True).texts} - {""}
    test = [" ".join(words(text)) for text in data.rows("test", blind=True).texts]
    name, bound = "dev and test disjoint after normalisation", "= 0 shared texts"
    if not dev or not test:
        return Check.not_applicable(name, bound, "there is no dev or no test split.")
    shared = sum(text in dev for text in test)
    return Check(name, shared, bound, shared == 0, "remove the copies from the test file, or let tunesmith split.")


def test_rows(n: int, wanted: int | None, *, seed: int) -> np.ndarray[Any, np.dtype[np.int64]] | None:
    """Positions of the fixed random subset of the test, ascending; None for all rows.

    The first `wanted` of one seeded permutation: smaller subsets lie inside larger ones, so that any two
    rungs have the rows of the smaller subset in common.
    """
    if wanted is None or wanted >= n:
        return None
    return np.sort(np.random.default_rng([seed, n]).permutation(n)[:wanted]).astype(np.int64)


test_rows.__test__ = False  # type: ignore[attr-defined]  # not a test, whatever pytest makes of the name


def test_fingerprint(data: Dataset, test: Rows) -> str:
    """16 hex digits of the test's texts in any order and of the target's name: what the ledger counts by."""
    return sha256_bytes(canonical([data.target, sorted(test.texts)]))[:16]


test_fingerprint.__test__ = False  # type: ignore[attr-defined]


def _wanted(rung: Rung, options: EvaluateOptions) -> int | None:
    planned = rung.plan.test_rows
    return planned if planned is None or options.test_rows == "auto" else options.test_rows


def pieces(n: int, needs: str) -> list[range]:
    """n test rows as they are given to predict; a fresh process repeats the first piece. needs: of the rung."""
    first, size = (_FIRST_LM, _CHUNK_LM) if needs == "lm" else (CHUNK, CHUNK)
    return [range(min(first, n)), *(range(start, min(start + size, n)) for start in range(first, n, size))]


def _predicted(
    rung: Rung, test: Rows, ladder: Ladder, trained: Trained, options: EvaluateOptions, ctx: Context
) -> tuple[Answers, Cost]:
    """The rung's answers to its test rows and what they cost, from disk as far as they were there already."""
    rows = test_rows(len(test), _wanted(rung, options), seed=ctx.seed)
    texts = test.texts if rows is None else tuple(test.texts[int(i)] for i in rows)
    folder = ctx.workdir / "predictions" / rung.name
    parts = pieces(len(texts), rung.needs)
    missing = [part for part in parts if not (folder / f"{part.start:07d}.json").exists()]
    if missing:
        fitted = trained.fitted(rung.name, ladder, ctx)
        with progress(ctx.emit, f"test: {rung.name}", len(texts)) as tick:
            tick(len(texts) - sum(map(len, missing)))
            for part in missing:
                with metered_alone() as meter:
                    made = fitted.predict(texts[part.start : part.stop], ctx)
                assert len(made) == len(part), (rung.name, len(made), len(part))
                made.save(folder / f"{part.start:07d}.parquet")
                # Written after the predictions: its presence means that the part is whole.
                told = {"cpu_s": meter.cpu_s, "peak_rss_bytes": meter.peak_rss_bytes}
                write_json(folder / f"{part.start:07d}.json", told)
                tick(len(part))
        del fitted
        gc.collect()
    spent = [read_json(folder / f"{part.start:07d}.json") for part in parts]
    said = [Predictions.load(folder / f"{part.start:07d}.parquet") for part in parts]
    cost = Cost(
        peak_rss_bytes=max(int(one["peak_rss_bytes"]) for one in spent),
        stored_bytes=stored_bytes(trained.path(rung.name, ladder)),
        predict_cpu_s_per_example=sum(one["cpu_s"] for one in spent) / len(texts),
    )
    return Answers(Predictions.joined(said), rows), cost


def _replayed(
    ladder: Ladder, trained: Trained, test: Rows, answers: Mapping[str, Answers], ctx: Context
) -> list[Check]:
    """One check per system that may ship: a fresh process, given the run folder alone, predicts the same."""
    shipping = [name for name in dict.fromkeys((ladder.candidate, ladder.reference)) if name in answers]
    wanted = []
    for name in shipping:
        assert name is not None
        rows = answers[name].rows
        first = pieces(len(test) if rows is None else len(rows), ladder[name].needs)[0]
        at = first if rows is None else rows[: len(first)]
        texts = tuple(test.texts[int(i)] for i in at)
        bound = 1e-6 if ladder[name].needs == "nothing" else 1e-4
        wanted.append(replay.Wanted(name, texts, answers[name].predictions.take(range(len(texts))), bound))
    stands = standing(ladder.folder.parent)
    return replay.replay(wanted, stands if stands.exists() else ladder.folder, trained.folder, ctx)


def open_test(data: Dataset, test: Rows, ctx: Context) -> tuple[tuple[str, ...], int]:
    """The sealed targets, and how often this test has been opened on this machine.

    The opening is written down first, under a name that a killed and resumed stage keeps.
    """
    mark = ctx.workdir / "opening.json"
    if not mark.exists():
        write_json(mark, {"opening": uuid.uuid4().hex})
    times = Ledger().opened(test_fingerprint(data, test), by=read_json(mark)["opening"])
    ctx.emit("test.opened", times=times, rows=len(test))
    return data.unseal(), times


def distribution(name: str, predictions: Predictions) -> Check:
    """Every row's probabilities are finite, not negative and sum to 1."""
    title, bound = "probabilities are finite and sum to 1", "<= 1e-06 off"
    p = predictions.probabilities
    if p is None:
        return Check.not_applicable(title, bound, "it answers with texts.", system=name)
    sound = bool(np.isfinite(p).all() and (p >= 0).all())
    off = float(np.abs(p.sum(axis=1) - 1.0).max(initial=0.0)) if sound else float("inf")
    return Check(title, off if sound else "not finite, or negative", bound, off <= 1e-6, _FAULT, name)


# ---------------------------------------------------------------- after


def _result(
    rung: Rung,
    answers: Answers | None,
    cost: Cost | None,
    task: Task,
    references: Sequence[str],
    data: Dataset,
    test: Rows,
    options: EvaluateOptions,
    ctx: Context,
) -> SystemResult:
    if answers is None or cost is None:
        status = "not run"
        return SystemResult(rung.name, rung.kind, status, rung.base, rung.method, cost=rung.cost)
    peaks = [peak for peak in (rung.cost.peak_rss_bytes, cost.peak_rss_bytes) if peak is not None]
    return SystemResult(
        name=rung.name,
        kind=rung.kind,
        status="full" if rung.status == "full" and answers.rows is None else "subset",
        base=rung.base,
        method=rung.method,
        n=len(answers.predictions),
        scores=scores_of(
            task,
            answers,
            references,
            sources=test.texts,
            labels=data.labels,
            resamples=options.resamples,
            seed=ctx.seed,
        ),
        cost=replace(
            cost,
            train_cpu_s=rung.cost.train_cpu_s,
            train_wall_s=rung.cost.train_wall_s,
            peak_rss_bytes=max(peaks, default=None),
        ),
    )


def _inspected(
    found: Verdict,
    task: Task,
    data: Dataset,
    test: Rows,
    references: Sequence[str],
    answers: Mapping[str, Answers],
    options: EvaluateOptions,
) -> dict[str, Any]:
    """What the shipped system does well and where it fails: classes, confusions, calibration, errors."""
    shipped = answers[found.winner]
    at = np.arange(len(test)) if shipped.rows is None else shipped.rows
    rows, truth = test.take(at), [references[int(i)] for i in at]
    by_row = task.row_scores(shipped.predictions, truth, rows.texts, data.labels)
    is_label = task.output == "label"
    metric = "accuracy" if is_label else of_rows(found.metric, by_row)
    made: dict[str, Any] = {
        "inspected": found.winner,
        "slices_metric": metric,
        "flagged": _flagged(found, task, data, test, references, answers),
    }
    if is_label:
        names = all_labels(data.labels, truth, shipped.predictions.values)
        t, p = codes(truth, names), codes(shipped.predictions.values, names)
        quality = calibration(shipped.predictions, truth, data.labels)
        errors = telling_errors(shipped.predictions, truth, texts=rows.texts, ids=rows.ids, shown=options.errors_shown)
        return made | {
            "per_class": [asdict(score) for score in per_class(t, p, names)],
            "confused": [asdict(pair) for pair in confused_pairs(t, p, names)],
            "calibration": None if quality is None else asdict(quality),
            "errors": [asdict(error) for error in errors],
        }
    # The texts that a model wrote teach more than those that were copied.
    writer = found.candidate or found.winner
    theirs = answers[writer]
    where = np.arange(len(test)) if theirs.rows is None else theirs.rows
    rows, truth = test.take(where), [references[int(i)] for i in where]
    by_row = task.row_scores(theirs.predictions, truth, rows.texts, data.labels)
    metric = of_rows(found.metric, by_row)
    badness = 1.0 - by_row[metric]
    for guard in task.guards:
        badness = badness + by_row[guard]
    said, meant = readable(task, theirs.predictions), readable(task, Predictions(tuple(truth)))
    errors = telling_errors(
        said, [text or "" for text in meant.values], texts=rows.texts, ids=rows.ids, badness=badness,
        shown=options.errors_shown,
    )  # fmt: skip
    ranks = np.argsort(-by_row[metric], kind="stable")
    spread = ranks[np.unique(np.linspace(0, len(ranks) - 1, min(_EXAMPLES, len(ranks))).astype(int))]
    return made | {
        **inspected_sets(task, shipped, references, data.labels),
        "errors_of": writer,
        "errors": [asdict(error) for error in errors],
        "examples": [
            {"source": rows.texts[i], "reference": meant.values[i] or "", "answer": said.values[i] or ""}
            for i in spread
        ],
        **_of_references(task, references, test.texts),
    }


def _of_references(task: Task, references: Sequence[str], texts: Sequence[str]) -> dict[str, float]:
    """Even people write what the source does not say in so many words; the systems' rates are read beside this."""
    if "unsupported_rate" not in task.guards:
        return {}
    rates = [unsupported_rate(r, s) for r, s in zip(references, texts, strict=True)]
    return {"references_unsupported_rate": float(np.mean(rates))}


def _beside(
    found: Verdict,
    task: Task,
    data: Dataset,
    test: Rows,
    references: Sequence[str],
    answers: Mapping[str, Answers],
    ready: Mapping[str, Acceptance],
    about: Mapping[str, Any],
    options: EvaluateOptions,
    ctx: Context,
) -> dict[str, Any]:
    """What reading documents before tuning gave, and the generalist that the user configured, if any."""
    made: dict[str, Any] = {}
    if {"lm", "lm_domain"} <= set(answers):
        gain = compared(
            task, references, "lm_domain", "lm", sources=test.texts, labels=data.labels, answers=answers,
            metric=found.metric, permutations=options.permutations, resamples=options.resamples, seed=ctx.seed,
        )  # fmt: skip
        made["domain_gain"] = gain.to_dict()
    if not options.generalist.is_asked:
        return made
    stage = Stage(
        task, data, test, references, found.winner, answers[found.winner], ready[found.winner], options.accept_at
    )
    spent = money_spent(about, found.winner, watts=options.watts_per_core, per_kwh=options.price_per_kwh)
    made["generalist"] = beside_generalist(
        stage, prompt_of(data), options.generalist, spent, resamples=options.resamples, ctx=ctx
    )
    return made


def _flagged(
    found: Verdict,
    task: Task,
    data: Dataset,
    test: Rows,
    references: Sequence[str],
    answers: Mapping[str, Answers],
) -> list[dict[str, Any]]:
    """The leading metric with and without the test rows that curation flagged (it may not drop or mend them)."""
    flags: Mapping[str, Sequence[int]] = data.notes.get("test_flags", {})
    everyone = (
        {**flags, "any of these": sorted({i for ids in flags.values() for i in ids})} if len(flags) > 1 else flags
    )
    made = []
    for reason, ids in everyone.items():
        flagged = set(ids)
        for name in dict.fromkeys((found.winner, found.candidate, found.reference)):
            if name is None:
                continue
            rows = answers[name].rows
            at = np.arange(len(test)) if rows is None else rows
            keep = np.array([int(test.ids[i]) not in flagged for i in at], dtype=bool)
            if keep.all() or not keep.any():
                continue
            truth, given = [references[int(i)] for i in at], [test.texts[int(i)] for i in at]
            clean = np.flatnonzero(keep)
            without = task.score(
                answers[name].predictions.take(clean), [truth[i] for i in clean], [given[i] for i in clean], data.labels
            )
            with_them = task.score(answers[name].predictions, truth, given, data.labels)
            made.append(
                {
                    "reason": reason,
                    "system": name,
                    "rows": int((~keep).sum()),
                    "with": with_them[found.metric],
                    "without": without[found.metric],
                }
            )
    return made


def _decisions(ladder: Ladder, trained: Trained) -> list[tuple[str, str, str]]:
    tuned = "best on dev of the systems that tune weights, fixed before the test was opened"
    made = [
        (
            "candidate",
            ladder.candidate or "none",
            tuned if ladder.candidate else "no system that tunes weights was run",
        ),
        ("reference", ladder.reference, "best on dev of the systems that do not, fixed before the test was opened"),
        ("best on dev", ladder.choice, ladder.why),
    ]
    return made + [(f"refit of {name}", "left as it was", why) for name, why in trained.why.items()]


def _about_rung(rung: Rung, trained: Trained) -> dict[str, Any]:
    refit = trained.costs.get(rung.name)
    return {
        "dev": rung.dev,
        "interval": rung.interval,
        "n": rung.n,
        "how": rung.how,
        "why": rung.why,
        "status": rung.status,
        "curve": rung.curve,
        "train_rows": rung.train_rows,
        "latency_s": rung.latency_s,
        "refitted": rung.name in trained.refitted,
        "refit_cost": None if refit is None else refit.to_dict(),
    }


def _about_data(data: Dataset, fingerprint: str, openings: int) -> dict[str, Any]:
    return {
        "notes": dict(data.notes),
        "inputs": data.inputs,
        "target": data.target,
        "labels": data.labels,
        "lineage": data.notes.get("lineage", []),
        "ledger": {"opened": openings, "test": fingerprint},
    }


def _about_run(
    data: Dataset,
    systems: Sequence[SystemResult],
    options: EvaluateOptions,
    history: History,
    ctx: Context,
) -> dict[str, Any]:
    """Title, machine, time, estimates and how to use the model."""
    file = data.table["file"][0].as_py() if data.table.num_rows else ""
    run = history.folder or "RUN"
    try:
        program = version("tunesmith")
    except PackageNotFoundError:
        program = ""
    return {
        "title": f"{file}: {data.target}" if file else data.target,
        "run": history.folder,
        "version": program,
        "machine": {
            **describe(),
            "threads": ctx.limits.threads,
            "device": ctx.limits.device,
            "dtype": ctx.limits.dtype,
        },
        "seconds": dict(history.seconds),
        "budget_s": history.budget_s,
        "forecast": list(history.forecast),
        "estimates": _estimates(systems, options, history, ctx),
        "use": {
            "cli": [f"tunesmith predict {run} new.csv", f'tunesmith predict {run} "one text"'],
            "python": f'import tunesmith as ts\n\nrun = ts.open_run("{run}")\nrun.predict(["one text"])',
        },
    }


def _estimates(
    systems: Sequence[SystemResult], options: EvaluateOptions, history: History, ctx: Context
) -> dict[str, Any]:
    """Energy and money of the whole run and of 1,000 predictions, from CPU time; estimates and named so."""
    spent = sum((s.cost.train_cpu_s or 0.0) + (s.cost.predict_cpu_s_per_example or 0.0) * s.n for s in systems)
    cpu_s = max(spent, sum(history.seconds.values()) * ctx.limits.threads)
    energy_wh = cpu_s * options.watts_per_core / 3600
    money = energy_wh / 1000 * options.price_per_kwh
    return {
        "energy_wh": energy_wh,
        "money": f"{money:.4f} {options.currency}",
        "energy_wh_per_1000_predictions": {
            s.name: s.cost.predict_cpu_s_per_example * 1000 * options.watts_per_core / 3600
            for s in systems
            if s.cost.predict_cpu_s_per_example is not None
        },
        "cpu_s": cpu_s,
        "assumptions": (
            f"estimates, not measurements: {options.watts_per_core:g} W for each busy core, "
            f"{options.price_per_kwh:g} {options.currency} for a kWh"
        ),
    }


def _write_predictions(path: Path, test: Rows, references: Sequence[str], answers: Mapping[str, Answers]) -> None:
    """id, target and, per system, its answer and confidence; null where it was not asked. No texts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, pa.Array] = {
        "id": pa.array(test.ids, pa.int64()),
        "target": pa.array(references, pa.string()),
    }
    for name, given in answers.items():
        at = range(len(test)) if given.rows is None else [int(i) for i in given.rows]
        values: list[str | None] = [None] * len(test)
        for i, value in zip(at, given.predictions.values, strict=True):
            values[i] = value
        columns[name] = pa.array(values, pa.string())
        sure = given.predictions.confidence
        if sure is not None:
            confidence: list[float | None] = [None] * len(test)
            for i, c in zip(at, sure, strict=True):
                confidence[i] = float(c)
            columns[f"{name}.confidence"] = pa.array(confidence, pa.float64())
    with whole(path) as draft:
        pq.write_table(pa.table(columns), draft)
