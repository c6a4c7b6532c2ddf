"""Whether the sandbox judges right and keeps hostile programs in.

Agreement: the reference solutions of MBPP+ (378 rows) are run against their own assertions, in a plain process of their
own and in the sandbox: both must say the same of every row. Hostile: the programs of tests/core/hostile.py.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import report

from tunesmith.core.sandbox import protections
from tunesmith.tasks.judging import Reference
from tunesmith.tasks.judging.python import judge_all, way_for

_PASSING = 377  # of 378, as the data's own authors say
ROOT = Path(__file__).parents[2]


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows for agreement, cost and containment."""
    source = asked.shared / "mbpp_plus" / "mbpp_plus_base.jsonl"
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    rows = rows[:20] if asked.quick else rows
    references = [Reference(row["canonical_solution"].strip(), row["assertion"].strip()) for row in rows]
    plain = [_plainly(reference) for reference in references]
    before = _cpu_s()
    inside = [verdict.passed for verdict in judge_all([r.text for r in references], references)]
    spent = _cpu_s() - before
    ways = [way_for(reference).way for reference in references]
    broken = [row["task_id"] for row, good in zip(rows, inside, strict=True) if not good]
    agree = sum(a == b for a, b in zip(plain, inside, strict=True))
    told = {"cell": "code_sandbox", "n": len(rows)}
    found = [
        report.row(
            "MBPP+ reference solutions that pass in the sandbox", sum(inside), bar=min(_PASSING, len(rows)),
            unit="solutions", note=f"not passing: {', '.join(broken) or 'none'}", **told,
        ),
        report.row(
            "MBPP+ rows on which sandbox and a plain process agree", agree, bar=len(rows), unit="rows", **told
        ),
        report.row(
            "MBPP+ rows judged with the code in another process than the tests", ways.count("apart"), bar=None,
            unit="rows", **told,
        ),
        report.row("CPU seconds to judge a row", round(spent / len(rows), 3), bar=None, unit="s", **told),
    ]  # fmt: skip
    contained, tried = _hostile(quick=asked.quick)
    measure = "hostile programs contained: no process, file or word left"
    found.append(
        report.row(
            measure, contained, bar=tried, unit="runs", cell="code_sandbox", n=tried, note=protections().sentence()
        )
    )
    return found


def _plainly(reference: Reference) -> bool:
    """Whether the reference passes its tests in an ordinary process, without the sandbox."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "case.py")
        file.write_text(f"{reference.text}\n\n{reference.tests}\n", encoding="utf-8")
        done = subprocess.run([sys.executable, "-I", str(file)], cwd=folder, capture_output=True, timeout=60)
    return done.returncode == 0


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


class _Counted:
    """Counts what pytest says of the hostile programs."""

    def __init__(self) -> None:
        self.passed, self.run = 0, 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and "contained" in report.nodeid:
            self.run += 1
            self.passed += report.passed


def _hostile(*, quick: bool) -> tuple[int, int]:
    """(contained, tried): every program with all protections, and again without namespaces and another user."""
    counted = _Counted()
    tests = str(ROOT / "tests" / "core" / "test_sandbox.py")
    pytest.main([tests, "-q", "-p", "no:xdist", "-k", "contained", "-m", "not slow" if quick else ""], [counted])
    return counted.passed, counted.run
