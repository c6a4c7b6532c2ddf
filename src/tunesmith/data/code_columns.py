"""Finds columns that hold code, and what judges it: tests beside it, or a database that queries run on."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from tunesmith.core import sandbox
from tunesmith.core.attached import attach
from tunesmith.core.checks import Check
from tunesmith.core.context import Context
from tunesmith.core.errors import DataError
from tunesmith.core.files import whole
from tunesmith.data.columns import Column, sample_rows
from tunesmith.data.table import LIST_MARK, Table
from tunesmith.data.words import _words, name_words

NO_TESTS = "none"
# What people call the column of tests. It must look like tests too.
_TESTS = _words("test tests assertion assertions test_list test_cases unit_tests test_code asserts")
# What people call the column of code that is to be written.
CODE_TARGET = _words(
    "sql query code solution program answer output completion response target canonical_solution gold gold_query "
    "gold_sql reference_solution function implementation y label snippet"
)
_SHOWN = 300  # rows that decide
_SHARE = 0.9


def columns_of_code(table: Table, columns: Mapping[str, Column]) -> dict[str, str]:
    """Columns whose values are nearly all SQL or Python, and which of both."""
    from tunesmith.tasks.code import language_of

    found = {}
    rows = table.take(sample_rows(len(table), most=_SHOWN, seed=3))
    for name, column in columns.items():
        if column.kind in ("empty", "constant", "number", "integer", "split"):
            continue
        values = [value.strip() for value in rows.values(name) if value and value.strip()]
        languages = [language_of(value.split(LIST_MARK)[0]) for value in values]
        for language in ("sql", "python"):
            if len(values) >= 2 and languages.count(language) >= _SHARE * len(values):
                found[name] = language
    return found


def find_tests(table: Table, *, taken: Collection[str]) -> str | None:
    """The column that holds tests by its name and by what stands in it, or None."""
    for name in table.names:
        if name in taken or not _TESTS & {*name_words(name)[:2], name.casefold()}:
            continue
        values = [value for value in table.values(name)[:_SHOWN] if value and value.strip()]
        if len(values) >= 2 and sum(_is_test(value) for value in values) >= _SHARE * len(values):
            return name
    return None


def judges_of(
    table: Table, targets: Sequence[str | None], *, tests: str | None, database: Path | None, ctx: Context
) -> tuple[list[str] | None, dict[str, str]]:
    """(what judges each row besides its target, None for nothing; files that were attached: key -> name in workdir).

    Raises DataError for a database or tests that can judge nothing, SandboxUnavailable where tests cannot be run.
    """
    from tunesmith.tasks.judging import sql

    known = [target for target in targets if target]
    if any(sql.looks_like_sql(target) for target in known[:_SHOWN]):
        sql.require()
    if tests is not None and database is not None:
        raise DataError(
            "answers are judged by tests or by a database, not by both.", hint="leave out --tests or --database."
        )
    if database is not None:
        return _by_database(targets, database, ctx)
    if tests is None:
        return None, {}
    values = [(value or "").replace(LIST_MARK, "\n").strip() for value in table.values(tests)]
    without = [at for at, value in enumerate(values) if not value and targets[at]]
    if len(without) == len(known):
        raise DataError(f"the column of tests, '{tests}', is empty.", hint="name another column with --tests.")
    if without:
        rows = ", ".join(str(at + 1) for at in without[:5])
        ctx.emit("warning", text=f"{len(without):,} rows have no tests (row {rows}): judged by their normal form.")
    _check_sandbox(ctx)
    return values, {}


def _check_sandbox(ctx: Context) -> None:
    """Record what confines the code that tests run; raise SandboxUnavailable where that is too little."""
    sandbox.run("")  # says what is missing
    force = sandbox.protections()
    ctx.check(Check("code that is judged is confined", force.sentence(), "network, files and processes out of reach",
                    not force.lacks, f"it runs with limits only, because {sandbox.UNCONFINED}=yes"))  # fmt: skip


def _by_database(
    targets: Sequence[str | None], database: Path, ctx: Context
) -> tuple[list[str] | None, dict[str, str]]:
    from tunesmith.tasks.judging import DATABASE, execute

    if not database.is_file():
        raise DataError(f"{database}: no such file.", hint="give a .sqlite file, or a .sql script of tables and rows.")
    execute.check_database(database)
    name = f"database{database.suffix}"
    with whole(ctx.workdir / name) as draft:
        shutil.copyfile(database, draft)
    key = attach(ctx.workdir / name)
    known = sorted({target for target in targets if target})
    said = [execute.query(target, key) for target in known]
    failed = [(sql, result.why) for sql, result in zip(known, said, strict=True) if result.why]
    if known and len(failed) > len(known) / 2:
        raise DataError(
            f"{len(failed):,} of {len(known):,} queries of the data do not run on {database.name}: {failed[0][1]}.",
            hint="is it the database of these queries, and are they in SQLite's dialect? Without --database, queries "
            "are compared by their normal form.",
        )
    empty = sum(not result.why and not result.rows for result in said)
    if failed or empty:
        ctx.emit(
            "warning",
            text=f"of {len(known):,} queries, {len(failed):,} do not run on {database.name} and {empty:,} return "
            "nothing: these are compared by their normal form.",
        )
    return [f"{DATABASE}{key}" if target else "" for target in targets], {key: name}


def _is_test(value: str) -> bool:
    from tunesmith.tasks.judging import python

    text = value.replace(LIST_MARK, "\n").strip()
    return "assert" in text and python.is_valid(text)
