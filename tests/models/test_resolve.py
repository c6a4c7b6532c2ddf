"""Names that people type."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tunesmith.core.errors import ConfigError
from tunesmith.models.catalogue import catalogue
from tunesmith.models.resolve import local, resolve
from tunesmith.testing import tiny_lm


@pytest.fixture(autouse=True)
def _no_network(monkeypatch, tmp_path):
    def refuse(self, address):
        raise AssertionError(f"something tried to connect to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", list(catalogue()))
def test_every_catalogue_name_resolves_and_comes_back_from_its_uri(name):
    spec = resolve(name)
    assert resolve(name.upper()) == spec
    assert resolve(spec.uri) == spec
    assert resolve(name, spec.kind) == spec


def test_hub_ids_of_the_catalogue_bring_what_is_known_of_them():
    spec = resolve("huggingfacetb/smollm2-360m-instruct")
    assert spec.id == "HuggingFaceTB/SmolLM2-360M-Instruct"
    assert spec.kind == "lm"
    assert spec.parameters > 3e8
    assert resolve("hub:HuggingFaceTB/SmolLM2-360M-Instruct@main").revision == "main"


def test_a_hub_id_that_nobody_knows_takes_the_kind_that_is_needed():
    spec = resolve("some-org/some-model@abc", "encoder")
    assert (spec.source, spec.id, spec.kind, spec.revision) == ("hub", "some-org/some-model", "encoder", "abc")
    with pytest.raises(ConfigError, match="encoder or a language model"):
        resolve("some-org/some-model")


def test_a_folder_goes_before_a_hub_id(tmp_path, monkeypatch):
    tiny_lm(tmp_path / "org" / "name")
    monkeypatch.chdir(tmp_path)
    spec = resolve("org/name")
    assert (spec.source, spec.id) == ("folder", str(tmp_path / "org" / "name"))
    assert Path(spec.id).is_absolute()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("smolm2-135m-instruct", "smollm2-135m-instruct"),
        ("all-minilm-l6", "all-minilm-l6-v2"),
        ("wheel:gemma-3-270", "gemma-3-270m"),
    ],
)
def test_a_misspelt_name_brings_the_nearest(name, hint):
    with pytest.raises(ConfigError) as caught:
        resolve(name)
    assert f"Did you mean '{hint}'?" in str(caught.value)


@pytest.mark.parametrize(
    "name", ["", "  ", "./absent", "/absent/folder", "hub:", "hub:one", "a/b/c", "wheel:", "nonsense"]
)
def test_what_is_no_model_is_refused(name):
    with pytest.raises(ConfigError):
        resolve(name)


def test_the_wrong_kind_is_refused_with_examples():
    with pytest.raises(ConfigError, match="a sentence encoder") as caught:
        resolve("all-minilm-l6-v2", "lm")
    assert "smollm2-135m-instruct" in str(caught.value.hint)


def test_looking_for_local_copies_touches_no_network():
    assert [name for name, entry in catalogue().items() if entry.recipe and local(entry.spec)] == []
    assert local(resolve("some-org/some-model", "lm")) is None
