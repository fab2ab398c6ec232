"""``saccade demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saccade.cli.options import JsonOption, QuietOption


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)


def demo(
    folder: Annotated[Path, typer.Argument(help="A new folder, or one that an earlier demo made.")] = Path(
        "demo-workspace"
    ),
    scenes: Annotated[int, typer.Option(min=10, help="How many harbours to make.")] = 60,
    images: Annotated[int, typer.Option(min=1, help="Pictures of each harbour.")] = 5,
    epochs: Annotated[int | None, typer.Option(min=1, help="Train for so long.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="Another seed makes another world.")] = 0,
    serve: Annotated[bool, typer.Option(help="Serve the workspace at the end.")] = True,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to serve it; another where that is taken.")] = 8080,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """The whole loop on made satellite pictures: import, split, train, evaluate, promote, predict; then the server.

    With --json it ends before the server.
    """
    from saccade.cli.console import print_json, progress, say
    from saccade.demo.demo import run_demo

    def tell(text: str) -> None:
        if not json:
            say(text)

    with progress(quiet or json) as shown:
        result = run_demo(folder, scenes=scenes, images=images, epochs=epochs, seed=seed, tell=tell, progress=shown)
    if json:
        print_json(result)
    elif serve:
        _serve(folder, port)


def _serve(folder: Path, port: int) -> None:
    from saccade.cli.server.serve import serve_workspace
    from saccade.server.run import HOST, is_free
    from saccade.store.workspace import Workspace

    with Workspace.open(folder) as workspace:
        serve_workspace(workspace, HOST, port if is_free(HOST, port) else 0)
