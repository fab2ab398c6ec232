"""Entry point of ``saccade``: registers the commands, and turns errors into messages and exit codes."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from saccade.cli.commands import LazyGroup

app = typer.Typer(
    name="saccade",
    cls=LazyGroup,
    help="The computer-vision loop in one program: import, version, train, evaluate, predict, and start over.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_EXIT_INTERRUPTED = 130
_TRAIN_EXTRA_MODULES = ("torch", "torchvision", "timm", "safetensors", "accelerate", "tensorboard")


def _print_version(requested: bool) -> None:
    if requested:
        from saccade import __version__

        typer.echo(f"saccade {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
    project: Annotated[str | None, typer.Option("--project", envvar="SACCADE_PROJECT", help="Project to use.")] = None,
) -> None:
    if project:
        os.environ["SACCADE_PROJECT"] = project  # child processes inherit it


def main() -> None:
    """Run the program. Errors print a message and exit with status 1, Ctrl-C with 130."""
    from saccade.core.errors import SaccadeError
    from saccade.runtime.permissions import make_new_files_private
    from saccade.runtime.signals import reraise_interrupts

    make_new_files_private()
    try:
        with reraise_interrupts():
            app()
    except SaccadeError as error:
        _fail(error.message, error.hint, error.code)
    except KeyboardInterrupt:
        _fail_interrupted()
    except SystemExit as error:
        if error.code == _EXIT_INTERRUPTED:  # Typer converts Ctrl-C to this without a message
            _fail_interrupted()
        _print_usage_error_as_json(error)
        raise
    except ModuleNotFoundError as error:
        if error.name not in _TRAIN_EXTRA_MODULES:
            raise
        _fail(f"'{error.name}' is required but not installed.", "Install it: pip install 'saccade[train]'", "extra")
    except OSError as error:
        file = f" ({error.filename})" if error.filename else ""
        _fail(
            f"{error.strerror or error}{file}.", "Check the disk and file permissions, then run: saccade doctor", "io"
        )


def _print_usage_error_as_json(error: SystemExit) -> None:
    """Print a usage error as JSON if --json was given; Typer has already printed it as text to standard error."""
    format_message = getattr(error.__context__, "format_message", None)
    if "--json" in sys.argv and format_message is not None:
        from saccade.cli.console import print_error

        print_error("usage", format_message(), "Show the usage with --help.")


def _fail_interrupted() -> None:
    _fail("Stopped. Unfinished work was rolled back.", "", "stopped", _EXIT_INTERRUPTED)


def _fail(message: str, hint: str, code: str, status: int = 1) -> None:
    from rich.markup import escape

    from saccade.cli.console import err, print_error

    if "--json" in sys.argv:
        print_error(code, message, hint)
    else:
        err.print(f"[bold red]Error:[/] {escape(message)}")
        if hint:
            err.print(f"[dim]{escape(hint)}[/]")
    sys.exit(status)
