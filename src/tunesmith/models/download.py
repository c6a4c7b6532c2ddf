"""Gets one pinned wheel with whatever installer is at hand: pip, uv, or pip in a throw-away environment.

Never a source package (building one would run its code), never dependencies, never into this environment.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tunesmith.core.errors import ModelError, SourceUnavailable
from tunesmith.core.events import Emit
from tunesmith.core.files import stored_bytes

# For a connection and for each silence on it, not for the whole download. A machine without network answers at once;
# one whose network swallows packets gives up after two of these.
_SILENCE_S = 15
# Long enough for 250 MB at 1 Mbit/s.
_WHOLE_S = 2400


def download(requirement: str, into: Path, *, sha256: str, shelf: Path, emit: Emit) -> Path:
    """The wheel of "name==version", put into the folder `into`: a .whl file that the caller has to check, or the
    folder that uv unpacked it into after checking `sha256` itself.

    shelf:  the folder named in the remedy, where a person may put the wheel by hand.
    Raises SourceUnavailable with the command to run if nobody could get it.
    """
    emit("source.download", what=requirement)
    began = time.monotonic()
    said: list[str] = []
    ways: tuple[Callable[[], tuple[Path | None, str]], ...] = (
        lambda: _by_pip(requirement, into),
        lambda: _by_uv(requirement, into, sha256),
        lambda: (None, "") if said else _by_borrowed_pip(requirement, into),  # a second pip meets the same index
    )
    for way in ways:
        path, why = way()
        if path is not None:
            seconds = round(time.monotonic() - began, 1)
            emit("source.downloaded", what=requirement, bytes=stored_bytes(path), seconds=seconds)
            return path
        if why:
            said.append(why)
    raise SourceUnavailable(
        f"{requirement} could not be downloaded: {'; '.join(said)}.",
        hint="where there is a network, run:  python -m pip download --no-deps --only-binary :all: "
        f"-d {shelf} {requirement}\n(or run it elsewhere and copy the .whl file into that folder)",
    )


def _by_pip(requirement: str, into: Path) -> tuple[Path | None, str]:
    if importlib.util.find_spec("pip") is None:
        return None, ""
    return _pip_download(sys.executable, requirement, into)


def _by_uv(requirement: str, into: Path, sha256: str) -> tuple[Path | None, str]:
    """uv has no `download`: it checks the hash and unpacks into a folder."""
    uv = shutil.which("uv")
    if uv is None:
        return None, ""
    pins, target = into / "pin.txt", into / "unpacked"
    pins.write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
    command = [uv, "pip", "install", "--no-deps", "--only-binary", ":all:", "--require-hashes", "--no-progress"]
    command += ["--python", sys.executable, "--link-mode", "copy", "--target", str(target), "-r", str(pins)]
    code, said = _run(command, {"UV_HTTP_TIMEOUT": str(_SILENCE_S), "UV_HTTP_RETRIES": "1"})
    if code != 0:
        if "hash mismatch" in said.lower():
            raise ModelError(
                f"the wheel {requirement} does not have SHA-256 {sha256[:16]}….",
                hint="it was changed on the way or at the index: do not use it; try another index, or a hub model.",
            )
        return None, f"uv: {_why(said)}"
    return target, ""


def _by_borrowed_pip(requirement: str, into: Path) -> tuple[Path | None, str]:
    home = into / "pip"
    code, said = _run([sys.executable, "-m", "venv", "--without-pip", str(home)], {})
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if code == 0:
        code, said = _run([str(python), "-m", "ensurepip"], {})
    if code != 0:
        return None, f"no pip, no uv, and ensurepip says: {_why(said)}"
    return _pip_download(str(python), requirement, into)


def _pip_download(python: str, requirement: str, into: Path) -> tuple[Path | None, str]:
    command = [python, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
    command += ["--progress-bar", "off", "--retries", "1", "--timeout", str(_SILENCE_S), "--disable-pip-version-check"]
    command += ["-d", str(into), requirement]
    code, said = _run(command, {})
    wheels = sorted(into.glob("*.whl"))
    return (wheels[0], "") if code == 0 and wheels else (None, f"pip: {_why(said)}")


def _run(command: Sequence[str], settings: dict[str, str]) -> tuple[int, str]:
    """Exit code and everything the command said; 124 if it took too long."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_WHOLE_S,
            env={**os.environ, **settings},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 124, f"not done after {_WHOLE_S // 60} minutes"
    return done.returncode, done.stdout


# What pip and uv print when nothing answers; pip's own last line then speaks of a missing version.
_NO_NETWORK = (
    "name resolution",
    "NewConnectionError",
    "ConnectTimeout",
    "Network is unreachable",
    "Connection refused",
    "error sending request",
    "dns error",
)


def _why(said: str) -> str:
    """The reason in an installer's output, in one line."""
    if any(sign in said for sign in _NO_NETWORK):
        return "no connection to the package index"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return (errors or lines or ["no reason given"])[-1]
