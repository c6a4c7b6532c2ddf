"""Answers for tables and streams: columns and order kept, prediction and confidence added, in pieces."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

from tunesmith.core.errors import ConfigError, DataError
from tunesmith.core.files import whole
from tunesmith.core.predictions import Predictions
from tunesmith.data.reading import read_path
from tunesmith.evaluation.acceptance import Decided
from tunesmith.evaluation.generalist import NAME
from tunesmith.pipeline import SavedRun
from tunesmith.tasks import Task
from tunesmith.tasks import task as tasks

_YES_NO = {True: "yes", False: "no"}
# Large enough for full batches, small enough that the first answers come soon.
_PIECE = 512


def predict_table(
    saved: SavedRun,
    path: Path,
    out: Path | None,
    *,
    as_json: bool,
    accept_at: float | None = None,
    hand_on: bool = False,
) -> None:
    """Write every row of a table with `prediction` and `confidence` added: csv, or JSON lines with as_json.

    accept_at: also `accepted` (yes or no) and `why_not`, so that at least that share of the accepted ones is right;
    None is what the run ships with. hand_on: ask the run's generalist for the others; `answered_by` says whose it is.
    """
    as_json = as_json or (out is not None and out.suffix == ".jsonl")
    table = read_path(path)
    if not len(table):
        raise DataError(f"{path}: no rows.", hint="give a table with at least one row.")
    texts = saved.texts_of(table)
    names, task = table.names, tasks.get(saved.data.task)
    confidence = _free("confidence", names)
    prediction, quoted = _free("prediction", names), _free("quotes", names)
    accepted, why_not = _free("accepted", names), _free("why_not", names)
    answered_by = _free("answered_by", names)
    target = _target(saved, accept_at, hand_on=hand_on)
    with _sink(out) as sink:
        writer: Any = None
        for start in range(0, len(texts), _PIECE):
            answers, decided = _answers(saved, texts[start : start + _PIECE], target, hand_on=hand_on)
            sure = answers.confidence
            rows = table.data.slice(start, _PIECE).to_pylist()
            for at, row in enumerate(rows):
                row |= _answer(task, answers.values[at], names, as_json=as_json)
                row |= _beside(task, answers, at, saved.data.labels, names, as_json=as_json)
                places = saved.quotes(texts[start + at], answers.values[at])
                if places is not None:
                    row[prediction], row[quoted] = _read(places[0], as_json), _read(places[1], as_json)
                if sure is not None:
                    handed = decided is not None and decided.handed is not None and decided.handed[at]
                    row[confidence] = None if handed else round(float(sure[at]), 6)
                if decided is not None:
                    row[accepted] = bool(decided.accepted[at]) if as_json else _YES_NO[bool(decided.accepted[at])]
                    row[why_not] = decided.reasons[at]
                    if decided.handed is not None:
                        row[answered_by] = _author(saved, decided, at)
                if as_json:
                    sink.write(json.dumps(row, ensure_ascii=False) + "\n")
                    continue
                if writer is None:
                    writer = csv.DictWriter(sink, list(row), lineterminator="\n")
                    writer.writeheader()
                writer.writerow(row)
            sink.flush()


def predict_lines(
    saved: SavedRun,
    lines: Iterable[str],
    out: Path | None,
    *,
    as_json: bool,
    accept_at: float | None = None,
    hand_on: bool = False,
) -> None:
    """One answer per line of text, as the lines come. accept_at: as for a table; what is held back says why."""
    target = _target(saved, accept_at, hand_on=hand_on)
    task = tasks.get(saved.data.task)
    size = 1 if lines is sys.stdin and os.isatty(0) else _PIECE  # someone types: answer each line
    with _sink(out) as sink:
        for piece in _pieces((line.rstrip("\n") for line in lines), size):
            answers, decided = _answers(saved, piece, target, hand_on=hand_on)
            sure = answers.confidence
            for at, text in enumerate(piece):
                answer = answers.values[at]
                if as_json:
                    made: dict[str, Any] = {"text": text, **_answer(task, answer, (), as_json=True)}
                    made |= _beside(task, answers, at, saved.data.labels, (), as_json=True)
                    places = saved.quotes(text, answer)
                    if places is not None:
                        made = {"text": text, "prediction": places[0], "quotes": places[1]}
                    more: dict[str, Any] = {} if sure is None else {"confidence": round(float(sure[at]), 6)}
                    if decided is not None:
                        more |= {"accepted": bool(decided.accepted[at]), "why_not": decided.reasons[at]}
                        if decided.handed is not None:
                            more["answered_by"] = _author(saved, decided, at)
                    sink.write(json.dumps({**made, **more}, ensure_ascii=False) + "\n")
                elif sure is None:
                    sink.write(f"{told(task, answer)}\n")
                else:
                    held = "" if decided is None else "\taccepted" if decided.accepted[at] else _held(decided, at)
                    sink.write(f"{told(task, answer)}\t{sure[at]:.4f}{held}\n")
            sink.flush()


@dataclass(frozen=True)
class ToLabel:
    """A row that would teach the shipped model most. doubt: 1 - (first - second probability); second: the runner-up."""

    row: int
    doubt: float
    prediction: str
    second: str
    text: str


def label_first(saved: SavedRun, path: Path, n: int) -> list[ToLabel]:
    """The n rows of an unlabelled table that the model doubts most, most doubted first.

    Spread over what it takes them for: of one prediction at most twice its even share, and no text twice. Raises
    DataError for a table without rows, ConfigError where answers are texts.
    """
    table = read_path(path)
    texts = saved.texts_of(table)
    if not texts:
        raise DataError(f"{path}: no rows.", hint="give a table with at least one row.")
    labels = saved.data.labels
    if saved.data.task == "tag":
        return _sets_first(saved, texts, n)
    if len(labels) < 2:
        raise ConfigError("--next: this model writes texts, so there is no doubt between labels to go by.")
    found: list[ToLabel] = []
    for start in range(0, len(texts), _PIECE):
        part = texts[start : start + _PIECE]
        p = saved.predict(part).probabilities
        if p is None:
            raise ConfigError("--next: the answers of this model carry no probabilities.")
        order = p.argsort(axis=1)
        for at, text in enumerate(part):
            first, second = int(order[at, -1]), int(order[at, -2])
            doubt = 1.0 - float(p[at, first] - p[at, second])
            found.append(ToLabel(start + at + 1, doubt, labels[first], labels[second], text))
    found.sort(key=lambda one: (-one.doubt, one.row))
    most = max(1, -(-2 * n // len(labels)))
    taken: Counter[str] = Counter()
    seen: set[str] = set()
    picked: list[ToLabel] = []
    spare: list[ToLabel] = []
    for one in found:
        if one.text in seen:
            continue
        seen.add(one.text)
        if taken[one.prediction] >= most:
            spare.append(one)
            continue
        taken[one.prediction] += 1
        picked.append(one)
        if len(picked) == n:
            break
    return [*picked, *spare[: n - len(picked)]]


def _sets_first(saved: SavedRun, texts: list[str], n: int) -> list[ToLabel]:
    """The n texts of whose whole set the model is least sure. second: the label that comes nearest to changing it."""
    task, labels = tasks.get(saved.data.task), saved.data.labels
    found: dict[str, ToLabel] = {}
    for start in range(0, len(texts), _PIECE):
        part = texts[start : start + _PIECE]
        said = saved.predict(part)
        if said.confidences is None or said.marginals is None:
            raise ConfigError("--next: the answers of this model carry no probabilities.")
        nearest = abs(said.marginals - 0.5).argmin(axis=1)
        for at, text in enumerate(part):
            one = ToLabel(
                start + at + 1, 1.0 - float(said.confidences[at]), told(task, said.values[at]),
                labels[int(nearest[at])], text,
            )  # fmt: skip
            found.setdefault(text, one)
    return sorted(found.values(), key=lambda one: (-one.doubt, one.row))[:n]


def _author(saved: SavedRun, decided: Decided, at: int) -> str:
    return NAME if decided.handed is not None and decided.handed[at] else saved.answering


def _target(saved: SavedRun, accept_at: float | None, *, hand_on: bool = False) -> float | None:
    """The promise asked for, checked before anything is predicted or written; None: none."""
    target = saved.accept_at if accept_at is None else accept_at
    if hand_on and not target:
        raise ConfigError(
            "--hand-on: say with --accept-at which answers are to be kept, such as 0.98.",
            hint="what no promise covers is then asked of the generalist that the run was configured with.",
        )
    if target is None or (target == 0.0 and accept_at is not None):
        return None
    saved.acceptance.promise(target)
    return target


def _answers(
    saved: SavedRun, texts: list[str], target: float | None, *, hand_on: bool = False
) -> tuple[Predictions, Decided | None]:
    if target is None:
        return saved.predict(texts), None
    decided = saved.decide(texts, accept_at=target, hand_on=hand_on)
    return decided.predictions, decided


def _held(decided: Decided, at: int) -> str:
    if decided.handed is not None:
        return f"\tby the generalist ({decided.reasons[at]})"
    return f"\tto a person ({decided.reasons[at]})"


def _answer(task: Task, value: str | None, taken: Iterable[str], *, as_json: bool) -> dict[str, Any]:
    """An answer as columns: one called `prediction`, or those that the task has for it. In JSON its own form stays."""
    cells = getattr(task, "cells", None)
    if cells is None:
        return {_free("prediction", taken): value}
    if as_json:
        return {_free("prediction", taken): None if value is None else json.loads(value)}
    return {_free(name, taken): cell for name, cell in cells(value).items()}


def _beside(
    task: Task, answers: Predictions, at: int, labels: Sequence[str], taken: Iterable[str], *, as_json: bool
) -> dict[str, Any]:
    """What a task says besides its answer and how sure it is of it: of sets of labels, how sure of each."""
    beside = getattr(task, "beside", None)
    if beside is None or answers.marginals is None:
        return {}
    made = beside(answers.values[at], answers.marginals[at], labels, as_json=as_json)
    return {_free(name, taken): value for name, value in made.items()}


def told(task: Task, value: str | None) -> str:
    """An answer as people read it; "" where there is none."""
    words = getattr(task, "told", None)
    return value or "" if words is None or value is None else str(words(value))


def _read(value: Any, as_json: bool) -> Any:
    """A value for a row of JSON lines, or as JSON in a cell."""
    return value if as_json else json.dumps(value, ensure_ascii=False)


def _free(name: str, taken: Iterable[str]) -> str:
    """`name`, or `name_` and so on where the table has such a column already."""
    known = set(taken)
    while name in known:
        name += "_"
    return name


def _pieces(rows: Iterable[str], size: int) -> Iterator[list[str]]:
    source = iter(rows)
    while piece := list(islice(source, size)):
        yield piece


@contextmanager
def _sink(out: Path | None) -> Iterator[IO[str]]:
    """stdout, or a file that appears when it is whole."""
    if out is None:
        yield sys.stdout
        return
    with whole(out) as draft, draft.open("w", encoding="utf-8", newline="") as handle:
        yield handle
