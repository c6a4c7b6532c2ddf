"""Reads options from YAML tables: unknown keys refused with the nearest name, values checked, units parsed.

Each stage keeps its options in a frozen dataclass in its own file; this module knows none of them.
A field's metadata may hold `help` (one sentence), `content` (a path whose content, not its place, is part
of a stage's key), `key: False` (does not change results) and `unit` ("duration" or "bytes").
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from tunesmith.core.errors import ConfigError, did_you_mean

AUTO = "auto"
T = TypeVar("T")

# 1e-3 is text to YAML 1.1, which wants 1.0e-3; nobody means text.
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
_DURATIONS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def parse_duration(text: str | float, *, where: str) -> float:
    """Seconds from "90s", "10m", "1.5h" or a number of seconds; must be positive."""
    return _quantity(text, _DURATIONS, where, "a duration like '90s', '10m' or '1.5h'")


def parse_bytes(text: str | float, *, where: str) -> int:
    """Bytes from "2GB", "512MiB" or a number of bytes; must be positive."""
    return int(_quantity(text, _SIZES, where, "a size like '2GB' or '512MiB'"))


def load_options(cls: type[T], table: Mapping[str, Any] | None, *, where: str) -> T:
    """An options dataclass from a mapping; `where` names the table in messages.

    Raises ConfigError for an unknown key, a missing required key or a value of the wrong kind.
    """
    table = {} if table is None else table
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where}: expected a table of options, got {_shown(table)}.")
    assert is_dataclass(cls)
    hints = typing.get_type_hints(cls)
    known = {f.name: f for f in fields(cls)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = str(key).replace("-", "_")
        if name not in known:
            raise ConfigError(f"{where}.{key}: no such option.", hint=did_you_mean(name, known))
        place = f"{where}.{name}"
        unit = known[name].metadata.get("unit")
        if unit and value is not None and value != AUTO:
            value = (parse_duration if unit == "duration" else parse_bytes)(value, where=place)
        values[name] = _convert(value, hints[name], place)
    for name, spec in known.items():
        if name not in values and spec.default is MISSING and spec.default_factory is MISSING:
            raise ConfigError(f"{where}.{name}: this option is required.")
    made: Any = cls(**values)
    return typing.cast(T, made)


def convert(value: Any, hint: Any, *, where: str) -> Any:
    """One option's value as its type hint wants it; ConfigError that names `where` if it cannot be."""
    return _convert(value, hint, where)


def dump_options(options: Any) -> Any:
    """Plain YAML-ready values of an options dataclass (paths as text, tuples as lists)."""
    if is_dataclass(options) and not isinstance(options, type):
        return {f.name: dump_options(getattr(options, f.name)) for f in fields(options)}
    if isinstance(options, Path):
        return str(options)
    if isinstance(options, list | tuple):
        return [dump_options(value) for value in options]
    if isinstance(options, Mapping):
        return {str(key): dump_options(value) for key, value in options.items()}
    return options


def _convert(value: Any, hint: Any, where: str) -> Any:
    """`value` as the type hint wants it, or ConfigError."""
    if hint is Any:
        return value
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(value, args, where)
    if origin is typing.Literal:
        if value in args:
            return value
        raise ConfigError(_expected(where, args, value), hint=did_you_mean(str(value), [str(a) for a in args]))
    if origin is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(_convert(item, args[0], f"{where}[{i}]") for i, item in enumerate(items))
    if origin is dict:
        if isinstance(value, Mapping):
            return {str(k): _convert(v, args[1], f"{where}.{k}") for k, v in value.items()}
    elif is_dataclass(hint):
        return value if isinstance(value, hint) else load_options(hint, value, where=where)  # type: ignore[arg-type]
    elif hint is Path and isinstance(value, str | Path):
        return Path(value)
    elif hint is float and (_is_number(value) or (isinstance(value, str) and _EXPONENT.fullmatch(value))):
        return float(value)
    elif hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    elif hint is str and isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    elif hint is bool and isinstance(value, bool):
        return value
    raise ConfigError(f"{where}: expected {_named(hint)}, got {_shown(value)}.")


def _convert_union(value: Any, args: tuple[Any, ...], where: str) -> Any:
    """`value` as one of the alternatives wants it."""
    if value is None and type(None) in args:
        return None
    # exact words ("auto") before free text, so that a Literal wins over str and a number stays a number
    ranked: list[Any] = sorted(args, key=lambda a: (not _is_literal(a), a is str))
    literals: list[Any] = []
    for arg in ranked:
        if _is_literal(arg):
            literals.extend(typing.get_args(arg))
        if arg is type(None):
            continue
        try:
            return _convert(value, arg, where)
        except ConfigError:
            continue
    if literals and isinstance(value, str) and all(_is_literal(a) or a is type(None) for a in args):
        raise ConfigError(_expected(where, literals, value), hint=did_you_mean(value, [str(a) for a in literals]))
    words = " or ".join(_named(arg) for arg in args if arg is not type(None))
    raise ConfigError(f"{where}: expected {words}, got {_shown(value)}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_literal(hint: Any) -> bool:
    return typing.get_origin(hint) is typing.Literal


def _expected(where: str, allowed: Any, value: Any) -> str:
    return f"{where}: expected one of {', '.join(repr(a) for a in allowed)}, got {_shown(value)}."


def _named(hint: Any) -> str:
    if typing.get_origin(hint) is dict:
        return "a table"
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false", Path: "a path"}
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(repr(a) for a in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return f"a list (each item {_named(typing.get_args(hint)[0])})"
    return names.get(hint, getattr(hint, "__name__", str(hint)))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _quantity(text: str | float, units: Mapping[str, float], where: str, expected: str) -> float:
    if isinstance(text, int | float) and not isinstance(text, bool):
        number, unit = float(text), ""
    else:
        match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([A-Za-z]*)\s*", str(text))
        if match is None:
            raise ConfigError(f"{where}: expected {expected}, got {_shown(text)}.")
        number, unit = float(match[1]), match[2]
    by_case = {name.lower(): factor for name, factor in units.items()}
    if unit.lower() not in by_case or not 0 < number < float("inf"):
        raise ConfigError(f"{where}: expected {expected}, got {_shown(text)}.")
    return number * by_case[unit.lower()]
