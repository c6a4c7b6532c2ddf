"""Sets up .venv: torch first (looked at before it is fetched), then the package with pinned versions.

    python tools/install.py [--dev] [--venv DIR]

TORCH_ARGS in the environment replaces what pip is asked for torch, for example
TORCH_ARGS="torch==2.13.0 --index-url <the index of your choice>".
Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TORCH = "torch==2.13.0"
# Gigabytes that a machine without such a card can do nothing with.
UNWANTED = ("nvidia", "cuda", "triton")
# Extras of a few megabytes, so that no task of the first day stops for one.
LIGHT = ("ingest", "answer", "code", "structured")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dev", action="store_true", help="also what the tests and checks need")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    asked = parser.parse_args()
    if sys.version_info < (3, 11):  # noqa: UP036 - this file runs before pip could refuse
        sys.exit(f"tunesmith needs Python 3.11 or newer; this is {sys.version.split()[0]}.  make PYTHON=python3.12 ...")
    python = asked.venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        print(f"making {asked.venv.name}", flush=True)
        venv.create(asked.venv, with_pip=True)
    if not installed(python, "torch"):
        overridden = "TORCH_ARGS" in os.environ
        wanted = shlex.split(os.environ.get("TORCH_ARGS", TORCH))
        if not overridden:
            look_first(python, wanted)
        print("installing torch", flush=True)
        pip(python, "install", "--quiet", *wanted)
    print("installing tunesmith", flush=True)
    extras = ",".join([*LIGHT, *(("dev", "tune") if asked.dev else ())])
    pip(python, "install", "--quiet", "-c", str(ROOT / "constraints.txt"), "-e", f"{ROOT}[{extras}]")
    if installed(python, "torchvision"):
        sys.exit("torchvision came in, which breaks a CPU torch: .venv/bin/pip uninstall torchvision, and report this.")


def look_first(python: Path, wanted: list[str]) -> None:
    """Stop, with the line to type, if torch would bring a card's libraries to a machine without that card."""
    if shutil.which("nvidia-smi") or Path("/proc/driver/nvidia").exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        pip(python, "install", "--quiet", "--dry-run", "--report", str(report), *wanted)
        names = [item["metadata"]["name"].lower() for item in json.loads(report.read_text())["install"]]
    heavy = [name for name in names if name.startswith(UNWANTED)]
    if heavy:
        sys.exit(
            f"stopped before downloading: {' '.join(wanted)} would bring {len(heavy)} packages for NVIDIA cards "
            "(several GB), and this machine shows no such card.\n"
            "for the CPU build, type (see pytorch.org for the address of its CPU wheel index):\n"
            f'  make install TORCH_ARGS="{TORCH} --index-url <CPU wheel index>"\n'
            f'or, to take it all the same:\n  make install TORCH_ARGS="{TORCH}"'
        )


def installed(python: Path, name: str) -> bool:
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({name!r}) is None)"
    return subprocess.run([python, "-c", code], check=False).returncode == 0


def pip(python: Path, *words: str) -> None:
    done = subprocess.run([python, "-m", "pip", "--disable-pip-version-check", *words], check=False)
    if done.returncode:
        sys.exit(f"pip {' '.join(words[:2])} failed (see above); nothing else was changed.")


if __name__ == "__main__":
    main()
