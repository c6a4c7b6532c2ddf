"""The sandbox's side that holds the code which is judged. Runs inside the sandbox as text, beside wire.py.

It answers calls of the code's functions with plain values. What it says is believed about results only: whether
they are right is decided in main.py, in another process.
"""

from __future__ import annotations

import sys
import types
from typing import Any

from tunesmith.tasks.judging.wire import CannotPassError, decode, encode, receive, send


def serve(code: str, fd_in: int = 3, fd_out: int = 4) -> None:
    """Load the code, say which names it defines, answer calls until nobody asks any more."""
    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    try:
        exec(compile(code, "<solution>", "exec"), module.__dict__)
    except BaseException as error:
        send(fd_out, {"failed": type(error).__name__ + ": " + str(error)[:500]})
        return
    functions, values = [], {}
    for name, value in list(vars(module).items()):
        if name.startswith("__") or isinstance(value, types.ModuleType):
            continue
        if callable(value):
            functions.append(name)
            continue
        try:
            values[name] = encode(value)
        except CannotPassError:
            functions.append(name)  # asking for it says that it cannot pass
    send(fd_out, {"functions": functions, "values": values})
    while True:
        try:
            asked = receive(fd_in)
        except EOFError:
            return
        send(fd_out, _answer(module, asked))


def _answer(module: types.ModuleType, asked: dict[str, Any]) -> dict[str, Any]:
    try:
        given = [decode(value) for value in asked["args"]]
        named = {name: decode(value) for name, value in asked["named"].items()}
        result = encode(vars(module)[asked["call"]](*given, **named))
        # Lists, dictionaries and sets may have been changed in place.
        return {"result": result, "given": [encode(v) if type(v) in (list, dict, set) else None for v in given]}
    except CannotPassError as error:
        return {"cannot": str(error)}
    except BaseException as error:
        return {"error": type(error).__name__, "says": str(error)[:500]}
