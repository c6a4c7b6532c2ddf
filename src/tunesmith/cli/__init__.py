"""The command line. Every command is a few lines over public functions; exit codes as below.

0 done   1 a fault of Tunesmith   2 the user can mend it   3 a check failed
4 the verdict is not `better` (with --require better)   130 stopped by Ctrl-C (can be resumed)
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import typer

from tunesmith.cli import data, exporting, machine, serving, studio, training
from tunesmith.cli.options import Debug
from tunesmith.core.errors import TunesmithError
from tunesmith.training.parallel import is_launched

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Raw data and a named task in, a small verified specialised language model out.",
)  # fmt: skip


@app.callback()
def _global(debug: Debug = False) -> None:  # listed here for --help; `main` takes it off the line
    del debug


for _name, _command_of in (
    ("run", training.run), ("plan", training.plan), ("show", training.show), ("compare", training.compare),
    ("predict", training.predict),
    ("curate", data.curate), ("evidence", data.evidence), ("contrast", data.contrast), ("value", data.value_),
    ("findings", data.findings), ("trace", data.trace),
    ("export", exporting.export),
    ("serve", serving.serve), ("feedback", serving.feedback),
    ("studio", studio.studio),
    ("list", machine.list_), ("doctor", machine.doctor), ("runs", machine.runs), ("cache", machine.cache),
):  # fmt: skip
    app.command(_name)(_command_of)


def main() -> None:
    """Entry point: runs a command and turns errors into messages and exit codes.

    Of several processes that a launcher started (torchrun, `accelerate launch`), the main one runs the command.
    """
    debug = "--debug" in sys.argv or bool(os.environ.get("TUNESMITH_DEBUG"))
    if not debug:  # libraries' words to their own developers
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
    if not is_launched():
        _command(debug=debug)
        return
    from tunesmith.training.workers import taking_part

    with taking_part() as is_main:
        if is_main:
            _command(debug=debug)


def _command(*, debug: bool) -> None:
    sys.argv = [word for word in sys.argv if word != "--debug"]  # allowed anywhere on the line
    _complete_undo(sys.argv)
    try:
        code = app(standalone_mode=False, prog_name="tunesmith")  # an Exit comes back as its code
    except TunesmithError as error:
        if debug:
            raise
        _complain(error.message, error.hint)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _complain("stopped.", "the same command goes on where it stopped.")
        sys.exit(130)
    except OSError as error:
        if debug:
            raise
        _complain(_told(error), "free some space or choose another place with --out, then run the same command again.")
        sys.exit(2)
    except Exception as error:
        _exit_for(error, debug=debug)
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _complete_undo(words: list[str]) -> None:
    """`--undo` without anything behind it that it could mean takes back everything."""
    if words[1:2] != ["curate"] or "--undo" not in words:
        return
    at = words.index("--undo") + 1
    alone = at == len(words) or words[at].startswith("-")
    # `curate --undo data.csv` names the data; where the data was named before, whatever follows is what is meant.
    named_before = any(not word.startswith("-") for word in words[2 : at - 1])
    if alone or (not named_before and Path(words[at]).exists()):
        words.insert(at, "all")


def _exit_for(error: Exception, *, debug: bool) -> None:
    """Exit codes of the command-line library's own exceptions; anything else is a fault of ours."""
    code = getattr(error, "exit_code", None)
    if code is not None and hasattr(error, "show"):  # wrong usage
        error.show()
        sys.exit(2)
    if type(error).__name__ == "Abort":  # what the library makes of Ctrl-C
        _complain("stopped.", "the same command goes on where it stopped.")
        sys.exit(130)
    if debug:
        raise error
    _complain(
        f"unexpected fault: {type(error).__name__}: {error}",
        "this is a bug in tunesmith: please report it with the output of the same command with --debug.",
    )
    sys.exit(1)


def _complain(message: str, hint: str | None) -> None:
    typer.echo(f"tunesmith: {message}", err=True)
    if hint:
        typer.echo(f"  {hint}", err=True)


def _told(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"
