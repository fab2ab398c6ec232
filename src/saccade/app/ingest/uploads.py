"""Uploads: files that a client sends before it starts an import.

An upload is a folder of the workspace: ``upload.json`` names its owner, and ``files`` holds the files. A file appears
complete or not at all, and is synced to disk before it is acknowledged. A file that is sent again is replaced.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from saccade.core.errors import InvalidValueError, NotFoundError, StorageFullError
from saccade.core.text import format_count
from saccade.formats._common.paths import normalize_path
from saccade.formats.archives import check_entry_name, is_archive
from saccade.io.atomic import atomic_write, fsync_many, make_private_dir
from saccade.io.disk_space import is_disk_full
from saccade.store.workspace import Workspace

MAX_REQUEST_BYTES = 1 << 40
_MAX_HEADER_BYTES = 8192
_BATCH_BYTES = 1 << 20
_BATCH_WRITES = 64
_ID = re.compile(r"[0-9a-f]{32}")
_RETENTION_S = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload: its owner, and the number of files and bytes that it has."""

    id: str
    user: str
    files: int
    bytes: int


def create_upload(workspace: Workspace, user: str) -> Upload:
    """Create an empty upload of a user, and delete uploads without changes in the last 7 days."""
    _delete_expired(workspace)
    upload = secrets.token_hex(16)
    folder = _upload_folder(workspace, upload)
    make_private_dir(folder / "files")
    atomic_write(folder / "upload.json", json.dumps({"user": user}).encode())
    return Upload(upload, user, 0, 0)


def get_upload(workspace: Workspace, upload: str, user: str) -> Upload:
    """Return an upload of a user.

    Args:
        workspace: The workspace.
        upload: The id of the upload.
        user: The id of the user.

    Raises:
        NotFoundError: There is no such upload, or it belongs to another user.
    """
    owner = _read_owner(workspace, upload)
    if owner != user:
        raise _not_found(upload)
    files = [path for path in (_upload_folder(workspace, upload) / "files").rglob("*") if path.is_file()]
    return Upload(upload, user, len(files), sum(path.stat().st_size for path in files))


def upload_source(workspace: Workspace, upload: str) -> Path:
    """Return what an import reads: the folder of the upload, or its only file if that is an archive.

    Raises:
        NotFoundError: There is no such upload, or it is empty.
    """
    _read_owner(workspace, upload)
    folder = _upload_folder(workspace, upload) / "files"
    entries = list(folder.iterdir())
    # A browser sends a dropped folder together with its name.
    while len(entries) == 1 and entries[0].is_dir():
        folder = entries[0]
        entries = list(folder.iterdir())
    if not entries:
        raise NotFoundError(f"The upload {upload} is empty.", hint="Send files first.")
    return entries[0] if len(entries) == 1 and is_archive(entries[0]) else folder


def upload_display_name(workspace: Workspace, upload: str) -> str:
    """Return the name of the only file or folder of an upload, or else the number of its files."""
    folder = upload_dir(workspace, upload)
    entries = list(folder.iterdir())
    if len(entries) == 1:
        return entries[0].name
    return format_count(sum(path.is_file() for path in folder.rglob("*")), "file")


def upload_dir(workspace: Workspace, upload: str) -> Path:
    """Return the folder with the files of an upload.

    Raises:
        NotFoundError: There is no such upload.
    """
    _read_owner(workspace, upload)
    return _upload_folder(workspace, upload) / "files"


def delete_upload(workspace: Workspace, upload: str) -> None:
    """Delete an upload and its files."""
    shutil.rmtree(_upload_folder(workspace, upload), ignore_errors=True)


async def receive_files(workspace: Workspace, upload: str, body: AsyncIterator[bytes]) -> int:
    """Receive files from a request body. If it breaks off, the files that are complete are kept.

    Args:
        workspace: The workspace.
        upload: The id of the upload.
        body: The request body. Each file is a line of JSON, ``{"name": "folder/a.jpg", "size": 1234}``, followed by
            its bytes.

    Returns:
        The number of files.

    Raises:
        InvalidValueError: The body is malformed or a file name is not safe.
    """
    folder = _upload_folder(workspace, upload) / "files"
    stream = _UploadStream(body)
    shared = workspace.scratch.shared()
    scratch = await asyncio.to_thread(shared.__enter__)  # may wait for a garbage collection
    received: list[tuple[Path, Path]] = []
    writer = _BatchedWriter()
    try:
        while header := await stream.read_line():
            name, size = _parse_header(header)
            temporary = scratch / str(len(received))
            await writer.append(temporary, b"")  # creates the file, also if it is empty
            async for chunk in stream.iter_bytes(size):
                await writer.append(temporary, chunk)
            received.append((temporary, folder / name))
    finally:
        await asyncio.to_thread(_end_upload, shared, writer, received, folder)
    return len(received)


def _end_upload(
    shared: AbstractContextManager[Path], writer: _BatchedWriter, received: list[tuple[Path, Path]], folder: Path
) -> None:
    try:
        writer.flush()
        _publish_files(received, folder)
    finally:
        shared.__exit__(None, None, None)


class _BatchedWriter:
    """Appends to files in a worker thread, about 1 MiB at a time: a slow disk must not stop the event loop."""

    def __init__(self) -> None:
        self._pending: list[tuple[Path, bytes]] = []
        self._size = 0

    async def append(self, path: Path, data: bytes) -> None:
        self._pending.append((path, data))
        self._size += len(data)
        if self._size >= _BATCH_BYTES or len(self._pending) >= _BATCH_WRITES:
            await asyncio.to_thread(self.flush)

    def flush(self) -> None:
        """Write what was appended, with one open file at a time."""
        pending = self._pending
        self._pending = []
        self._size = 0
        for path, writes in groupby(pending, key=itemgetter(0)):
            with path.open("ab") as file:
                file.writelines(data for _, data in writes)


def _publish_files(received: list[tuple[Path, Path]], folder: Path) -> None:
    """Move complete files from their temporary paths into the upload, and sync them."""
    for temporary, target in received:
        try:
            make_private_dir(target.parent)
            temporary.replace(target)
        except OSError as error:
            if is_disk_full(error):
                raise StorageFullError from error
            raise InvalidValueError(
                f"'{target.relative_to(folder)}' is both a file and a folder in this upload."
            ) from error
    fsync_many([target for _, target in received], folder)


class _UploadStream:
    """Reads lines and blocks of bytes from chunks of any size."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._buffer = b""

    async def _fill_buffer(self) -> bool:
        async for chunk in self._body:
            if chunk:
                self._buffer += chunk
                return True
        return False

    async def read_line(self) -> bytes:
        """Return the next line without its end, or b"" at the end of the stream."""
        while b"\n" not in self._buffer:
            if len(self._buffer) > _MAX_HEADER_BYTES:
                raise InvalidValueError(f"The header of a file has more than {_MAX_HEADER_BYTES:,} bytes.")
            if not await self._fill_buffer():
                if self._buffer:
                    raise InvalidValueError("The request body ends within the header of a file.")
                return b""
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    async def iter_bytes(self, size: int) -> AsyncIterator[bytes]:
        """Yield ``size`` bytes in chunks. Raises InvalidValueError if the stream ends before."""
        remaining = size
        while remaining:
            if not self._buffer and not await self._fill_buffer():
                raise InvalidValueError(f"A file ends {remaining:,} bytes too early.", hint="Send it again.")
            chunk = self._buffer[:remaining]
            self._buffer = self._buffer[remaining:]
            remaining -= len(chunk)
            yield chunk


def _parse_header(line: bytes) -> tuple[str, int]:
    try:
        header = json.loads(line)
        name, size = header["name"], header["size"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise _invalid_header() from None
    if not isinstance(name, str) or type(size) is not int or not 0 <= size <= MAX_REQUEST_BYTES:
        raise _invalid_header()
    if reason := check_entry_name(name):
        raise InvalidValueError(
            f"The file name {ascii(name)[:200]} is not allowed: {reason.replace('archive', 'upload')}."
        )
    return normalize_path(name), size


def _invalid_header() -> InvalidValueError:
    return InvalidValueError('Each file must begin with a line such as {"name": "a.jpg", "size": 1234}.')


def _upload_folder(workspace: Workspace, upload: str) -> Path:
    if not _ID.fullmatch(upload):
        raise _not_found(upload)
    return workspace.jobs_dir / "uploads" / upload


def _read_owner(workspace: Workspace, upload: str) -> str:
    try:
        info = json.loads((_upload_folder(workspace, upload) / "upload.json").read_bytes())
    except OSError:
        raise _not_found(upload) from None
    return str(info["user"] if "user" in info else info["person"])  # version 0.1.0 wrote "person"


def _not_found(upload: str) -> NotFoundError:
    return NotFoundError(f"There is no upload {ascii(upload)[:80]}.", hint="Create one: POST /uploads.")


def _delete_expired(workspace: Workspace) -> None:
    uploads = workspace.jobs_dir / "uploads"
    for folder in uploads.iterdir() if uploads.exists() else ():
        changed_at = folder.stat().st_mtime
        if folder.is_dir():
            changed_at = max(changed_at, (folder / "files").stat().st_mtime)
        if time.time() - changed_at > _RETENTION_S:
            shutil.rmtree(folder, ignore_errors=True)
