"""Atomic and durable writes of files and folders, and the permissions of files in a workspace."""

from __future__ import annotations

import ctypes
import glob
import os
import platform
import re
import shutil
import sys
import uuid
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO

from saccade.core.errors import ConflictError
from saccade.runtime.permissions import apply_user_umask
from saccade.runtime.process import is_alive, lease_owner_id

PRIVATE_FILE_MODE = 0o600
PUBLIC_FILE_MODE = 0o666
"""For files outside the workspace: the umask of the user decides."""
OUTPUT_MARKER = ".saccade-output"
"""Name of the hidden file in a folder that a later command may replace."""
_FORMER_MARKER = ".saccade-export.json"
"""Name of that file in version 0.1.0. Programs that read all JSON files of a folder would read it."""
_PRIVATE_DIR_MODE = 0o700
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


def make_private_dir(path: Path) -> None:
    """Create a folder and its missing parents so that only their owner has access; existing ones stay as they are."""
    try:
        path.mkdir(_PRIVATE_DIR_MODE, exist_ok=True)
    except FileNotFoundError:
        # mkdir(parents=True) would create the parents with the default mode.
        make_private_dir(path.parent)
        path.mkdir(_PRIVATE_DIR_MODE, exist_ok=True)


def create_file(path: Path, data: bytes) -> None:
    """Write a new private file with as few system calls as possible.

    Raises:
        FileExistsError: the file exists.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, PRIVATE_FILE_MODE)
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


@contextmanager
def atomic_file(path: Path, *, durable: bool = True, mode: int = PRIVATE_FILE_MODE) -> Iterator[IO[bytes]]:
    """Open a temporary file that replaces ``path`` at the end of the block, and is deleted on an exception.

    Args:
        path: the file.
        durable: wait until the content is on the disk. Without, a power cut may leave a damaged file.
        mode: permissions of the file, before the umask.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")  # a rename works only within a file system
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            yield file
        if mode == PUBLIC_FILE_MODE:
            apply_user_umask(temporary)
        if durable:
            atomic_replace(temporary, path)
        else:
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def atomic_write(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a private file; readers see the old content or the new, never a part.

    Args:
        path: the file.
        data: its content.
        durable: wait until the content is on the disk. Without, a power cut may leave a damaged file.
    """
    with atomic_file(path, durable=durable) as file:
        file.write(data)


def check_output_file(path: Path, *, overwrite: bool) -> None:
    """Check before the work that an output can be written to a file.

    Raises:
        ConflictError: the file exists and may not be replaced, or it is a folder.
    """
    if path.is_dir():
        raise ConflictError(f"'{path}' is a folder.", hint="Name a file.")
    if path.exists() and not overwrite:
        raise ConflictError(f"'{path}' already exists.", hint="Choose another name, or replace it with --overwrite.")


def write_output_file(path: Path, text: str, *, overwrite: bool) -> None:
    """Write an output, in UTF-8. The umask of the user decides who may read it, since it is outside the workspace.

    Args:
        path: the file; missing folders are created.
        text: its content.
        overwrite: replace an existing file.

    Raises:
        ConflictError: the file exists and may not be replaced, or it is a folder.
    """
    check_output_file(path, overwrite=overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path, mode=PUBLIC_FILE_MODE) as file:
        file.write(text.encode())


@contextmanager
def atomic_output_dir(destination: Path, *, replaceable: bool = False, overwrite: bool = False) -> Iterator[Path]:
    """Provide a temporary folder whose content becomes ``destination`` at the end, and is deleted on an exception.

    The umask of the user decides who may read it, since it is outside the workspace. A process that is killed leaves
    its temporary folder, which the next export to the same destination deletes.

    Args:
        destination: the folder.
        replaceable: leave a hidden file in it, by which a later call with ``overwrite`` knows that nothing but an
            output is replaced.
        overwrite: replace the content of an output that is replaceable.

    Raises:
        ConflictError: the destination exists, is not an empty folder, and may not be replaced.
    """
    exists = destination.exists()
    _check_replaceable(destination, overwrite)
    # An existing folder may be the current directory or a mount point, which cannot be replaced: fill it instead.
    parent = destination if exists else destination.parent
    prefix = f".{destination.name}-"
    parent.mkdir(parents=True, exist_ok=True)
    _delete_leftovers(prefix, parent)
    temporary = parent / f"{prefix}{lease_owner_id()}-{uuid.uuid4().hex}"
    temporary.mkdir()
    earlier = temporary / ".earlier"
    try:
        yield temporary
        apply_user_umask(temporary)
        if exists:
            outputs = list(temporary.iterdir())
            _move_content(destination, earlier, [path for path in destination.iterdir() if path != temporary])
            try:
                _move_content(temporary, destination, outputs)
            except BaseException:
                _move_content(earlier, destination, list(earlier.iterdir()))
                raise
        else:
            temporary.replace(destination)
        if replaceable:  # last: it marks the time after which a change is the user's
            (destination / OUTPUT_MARKER).touch()
            apply_user_umask(destination / OUTPUT_MARKER)
        fsync_dir(parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _move_content(source: Path, target: Path, paths: Iterable[Path]) -> None:
    """Move entries of a folder to another folder; on an error, those that were moved are moved back."""
    target.mkdir(exist_ok=True)
    moved = []
    try:
        for path in paths:
            path.replace(target / path.name)
            moved.append(path)
    except BaseException:
        for path in moved:
            (target / path.name).replace(source / path.name)
        raise


def _check_replaceable(destination: Path, overwrite: bool) -> None:
    if not destination.exists() or (destination.is_dir() and not any(destination.iterdir())):
        return
    if not any((destination / marker).is_file() for marker in (OUTPUT_MARKER, _FORMER_MARKER)):
        raise ConflictError(
            f"'{destination}' exists and is not an empty folder, nor the output of an earlier command.",
            hint="Name a new or an empty folder.",
        )
    if not overwrite:
        raise ConflictError(
            f"'{destination}' has the output of an earlier command.",
            hint="Name a new or an empty folder, or replace it with --overwrite.",
        )
    changed = _find_changed_file(destination)
    if changed is not None:
        raise ConflictError(
            f"'{destination}' has the output of an earlier command, but '{changed}' was added or changed since.",
            hint="Move it elsewhere, or name a new or an empty folder.",
        )


def _find_changed_file(destination: Path) -> Path | None:
    """Return a file that was added to an output, or changed, after it was written."""
    marker = destination / OUTPUT_MARKER
    if not marker.is_file():  # of version 0.1.0
        return None
    written = marker.stat().st_ctime_ns
    for folder, _, names in os.walk(destination):
        for name in names:
            path = Path(folder, name)
            if path.lstat().st_ctime_ns > written and path != marker:
                return path.relative_to(destination)
    return None


def _delete_leftovers(prefix: str, parent: Path) -> None:
    """Delete the temporary folders that killed processes left of the same destination."""
    for path in parent.glob(f"{glob.escape(prefix)}*"):
        owner_id, _, suffix = path.name.removeprefix(prefix).rpartition("-")
        if suffix and owner_id.count("~") == 2 and is_alive(owner_id) is False:
            shutil.rmtree(path, ignore_errors=True)
