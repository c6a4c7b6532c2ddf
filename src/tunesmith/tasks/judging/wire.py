"""Plain values as JSON and back, for two programs of which one is not trusted. Runs inside the sandbox as text.

Only values of exactly these types pass: None, bool, int, float, complex, str, bytes, list, tuple, dict, set,
frozenset, range, and iterators over them. An object of any other class, which could claim to equal everything,
does not.
"""

from __future__ import annotations

import json
import os
import struct
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any

_MOST = 4 << 20  # bytes of a message
_DEPTH = 100


_COLLECTIONS: dict[str, Callable[[list[Any]], Any]] = {
    "list": list, "tuple": tuple, "set": set, "frozenset": frozenset, "iterator": iter,
}  # fmt: skip


class CannotPassError(Exception):
    """A value that is not plain."""


def encode(value: Any, depth: int = 0) -> Any:
    """The value as nested lists that JSON holds; raises CannotPassError."""
    if depth > _DEPTH:
        raise CannotPassError("nested too deeply")
    kind = type(value)
    if value is None or kind in (bool, str):
        return value
    if kind is int:
        return ["int", hex(value)]
    if kind is float:
        return ["float", value.hex()]
    if kind is complex:
        return ["complex", value.real.hex(), value.imag.hex()]
    if kind in (bytes, bytearray):
        return [kind.__name__, value.hex()]
    if kind is range:
        return ["range", hex(value.start), hex(value.stop), hex(value.step)]
    if kind in (list, tuple, set, frozenset):
        return [kind.__name__, [encode(item, depth + 1) for item in value]]
    if kind in (dict, defaultdict, OrderedDict, Counter):  # all equal to a dict of the same items
        return ["dict", [[encode(k, depth + 1), encode(v, depth + 1)] for k, v in value.items()]]
    if kind.__module__ == "builtins" and hasattr(kind, "__next__"):
        return ["iterator", [encode(item, depth + 1) for item in value]]
    raise CannotPassError("a value of class " + kind.__name__)


def decode(told: Any, depth: int = 0) -> Any:
    """The inverse of `encode`; raises ValueError for anything that it did not write."""
    if depth > _DEPTH:
        raise ValueError("nested too deeply")
    if told is None or type(told) in (bool, str):
        return told
    if type(told) is not list or len(told) < 2 or type(told[0]) is not str:
        raise ValueError("not an encoded value")
    kind, given = told[0], told[1]
    if kind == "int":
        return int(given, 16)
    if kind == "float":
        return float.fromhex(given)
    if kind == "complex":
        return complex(float.fromhex(given), float.fromhex(told[2]))
    if kind in ("bytes", "bytearray"):
        return bytes.fromhex(given) if kind == "bytes" else bytearray.fromhex(given)
    if kind == "range":
        return range(int(given, 16), int(told[2], 16), int(told[3], 16))
    if kind == "dict":
        return {decode(k, depth + 1): decode(v, depth + 1) for k, v in given}
    items = [decode(item, depth + 1) for item in given]
    return _COLLECTIONS[kind](items)


def send(fd: int, message: Any) -> None:
    """Write one message."""
    body = json.dumps(message).encode()
    if len(body) > _MOST:
        raise CannotPassError("a value of more than 4 MB")
    body = struct.pack("<Q", len(body)) + body
    while body:
        body = body[os.write(fd, body) :]


def receive(fd: int) -> Any:
    """Read one message; raises EOFError when the other side has gone."""
    length = struct.unpack("<Q", _read(fd, 8))[0]
    if length > _MOST:
        raise ValueError("a message too large")
    return json.loads(_read(fd, length))


def _read(fd: int, n: int) -> bytes:
    got = b""
    while len(got) < n:
        piece = os.read(fd, n - len(got))
        if not piece:
            raise EOFError("the program that is judged has ended")
        got += piece
    return got
