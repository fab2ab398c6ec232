"""Atomic and durable file writes, and the scratch folder of a process."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import re
import shutil
import sys
import uuid
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from saccade.store.io.process import is_alive, lease_owner_id

_LOCK_FILE = "lock"
_FSYNC_THREADS = 16
_MIN_FILES_FOR_SYNCFS = 64


def fsync_file(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_dir(path: Path) -> None:
    """Wait until the entries of a folder are on the disk."""
    if os.name != "nt":  # Windows cannot open a folder, and does not need this
        fsync_file(path)


def fsync_files(paths: Iterable[Path]) -> None:
    """Wait until files and their folder entries are on the disk."""
    files = sorted(paths)
    for path in files:
        fsync_file(path)
    for folder in sorted({path.parent for path in files}):
        fsync_dir(folder)


def fsync_many(paths: Collection[Path], folder: Path) -> None:
    """Wait until many files and their folder entries are on the disk.

    Args:
        paths: the files, all on the same file system as ``folder``.
        folder: any folder of that file system.
    """
    # Linux can flush a whole file system in one call; for ten thousand files that takes a tenth of the time.
    if len(paths) >= _MIN_FILES_FOR_SYNCFS and _syncfs(folder):
        return
    with ThreadPoolExecutor(_FSYNC_THREADS, thread_name_prefix="saccade-sync") as pool:
        list(pool.map(fsync_file, paths))
    for parent in {path.parent for path in paths}:
        fsync_dir(parent)


def _syncfs(folder: Path) -> bool:
    """Flush the file system of a folder; returns False if the system cannot, or would not report errors."""
    if not _syncfs_reports_errors():
        return False
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folder))
    finally:
        os.close(descriptor)
    return True


@lru_cache(maxsize=1)
def _syncfs_reports_errors() -> bool:
    """Return whether ``syncfs`` exists and reports failed writes (Linux 5.8 and later)."""
    if sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "syncfs"):
        return False
    version = re.match(r"(\d+)\.(\d+)", platform.release())
    return version is not None and (int(version[1]), int(version[2])) >= (5, 8)


def create_file(path: Path, data: bytes) -> None:
    """Write a new file, which only its owner can read, with as few system calls as possible.

    Raises:
        FileExistsError: the file exists.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)


def atomic_replace(temporary: Path, path: Path) -> None:
    """Rename a finished temporary file to ``path``, durably and in one step."""
    fsync_file(temporary)  # before the rename, or a crash could leave the name with an empty file
    temporary.replace(path)
    fsync_dir(path.parent)


def atomic_write(path: Path, data: bytes) -> None:
    """Write a file durably; readers see the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        create_file(temporary, data)  # in the same folder, because a rename works only within a file system
        atomic_replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
        self.folder.mkdir(parents=True, exist_ok=True)
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
        path.mkdir(parents=True)
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
        self.root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.root.with_name(_LOCK_FILE), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            yield _flock(descriptor, exclusive=exclusive)
        finally:
            os.close(descriptor)

    def is_locked(self) -> bool:
        """Return whether any live process, including this one, is in the middle of a write."""
        folders = [folder for folder in self.root.glob("*~*~*") if is_alive(folder.name) is not False]
        return any(any(folder.iterdir()) for folder in folders if folder.exists())

    def close(self) -> None:
        with suppress(OSError):  # the folder was never created, or another thread still uses it
            self.folder.rmdir()
