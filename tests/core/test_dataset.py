import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tunesmith.core.dataset import COLUMNS, Dataset, rows_of
from tunesmith.core.errors import SealedError
from tunesmith.core.predictions import Predictions


def make(folder, targets=("a", "b", None)):
    seal = folder / "01-ingest" / "test_targets.parquet"
    seal.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table({"id": [2], "target": ["a"]}), seal)
    table = pa.table(
        {
            "id": pa.array([0, 1, 2], pa.int64()),
            "text": ["x", "y", "z"],
            "target": pa.array(targets, pa.string()),
            "split": ["train", "dev", "test"],
            "weight": pa.array([1.0] * 3, pa.float32()),
            "group": pa.array([0, 1, 2], pa.int64()),
            "file": ["f"] * 3,
            "row": pa.array([1, 2, 3], pa.int64()),
            "hash": ["0"] * 3,
            "changes": pa.array([[]] * 3, pa.list_(pa.string())),
            "slice.source": ["web", "web", None],
        }
    )
    return Dataset(table, "classify", ("a", "b"), ("text",), "label", seal, {"n": 1})


def test_test_targets_are_refused_to_all_but_evaluate(tmp_path):
    data = make(tmp_path)
    with pytest.raises(SealedError):
        data.rows("test")
    assert data.rows("test", blind=True).targets == ()
    assert data.unseal() == ("a",)


def test_a_dataset_survives_disk_and_a_move_of_the_run(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    data = make(run)
    (run / "02-curate").mkdir()
    data.save(run / "02-curate")
    run.rename(tmp_path / "moved")
    again = Dataset.load(tmp_path / "moved" / "02-curate")
    assert again.table.equals(data.table)
    assert again.unseal() == ("a",)
    assert set(COLUMNS) <= set(again.table.column_names)


def test_the_fingerprint_sees_texts_targets_and_sealed_targets(tmp_path):
    data = make(tmp_path)
    first = data.fingerprint
    assert make(tmp_path, ("b", "b", None)).fingerprint != first
    pq.write_table(pa.table({"id": [2], "target": ["b"]}), data.seal)
    assert Dataset(data.table, "classify", ("a", "b"), ("text",), "label", data.seal).fingerprint != first


def test_slices_come_without_their_prefix(tmp_path):
    assert make(tmp_path).slices("test") == {"source": ("",)}


def test_rows_take_and_add_keep_columns_together():
    rows = rows_of(["a", "b", "c"], ["1", "2", "3"])
    both = rows.take([2, 0]) + rows.take([1])
    assert both.texts == ("c", "a", "b")
    assert both.targets == ("3", "1", "2")
    assert both.ids.tolist() == [2, 0, 1]


def test_only_evaluate_unseals():
    from conftest import ROOT

    callers = [p for p in (ROOT / "src").rglob("*.py") if ".unseal()" in p.read_text()]
    assert [p.name for p in callers] == ["evaluate.py"]


def test_predictions_survive_disk(tmp_path):
    import numpy as np

    made = Predictions.from_probabilities(np.array([[0.2, 0.8], [0.5, 0.5]]), ("a", "b"))
    made.save(tmp_path / "p.parquet")
    again = Predictions.load(tmp_path / "p.parquet")
    assert again.values == made.values == ("b", "a")
    assert (again.probabilities == made.probabilities).all()
    text = Predictions(("x", None))
    text.save(tmp_path / "t.parquet")
    assert Predictions.load(tmp_path / "t.parquet") == text
