"""The one thread that computes: texts that wait are answered together, and texts that are written grow together.

Requests come from the web server's loop and are never computed there. What waits is bounded: beyond it is Busy.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from tunesmith.core.errors import TunesmithError
from tunesmith.deploy.server.served import Answer, Loaded, Store

_log = logging.getLogger(__name__)
# Texts of one pass. Two models that are asked at once take turns after so many.
_TOGETHER = 64
_MOST_RETRY_S = 30


class Busy(Exception):
    """More waits than the server takes on. retry_s: when to ask again."""

    def __init__(self, retry_s: int) -> None:
        super().__init__("the server is busy.")
        self.retry_s = retry_s


class Fault(Exception):
    """What failed is ours, and noted; it says nothing, as its message may hold a text that was sent."""


@dataclass(eq=False)
class _Asked:
    """Texts of one request that wait for a model."""

    name: str
    texts: list[str]
    accept_at: float | None
    future: Future[list[Answer]]


@dataclass(eq=False)
class Wanted:
    """A text to be written. begin: makes the Writing once the model is there. done: what failed, or None."""

    name: str
    begin: Callable[[Loaded], Any]
    failed: Callable[[BaseException], None]
    cancelled: bool = False


@dataclass
class Engine:
    """waiting: texts that may wait at most."""

    store: Store
    waiting: int = 512
    _asked: deque[_Asked] = field(default_factory=deque)
    _wanted: deque[Wanted] = field(default_factory=deque)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _closed: bool = False
    _per_s: float = 50.0
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to compute."""
        self._thread = threading.Thread(target=self._work, name="compute", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after what is being computed; what still waits fails."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=60)

    @property
    def n_waiting(self) -> int:
        """Texts that wait."""
        return sum(len(asked.texts) for asked in self._asked) + len(self._wanted)

    def answer(self, name: str, texts: list[str], accept_at: float | None = None) -> Future[list[Answer]]:
        """The Answers to texts, in order. Raises Busy."""
        asked = _Asked(name, texts, accept_at, Future())
        with self._changed:
            self._refuse_beyond(len(texts))
            self._asked.append(asked)
            self._changed.notify()
        return asked.future

    def write(self, wanted: Wanted) -> None:
        """Have a text written. Raises Busy."""
        with self._changed:
            self._refuse_beyond(1)
            self._wanted.append(wanted)
            self._changed.notify()

    def _refuse_beyond(self, more: int) -> None:
        held = self.n_waiting
        if self._closed or (held and held + more > self.waiting):
            raise Busy(max(1, min(_MOST_RETRY_S, round(held / max(self._per_s, 0.1)))))

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (self._closed or self._asked or self._wanted or self.store.writing()):
                    self._changed.wait()
                if self._closed:
                    break
                batch = self._batch()
                wanted = self._wanted.popleft() if self._wanted else None
            if batch:
                self._answer(batch)
            if wanted is not None and not self._begin(wanted):
                with self._changed:
                    self._wanted.appendleft(wanted)  # no room yet; those that write go on
            for loaded in self.store.writing():
                self._step(loaded)
        for asked in self._asked:
            if asked.future.set_running_or_notify_cancel():
                asked.future.set_exception(Busy(1))
        for wanted in self._wanted:
            wanted.failed(Busy(1))
        self.store.clear()

    def _batch(self) -> list[_Asked]:
        """The first request that waits, and others that go with it."""
        batch: list[_Asked] = []
        n = 0
        for asked in list(self._asked):
            if batch and (asked.name, asked.accept_at) != (batch[0].name, batch[0].accept_at):
                continue
            if batch and n + len(asked.texts) > _TOGETHER:
                break
            self._asked.remove(asked)
            if asked.future.set_running_or_notify_cancel():
                batch.append(asked)
                n += len(asked.texts)
        return batch

    def _answer(self, batch: list[_Asked]) -> None:
        began = time.monotonic()
        texts = [text for asked in batch for text in asked.texts]
        try:
            answers = self.store.get(batch[0].name).answer(texts, batch[0].accept_at)
        except Exception as error:
            for asked in batch:
                asked.future.set_exception(told(error))
            return
        took = max(time.monotonic() - began, 1e-6)
        self._per_s += 0.2 * (len(texts) / took - self._per_s)
        at = 0
        for asked in batch:
            asked.future.set_result(answers[at : at + len(asked.texts)])
            at += len(asked.texts)

    def _begin(self, wanted: Wanted) -> bool:
        """Whether it is being written, or never will be; False if there is no room now."""
        if wanted.cancelled:
            return True
        try:
            loaded = self.store.get(wanted.name)
            writing = wanted.begin(loaded)
            if not loaded.writer.fits(writing):
                return False
            loaded.writer.join(writing)
        except Exception as error:
            wanted.failed(told(error))
        return True

    def _step(self, loaded: Loaded) -> None:
        try:
            loaded.writer.step()
        except Exception as error:
            told(error)
            some = list(loaded.writer.active)
            loaded.writer.clear()
            for one in some:
                one.took(one)


def told(error: Exception) -> Exception:
    """What the client may be told; a fault is logged with its place and without its message."""
    if isinstance(error, TunesmithError):
        return error
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    where = "" if at is None else f" at {at.tb_frame.f_code.co_name}:{at.tb_lineno}"
    _log.error("fault: %s%s", type(error).__name__, where)
    return Fault()
