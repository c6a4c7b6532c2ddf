import os
import subprocess
import sys

import pytest

from tunesmith.core.errors import RunError
from tunesmith.core.files import write_json
from tunesmith.core.run import Run
from tunesmith.studio.progress import Progress
from tunesmith.studio.served import Served, glance, state_of, worker


def _run(folder, *events):
    with Run(folder) as run:
        for name, fields in events:
            run.emit(name, **fields)
    return folder


def test_runs_are_listed_latest_first(tmp_path):
    for number, name in enumerate(("a", "b", "c")):
        _run(tmp_path / name, ("note", {"text": "x"}))
        os.utime(tmp_path / name / "events.jsonl", (number, number))
    (tmp_path / "uploads").mkdir()
    assert [folder.name for folder in Served.of(tmp_path).folders()] == ["c", "b", "a"]


@pytest.mark.parametrize("name", ["..", ".", "", "../other/run", "/etc", "a/../a", "a/", "A", "%2e%2e", "a\x00"])
def test_a_name_is_never_a_path(tmp_path, name):
    _run(tmp_path / "runs" / "a")
    _run(tmp_path / "other" / "run")
    with pytest.raises(RunError):
        Served.of(tmp_path / "runs").run(name)


def test_a_link_to_a_run_outside_is_not_served(tmp_path):
    _run(tmp_path / "other" / "run")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "linked").symlink_to(tmp_path / "other" / "run")
    served = Served.of(tmp_path / "runs")
    assert served.folders() == []
    with pytest.raises(RunError):
        served.run("linked")


def test_a_finished_run_tells_its_verdict(tmp_path):
    folder = _run(tmp_path / "a", ("ingest.rows", {"rows": 12, "task": "classify"}), ("run.done", {}))
    write_json(folder / "08-evaluate" / "stage.json", {})
    write_json(
        folder / "08-evaluate" / "report.json",
        {"task": "classify", "verdict": {"sentence": "Tuning helps.", "claim": "better"}, "data": {"rows": 12}},
    )
    (folder / "report.html").write_text("x")
    seen = glance(folder)
    assert (seen.state, seen.sentence, seen.claim, seen.rows) == ("done", "Tuning helps.", "better", 12)


def test_a_run_that_was_killed_is_broken_off(tmp_path):
    folder = _run(tmp_path / "a", ("stage.start", {"stage": "ingest"}))
    (folder / ".lock").write_text(f"{os.getpid()}\n")  # a number that now belongs to another process
    assert glance(folder).state == "broken off"


def test_the_process_that_works_in_a_run_is_found_by_its_lock(tmp_path):
    code = (
        "import sys, pathlib; from tunesmith.core.run import Run\n"
        "with Run(pathlib.Path(sys.argv[1])): print(1, flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "a")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline().strip() == "1"
        found = worker(tmp_path / "a")
        assert found is not None
        assert found.pid == process.pid
        assert state_of(tmp_path / "a", Progress(tmp_path / "a" / "events.jsonl")) == "working"
    finally:
        process.communicate("\n")
    assert worker(tmp_path / "a") is None


def test_a_damaged_report_does_not_hide_the_run(tmp_path):
    folder = _run(tmp_path / "a")
    write_json(folder / "08-evaluate" / "stage.json", {})
    (folder / "08-evaluate" / "report.json").write_text("{")
    (folder / "report.html").write_text("x")
    assert glance(folder).sentence == "Nothing was done yet."
