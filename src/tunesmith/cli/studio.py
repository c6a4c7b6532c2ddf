"""The command that opens the studio."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tunesmith.core.config import parse_bytes
from tunesmith.core.errors import ConfigError


def studio(
    runs: Annotated[Path, typer.Option("--runs", help="folder with the runs that it shows and starts")] = Path("runs"),
    port: Annotated[int, typer.Option(help="port; 0 takes any that is free")] = 8800,
    host: Annotated[str, typer.Option(help="address to listen on; another than this machine's is not encrypted")] = (
        "127.0.0.1"
    ),
    max_upload: Annotated[str, typer.Option("--max-upload", help="largest file that may be sent")] = "1GB",
    open_: Annotated[bool, typer.Option("--open", help="open it in the browser")] = False,
) -> None:
    """Local pages: bring a file, watch the run, read the result, decide on findings, try the model."""
    from tunesmith.studio.app import serve

    if not 0 <= port <= 65_535:
        raise ConfigError(f"--port {port}: expected 0 to 65535.")

    def ready(address: str) -> None:
        typer.echo(f"studio: {address}")
        if open_:
            import webbrowser

            webbrowser.open(address)

    serve(runs, host=host, port=port, max_upload=parse_bytes(max_upload, where="--max-upload"), ready=ready)
