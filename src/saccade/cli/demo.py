"""``saccade demo``: the whole loop on synthetic images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saccade.cli.options import JsonOption, QuietOption


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)


def demo(
    folder: Annotated[Path, typer.Argument(help="A new folder, or that of an earlier demo.")] = Path("demo-workspace"),
    scenes: Annotated[int, typer.Option(min=10, help="Number of harbour scenes to generate.")] = 60,
    images: Annotated[int, typer.Option(min=1, help="Number of images of each scene.")] = 5,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of training epochs; by default about two minutes of them.", show_default=False
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=32, help="Width and height of the model's input; by default what suits the machine.", show_default=False
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the scenes.")] = 0,
    serve: Annotated[bool, typer.Option(help="Start the server at the end.")] = True,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the server; a free one if it is in use.")] = 8080,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run the whole loop on synthetic satellite images: import, split, train, evaluate, promote, predict, serve.

    With --json it exits before the server starts.
    """
    from saccade.cli.console import LineProgress, print_json, print_message, progress_bar
    from saccade.demo.demo import run_demo

    def log(text: str) -> None:
        if not as_json:
            print_message(text)

    with progress_bar(quiet or as_json) as bar:
        result = run_demo(
            folder,
            scenes=scenes,
            images=images,
            epochs=epochs,
            size=size,
            seed=seed,
            log=log,
            progress=bar if bar or quiet or as_json else LineProgress(),  # without a terminal there is no bar
        )
    if as_json:
        print_json(result)
    elif serve:
        _serve(folder, port)


def _serve(folder: Path, port: int) -> None:
    from saccade.cli.server.serve import serve_workspace
    from saccade.server.run import DEFAULT_HOST, is_port_free
    from saccade.store.workspace import Workspace

    with Workspace.open(folder) as workspace:
        serve_workspace(workspace, DEFAULT_HOST, port if is_port_free(DEFAULT_HOST, port) else 0)
