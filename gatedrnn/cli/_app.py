"""The app that every command joins, and the one place where bad input becomes one sentence and exit status 2."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Annotated, Any, NoReturn

import typer
import typer.core
from typer.exceptions import TyperException

from gatedrnn import __version__
from gatedrnn.cli._interrupt import received, watch

INTERRUPTED = 130
OUT_OF_MEMORY = "out of memory; try a shorter `horizon`, a smaller `hidden` or a smaller `batch`."


class _Group(typer.core.TyperGroup):
    """Commands whose bad input, on the line or in a file, becomes one sentence and exit status 2."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        options["standalone_mode"] = False
        sys.stdout = sys.stdout or io.TextIOWrapper(io.BytesIO())  # closed, as by `>&-`: nobody reads it
        sys.stderr = sys.stderr or io.TextIOWrapper(io.BytesIO())
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a file's name may hold bytes that are no text
                stream.reconfigure(errors="backslashreplace")
        with _plain_errors():
            status = super().main(*arguments, **options)
            sys.stdout.flush()
            if status == INTERRUPTED:  # what typer makes of a KeyboardInterrupt
                stop("interrupted; no file was changed.", INTERRUPTED)
        sys.exit(status or 0)


app = typer.Typer(cls=_Group, rich_markup_mode=None, pretty_exceptions_enable=False)


def main() -> None:
    """The installed command."""
    watch()
    try:
        app(prog_name="gatedrnn")  # as `python -m gatedrnn` too: the shell completes that word
    except SystemExit as end:
        if end.code:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
            os._exit(end.code if isinstance(end.code, int) else 1)  # at once: other threads cannot be told to stop
        raise


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """Bad input becomes one sentence and exit status 2, never a traceback."""
    try:
        yield
    except TyperException as error:
        stop(error.format_message(), 2)
    except ValueError as error:
        stop(str(error), 2)
    except OSError as error:
        stop(str(error) if error.filename else f"what is printed must have a place to go; got {error.strerror!r}.", 2)
    except MemoryError:
        stop(OUT_OF_MEMORY, 2)
    except ImportError:
        if not received():
            raise
        stop("interrupted while a module was loaded.", INTERRUPTED)
    except RuntimeError as error:  # XLA's, whose status stands in its text and nowhere else
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        stop(OUT_OF_MEMORY, 2)


def stop(message: str, status: int) -> NoReturn:
    """Ends the command with one sentence on standard error."""
    print(f"gatedrnn: {message}", file=sys.stderr)
    sys.exit(status)


def _print_version(context: typer.Context, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:  # the shell that completes a line runs nothing of it
        print(f"gatedrnn {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and stop.")
    ] = False,
) -> None:
    """Recurrent networks over long horizons: does gradient still arrive, why, and what to change."""
    if context.invoked_subcommand is None:
        print(context.get_help())
