"""Which systems can have which form, and that what is written is what others read."""

import json

import numpy as np
import pytest

from tunesmith.core.context import Limits
from tunesmith.core.errors import CheckFailed, ConfigError
from tunesmith.deploy.export import export, forms_for
from tunesmith.deploy.exporters import exporter as exporters
from tunesmith.models.encoder import Encoder


def test_every_form_says_why_a_system_cannot_have_it(tfidf, frozen):
    why = {name: reason for name, _, reason in forms_for(tfidf)}
    assert why["bundle"] is None
    assert "no adapter" in why["merged"]
    assert "no adapter" in why["adapter"]
    assert "no network" in why["onnx"]
    assert {name for name, _, reason in forms_for(frozen) if reason is None} >= {"bundle", "onnx"}


def test_a_form_that_cannot_be_had_is_refused_with_what_to_do(tfidf, tmp_path):
    with pytest.raises(ConfigError, match="no adapter to fold in") as refused:
        export(tfidf, "merged", tmp_path / "out")
    assert "bundle" in str(refused.value.hint)
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_as_onnx_answers_without_torch_and_its_vectors_are_the_same(frozen, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    done = export(frozen, "onnx", tmp_path / "onnx", rows=20)
    assert done.compared.agreement == 1.0
    assert done.compared.logits[0] < 1e-3
    needs = (done.folder / "requirements.txt").read_text()
    assert "onnxruntime==" in needs
    assert "torch" not in needs
    from tunesmith.models.resolve import fetch

    texts = ["", "refund the invoice", "word " * 700]  # nothing, a text, and one longer than the window
    theirs = Encoder.load(done.folder / "base" / "encoder", Limits()).embed(texts)
    ours = Encoder.load(fetch(frozen.job.encoder, frozen.ctx.emit), Limits()).embed(texts)
    np.testing.assert_allclose(theirs, ours, atol=1e-5)


@pytest.mark.slow
def test_a_graph_with_wrong_weights_is_refused(frozen, tmp_path, monkeypatch):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    how = exporters.get("onnx")
    written = type(how).write

    def corrupted(self, model, draft, quantisation):
        made = written(self, model, draft, quantisation)
        path = draft / "base" / "encoder" / "model.onnx"
        graph = onnx.load(path)
        table = max(graph.graph.initializer, key=lambda weights: len(weights.raw_data))
        numbers = np.frombuffer(table.raw_data, dtype=np.float32)[::-1]
        table.raw_data = numbers.tobytes()
        onnx.save(graph, path)
        return made

    monkeypatch.setattr(type(how), "write", corrupted)
    with pytest.raises(CheckFailed, match="of the export = original"):
        export(frozen, "onnx", tmp_path / "out", rows=20)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("form", ["merged", "adapter", "bundle", "onnx"])
def test_a_tuned_encoder_leaves_in_every_form(tuned, tmp_path, form):
    if form == "onnx":
        pytest.importorskip("onnxruntime")
    assert {name for name, _, reason in forms_for(tuned) if reason is None} >= {"bundle", "onnx", "merged", "adapter"}
    done = export(tuned, form, tmp_path / form, rows=20)
    assert done.compared.agreement == 1.0
    if form == "adapter":
        config = json.loads((done.folder / "fitted" / "adapter" / "adapter_config.json").read_text())
        assert config["peft_type"] == "LORA"
        assert "/" not in config["base_model_name_or_path"]  # no path of this machine
        assert not (done.folder / "base").exists()
    if form == "merged":
        from transformers import AutoModel

        assert AutoModel.from_pretrained(done.folder / "fitted" / "adapter").config.hidden_size > 0
