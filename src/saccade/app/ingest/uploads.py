"""Uploads: files that somebody sends, kept until they are imported.

An upload is a folder of the workspace. A file of it is there whole or not at all, and on the disk before it is
acknowledged; sent again under its name, it is replaced.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from saccade.core.errors import InvalidValueError, NotFoundError
from saccade.formats._common.paths import normal
from saccade.formats.archives import is_archive, refusal_of
from saccade.store.io.atomic import sync_many, write_whole
from saccade.store.workspace import Workspace

LARGEST = 1 << 40
"""Bytes of a whole request."""
_LONGEST_HEAD = 8192
_ID = re.compile(r"[0-9a-f]{32}")
_KEPT = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Upload:
    """Whose upload it is, and how many files and bytes are there."""

    id: str
    person: str
    files: int
    bytes: int


def new_upload(workspace: Workspace, person: str) -> Upload:
    """An empty upload of somebody; forgotten ones of a week ago go."""
    _forget_old(workspace)
    upload = secrets.token_hex(16)
    folder = _folder(workspace, upload)
    (folder / "files").mkdir(parents=True)
    write_whole(folder / "upload.json", json.dumps({"person": person}).encode())
    return Upload(upload, person, 0, 0)


def find_upload(workspace: Workspace, upload: str, person: str) -> Upload:
    """An upload of somebody; NotFoundError where there is none, and where it is somebody else's."""
    owner = _owner(workspace, upload)
    if owner != person:
        raise _unknown(upload)
    files = [one for one in (_folder(workspace, upload) / "files").rglob("*") if one.is_file()]
    return Upload(upload, person, len(files), sum(one.stat().st_size for one in files))


def source_of(workspace: Workspace, upload: str) -> Path:
    """What an import is to read: the folder of an upload, or the one file in it that stands for all, as an archive."""
    _owner(workspace, upload)
    folder = _folder(workspace, upload) / "files"
    inside = list(folder.iterdir())
    while len(inside) == 1 and inside[0].is_dir():  # a folder that was dropped as a whole
        folder = inside[0]
        inside = list(folder.iterdir())
    if not inside:
        raise NotFoundError("Nothing has been uploaded.", hint="Send files first.")
    return inside[0] if len(inside) == 1 and is_archive(inside[0]) else folder


def name_of_upload(workspace: Workspace, upload: str) -> str:
    """What to call an upload: by the one file or folder that was sent, or else by how many files there are."""
    folder = folder_of_upload(workspace, upload)
    inside = list(folder.iterdir())
    if len(inside) == 1:
        return inside[0].name
    return f"{sum(one.is_file() for one in folder.rglob('*')):,} files"


def folder_of_upload(workspace: Workspace, upload: str) -> Path:
    """Where the files of an upload lie; NotFoundError where there is none."""
    _owner(workspace, upload)
    return _folder(workspace, upload) / "files"


def remove_upload(workspace: Workspace, upload: str) -> None:
    """Let its files go."""
    shutil.rmtree(_folder(workspace, upload), ignore_errors=True)


async def receive(workspace: Workspace, upload: str, body: AsyncIterator[bytes]) -> int:
    """Take in files from one stream; how many. After an error those that came whole before it are there.

    Each file is a line of JSON, ``{"name": "folder/a.jpg", "size": 1234}``, and then its bytes.
    """
    folder = _folder(workspace, upload) / "files"
    stream = _Stream(body)
    with workspace.scratch.working() as scratch:
        arrived: list[tuple[Path, Path]] = []
        try:
            while head := await stream.line():
                name, size = _head(head)
                place = scratch / str(len(arrived))
                with place.open("xb") as out:
                    async for piece in stream.bytes(size):
                        out.write(piece)
                arrived.append((place, folder / name))
        finally:
            _put(arrived, folder, scratch)
    return len(arrived)


def _put(arrived: list[tuple[Path, Path]], folder: Path, scratch: Path) -> None:
    whole = [(place, target) for place, target in arrived if place.exists()]
    for place, target in whole:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            place.replace(target)
        except OSError as error:
            raise InvalidValueError(
                f"There is a file where a folder is to be, or the other way round: {target.relative_to(folder)}."
            ) from error
    sync_many([target for _, target in whole], folder)


class _Stream:
    """Lines and bytes from pieces of any size."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body, self._rest = body, b""

    async def _more(self) -> bool:
        async for piece in self._body:
            if piece:
                self._rest += piece
                return True
        return False

    async def line(self) -> bytes:
        """The next line, b"" at the end."""
        while b"\n" not in self._rest:
            if len(self._rest) > _LONGEST_HEAD:
                raise InvalidValueError("The line before a file is too long.")
            if not await self._more():
                if self._rest:
                    raise InvalidValueError("The files end in the middle of a line.")
                return b""
        head, _, self._rest = self._rest.partition(b"\n")
        return head

    async def bytes(self, size: int) -> AsyncIterator[bytes]:
        """So many bytes, piece by piece; InvalidValueError where they end before."""
        left = size
        while left:
            if not self._rest and not await self._more():
                raise InvalidValueError(f"A file ends {left:,} bytes too early.", hint="Send it again.")
            piece, self._rest = self._rest[:left], self._rest[left:]
            left -= len(piece)
            yield piece


def _head(line: bytes) -> tuple[str, int]:
    try:
        given = json.loads(line)
        name, size = given["name"], given["size"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise InvalidValueError('Each file begins with a line such as {"name": "a.jpg", "size": 1234}.') from None
    if not isinstance(name, str) or type(size) is not int or not 0 <= size <= LARGEST:
        raise InvalidValueError('Each file begins with a line such as {"name": "a.jpg", "size": 1234}.')
    if reason := refusal_of(name):
        raise InvalidValueError(f"The file {ascii(name)[:200]} cannot be taken: {reason.replace('archive', 'upload')}.")
    return normal(name), size


def _folder(workspace: Workspace, upload: str) -> Path:
    if not _ID.fullmatch(upload):
        raise _unknown(upload)
    return workspace.left / "uploads" / upload


def _owner(workspace: Workspace, upload: str) -> str:
    try:
        return str(json.loads((_folder(workspace, upload) / "upload.json").read_bytes())["person"])
    except OSError:
        raise _unknown(upload) from None


def _unknown(upload: str) -> NotFoundError:
    return NotFoundError(f"There is no upload {ascii(upload)[:80]}.", hint="Begin one: POST /uploads.")


def _forget_old(workspace: Workspace) -> None:
    folder = workspace.left / "uploads"
    for one in folder.iterdir() if folder.exists() else ():
        if time.time() - max(one.stat().st_mtime, (one / "files").stat().st_mtime if one.is_dir() else 0) > _KEPT:
            shutil.rmtree(one, ignore_errors=True)
