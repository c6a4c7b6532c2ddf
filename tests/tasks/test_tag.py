from __future__ import annotations

import numpy as np
import pytest

from tunesmith.core.predictions import Predictions
from tunesmith.tasks import task
from tunesmith.tasks.label_sets import dump_set, indicators, names_of, read_set

TAG = task.get("tag")
LABELS = ("billing", "late", "new|old")
PROMPT = TAG.prompt(LABELS, inputs=("text",), target="topics")


def test_equal_sets_are_equal_texts():
    assert dump_set(["late", "billing", "late"]) == dump_set({"billing", "late"}) == '["billing","late"]'
    assert read_set('["billing","late"]') == {"billing", "late"}
    assert read_set("late") is None
    assert read_set(None) is None


def test_sets_as_a_table_leave_out_what_is_unknown():
    values = ['["late","strange"]', None, "[]"]
    assert indicators(values, LABELS).tolist() == [[False, True, False], [False] * 3, [False] * 3]
    assert names_of(LABELS, values) == (*LABELS, "strange")


@pytest.mark.parametrize(
    ("answer", "meant"),
    [
        ('["late"]', ["late"]),
        ("late, billing", ["billing", "late"]),
        ("- Late\n- billing.", ["billing", "late"]),
        ("new|old", ["new|old"]),
        ("[]", []),
    ],
)
def test_an_answer_is_read_however_it_lists_the_labels(answer, meant):
    assert TAG.parse(answer, PROMPT) == dump_set(meant)


@pytest.mark.parametrize("answer", ["", "late, refund", "the parcel is late"])
def test_an_answer_that_names_no_label_is_none_at_all(answer):
    assert TAG.parse(answer, PROMPT) is None


def test_the_scores_by_hand():
    truth = ['["billing","late"]', '["late"]', "[]", '["billing"]']
    said = ('["late"]', '["late"]', '["billing"]', None)
    scores = TAG.score(Predictions(said), truth, [""] * 4, LABELS)
    # 2 hits, 3 given, 4 due.
    assert scores["micro_f1"] == pytest.approx(2 * 2 / (3 + 4))
    assert scores["precision"] == pytest.approx(2 / 3)
    assert scores["recall"] == pytest.approx(2 / 4)
    assert scores["macro_f1"] == pytest.approx((0.0 + 1.0) / 2)  # billing, late; the third label is not due
    assert scores["subset_accuracy"] == pytest.approx(1 / 4)
    assert scores["set_f1"] == pytest.approx((2 / 3 + 1 + 0 + 0) / 4)


def test_a_set_that_could_not_be_read_is_wrong_even_where_none_was_due():
    scores = TAG.row_scores(Predictions((None, "[]")), ["[]", "[]"], ["", ""], LABELS)
    assert scores["subset_accuracy"].tolist() == [0.0, 1.0]
    assert scores["set_f1"].tolist() == [0.0, 1.0]


def test_sums_of_rows_give_the_scores():
    rng = np.random.default_rng(0)
    sets = [dump_set(name for name in LABELS if rng.random() < 0.4) for _ in range(40)]
    said = Predictions(tuple(dump_set(name for name in LABELS if rng.random() < 0.4) for _ in range(40)))
    at = rng.integers(0, 40, 25)
    some = TAG.score(said.take(at), [sets[i] for i in at], [""] * 25, LABELS)
    for name, (counts, score) in TAG.additive(said, sets, [""] * 40, LABELS).items():
        assert float(score(counts[at].sum(axis=0)[None])[0]) == pytest.approx(some[name])


def test_cells_join_with_bars_and_fall_back_to_json():
    assert TAG.cells('["billing","late"]') == {"prediction": "billing|late"}
    assert TAG.cells('["late","new|old"]') == {"prediction": '["late","new|old"]'}
    assert TAG.cells("[]") == {"prediction": ""}
    assert TAG.told("[]") == "none"


def test_how_sure_of_single_labels_stands_beside_them():
    p = np.array([0.9, 0.4, 0.001])
    assert TAG.beside('["billing"]', p, LABELS, as_json=False) == {"label_confidences": "0.9000"}
    assert TAG.beside('["billing"]', p, LABELS, as_json=True) == {"label_confidences": {"billing": 0.9, "late": 0.4}}


def test_lists_that_come_again_are_detected_and_other_answers_are_not():
    lists = ['["a","b"]', '["a"]', '["b","c"]', '["c","a"]'] * 5
    assert TAG.detect(lists, [""] * 20) > 0.9
    assert TAG.detect(['["a"]', '["b"]'] * 10, [""] * 20) == 0.0
    assert TAG.detect(["a", "b"] * 10, [""] * 20) == 0.0
