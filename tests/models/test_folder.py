"""Local folders: what is usable is used, everything else is refused with what is wrong."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import pytest

from tunesmith.core.errors import ModelError
from tunesmith.core.files import sha256_path
from tunesmith.models import fingerprint as prints
from tunesmith.models.layout import describe
from tunesmith.models.resolve import fetch, local, pin, resolve
from tunesmith.testing import tiny_encoder, tiny_lm


def silent(event: str, **fields: object) -> None:
    """Hears nothing."""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny_lm(folder / "lm")
    tiny_encoder(folder / "encoder")
    return folder


@pytest.fixture
def lm(made, tmp_path) -> Path:
    return Path(shutil.copytree(made / "lm", tmp_path / "lm"))


def test_kind_size_context_and_template_are_read_without_loading(made):
    about = describe(made / "lm")
    assert (about.kind, about.parameters, about.context, about.chat) == ("lm", 49_312, 1024, True)
    about = describe(made / "encoder")
    assert (about.kind, about.context, about.chat) == ("encoder", 64, False)


def test_a_pinned_folder_is_pinned_by_what_is_in_it(lm):
    spec = pin(resolve(str(lm)))
    assert spec.revision == sha256_path(lm)
    assert fetch(spec, silent) == lm == local(spec)
    assert resolve(spec.uri) == resolve(str(lm)).__class__(**spec.__dict__)


def test_a_folder_that_changed_after_it_was_pinned_is_refused(lm):
    spec = pin(resolve(str(lm)))
    config = json.loads((lm / "config.json").read_text())
    (lm / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 0.5}))
    assert local(spec) is None
    with pytest.raises(ModelError, match="has changed"):
        fetch(spec, silent)


def test_an_at_sign_in_a_path_is_no_revision(made, tmp_path):
    folder = Path(shutil.copytree(made / "lm", tmp_path / "me@home"))
    assert resolve(f"folder:{folder}").id == str(folder)
    assert resolve(str(folder)).revision is None


def test_unchanged_files_are_not_hashed_again(lm, monkeypatch):
    monkeypatch.setattr(prints, "_TRUST_AFTER_NS", 0)
    first = prints.fingerprint(lm)
    monkeypatch.setattr(prints, "sha256_file", lambda path: pytest.fail(f"{path} was read again"))
    assert prints.fingerprint(lm) == first


def test_a_file_written_a_moment_ago_is_hashed_again(lm):
    first = prints.fingerprint(lm)
    old = (lm / "config.json").stat()
    content = (lm / "config.json").read_text()
    (lm / "config.json").write_text(content.replace("silu", "gelu"))  # same size
    import os

    os.utime(lm / "config.json", ns=(old.st_atime_ns, old.st_mtime_ns))  # and same time
    assert prints.fingerprint(lm) != first


def test_pickled_weights_are_refused(lm):
    (lm / "model.safetensors").rename(lm / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pickled \(pytorch_model\.bin\)") as caught:
        resolve(str(lm))
    assert "save_pretrained" in str(caught.value.hint)


def test_code_that_only_the_folder_knows_is_refused(lm):
    config = json.loads((lm / "config.json").read_text())
    auto_map = {"AutoModelForCausalLM": "modeling_own.OwnModel"}
    (lm / "config.json").write_text(json.dumps({**config, "model_type": "own", "auto_map": auto_map}))
    with pytest.raises(ModelError, match="Python code of its own"):
        resolve(str(lm))


def test_code_beside_a_known_model_type_is_not_run(lm):
    config = json.loads((lm / "config.json").read_text())
    (lm / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModelForCausalLM": "trap.Trap"}}))
    (lm / "trap.py").write_text("raise SystemExit('code of a model folder was run')")
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(fetch(resolve(str(lm)), silent), trust_remote_code=False)
    assert type(model).__name__ == "LlamaForCausalLM"


def spoil_length(data: bytes) -> bytes:
    return struct.pack("<Q", 1 << 40) + data[8:]


def spoil_json(data: bytes) -> bytes:
    return data[:9] + b"\xff\xff" + data[11:]


def spoil_tail(data: bytes) -> bytes:
    return data[:-100]


@pytest.mark.parametrize("spoil", [spoil_length, spoil_json, spoil_tail, lambda data: b"", lambda data: data[:5]])
def test_damaged_weights_are_found_without_loading_them(lm, spoil):
    weights = lm / "model.safetensors"
    weights.write_bytes(spoil(weights.read_bytes()))
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged"):
        resolve(str(lm))


def test_a_missing_shard_is_named(lm):
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model.safetensors"}}
    (lm / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="model-00001-of-00002"):
        resolve(str(lm))


@pytest.mark.parametrize(
    ("lose", "says"),
    [
        (["config.json"], "no config.json"),
        (["model.safetensors"], "no weights"),
        (["tokenizer.json"], "no tokenizer"),
    ],
)
def test_what_is_missing_is_named(lm, lose, says):
    for name in lose:
        (lm / name).unlink()
    with pytest.raises(ModelError, match=says):
        resolve(str(lm))


def test_an_adapter_folder_is_told_from_a_model(lm):
    (lm / "config.json").rename(lm / "adapter_config.json")
    with pytest.raises(ModelError, match="an adapter, not a base model"):
        resolve(str(lm))


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 1}'])
def test_an_unreadable_config_is_named(lm, content):
    (lm / "config.json").write_text(content)
    with pytest.raises(ModelError, match=r"config\.json"):
        resolve(str(lm))
