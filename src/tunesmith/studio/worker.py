"""The process that does the work of a run: `python -m tunesmith.studio.worker plan|run FOLDER [JSON]`.

It goes through `pipeline` as the command line does and outlives the studio. What only a terminal would show, it
writes into the run's events: that it began, the memory it holds, what it asks, and how it ended.

    worker.start    pid, mode
    worker.memory   bytes
    worker.end      how: done, planned, question (question, option, choices), failed (message, hint), paused, stopped
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from tunesmith.core.errors import TunesmithError
from tunesmith.core.events import EventLog
from tunesmith.core.run import Run
from tunesmith.data.detect import Unsure

_MEMORY_EVERY_S = 2.0


class Stopped(BaseException):
    """Somebody asked for the end."""


def work(mode: str, folder: Path, asked: dict[str, Any]) -> str:
    """Plan or run; how it ended. asked: {"source": file of a new run, "options": keys of the config}."""
    with Run(folder) as run:  # makes the folder a run's before anything can go wrong
        run.emit("worker.start", pid=os.getpid(), mode=mode)
    emit = EventLog(folder / "events.jsonl")
    more: dict[str, Any] = {}
    with _memory_told(emit):
        try:
            from tunesmith import pipeline

            source = asked.get("source") if not (folder / "config.yaml").exists() else None
            request = pipeline.prepare(source or folder, out=folder, options=asked.get("options") or {})
            pipeline.work(request, only_plan=mode == "plan")
            how = "planned" if mode == "plan" else "done"
        except Unsure as unsure:
            how = "question"
            more = {"question": unsure.question, "option": unsure.option, "choices": list(unsure.choices)}
        except TunesmithError as error:
            how, more = "failed", {"message": error.message, "hint": error.hint}
        except OSError as error:
            how, more = "failed", {"message": f"{error.strerror or error}.", "hint": "free some space, then go on."}
        except KeyboardInterrupt:
            how = "paused"
        except Stopped:
            how = "stopped"
        except Exception as error:
            traceback.print_exc()  # into the folder's .worker.log: it may name what stands in the data
            how = "failed"
            more = {"message": f"unexpected fault: {type(error).__name__}.", "hint": f"see {folder / '.worker.log'}"}
    emit("worker.end", how=how, **more)
    return how


@contextmanager
def _memory_told(emit: EventLog) -> Iterator[None]:
    """Says every few seconds how much memory this process and its children hold."""
    over = threading.Event()

    def tell() -> None:
        me = psutil.Process()
        while not over.wait(_MEMORY_EVERY_S):
            held = 0
            for process in (me, *me.children(recursive=True)):
                with suppress(psutil.Error):
                    held += process.memory_info().rss
            emit("worker.memory", bytes=held)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise Stopped


def main() -> None:
    """Entry point; the last word on the line is what is asked, as JSON."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _stop)
    mode, folder, *rest = sys.argv[1:]
    how = work(mode, Path(folder), json.loads(rest[0]) if rest else {})
    sys.exit(0 if how in ("done", "planned") else 2)


if __name__ == "__main__":
    main()
