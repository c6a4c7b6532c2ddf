"""What this machine is and what of it is free: threads, memory, device, library versions."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

# Libraries whose version may change the bytes of a result; part of every stage's key.
_KEYED = ("numpy", "scikit-learn", "torch", "transformers", "peft")


def library_versions() -> dict[str, str]:
    """Installed versions of the libraries that results depend on, without importing them."""
    found = {"python": platform.python_version()}
    for name in _KEYED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def usable_cores() -> int:
    """Cores that this process may run on (affinity and cgroup quota respected), at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    quota = _cgroup_quota()
    return max(1, min(cores, quota) if quota else cores)


def free_cores(*, probe_s: float = 0.3) -> int:
    """Usable cores that other work leaves idle, measured over `probe_s` seconds; at least 1.

    Of a machine with more cores than this process may use, only what happens on its own cores counts; where a quota
    bounds it instead, idle time anywhere on the machine serves.
    Two threads on busy cores were measured 3 to 20 times slower than one, so threads follow free cores.
    """
    busy = psutil.cpu_percent(interval=probe_s, percpu=True)
    if hasattr(os, "sched_getaffinity"):
        busy = [share for core, share in enumerate(busy) if core in os.sched_getaffinity(0)] or busy
    idle = sum(1.0 - share / 100.0 for share in busy)
    return max(1, min(usable_cores(), int(idle + 0.5)))


def memory_bytes() -> tuple[int, int]:
    """(total, available) bytes of main memory."""
    memory = psutil.virtual_memory()
    return int(memory.total), int(memory.available)


def describe() -> dict[str, str | int]:
    """The machine in a few words, for reports; no host or user names."""
    return {
        "cpu": _cpu_name(),
        "cores": usable_cores(),
        "memory_bytes": memory_bytes()[0],
        "system": platform.system(),
        "python": platform.python_version(),
    }


def set_threads(threads: int) -> None:
    """Bind every numeric library of this process to `threads` threads, loaded already or later."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def _cpu_name() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as handle:
            for line in handle:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _cgroup_quota() -> int | None:
    try:
        with Path("/sys/fs/cgroup/cpu.max").open(encoding="utf-8") as handle:
            quota, period = handle.read().split()
        return None if quota == "max" else max(1, int(int(quota) / int(period) + 0.5))
    except (OSError, ValueError):
        return None
