"""JSON values of a known shape: checked, made to fit, and completed where they were cut off."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shape:
    """What a value must be.

    choices: the only values allowed besides null, () for any. fields: of an object, in the order they are written.
    required: fields that may not be left out. low, high: bounds of a number, of characters, or of items; None: none.
    """

    kind: str
    nullable: bool = False
    choices: tuple[Any, ...] = ()
    fields: tuple[tuple[str, Shape], ...] = ()
    required: frozenset[str] = frozenset()
    items: Shape | None = None
    low: float | None = None
    high: float | None = None

    @property
    def named(self) -> str:
        """Its type in words."""
        return ("null or " if self.nullable else "") + self.kind


def dump(value: Any) -> str:
    """JSON as it is learned, written and compared: no spaces, letters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def same(a: Any, b: Any) -> bool:
    """Equality of JSON values: 1 is 1.0, and neither is true."""
    if isinstance(a, bool) or isinstance(b, bool):
        return isinstance(a, bool) and isinstance(b, bool) and a == b
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def fault(value: Any, shape: Shape, place: str = "") -> str | None:
    """What is wrong with a value, with its place; None if it is as it must be."""
    at = f"{place or 'the answer'} "
    if value is None:
        return None if shape.nullable else f"{at}is null"
    if not is_of(value, shape.kind):
        return f"{at}is {short(value)}, not of the type {shape.kind}"
    if shape.choices and not any(same(value, one) for one in shape.choices):
        return f"{at}is {short(value)}, which is not among the values allowed"
    size = len(value) if shape.kind in ("string", "array") else value if shape.kind in ("integer", "number") else None
    if size is not None and (
        (shape.low is not None and size < shape.low) or (shape.high is not None and size > shape.high)
    ):
        return f"{at}({short(value)}) is out of bounds"
    if shape.kind == "object":
        known = dict(shape.fields)
        for name in value:
            if name not in known:
                return f"{at}has the field '{name}', which the schema does not name"
        for name, inner in shape.fields:
            if name in value or name in shape.required:
                if name not in value:
                    return f"{at}lacks the field '{name}'"
                found = fault(value[name], inner, f"{place}.{name}" if place else name)
                if found:
                    return found
    for i, item in enumerate(value if shape.items is not None else ()):
        assert shape.items is not None
        found = fault(item, shape.items, f"{place}[{i}]")
        if found:
            return found
    return None


def least(shape: Shape) -> Any:
    """The emptiest value that is allowed."""
    if shape.nullable:
        return None
    if shape.choices:
        return shape.choices[0]
    if shape.kind == "object":
        return {name: least(inner) for name, inner in shape.fields if name in shape.required}
    if shape.items is not None:
        return [least(shape.items) for _ in range(int(shape.low or 0))]
    if shape.kind == "string":
        return "-" * int(shape.low or 0)
    return False if shape.kind == "boolean" else _within(0, shape)


def fit(value: Any, shape: Shape) -> Any:
    """The value, changed as little as makes it allowed: fields filled in or left out, numbers read from texts."""
    if value is None:
        return least(shape)
    if shape.kind == "object":
        if not isinstance(value, Mapping):
            return least(shape)
        return {
            name: fit(value.get(name), inner)
            for name, inner in shape.fields
            if name in shape.required or (name in value and (value[name] is not None or inner.nullable))
        }
    if shape.items is not None:
        items = value if isinstance(value, (list, tuple)) else [value]
        plain = [one for one in items if isinstance(one, Mapping) or shape.items.kind != "object"]
        kept = [fit(one, shape.items) for one in plain][: None if shape.high is None else int(shape.high)]
        return kept + [least(shape.items) for _ in range(int(shape.low or 0) - len(kept))]
    read = read_as(value, shape)
    return least(shape) if read is None or fault(read, shape) else read


def read_as(value: Any, shape: Shape) -> Any:
    """A plain value as the kind asked for; None if it is none."""
    if isinstance(value, (Mapping, list, tuple)):
        return None
    if shape.choices:
        exact = [one for one in shape.choices if same(one, value)]
        alike = [one for one in shape.choices if _plain(one) == _plain(value)]
        return (exact or alike or [None])[0]
    if shape.kind == "string":
        text = value if isinstance(value, str) else dump(value)
        return text if shape.high is None else text[: int(shape.high)]
    if shape.kind == "boolean":
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(_plain(value))
    if isinstance(value, bool):
        return None
    try:
        number = float(value.replace(",", "").strip()) if isinstance(value, str) else value
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    whole = float(number).is_integer() and abs(number) < 2**53
    if shape.kind == "integer":
        return int(number) if whole else None
    return int(number) if whole and not (isinstance(value, float)) else number


def complete(text: str, shape: Shape) -> Any:
    """The value that a text cut off anywhere amounts to: what was whole in it, the rest as empty as is allowed."""
    inside, escaped, opened = False, False, ""
    cuts: list[tuple[int, str]] = []
    for at, letter in enumerate(text):
        if inside:
            inside, escaped = escaped or letter != '"', not escaped and letter == "\\"
        elif letter == '"':
            inside = True
        elif letter in "[{":
            opened += letter
            cuts.append((at + 1, opened))
        elif letter in "]}" and opened:
            opened = opened[:-1]
            cuts.append((at + 1, opened))
        elif letter == ",":
            cuts.append((at, opened))
    for at, open_ in [(len(text), opened), *reversed(cuts)]:
        try:
            return fit(json.loads(text[:at] + "".join("]" if one == "[" else "}" for one in reversed(open_))), shape)
        except (json.JSONDecodeError, RecursionError):
            continue
    return least(shape)


def kind_of(value: Any) -> str:
    """The JSON type of a value, "null" among them."""
    if isinstance(value, bool):
        return "boolean"
    found = {dict: "object", list: "array", str: "string", int: "integer", float: "number", type(None): "null"}
    return found.get(type(value), "string")


def is_of(value: Any, kind: str) -> bool:
    """Whether a value is of a type; whole numbers are numbers, and 2.0 is whole."""
    found = kind_of(value)
    return found == kind or (kind == "number" and found == "integer") or (
        kind == "integer" and found == "number" and math.isfinite(value) and float(value).is_integer()
    )  # fmt: skip


def _within(value: float, shape: Shape) -> float:
    low = shape.low if shape.kind != "integer" or shape.low is None else math.ceil(shape.low)
    high = shape.high if shape.kind != "integer" or shape.high is None else math.floor(shape.high)
    if low is not None and value < low:
        return low
    return high if high is not None and value > high else value


def _plain(value: Any) -> str:
    return " ".join(str(value).casefold().split())


def short(value: Any) -> str:
    """A value as it is shown in messages, 60 characters of it at most."""
    text = dump(value) if not isinstance(value, float) or math.isfinite(value) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"
