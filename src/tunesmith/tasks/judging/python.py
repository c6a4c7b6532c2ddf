"""Whether Python code passes its tests, found out by running them in the sandbox."""

from __future__ import annotations

import ast
import json
import secrets
import threading
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

from tunesmith.core import sandbox
from tunesmith.core.machine import usable_cores
from tunesmith.tasks.judging import Reference

Way = Literal["apart", "together", ""]
_REMEMBERED = 20_000  # verdicts
_quiet = threading.Lock()  # filters of warnings belong to the process


@dataclass(frozen=True)
class Judged:
    """Whether the tests passed, and if not, why. way: how it was run (main.py)."""

    passed: bool
    why: str = ""
    way: Way = ""


def judge_all(codes: Sequence[str | None], references: Sequence[Reference]) -> list[Judged]:
    """One verdict per row, as many at once as there are cores; equal rows are run once per process.

    Raises SandboxUnavailable where this machine cannot confine them.
    """
    if not codes:
        return []
    with ThreadPoolExecutor(usable_cores()) as pool:
        return list(pool.map(_judge, codes, references))


def way_for(reference: Reference) -> Judged:
    """How the reference passes its own tests: apart if they need plain values only, else together, else not at all."""
    return _way(reference.text, reference.tests)


def _judge(code: str | None, reference: Reference) -> Judged:
    if code is None:
        return Judged(False, "no answer")
    if not is_valid(code):
        return Judged(False, "not Python")
    way = _way(reference.text, reference.tests)
    if not way.passed or code == reference.text:
        return way if way.passed else Judged(False, f"the reference fails its own tests: {way.why}")
    return judge(code, reference.tests, like=reference.text, way=way.way)


@lru_cache(_REMEMBERED)
def _way(text: str, tests: str) -> Judged:
    apart = judge(text, tests, like=text, way="apart")
    return apart if apart.passed else judge(text, tests, like=text, way="together")


@lru_cache(_REMEMBERED)
def judge(code: str, tests: str, *, like: str, way: Way = "apart", bounds: sandbox.Bounds | None = None) -> Judged:
    """Run the tests against the code. like: the reference, whose names and imports are what the tests see."""
    token = secrets.token_hex(16)
    given = None if way == "apart" else code
    main = _program("main", f"judge({tests!r}, {defined(like)!r}, {imports(like)!r}, {given!r}, {token!r})")
    peer = _program("peer", f"serve({code!r})") if way == "apart" else None
    ended = sandbox.run(main, peer=peer, bounds=bounds)
    try:
        told = json.loads(ended.result)
        passed = told["passed"] is True and told["token"] == token and not ended.stopped
        return Judged(passed, "" if passed else str(told["why"]), way)
    except (ValueError, KeyError, TypeError):
        return Judged(False, _ending(ended), way)


def defined(text: str) -> list[str]:
    """Names that the code defines at its top level by def, class or assignment, in order."""
    found: list[str] = []
    for node in _body(text):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found += [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
    return found


def imports(text: str) -> str:
    """The import statements at the code's top level."""
    return "\n".join(ast.unparse(node) for node in _body(text) if isinstance(node, ast.Import | ast.ImportFrom))


def _body(text: str) -> list[ast.stmt]:
    tree = _parsed(text)
    return [] if tree is None else tree.body


def is_valid(text: str) -> bool:
    """Whether it is Python that compiles (nothing is run)."""
    return _parsed(text) is not None


@lru_cache(_REMEMBERED)
def normalised(text: str) -> str | None:
    """The code without comments, or layout and spacing of its own; None if it is not Python."""
    tree = _parsed(text)
    try:
        return None if tree is None else ast.unparse(tree)
    except RecursionError:
        return None


@lru_cache(_REMEMBERED)
def _parsed(text: str) -> ast.Module | None:
    """The syntax tree; None for what does not compile. Warnings about the code are nobody's business here."""
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(text)
            compile(tree, "<answer>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
            return None
    return tree


def _program(name: str, call: str) -> str:
    wire = "tunesmith.tasks.judging.wire"  # found ready where main and peer import it
    return f"""import sys, types
sys.modules[{wire!r}] = types.ModuleType({wire!r})
exec(compile({_text("wire")!r}, "<wire>", "exec"), sys.modules[{wire!r}].__dict__)
exec(compile({_text(name)!r}, "<{name}>", "exec"))
{call}
"""


@cache
def _text(name: str) -> str:
    return Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")


def _ending(ended: sandbox.Outcome) -> str:
    if ended.stopped:
        return {"time": "ran too long", "output": "wrote too much", "disk": "filled the disk"}[ended.stopped]
    if ended.code > 128:
        return f"was ended by signal {ended.code - 128}"
    return "ended before its tests did"
