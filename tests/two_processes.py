"""What a launcher starts in the tests of several processes: fits the tiny model's rung in each folder it is given.

    torchrun --nproc-per-node 2 two_processes.py MODELS WORK...

A file `die` in MODELS makes process 1 kill itself in step 3; a file `fail` makes it raise there.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from lm_case import context_of, job_of, tickets

from tunesmith.core.errors import TunesmithError
from tunesmith.training import loop
from tunesmith.training.systems import system
from tunesmith.training.workers import taking_part, workers_cpu_s

STEPS = 8


def fit(models: Path, work: Path) -> None:
    job = job_of(models, steps=STEPS, rate=2e-3)
    system.get("lm").fit(tickets(24), tickets(8, start=100), job, context_of(work)).save(work / "saved")


def main() -> None:
    models, *folders = map(Path, sys.argv[1:])
    real = loop.accumulate

    def troubled(*args: Any, step: int, **kwargs: Any) -> Any:
        if step == 3 and (models / "die").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        if step == 3 and (models / "fail").exists():
            raise MemoryError("no room on this device")
        return real(*args, step=step, **kwargs)

    if os.environ["RANK"] == "1":
        loop.accumulate = troubled
    with taking_part() as is_main:
        if is_main:
            try:
                for folder in folders:
                    fit(models, folder)
            except TunesmithError as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
                sys.exit(error.exit_code)
            assert workers_cpu_s() > 0.0


if __name__ == "__main__":
    main()
