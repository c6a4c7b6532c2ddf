"""JSON Schema, as much of it as fields and spans need, read into a Shape: a schema that does not contradict itself.

Objects are closed: what is not named is not extracted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tunesmith.core.errors import DataError, did_you_mean
from tunesmith.tasks.values import Shape, dump, fault, is_of, kind_of, same, short

KINDS = ("object", "array", "string", "integer", "number", "boolean")
_NOTES = frozenset({"title", "description", "default", "examples", "$schema", "$id", "$comment", "deprecated", "$defs",
                    "definitions", "readOnly", "writeOnly"})  # fmt: skip
_BOUNDS = {"array": ("minItems", "maxItems"), "string": ("minLength", "maxLength"), "integer": ("minimum", "maximum"),
           "number": ("minimum", "maximum")}  # fmt: skip
_KNOWN = {"type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "oneOf", "$ref",
          *(word for pair in _BOUNDS.values() for word in pair)}  # fmt: skip
_DEEPEST, _MOST_SHAPES = 16, 400


def read_schema(text: str, *, where: str = "schema") -> Shape:
    """The Shape of a JSON Schema. Raises DataError that names the place for what contradicts itself or is not known.

    Known: type (one, or one and null), properties, required, items, enum, const, minimum, maximum, minLength,
    maxLength, minItems, maxItems, $ref within the schema (not to itself), and anyOf of one schema and null.
    """
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{where}: not JSON: {error}.", hint="give a JSON Schema, as json.dumps writes it.") from error
    shape = _Reader(value, where).shape(value, "", ())
    if shape.kind not in ("object", "array") or shape.nullable:
        raise DataError(
            f"{where}: the answer must be an object or a list, got {shape.named}.",
            hint='put it into an object: {"type": "object", "properties": {"value": ...}}.',
        )
    return shape


class _Reader:
    def __init__(self, root: Any, where: str) -> None:
        self.root, self.where, self.read = root, where, 0

    def refuse(self, place: str, what: str, hint: str | None = None) -> DataError:
        return DataError(f"{self.where}{' at ' + place if place else ''}: {what}.", hint=hint)

    def shape(self, value: Any, place: str, opened: tuple[str, ...]) -> Shape:
        self.read += 1
        if place.count("/") > 2 * _DEEPEST or self.read > _MOST_SHAPES:
            raise self.refuse(place, f"more than {_MOST_SHAPES} fields, or nested more than {_DEEPEST} deep")
        if not isinstance(value, Mapping):
            raise self.refuse(place, f"expected a schema (an object), got {short(value)}")
        for key in value:
            if key not in _KNOWN and key not in _NOTES and not str(key).startswith("x-"):
                near = did_you_mean(str(key), _KNOWN) or ""
                other = "take it out; what it asks for can be checked afterwards."
                raise self.refuse(
                    place, f"the keyword '{key}' is not supported",
                    near if near.startswith("Did") else other,
                )  # fmt: skip
        if "$ref" in value:
            return self._referred(value, place, opened)
        several = value.get("anyOf", value.get("oneOf"))
        if several is not None:
            return self._either(several, value, place, opened)
        kind, nullable, choices = self._kind(value, place)
        made = Shape(kind, nullable, choices)
        if kind == "object":
            made = self._object(made, value, place, opened)
        elif kind == "array":
            inner = value.get("items")
            if inner is None:
                raise self.refuse(place, "a list must say what its items are (items)")
            made = replace(made, items=self.shape(inner, f"{place}/items", opened))
        return self._bounded(made, value, place)

    def _referred(self, value: Mapping[str, Any], place: str, opened: tuple[str, ...]) -> Shape:
        name = value["$ref"]
        if name in opened:
            raise self.refuse(place, f"'{name}' contains itself: answers could be endless", "unroll it a few levels.")
        found: Any = self.root
        for part in str(name).removeprefix("#/").split("/") if str(name).startswith("#/") else [None]:
            if not isinstance(found, Mapping) or part not in found:
                raise self.refuse(place, f"'{name}' refers to nothing in this schema", "define it under $defs.")
            found = found[part]
        return self.shape(found, place, (*opened, str(name)))

    def _either(self, several: Any, value: Mapping[str, Any], place: str, opened: tuple[str, ...]) -> Shape:
        null = {"type": "null"}
        real = [one for one in several if one != null] if isinstance(several, list) else []
        if len(real) != 1 or set(value) & {"type", "properties", "items", "enum", "const"}:
            raise self.refuse(
                place, "alternatives are supported only as one schema or null",
                "decide for one type, or make a field of its own for each.",
            )  # fmt: skip
        shape = self.shape(real[0], place, opened)
        return replace(shape, nullable=shape.nullable or len(real) < len(several))

    def _kind(self, value: Mapping[str, Any], place: str) -> tuple[str, bool, tuple[Any, ...]]:
        given = value.get("type")
        kinds = [given] if isinstance(given, str) else list(given) if isinstance(given, list) else []
        for kind in kinds:
            if kind not in (*KINDS, "null"):
                raise self.refuse(place, f"no type is called {short(kind)}", did_you_mean(str(kind), (*KINDS, "null")))
        choices = [value["const"]] if "const" in value else value.get("enum")
        if "const" in value and not any(same(value["const"], one) for one in value.get("enum", [value["const"]])):
            raise self.refuse(place, "the const is not among the values of the enum")
        if choices is not None and (not isinstance(choices, list) or not choices):
            raise self.refuse(place, "an enum without values can never be obeyed")
        if any(isinstance(one, (list, Mapping)) for one in choices or ()):
            raise self.refuse(place, "an enum of lists or objects is not supported")
        nullable = "null" in kinds if kinds else choices is not None and None in choices
        real = [kind for kind in kinds if kind != "null"]
        if not kinds:
            found = {kind_of(one) for one in choices or () if one is not None}
            real = sorted(found) if found != {"integer", "number"} else ["number"]
            real = real or (["object"] if "properties" in value else ["array"] if "items" in value else [])
        if len(real) != 1:
            what = "it has no type" if not real else f"it may be {' or '.join(real)}"
            raise self.refuse(place, f"{what}; one type is needed, or one and null", f"types: {', '.join(KINDS)}.")
        kind = real[0]
        if choices is None:
            return kind, nullable, ()
        if kinds and None in choices and not nullable:
            raise self.refuse(place, f"the enum allows null, the type ({kind}) does not", 'say "type": ["…", "null"].')
        kept: list[Any] = []
        for one in choices:
            if one is not None and not is_of(one, kind):
                raise self.refuse(place, f"the value {short(one)} of the enum is not of the type {kind}")
            if one is not None and not any(same(one, other) for other in kept):
                kept.append(one)
        if not kept:
            raise self.refuse(place, "the only value allowed is null: there is nothing to extract")
        return kind, nullable and any(one is None for one in choices), tuple(kept)

    def _object(self, made: Shape, value: Mapping[str, Any], place: str, opened: tuple[str, ...]) -> Shape:
        fields, required = value.get("properties"), value.get("required", [])
        if not isinstance(fields, Mapping) or not fields:
            raise self.refuse(place, "an object must name its fields (properties)")
        if not isinstance(required, list):
            raise self.refuse(place, f"required must be a list of names, got {short(required)}")
        for name in required:
            if name not in fields:
                hint = did_you_mean(str(name), [str(key) for key in fields])
                raise self.refuse(place, f"the field '{name}' is required but not among the properties", hint)
        inner = tuple((str(n), self.shape(f, f"{place}/properties/{n}", opened)) for n, f in fields.items())
        return replace(made, fields=inner, required=frozenset(map(str, required)))

    def _bounded(self, made: Shape, value: Mapping[str, Any], place: str) -> Shape:
        words: tuple[str, ...] = _BOUNDS.get(made.kind, ())
        for word in (word for pair in _BOUNDS.values() for word in pair if word in value and word not in words):
            raise self.refuse(place, f"'{word}' says nothing of the type {made.kind}", "take it out.")
        bounds: list[float | None] = []
        for word in words:
            bound = value.get(word)
            counted = made.kind in ("array", "string")
            fine = bound is None or (is_of(bound, "integer" if counted else "number") and (not counted or bound >= 0))
            if not fine or (isinstance(bound, float) and not math.isfinite(bound)):
                raise self.refuse(place, f"{word} must be a {'count' if counted else 'number'}, got {short(bound)}")
            bounds.append(bound)
        if len(bounds) == 2:
            made = replace(made, low=bounds[0], high=bounds[1])
            low, high = bounds[0], bounds[1]
            if made.kind == "integer":
                low, high = (None if low is None else math.ceil(low)), (None if high is None else math.floor(high))
            if low is not None and high is not None and low > high:
                raise self.refuse(
                    place, f"{words[0]} ({short(bounds[0])}) and {words[1]} ({short(bounds[1])}) leave nothing"
                )
        kept = tuple(one for one in made.choices if fault(one, replace(made, choices=())) is None)
        if made.choices and not kept:
            raise self.refuse(place, "no value of the enum lies within the bounds")
        return replace(made, choices=kept)


def to_schema(shape: Shape) -> dict[str, Any]:
    """The JSON Schema of a Shape."""
    made: dict[str, Any] = {"type": [shape.kind, "null"] if shape.nullable else shape.kind}
    if shape.choices:
        made["enum"] = [*shape.choices, *([None] if shape.nullable else [])]
        return made
    if shape.kind == "object":
        made["properties"] = {name: to_schema(inner) for name, inner in shape.fields}
        made["required"] = [name for name, _ in shape.fields if name in shape.required]
        made["additionalProperties"] = False
    if shape.items is not None:
        made["items"] = to_schema(shape.items)
    for word, bound in zip(_BOUNDS.get(shape.kind, ()), (shape.low, shape.high), strict=False):
        if bound is not None:
            made[word] = bound
    return made


def describe(shape: Shape) -> str:
    """The Shape in the short form that stands in prompts: {"name": text or null, "tags": [text, ...]}."""
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    if shape.choices:
        told = " | ".join(dump(one) for one in shape.choices)
    elif shape.kind == "object":
        told = "{" + ", ".join(f"{dump(name)}: {describe(inner)}" for name, inner in shape.fields) + "}"
    elif shape.items is not None:
        told = f"[{describe(shape.items)}, ...]"
    else:
        told = words[shape.kind]
    return f"{told} or null" if shape.nullable else told
