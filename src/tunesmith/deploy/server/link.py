"""A connection that does not wait for ever: for the head of a request, nor for what was answered to be taken.

Uvicorn bounds how long a connection is idle after an answer, but neither of these; a client that sends a byte now and
then, or reads none, would hold its connection until none is left.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

_LOOK_S = 10.0


class Link(H11Protocol):  # type: ignore[misc]
    """HTTP/1.1. Every so often it is looked at, and aborted if no request has come since the last
    look, or if it is to be closed."""

    _seen: Any = None  # the request that had been answered at the last look; None before any
    _next_look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._next_look = self.loop.call_later(_LOOK_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._next_look is not None:
            self._next_look.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        waits = self.cycle is None or self.cycle.response_complete
        if self.transport.is_closing() or (waits and self._seen is self.cycle):
            self.transport.abort()
            return
        self._seen = self.cycle if waits else self
        self._next_look = self.loop.call_later(_LOOK_S, self._look)
