"""The server as people start it, in a process of its own, and a client that costs little."""

from __future__ import annotations

import http.client
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

DATA = "sms_spam/sms_spam.jsonl"
_ROWS = 600  # of the data, for the run that is served


def messages(shared: Path) -> list[dict[str, str]]:
    """Different messages of sms_spam with their labels, in an order drawn once."""
    lines = (shared / DATA).read_text(encoding="utf-8").splitlines()
    rows = {row["text"]: row for row in map(json.loads, filter(str.strip, lines))}
    found = [{"text": row["text"], "label": row["label"]} for row in rows.values()]
    random.Random(0).shuffle(found)
    return found


def frozen_run(work: Path, shared: Path) -> Path:
    """A run whose model is a head on the frozen MiniLM encoder; made where it is not there yet."""
    import tunesmith as ts

    folder = work / "sms-frozen"
    if not (folder / "08-evaluate" / "stage.json").exists():
        model = {"lm": "none", "only": ["majority", "frozen"]}
        ts.run(messages(shared)[:_ROWS], out=folder, target="label", inputs=["text"], threads=1, model=model)
    return folder


def machine_load() -> str:
    """What else runs on this machine, for the record: load and what of the core is left to others."""
    one, five, _ = psutil.getloadavg()
    return f"load {one:.1f} (5 min {five:.1f})"


class Server:
    """`tunesmith serve` on a free port."""

    def __init__(self, *arguments: str | Path, program: str = "-m tunesmith serve") -> None:
        given = [sys.executable, *program.split(), *map(str, arguments)]
        if "--port" not in given:
            given += ["--port", "0"]
        self._process = subprocess.Popen(given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        self.key, self.port, self.models = "", 0, ()
        for line in self._process.stdout:
            if line.startswith("serving "):
                self.port = int(line.rsplit(":", 1)[1].partition("/")[0])
            elif line.startswith("key"):
                self.key = line.rsplit(" ", 1)[1].strip()
            elif line.startswith("try:"):
                break
        if not self.port:
            raise RuntimeError("the server did not start")
        self.process = psutil.Process(self._process.pid)
        while self.ask(self.link(), "/health", None)[0] != 200:
            time.sleep(0.1)

    def link(self, timeout: float = 120.0) -> http.client.HTTPConnection:
        """A connection that is kept."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, link: http.client.HTTPConnection, path: str, body: Any) -> tuple[int, Any, Any]:
        """(status, answer, headers)."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        link.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body), headers)
        reply = link.getresponse()
        said = reply.read()
        return reply.status, json.loads(said) if said else None, reply.headers

    @property
    def cpu_s(self) -> float:
        """CPU seconds that the server has used."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    @property
    def resident(self) -> int:
        """Bytes that it holds."""
        return int(self.process.memory_info().rss)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """As `kill -9`."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.kill()
