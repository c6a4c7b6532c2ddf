"""Valuing the rows of a table whose damage is known."""

from __future__ import annotations

import numpy as np
import pytest
from curated_case import LABELS, dataset, tickets

from tunesmith.core.errors import DataError
from tunesmith.evaluation import value_bench
from tunesmith.evaluation.dense_probe import left_out_margins
from tunesmith.evaluation.valuation import value
from tunesmith.evaluation.value_page import render_value


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith.evaluation import valuation

    for module in (value_bench, valuation):
        monkeypatch.setattr(module, "DRAWS", 3)
        monkeypatch.setattr(module, "ORDERS", 3)
        monkeypatch.setattr(module, "HALVINGS", 2)
        monkeypatch.setattr(module, "SHARES", (0.1, 0.3))


def test_wrong_labels_go_first_and_the_page_shows_it() -> None:
    data, right = tickets(rows=500, noise=0.3)
    found = value(data)
    wrong = np.array([right[i] != t for i, t in zip(found.ids.tolist(), data.rows("train").targets, strict=True)])
    assert found.values[wrong].mean() < 0.7 * found.values[~wrong].mean()
    lowest = np.argsort(found.values)[: round(0.3 * len(wrong))]
    assert wrong[lowest].mean() > 1.5 * wrong.mean()
    at = next(r for r in found.removals if r.share == 0.3)
    assert at.score > at.random
    assert found.curve is not None
    assert found.check is not None
    assert [f.rows for f in found.forecasts] == [round(len(wrong) * more) for more in (1.25, 1.5, 2, 4)]
    lines = found.lines()
    assert "Without the 30 % that are worth least" in lines[1]
    assert not any("at 0.5 a label" in line for line in lines)
    assert any(", 88.00 at 1 a label" in line or "at 1 a label" in line for line in found.lines(label_price=1.0))
    page = render_value({**found.to_dict(), "lines": lines, "title": "<script>alert(1)</script>"})
    assert "<script" not in page
    assert page.count("<svg") >= 4


def test_a_label_with_few_rows_lacks_rows() -> None:
    data, _ = tickets(rows=900, dev=0.4)
    rows = data.table.to_pylist()
    # Of the rows of one label only every twelfth is left in train.
    seldom = [r for at, r in enumerate(rows) if r["split"] == "dev" or r["target"] != LABELS[1] or at % 12 == 1]
    few = dataset([r["text"] for r in seldom], [r["target"] for r in seldom], [r["split"] for r in seldom])
    found = value(few)
    worst = found.slices[0]
    assert worst.name == LABELS[1]
    assert worst.of == "label"
    assert worst.lacks
    assert worst.halved_interval[1] < 0
    assert not any(s.lacks for s in found.slices[1:])
    assert f"Rows are lacking in: label {LABELS[1]}" in "\n".join(found.lines())


def test_it_is_the_same_every_time_and_refuses_what_it_cannot_value() -> None:
    data, _ = tickets(rows=200)
    one, two = value(data).to_dict(), value(data).to_dict()
    assert {**one, "seconds": 0} == {**two, "seconds": 0}
    few, _ = tickets(rows=50)
    with pytest.raises(DataError, match="too few to value"):
        value(few)
    from dataclasses import replace

    with pytest.raises(DataError, match="valued for labels"):
        value(replace(data, task="rewrite", labels=()))


def test_margins_are_those_of_models_without_the_row() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 6)).astype(np.float32)
    X -= X.mean(axis=0)
    codes = (X[:, 0] > 0).astype(np.int64)
    margins = left_out_margins(X, codes, 2, ridge=1.0)
    Y = np.eye(2)[codes]
    for out in (0, 13, 31):
        rest = np.arange(50) != out
        A = np.hstack([X, np.ones((50, 1))])
        R = np.diag([1.0] * 6 + [0.0])  # the intercept is not held back
        W = np.linalg.solve(A[rest].T @ A[rest] + R, A[rest].T @ Y[rest])
        scores = A[out] @ W
        assert margins[out] == pytest.approx(scores[codes[out]] - scores[1 - codes[out]], abs=1e-4)
