from __future__ import annotations

import sys

import pytest

from tunesmith.core.errors import MissingExtra
from tunesmith.tasks.judging import sql

A = 'SELECT DISTINCT Calias0.NAME FROM COURSE AS Calias0 , AREA AS A WHERE A.X = "number0" AND Calias0.N <> 3 ;'


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (A, "select distinct c.name from course c, area b where b.x='number0' and c.n!=3"),
        ("SELECT a FROM t", "select t.a from t"),
        ("SELECT a AS x FROM t", "SELECT q.a FROM t q"),
        ("SELECT count(*) c FROM t GROUP BY x HAVING c > 3", "SELECT COUNT(*) AS n FROM t GROUP BY x HAVING n > 3"),
        ("SELECT a FROM t ORDER BY a ASC", "SELECT a FROM t ORDER BY a -- first"),
        ("SELECT a FROM t INNER JOIN u ON t.i = u.i", "SELECT a FROM t AS x JOIN u AS y ON x.i = y.i"),
        ("SELECT a FROM t WHERE i IN (SELECT i FROM t)", "SELECT z.a FROM t z WHERE z.i IN (SELECT k.i FROM t AS k)"),
        ("SELECT `a` FROM `t`", "SELECT a FROM t"),
    ],
)
def test_what_means_the_same_by_form_is_equal(a, b):
    assert sql.normalised(a) == sql.normalised(b) is not None


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("SELECT a FROM t", "SELECT b FROM t"),
        ("SELECT a FROM t WHERE x = 'Ann'", "SELECT a FROM t WHERE x = 'ann'"),
        ("SELECT a FROM t ORDER BY a", "SELECT a FROM t ORDER BY a DESC"),
        ("SELECT a, b FROM t", "SELECT b, a FROM t"),
        ("SELECT x.a FROM t x, t y WHERE x.i = 1", "SELECT y.a FROM t x, t y WHERE x.i = 1"),
        ("SELECT a FROM t", "SELECT DISTINCT a FROM t"),
        ("SELECT a FROM t LEFT JOIN u ON t.i = u.i", "SELECT a FROM t JOIN u ON t.i = u.i"),
    ],
)
def test_what_differs_is_not(a, b):
    assert sql.normalised(a) != sql.normalised(b)


@pytest.mark.parametrize(
    "text", ["", "hello world", "SELECT FROM WHERE", "SELECT 1; SELECT 2", "SELECT (((", "x" * 5000]
)
def test_what_is_not_one_statement_has_no_form(text):
    assert sql.normalised(text) is None


def test_no_text_makes_it_fail():
    for text in ("(" * 3000, "SELECT " + "a+" * 3000 + "a", "\0", "SELECT '\ud800'"):
        sql.normalised(text)


def test_sentences_are_not_sql():
    assert sql.looks_like_sql("  select a from t")
    assert not sql.looks_like_sql("Select a card.")
    assert not sql.looks_like_sql("With kind regards")


def test_without_sqlglot_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlglot", None)
    with pytest.raises(MissingExtra, match="'code'"):
        sql.require()
