"""The table of known base models says only what can be true."""

from __future__ import annotations

import re

import pytest

from tunesmith.models.catalogue import Entry, by_hub_id, catalogue, specs

ENTRIES = list(catalogue().values())


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])
def test_every_entry_is_complete_and_plausible(entry: Entry):
    spec = entry.spec
    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", entry.name), "names are lower case, so that any spelling finds them"
    assert 2e7 <= spec.parameters <= 8.3e9
    assert 128 <= spec.context <= 262_144
    assert spec.languages
    assert all(re.fullmatch(r"[a-z]{2}", code) for code in spec.languages)
    assert len(set(spec.languages)) == len(spec.languages)
    assert spec.licence not in ("", "unknown")
    assert spec.kind == "lm" or not spec.chat
    assert (spec.source == "wheel") == (entry.recipe is not None)
    if spec.source == "hub":
        assert spec.revision is None
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", spec.id)


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.recipe], ids=lambda entry: entry.name)
def test_models_in_wheels_are_pinned_down_to_every_file(entry: Entry):
    assert entry.recipe is not None
    assert entry.also, "the same model on the hub is named"
    assert entry.spec.revision == entry.recipe.payload
    for part in entry.recipe.parts:
        assert re.fullmatch(r"[a-z0-9-]+==[0-9.]+", part.requirement)
        assert re.fullmatch(r"[0-9a-f]{64}", part.sha256)
        for member in part.members:
            assert re.fullmatch(r"[0-9a-f]{64}", member.sha256)
            assert member.bytes > 0
    targets = [member.to for part in entry.recipe.parts for member in part.members]
    assert len(set(targets)) == len(targets)
    if entry.recipe.form == "gguf":
        assert "4-bit-rounded" in entry.spec.note


def test_both_kinds_are_there_without_a_hub():
    assert {spec.kind for spec in specs("wheel")} == {"lm", "encoder"}


def test_names_and_ids_are_found_whatever_their_case():
    assert [spec.id for spec in specs("wheel", "MiniLM")] == ["all-minilm-l6-v2"]
    entry = by_hub_id("qwen/QWEN3-0.6b")
    assert entry is not None
    assert entry.name == "qwen3-0.6b"
    assert by_hub_id("nobody/nothing") is None


def test_hub_ids_are_listed_once():
    ids = [entry.spec.id.lower() for entry in ENTRIES]
    assert len(set(ids)) == len(ids)
