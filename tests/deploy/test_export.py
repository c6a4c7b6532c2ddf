"""An export is written only when a process of its own has answered with it as the original does."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tunesmith.core.errors import CheckFailed, ConfigError, RunError
from tunesmith.core.predictions import Predictions
from tunesmith.deploy.export import export, package_of, sample
from tunesmith.deploy.exporters import EXACT
from tunesmith.deploy.exporters import exporter as exporters
from tunesmith.deploy.runtime import Predictor
from tunesmith.deploy.shipped import Held
from tunesmith.deploy.verifying import Replied, compared
from tunesmith.exporting import export_run, shipped


@pytest.fixture(scope="module")
def bundle(finished, tmp_path_factory):
    return export_run(finished, "bundle", system="tfidf", out=tmp_path_factory.mktemp("out") / "bundle")


def test_a_bundle_answers_as_the_original_and_says_what_was_measured(bundle, tfidf):
    told = json.loads((bundle.folder / "verified.json").read_text())
    assert told["agreement"] == 1.0
    assert told["logits"][0] == 0.0
    assert told["n"] == len(tfidf.held) < 200  # what there is, and it says how many
    assert all(check["passed"] for check in told["checks"])
    assert told["timed"]["wall_ms_p50"] > 0
    requirements = (bundle.folder / "requirements.txt").read_text()
    assert "numpy==" in requirements
    assert "torch" not in requirements


def test_whoever_waits_is_told_what_is_done_and_how_far_it_is(finished, tmp_path):
    told = []
    done = export_run(finished, "wheel", system="tfidf", out=tmp_path / "out", rows=70, listen=told.append)
    notes = [event["text"] for event in told if event["event"] == "note"]
    assert [note.split()[0] for note in notes] == ["writing", "asking", "asking"]
    bars = [event for event in told if event["event"] == "progress"]
    assert {(bar["what"], bar["total"]) for bar in bars} == {("answers of the export", done.compared.n)}
    ends = [event for event in told if event["event"] == "progress.end"]
    assert [end["done"] for end in ends] == [done.compared.n] * 2  # the folder, then the wheel


def test_labels_thresholds_calibration_and_notices_travel(bundle, tfidf):
    about = json.loads((bundle.folder / "export.json").read_text())
    assert about["labels"] == ["account", "billing", "delivery"]
    assert about["prompt"]["instruction"] == tfidf.job.prompt.instruction
    assert (bundle.folder / "fitted" / "calibration.json").exists() == (tfidf.path / "calibration.json").exists()
    assert (bundle.folder / "scope" / "judged.safetensors").exists()
    assert "Apache" in (bundle.folder / "LICENSE").read_text()
    assert "Tunesmith" in (bundle.folder / "NOTICE").read_text()
    assert package_of(tfidf) == "tickets_model"


def test_thresholds_in_an_export_hold_back_what_the_run_holds_back(bundle, tfidf):
    texts = [*tfidf.held.texts[:8], "quantum zebra harmonica"]
    model = Predictor(bundle.folder)
    decided = tfidf.acceptance.decide(model.predict(texts), texts, 0.7, tfidf.ctx)
    answers = model.answer(texts, accept_at=0.7)
    assert [a.accepted for a in answers] == decided.accepted.tolist()
    assert [a.why_not for a in answers] == list(decided.reasons)


def test_the_script_of_an_export_needs_no_tunesmith_and_refuses_a_changed_file(bundle):
    blocked = "import runpy, sys; sys.modules['tunesmith'] = None; sys.argv = sys.argv[1:]"
    command = [sys.executable, "-I", "-c", f"{blocked}; runpy.run_path(sys.argv[0], run_name='__main__')"]
    command += [str(bundle.folder / "predict.py"), "refund invoice please"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["prediction"] == "billing"
    file = bundle.folder / "fitted" / "tfidf.json"
    whole = file.read_bytes()
    file.write_bytes(whole + b" ")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    file.write_bytes(whole)
    assert done.returncode == 2
    assert "changed or damaged" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_corrupted_export_fails_and_leaves_nothing(tfidf, tmp_path, monkeypatch):
    how = exporters.get("bundle")
    written = type(how).write

    def corrupted(self, model, draft, quantisation):
        made = written(self, model, draft, quantisation)
        weights = draft / "fitted" / "tfidf.safetensors"
        arrays = load_file(weights)
        arrays["weight"] = -arrays["weight"]
        save_file(arrays, weights)
        return made

    monkeypatch.setattr(type(how), "write", corrupted)
    with pytest.raises(CheckFailed, match="answers of the export = original"):
        export(tfidf, "bundle", tmp_path / "out", rows=20)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_export_leaves_the_one_before_it(bundle, tfidf, monkeypatch):
    how = exporters.get("bundle")

    def broken(self, model, draft, quantisation):
        raise ConfigError("broken")

    before = (bundle.folder / "verified.json").read_bytes()
    monkeypatch.setattr(type(how), "write", broken)
    with pytest.raises(ConfigError):
        export(tfidf, "bundle", bundle.folder)
    assert (bundle.folder / "verified.json").read_bytes() == before


def test_a_folder_that_is_no_export_is_not_replaced(tfidf, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("dear")
    with pytest.raises(RunError, match="is no export"):
        export(tfidf, "bundle", tmp_path / "letters")
    assert (tmp_path / "letters" / "dear.txt").exists()


def test_unknown_forms_rungs_and_quantisations_are_refused_with_what_is_known(finished, tfidf, tmp_path):
    with pytest.raises(ConfigError, match="bundel") as refused:
        export(tfidf, "bundel", tmp_path / "out")
    assert "bundle" in str(refused.value.hint)
    with pytest.raises(ConfigError, match="--quantize int3"):
        export(tfidf, "bundle", tmp_path / "out", quantisation="int3")
    with pytest.raises(ConfigError, match="no rung of that name"):
        shipped(finished, system="tfdif")


def _held(values, p):
    return Held(tuple("abcd"[: len(values)]), tuple(values), Predictions(tuple(values), np.array(p)))


def test_an_undecided_answer_may_come_out_either_way_and_a_decided_one_may_not(tfidf):
    labels = tfidf.job.labels
    held = _held([labels[0], labels[1]], [[0.5, 0.499999, 0.000001], [0.1, 0.8, 0.1]])
    other = Predictions((labels[1], labels[1]), np.array([[0.499999, 0.5, 0.000001], [0.1, 0.8, 0.1]]))
    found = compared(tfidf, held, Replied(other, None, frozenset(), {}), replace(EXACT, score=1.0))
    assert (found.agreement, found.ties) == (1.0, 1)
    wrong = Predictions((labels[0], labels[2]), np.array([[0.5, 0.499999, 0.000001], [0.1, 0.1, 0.8]]))
    found = compared(tfidf, held, Replied(wrong, None, frozenset(), {}), EXACT)
    assert found.agreement == 0.5
    assert [check.passed for check in found.checks] == [False, False, False]
    assert found.logits[0] == pytest.approx(np.log(8))


def test_held_rows_are_drawn_by_the_seed_in_their_order():
    held = _held(["a", "b", "c", "d"], np.eye(4))
    some = sample(held, 2, seed=3)
    assert len(some) == 2
    assert list(some.texts) == sorted(some.texts)
    assert some.texts == sample(held, 2, seed=3).texts
    assert sample(held, 9, seed=3) is held
