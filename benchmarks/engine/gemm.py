"""The machine's peak: the quickest product of large matrices in each dtype.  python gemm.py JOB.json RESULT.json"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from steps import pin

_SIZES = (1024, 2048)
_FOR_S = 4.0


def main(job: dict[str, Any]) -> dict[str, Any]:
    """FLOP per CPU second and thread, and per wall second on all threads asked for."""
    import torch

    from tunesmith.core.machine import set_threads

    pin(job["pin"])
    set_threads(job["threads"])
    found: dict[str, Any] = {}
    for dtype in ("float32", "bfloat16"):
        cpu = wall = float("inf")
        for size in _SIZES:
            a = torch.randn(size, size).to(getattr(torch, dtype))
            b = torch.randn(size, size).to(getattr(torch, dtype))
            end = time.monotonic() + _FOR_S
            while time.monotonic() < end:
                began = (time.perf_counter(), time.process_time())
                a @ b
                flop = 2 * size**3
                wall = min(wall, (time.perf_counter() - began[0]) / flop)
                cpu = min(cpu, (time.process_time() - began[1]) / flop)
        found[dtype] = {"flop_per_s": 1 / wall, "flop_per_cpu_s": 1 / cpu}
    return found


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))))
