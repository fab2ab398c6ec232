"""Output folders that appear completely or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from saccade.core.errors import ConflictError
from saccade.runtime.permissions import apply_user_umask
from saccade.store.io.process import is_alive, lease_owner_id


@contextmanager
def atomic_output_dir(destination: Path) -> Iterator[Path]:
    """Provide a temporary folder whose content becomes ``destination`` at the end, and is deleted on an exception.

    A process that is killed leaves its temporary folder, which the next export to the same destination deletes.

    Raises:
        ConflictError: The destination exists and is not an empty folder.
    """
    exists = destination.exists()
    if exists and (not destination.is_dir() or any(destination.iterdir())):
        raise ConflictError(f"{destination} exists and is not an empty folder.", hint="Name a new or an empty folder.")
    # An existing folder may be the current directory or a mount point, which cannot be replaced: fill it instead.
    parent = destination if exists else destination.parent
    parent.mkdir(parents=True, exist_ok=True)
    _delete_leftovers(destination.name, parent)
    temporary = Path(tempfile.mkdtemp(prefix=f".{destination.name}-{lease_owner_id()}-", dir=parent))
    try:
        yield temporary
        if exists:
            for path in list(temporary.iterdir()):
                apply_user_umask(path)
                path.replace(destination / path.name)
        else:
            temporary.chmod(0o755)  # a temporary folder is private
            apply_user_umask(temporary)
            temporary.replace(destination)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _delete_leftovers(name: str, parent: Path) -> None:
    """Delete the temporary folders that killed processes left of the same destination."""
    prefix = f".{name}-"
    for path in parent.iterdir():
        owner_id, _, suffix = path.name.removeprefix(prefix).rpartition("-")
        if path.name.startswith(prefix) and suffix and owner_id.count("~") == 2 and is_alive(owner_id) is False:
            shutil.rmtree(path, ignore_errors=True)
