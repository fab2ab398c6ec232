"""Files that are written whole or not at all, and the scratch folder of a process."""

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

from saccade.store.io.process import is_alive, process_identity

_LOCK = "lock"
_SYNC_THREADS = 16
_MANY = 64


def sync_file(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Wait until a folder's list of names is on the disk; systems that cannot open a folder need no such call."""
    if os.name != "nt":
        sync_file(path)


def sync_files(paths: Iterable[Path]) -> None:
    """Wait until files and the folders that name them are on the disk."""
    made = sorted(paths)
    for path in made:
        sync_file(path)
    for folder in sorted({path.parent for path in made}):
        sync_folder(folder)


def sync_many(paths: Collection[Path], folder: Path) -> None:
    """Wait until the contents and names of many files, all on the disk of ``folder``, are on it.

    Linux writes a whole file system to its disk in one go, which for ten thousand files takes a tenth of the time.
    """
    if len(paths) >= _MANY and _sync_disk(folder):
        return
    with ThreadPoolExecutor(_SYNC_THREADS, thread_name_prefix="saccade-sync") as pool:
        list(pool.map(sync_file, paths))
    for parent in {path.parent for path in paths}:
        sync_folder(parent)


def _sync_disk(folder: Path) -> bool:
    """Write the file system of a folder to its disk; False where that cannot be done, or errors would go unseen."""
    if not _reports_errors():
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
def _reports_errors() -> bool:
    """Whether this system has ``syncfs``, and one that says when writing failed (Linux from 5.8 on)."""
    if sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "syncfs"):
        return False
    version = re.match(r"(\d+)\.(\d+)", platform.release())
    return version is not None and (int(version[1]), int(version[2])) >= (5, 8)


def write_new(path: Path, data: bytes) -> None:
    """Write a file that is not there yet, in as few calls of the system as can be; FileExistsError where it is."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)


def put_in_place(temporary: Path, path: Path) -> None:
    """Give a finished temporary file its name, durably and in one step."""
    sync_file(temporary)
    temporary.replace(path)
    sync_folder(path.parent)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file beside its place and then rename it: readers see the old content or the new."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_bytes(data)
        put_in_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _flock(descriptor: int, *, alone: bool) -> bool:
    if os.name == "nt":
        return True  # there is none that can be shared: the folders of writers have to do
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
    except BlockingIOError:
        return False
    except OSError as error:  # a file system without locks
        return error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
    return True


class Scratch:
    """Temporary files of this process, under ``tmp/<process>/``.

    Something in that folder says that the process is in the middle of a write; a folder whose process is dead is
    rubbish. Doctor and the garbage collection rely on both.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def folder(self) -> Path:
        """This process's folder; differs after a fork."""
        return self.root / process_identity()

    @contextmanager
    def path(self) -> Iterator[Path]:
        """A fresh path for one temporary file, which is removed at the end where it is still there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / uuid.uuid4().hex
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    @contextmanager
    def working(self) -> Iterator[Path]:
        """A fresh folder that lasts as long as one write; meanwhile nothing is cleared away."""
        with self._lock(alone=False), self.subfolder() as path:
            yield path

    @contextmanager
    def subfolder(self) -> Iterator[Path]:
        """A fresh folder, which is removed at the end."""
        path = self.folder / uuid.uuid4().hex
        path.mkdir(parents=True)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether nobody is writing; if so, nobody begins to before the end. For clearing away what is not needed."""
        with self._lock(alone=True) as held:
            # A writer without a lock, on a system that has none, is seen by its folder.
            yield held and not self.is_busy()

    @contextmanager
    def _lock(self, *, alone: bool) -> Iterator[bool]:
        """The lock of the workspace, which many may share or one have alone; a process that dies lets go of it.

        Yields whether it is held: whoever wants it alone does not wait, and a system may have no locks.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.root.with_name(_LOCK), os.O_RDWR | os.O_CREAT, 0o666)
        try:
            yield _flock(descriptor, alone=alone)
        finally:
            os.close(descriptor)

    def is_busy(self) -> bool:
        """Whether some process, this one or another, is in the middle of a write."""
        folders = [folder for folder in self.root.glob("*~*~*") if is_alive(folder.name) is not False]
        return any(any(folder.iterdir()) for folder in folders if folder.exists())

    def close(self) -> None:
        with suppress(OSError):  # not made, or still used by another thread
            self.folder.rmdir()
