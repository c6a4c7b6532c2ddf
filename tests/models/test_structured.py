"""Answers bound to a schema obey it, whatever the model, the schema and the text."""

from __future__ import annotations

import builtins
import json

import pytest

from tunesmith.core.context import Limits
from tunesmith.core.errors import MissingExtra
from tunesmith.models.lm import LanguageModel
from tunesmith.models.structured import Bound
from tunesmith.testing import tiny_lm

pytest.importorskip("llguidance")
jsonschema = pytest.importorskip("jsonschema")

TEXTS = ["My name is Ana.", "", '}{"]] null', "ünïcödé 漢字 🙂 \u202e", "a" * 300]
PLAIN = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
NESTED = {
    "type": "object",
    "properties": {
        "who": {
            "type": "object",
            "properties": {
                "name": {"type": ["string", "null"]},
                "age": {"type": "integer", "minimum": 3, "maximum": 9},
            },
            "required": ["name", "age"],
        },
        "tags": {"type": "array", "items": {"enum": ["a", 'ä"', "漢字 \n", "{}"]}, "minItems": 1, "maxItems": 3},
        "rows": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}, "maxItems": 2},
        "sure": {"type": "boolean"},
        "when": {"anyOf": [{"type": "string", "minLength": 2, "maxLength": 4}, {"type": "null"}]},
    },
    "required": ["who", "tags", "rows", "sure", "when"],
}
SPANS = {
    "type": "array",
    "maxItems": 4,
    "items": {
        "type": "object",
        "properties": {"type": {"enum": ["PERSON", "ORG"]}, "text": {"type": "string"}},
        "required": ["type", "text"],
    },
}
ODD_NAMES = {
    "type": "object",
    "properties": {'a"b\\': {"const": 7}, "é 漢": {"enum": [1, 2.5]}, "": {"type": "null"} and {"type": "boolean"}},
    "required": ['a"b\\', "é 漢", ""],
}
WIDE = {
    "type": "object",
    "properties": {f"field {i}": {"type": "string", "minLength": 3} for i in range(30)},
    "required": [f"field {i}" for i in range(30)],
}


@pytest.fixture(scope="module", params=[0, 1])
def lm(request, tmp_path_factory):
    return LanguageModel.load(tiny_lm(tmp_path_factory.mktemp("lm") / "tiny", seed=request.param), Limits())


@pytest.mark.parametrize("schema", [PLAIN, NESTED, SPANS, ODD_NAMES, WIDE])
@pytest.mark.parametrize("limit", [1, 7, 60])
def test_every_answer_of_an_untrained_model_is_valid(lm, schema, limit):
    bound = Bound(lm, json.dumps(schema))
    prompts = [lm.template.prompt_ids([{"role": "user", "content": text}]) for text in TEXTS]
    answers = lm.generate(prompts, max_new_tokens=limit, rows=3, break_loops=True, bound=bound)
    for answer in answers:
        jsonschema.validate(json.loads(bound.read(answer.ids)), schema)


def test_an_answer_that_ends_by_itself_was_valid_as_written(lm):
    schema = {
        "type": "object",
        "properties": {"a": {"enum": ["x", "yy"]}, "b": {"type": "boolean"}},
        "required": ["a", "b"],
    }
    bound = Bound(lm, json.dumps(schema))
    prompts = [lm.template.prompt_ids([{"role": "user", "content": text}]) for text in TEXTS]
    for answer in lm.generate(prompts, max_new_tokens=64, bound=bound):
        assert answer.ended
        written = lm.template.tokenizer.decode(answer.ids)
        jsonschema.validate(json.loads(written), schema)
        assert json.loads(bound.read(answer.ids)) == json.loads(written)


def test_binding_changes_no_answer_that_obeys_anyway(lm):
    prompts = [lm.template.prompt_ids([{"role": "user", "content": text}]) for text in TEXTS[:3]]
    free = lm.generate(prompts, max_new_tokens=8)
    schema = {"type": "array", "items": {"type": "string"}}
    bound = lm.generate(prompts, max_new_tokens=8, bound=Bound(lm, json.dumps(schema)))
    assert len(free) == len(bound) == 3
    again = lm.generate(prompts, max_new_tokens=8, rows=1, bound=Bound(lm, json.dumps(schema)))
    assert [a.ids for a in bound] == [a.ids for a in again]


def test_whatever_was_generated_is_read_as_something_valid(lm):
    bound = Bound(lm, json.dumps(NESTED))
    for ids in ([], [5, 6, 7], lm.template.answer_ids('{"who": {"name": "Ana", "age": 100}, "tags": ["a", "zz"')):
        jsonschema.validate(json.loads(bound.read(ids)), NESTED)
    cut = lm.template.answer_ids('{"who": {"name": "Ana", "age": 5}, "tags": ["a"], "rows": [[1], [2', end=False)
    kept = json.loads(bound.read(cut))
    assert kept["who"] == {"name": "Ana", "age": 5}
    assert kept["tags"] == ["a"]


def test_without_llguidance_it_says_what_to_install(lm, monkeypatch):
    def missing(name, *args, **kwargs):
        if name.startswith("llguidance"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtra, match="structured") as caught:
        Bound(lm, json.dumps(PLAIN))
    assert "pip install" in caught.value.hint
