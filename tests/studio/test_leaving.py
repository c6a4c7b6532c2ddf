import asyncio
import os
import stat
import sys
import time

import pytest

from tunesmith.core.errors import RunError, TunesmithError
from tunesmith.core.files import write_json
from tunesmith.core.run import Run
from tunesmith.studio import leaving

# Stands for `tunesmith`: says what the server says and stays, or fails as a command does.
_COMMAND = """
import sys, time
if sys.argv[1] == "serve":
    print("serving texts at http://127.0.0.1:4321/v1"); print("key (made now, gone when this ends): ts-secret")
    time.sleep(30)
sys.stderr.write("noise\\ntunesmith: no rung of that name was run.\\n  Did you mean 'tfidf'?\\n"); sys.exit(2)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(leaving, "_TUNESMITH", (sys.executable, "-u", "-c", _COMMAND))
    with Run(tmp_path / "texts"):
        pass
    return tmp_path / "texts"


def test_a_server_is_found_again_by_whoever_asks(folder):
    assert leaving.serving(folder) is None
    leaving.start_server(folder)
    try:
        ends = time.monotonic() + 20
        while not leaving.serving(folder).key and time.monotonic() < ends:
            time.sleep(0.05)
        assert leaving.serving(folder) == leaving.Serving("http://127.0.0.1:4321/v1", "ts-secret")
        assert stat.S_IMODE((folder / ".server").stat().st_mode) == 0o600
        with pytest.raises(RunError, match="already"):
            leaving.start_server(folder)
    finally:
        leaving.stop_server(folder)
    assert not (folder / ".server").exists()
    ends = time.monotonic() + 10
    while leaving.serving(folder) is not None and time.monotonic() < ends:
        time.sleep(0.05)
    assert leaving.serving(folder) is None


def test_a_command_that_fails_says_what_the_command_line_says(folder):
    with pytest.raises(TunesmithError, match="no rung of that name") as raised:
        asyncio.run(leaving.export(folder, "bundle"))
    assert raised.value.hint == "Did you mean 'tfidf'?"


def test_another_process_with_the_number_of_a_server_is_none(folder):
    (folder / ".server.pid").write_text(str(os.getpid()))
    assert leaving.serving(folder) is None


def test_exports_are_those_that_were_verified(folder):
    write_json(folder / "11-export" / "bundle" / "verified.json", {"agreement": 1.0, "n": 200})
    (folder / "11-export" / "onnx").mkdir()
    (folder / "11-export" / "cut").mkdir()
    (folder / "11-export" / "cut" / "verified.json").write_text("{")
    assert leaving.exports(folder) == [leaving.Made("bundle", 1.0, 200)]
