"""Folders that are written as a whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from saccade.core.errors import ConflictError


@contextmanager
def new_folder(destination: Path) -> Iterator[Path]:
    """A folder to write into, which becomes ``destination`` at the end, or goes without a trace after an exception.

    ConflictError where ``destination`` is there and not an empty folder.
    """
    there = destination.exists()
    if there and (not destination.is_dir() or any(destination.iterdir())):
        raise ConflictError(f"{destination} is there and not an empty folder.", hint="Name a new or an empty folder.")
    # A folder that is there already may be the current one or a mount, which nothing can take the place of.
    around = destination if there else destination.parent
    around.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f".{destination.name}-", dir=around))
    try:
        yield making
        if there:
            for path in list(making.iterdir()):
                path.replace(destination / path.name)
        else:
            making.chmod(0o755)
            making.replace(destination)
    finally:
        shutil.rmtree(making, ignore_errors=True)
