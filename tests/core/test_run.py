import json
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tunesmith.core.checks import Check
from tunesmith.core.context import Context
from tunesmith.core.errors import CheckFailed, RunError
from tunesmith.core.files import read_json, write_json
from tunesmith.core.run import Run, check_format, source_version, stage_records


@dataclass(frozen=True)
class Number:
    value: int

    def save(self, folder: Path) -> None:
        write_json(folder / "number.json", self.value)

    @classmethod
    def load(cls, folder: Path) -> "Number":
        return cls(read_json(folder / "number.json"))


@dataclass(frozen=True)
class Add:
    amount: int = 1
    colour: str = field(default="red", metadata={"key": False})
    path: Path | None = field(default=None, metadata={"content": True})


calls: list[str] = []


def ingest(options: Add, ctx: Context) -> Number:
    calls.append("ingest")
    return Number(options.amount)


def curate(number: Number, options: Add, ctx: Context) -> Number:
    calls.append("curate")
    ctx.check(Check("positive", number.value, "> 0", number.value > 0))
    return Number(number.value + options.amount)


@pytest.fixture(autouse=True)
def _no_calls():
    calls.clear()


def go(folder, first=None, second=None, seed=0):
    with Run(folder, seed=seed) as run:
        return run.stage(curate, run.stage(ingest, first or Add()), second or Add()).value


def test_the_same_inputs_are_never_worked_twice(tmp_path):
    assert go(tmp_path / "r") == go(tmp_path / "r") == 2
    assert calls == ["ingest", "curate"]


def test_a_changed_option_redoes_only_what_depends_on_it(tmp_path):
    go(tmp_path / "r")
    calls.clear()
    assert go(tmp_path / "r", second=Add(5)) == 6
    assert calls == ["curate"]
    calls.clear()
    assert go(tmp_path / "r", first=Add(3), second=Add(5)) == 8
    assert calls == ["ingest", "curate"]


def test_an_option_that_changes_nothing_redoes_nothing(tmp_path):
    go(tmp_path / "r")
    calls.clear()
    go(tmp_path / "r", first=Add(colour="blue"))
    assert calls == []


def test_a_file_counts_by_content_not_by_place(tmp_path):
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "x.csv").write_text("same")
    go(tmp_path / "r", first=Add(path=tmp_path / "a" / "x.csv"))
    calls.clear()
    go(tmp_path / "r", first=Add(path=tmp_path / "b" / "x.csv"))
    assert calls == []
    (tmp_path / "b" / "x.csv").write_text("else")
    go(tmp_path / "r", first=Add(path=tmp_path / "b" / "x.csv"))
    assert calls == ["ingest", "curate"]


def test_the_seed_is_part_of_the_key(tmp_path):
    go(tmp_path / "r")
    calls.clear()
    go(tmp_path / "r", seed=1)
    assert calls == ["ingest", "curate"]


def test_deleting_a_folder_or_a_file_of_it_redoes_the_stage(tmp_path):
    go(tmp_path / "r")
    calls.clear()
    (tmp_path / "r" / "02-curate" / "number.json").unlink()
    assert go(tmp_path / "r") == 2
    assert calls == ["curate"]


def test_a_failed_check_stops_the_run_and_the_stage_does_not_count_as_done(tmp_path):
    with pytest.raises(CheckFailed, match="positive: measured -4"):
        go(tmp_path / "r", first=Add(-4))
    assert list(stage_records(tmp_path / "r")) == ["ingest"]


def test_checks_of_reused_stages_are_still_on_record(tmp_path):
    for _ in range(2):
        with Run(tmp_path / "r") as run:
            run.stage(curate, run.stage(ingest, Add()), Add())
        assert [(c.name, c.passed) for c in run.checks] == [("positive", True)]


def test_a_moved_run_is_not_redone(tmp_path):
    go(tmp_path / "r")
    (tmp_path / "r").rename(tmp_path / "elsewhere")
    calls.clear()
    assert go(tmp_path / "elsewhere") == 2
    assert calls == []


def test_two_processes_cannot_work_in_one_run(tmp_path):
    code = f"from tunesmith.core.run import Run; Run(__import__('pathlib').Path({str(tmp_path / 'r')!r})).__enter__()"
    with Run(tmp_path / "r"):
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "another process is working" in second.stderr


def test_a_newer_format_or_a_stranger_folder_is_refused(tmp_path):
    go(tmp_path / "r")
    about = json.loads((tmp_path / "r" / "run.json").read_text())
    (tmp_path / "r" / "run.json").write_text(json.dumps({**about, "format": 99}))
    with pytest.raises(RunError, match="format 99"):
        check_format(tmp_path / "r")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_text("")
    with pytest.raises(RunError, match="not empty and not a run folder"):
        check_format(tmp_path / "photos")


def test_what_a_killed_stage_left_is_kept_for_the_same_key_only(tmp_path):
    script = textwrap.dedent(
        """
        import os, sys
        from pathlib import Path
        sys.path.insert(0, {tests!r})
        import test_run
        from test_run import Add, Number, Context, Run

        def ingest(options: Add, ctx: Context) -> Number:
            part = ctx.workdir / "part"
            if part.exists():
                return Number(100)
            part.write_text("half")
            os.kill(os.getpid(), 9)

        with Run(Path({run!r})) as run:
            print(run.stage(ingest, Add(int(sys.argv[1]))).value)
        """
    ).format(tests=str(Path(__file__).parent), run=str(tmp_path / "r"))
    path = tmp_path / "script.py"
    path.write_text(script)

    def go_with(amount):
        return subprocess.run([sys.executable, path, str(amount)], capture_output=True, text=True, check=False)

    assert go_with(1).returncode == -9
    assert go_with(2).returncode == -9  # another key: nothing of the first is found
    assert go_with(2).stdout.strip() == "100"


def test_a_stages_version_follows_what_it_imports(tmp_path, monkeypatch):
    folder = tmp_path / "pkg_for_version"
    folder.mkdir()
    for name, text in {"__init__": "", "a": "def f():\n    from . import b\n", "b": "x = 1\n", "c": "x = 1\n"}.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    source_version.cache_clear()
    first = source_version("pkg_for_version.a")
    (folder / "c.py").write_text("x = 2\n")
    source_version.cache_clear()
    assert source_version("pkg_for_version.a") == first
    (folder / "b.py").write_text("x = 2\n")
    source_version.cache_clear()
    assert source_version("pkg_for_version.a") != first
