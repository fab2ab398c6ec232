"""``saccade datasets image``: write an item's image to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saccade.cli.datasets.app import RefArgument, datasets
from saccade.cli.options import WorkspaceOption


@datasets.command("image")
def image(
    ref: RefArgument,
    key: Annotated[str, typer.Argument(help="Key of the item.")],
    out: Annotated[Path, typer.Argument(help="File to write, .png or .jpg.")],
    part: Annotated[
        str | None, typer.Option(metavar="X1,Y1,X2,Y2", help="Crop to this box, in pixels of the full image.")
    ] = None,
    max_size: Annotated[int | None, typer.Option(min=1, help="Scale down to this length of the longer side.")] = None,
    objects: Annotated[bool, typer.Option("--objects/--no-objects", help="Draw the objects.")] = True,
    workspace_path: WorkspaceOption = None,
) -> None:
    """Write an item's image, or a part of it, to a file. Also works for giant images and video frames."""
    from saccade.app.datasets.render_item import render_item
    from saccade.cli.console import print_message, progress_bar
    from saccade.core.errors import ConflictError, InvalidValueError
    from saccade.media.image import encode
    from saccade.runtime.permissions import apply_user_umask
    from saccade.store.workspace import Workspace

    suffix = out.suffix.lower()
    if suffix not in (".png", ".jpg", ".jpeg"):
        raise InvalidValueError(f"Unsupported file type '{out.name}'.", hint="Use .png or .jpg.")
    if out.exists():
        raise ConflictError(f"The file {out} exists already.", hint="Choose another name.")
    region = None if part is None else _parse_region(part)
    with Workspace.find(workspace_path) as workspace, progress_bar(quiet=False) as progress:
        version = workspace.datasets.open(ref)
        pixels = render_item(
            workspace,
            version,
            key,
            region_xyxy=region,
            max_size=max_size,
            with_objects=objects,
            progress=progress,
        )
    out.write_bytes(encode(pixels, "png" if suffix == ".png" else "jpeg"))
    apply_user_umask(out)
    print_message(f"Wrote {out}: {pixels.shape[1]} x {pixels.shape[0]} pixels.")


def _parse_region(text: str) -> tuple[float, float, float, float]:
    from saccade.core.errors import InvalidValueError

    try:
        x1, y1, x2, y2 = (float(number) for number in text.split(","))
    except ValueError:
        raise InvalidValueError(
            f"'{text}' is not a box X1,Y1,X2,Y2.", hint="Give four numbers: --part 100,50,612,562."
        ) from None
    return x1, y1, x2, y2
