"""Commands that answer others: serve, and feedback, which makes rows to review of what was asked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tunesmith.cli.options import Json
from tunesmith.cli.printing import print_json
from tunesmith.core.errors import ConfigError


def serve(  # noqa: PLR0913
    runs: Annotated[
        list[str] | None, typer.Argument(help="run folders, or NAME=FOLDER to choose a name", show_default=False)
    ] = None,
    port: Annotated[int, typer.Option(help="of 127.0.0.1; 0 takes a free one")] = 8000,
    keys: Annotated[Path | None, typer.Option(help="file with hashed keys (default: one made at the start)")] = None,
    new_key: Annotated[str | None, typer.Option("--new-key", help="add a key of that name to --keys, and end")] = None,
    requests_per_minute: Annotated[float | None, typer.Option(help="limit of the new key")] = None,
    tokens_per_minute: Annotated[float | None, typer.Option(help="limit of the new key")] = None,
    system: Annotated[str | None, typer.Option(help="another rung than the one that ships")] = None,
    max_memory: Annotated[str | None, typer.Option(help="memory that the process may hold, such as 2GB")] = None,
    max_body: Annotated[str, typer.Option(help="largest request")] = "1MB",
    max_new_tokens: Annotated[int, typer.Option(help="most tokens written for one request")] = 1024,
    timeout: Annotated[float, typer.Option(help="seconds for one answer, waiting included")] = 60.0,
    queue: Annotated[int, typer.Option(help="texts that may wait; more are told to come again (429)")] = 512,
    keep_inputs: Annotated[
        Path | None, typer.Option(help="file to add what is asked to, personal data replaced (default: kept nowhere)")
    ] = None,
) -> None:
    """Answer over HTTP on this machine: labels and fields, and texts in OpenAI's form."""
    from tunesmith.deploy.server.run import require_extra

    if new_key is not None:
        _add(keys, new_key, requests_per_minute, tokens_per_minute)
        return
    if not runs:
        raise ConfigError("serve: name at least one run folder.", hint="tunesmith runs  lists the runs here.")
    for name, value in (("--timeout", timeout), ("--queue", queue), ("--max-new-tokens", max_new_tokens)):
        if value <= 0:
            raise ConfigError(f"{name} {value:g}: expected more than 0.")
    require_extra()
    from tunesmith.core.config import parse_bytes
    from tunesmith.deploy.server.app import make_app
    from tunesmith.deploy.server.feedback import Kept
    from tunesmith.deploy.server.gate import Limits
    from tunesmith.deploy.server.keys import Key, hash_of, read_keys
    from tunesmith.deploy.server.keys import new_key as made_key
    from tunesmith.deploy.server.run import listening, run
    from tunesmith.serving import offered_by

    limits = Limits(body_bytes=parse_bytes(max_body, where="--max-body"), answer_s=timeout, new_tokens=max_new_tokens)
    memory = None if max_memory is None else parse_bytes(max_memory, where="--max-memory")
    key = None if keys is not None else made_key()
    known = read_keys(keys) if keys is not None else [Key("default", hash_of(str(key)))]
    offered = offered_by(runs, system=system)
    noted = None if keep_inputs is None else Kept(keep_inputs)
    app = make_app(offered, known, limits=limits, max_memory_bytes=memory, waiting=queue, noted=noted)
    app.state.engine.store.load_what_fits()  # before anybody waits for it
    with listening(port) as sock:
        address = f"http://127.0.0.1:{sock.getsockname()[1]}"
        typer.echo(f"serving {', '.join(offered)} at {address}/v1")
        if key is not None:
            typer.echo(f"key (made now, gone when this ends): {key}")
        one = next(iter(offered.values()))
        door, said = (one.door, '"input": "a text"') if one.door else (
            "chat/completions", '"messages": [{"role": "user", "content": "a text"}]'
        )  # fmt: skip
        typer.echo(
            f"""try:  curl {address}/v1/{door} -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" """
            f"""-d '{{"model": "{one.name}", {said}}}'"""
        )
        run(app, sock, drain_s=timeout)


def feedback(
    kept: Annotated[Path, typer.Argument(help="what  serve --keep-inputs  wrote", show_default=False)],
    run: Annotated[Path, typer.Argument(help="the run that answered", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="folder for the batch", show_default=False)],
    model: Annotated[str | None, typer.Option(help="the name it was served under, where there were several")] = None,
    most: Annotated[int, typer.Option(help="rows at most, the least sure first")] = 200,
    as_json: Json = False,
) -> None:
    """Make a batch to review of what a served model was asked, its answers as targets to correct."""
    from tunesmith.feedback import make_batch

    if most < 1:
        raise ConfigError(f"--most {most}: expected at least 1.")
    made = make_batch(kept, run, out=out, model=model, most=most)
    folder = made.curated.folder
    if as_json:
        print_json({"folder": str(folder), "file": str(made.file), "rows": made.rows, "known": made.known,
                    "repeated": made.repeated, "damaged": made.damaged})  # fmt: skip
        return
    left_out = (f"{made.known:,} in the run's data", f"{made.repeated:,} asked again", f"{made.damaged:,} damaged")
    typer.echo(f"{made.rows:,} rows to review, the least sure first   (left out: {', '.join(left_out)})   {made.file}")
    typer.echo(f"see: tunesmith findings {folder}   correct: tunesmith findings {folder} --edit ROW=ANSWER")
    typer.echo(f"then: tunesmith run {made.file} …   the corrections hold wherever these rows come again")


def _add(path: Path | None, name: str, requests: float | None, tokens: float | None) -> None:
    """Write a new key's hash and show the key once."""
    from tunesmith.deploy.server.keys import add_key

    if path is None:
        raise ConfigError("--new-key: say with --keys which file its hash is to be kept in.")
    for option, value in (("--requests-per-minute", requests), ("--tokens-per-minute", tokens)):
        if value is not None and value <= 0:
            raise ConfigError(f"{option} {value:g}: expected more than 0.")
    key = add_key(path, name, requests_per_minute=requests, tokens_per_minute=tokens)
    typer.echo(f"{key}\nkept of it: its hash, in {path}. It is shown only now.")
