"""The sandbox's side that holds the tests and says whether they passed. Runs inside the sandbox as text.

Apart: the code runs in another process (peer.py); its functions stand here as calls to it, its results as plain values.
Together: the code runs here, before the tests. For tests that need its objects themselves. Then the pass is only as
good as the token, which the code would have to dig out of this program's frames.
"""

from __future__ import annotations

import builtins
import json
import os
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

from tunesmith.tasks.judging.wire import CannotPassError, decode, encode, receive, send


class NotPlainError(BaseException):
    """The tests need an object that cannot leave the other process; no test may catch this."""


def judge(tests: str, defines: Sequence[str], imports: str, code: str | None, token: str, fd_result: int = 5) -> None:
    """Run the tests and write the verdict as JSON. code: None for apart.

    defines: the names that the reference defines, in order; of what the code defines, the tests see these alone, so
    that it cannot put a `set` or a `math` of its own in their way. imports: the reference's import statements.
    """
    place = vars(builtins)
    kept = dict(place)
    verdict = {"passed": False, "why": "", "token": token}
    write, end = os.write, os._exit
    try:
        scope: dict[str, Any] = {}
        exec(compile(imports, "<imports>", "exec"), scope)
        if code is None:
            found = _apart()
        else:
            found = _together(code)
            place.update(kept)
        scope.update((name, found[name]) for name in defines if name in found)
        _run(tests, defines, scope)
        verdict["passed"] = True
    except NotPlainError as error:
        verdict["why"] = "not plain: " + str(error)
    except AssertionError as error:
        verdict["why"] = ("assertion failed " + str(error)[:200]).strip()
    except BaseException as error:
        verdict["why"] = type(error).__name__ + ": " + str(error)[:200]
    write(fd_result, json.dumps(verdict).encode())
    end(0)


def _together(code: str) -> dict[str, Any]:
    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    exec(compile(code, "<solution>", "exec"), module.__dict__)
    return dict(vars(module))


def _apart() -> dict[str, Any]:
    told = receive(3)
    if "failed" in told:
        raise RuntimeError(told["failed"])
    module = types.ModuleType("solution")
    for name in told["functions"]:
        setattr(module, str(name), _remote(str(name)))
    for name, value in told["values"].items():
        setattr(module, str(name), decode(value))
    sys.modules["solution"] = module
    return dict(vars(module))


def _remote(name: str) -> Callable[..., Any]:
    def call(*args: Any, **named: Any) -> Any:
        try:
            asked = {"call": name, "args": [encode(a) for a in args], "named": {k: encode(v) for k, v in named.items()}}
        except CannotPassError as error:
            raise NotPlainError(str(error)) from None
        send(4, asked)
        told = receive(3)
        if "cannot" in told:
            raise NotPlainError(told["cannot"])
        if "error" in told:
            kind = getattr(builtins, str(told["error"]), None)
            if isinstance(kind, type) and issubclass(kind, Exception):
                raise kind(str(told["says"]))
            raise RuntimeError(str(told["says"]))
        for mine, theirs in zip(args, told["given"], strict=True):
            if type(mine) in (list, dict, set) and theirs is not None:
                changed = decode(theirs)
                if type(changed) is type(mine):
                    mine.clear()
                    (mine.extend if type(mine) is list else mine.update)(changed)
        return decode(told["result"])

    call.__name__ = call.__qualname__ = name
    return call


def _run(tests: str, defines: Sequence[str], scope: dict[str, Any]) -> None:
    """Plain statements; then functions called test…, unittest cases, and check(candidate) as in HumanEval."""
    before = dict(scope)
    exec(compile(tests, "<tests>", "exec"), scope)
    ran = bool(tests.strip())
    for name, value in list(scope.items()):
        if before.get(name) is value:
            continue
        if name.startswith("test") and isinstance(value, types.FunctionType):
            value()
        if name == "check" and isinstance(value, types.FunctionType) and value.__code__.co_argcount == 1:
            value(scope[[name for name in defines if callable(scope.get(name))][-1]])
    if "unittest" in sys.modules:
        _unittest(sys.modules["unittest"], scope)
    if not ran:
        raise RuntimeError("there are no tests")


def _unittest(unittest: Any, scope: dict[str, Any]) -> None:
    for value in list(scope.values()):
        if isinstance(value, type) and issubclass(value, unittest.TestCase) and value is not unittest.TestCase:
            result = unittest.TestResult()
            unittest.defaultTestLoader.loadTestsFromTestCase(value).run(result)
            if not result.wasSuccessful() or not result.testsRun:
                raise AssertionError("of " + value.__name__)
