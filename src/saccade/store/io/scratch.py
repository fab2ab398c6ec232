"""The scratch folder of a process, and the workspace lock."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from saccade.io.atomic import PRIVATE_FILE_MODE, make_private_dir
from saccade.runtime.process import host_name, is_alive, lease_owner_id

_LOCK_FILE = "lock"


def _flock(descriptor: int, *, exclusive: bool) -> bool:
    if os.name == "nt":
        return True  # Windows has no shared locks: there the folders of the writers have to be enough
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if exclusive else fcntl.LOCK_SH)
    except BlockingIOError:
        return False
    except OSError as error:  # file systems without locks
        return error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
    return True


class ScratchDir:
    """Temporary files of this process, in ``tmp/<lease owner id>/``, and the workspace lock.

    A file in that folder means that the process is in the middle of a write; the folder of a dead process is garbage.
    Doctor and the garbage collection rely on both.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def folder(self) -> Path:
        """The folder of this process; it differs after a fork."""
        return self.root / lease_owner_id()

    @contextmanager
    def path(self) -> Iterator[Path]:
        """Yield a new path for one temporary file, which is deleted at the end if it still exists."""
        make_private_dir(self.folder)
        path = self.folder / uuid.uuid4().hex
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    @contextmanager
    def shared(self) -> Iterator[Path]:
        """Hold the shared lock of a writer, during which nothing is garbage-collected; yields a temporary folder."""
        with self._lock(exclusive=False), self.subfolder() as path:
            yield path

    @contextmanager
    def subfolder(self) -> Iterator[Path]:
        """Yield a new temporary folder, which is deleted at the end."""
        path = self.folder / uuid.uuid4().hex
        make_private_dir(path)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def exclusive(self) -> Iterator[bool]:
        """Try to take the exclusive lock of garbage collection without waiting; new writers wait until the end.

        Yields whether there are no other writers.
        """
        with self._lock(exclusive=True) as acquired:
            # On a system without locks a writer is recognised by its folder.
            yield acquired and not self.is_locked()

    @contextmanager
    def _lock(self, *, exclusive: bool) -> Iterator[bool]:
        """Lock the workspace; the lock of a process that dies is released.

        Yields whether the lock was acquired. Only the shared lock waits. Systems without locks count as acquired.
        """
        make_private_dir(self.root)
        descriptor = os.open(self.root.with_name(_LOCK_FILE), os.O_RDWR | os.O_CREAT, PRIVATE_FILE_MODE)
        try:
            yield _flock(descriptor, exclusive=exclusive)
        finally:
            os.close(descriptor)

    def is_locked(self) -> bool:
        """Return whether any live process, including this one, is in the middle of a write."""
        folders = [folder for folder in self.root.glob("*~*~*") if is_alive(folder.name) is not False]
        return any(any(folder.iterdir()) for folder in folders if folder.exists())

    def remove_folders_of(self, pid: int) -> None:
        """Delete the folders that a process of this machine left, unless it is alive."""
        for folder in self.root.glob(f"{host_name()}~{pid}~*"):
            if is_alive(folder.name) is False:
                shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        with suppress(OSError):  # the folder was never created, or another thread still uses it
            self.folder.rmdir()
