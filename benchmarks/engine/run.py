"""Measures the training engine beside TRL + PEFT on the same rows, tokens and steps.

    python benchmarks/engine/run.py --data FILE --input COLUMN --target COLUMN --batch 8 --quick
    python benchmarks/engine/run.py --shared DIR [--only CELL ...] [--threads N] [--quick]

With --data, any table is measured and the last line printed is one JSON object. Otherwise the named cells are: each is
written to results.json as it ends, and one that is there is not measured again unless it is named with --only.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import environment  # noqa: E402
import measure  # noqa: E402
import report  # noqa: E402
import tasks  # noqa: E402

BASE = "smollm2-135m-instruct"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a table of any kind that tunesmith reads")
    parser.add_argument("--input", help="column that the model is given")
    parser.add_argument("--target", help="column with the answer")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument(
        "--quick", action="store_true", help="under 5 minutes: few steps, the peer's likely best variants"
    )
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument(
        "--shared", type=Path, default=HERE.parents[2] / "shared" / "data", help="folder of the named cells"
    )
    parser.add_argument("--work", type=Path, default=Path("runs") / "engine")
    parser.add_argument("--model", default=BASE)
    parser.add_argument("--threads", type=int, default=0, help="of both sides; 0: the cores that are free")
    parser.add_argument("--pin", action="store_true", help="bind each process to its first cores")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--variants", nargs="*", default=[], help="of the peer, to be tried; default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peer-python", help="an interpreter that has the peer; default: one made below --work")
    asked = parser.parse_args()
    began = time.monotonic()
    asked.work = asked.work.resolve()
    asked.threads = asked.threads or _free_cores()
    if asked.data is not None:
        if not (asked.input and asked.target):
            parser.error("--data needs --input and --target")
        asked.peer_python = environment.peer_python(asked.peer_python, asked.work)
        source = tasks.from_file(asked.data, asked.input, asked.target)
        found = measure.step_times(source, asked, began)
        print(json.dumps(_rounded(found), ensure_ascii=False))
        return
    named_cells(asked, began)


def named_cells(asked: argparse.Namespace, began: float) -> None:
    """The cells of the table, in order."""
    import cells

    names = asked.only or (["step_b20"] if asked.quick else list(cells.CELLS))
    unknown = [name for name in names if name not in cells.CELLS]
    if unknown:
        sys.exit(f"no cell is called {', '.join(unknown)}. There are: {', '.join(cells.CELLS)}.")
    if not cells.WITHOUT_PEER.issuperset(names):
        asked.peer_python = environment.peer_python(asked.peer_python, asked.work)
    for name in names:
        rows = {row["measure"]: row for row in report.read()}
        if (
            any(row.get("cell") == name and row.get("threads") == asked.threads for row in rows.values())
            and not asked.only
        ):
            continue
        print(f"== {name}", file=sys.stderr, flush=True)
        made = cells.CELLS[name](asked, began)
        for row in made:
            row.update({"cell": name, "threads": asked.threads})
        if not asked.quick:  # read anew: another cell may have been written meanwhile
            report.write(list({row["measure"]: row for row in [*report.read(), *made]}.values()))
        for row in made:
            print(json.dumps(row, ensure_ascii=False), flush=True)


def _free_cores() -> int:
    from tunesmith.core.machine import free_cores

    return free_cores(probe_s=1.0)


def _rounded(found: dict[str, Any]) -> dict[str, Any]:
    return {key: float(f"{value:.5g}") if isinstance(value, float) else value for key, value in found.items()}


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
