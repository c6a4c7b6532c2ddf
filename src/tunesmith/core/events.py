"""The append-only story of a run: events.jsonl on disk, and whoever listens while it happens.

    {"t": "2026-01-31T10:00:00.123+00:00", "event": "stage.done", "stage": "ingest", ...}

Facts that another program might want are events. Data rows never are.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Listener = Callable[[dict[str, Any]], None]
Emit = Callable[..., None]

# A progress event is for eyes; more than this many a second help nobody.
_PROGRESS_EVERY_S = 0.25
_PROGRESS_TO_DISK_EVERY_S = 2.0


class EventLog:
    """Appends events to a file (None: nowhere) and hands each to the listeners."""

    def __init__(self, path: Path | None, listeners: list[Listener] | None = None) -> None:
        self._path = path
        self._listeners = list(listeners or [])
        self._last_on_disk = 0.0

    def __call__(self, event: str, **fields: Any) -> None:
        """Emit one event; progress goes to disk only every two seconds."""
        record = {"t": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields}
        now = time.monotonic()
        throttled = event == "progress" and fields.get("done") != fields.get("total")
        if not (throttled and now - self._last_on_disk < _PROGRESS_TO_DISK_EVERY_S):
            self._append(record)
            if event == "progress":
                self._last_on_disk = now
        for listen in self._listeners:
            listen(record)

    def _append(self, record: dict[str, Any]) -> None:
        if self._path is None:
            return
        line = json.dumps(record, ensure_ascii=False, default=str) + "\n"
        with self._path.open("a", encoding="utf-8") as handle:
            handle.write(line)


def read_events(path: Path) -> list[dict[str, Any]]:
    """Every whole event of a log; a last line cut by a kill is left out."""
    if not path.exists():
        return []
    events = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return events


@contextmanager
def progress(emit: Emit, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Gives `tick(n)`: n more of `total` units of `what` are done; listeners see rate and time left."""
    done = 0
    began = last = time.monotonic()

    def tick(n: int = 1) -> None:
        nonlocal done, last
        done += n
        now = time.monotonic()
        if done >= total or now - last >= _PROGRESS_EVERY_S:
            last = now
            emit("progress", what=what, done=done, total=total, seconds=round(now - began, 2))

    yield tick
    emit("progress.end", what=what, done=done, total=total, seconds=round(time.monotonic() - began, 2))
