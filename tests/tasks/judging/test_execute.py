from __future__ import annotations

import sqlite3

import pytest

from tunesmith.core.attached import attach
from tunesmith.core.errors import DataError, RunError
from tunesmith.tasks.judging.execute import check_database, query, same

SCRIPT = (
    "CREATE TABLE staff(id INTEGER, name TEXT, pay REAL);INSERT INTO staff VALUES (1,'Ann',2.5),(2,'Bo',3),(3,'Cy',3);"
)


@pytest.fixture(params=["sql", "sqlite"])
def database(request, tmp_path):
    path = tmp_path / f"staff.{request.param}"
    if request.param == "sql":
        path.write_text(SCRIPT)
    else:
        with sqlite3.connect(path) as connection:
            connection.executescript(SCRIPT)
        connection.close()
    return path


def test_rows_are_compared_in_any_order_unless_one_is_asked(database):
    key = attach(database)
    up, down = query("SELECT name FROM staff ORDER BY id", key), query("SELECT name FROM staff ORDER BY id DESC", key)
    assert up.rows == (("Ann",), ("Bo",), ("Cy",))
    assert same(up, down, ordered=False)
    assert not same(up, down, ordered=True)
    assert not same(query("SELECT pay FROM staff", key), query("SELECT DISTINCT pay FROM staff", key), ordered=False)


def test_numbers_of_equal_value_are_equal(database):
    key = attach(database)
    assert same(query("SELECT 2", key), query("SELECT 2.0", key), ordered=False)
    assert same(query("SELECT 0.1 + 0.2", key), query("SELECT 0.3", key), ordered=False)


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("DROP TABLE staff", "DROP TABLE"), ("DELETE FROM staff", "DELETE"), ("UPDATE staff SET pay = 9", "UPDATE"),
        ("INSERT INTO staff VALUES (4, 'D', 1)", "INSERT"), ("ATTACH 'other.db' AS o", "ATTACH"),
        ("PRAGMA writable_schema = 1", "PRAGMA"), ("CREATE TABLE x(a)", "CREATE"), ("BEGIN", "BEGIN"),
        ("VACUUM INTO 'copy.db'", ""), ("SELECT load_extension('x')", ""), ("SELECT 1; DROP TABLE staff", ""),
        ("SELECT * FROM nowhere", "no such table"), ("", ""), ("not sql", ""),
        ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n", "too long"),
        ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n", "rows"),
        ("SELECT length(zeroblob(2000000000))", ""), ("SELECT '\ud800'", ""),
    ],
)  # fmt: skip
def test_everything_but_reading_is_contained(sql, why, database, tmp_path):
    before = database.read_bytes()
    said = query(sql, attach(database))
    assert not said.rows
    assert why in said.why or not sql
    assert database.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [database.name]
    assert len(query("SELECT * FROM staff", attach(database)).rows) == 3


def test_a_database_that_tells_nothing_is_refused(tmp_path):
    empty = tmp_path / "empty.sql"
    empty.write_text("CREATE TABLE t(a);")
    with pytest.raises(DataError, match="no rows"):
        check_database(empty)
    for text in ("not sql at all", "ATTACH 'x.db' AS x;"):
        empty.write_text(text)
        with pytest.raises(DataError, match="cannot read"):
            check_database(empty)
    assert [p.name for p in tmp_path.iterdir()] == ["empty.sql"]


def test_a_file_that_was_not_attached_is_told():
    with pytest.raises(RunError, match="gone"):
        query("SELECT 1", "0123")
