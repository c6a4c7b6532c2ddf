from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import psutil
import pytest
from hostile import HOSTILE

from tunesmith.core import sandbox
from tunesmith.core.errors import SandboxUnavailable
from tunesmith.core.sandbox import Bounds, Outcome, protections, run

TIGHT = Bounds(cpu_s=1, wall_s=3.0, memory_bytes=256 << 20)
confined = pytest.mark.skipif(bool(protections().lacks), reason=f"no sandbox here: {protections().lacks}")


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """A world to harm: a secret, a folder anybody may write, a socket that listens, and what it was sent."""
    folder = tmp_path_factory.mktemp("outside")
    for place in (folder, *folder.parents):
        if place.stat().st_uid == os.getuid() and place != Path("/"):
            place.chmod(place.stat().st_mode | 0o755)
    folder.chmod(0o777)
    secret = folder / "secret"
    secret.write_text("secret")
    secret.chmod(0o644)
    local = socket.socket(socket.AF_UNIX)
    local.bind(str(folder / "socket"))
    (folder / "socket").chmod(0o777)
    local.listen()
    tcp = socket.create_server(("127.0.0.1", 0))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", tcp.getsockname()[1]))
    for listener in (tcp, udp):
        listener.setblocking(False)
    yield folder, tcp, udp
    for listener in (local, tcp, udp):
        listener.close()


def _attack(text: str, outside, **how) -> Outcome:
    folder, tcp, udp = outside
    known = {"SECRET": folder / "secret", "OUTSIDE": folder, "PARENT": os.getpid(), "PORT": tcp.getsockname()[1]}
    for name, value in known.items():
        text = text.replace(name, str(value))
    started: list[int] = []
    folders: list[Path] = []

    class Popen(subprocess.Popen):
        def __init__(self, *given, **named) -> None:
            super().__init__(*given, **named)
            started.append(self.pid)

    def new_folder() -> Path:
        folders.append(sandbox_folder())
        return folders[-1]

    sandbox_folder = sandbox._new_folder
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sandbox.subprocess, "Popen", Popen)
        patched.setattr(sandbox, "_new_folder", new_folder)
        ended = run(text, bounds=TIGHT, **how)
    assert len(started) == len(folders) == 1
    assert not [p for p in psutil.process_iter() if _belongs(p, started[0])]
    assert not folders[0].exists()
    assert sorted(p.name for p in folder.iterdir()) == ["secret", "socket"]
    assert (folder / "secret").read_text() == "secret"
    assert (folder / "secret").stat().st_mode & 0o777 == 0o644
    assert not [p for place in ("/tmp", "/dev/shm", "/var/tmp") for p in Path(place).glob("tunesmith-harm")]
    for listener in (tcp, udp):
        with pytest.raises(BlockingIOError):
            listener.recvfrom(10) if listener is udp else listener.accept()
    return ended


def _belongs(process: psutil.Process, starter: int) -> bool:
    """Whether it runs in the session that the starter began, or as the user made up for it."""
    try:
        return os.getsid(process.pid) == starter or process.uids().real == 1_000_000_000 + starter
    except (psutil.Error, ProcessLookupError):
        return False


QUICK = (
    "fork bomb", "exec", "connect", "reach a Unix socket", "kill the parent", "read a secret", "read /etc/shadow",
    "write outside", "a hard link to a secret", "crash in C", "allocate in one go", "leave by namespaces",
)  # fmt: skip


@confined
@pytest.mark.parametrize("name", QUICK)
def test_it_is_contained(name, outside):
    assert _attack(HOSTILE[name], outside).result == b""


@confined
@pytest.mark.slow
@pytest.mark.parametrize("without", [(), ("namespaces", "user")], ids=["all", "no namespaces, no other user"])
@pytest.mark.parametrize("name", [name for name in HOSTILE if name not in QUICK])
def test_it_is_contained_too(name, without, outside):
    ended = _attack(HOSTILE[name], outside, without=without)
    assert ended.result == b"" or name == "huge result"
    assert ended.seconds < TIGHT.wall_s + 2


@confined
@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_it_is_contained_without_namespaces_and_another_user(name, outside):
    assert _attack(HOSTILE[name], outside, without=("namespaces", "user")).result == b""


@confined
def test_a_program_that_ends_is_heard():
    ended = run("import os, sys; os.write(5, b'yes'); print(len(os.listdir('.'))); sys.exit(3)")
    assert (ended.result, ended.stdout, ended.code, ended.stopped) == (b"yes", b"0\n", 3, "")


@confined
def test_it_writes_in_its_own_folder_and_nothing_stays():
    ended = run("import os; open('a', 'w').write('x'); os.write(5, os.getcwd().encode())")
    assert ended.result
    assert not Path(ended.result.decode()).exists()


@confined
def test_two_programs_talk():
    ended = run(
        "import os; os.write(4, b'ping'); os.write(5, os.read(3, 9))", peer="import os; os.write(4, os.read(3, 9) * 2)"
    )
    assert ended.result == b"pingping"


@confined
def test_a_peer_cannot_find_what_main_knows_nor_write_the_result():
    peer = (
        "import os\nfor i in range(3, 64):\n    try:\n        os.write(i, b'forged')\n    except OSError:\n        pass"
    )
    ended = run("import os; os.write(5, b'got ' + os.read(3, 20))", peer=peer)
    assert ended.result in (b"got forged", b"got forgedforged")


@confined
def test_threads_and_installed_packages_work():
    ended = run(
        "import threading, numpy, os\nt = threading.Thread(target=os.write, args=(5, b'yes')); t.start(); t.join()"
    )
    assert ended.result == b"yes"


@confined
def test_time_is_bounded():
    ended = run("import time; time.sleep(60)", bounds=Bounds(wall_s=0.5))
    assert ended.stopped == "time"
    assert ended.seconds < 5


@confined
def test_output_is_bounded():
    ended = run("print('x' * 100_000)", bounds=Bounds(output_bytes=1000))
    assert ended.stopped == "output"
    assert len(ended.stdout) == 1000


@confined
def test_protections_are_told():
    assert protections().network
    assert "landlock" in protections().sentence()


def test_where_nothing_protects_it_refuses_and_says_what_to_do():
    with pytest.raises(SandboxUnavailable, match="Landlock") as raised:
        run("pass", without=("namespaces", "landlock"))
    assert "TUNESMITH_UNCONFINED" in (raised.value.hint or "")


def test_a_person_may_say_so(monkeypatch):
    monkeypatch.setenv("TUNESMITH_UNCONFINED", "yes")
    assert run("import os; os.write(5, b'yes')", without=("namespaces", "landlock", "user")).result == b"yes"
