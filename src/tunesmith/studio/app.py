"""The studio's application: its pages behind the gate, and the server that runs it."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tunesmith.core.errors import ConfigError, MissingExtra, RunError, TunesmithError
from tunesmith.curation import profile_of
from tunesmith.evaluation.curation_page import render_profile
from tunesmith.evaluation.page import style_sheet
from tunesmith.studio import frame, jobs
from tunesmith.studio.gate import Gate
from tunesmith.studio.served import Served
from tunesmith.studio.uploading import fresh_run, receive

UPLOAD = "/uploads"

LOOPBACK = ("127.0.0.1", "localhost", "::1")
# The report is a file of ours without scripts; if it ever were not, it still could run none and reach nothing.
_REPORT = {
    "content-security-policy": "sandbox allow-same-origin; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; frame-ancestors 'self'",
}


def application(served: Served, *, max_upload: int = 1 << 30) -> Any:
    """The FastAPI application with every page; one per process, for NiceGUI's is. MissingExtra without NiceGUI."""
    try:
        from fastapi import FastAPI, HTTPException, Request
        from fastapi.responses import FileResponse, JSONResponse, Response
        from nicegui import ui
    except ImportError as error:
        raise MissingExtra("the studio", "studio") from error
    from tunesmith.studio import pages

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    here = Path(__file__).parent

    def style() -> Any:
        return Response(style_sheet() + (here / "studio.css").read_text(encoding="utf-8"), media_type="text/css")

    def script() -> Any:
        return FileResponse(here / "studio.js", media_type="text/javascript")

    def report(name: str) -> Any:
        try:
            file = served.run(name) / "report.html"
        except RunError as error:
            raise HTTPException(404, error.message) from error
        if file.is_symlink() or not file.is_file():
            raise HTTPException(404, "this run has no report yet.")
        return FileResponse(file, media_type="text/html; charset=utf-8", headers=_REPORT)

    def data(name: str) -> Any:
        try:
            profile = profile_of(served.run(name))
        except TunesmithError as error:
            raise HTTPException(404, str(error)) from error
        return Response(render_profile(profile), media_type="text/html; charset=utf-8", headers=_REPORT)

    async def upload(request: Any) -> Any:
        try:
            file = await receive(served.root, request.query_params.get("name", ""), request.stream(), most=max_upload)
            folder = fresh_run(served.root, file)
            jobs.start(served, folder, "plan", source=file)
        except TunesmithError as error:
            return JSONResponse({"message": error.message, "hint": error.hint or ""}, status_code=422)
        return JSONResponse({"address": frame.link(folder.name)})

    upload.__annotations__["request"] = Request  # FastAPI reads it, and it is imported above only
    app.put(UPLOAD)(upload)
    app.get("/runs/{name}/data.html")(data)
    app.get("/assets/studio.css")(style)
    app.get("/assets/studio.js")(script)
    app.get("/runs/{name}/report.html")(report)
    pages.register(served)
    ui.run_with(app, title="Tunesmith", dark=None, language="en-US", tailwind=False, show_welcome_message=False)
    return app


def serve(
    runs: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8800,
    max_upload: int = 1 << 30,
    ready: Callable[[str], None] = print,
) -> None:
    """Run the studio until it is stopped. port: 0 takes a free one. ready: told the address with its token.

    Raises ConfigError if the port is taken, MissingExtra without NiceGUI.
    """
    served = Served.of(runs)
    token = secrets.token_urlsafe(32)
    app = application(served, max_upload=max_upload)
    import uvicorn

    sock = _listening(host, port)
    taken = int(sock.getsockname()[1])
    names = LOOPBACK if host in LOOPBACK else (host,)
    shown = {name: f"[{name}]:{taken}" if ":" in name else f"{name}:{taken}" for name in names}
    gate = Gate(app, token=token, hosts=frozenset(shown.values()), uploads={UPLOAD: max_upload})
    ready(f"http://{shown[host]}/?token={token}")
    config = uvicorn.Config(gate, log_level="warning", access_log=False, server_header=False, lifespan="on")
    uvicorn.Server(config).run(sockets=[sock])


def _listening(host: str, port: int) -> socket.socket:
    if host in ("0.0.0.0", "::", ""):
        raise ConfigError(
            f"--host {host or '(empty)'}: the studio answers to one address only.", hint="name the address itself."
        )
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host} port {port}: {error.strerror or error}.",
            hint="choose another with --port; 0 takes any that is free.",
        ) from error
    return sock
