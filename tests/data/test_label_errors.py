"""Label errors: the closed forms, what is found in planted noise, and what the step does about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import average_precision_score

from tunesmith.core.context import Context
from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import DataError
from tunesmith.data.curate import CurateOptions, clean, curate
from tunesmith.data.label_errors import action_for, score_labels, unexplained
from tunesmith.data.label_signals import calibrated, left_out, linear_probe, neighbour_vote, stratified_folds
from tunesmith.data.ngrams import ngram_vectors
from tunesmith.data.steps import CannotRun, step

K = 5


def planted(n: int = 400, *, kind: str = "symmetric", seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(vectors, codes given, true codes): unit vectors around K centres, a tenth of the labels wrong."""
    draw = np.random.default_rng(seed)
    truth = draw.integers(K, size=n)
    vectors = draw.normal(size=(K, 16))[truth] + 0.9 * draw.normal(size=(n, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    wrong = draw.permutation(n)[: n // 10]
    codes = truth.copy()
    codes[wrong] = (truth[wrong] + (1 if kind == "confusable" else draw.integers(1, K, size=len(wrong)))) % K
    return vectors.astype(np.float32), codes, truth


def test_ridge_leave_one_out_equals_refitting_without_the_row() -> None:
    vectors, codes, _ = planted(30)
    X = np.hstack([vectors.astype(np.float64), np.ones((30, 1))])
    Y = np.eye(K)[codes]
    left_out_by_hand = []
    for row in range(30):
        rest = np.arange(30) != row
        beta = np.linalg.solve(X[rest].T @ X[rest] + 0.5 * np.eye(17), X[rest].T @ Y[rest])
        left_out_by_hand.append(X[row] @ beta)
    said = left_out(vectors, codes, K, penalty=0.5)
    np.testing.assert_allclose(said, left_out_by_hand, atol=1e-5)  # said is fp32


def test_a_row_does_not_vote_for_itself() -> None:
    vectors, codes, _ = planted(40)
    codes[0] = 4
    codes[1:] %= 4
    said = neighbour_vote(vectors, codes, K)
    assert said[0, 4] == said[0].min()


def test_folds_spread_each_label_evenly() -> None:
    codes = np.repeat(np.arange(4), [50, 10, 5, 2])
    folds = stratified_folds(codes, 5, seed=0)
    assert all(
        np.bincount(folds[codes == label], minlength=5).max() <= -(-n // 5) for label, n in enumerate([50, 10, 5, 2])
    )


def test_calibration_takes_sureness_away_where_labels_do_not_bear_it_out() -> None:
    draw = np.random.default_rng(0)
    truth = draw.integers(3, size=2_000)
    codes = np.where(draw.random(2_000) < 0.7, truth, (truth + draw.integers(1, 3, size=2_000)) % 3)
    logits = (20.0 * np.eye(3)[truth]).astype(np.float32)
    said = np.exp(calibrated(logits, codes))
    assert abs(said.max(axis=1).mean() - (codes == truth).mean()) < 0.02  # the search ends within 2 % of the best scale


def test_doubted_rows_count_less_in_the_probe() -> None:
    draw = np.random.default_rng(3)
    truth = draw.integers(K, size=600)
    vectors = (draw.normal(size=(K, 40))[truth] + 1.5 * draw.normal(size=(600, 40))).astype(np.float32) / 10
    codes = np.where(draw.random(600) < 0.7, truth, draw.integers(K, size=600))
    plain = linear_probe(vectors, codes, K)
    careful = linear_probe(vectors, codes, K, doubts_by=vectors)
    assert (careful.argmax(axis=1) == truth).mean() > (plain.argmax(axis=1) == truth).mean() + 0.01


@pytest.mark.parametrize("kind", ["symmetric", "confusable"])
@pytest.mark.parametrize("views", ["both", "n-grams"])
def test_planted_errors_come_first_with_the_true_label_proposed(kind: str, views: str) -> None:
    vectors, codes, truth = planted(kind=kind)
    scores = score_labels(vectors if views == "both" else None, vectors, codes, K)
    wrong = codes != truth
    assert average_precision_score(wrong, scores.score) > 0.8  # 0.1 by chance
    assert (scores.proposed[wrong] == truth[wrong]).mean() > 0.8
    assert 0.03 < scores.noise.rate < 0.2  # planted: 0.1
    assert np.isfinite(scores.score).all()
    assert ((scores.probability >= 0) & (scores.probability <= 1)).all()
    assert (np.diff(scores.probability[np.argsort(scores.score)]) >= -1e-12).all()
    assert (scores.confidence <= scores.probability + 1e-6).all()
    assert (scores.proposed != codes).all()


def test_errors_that_doubt_explains_are_told_from_errors_that_fall_anywhere() -> None:
    draw = np.random.default_rng(0)
    p = draw.dirichlet((0.5, 0.5, 0.5), size=4_000)
    truth = (draw.random((len(p), 1)) > p.cumsum(axis=1)).sum(axis=1)
    logs = np.log(np.maximum(p, 1e-6)).astype(np.float32)
    rows = np.arange(len(p))
    doubt = 1 - p[rows, truth]
    chosen = draw.choice(len(p), size=400, replace=False, p=doubt / doubt.sum())
    others = p[chosen].copy()
    others[np.arange(400), truth[chosen]] = 0.0
    suggested, anywhere = truth.copy(), truth.copy()
    suggested[chosen] = (draw.random((400, 1)) > (others / others.sum(axis=1, keepdims=True)).cumsum(axis=1)).sum(
        axis=1
    )
    some = draw.permutation(len(p))[:400]
    anywhere[some] = (truth[some] + draw.integers(1, 3, size=400)) % 3
    assert unexplained(logs, suggested) < 0.006
    assert unexplained(logs, anywhere) == pytest.approx(0.1, abs=0.02)


def test_probabilities_of_a_model_count_as_another_opinion() -> None:
    vectors, codes, truth = planted(300)
    told = np.full((300, K), 0.01)
    told[np.arange(300), truth] = 0.96
    blind = np.random.default_rng(0).normal(size=vectors.shape).astype(np.float32)
    with_it = score_labels(None, blind, codes, K, probabilities=told)
    without = score_labels(None, blind, codes, K)
    wrong = codes != truth
    assert average_precision_score(wrong, with_it.score) > 0.9 > 0.5 > average_precision_score(wrong, without.score)


def test_one_label_and_unequal_lengths_are_refused() -> None:
    vectors, codes, _ = planted(40)
    with pytest.raises(DataError, match="one label"):
        score_labels(None, vectors, np.zeros(40, dtype=np.int64), K)
    with pytest.raises(DataError, match="differ"):
        score_labels(None, vectors[:-1], codes, K)
    with pytest.raises(DataError, match="more than can be judged"):
        score_labels(None, vectors, codes, 10**8)


def test_nothing_is_done_unasked_unless_it_is_sure() -> None:
    assert action_for(0.55, 0.5) == "flag"
    assert action_for(0.99, 0.97) == "fix"
    assert action_for(0.95, 0.4) == "drop"


def test_texts_of_the_same_words_lie_close_whatever_their_order_and_length() -> None:
    said = ngram_vectors(["the card has not arrived", "arrived has the card not", "exchange rates of the euro", ""] * 3)
    assert said.shape[0] == 12
    assert said[0] @ said[1] > 0.7 > 0.3 > said[0] @ said[2]
    assert np.isfinite(said).all()
    assert ngram_vectors(["one"]).shape == (1, 1)
    assert ngram_vectors(["", ""]).shape == (2, 1)


WORDS = (("card", "arrive", "post", "delivery", "waiting"), ("rate", "exchange", "currency", "euro", "dollar"))


def texts(folder: Path, *, n: int = 60, labels: tuple[str, ...] = ("cards", "rates")) -> Dataset:
    """Two topics; train row 3 and dev row n - 1 carry the other topic's label."""
    draw = np.random.default_rng(0)
    rows = [" ".join(draw.choice(WORDS[i % 2], size=6)) + f" please {i}" for i in range(n)]
    targets = [labels[i % 2 % len(labels)] for i in range(n)]
    for i in (3, n - 1):
        targets[i] = labels[0]
    table = pa.table(
        {
            "id": pa.array(range(n), pa.int64()),
            "text": rows,
            "target": pa.array(targets, pa.string()),
            "split": ["train" if i < n - 10 else "dev" for i in range(n)],
            "weight": pa.array([1.0] * n, pa.float32()),
            "group": pa.array(range(n), pa.int64()),
            "file": ["a.csv"] * n,
            "row": pa.array(range(1, n + 1), pa.int64()),
            "hash": [f"{i:016x}" for i in range(n)],
            "changes": pa.array([[]] * n, pa.list_(pa.string())),
        }
    )
    return Dataset(table, "classify", labels, ("text",), "label", None)


def test_the_step_flags_and_proposes(tmp_path: Path) -> None:
    found = step.get("label_errors")(texts(tmp_path), encoder="none")
    assert {f.id for f in found} == {3, 59}
    assert {f.action for f in found} == {"flag"}
    assert {(f.fix, f.field) for f in found} == {("rates", "target")}
    assert "'rates' is likeliest" in found[0].reason
    assert "n-grams alone" in found[0].reason
    assert found[0].score >= found[1].score


def test_a_proposed_label_is_taken_where_policy_says_so(tmp_path: Path) -> None:
    data = texts(tmp_path)
    settings = {"label_errors": {"encoder": "none"}}
    after, _ = clean(data, ["label_errors"], settings=settings, policy={"label_errors": "fix"})
    assert after.table["target"].to_pylist()[3] == "rates"
    assert data.table["target"].to_pylist()[3] == "cards"


def test_relabelled_rows_say_so_keep_what_they_were_and_are_left_alone_afterwards(tmp_path: Path) -> None:
    data = texts(tmp_path)
    settings = {"label_errors": {"action": "auto", "encoder": "none"}}
    after, found = clean(data, ["label_errors"], settings=settings)
    mended = [f for f in found if f.action == "fix"]
    assert {f.id for f in mended} == {3, 59}
    assert all(f.field == "target" and f.fix == "rates" and f.was == "cards" for f in mended)
    assert after.table["target"].to_pylist()[3] == "rates"
    assert after.table["changes"].to_pylist()[3] == ["label_errors"]
    assert after.table["text"].equals(data.table["text"])
    again = clean(after, ["label_errors"], settings=settings)[1]
    assert [f for f in again if f.action != "flag"] == []


def test_a_step_that_cannot_run_is_skipped_and_named(tmp_path: Path) -> None:
    data = texts(tmp_path, n=20)
    with pytest.raises(CannotRun, match="30 rows"):
        step.get("label_errors")(data, encoder="none")
    after = curate(data, CurateOptions(steps=("label_errors",)), Context(tmp_path))
    assert "30 rows" in after.notes["curation"]["steps_not_run"]["label_errors"]
    assert after.table.equals(data.table)


def test_one_label_cannot_run(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="two labels"):
        step.get("label_errors")(texts(tmp_path, labels=("cards",)))


def test_an_encoder_that_is_not_here_is_done_without_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunesmith.models.resolve.local", lambda spec: None)
    found = step.get("label_errors")(texts(tmp_path))
    assert {f.id for f in found} >= {3, 59}
    assert "without a sentence encoder" in found[0].reason
