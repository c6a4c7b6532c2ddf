"""Runs Python that nobody vouches for: bounded in time, memory, disk and output; without network, files or processes.

    outcome = run("print(1)")            # one program
    outcome = run(main, peer=candidate)  # two that talk over pipes and cannot reach into each other

What is in force differs between machines; `protections()` says. Where the kernel offers too little, nothing is run
and SandboxUnavailable says what is missing; TUNESMITH_UNCONFINED=yes runs it all the same, with limits only.
Linux only: Landlock, system call filter and namespaces (_confined.py); at least one measure each against reaching the
network, files and other processes is required. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import struct
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tunesmith.core.errors import SandboxUnavailable

UNCONFINED = "TUNESMITH_UNCONFINED"
_POLL_S = 0.05
_PATIENCE_S = 10.0  # with the starter when it is asked to stop; it needs milliseconds
_SYSTEM = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/share/zoneinfo", "/etc/localtime", "/etc/ld.so.cache",
           "/dev/urandom")  # fmt: skip


@dataclass(frozen=True)
class Bounds:
    """What a program may use. wall_s: of both programs together; the others hold for each.

    memory_bytes: address space, what Python itself takes (about 30 MB) included. file_bytes: of one file;
    disk_bytes: of all files. output_bytes: of stdout, stderr and result, each.
    """

    cpu_s: int = 5
    wall_s: float = 15.0
    memory_bytes: int = 1 << 30
    file_bytes: int = 8 << 20
    disk_bytes: int = 16 << 20
    output_bytes: int = 1 << 20
    threads: int = 32


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    result: what main wrote to file descriptor 5. code: exit code of main, 128 + number for a signal.
    stopped: "" or what was overstepped: "time", "output", "disk".
    """

    result: bytes
    stdout: bytes
    stderr: bytes
    code: int
    stopped: str
    seconds: float


@dataclass(frozen=True)
class Protections:
    """What keeps a program in on this machine, by what it is kept from; empty: nothing does.

    lacks: the kinds without which nothing is run.
    """

    network: tuple[str, ...]
    files: tuple[str, ...]
    processes: tuple[str, ...]
    disk: tuple[str, ...]
    user: str
    lacks: tuple[str, ...]

    def sentence(self) -> str:
        """All of it, in words."""
        told = [f"{what}: {', '.join(getattr(self, what)) or 'limits only'}" for what in
                ("network", "files", "processes", "disk")]  # fmt: skip
        return "; ".join([*told, f"user: {self.user or 'as it is'}"])


def run(main: str, *, peer: str | None = None, bounds: Bounds | None = None, without: Sequence[str] = ()) -> Outcome:
    """Run `main` (and `peer` beside it) confined; nothing of either is left when this returns.

    Both find the other at file descriptors 3 (to read) and 4 (to write); main has 5 for its result besides.
    without: measures to leave out ("namespaces", "landlock", "user"), so that tests see what the others hold alone.
    Raises SandboxUnavailable where this machine cannot confine it.
    """
    bounds = bounds or Bounds()
    folder = _new_folder()
    try:
        return _run([text for text in (peer, main) if text is not None], bounds, folder, tuple(without))[0]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@cache
def protections() -> Protections:
    """What is in force on this machine; found out once, by confining an empty program."""
    folder = _new_folder()
    try:
        return _run(["import json, decimal, re, collections"], Bounds(), folder, (), probing=True)[1]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def readable() -> list[str]:
    """What a confined program may read: the standard library, installed packages and the system's libraries."""
    paths = sysconfig.get_paths()
    found = {os.path.realpath(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    found |= {str(Path(sys.base_prefix, "lib", file)) for file in _shared_libraries()}
    return sorted(found) + [path for path in _SYSTEM if Path(path).exists()]


def _new_folder() -> Path:
    """An empty folder; of root's not below a folder that only root may enter, which $TMPDIR can be."""
    folder = Path(tempfile.mkdtemp(prefix="tunesmith-", dir="/tmp" if os.getuid() == 0 else None))
    folder.chmod(0o777)  # within, another user writes; it is unnamed to others until then and empty
    return folder


def _shared_libraries() -> list[str]:
    name = sysconfig.get_config_var("INSTSONAME")
    return [str(name)] if name and ".so" in str(name) else []


def _run(
    programs: Sequence[str], bounds: Bounds, folder: Path, without: tuple[str, ...], *, probing: bool = False
) -> tuple[Outcome, Protections]:
    status_r, status_w = os.pipe()
    result_r, result_w = os.pipe()
    paths = sysconfig.get_paths()
    orders = {
        "folder": os.path.realpath(folder), "programs": len(programs), "status_fd": status_w, "result_fd": result_w,
        "readable": readable(), "without": list(without), "cpu_s": bounds.cpu_s, "threads": bounds.threads,
        "memory_bytes": bounds.memory_bytes, "file_bytes": bounds.file_bytes, "disk_bytes": bounds.disk_bytes,
        "unconfined": os.environ.get(UNCONFINED, "").lower() == "yes",
    }  # fmt: skip
    path = json.dumps(sorted({paths["purelib"], paths["platlib"]}))
    head = f"import sys; sys.path += {path}\n"
    parts = [json.dumps(orders).encode(), *((head + text).encode("utf-8", "surrogatepass") for text in programs)]
    began = time.monotonic()
    environment = {"LANG": "C.UTF-8", "HOME": str(folder), "TMPDIR": str(folder), "PATH": "/nonexistent",
                   "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # fmt: skip
    program = Path(__file__).with_name("_confined.py")
    process = subprocess.Popen(
        [os.path.realpath(sys.executable), "-I", "-S", "-B", "-X", "utf8", str(program)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=(status_w, result_w),
        cwd=folder, env=environment, start_new_session=True,
    )  # fmt: skip
    os.close(status_w)
    os.close(result_w)
    try:
        assert process.stdin is not None
        try:
            process.stdin.write(b"".join(struct.pack("<Q", len(part)) + part for part in parts))
            process.stdin.close()
        except BrokenPipeError:
            pass  # it refused; the status says why
        got, stopped = _collect(process, {"result": result_r, "status": status_r}, bounds, folder, began)
    finally:
        _take_down(process)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        os.close(status_r)
        os.close(result_r)
    code = process.returncode
    force = _protections(got["status"])
    ready = got["status"].partition(b"\n")[2].count(b"+") == len(programs)
    if (force is None or not (ready or stopped)) and not probing:
        raise _unavailable(force, got["stderr"])
    if force is None or not ready:
        lacks = ("start",) if force is None or not force.lacks else force.lacks
        force = Protections((), (), (), (), "", lacks)
    code = code if code >= 0 else 128 - code
    return Outcome(got["result"], got["stdout"], got["stderr"], code, stopped, time.monotonic() - began), force


def _collect(
    process: subprocess.Popen[bytes], fds: dict[str, int], bounds: Bounds, folder: Path, began: float
) -> tuple[dict[str, bytes], str]:
    """What came out of the pipes until the process ended or overstepped a bound."""
    assert process.stdout is not None
    assert process.stderr is not None
    names = {process.stdout.fileno(): "stdout", process.stderr.fileno(): "stderr"} | {fd: n for n, fd in fds.items()}
    got = dict.fromkeys(names.values(), b"")
    with selectors.DefaultSelector() as waiting:
        for fd in names:
            waiting.register(fd, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select(_POLL_S):
                piece = os.read(key.fd, 1 << 16)
                name = names[key.fd]
                got[name] += piece
                if not piece:
                    waiting.unregister(key.fd)
                elif len(got[name]) > bounds.output_bytes:
                    got[name] = got[name][: bounds.output_bytes]
                    return got, "output"
            if not waiting.get_map() or process.poll() is not None:
                if waiting.get_map():
                    _drain(waiting, names, got, bounds)
                # Every pipe may be closed while the program runs on.
                left = began + bounds.wall_s - time.monotonic()
                try:
                    process.wait(max(0.0, left))
                except subprocess.TimeoutExpired:
                    return got, "time"
                return got, ""
            if time.monotonic() - began > bounds.wall_s:
                return got, "time"
            if _size(folder) > 2 * bounds.disk_bytes:
                return got, "disk"


def _drain(waiting: selectors.BaseSelector, names: dict[int, str], got: dict[str, bytes], bounds: Bounds) -> None:
    """What is in the pipes when the process has ended."""
    while ready := waiting.select(0):
        for key, _ in ready:
            piece = os.read(key.fd, 1 << 16)
            if not piece:
                waiting.unregister(key.fd)
            got[names[key.fd]] = (got[names[key.fd]] + piece)[: bounds.output_bytes]
        if not waiting.get_map():
            return


def _take_down(process: subprocess.Popen[bytes]) -> None:
    """End it all, and wait until nobody is left. Asked to stop, the starter kills the keeper and reaps the rest."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE_S)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _size(folder: Path) -> int:
    """Bytes in the folder as seen from here (0 where the sandbox has a file system of its own)."""
    total = 0
    for base, _, files in os.walk(folder):
        for file in files:
            try:
                total += os.lstat(os.path.join(base, file)).st_blocks * 512  # noqa: PTH118 - in a busy loop
            except OSError:
                continue
    return total


def _protections(status: bytes) -> Protections | None:
    line = status.partition(b"\n")[0]
    if not line:
        return None
    told: dict[str, Any] = json.loads(line)
    return Protections(
        tuple(told["network"]), tuple(told["files"]), tuple(told["processes"]), tuple(told["disk"]), told["user"],
        tuple(told["lacks"]),
    )  # fmt: skip


_NEEDED = {
    "network": "a way to take the network away (system call filter, network namespace or Landlock 4)",
    "files": "Landlock (Linux 5.13 or later, switched on)",
    "processes": "a way to forbid other processes (system call filter or process namespace)",
    "user": "a user other than root",
    "library": "a Python that users other than root may read (this one lies in a folder of root's)",
}


def _unavailable(force: Protections | None, stderr: bytes) -> SandboxUnavailable:
    lacks = ", ".join(_NEEDED[what] for what in force.lacks if what in _NEEDED) if force is not None else ""
    said = stderr.decode("utf-8", "replace").strip().splitlines()
    why = f"it lacks {lacks}" if lacks else f"the sandbox did not start ({said[-1] if said else 'no message'})"
    return SandboxUnavailable(
        f"Python from outside cannot be run safely on this machine: {why}.",
        hint=f"run on Linux with Landlock, or set {UNCONFINED}=yes to run it with limits of time and memory only.",
    )
