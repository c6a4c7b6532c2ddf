"""Runs the web application on this machine's own address until it is told to stop, then lets what is under way end."""

from __future__ import annotations

import logging
import socket
import sys
from typing import TYPE_CHECKING

from tunesmith.core.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

_HOST = "127.0.0.1"
# Connections beyond those that ask something: slow clients, and browsers that keep one open.
_CONNECTIONS = 1024
_BACKLOG, _IDLE_S = 256, 5


def require_extra() -> None:
    """Raise MissingExtra where the web server's libraries are not installed."""
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingExtra("tunesmith serve", "serve") from error


def listening(port: int) -> socket.socket:
    """A socket on 127.0.0.1; port 0 takes a free one. Raises ConfigError if the port is taken."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((_HOST, port))
    except (OSError, OverflowError) as error:
        made.close()
        raise ConfigError(f"--port {port}: {error}.", hint="choose another port, or 0 for a free one.") from error
    made.listen(_BACKLOG)
    return made


def web_server(app: FastAPI, *, drain_s: float = 5.0) -> uvicorn.Server:
    """The web server around the application; `run(sockets=[…])` runs it."""
    import uvicorn

    from tunesmith.deploy.server.link import Link

    config = uvicorn.Config(
        app,
        http=Link,
        loop="asyncio",
        access_log=False,  # it would write what was typed into addresses
        log_level="critical",  # tracebacks may quote what was sent
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=_IDLE_S,
        timeout_graceful_shutdown=int(drain_s),
        server_header=False,
        proxy_headers=False,
        ws="none",
    )
    return uvicorn.Server(config)


def run(app: FastAPI, sock: socket.socket, *, drain_s: float) -> None:
    """Serve until SIGTERM or Ctrl-C; then no new request is taken, and those under way have drain_s to end."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    for name in ("tunesmith.serve", "tunesmith.deploy.server.engine"):
        logging.getLogger(name).addHandler(handler)
        logging.getLogger(name).setLevel(logging.INFO)
    web_server(app, drain_s=drain_s).run(sockets=[sock])
