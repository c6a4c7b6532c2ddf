from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evaluation import bench_of_two as bench

from tunesmith.core.checks import Check
from tunesmith.core.context import Context
from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import CheckFailed
from tunesmith.core.ledger import Ledger
from tunesmith.evaluation import replay
from tunesmith.evaluation.evaluate import EvaluateOptions, disjoint, evaluate, pieces, test_fingerprint, test_rows
from tunesmith.evaluation.report import History, Report
from tunesmith.training.ladder import Ladder
from tunesmith.training.ladder import Trained as TrainedSystems

QUICK = EvaluateOptions(permutations=500, resamples=200)


@pytest.fixture(autouse=True)
def _ledger_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def same_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replays here instead of in a fresh process: the comparison is the real one, only quicker."""

    def here(wanted, ladder, trained, ctx):
        made = []
        for w in wanted:
            again = TrainedSystems.load(trained).fitted(w.system, Ladder.load(ladder), ctx).predict(w.texts, ctx)
            same = again.values == w.predictions.values
            made.append(Check(replay.NAME, len(again), "all equal", same, "", w.system))
        return made

    monkeypatch.setattr(replay, "replay", here)


def _work(tmp_path: Path) -> Context:
    (tmp_path / "08-evaluate").mkdir(exist_ok=True)
    return Context(tmp_path / "08-evaluate", seed=3)


def _evaluated(
    tmp_path: Path, *, candidate: str | None = "tfidf", test_rows: int | None = None
) -> tuple[Dataset, Report]:
    data = bench.dataset(tmp_path)
    ladder = bench.ladder(data, tmp_path, candidate=candidate, test_rows=test_rows)
    report = evaluate(data, ladder, bench.trained(tmp_path), QUICK, History(folder="runs/x"), _work(tmp_path))
    report.save(tmp_path / "08-evaluate")
    return data, report


CONTRACT = {
    "version": int, "task": str, "data": dict, "verdict": dict, "comparisons": list, "systems": list, "checks": list,
    "decisions": list, "leads": str, "details": dict,
}  # fmt: skip


@pytest.mark.usefixtures("same_process")
def test_report_json_holds_what_other_tools_were_promised(tmp_path):
    _evaluated(tmp_path)
    made = json.loads((tmp_path / "08-evaluate" / "report.json").read_text())
    assert {key: type(value) for key, value in made.items()} == CONTRACT
    assert made["version"] == 1
    assert set(made["data"]) == {"rows", "train", "dev", "test", "fingerprint"}
    assert made["data"] | {"fingerprint": ""} == {"rows": 240, "train": 120, "dev": 60, "test": 60, "fingerprint": ""}
    assert set(made["verdict"]) == {"winner", "against", "claim", "difference", "interval", "p_value", "n", "sentence"}
    wanted = {"a", "b", "metric", "difference", "interval", "p_value", "p_adjusted", "test", "n"}
    assert made["comparisons"]
    assert all(set(row) == wanted for row in made["comparisons"])
    for row in made["systems"]:
        assert set(row) == {"name", "kind", "base", "method", "status", "n", "scores", "cost"}
        assert row["status"] in ("full", "subset", "not run")
        assert set(row["cost"]) == {
            "train_cpu_s", "train_wall_s", "peak_rss_bytes", "stored_bytes", "predict_cpu_s_per_example",
        }  # fmt: skip
        for score in row["scores"].values():
            assert set(score) == {"value", "interval", "n"}
            low, high = score["interval"]
            assert low - 1e-9 <= score["value"] <= high + 1e-9
    assert all({"name", "applies", "passed", "value", "bound"} <= set(row) for row in made["checks"])
    assert all(set(row) == {"what", "choice", "why"} for row in made["decisions"])
    assert {row["name"]: row["status"] for row in made["systems"]} == {
        "tfidf": "full", "majority": "full", "encoder_lora": "not run",
    }  # fmt: skip


@pytest.mark.usefixtures("same_process")
def test_a_report_survives_the_disk(tmp_path):
    _, report = _evaluated(tmp_path)
    again = Report.load(tmp_path / "08-evaluate")
    assert again.to_json() == report.to_json()
    assert again.verdict.comparisons == report.verdict.comparisons
    assert again["tfidf"].scores == report["tfidf"].scores
    assert (again.winner, again.claim) == ("tfidf", "better")


@pytest.mark.usefixtures("same_process")
def test_scores_are_those_of_the_predictions_on_disk(tmp_path):
    from sklearn.metrics import accuracy_score, f1_score

    data, report = _evaluated(tmp_path)
    table = pq.read_table(tmp_path / "08-evaluate" / "predictions.parquet")
    assert table.column_names == ["id", "target", "tfidf", "tfidf.confidence", "majority", "majority.confidence"]
    truth, said = table["target"].to_pylist(), table["tfidf"].to_pylist()
    assert truth == list(data.unseal())
    assert report["tfidf"].scores["macro_f1"].value == pytest.approx(f1_score(truth, said, average="macro"))
    assert report["tfidf"].scores["accuracy"].value == pytest.approx(accuracy_score(truth, said))
    assert "text" not in table.column_names


@pytest.mark.usefixtures("same_process")
def test_a_rung_on_a_subset_is_paired_with_the_others_on_those_rows(tmp_path):
    _, report = _evaluated(tmp_path, test_rows=40)
    assert (report["tfidf"].status, report["tfidf"].n, report["majority"].n) == ("subset", 40, 60)
    assert report.verdict.n == 40
    assert all(c.n == 40 for c in report.verdict.comparisons)
    table = pq.read_table(tmp_path / "08-evaluate" / "predictions.parquet")
    assert table["tfidf"].null_count == 20
    assert np.flatnonzero(~np.array(table["tfidf"].is_null())).tolist() == test_rows(60, 40, seed=3).tolist()


def test_subsets_are_nested_so_that_two_of_them_can_be_paired():
    small, large = test_rows(500, 50, seed=1), test_rows(500, 200, seed=1)
    assert set(small) < set(large)
    assert test_rows(500, 500, seed=1) is None
    assert test_rows(500, None, seed=1) is None
    assert set(test_rows(500, 50, seed=2)) != set(small)


@pytest.mark.usefixtures("same_process")
def test_without_a_tuned_system_nothing_is_claimed(tmp_path):
    _, report = _evaluated(tmp_path, candidate=None)
    made = report.to_json()["verdict"]
    assert (made["winner"], made["claim"], made["against"], made["p_value"]) == ("tfidf", None, None, None)
    assert "nothing is said about tuning" in made["sentence"]
    assert Report.from_json(report.to_json()).to_json() == report.to_json()


@pytest.mark.usefixtures("same_process")
def test_the_seal_is_opened_once_and_counted_once_even_when_the_stage_is_killed_and_redone(tmp_path, monkeypatch):
    data = bench.dataset(tmp_path)
    ladder, trained = bench.ladder(data, tmp_path), bench.trained(tmp_path)
    opened = []
    original = Dataset.unseal
    monkeypatch.setattr(Dataset, "unseal", lambda self: (opened.append(1), original(self))[1])
    first = evaluate(data, ladder, trained, QUICK, History(), _work(tmp_path))
    assert len(opened) == 1
    assert first.details["data"]["ledger"]["opened"] == 1
    evaluate(data, ladder, trained, QUICK, History(), _work(tmp_path))  # the same folder: the same look
    assert Ledger().count(test_fingerprint(data, data.rows("test", blind=True))) == 1
    other = Context(tmp_path / "elsewhere", seed=3)
    assert evaluate(data, ladder, trained, QUICK, History(), other).details["data"]["ledger"]["opened"] == 2


@pytest.mark.parametrize(("needs", "n", "sizes"), [
    ("lm", 600, [32, 256, 256, 56]), ("lm", 20, [20]), ("encoder", 450, [200, 200, 50]), ("nothing", 200, [200]),
])  # fmt: skip
def test_pieces_are_all_rows_once_and_what_a_language_model_repeats_is_little(needs, n, sizes):
    found = pieces(n, needs)
    assert [len(part) for part in found] == sizes
    assert [i for part in found for i in part] == list(range(n))


@pytest.mark.usefixtures("same_process")
def test_a_resumed_stage_predicts_only_what_is_missing_and_ends_in_the_same_bytes(tmp_path, monkeypatch):
    data = bench.dataset(tmp_path)
    ladder, trained = bench.ladder(data, tmp_path), bench.trained(tmp_path)
    monkeypatch.setattr("tunesmith.evaluation.evaluate.CHUNK", 25)
    evaluate(data, ladder, trained, QUICK, History(), _work(tmp_path))
    done = tmp_path / "08-evaluate"
    whole = (done / "predictions.parquet").read_bytes()
    (done / "predictions" / "tfidf" / "0000025.json").unlink()  # as a kill between the two writes leaves it
    asked = []
    original = type(trained).fitted

    def fitted(self, name, *rest):
        asked.append(name)
        return original(self, name, *rest)

    # Only evaluate's own loading is counted, not that of the replay.
    monkeypatch.setattr(replay, "replay", lambda *_: [])
    monkeypatch.setattr(type(trained), "fitted", fitted)
    evaluate(data, ladder, trained, QUICK, History(), _work(tmp_path))
    assert asked == ["tfidf"]
    assert (done / "predictions.parquet").read_bytes() == whole


@pytest.mark.usefixtures("same_process")
def test_details_tell_where_the_shipped_system_fails(tmp_path):
    data, report = _evaluated(tmp_path)
    details = report.details
    wrong = {error["id"] for error in details["errors"]}
    table = pq.read_table(tmp_path / "08-evaluate" / "predictions.parquet").to_pylist()
    assert wrong <= {row["id"] for row in table if row["tfidf"] != row["target"]}
    assert 0 < len(wrong) <= 10
    sure = [error["confidence"] for error in details["errors"]]
    assert sure == sorted(sure, reverse=True)
    assert sum(bin["n"] for bin in details["calibration"]["bins"]) == 60
    assert {row["label"] for row in details["per_class"]} == set(data.labels)
    assert all(row["score"] < row["rest"] for row in details["slices"])
    flagged = {(row["system"], row["rows"]) for row in details["flagged"]}
    assert flagged == {("tfidf", 3), ("majority", 3)}
    assert "estimates, not measurements" in details["estimates"]["assumptions"]


def test_shared_texts_of_dev_and_test_stop_the_run_before_the_seal_is_opened(tmp_path, monkeypatch):
    data = bench.dataset(tmp_path)
    texts = data.table["text"].to_pylist()
    texts[3] = texts[2].upper() + "!"  # row 3 is test, row 2 is dev
    leaky = data.with_table(data.table.set_column(1, "text", pa.array(texts)))
    assert disjoint(data).passed is True
    assert (disjoint(leaky).passed, disjoint(leaky).value) == (False, 1)
    monkeypatch.setattr(Dataset, "unseal", lambda self: pytest.fail("the seal was opened"))
    ladder, trained = bench.ladder(data, tmp_path), bench.trained(tmp_path)
    with pytest.raises(CheckFailed, match="dev and test disjoint"):
        evaluate(leaky, ladder, trained, QUICK, History(), _work(tmp_path))


def test_history_is_part_of_no_key():
    assert all(field.metadata.get("key") is False for field in dataclasses.fields(History))


def test_a_fresh_process_predicts_the_same_from_the_folder_alone(tmp_path):
    _, report = _evaluated(tmp_path)
    made = [check for check in report.checks if check.name == replay.NAME]
    assert {check.system for check in made} == {"tfidf", "majority"}
    assert all(check.passed for check in made)
    assert "60 of 60 equal" in str(made[0].value)
    assert not (tmp_path / "08-evaluate" / "replay").exists()


def test_a_system_whose_saved_files_were_changed_fails_the_replay(tmp_path):
    data = bench.dataset(tmp_path)
    ladder, trained = bench.ladder(data, tmp_path), bench.trained(tmp_path)
    saved = tmp_path / "05-select" / "systems" / "majority" / "fitted" / "majority.json"
    ctx = _work(tmp_path)
    evaluate(data, ladder, trained, QUICK, History(), ctx)
    saved.write_text(saved.read_text().replace("frequencies", "frequencies").replace("0.", "0.9", 1))
    with pytest.raises(CheckFailed, match="fresh process"):
        evaluate(data, ladder, trained, QUICK, History(), ctx)
    (saved.parent / "majority.json").unlink()
    with pytest.raises(CheckFailed, match="fresh process ended with code 1"):
        evaluate(data, ladder, trained, QUICK, History(), ctx)
