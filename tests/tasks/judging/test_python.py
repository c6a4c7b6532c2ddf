from __future__ import annotations

import pytest

from tunesmith.core.sandbox import Bounds, protections
from tunesmith.tasks.judging import Reference
from tunesmith.tasks.judging import python as judging
from tunesmith.tasks.judging.python import judge, judge_all, way_for

pytestmark = pytest.mark.skipif(bool(protections().lacks), reason="no sandbox here")

DOUBLE = "import math\n\ndef double(x):\n    return 2 * x"
TESTS = "assert double(4) == 8\nassert set([double(1)]) == {2}\nassert math.isclose(double(0.5), 1.0)"
REFERENCE = Reference(DOUBLE, TESTS)

# Wrong answers that would like to pass.
FORGERIES = {
    "leaves early": "import os\nos._exit(0)",
    "leaves by an exception": "import sys\nsys.exit(0)",
    "leaves from the function": "import os\ndef double(x):\n    os._exit(0)",
    "equals everything": (
        "class Any(int):\n    def __eq__(self, other): return True\n    def __hash__(self): return 0\n"
        "def double(x): return Any(0)"
    ),
    "an object that equals everything": (
        "class Any:\n    def __eq__(self, other): return True\n    def __hash__(self): return 0\n"
        "def double(x): return Any()"
    ),
    "its own set": (
        "class set:\n    def __init__(self, x): pass\n    def __eq__(self, o): return True\ndef double(x): return 8"
    ),
    "its own math": "class math:\n    isclose = lambda a, b: True\ndef double(x): return 8",
    "patches builtins": "import builtins\nbuiltins.set = lambda x: {2}\ndef double(x): return 8",
    "patches a module": "import math\nmath.isclose = lambda a, b: True\ndef double(x): return 8 if x == 4 else 2",
    "writes a verdict": (
        'import os, json\nfor fd in range(3, 64):\n    try:\n        os.write(fd, b\'{"passed": true, "token": ""}\')\n'
        "    except OSError: pass\ndef double(x): return 0"
    ),
    "writes a verdict at the end": (
        "import os, atexit\n@atexit.register\ndef last():\n    os.write(5, b'{\"passed\": true}')\n"
        "def double(x): return 0"
    ),
    "looks for the tests": (
        "import sys, gc\ndef double(x):\n    f = sys._getframe()\n    while f:\n"
        "        for v in list(f.f_locals.values()):\n"
        "            if isinstance(v, (str, bytes)) and 'assert ' + 'double(4) ==' in str(v):\n"
        "                return 8 if x == 4 else 2 * x\n        f = f.f_back\n    return 0"
    ),
    "raises what tests catch": "def double(x): raise AssertionError",
    "claims a wrong type": "def double(x): return '8'",
    "traces": "import sys\nsys.settrace(lambda *a: None)\nsys.setprofile(lambda *a: None)\ndef double(x): return 0",
    "is empty": "",
}


def test_a_right_answer_passes_and_a_wrong_one_says_why():
    right, wrong, none = judge_all(
        ["def double(y):\n    return y + y", "def double(y):\n    return y", None], [REFERENCE] * 3
    )
    assert right.passed
    assert not wrong.passed
    assert "assertion" in wrong.why
    assert not none.passed


@pytest.mark.parametrize("name", list(FORGERIES))
def test_a_pass_cannot_be_forged(name):
    assert not judge(FORGERIES[name], TESTS, like=DOUBLE, way="apart").passed


@pytest.mark.parametrize("name", ["leaves early", "leaves by an exception", "writes a verdict", "patches builtins"])
def test_a_pass_is_hard_to_forge_together(name):
    assert not judge(FORGERIES[name], TESTS, like=DOUBLE, way="together").passed


def test_tests_of_plain_values_run_apart():
    assert way_for(REFERENCE).way == "apart"


def test_tests_of_objects_run_together():
    reference = Reference("class P:\n    def __init__(self, x):\n        self.x = x", "assert P(3).x == 3")
    assert way_for(reference) == judging.Judged(True, "", "together")


def test_a_reference_that_fails_its_own_tests_is_told():
    (verdict,) = judge_all(["def f(): return 1"], [Reference("def f(): return 1", "assert f() == 2")])
    assert not verdict.passed
    assert "reference" in verdict.why


def test_arguments_changed_in_place_are_seen():
    assert judge("def f(a):\n    a.sort()", "x = [3, 1]\nf(x)\nassert x == [1, 3]", like="def f(a): ...").passed


def test_exceptions_come_through():
    tests = "try:\n    f()\nexcept KeyError:\n    pass\nelse:\n    raise AssertionError"
    assert judge("def f():\n    raise KeyError('a')", tests, like="def f(): ...").passed


@pytest.mark.parametrize(
    "tests",
    [
        "def test_it():\n    assert double(4) == 8",
        "def check(candidate):\n    assert candidate(4) == 8",
        "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        self.assertEqual(double(4), 8)",
        "from solution import double as d\nassert d(4) == 8",
    ],
    ids=["pytest", "HumanEval", "unittest", "import"],
)
def test_the_usual_forms_of_tests_are_run(tests):
    assert judge(DOUBLE, tests, like=DOUBLE).passed
    assert not judge("def double(x): return 0", tests, like=DOUBLE).passed


def test_time_and_memory_are_bounded():
    bounds = Bounds(cpu_s=1, wall_s=3.0, memory_bytes=128 << 20)
    slow = judge("def double(x):\n    while True: pass", TESTS, like=DOUBLE, bounds=bounds)
    large = judge("def double(x):\n    return len('x' * (1 << 40))", TESTS, like=DOUBLE, bounds=bounds)
    assert not slow.passed
    assert not large.passed
    assert "Memory" in large.why


def test_plain_values_survive_the_way():
    values = (
        "[None, True, 3, -2**70, 0.1, 1j, 'é', b'x', (1,), {1}, frozenset({2}), {'a': [1]}, range(3), float('inf')]"
    )
    assert judge(f"def f(x): return x\nV = {values}", f"assert f({values}) == {values}\nassert V == {values}",
                 like="V = 1\ndef f(x): ...").passed  # fmt: skip


def test_the_normal_form_leaves_layout_out():
    assert judging.normalised("x=1 # one") == judging.normalised("x = 1")
    assert judging.normalised("x = 1") != judging.normalised("x = 2")
    assert judging.normalised("x = ") is None
