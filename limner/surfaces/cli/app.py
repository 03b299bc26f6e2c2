"""The `limner` command: the calls of the Python API, with one-line errors and exit codes.

Exit codes: 0 done, 2 something the user can correct (one line says what), 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import Annotated

import typer
from typer.exceptions import TyperException

from limner.errors import LimnerError
from limner.surfaces.cli.commands import Commands
from limner.version import __version__

STOPPED = 130
"""Exit code after Ctrl-C."""

app = typer.Typer(
    name="limner",
    cls=Commands,
    help="Compose illustrated articles: text and your own images interleaved, every image chosen for its place.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Entry point: run a command; an error that a user can correct becomes one line and an exit code."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # limner's own line says it better than a library's warning
    try:
        code = app(standalone_mode=False)
        if code == STOPPED:  # typer makes this of a KeyboardInterrupt, without a word
            _fail("Stopped.", STOPPED)
        sys.exit(code)
    except LimnerError as e:
        _fail(str(e), e.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _fail("Stopped.", STOPPED)
    except BrokenPipeError:  # the reader of the output left, e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as e:
        _fail(f"{e.strerror or e}{f': {e.filename}' if e.filename else ''}. Check the disk and permissions.", 2)
    except TyperException as e:
        message = e.format_message() if isinstance(e, typer.BadParameter.__base__ or ()) else str(e)
        if message:  # a bare `limner` has shown its help already
            _fail(f"{message} See limner --help.", 2)
        sys.exit(2)


def _fail(line: str, code: int) -> None:
    sys.stdout.flush()
    print("limner: " + " ".join(line.split()), file=sys.stderr)
    sys.exit(code)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(f"limner {__version__}")
        raise typer.Exit


if __name__ == "__main__":
    main()
