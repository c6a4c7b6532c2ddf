"""Stage *ingest*: files in, a Dataset with leakage-safe splits and sealed test targets out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import DataError
from tunesmith.core.library import Library
from tunesmith.data.code_columns import NO_TESTS, find_tests, judges_of
from tunesmith.data.columns import Column
from tunesmith.data.decisions import NO_TARGET
from tunesmith.data.detect import Asked, Decision, Detected, detect, detect_unmeasured
from tunesmith.data.documents import read_library
from tunesmith.data.duplicates import Groups, copies_of, group_texts
from tunesmith.data.examples import examples, seal, with_original, with_rejected, with_tests
from tunesmith.data.fields import bound_answers, describe_answers
from tunesmith.data.golds import GOLD, Linked, link
from tunesmith.data.labels import Labels, clean_labels
from tunesmith.data.mending import mend
from tunesmith.data.notes import describe_data, describe_split
from tunesmith.data.offsets import Learned, learned
from tunesmith.data.readers import Reading
from tunesmith.data.reading import read_path, read_paths
from tunesmith.data.rendering import render_inputs
from tunesmith.data.shapes import QUERIES, expand_json, shape_of
from tunesmith.data.split import Shares, default_shares, divide, join_groups, times_of
from tunesmith.data.structures import structures_of, with_json, without
from tunesmith.data.summary import content_hashes
from tunesmith.data.table import Table, stack, with_split
from tunesmith.data.tags import clean_sets, label_counts, require_tags, strata, tags_of
from tunesmith.data.words import SPLIT_VALUES
from tunesmith.tasks.values import dump

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Below this a split leaves nothing to measure with.
_FEWEST_ROWS = 10


@dataclass(frozen=True)
class Beside:
    """What single tasks need beside the table."""

    schema: Path | None = field(
        default=None,
        metadata={"help": "JSON Schema of the answers, for extract; found out if not given", "content": True},
    )
    tests: str = field(
        default="auto", metadata={"help": "column with tests that judge code (asserts in Python); 'none' for none"}
    )
    database: Path | None = field(
        default=None, metadata={"help": "SQLite file or script that queries are judged on", "content": True}
    )
    documents: Path | tuple[Path, ...] | None = field(
        default=None, metadata={"help": "what questions are answered from: files and folders", "content": True}
    )

    @property
    def shelves(self) -> tuple[Path, ...]:
        """The files and folders of `documents`."""
        given = self.documents if isinstance(self.documents, tuple) else (self.documents,)
        return tuple(path for path in given if path is not None)


@dataclass(frozen=True)
class IngestOptions:
    """What *ingest* may be told; "auto" means: find out and say so."""

    path: Path | tuple[Path, ...] = field(
        default=Path(), metadata={"help": "the table, folder or archive to learn from", "content": True}
    )
    target: str = field(
        default="auto",
        metadata={"help": "column with the answer to learn (a,b for several); 'none' only to curate rows without one"},
    )
    inputs: tuple[str, ...] | Literal["auto"] = field(
        default="auto", metadata={"help": "columns that the model is given"}
    )
    task: str = field(default="auto", metadata={"help": "what is learned: tunesmith list tasks"})
    test: Path | None = field(
        default=None, metadata={"help": "ready-made test file with the same columns", "content": True}
    )
    dev: Path | None = field(
        default=None, metadata={"help": "ready-made dev file with the same columns", "content": True}
    )
    split: str = field(default="auto", metadata={"help": "column that says train, dev or test; 'none' to ignore one"})
    group: str | None = field(
        default=None, metadata={"help": "column whose equal values must stay in one split (patient, customer)"}
    )
    time: str | None = field(
        default=None, metadata={"help": "column with dates or numbers; the latest rows become the test"}
    )
    keep_leaks: bool = field(default=False, metadata={"help": "keep train rows that copy test rows"})
    test_share: float | Literal["auto"] = field(
        default="auto", metadata={"help": "part of the rows to test on, 0 to 0.5"}
    )
    dev_share: float | Literal["auto"] = field(
        default="auto", metadata={"help": "part of the rows to choose by, 0 to 0.5"}
    )
    sheet: str | None = field(
        default=None, metadata={"help": "sheet of an xlsx file; the first with rows if not given"}
    )
    delimiter: str | None = field(default=None, metadata={"help": "character between the cells of a csv file"})
    encoding: str | None = field(default=None, metadata={"help": "encoding of the file, such as cp1252"})
    beside: Beside = field(default_factory=Beside, metadata={"help": "what single tasks need beside the table"})


@dataclass(frozen=True)
class Profile:
    """What *ingest* would do. options: no "auto" left in it. rows: exact number of rows read."""

    options: IngestOptions
    decisions: tuple[Decision, ...]
    rows: int
    warnings: tuple[str, ...] = ()
    columns: Mapping[str, Column] = field(default_factory=dict)
    rejected: str | None = None  # column with the answers that the target is preferred to
    library: Library | None = None  # what questions are answered from


def profile(options: IngestOptions) -> Profile:
    """Read the files, decide columns, task and shares; nothing is written.

    Raises Unsure with one question where the table allows several readings, DataError where it cannot be used.
    """
    return _profile(_load(options), options)[0]


def ingest(options: IngestOptions, ctx: Context) -> Dataset:
    """Read, mend and split; write the test targets to ctx.workdir/test_targets.parquet and nowhere else."""
    ctx.emit("ingest.reading", files=[path.name for path in _paths(options)])
    loaded = _load(options)
    about, table, found = _profile(loaded, options)
    options = about.options
    ctx.emit("ingest.rows", rows=len(table), target=found.target, inputs=list(found.inputs), task=found.task)
    raw = render_inputs(table, found.inputs)
    rendered = mend(raw)
    parts = _parts(table, found, raw)
    answers, labels = (
        _answers(table, found)
        if parts is None
        else ([None if v is None else dump(v) for v in parts.values], Labels(()))
    )
    usable = np.array(
        [bool(t) and (a is not None or not found.target) for t, a in zip(rendered.texts, answers, strict=True)]
    )
    ready = _ready_splits(table, found)
    measured = _is_measured(options)
    if measured:
        _require_rows(options, found, usable, answers, table)
    judges: list[str] | None = None
    files: dict[str, str] = {}
    if found.task == "code":
        tests = None if options.beside.tests == NO_TESTS else options.beside.tests
        judges, files = judges_of(table, answers, tests=tests, database=options.beside.database, ctx=ctx)
    texts = rendered.texts
    duplicates = group_texts(texts)
    groups = _groups(table, options, duplicates)
    times = _times(table, options, usable)
    drawn_by = answers if found.task == "classify" else strata(answers) if found.task == "tag" else None
    splits = _split(options, ready, usable, groups, drawn_by, times, ctx.seed)
    if found.task == "classify" and measured:
        _require_classes(options, found.target, answers, splits)
    if found.task == "tag" and measured:
        learned_from = [a for a, s in zip(answers, splits, strict=True) if s == "train"]
        require_tags(learned_from, file=_paths(options)[0].name, target=found.target)
    schema = ""
    if parts is not None:
        schema, answers = bound_answers(parts, options.beside.schema, texts, splits, _place(table))
    leaks = copies_of(texts, duplicates.near, splits == "test") & ((splits == "train") | (splits == "dev"))
    notes = describe_data(
        found,
        table,
        texts,
        answers,
        splits,
        decisions=about.decisions,
        warnings=about.warnings,
        repairs=rendered.counts,
        labels=labels,
    )
    how = "by time" if options.time else "ready-made" if (ready == "test").any() else "drawn at random, label by label"
    notes["split"] = describe_split(
        texts,
        answers if found.task == "classify" else None,
        splits,
        groups,
        duplicates,
        leaks=leaks,
        how=how,
        group_column=options.group,
        time_column=options.time,
        seed=ctx.seed,
    )
    notes["keep_leaks"] = options.keep_leaks
    if parts is not None:
        notes["extract"] = describe_answers(parts, schema, texts, splits)
    shelf = None if about.library is None else ctx.workdir / "library.parquet"
    if about.library is not None and shelf is not None:
        about.library.save(shelf)
        notes["library"] = {
            "passages": len(about.library),
            "documents": len(about.library.documents),
            "fingerprint": about.library.fingerprint,
        }
    if files:
        notes["attached"] = files
    for warning in notes["warnings"]:
        ctx.emit("warning", text=warning)
    said = table.values(found.target) if found.target else [None] * len(table)
    hashes = content_hashes(raw, said)
    given = [a for a, s in zip(answers, splits, strict=True) if a is not None and s != "none"]
    names = tuple(sorted(label_counts(given) if found.task == "tag" else set(given)))
    columns = examples(table, found, about.columns, texts, answers, splits, groups, rendered.changed, hashes)
    columns = with_original(columns, raw, said)
    columns = with_rejected(columns, None if about.rejected is None else table.values(about.rejected))
    data = Dataset(
        with_tests(columns, judges),
        found.task,
        names if found.task in ("classify", "tag") else (),
        found.inputs,
        found.target,
        seal(ctx.workdir / "test_targets.parquet", answers, splits, judges),
        notes,
        schema,
        shelf=shelf,
    )
    ctx.emit("ingest.split", train=data.count("train"), dev=data.count("dev"), test=data.count("test"))
    return data


# -- reading ----------------------------------------------------------------------------------------------------


def _paths(options: IngestOptions) -> tuple[Path, ...]:
    return options.path if isinstance(options.path, tuple) else (options.path,)


def _load(options: IngestOptions, *, nested: bool = False) -> Table:
    """Everything that was named, under one another. nested: with objects and lists whole in their columns."""
    expand = (lambda table: table) if nested else expand_json
    how = Reading(options.delimiter, options.encoding, options.sheet, nested)
    table = read_paths(_paths(options), how)
    parts = []
    for path, split in ((options.test, "test"), (options.dev, "dev")):
        if path is None:
            continue
        part = read_path(path, how)
        if not set(part.names) & set(table.names):
            raise DataError(
                f"{path.name} has none of the columns of the training table ({', '.join(table.names[:8])}); "
                f"it has {', '.join(part.names[:8])}.",
                hint="give the test file the same header.",
            )
        parts.append(with_split(part, split))
    if not parts:
        return expand(table)
    if table.split is None:
        table = with_split(table, "train")
    return expand(stack([table, *parts]))


def _profile(table: Table, options: IngestOptions) -> tuple[Profile, Table, Detected]:
    shape = shape_of(table) if options.target in ("auto", "completion", "output", "chosen", "sql") else None
    name = _paths(options)[0].name
    if options.target == NO_TARGET and options.target not in table.names:
        shape = None
    target, inputs, task = options.target, options.inputs, options.task
    if options.beside.schema is not None and task == "auto":
        task = "extract"
    decisions: list[Decision] = []
    linked = _linked(table, options) if options.task == "answer" or options.beside.documents is not None else None
    made = None
    if linked is not None:
        table, target, task, inputs, shape = linked.table, GOLD, "answer", (linked.question,), None
        decisions += linked.decisions
    elif (target != NO_TARGET or NO_TARGET in table.names) and (shape is None or shape.name != QUERIES):
        nested = cache(lambda: _load(options, nested=True))
        taken = tuple(c for c in (options.group, options.time, options.split) if c is not None)
        made = None if options.beside.schema else tags_of(table, nested, target=target, task=task, taken=taken)
        made = made or structures_of(table, nested, target=target, task=task)
    if made is not None:
        table, target, task, shape = without(table, made), made.name, made.task, None
        decisions.append(Decision("answers", made.name, made.why, 0.95))
    if shape is not None:
        table = shape.table
        target = shape.target
        inputs = shape.inputs if isinstance(inputs, str) else inputs
        decisions.append(Decision("shape", shape.name, "its columns are named like data of this shape", 0.95))
    split_column = options.split if options.split not in ("auto", "none") else None
    named = tuple(c for c in (options.group, options.time, split_column) if c is not None)
    tests = _tests_column(table, options, taken=named)
    reserved = (*named, *((tests,) if tests else ()))
    asked = Asked(name, target, inputs, task, reserved)
    found = detect(table, asked) if _is_measured(options) else detect_unmeasured(table, asked)
    if made is not None:
        table = with_json(table, made)
        told = "its answers are sets of labels" if made.task == "tag" else "its answers are objects or lists"
        told = "you said so" if options.task == made.task else told
        kept = tuple(replace(d, why=told) if d.what == "task" else d for d in found.decisions)
        found = replace(found, task=made.task, decisions=kept)
    if options.beside.schema is not None and made is None:
        raise DataError(
            f"{name}: a schema is for the task extract; '{found.target}' makes this {found.task}.",
            hint="leave --schema out, or name the columns with the fields:  --task extract --target COLUMN",
        )
    if options.split == "none":
        found = replace(found, split=None)
    elif split_column is not None:
        found = replace(found, split=split_column)
    if found.task != "code":
        _refuse_judges(options, found, name)
    elif tests:
        found = replace(found, ignored={**found.ignored, tests: "it judges the answers"})
    n = len(table)
    ready_test = "test" in set(_ready_splits(table, found))
    shares = default_shares(n, ready_test=ready_test) if options.target != NO_TARGET else Shares(0.0, 0.0)
    resolved = replace(
        options,
        target=options.target if linked is not None and options.target != "auto" else found.target or NO_TARGET,
        inputs=found.inputs,
        task=found.task,
        split=found.split or "none",
        beside=replace(options.beside, tests=tests if tests and found.task == "code" else NO_TESTS),
        test_share=_share(options.test_share, shares.test, "test_share"),
        dev_share=_share(options.dev_share, shares.dev, "dev_share"),
    )
    if tests and found.task == "code" and options.beside.tests == "auto":
        decisions.append(Decision("tests", tests, "it is called so and holds assertions", 0.95))
    if isinstance(options.test_share, str):
        why = "the file brings its own test rows" if ready_test else f"{n:,} rows"
        decisions.append(Decision("test_share", f"{shares.test:.3g}", why))
    warnings = (*table.warnings, *found.warnings, *(() if linked is None else linked.warnings))
    rejected = shape.rejected if shape is not None and found.target == shape.target else None
    said = found.decisions
    if linked is not None:  # what these columns are was decided when they were linked to the library
        said = tuple(d for d in said if d.what not in {one.what for one in linked.decisions} | {"inputs"})
    library = None if linked is None else linked.library
    about = Profile(resolved, (*decisions, *said), n, warnings, found.columns, rejected, library)
    return about, table, found


def _linked(table: Table, options: IngestOptions) -> Linked:
    """The questions of a table linked to the passages that answer them."""
    if options.task not in ("auto", "answer"):
        raise DataError(
            f"documents are for the task answer, and the task is {options.task}.",
            hint="leave --documents out, or say --task answer.",
        )
    given = list(options.beside.shelves)
    library = read_library(given, Reading(options.delimiter, options.encoding, None)) if given else None
    return link(table, library, target=options.target, inputs=options.inputs, file=_paths(options)[0].name)


def _tests_column(table: Table, options: IngestOptions, *, taken: Sequence[str]) -> str | None:
    if options.beside.tests == NO_TESTS and NO_TESTS not in table.names:
        return None
    if options.beside.tests != "auto":
        table.column(options.beside.tests)
        return options.beside.tests
    given = () if isinstance(options.inputs, str) else options.inputs
    if options.task not in ("auto", "code"):
        return None
    return find_tests(table, taken=(*taken, options.target, *given))


def _refuse_judges(options: IngestOptions, found: Detected, name: str) -> None:
    for option in ("tests", "database"):
        if getattr(options.beside, option) not in ("auto", NO_TESTS, None):
            raise DataError(
                f"{name}: --{option} judges code, but '{found.target}' is learned as {found.task}.",
                hint="add --task code, or choose the column of code with --target.",
            )


def _is_measured(options: IngestOptions) -> bool:
    """Whether a test or dev part is wanted; without either, and without a target, rows are only looked at."""
    shares = (options.test_share, options.dev_share)
    return options.target != NO_TARGET and (shares != (0.0, 0.0) or options.test is not None)


def _share(value: float | str, default: float, name: str) -> float:
    if isinstance(value, str):
        return default
    if not 0 <= value <= 0.5:
        raise DataError(f"{name} is a part of the rows from 0 to 0.5, got {value:g}.", hint="0.2 means a fifth.")
    return float(value)


# -- targets and splits -----------------------------------------------------------------------------------------


def _answers(table: Table, found: Detected) -> tuple[list[str | None], Labels]:
    """The target of every row (None: absent), and what was done to labels."""
    from tunesmith.data.table import LIST_MARK

    if not found.target:
        return [None] * len(table), Labels(())
    raw = table.values(found.target)
    if found.task == "classify":
        labels = clean_labels(raw)
        return list(labels.values), labels
    if found.task == "tag":
        return clean_sets(raw)
    if found.task == "answer":  # ids of passages: nothing in them is mended
        return list(raw), Labels(())
    several = sum(LIST_MARK in (value or "") for value in raw)
    # Of several references the first is learned; the others would teach the same question two answers.
    first = [(value or "").split(LIST_MARK)[0].strip() for value in raw]
    if found.task == "code":  # an entity or a wide space may be meant there, and tests were written for it
        return [value.replace("\r\n", "\n") or None for value in first], Labels(())
    mended = mend(first)
    counts = {**mended.counts, **({"targets with several references (the first is used)": several} if several else {})}
    return [value or None for value in mended.texts], Labels(tuple(mended.texts), counts)


def _parts(table: Table, found: Detected, raw: Sequence[str]) -> Learned | None:
    """The answers of the task extract; None for other tasks."""
    if found.task != "extract":
        return None
    values = [None if cell is None else json.loads(cell) for cell in table.values(found.target)]
    return learned(values, raw, _place(table))


def _place(table: Table) -> Callable[[int], str]:
    return lambda at: f"{table.file[at].as_py()}: row {table.row[at].as_py()}"


def _ready_splits(table: Table, found: Detected) -> NDArray[np.str_]:
    """(n,) "train", "dev", "test", "" (not said) or "none" (a split the table names that is none of these)."""
    n = len(table)
    ready = np.full(n, "", dtype="<U5")
    if found.split is not None:
        for at, value in enumerate(table.values(found.split)):
            word = (value or "").strip().lower()
            ready[at] = SPLIT_VALUES.get(word, "none" if word else "")
    if table.split is not None:
        said = table.split.to_pylist()
        for at, value in enumerate(said):
            if value is not None and (value != "train" or ready[at] == ""):
                ready[at] = value
    return ready


def _require_rows(
    options: IngestOptions, found: Detected, usable: NDArray[np.bool_], answers: Sequence[str | None], table: Table
) -> None:
    name = _paths(options)[0].name
    if int(usable.sum()) >= _FEWEST_ROWS:
        return
    without = sum(a is None for a in answers)
    raise DataError(
        f"{name}: {int(usable.sum())} of {len(table):,} rows have both an input and a target ('{found.target}' is "
        f"empty in {without:,}); at least {_FEWEST_ROWS} are needed to train and to measure.",
        hint="bring more rows, or check that the right columns were chosen (--target, --input).",
    )


def _require_classes(
    options: IngestOptions, target: str, answers: Sequence[str | None], splits: NDArray[np.str_]
) -> None:
    train = Counter(a for a, s in zip(answers, splits, strict=True) if s == "train")
    if len(train) >= 2:
        return
    name = _paths(options)[0].name
    raise DataError(
        f"{name}: the training rows have {len(train)} class in '{target}' ({', '.join(map(str, train)) or 'none'}).",
        hint="bring rows of a second class, or choose another column with --target.",
    )


def _groups(table: Table, options: IngestOptions, duplicates: Groups) -> NDArray[np.int64]:
    """(n,) which rows must stay together: near duplicates, and equal values of the group column."""
    if options.group is None:
        return duplicates.near
    number: dict[str, int] = {}
    values = [(value or "").strip() for value in table.values(options.group)]
    named = np.array([number.setdefault(value, len(number)) if value else -1 for value in values], dtype=np.int64)
    return join_groups(duplicates.near, named)


def _times(table: Table, options: IngestOptions, usable: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    if options.time is None:
        return None
    at = np.flatnonzero(usable)
    rows = table.take(at)
    where = [f"{file}: row {row}" for file, row in zip(rows.file.to_pylist(), rows.row.to_pylist(), strict=True)]
    times = np.zeros(len(table))
    times[at] = times_of(rows.values(options.time), options.time, where)
    return times


def _split(
    options: IngestOptions,
    ready: NDArray[np.str_],
    usable: NDArray[np.bool_],
    groups: NDArray[np.int64],
    labels: Sequence[str | None] | None,
    times: NDArray[np.float64] | None,
    seed: int,
) -> NDArray[np.str_]:
    """(n,) train, dev, test or none. Ready-made parts stay as they are; what is missing is cut from train."""
    splits = np.where(usable, ready, "none").astype("<U5")
    assert not isinstance(options.test_share, str)
    assert not isinstance(options.dev_share, str)
    has_test, has_dev = bool((splits == "test").any()), bool((splits == "dev").any())
    shares = Shares(0.0 if has_test else options.test_share, 0.0 if has_dev else options.dev_share)
    pool = np.flatnonzero((splits == "") | (splits == "train"))
    if len(pool) == 0 and not _is_measured(options):
        return splits
    if len(pool) == 0:
        raise DataError(
            "no rows are left to train on: all belong to the test or dev part.", hint="check the split column."
        )
    if options.keep_leaks and has_test:  # what copies test rows may be trained on, and must not choose what ships
        copies = np.isin(groups[pool], groups[splits == "test"])
        if not copies.all():
            splits[pool[copies]] = "train"
            pool = pool[~copies]
    rng = np.random.default_rng([seed, 1])
    names = None if labels is None else [str(labels[int(at)]) for at in pool]
    splits[pool] = divide(groups[pool], names, shares, rng=rng, times=None if times is None else times[pool])
    for part, share in (("test", options.test_share), ("dev", options.dev_share)):
        if share and not (splits == part).any():
            raise DataError(
                f"{_paths(options)[0].name}: no rows could be set aside for {part}: the rows are too few or too alike "
                f"({len(np.unique(groups[pool])):,} groups of different rows).",
                hint="bring more different rows, or a ready-made test file with --test.",
            )
    return splits
