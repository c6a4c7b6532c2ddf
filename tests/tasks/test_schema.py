"""Schemas: what contradicts itself is refused with its place, what is left is what a JSON Schema validator means."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.core.errors import DataError
from tunesmith.tasks.schema import describe, read_schema, to_schema
from tunesmith.tasks.values import complete, dump, fault, fit, least, same

jsonschema = pytest.importorskip("jsonschema")


def _object(**fields):
    return {"type": "object", "properties": fields, "required": list(fields)}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (_object(a={"type": "integer", "minimum": 5, "maximum": 4}), "leave nothing"),
        (_object(a={"type": "integer", "minimum": 4.2, "maximum": 4.8}), "leave nothing"),
        (_object(a={"type": "string", "minLength": 3, "maxLength": 2}), "leave nothing"),
        (_object(a={"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 1}), "leave nothing"),
        (_object(a={"enum": []}), "without values"),
        (_object(a={"type": "integer", "enum": ["x"]}), "not of the type integer"),
        (_object(a={"type": "string", "enum": ["abc"], "maxLength": 2}), "within the bounds"),
        (_object(a={"type": "string", "enum": ["abc", None]}), "allows null"),
        (_object(a={"const": 1, "enum": [2]}), "not among"),
        (_object(a={"type": ["string", "integer"]}), "string or integer"),
        (_object(a={}), "no type"),
        (_object(a={"type": "text"}), "no type is called"),
        (_object(a={"type": "string", "pattern": "x+"}), "'pattern' is not supported"),
        (_object(a={"type": "string", "maxItems": 3}), "says nothing of the type string"),
        (_object(a={"type": "array"}), "what its items are"),
        (_object(a={"anyOf": [{"type": "string"}, {"type": "integer"}]}), "one schema or null"),
        (_object(a={"$ref": "#/$defs/b"}), "refers to nothing"),
        ({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["b"]}, "required but not among"),
        ({"type": "object"}, "must name its fields"),
        ({"type": "string"}, "object or a list"),
        ({"$defs": {"n": _object(n={"$ref": "#/$defs/n"})}, "$ref": "#/$defs/n"}, "contains itself"),
        ([], "expected a schema"),
    ],
)  # fmt: skip
def test_a_schema_that_contradicts_itself_is_refused(schema, said):
    with pytest.raises(DataError, match=said):
        read_schema(json.dumps(schema))


def test_what_is_no_json_is_refused():
    with pytest.raises(DataError, match="not JSON"):
        read_schema("{")
    with pytest.raises(DataError):
        read_schema("[" * 100_000)


def test_the_place_and_the_nearest_word_are_named():
    with pytest.raises(DataError, match="at /properties/who/properties/age") as caught:
        read_schema(json.dumps(_object(who=_object(age={"type": "intger"}))))
    assert "integer" in caught.value.hint


def test_what_pydantic_writes_is_read():
    schema = {
        "$defs": {"Item": {"title": "Item", **_object(name={"title": "Name", "type": "string"})}},
        "title": "Order",
        **_object(
            items={"type": "array", "items": {"$ref": "#/$defs/Item"}},
            note={"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        ),
    }
    shape = read_schema(json.dumps(schema))
    assert describe(shape) == '{"items": [{"name": text}, ...], "note": text or null}'
    assert fault({"items": [{"name": "x"}], "note": None}, shape) is None


_NAMES = st.text(max_size=4)
_PAIR = st.tuples(st.integers(0, 5), st.integers(0, 5)).map(sorted)
_SCALARS = st.one_of(
    st.just({"type": "boolean"}),
    _PAIR.map(lambda ab: {"type": "integer", "minimum": ab[0] - 3, "maximum": ab[1] - 3}),
    _PAIR.map(lambda ab: {"type": "string", "minLength": ab[0], "maxLength": ab[1]}),
    st.lists(st.text(max_size=3), min_size=1, max_size=3, unique=True).map(lambda e: {"type": "string", "enum": e}),
    st.just({"type": ["number", "null"]}),
    st.just({"type": "string"}),
)


def _schemas(inner):
    objects = st.dictionaries(_NAMES, inner, min_size=1, max_size=3).flatmap(
        lambda fields: st.builds(
            lambda needed: {"type": "object", "properties": fields, "required": needed, "additionalProperties": False},
            st.lists(st.sampled_from(sorted(fields)), unique=True),
        )
    )
    arrays = st.builds(
        lambda i, a, b: {"type": "array", "items": i, "minItems": min(a, b), "maxItems": max(a, b)},
        inner, st.integers(0, 3), st.integers(0, 3),
    )  # fmt: skip
    return st.one_of(objects, arrays)


SCHEMAS = st.recursive(_SCALARS, _schemas, max_leaves=6).filter(lambda s: s["type"] in ("object", "array"))
_NUMBERS = st.one_of(st.integers(-99, 99), st.floats(allow_nan=False, allow_infinity=False))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), _NUMBERS, st.text(max_size=6)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_NAMES, inner, max_size=3)),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(SCHEMAS, VALUES, st.integers(0, 40))
def test_whatever_is_made_to_fit_is_valid_and_what_fits_stays(schema, value, cut):
    shape = read_schema(json.dumps(schema))
    validator = jsonschema.Draft202012Validator(schema)
    for made in (least(shape), fit(value, shape), complete(dump(value)[:cut], shape)):
        assert validator.is_valid(made), (schema, made)
        assert fault(made, shape) is None
        assert same(fit(made, shape), made)
        assert same(complete(dump(made), shape), made)
    assert validator.is_valid(value) == (fault(value, shape) is None)


@settings(max_examples=60, deadline=None)
@given(SCHEMAS)
def test_a_shape_written_as_a_schema_is_read_as_the_same_shape(schema):
    shape = read_schema(json.dumps(schema))
    assert read_schema(json.dumps(to_schema(shape))) == shape


def test_a_cut_answer_keeps_what_was_whole():
    shape = read_schema(json.dumps(_object(a={"type": "string"}, b={"type": "array", "items": {"type": "integer"}})))
    assert complete('{"a":"x, \\"y\\"","b":[1,2,3', shape) == {"a": 'x, "y"', "b": [1, 2, 3]}
    assert complete('{"a":"x","b":[1,2', shape)["b"] == [1, 2]
    assert complete('{"a":"unfinish', shape) == {"a": "", "b": []}


def test_numbers_and_truth_are_not_mixed_up():
    assert same(1, 1.0)
    assert not same(1, True)
    assert not same([0], [False])
    assert same({"a": [1]}, {"a": [1.0]})
