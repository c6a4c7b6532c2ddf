"""What every source of base models must keep to; a new file in models/sources is tested without an edit here."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tunesmith.core.errors import SourceUnavailable, TunesmithError
from tunesmith.models.resolve import fetch, local, pin, resolve
from tunesmith.models.sources import source
from tunesmith.models.spec import ModelSpec
from tunesmith.testing import tiny_encoder, tiny_lm

NAMES = source.names()
# An answer without a network; the installers' own time-outs are longer.
SOON_S = 20.0


def silent(event: str, **fields: object) -> None:
    """Hears nothing."""


@pytest.fixture(autouse=True)
def _cut_off(tmp_path, monkeypatch):
    """An empty cache, no network in this process, and installers and hub clients told to stay at home."""

    def refuse(self, address):
        raise AssertionError(f"something tried to connect to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **fields: refuse(None, args[:2]))
    for key, value in {
        "TUNESMITH_CACHE": str(tmp_path / "cache"),
        "PIP_NO_INDEX": "1",
        "PIP_CONFIG_FILE": os.devnull,
        "UV_OFFLINE": "1",
    }.items():
        monkeypatch.setenv(key, value)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)


def offers(name: str, tmp_path: Path) -> list[ModelSpec]:
    """What the source can name by itself; where that needs a place to look, the folder with two small models."""
    tiny_lm(tmp_path / "lm")
    tiny_encoder(tmp_path / "encoder")
    found = source.get(name).search("")
    return found or source.get(name).search(str(tmp_path / "lm")) + source.get(name).search(str(tmp_path / "encoder"))


def test_the_built_in_sources_are_found():
    assert {"wheel", "hub", "folder"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_search_names_models_of_this_source_without_a_network(name, tmp_path):
    found = offers(name, tmp_path)
    assert found
    assert all(spec.source == name for spec in found)
    assert {spec.kind for spec in found} == {"encoder", "lm"}
    assert source.get(name).search("no model is called like this") == []


@pytest.mark.parametrize("name", NAMES)
def test_a_uri_comes_back_as_the_same_spec(name, tmp_path):
    for spec in offers(name, tmp_path):
        again = resolve(spec.uri, spec.kind)
        assert (again.source, again.id, again.kind, again.revision) == (spec.source, spec.id, spec.kind, spec.revision)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_here_is_fetched_without_a_network_and_what_is_not_is_refused_soon(name, tmp_path):
    for spec in offers(name, tmp_path)[:2]:
        began = time.monotonic()
        here = local(spec)
        if here is None:
            with pytest.raises(TunesmithError) as caught:
                fetch(spec, silent)
            assert caught.value.hint, "says what to do"
            assert time.monotonic() - began < SOON_S
            assert local(spec) is None, "nothing half-made is taken for a model"
        else:
            assert fetch(spec, silent) == here == fetch(spec, silent)
            assert (here / "config.json").is_file()
            assert list(here.glob("*.safetensors"))


@pytest.mark.parametrize("name", NAMES)
def test_pinning_is_idempotent_and_changes_only_what_is_known_later(name, tmp_path):
    for spec in offers(name, tmp_path)[:2]:
        pinned = None
        with contextlib.suppress(SourceUnavailable):  # a commit that only the absent hub knows
            pinned = pin(spec)
        if pinned is None:
            assert local(spec) is None
            continue
        assert pinned.revision
        assert pin(pinned) == pinned
        assert (pinned.source, pinned.id, pinned.kind) == (spec.source, spec.id, spec.kind)


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_model_or_revision_is_an_error_for_people(name, tmp_path):
    spec = offers(name, tmp_path)[0]
    for wrong in (replace(spec, id=f"{spec.id}-absent"), replace(spec, revision="0" * 40)):
        with pytest.raises(TunesmithError):
            fetch(wrong, silent)
