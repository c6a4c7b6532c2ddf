from __future__ import annotations

import pytest

from tunesmith.core.context import Context
from tunesmith.core.dataset import rows_of
from tunesmith.tasks import task
from tunesmith.training.systems import Job, system
from tunesmith.training.templates import Answers, slots_pay, why_not

VALUES = [
    (f"{('what does', 'price of')[i % 2]} item {100 + i} cost", f"SELECT price FROM items WHERE id = {100 + i}")
    for i in range(12)
] + [(f"who made {200 + i} and when", f"SELECT maker FROM items WHERE id = {200 + i}") for i in range(12)]
ROWS = rows_of(*zip(*VALUES, strict=True))
TASK = task.get("code")
JOB = Job(TASK, (), TASK.prompt((), inputs=("question",), target="sql"))


def test_slots_pay_where_answers_differ_by_their_values_only():
    assert slots_pay(ROWS)
    assert not slots_pay(rows_of(["a", "b 1", "c"], ["SELECT 1", "SELECT 1", "SELECT 1"]))


def test_answers_are_counted_most_frequent_first():
    answers, codes = Answers.of(ROWS, slots=True)
    assert len(answers.templates) == 2
    assert set(codes) == {0, 1}
    assert answers.say(codes[0], "item 999") == "SELECT price FROM items WHERE id = 999"
    assert Answers.of(ROWS, slots=False, most=3)[1].count(-1) == len(ROWS) - 3


def test_where_answers_do_not_come_back_it_declines():
    assert why_not(ROWS) is None
    assert "come back" in str(
        why_not(rows_of([f"text {i}" for i in range(9)], [f"note of day {'x' * i}" for i in range(9)]))
    )
    assert why_not(rows_of([])) is not None


@pytest.mark.parametrize("name", ["nearest", "frequent"])
def test_it_answers_without_train_rows_and_texts_without_words(name, tmp_path):
    fitted = system.get(name).fit(rows_of(["", "!"], ["a", "a"]), ROWS.take([]), JOB, Context(tmp_path))
    assert fitted.predict(["", "what"], Context(tmp_path)).values == ("a", "a")


def test_the_nearest_answer_is_filled_from_the_question(tmp_path):
    fitted = system.get("nearest").fit(ROWS, ROWS.take([]), JOB, Context(tmp_path))
    said = fitted.predict(["price of item 777 cost", "who made 42 and when"], Context(tmp_path)).values
    assert said == ("SELECT price FROM items WHERE id = 777", "SELECT maker FROM items WHERE id = 42")
