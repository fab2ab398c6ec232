"""The program ``saccade``: gathers the commands, and turns errors into messages and exit codes."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Annotated

import typer

app = typer.Typer(
    name="saccade",
    help="The computer-vision loop in one program: import, version, train, evaluate, predict, and round again.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS = (
    "demo",
    "admin.init",
    "datasets.import_",
    "datasets.export",
    "datasets",
    "ml.train",
    "ml.evaluate",
    "ml.predict",
    "pipelines.run",
    "pipelines.explain",
    "pipelines.operations",
    "ml.models",
    "pipelines.runs",
    "server.jobs",
    "server.serve",
    "server.worker",
    "server.panels",
    "admin.users",
    "admin.projects",
    "server.webhooks",
    "admin.doctor",
    "admin.gc",
    "admin.backup",
)


_INTERRUPTED = 130
_STOPPED = ("Stopped; what was not finished is as it was before.", "", "stopped", _INTERRUPTED)


def _version(wanted: bool) -> None:
    if wanted:
        from saccade import __version__

        typer.echo(f"saccade {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
    project: Annotated[
        str | None, typer.Option("--project", envvar="SACCADE_PROJECT", help="The project to work in.")
    ] = None,
) -> None:
    if project:
        os.environ["SACCADE_PROJECT"] = project  # for the processes that are begun too


for _name in COMMANDS:
    import_module(f"saccade.cli.{_name}").register(app)


def main() -> None:
    """Run the program; an error is a message on standard error and an exit code of 1, Ctrl-C one of 130."""
    from saccade.core.errors import SaccadeError
    from saccade.runtime.signals import interrupts_known

    try:
        with interrupts_known():
            app()
    except SaccadeError as error:
        _fail(error.message, error.hint, error.code)
    except KeyboardInterrupt:
        _fail(*_STOPPED)
    except SystemExit as end:
        if end.code == _INTERRUPTED:  # Typer turns Ctrl-C into it without a word
            _fail(*_STOPPED)
        _tell_programs(end)
        raise
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "torchvision", "timm", "safetensors", "accelerate", "tensorboard"):
            raise
        _fail(
            f"This needs '{error.name}', which is not installed.", "Install it: pip install 'saccade[train]'", "extra"
        )
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        _fail(f"{error.strerror or error}{place}.", "Check the disk and its permissions, then `saccade doctor`.", "io")


def _tell_programs(end: SystemExit) -> None:
    """Wrong usage, which Typer has told people on standard error, as JSON for those who asked for that."""
    told = getattr(end.__context__, "format_message", None)
    if "--json" in sys.argv and told is not None:
        from saccade.cli.console import print_error

        print_error("usage", told(), "See the command with --help.")


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
