"""Starts the process that works on a run, and asks it to stop; it goes on when the studio does not."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from tunesmith.core.errors import RunError
from tunesmith.core.events import EventLog
from tunesmith.core.run import Run
from tunesmith.studio.served import STARTED, Served, worker

# A process that has not ended so long after it was asked is ended; what it had finished is kept.
_PATIENCE_S = 20.0


def start(
    served: Served,
    folder: Path,
    mode: Literal["plan", "run"],
    *,
    source: Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> None:
    """Plan or run in a process of its own. source: the file of a new run; options: keys of the config laid over it.

    Raises RunError while another run of this studio is under way: two would take each other's cores and memory.
    """
    for other in served.folders():
        if worker(other) is not None:
            raise RunError(f"{other.name} is being worked on.", hint="wait until it has ended, or pause it.")
    with Run(folder):  # a run from now on, so that its page can be opened before the process has begun
        pass
    asked = json.dumps({"source": None if source is None else str(source), "options": dict(options or {})})
    with (folder / ".worker.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tunesmith.studio.worker", mode, str(folder), asked],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    (folder / STARTED).write_text(f"{process.pid}\n", encoding="utf-8")
    threading.Thread(target=process.wait, daemon=True).start()  # so that it does not stay as a zombie


async def stop(folder: Path, how: Literal["paused", "stopped"]) -> None:
    """End the work in a folder, after which the same run can go on where it was; nothing if nobody works there."""
    process = worker(folder)
    if process is None:
        return
    process.send_signal(signal.SIGINT if how == "paused" else signal.SIGTERM)
    for _ in range(int(_PATIENCE_S / 0.2)):
        if worker(folder) is None:
            return
        await asyncio.sleep(0.2)
    for child in (*process.children(recursive=True), process):
        child.kill()
    while worker(folder) is not None:
        await asyncio.sleep(0.1)
    EventLog(folder / "events.jsonl")("worker.end", how=how, pid=os.getpid())
