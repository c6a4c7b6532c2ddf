"""The process that works for the studio: how it ends is in the run's events."""

import asyncio
import csv
import io
import signal
import subprocess
import sys
import time
import zipfile

import pytest

from tunesmith import pipeline
from tunesmith.core.errors import RunError
from tunesmith.core.run import Run
from tunesmith.data.detect import Unsure
from tunesmith.studio import jobs
from tunesmith.studio.progress import Progress
from tunesmith.studio.served import STARTED, Served, state_of, worker
from tunesmith.studio.worker import work


def _progress(folder):
    progress = Progress(folder / "events.jsonl")
    progress.read()
    return progress


def _table(path, rows):
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows([("text", "label"), *rows])
    return path


def test_a_file_that_cannot_be_read_is_said_as_the_command_line_says_it(tmp_path):
    file = tmp_path / "broken.jsonl"
    file.write_text('{"text": "a", "label": "x"}\n{"text": \n')
    assert work("plan", tmp_path / "run", {"source": str(file)}) == "failed"
    progress = _progress(tmp_path / "run")
    assert progress.ended == "failed"
    assert "line 2" in progress.problem[0]
    assert state_of(tmp_path / "run", progress) == "failed"


def test_an_archive_that_unpacks_to_too_much_is_refused_unread(tmp_path):
    file = tmp_path / "bomb.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", b"text,label\n")
    whole = bytearray(file.read_bytes())
    # The size in the central directory: five billion bytes are promised.
    at = whole.index(b"PK\x01\x02")
    whole[at + 24 : at + 28] = (0xFFFFFFFE).to_bytes(4, "little")
    file.write_bytes(whole)
    began = time.monotonic()
    assert work("plan", tmp_path / "run", {"source": str(file)}) == "failed"
    assert "unpacks to more" in _progress(tmp_path / "run").problem[0]
    assert time.monotonic() - began < 5


def test_names_in_an_archive_lead_nowhere(tmp_path):
    file, content = tmp_path / "sly.zip", io.StringIO()
    csv.writer(content).writerows([("text", "label"), *((f"row {i}", "ab"[i % 2]) for i in range(40))])
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../../planted.csv", content.getvalue())
    work("plan", tmp_path / "deep" / "run", {"source": str(file)})
    assert not list(tmp_path.rglob("planted.csv"))
    assert not list(tmp_path.parent.glob("planted.csv"))


def test_a_question_waits_for_its_answer(tmp_path, monkeypatch):
    def asks(request, **_):
        raise Unsure("two readings.", hint="say which.", question="Which?", option="target", choices=("a", "b"))

    monkeypatch.setattr(pipeline, "work", asks)
    file = _table(tmp_path / "t.csv", [("x", "y")])
    assert work("plan", tmp_path / "run", {"source": str(file)}) == "question"
    progress = _progress(tmp_path / "run")
    assert progress.question == {"question": "Which?", "option": "target", "choices": ["a", "b"]}
    assert state_of(tmp_path / "run", progress) == "question"


def test_an_answer_is_laid_over_what_was_asked_before(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(pipeline, "work", lambda request, **given: (request.keep(), seen.append((request, given))))
    file = _table(tmp_path / "t.csv", [("x", "y")])
    assert work("plan", tmp_path / "run", {"source": str(file), "options": {"budget": "2m"}}) == "planned"
    assert work("run", tmp_path / "run", {"source": "/elsewhere.csv", "options": {"target": "label"}}) == "done"
    request, given = seen[-1]
    assert given == {"only_plan": False}
    assert (str(request.config.data.path), request.config.data.target) == (str(file), "label")
    assert request.config.budget == 120


def test_a_fault_of_ours_ends_the_work_and_names_no_data(tmp_path, monkeypatch, capsys):
    def faulty(request, **_):
        raise ValueError("a cell of the data")

    monkeypatch.setattr(pipeline, "work", faulty)
    file = _table(tmp_path / "t.csv", [("x", "y")])
    assert work("run", tmp_path / "run", {"source": str(file)}) == "failed"
    assert "a cell of the data" not in (tmp_path / "run" / "events.jsonl").read_text()
    assert "a cell of the data" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("how", "sign"), [("paused", signal.SIGINT), ("stopped", signal.SIGTERM)])
def test_work_ends_when_asked_and_says_how(tmp_path, how, sign):
    code = (
        "import sys, time; from tunesmith import pipeline; from tunesmith.studio import worker\n"
        "pipeline.prepare = lambda *a, **k: None\n"
        "pipeline.work = lambda *a, **k: time.sleep(60)\n"
        "sys.argv = ['tunesmith.studio.worker', 'run', sys.argv[1]]; worker.main()"
    )
    folder = tmp_path / "run"
    with Run(folder):
        pass
    process = subprocess.Popen([sys.executable, "-c", code, str(folder), "tunesmith.studio.worker"])
    (folder / STARTED).write_text(str(process.pid))
    while "worker.start" not in ((folder / "events.jsonl").read_text() if (folder / "events.jsonl").exists() else ""):
        time.sleep(0.05)
    time.sleep(0.3)
    assert worker(folder).pid == process.pid
    waiting = asyncio.run(_stopped(folder, how, process))
    assert waiting == 2
    assert _progress(folder).ended == how
    assert worker(folder) is None


async def _stopped(folder, how, process):
    end = asyncio.create_task(jobs.stop(folder, how))
    code = await asyncio.to_thread(process.wait, 15)
    await end
    return code


def test_two_runs_are_not_worked_on_at_once(tmp_path, monkeypatch):
    with Run(tmp_path / "a"), pytest.raises(RunError, match="a is being worked on"):
        jobs.start(Served.of(tmp_path), tmp_path / "b", "plan")
    assert not (tmp_path / "b").exists()
