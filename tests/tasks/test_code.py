from __future__ import annotations

import pytest

from tunesmith.core.attached import attach
from tunesmith.core.dataset import referred
from tunesmith.core.predictions import Predictions
from tunesmith.core.sandbox import protections
from tunesmith.tasks import task
from tunesmith.tasks.code import language_of

CODE = task.get("code")
PROMPT = CODE.prompt((), inputs=("question",), target="sql")


def _score(values, references):
    return CODE.score(Predictions(tuple(values)), references, [""] * len(references), ())


def test_sql_is_compared_by_its_normal_form():
    scores = _score(["select NAME from T x", "SELECT id FROM t", "SELEC", None], ["SELECT name FROM t"] * 4)
    assert scores == {"solved": 0.25, "exact_match": 0.25, "valid_syntax": 0.5}


@pytest.mark.skipif(bool(protections().lacks), reason="no sandbox here")
def test_python_is_judged_by_its_tests():
    references = referred(
        ["def f(x): return 2 * x"] * 3 + ["def g(): return 1"], ["assert f(3) == 6"] * 3 + ["assert g() == 2"]
    )
    scores = _score(["def f(y): return y + y", "def f(x): return 3", "def f(:", "def g(): return 2"], references)
    assert scores["solved"] == 0.25
    assert scores["exact_match"] == 0.0
    assert scores["valid_syntax"] == 0.75
    assert scores["broken_tests"] == 0.25


def test_sql_is_judged_by_what_it_returns(tmp_path):
    script = tmp_path / "s.sql"
    script.write_text("CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 2), (3, 4);")
    judge = f"database {attach(script)}"
    wanted = [
        "SELECT a FROM t WHERE b > 3",
        "SELECT a FROM t ORDER BY a DESC",
        "SELECT a FROM t WHERE b > 9",
        "SELECT x FROM t",
    ]
    given = ["SELECT max(a) FROM t", "SELECT a FROM t", "SELECT b FROM t WHERE a > 9", "select X from t"]
    rows = CODE.row_scores(Predictions(tuple(given)), referred(wanted, [judge] * 4), [""] * 4, ())
    # Same rows; another order than asked; both empty, so the form decides; the reference does not run, so it does too.
    assert rows["solved"].tolist() == [1.0, 0.0, 0.0, 1.0]


def test_answers_are_taken_out_of_fences():
    assert CODE.parse("Here:\n```sql\nSELECT 1\n```\nDone.", PROMPT) == "SELECT 1"
    assert CODE.parse("```python\ndef f():\n    return 1", PROMPT) == "def f():\n    return 1"
    assert CODE.parse("  SELECT 1 ", PROMPT) == "SELECT 1"
    assert CODE.parse("``` \n```", PROMPT) is None


def test_code_is_told_from_sentences():
    assert language_of("SELECT a FROM t") == "sql"
    assert language_of("def f(x):\n    return x") == "python"
    assert language_of("x = [i for i in y]\nprint(x)") == "python"
    for text in ("refund", "The card is late.", "select a card", "hello", "", "42", "yes"):
        assert language_of(text) == ""


def test_detection_is_the_share_of_code():
    assert CODE.detect(["SELECT a FROM t", "SELECT b FROM t"], []) == 1.0
    assert CODE.detect(["a note", "SELECT b FROM t"], []) == 0.5
