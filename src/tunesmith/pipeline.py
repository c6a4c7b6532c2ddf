"""The stages, in order. Read this first: `work` is the whole of Tunesmith.

A stage is a plain function; `run.stage` runs it at most once for equal inputs. Everything else in this
file opens run folders, for the command line and for Python.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tunesmith.core.config import dump_options
from tunesmith.core.context import Context
from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import ConfigError, RunError, did_you_mean
from tunesmith.core.events import EventLog, Listener
from tunesmith.core.files import canonical, read_json, sha256_bytes, write_json, write_text
from tunesmith.core.machine import set_threads
from tunesmith.core.predictions import Predictions
from tunesmith.core.run import Run, check_format
from tunesmith.costing import keep_costs
from tunesmith.data.curate import curate, reviewed
from tunesmith.data.ingest import ingest
from tunesmith.data.offsets import placed
from tunesmith.data.rendering import texts_of
from tunesmith.data.shapes import expand_json, shape_of
from tunesmith.data.table import Table, table_of
from tunesmith.evaluation.acceptance import Acceptance, Decided
from tunesmith.evaluation.domain_card import read_domain
from tunesmith.evaluation.evaluate import evaluate
from tunesmith.evaluation.generalist import Asking
from tunesmith.evaluation.page import write_page
from tunesmith.evaluation.report import History, Report
from tunesmith.evaluation.trials_card import read_trials
from tunesmith.forecasting import settle
from tunesmith.planning import (
    Config,
    Plan,
    config_from,
    existing,
    open_plan,
    paths_of,
    plan_trials,
    plan_work,
    read_config,
    read_plan,
)
from tunesmith.tasks import task as tasks
from tunesmith.training.domain import domain
from tunesmith.training.domain_plan import reads_documents, with_documents_read
from tunesmith.training.ladder import Ladder, Trained, prompt_of, standing
from tunesmith.training.select import select
from tunesmith.training.systems import Fitted
from tunesmith.training.train import train
from tunesmith.training.tune import tune


def work(request: Request, *, listeners: Iterable[Listener] = (), only_plan: bool = False) -> Plan:
    """Take a request from raw file to report in its folder; what is already there is not done again.

    The budget is wall time from here to the report. only_plan: stop before anything is spent.
    """
    began = time.monotonic()
    folder = request.folder
    with Run(folder, seed=request.config.seed, listeners=listeners) as run:
        request.keep()
        plan = open_plan(request.config, folder, run.emit)
        run.limits = plan.limits
        set_threads(plan.limits.threads)
        data = run.stage(ingest, plan.config.data)
        data = run.stage(curate, data, reviewed(plan.config.curate, data, paths_of(plan.config.data), run.emit))
        left_s = plan.budget_s - (time.monotonic() - began)
        plan = plan_work(plan, data, folder, left_s=left_s, emit=run.emit)
        if only_plan:
            return plan
        run.limits = plan.limits  # max_memory may ask for another dtype of the base
        model, training = plan.config.model, plan.config.train
        reads = reads_documents(model.rungs)
        if reads:  # the plan stays as it is: what was learnt is known to the stages that follow, and to them alone
            read = run.stage(domain, data, plan.config.domain, training.forget)
            model, training = with_documents_read(model, training, read)
        ladder = run.stage(select, data, model, training)
        left_s = plan.budget_s - (time.monotonic() - began)
        plan = plan_trials(plan, request.config.tune, data, ladder, folder, left_s=left_s)
        ladder = run.stage(tune, data, ladder, plan.config.tune, model, training)
        trained = run.stage(train, data, ladder, training)
        report = run.stage(evaluate, data, ladder, trained, plan.config.evaluate, _history(run, plan))
        turned_out = settle(plan.expected, run, plan.prices, kind=tasks.get(data.task).output)
        left_s = plan.budget_s - (time.monotonic() - began)
        cost = keep_costs(folder, plan, data, ladder, seed=request.config.seed, left_s=left_s, emit=run.emit)
        beside = {"forecast": [asdict(q) for q in turned_out], "cost": cost, "tune": read_trials(folder)}
        beside["domain"] = read_domain(folder) if reads else None
        write_page({**report.to_json(), **beside}, folder / "report.html")
        run.emit("run.done", seconds=round(time.monotonic() - began, 1), report=str(folder / "report.html"))
    return plan


def run(
    source: str | Path | Sequence[Mapping[str, Any]] | Any,
    *,
    out: str | Path | None = None,
    listeners: Iterable[Listener] = (),
    **options: Any,
) -> SavedRun:
    """Run everything on a file, a folder, a DataFrame or a list of dicts, and give the finished run.

    options: keys of the config's top level (budget, seed, threads, device, dtype, model={...}, ...) and,
    for short, those of its `data` table (target, inputs, task, test, group, time, ...).
    """
    request = prepare(source, out=out, options=options)
    work(request, listeners=listeners)
    return SavedRun(request.folder)


def plan(
    source: str | Path | Sequence[Mapping[str, Any]] | Any,
    *,
    out: str | Path | None = None,
    listeners: Iterable[Listener] = (),
    **options: Any,
) -> Plan:
    """Every decision with its reason and the forecast; nothing is trained."""
    return work(prepare(source, out=out, options=options), listeners=listeners, only_plan=True)


@dataclass(frozen=True)
class Request:
    """What a call asks for: the Config, where its run lies, and the words it was asked in.

    text: the YAML as the user wrote it, or as the command line amounts to. base: what its paths are relative to.
    """

    folder: Path
    config: Config
    text: str
    base: Path

    def keep(self) -> None:
        """Write config.yaml, untouched, and what its paths are relative to."""
        write_text(self.folder / "config.yaml", self.text)
        about = read_json(self.folder / "run.json")
        write_json(self.folder / "run.json", {**about, "base": str(self.base.resolve())})


def prepare(source: Any, *, out: str | Path | None, options: Mapping[str, Any]) -> Request:
    """The Request of a call. source: a data file or folder, a config file, a run folder, or rows from Python."""
    if isinstance(source, str | Path):
        path, base = Path(source), Path()
        if (path / "run.json").exists():  # go on with a run as it was asked
            base = Path(read_json(path / "run.json").get("base", "."))
            out, path = out or path, path / "config.yaml"
        elif path.suffix in (".yaml", ".yml"):
            base = path.parent
        if path.suffix in (".yaml", ".yml"):
            text = _text_of(path)
            config = read_config(text, base=base)
            if options:
                text = yaml.safe_dump(_merge(dump_options(config), options), sort_keys=False, allow_unicode=True)
                config = read_config(text)
            return Request(Path(out) if out else default_folder(paths_of(config.data)[0]), config, text, base)
        existing(path)
        folder = Path(out) if out else default_folder(path)
    else:
        folder = Path(out) if out else default_folder(Path("rows"))
        path = _stored_rows(_records(source), folder)
    table = _merge({"data": {"path": str(path)}}, options)
    text = yaml.safe_dump(table, sort_keys=False, allow_unicode=True)
    return Request(folder, config_from(table), text, Path())


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot read the config: {error}.") from error


def default_folder(path: Path) -> Path:
    """`runs/<name>-<4 hex digits of where it lies>`, so that the same file comes back to the same run."""
    mark = sha256_bytes(str(path.resolve()).encode())[:4]
    return Path("runs") / f"{path.stem or 'data'}-{mark}"


@dataclass(frozen=True)
class SavedRun:
    """A finished run, opened from its folder: its report, and the model that it ships.

    system: the rung that answers instead of the one that ships; None: that one. Only what ships keeps promises.
    """

    folder: Path
    system: str | None = None

    @cached_property
    def report(self) -> Report:
        """The report; RunError if the run has not got that far."""
        return Report.load(self._stage("08-evaluate", "report.json"))

    @cached_property
    def plan(self) -> Plan:
        """What was decided, and why."""
        plan = read_plan(self.folder / "plan.yaml")
        if plan is None:
            raise RunError(f"{self.folder} has no plan that can be read.", hint="run it again.")
        return plan

    @cached_property
    def data(self) -> Dataset:
        """The curated Dataset (its test targets stay sealed)."""
        return Dataset.load(self._stage("02-curate", "dataset.parquet"))

    def predict(self, rows: Sequence[str] | Sequence[Mapping[str, Any]] | Any) -> Predictions:
        """Answers of the system to texts, dicts with the input columns, or a DataFrame; in order."""
        return self.fitted.predict(self.texts(rows), self._context)

    def decide(
        self,
        rows: Sequence[str] | Sequence[Mapping[str, Any]] | Any,
        *,
        accept_at: float | None = None,
        hand_on: bool = False,
    ) -> Decided:
        """The same answers with which of them may go out: of those, a share of at least `accept_at` is right.

        hand_on: ask the generalist that the run was configured with (evaluate.generalist) for the others: their texts
        are sent to its endpoint.
        accept_at: None is what the run was asked for (0, every answer, if nothing). Raises ConfigError where the
        answers are texts, or no threshold keeps the promise.
        """
        texts = self.texts(rows)
        target = self.accept_at if accept_at is None else accept_at
        made = self.acceptance.decide(self.fitted.predict(texts, self._context), texts, target or 0.0, self._context)
        return self._handed_on(made, texts) if hand_on else made

    def _handed_on(self, made: Decided, texts: Sequence[str]) -> Decided:
        """What was not accepted, answered by the generalist; its answers are kept in RUN/handed-on."""
        wanted = np.flatnonzero(~made.accepted).tolist()
        said, _ = self._generalist.answers([texts[i] for i in wanted], self.folder / "handed-on")
        values = list(made.predictions.values)
        for i, value in zip(wanted, said, strict=True):
            values[i] = value
        return replace(made, predictions=replace(made.predictions, values=tuple(values)), handed=~made.accepted)

    @cached_property
    def _generalist(self) -> Asking:
        options = self.plan.config.evaluate.generalist
        return Asking.of(
            tasks.get(self.data.task), self.data, prompt_of(self.data), options, seed=self.plan.config.seed
        )

    @property
    def accept_at(self) -> float | None:
        """The share of right answers that the run was asked to ship with; None: every answer is given."""
        asked = self.report.details.get("abstention", {}).get("accept_at")
        return None if asked is None or self.answering != self.report.winner else float(asked)

    @cached_property
    def answering(self) -> str:
        """The rung that answers. Raises ConfigError if `system` names none that ran."""
        if self.system is None:
            return self.report.winner
        ran = [rung.name for rung in self._ladder.rungs if rung.ran and rung.path is not None]
        if self.system not in ran:
            raise ConfigError(
                f"{self.folder} has no system '{self.system}' that can answer.",
                hint=did_you_mean(self.system, ran) or f"there are {', '.join(ran)}.",
            )
        return self.system

    @cached_property
    def acceptance(self) -> Acceptance:
        """What decides whether an answer of the shipped system may go out. Raises ConfigError for any other."""
        if self.answering != self.report.winner:
            raise ConfigError(f"promises are kept by {self.report.winner} alone, which ships.", hint="leave out one.")
        ladder = self._ladder
        return Acceptance.load(self._stage("08-evaluate", "report.json"), ladder, self.report.winner)

    def texts(self, rows: Sequence[str] | Sequence[Mapping[str, Any]] | Any) -> list[str]:
        """What the model is given for these rows: a text, or the input columns put together as in training."""
        if isinstance(rows, str):
            return [rows]
        records = list(rows) if not hasattr(rows, "to_dict") else _records(rows)
        if all(isinstance(row, str) for row in records):
            return [str(row) for row in records]
        names = dict.fromkeys(name for row in records for name in row)
        columns = {str(name): [_cell(row.get(name)) for row in records] for name in names}
        return self.texts_of(table_of(columns, file="rows"))

    def texts_of(self, table: Table) -> list[str]:
        """The same for a table as a reader gives it; DataError with the nearest name for a missing column."""
        table = expand_json(table)
        if not set(self.data.inputs) <= set(table.names):
            shape = shape_of(table)
            table = table if shape is None else shape.table
        return texts_of(table, self.data.inputs)

    def quotes(self, text: str, answer: str | None) -> tuple[Any, list[dict[str, Any]]] | None:
        """(the answer with the offsets its spans came with, where each value of it stands in the text).

        Offsets count the characters of the text as it was mended (`texts_of`), the end not included. A value that does
        not stand there has null as start and end. None where answers are no JSON, or there is none.
        """
        if not self.data.schema or answer is None:
            return None
        return placed(answer, self.data.schema, text)

    @cached_property
    def fitted(self) -> Fitted:
        """The system that answers, loaded."""
        set_threads(self.plan.limits.threads)
        ladder = self._ladder
        trained = Trained.load(self._stage("07-train", "trained.json"))
        return trained.fitted(self.answering, ladder, self._context)

    @cached_property
    def _ladder(self) -> Ladder:
        return Ladder.load(self._stage(standing(self.folder).name, "ladder.json"))

    @property
    def _context(self) -> Context:
        return Context(self.folder, self.plan.config.seed, self.plan.limits, EventLog(None))

    def _stage(self, name: str, file: str) -> Path:
        folder = self.folder / name
        if not self.folder.is_dir():
            raise RunError(f"{self.folder}: no such run.", hint="tunesmith runs  lists the runs here.")
        check_format(self.folder)
        if not (folder / "stage.json").exists() or not (folder / file).exists():
            raise RunError(
                f"{self.folder} is not finished: {name} is missing.", hint=f"go on with:  tunesmith run {self.folder}"
            )
        return folder


def open_run(folder: str | Path, *, system: str | None = None) -> SavedRun:
    """A finished run from its folder; RunError if it is none. system: a rung that answers instead of what ships.

    Raises ConfigError if no such rung ran.
    """
    saved = SavedRun(Path(folder), system)
    _ = saved.answering
    return saved


def runs_below(folder: Path) -> Iterator[Path]:
    """Run folders directly in `folder`, by name."""
    if folder.is_dir():
        yield from (child.parent for child in sorted(folder.glob("*/run.json")))


def _history(run: Run, plan: Plan) -> History:
    return History(
        checks=tuple(run.checks),
        decisions=tuple((d.what, d.choice, d.why) for d in plan.decisions),
        seconds=dict(run.seconds),
        budget_s=plan.budget_s,
        forecast=tuple({"name": f.name, "fit_s": f.fit_s, "predict_s": f.predict_s} for f in plan.forecasts),
        folder=str(run.folder),
    )


def _merge(table: dict[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Options laid over a config table; keys of `data` may be given at the top."""
    from dataclasses import fields

    from tunesmith.data.ingest import Beside, IngestOptions

    beside = {f.name for f in fields(Beside)}
    short = {f.name for f in fields(IngestOptions)}
    top = {f.name for f in fields(Config)}
    merged = {key: dict(value) if isinstance(value, Mapping) else value for key, value in table.items()}
    for key, value in options.items():
        if key in top and isinstance(value, Mapping):
            merged[key] = {**(merged.get(key) or {}), **value}
        elif key in beside:
            data = merged["data"]
            merged["data"] = {**data, "beside": {**(data.get("beside") or {}), key: value}}
        elif key in short and key not in top:
            merged["data"] = {**merged["data"], key: value}
        else:
            merged[key] = value
    return merged


def _records(source: Any) -> list[dict[str, Any]]:
    if hasattr(source, "to_dict") and hasattr(source, "columns"):  # a DataFrame, without importing pandas
        made: list[dict[str, Any]] = source.to_dict(orient="records")
        return made
    rows = list(source)
    if not rows or not all(isinstance(row, Mapping) for row in rows):
        raise ConfigError("data: expected a path, a DataFrame or a list of dicts with at least one row.")
    return [dict(row) for row in rows]


def _stored_rows(rows: list[dict[str, Any]], folder: Path) -> Path:
    """Rows from Python as a file that *ingest* can read, beside the run so that equal rows are one file."""
    content = canonical([{str(k): _plain(v) for k, v in row.items()} for row in rows])
    path = folder.parent / f"rows-{sha256_bytes(content)[:12]}.json"
    if not path.exists():
        write_json(path, [{str(k): _plain(v) for k, v in row.items()} for row in rows])
    return path


def _cell(value: Any) -> str | None:
    plain = _plain(value)
    return None if plain is None else str(plain)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if value == value else None  # NaN is how DataFrames say "nothing"
    if hasattr(value, "item"):
        return _plain(value.item())
    return str(value)
