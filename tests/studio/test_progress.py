import json

from tunesmith.studio.progress import Progress, Task


def _write(path, *events):
    with path.open("a", encoding="utf-8") as handle:
        for second, event in enumerate(events):
            handle.write(json.dumps({"t": f"2026-01-31T10:00:{second:02d}.000+00:00", **event}) + "\n")


def test_stages_follow_the_events(tmp_path):
    path = tmp_path / "events.jsonl"
    _write(path, {"event": "stage.start", "stage": "ingest"},
           {"event": "stage.done", "stage": "ingest", "seconds": 4.2, "summary": "12 rows"},
           {"event": "stage.start", "stage": "curate"})  # fmt: skip
    progress = Progress(path)
    assert progress.read()
    assert progress.stages == {"ingest": "done", "curate": "working"}
    assert progress.stage == "curate"
    assert progress.summaries["ingest"] == "12 rows"
    assert progress.elapsed_s == 2.0
    assert not progress.read()


def test_a_line_that_is_still_being_written_is_read_when_it_is_whole(tmp_path):
    path = tmp_path / "events.jsonl"
    line = json.dumps({"t": "2026-01-31T10:00:00+00:00", "event": "ingest.rows", "rows": 7, "task": "classify"})
    path.write_text(line[:30])
    progress = Progress(path)
    assert not progress.read()
    path.write_text(line + "\n")
    assert progress.read()
    assert (progress.rows, progress.task) == (7, "classify")


def test_lines_that_say_nothing_are_passed_over(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'\xff\xfe\n[]\n{"event": 3}\n{"t": "never", "event": "note"}\n{"event": "stage.done"}\n')
    _write(path, {"event": "rung", "name": "tfidf", "dev": 0.5}, {"event": "progress", "what": "x", "done": None})
    progress = Progress(path)
    progress.read()
    assert list(progress.rungs) == ["tfidf"]


def test_time_left_follows_the_pace():
    assert Task("x", 25, 100, 10.0).left_s == 30.0
    assert Task("x", 0, 100, 10.0).left_s is None
    assert Task("x", 0, 0, 0.0).share == 0.0


def test_the_same_run_again_begins_anew(tmp_path):
    path = tmp_path / "events.jsonl"
    _write(path, {"event": "worker.start"}, {"event": "stage.start", "stage": "ingest"},
           {"event": "worker.end", "how": "failed", "message": "no rows.", "hint": "add some."})  # fmt: skip
    progress = Progress(path)
    progress.read()
    assert progress.ended == "failed"
    assert progress.problem == ("no rows.", "add some.")
    assert progress.words() == "no rows."
    _write(path, {"event": "worker.start"}, {"event": "stage.start", "stage": "ingest"})
    progress.read()
    assert (progress.ended, progress.problem, progress.stage) == (None, None, "ingest")
