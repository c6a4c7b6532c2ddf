"""The tools that train in order to judge data: evidence for steps, arms side by side, what rows are worth.

They work in the run folder of *curate*, on its stages, and write what they measured beside its profile.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import ConfigError, DataError
from tunesmith.core.events import EventLog, Listener
from tunesmith.core.files import read_json, whole, write_json
from tunesmith.curation import curate_table, harmless
from tunesmith.data.comparison import where_of
from tunesmith.data.labels import clean_labels
from tunesmith.data.readers import Reading
from tunesmith.data.reading import read_path
from tunesmith.data.rendering import texts_of
from tunesmith.data.shapes import expand_json
from tunesmith.evaluation.arms import Replay
from tunesmith.evaluation.contrast import Contrast, Pool, Prices, contrast
from tunesmith.evaluation.contrast_page import write_contrast
from tunesmith.evaluation.curation_page import write_profile
from tunesmith.evaluation.dense_probe import Vectors
from tunesmith.evaluation.evaluate import open_test
from tunesmith.evaluation.experiments import DRAWS, EVIDENCE, Evidence, evidence, evidence_key
from tunesmith.evaluation.trainers import PROBE, SystemTrainer, Trainer, known_system
from tunesmith.evaluation.valuation import Valuation, value
from tunesmith.evaluation.value_page import write_value
from tunesmith.planning import DEFAULT_ENCODER, DEFAULT_LM, Config, open_plan
from tunesmith.reviewing import request_for
from tunesmith.tasks import task as tasks
from tunesmith.tracing import load_curation
from tunesmith.training.ladder import prompt_of
from tunesmith.training.systems import Job, RungPlan
from tunesmith.training.systems import system as systems


@dataclass(frozen=True)
class Measured:
    """What a tool measured. folder: the run; files: what was written; result: as JSON."""

    folder: Path
    files: tuple[Path, ...]
    result: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {"folder": str(self.folder), "files": [str(file) for file in self.files], **self.result}


@dataclass(frozen=True)
class Chosen:
    """Which model is trained. system: "probe" or a rung; steps: of a rung that trains by gradient; draws: see each."""

    system: str = PROBE
    steps: int | None = None
    draws: int | None = None


def measure_evidence(
    source: str | Path,
    *,
    out: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    chosen: Chosen = Chosen(),
    listeners: Iterable[Listener] = (),
) -> tuple[Evidence, Measured]:
    """Curate (what is done already is not done again), then measure what each step was worth.

    Writes evidence.json and puts the evidence into profile.json and profile.html.
    A rung is trained once per arm unless chosen.draws says more; the probe 21 times.
    """
    heard = list(listeners)
    made = curate_table(source, out=out, options=options, listeners=heard)
    before, _, findings = load_curation(made.folder)
    emit = EventLog(made.folder / "events.jsonl", heard)
    request = request_for(source, out=out, options=options)
    seed = request.config.seed
    if chosen.system == PROBE:
        found = evidence(before, findings, draws=DRAWS if chosen.draws is None else chosen.draws, seed=seed, emit=emit)
    else:
        known_system(chosen.system, tasks.get(before.task).output)

        def trainer(names: tuple[str, ...]) -> Trainer:
            return _system(chosen, names, before, request.config, made.folder, emit)

        found = evidence(before, findings, trainer=trainer, draws=chosen.draws or 0, seed=seed, emit=emit)
    result = {"of": evidence_key(before, findings), **found.to_dict()}
    write_json(made.folder / EVIDENCE, result)
    profile = {**made.profile, "evidence": result}
    write_json(made.folder / "profile.json", profile)
    write_profile(profile, made.folder / "profile.html")
    files = (made.folder / "profile.html", made.folder / EVIDENCE)
    return found, Measured(made.folder, files, result)


def measure_value(
    source: str | Path,
    *,
    out: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    features: str = "tfidf",
    label_price: float | None = None,
    listeners: Iterable[Listener] = (),
) -> tuple[Valuation, Measured]:
    """Curate (what is done already is not done again), then say what the train rows are worth.

    features: "tfidf", or "encoder" for the vectors of the frozen encoder. Writes value.json, value.csv (a line per
    train row, first to go first) and value.html. label_price: of one more label; None: no money is named.
    """
    if features not in ("tfidf", "encoder"):
        raise ConfigError(f"--features {features}: expected 'tfidf' or 'encoder'.")
    if label_price is not None and label_price < 0:
        raise ConfigError(f"--label-price {label_price:g}: a price is 0 or more.")
    heard = list(listeners)
    made = curate_table(source, out=out, options=options, listeners=heard)
    _, data, _ = load_curation(made.folder)
    emit = EventLog(made.folder / "events.jsonl", heard)
    config = request_for(source, out=out, options=options).config
    vectors = None if features == "tfidf" else _encoded(config, made.folder, emit)
    found = value(data, vectors=vectors, seed=config.seed, emit=emit)
    result = {**found.to_dict(), "features": features, "lines": found.lines(label_price=label_price)}
    if label_price is not None:
        result["label_price"] = label_price
    write_json(made.folder / "value.json", result)
    write_value({"title": made.profile.get("title", ""), **result}, made.folder / "value.html")
    _write_values(data, found, made.folder / "value.csv")
    files = tuple(made.folder / name for name in ("value.html", "value.json", "value.csv"))
    return found, Measured(made.folder, files, result)


def measure_contrast(
    source: str | Path,
    *,
    generic: Path | None = None,
    out: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    chosen: Chosen = Chosen("tfidf"),
    rows: int | None = None,
    seeds: int = 3,
    prices: Prices | None = None,
    listeners: Iterable[Listener] = (),
) -> tuple[Contrast, Measured]:
    """Curate, then train on a generic set, the data as it came and the curated data, equal in rows; same test.

    generic: a table with the data's columns; None: two arms. Writes contrast.json and contrast.html. Opens the sealed
    test and counts it. Raises DataError where there is no test, or no row of the generic set has a label of the data.
    """
    if seeds < 2:
        raise ConfigError(f"--seeds {seeds}: at least 2 draws of the rows are needed for an interval.")
    heard = list(listeners)
    made = curate_table(source, out=out, options=options, listeners=heard)
    before, after, findings = load_curation(made.folder)
    emit = EventLog(made.folder / "events.jsonl", heard)
    config = request_for(source, out=out, options=options).config
    if before.task != "classify":
        raise DataError(f"arms are compared by labels, and this data's task is {before.task}.")
    known_system(chosen.system, "label")
    came, now = before.rows("train"), after.rows("train")
    test = before.rows("test", blind=True)
    if not len(test):
        raise DataError("there are no test rows to judge the arms by.", hint="give a test file with --test.")
    replay = Replay(before, findings)
    curation_s = float(read_json(made.folder / "02-curate" / "stage.json")["seconds"])
    pools: dict[str, Pool] = {}
    if generic is not None:
        texts, targets = _generic(generic, before, config)
        pools["generic"] = Pool(texts, targets, test.texts, np.arange(len(texts)), len(texts))
    pools["as it came"] = Pool(came.texts, came.targets, test.texts, came.ids, len(came))
    asked = after.rows("test", blind=True).texts
    pools["curated"] = Pool(now.texts, now.targets, asked, now.ids, len(came), curation_s)
    work = made.folder / "experiments" / "contrast"
    work.mkdir(parents=True, exist_ok=True)
    truth, times = open_test(before, test, Context(work, config.seed, emit=emit))
    truth = tuple(replay.renamed.get(label, label) for label in truth)
    names = tuple(sorted({*truth, *(target for pool in pools.values() for target in pool.targets)}))
    trainer = _system(chosen, names, before, config, made.folder, emit)
    found = contrast(
        pools, truth, trainer, rows=rows, seeds=seeds, prices=prices, renamed=replay.renamed, openings=times,
        seed=config.seed, emit=emit,
    )  # fmt: skip
    result = found.to_dict()
    write_json(made.folder / "contrast.json", result)
    write_contrast({"title": made.profile.get("title", ""), **result}, made.folder / "contrast.html")
    return found, Measured(made.folder, (made.folder / "contrast.html", made.folder / "contrast.json"), result)


def _generic(path: Path, data: Dataset, config: Config) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(texts, targets) of the generic set, with the data's columns; rows of labels that the data lacks left out."""
    how = Reading(config.data.delimiter, config.data.encoding, config.data.sheet)
    table = expand_json(read_path(path, how))
    texts = texts_of(table, data.inputs)
    targets = clean_labels(table.values(data.target)).values
    spelled = {label.casefold(): label for label in data.labels}
    rows = [(text, spelled[target.casefold()]) for text, target in zip(texts, targets, strict=True)
            if text and target is not None and target.casefold() in spelled]  # fmt: skip
    if not rows:
        theirs = ", ".join(sorted({target for target in targets if target})[:8])
        raise DataError(
            f"{path.name}: none of its labels ({theirs}) is one of the data's ({', '.join(data.labels[:8])}).",
            hint="the generic set must answer the same question with the same labels.",
        )
    return tuple(text for text, _ in rows), tuple(target for _, target in rows)


def _write_values(data: Dataset, found: Valuation, path: Path) -> None:
    """value.csv: the train rows in the order in which they go, with place, target and value."""
    names = [name for name in ("file", "row", "line", "target") if name in data.table.column_names]
    columns = {name: data.table[name].to_pylist() for name in names}
    place = {number: at for at, number in enumerate(data.table["id"].to_pylist())}
    with whole(path) as draft, draft.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["goes", "row", "place", "target", "value"])
        for rank, at in enumerate(found.order.tolist(), 1):
            row = {name: values[place[int(found.ids[at])]] for name, values in columns.items()}
            cells = [rank, int(found.ids[at]), where_of(row), row["target"], f"{found.values[at]:.4g}"]
            writer.writerow([harmless(cell) for cell in cells])


def _encoded(config: Config, folder: Path, emit: EventLog) -> Vectors:
    """The frozen encoder's vectors of texts."""
    from tunesmith.models.resolve import pin, resolve
    from tunesmith.training.embeddings import embed

    plan = open_plan(config, folder / "experiments", emit)
    name = DEFAULT_ENCODER if config.model.encoder == "auto" else config.model.encoder
    spec = pin(resolve(name, "encoder"))
    ctx = Context(folder / "experiments", config.seed, plan.limits, emit)
    return lambda texts: embed(texts, spec, ctx)


def _system(
    chosen: Chosen, names: tuple[str, ...], data: Dataset, config: Config, folder: Path, emit: EventLog
) -> SystemTrainer:
    """A rung of the ladder with the base models of the config."""
    from tunesmith.models.resolve import pin, resolve

    # In a folder of its own: with a plan in it, the run would key its stages by the plan and do them again.
    plan = open_plan(config, folder / "experiments", emit)
    needs = systems.get(chosen.system).needs
    model = config.model
    encoder = lm = None
    if needs == "encoder":
        encoder = pin(resolve(DEFAULT_ENCODER if model.encoder == "auto" else model.encoder, "encoder"))
    elif needs == "lm":
        lm = pin(resolve(DEFAULT_LM if model.lm == "auto" else model.lm, "lm"))
    job = Job(
        tasks.get(data.task), names, prompt_of(data), encoder, lm,
        RungPlan(chosen.system, steps=chosen.steps), config.train.for_rungs(),
    )  # fmt: skip
    work = folder / "experiments" / chosen.system
    work.mkdir(parents=True, exist_ok=True)
    return SystemTrainer(names, job, chosen.system, Context(work, config.seed, plan.limits, emit))
