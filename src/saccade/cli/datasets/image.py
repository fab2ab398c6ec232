"""``saccade datasets picture``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saccade.cli.datasets.app import Ref, datasets
from saccade.cli.options import WorkspaceOption


@datasets.command("picture")
def picture(
    ref: Ref,
    key: Annotated[str, typer.Argument(help="The key of the item.")],
    out: Annotated[Path, typer.Argument(help="The file to write, .png or .jpg.")],
    part: Annotated[
        str | None, typer.Option(metavar="X1,Y1,X2,Y2", help="Only this part, in pixels of the whole image.")
    ] = None,
    max_size: Annotated[int | None, typer.Option(min=1, help="The longest side; larger is scaled down.")] = None,
    objects: Annotated[bool, typer.Option("--objects/--no-objects", help="Draw the objects over it.")] = True,
    workspace: WorkspaceOption = None,
) -> None:
    """Write an item's image, or a part of it, with its objects; also of giant images and frames of videos."""
    from saccade.app.datasets import render_item
    from saccade.cli.console import progress, say
    from saccade.core.errors import ConflictError, InvalidValueError
    from saccade.media.image import encode
    from saccade.store.workspace import Workspace

    format = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg"}.get(out.suffix.lower())
    if format is None:
        raise InvalidValueError(f"A picture is written as .png or .jpg, not as '{out.name}'.")
    if out.exists():
        raise ConflictError(f"There is already a file {out}.", hint="Choose another name.")
    box = None if part is None else _box(part)
    with Workspace.find(workspace) as found, progress(quiet=False) as bar:
        version = found.datasets.open(ref)
        pixels = render_item.picture(
            found, version, key, box_xyxy=box, max_size=max_size, objects=objects, progress=bar
        )
    out.write_bytes(encode(pixels, "png" if format == "png" else "jpeg"))
    say(f"Written to {out}: {pixels.shape[1]} x {pixels.shape[0]} pixels.")


def _box(text: str) -> tuple[float, float, float, float]:
    from saccade.core.errors import InvalidValueError

    try:
        x1, y1, x2, y2 = (float(number) for number in text.split(","))
    except ValueError:
        raise InvalidValueError(
            f"'{text}' is no part of an image.", hint="Give four numbers: --part 100,50,612,562."
        ) from None
    return x1, y1, x2, y2
