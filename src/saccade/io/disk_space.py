"""Full disks: recognising them, and a reserve of space with which data can be deleted nevertheless."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from saccade.io.atomic import create_file

_RESERVE_BYTES = 1 << 20
_MIN_FREE_BYTES = 16 << 20
"""The reserve is created only if the disk has this much space."""
_FULL_DISK_CODES = (errno.ENOSPC, errno.EDQUOT)
_FULL_DISK_TEXTS = (
    "No space left on device",  # libraries that report it as text, such as Lance
    "Disk quota exceeded",
    "database or disk is full",  # SQLite
)


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error, or one that led to it, says that the disk is full."""
    visited: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in visited:
        visited.add(id(current))
        if isinstance(current, OSError) and current.errno in _FULL_DISK_CODES:
            return True
        if any(text in str(current) for text in _FULL_DISK_TEXTS):
            return True
        current = current.__cause__ or current.__context__
    return False


class SpaceReserve:
    """A file that occupies some space, until the disk is full and something has to be deleted.

    Deleting a dataset changes the catalog first, which takes space.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def create(self) -> None:
        """Create the reserve, unless it exists or the disk has little space left."""
        if not self._path.exists() and shutil.disk_usage(self._path.parent).free >= _MIN_FREE_BYTES:
            with suppress(OSError):  # another process creates it
                create_file(self._path, bytes(_RESERVE_BYTES))

    @contextmanager
    def released(self) -> Iterator[None]:
        """Release the reserve if the disk is full, and create it again at the end if possible."""
        if shutil.disk_usage(self._path.parent).free < _RESERVE_BYTES:
            self._path.unlink(missing_ok=True)
        try:
            yield
        finally:
            with suppress(OSError):
                self.create()
