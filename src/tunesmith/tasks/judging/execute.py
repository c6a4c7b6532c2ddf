"""What a query returns from an SQLite database, with nothing but reading allowed, and bounded in work and rows."""

from __future__ import annotations

import math
import sqlite3
import threading
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tunesmith.core.attached import attached
from tunesmith.core.errors import DataError

_REMEMBERED = 20_000
_STEPS = 1_000  # instructions of SQLite's machine between two looks
_MOST_STEPS = 50_000_000  # instructions, about a second: a count, so that no clock decides
_MOST_ROWS = 10_000
_MOST_BYTES = 10 << 20  # of one text or blob, and of a schema's rows together
_DIGITS = 6  # to which real numbers must agree
_READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, getattr(sqlite3, "SQLITE_RECURSIVE", 33)}
_MAGIC = b"SQLite format 3\0"


@dataclass(frozen=True)
class Result:
    """Rows that a query returned, or why it did not."""

    rows: tuple[tuple[object, ...], ...] = ()
    why: str = ""


def check_database(path: Path) -> None:
    """Raise DataError unless the file is a database that can tell queries apart: it opens, and has rows."""
    try:
        connection = _open(path)
    except sqlite3.Error as error:
        raise DataError(
            f"{path.name}: SQLite cannot read it: {error}.",
            hint="give a .sqlite file, or a .sql file with CREATE TABLE and INSERT in SQLite's dialect.",
        ) from error
    try:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        quoted = ['"' + name.replace('"', '""') + '"' for name in names]
        if not any(connection.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone() for name in quoted):
            raise DataError(
                f"{path.name}: the {len(names)} tables have no rows: every query would return the same.",
                hint="fill the tables, or leave --database out: queries are then compared by their normal form.",
            )
    except sqlite3.Error as error:
        raise DataError(f"{path.name}: SQLite cannot read it: {error}.", hint="is the file damaged?") from error
    finally:
        connection.close()


@lru_cache(_REMEMBERED)
def query(sql: str, database: str) -> Result:
    """What the query returns from the attached database with this key; why not, where it does not.

    Anything but reading (DROP, INSERT, ATTACH, PRAGMA, ...) is refused before it happens.
    """
    refused: list[int] = []
    connection = _connection(attached(database))

    def allow(action: int, _: str | None, second: str | None, *__: object) -> int:
        if action in _READS and not (
            action == sqlite3.SQLITE_FUNCTION and second in ("load_extension", "fts3_tokenizer")
        ):
            return sqlite3.SQLITE_OK
        refused.append(action)
        return sqlite3.SQLITE_DENY

    left = [_MOST_STEPS // _STEPS]

    def spend() -> int:
        left[0] -= 1
        return int(left[0] < 0)

    connection.set_authorizer(allow)
    connection.set_progress_handler(spend, _STEPS)
    try:
        rows = connection.execute(sql).fetchmany(_MOST_ROWS + 1)
    except sqlite3.Error as error:
        why = f"{_beginning(sql)} is not allowed" if refused else "it takes too long" if left[0] < 0 else str(error)
        return Result(why=why[:200])
    except (sqlite3.Warning, ValueError, OverflowError, MemoryError, UnicodeError) as error:
        return Result(why=str(error)[:200] or type(error).__name__)
    finally:
        connection.set_authorizer(None)
        connection.set_progress_handler(None, 0)
        connection.rollback()
    if len(rows) > _MOST_ROWS:
        return Result(why=f"it returns more than {_MOST_ROWS:,} rows")
    return Result(tuple(tuple(_plain(value) for value in row) for row in rows))


def same(a: Result, b: Result, *, ordered: bool) -> bool:
    """Whether both returned the same rows: as a sequence if ordered, else as often each, in any order."""
    if a.why or b.why:
        return False
    return a.rows == b.rows if ordered else Counter(a.rows) == Counter(b.rows)


def _beginning(sql: str) -> str:
    """The first two words, as people call a statement."""
    return " ".join(sql.split()[:2]).upper()[:60]


_held = threading.local()


def _connection(path: Path) -> sqlite3.Connection:
    """One connection per database and thread."""
    known: dict[Path, sqlite3.Connection] = _held.__dict__.setdefault("known", {})
    if path not in known:
        known[path] = _open(path)
    return known[path]


def _open(path: Path) -> sqlite3.Connection:
    """A database file read-only, or a script's tables in memory. What a script may do: make and fill tables."""
    if path.read_bytes()[: len(_MAGIC)] == _MAGIC:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    else:
        connection = sqlite3.connect(":memory:")
        connection.set_authorizer(_no_files)
        try:
            connection.executescript(path.read_text(encoding="utf-8-sig"))
        except UnicodeDecodeError as error:
            raise sqlite3.DatabaseError("it is neither a database nor a script in UTF-8") from error
        connection.commit()
        connection.set_authorizer(None)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return connection


def _no_files(action: int, _: str | None, second: str | None, *__: object) -> int:
    opens = action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH)
    extends = action == sqlite3.SQLITE_FUNCTION and second == "load_extension"
    return sqlite3.SQLITE_DENY if opens or extends else sqlite3.SQLITE_OK


def _plain(value: object) -> object:
    """Numbers of equal value as one: 2 and 2.0, and reals that agree to some digits."""
    if isinstance(value, float):
        if math.isfinite(value) and value == int(value) and abs(value) < 2**53:
            return int(value)
        return float(f"{value:.{_DIGITS}g}")
    return value
