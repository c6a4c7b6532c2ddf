from tunesmith.core.events import EventLog, progress, read_events


def test_a_line_cut_by_a_kill_is_left_out(tmp_path):
    log = EventLog(tmp_path / "e.jsonl")
    log("one", n=1)
    with (tmp_path / "e.jsonl").open("a") as handle:
        handle.write('{"event": "tw')
    assert [e["event"] for e in read_events(tmp_path / "e.jsonl")] == ["one"]


def test_listeners_see_every_event_and_disk_few_progress_events(tmp_path):
    seen = []
    log = EventLog(tmp_path / "e.jsonl", [seen.append])
    for done in range(1, 101):
        log("progress", what="rows", done=done, total=100)
    assert len(seen) == 100
    assert len(read_events(tmp_path / "e.jsonl")) < 5


def test_progress_ends_with_what_was_done():
    seen = []
    with progress(EventLog(None, [seen.append]), "rows", 3) as tick:
        tick(3)
    assert [e["event"] for e in seen] == ["progress", "progress.end"]
    assert seen[-1]["done"] == seen[-1]["total"] == 3
