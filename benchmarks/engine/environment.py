"""The peer's environment: made once below --work, never the product's. Torch is looked at before it is fetched."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent


def peer_python(given: str | None, work: Path) -> str:
    """An interpreter that has the peer; given: one to use instead of making it."""
    if given is None:
        python = work / "peer" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        if not _has(str(python)):
            _make(python, work / "peer")
        given = str(python)
    if not _has(given):
        sys.exit(f"{given} cannot import trl, peft and datasets: install benchmarks/engine/requirements.txt there.")
    return given


def _make(python: Path, folder: Path) -> None:
    """As tools/install.py sets up the product: torch first, stopped if it would bring libraries for absent cards."""
    sys.path.insert(0, str(HERE.parents[1] / "tools"))
    import install

    print("installing the peer in an environment of its own", file=sys.stderr, flush=True)
    venv.create(folder, with_pip=True)
    wanted = shlex.split(os.environ.get("TORCH_ARGS", install.TORCH))
    if "TORCH_ARGS" not in os.environ:
        install.look_first(python, wanted)
    install.pip(python, "install", "--quiet", *wanted)
    install.pip(python, "install", "--quiet", "-r", str(HERE / "requirements.txt"))


def _has(python: str) -> bool:
    try:
        return (
            subprocess.run([python, "-c", "import trl, peft, datasets"], capture_output=True, check=False).returncode
            == 0
        )
    except FileNotFoundError:
        return False
