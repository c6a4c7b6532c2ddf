"""What some work cost: wall time, CPU time, peak resident memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil

# Often enough to catch a training step's peak, rarely enough to cost nothing.
_SAMPLE_EVERY_S = 0.05


@dataclass(frozen=True)
class Cost:
    """What one rung cost. None: not measured. Seconds of CPU are summed over threads and children."""

    train_cpu_s: float | None = None
    train_wall_s: float | None = None
    peak_rss_bytes: int | None = None
    stored_bytes: int | None = None
    predict_cpu_s_per_example: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def but(self, **changes: Any) -> Cost:
        """The same cost with some fields replaced."""
        return replace(self, **changes)


class Meter:
    """Running measurement; read it after the block."""

    def __init__(self) -> None:
        self.cpu_s = 0.0
        self.wall_s = 0.0
        self.peak_rss_bytes = 0


def cpu_seconds() -> float:
    """User and system CPU seconds of this process and of its finished children."""
    times = psutil.Process().cpu_times()
    return float(
        times.user + times.system + getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    )


def resident_bytes() -> int:
    """Memory of this process that is in use now."""
    return int(psutil.Process().memory_info().rss)


_borrowed = [0.0]


def borrow(cpu_s: float) -> None:
    """Count what making something would have cost that was found ready made."""
    _borrowed[0] += cpu_s


def borrowed_cpu_s() -> float:
    """CPU seconds, so far in this process, that what was found ready would have cost to make.

    Take the difference over a block and add it to the block's metered CPU seconds: its cost standing alone.
    """
    return _borrowed[0]


# Blocks that are being measured: the system keeps one peak per process, and each block wants its own.
_running: list[Meter] = []
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def _note_peak() -> None:
    """Hand the system's own peak to every running meter, and let it begin anew. Where it has none, sampling is all."""
    try:
        with _STATUS.open(encoding="ascii", errors="replace") as lines:
            peak = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
        for meter in _running:
            meter.peak_rss_bytes = max(meter.peak_rss_bytes, peak)
        _CLEAR.write_text("5", encoding="ascii")  # 5: the peak, see proc(5)
    except (OSError, StopIteration):
        return


@contextmanager
def metered() -> Iterator[Meter]:
    """Measures the block: CPU seconds, wall seconds and the largest resident memory.

    The peak is the system's where it keeps one that can begin anew (Linux), so that none is missed and none of what
    came before is counted; elsewhere it is sampled.
    """
    meter = Meter()
    process = psutil.Process()
    stop = threading.Event()
    _note_peak()
    meter.peak_rss_bytes = process.memory_info().rss
    _running.append(meter)

    def sample() -> None:
        while not stop.wait(_SAMPLE_EVERY_S):
            meter.peak_rss_bytes = max(meter.peak_rss_bytes, process.memory_info().rss)

    watcher = threading.Thread(target=sample, daemon=True)
    cpu, wall = cpu_seconds(), time.monotonic()
    watcher.start()
    try:
        yield meter
    finally:
        stop.set()
        watcher.join()
        meter.peak_rss_bytes = max(meter.peak_rss_bytes, process.memory_info().rss)
        _note_peak()
        _running.remove(meter)
        meter.cpu_s = cpu_seconds() - cpu
        meter.wall_s = time.monotonic() - wall
