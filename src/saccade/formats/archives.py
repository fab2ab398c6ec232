"""ZIP and tar archives as sources: unpacked into a folder, with nothing let out of it and within limits.

Links, absolute paths and ``..`` are set aside and reported, as are names with control characters and a second entry of
a name. What ends the reading: more entries, more bytes, or a higher ratio of unpacked to packed bytes than the limits,
an entry with a password, a damaged archive. Archives inside an archive are files like any other.
"""

from __future__ import annotations

import gzip
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from saccade.core.errors import FormatError
from saccade.core.report import Action, Report
from saccade.formats._common.paths import is_plain_name, leaves_folder, normal

_SUFFIXES = {".zip", ".tar", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz"}
_DAMAGES = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,
)
_PIECE = 1 << 20
_TRUSTED = 1 << 27
"""Bytes that may come out whatever the ratio; small archives of flat pictures shrink a great deal."""


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """How much may come out of an archive."""

    entries: int = 2_000_000
    bytes: int = 1 << 40
    ratio: float = 200.0


LIMITS = ArchiveLimits()


def is_archive(path: Path) -> bool:
    """Whether a file is a ZIP or a tar archive, compressed or not, by its name and by what it holds.

    The name counts because anything may be appended to a picture, an archive too.
    """
    if path.suffix.lower() not in _SUFFIXES or not path.is_file():
        return False
    try:
        return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
    except (OSError, *_DAMAGES):
        return False


def unpack(archive: Path, folder: Path, report: Report, limits: ArchiveLimits = LIMITS) -> Path:
    """Unpack into an empty folder; returns it, or the only folder in it where the archive holds just that.

    FormatError where the archive is damaged, has a password or is beyond the limits.
    """
    writer = _Writer(archive, folder, report, limits)
    try:
        with _entries(archive) as entries:
            for name, kind, stream in entries:
                writer.add(name, kind, stream)
    except _DAMAGES as error:
        raise FormatError(f"{archive.name} is damaged or of a kind that cannot be read: {error}.") from None
    except RuntimeError as error:  # what zipfile raises for an entry with a password
        raise FormatError(f"{archive.name} cannot be unpacked: {error}.", hint="Unpack it yourself first.") from None
    inside = [path for path in folder.iterdir() if path.name != "__MACOSX"]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


Entry = tuple[str, str, IO[bytes] | None]


@contextmanager
def _entries(archive: Path) -> Iterator[Iterator[Entry]]:
    """The entries as name, kind ("file", "folder", "link" or "other") and content, which is read before the next."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            yield _of_zip(packed)
    else:
        with tarfile.open(archive, "r:*") as tar:
            yield _of_tar(tar)


def _of_zip(packed: zipfile.ZipFile) -> Iterator[Entry]:
    for info in packed.infolist():
        if info.is_dir():
            yield info.filename, "folder", None
        elif (info.external_attr >> 28) == 0xA:  # Unix's file type of a symbolic link
            yield info.filename, "link", None
        else:
            with packed.open(info) as stream:
                yield info.filename, "file", stream


def _of_tar(tar: tarfile.TarFile) -> Iterator[Entry]:
    for info in tar:
        if info.isdir():
            yield info.name, "folder", None
        elif info.issym() or info.islnk():
            yield info.name, "link", None
        elif (stream := tar.extractfile(info)) is not None:
            yield info.name, "file", stream
        else:
            yield info.name, "other", None
    # The checksum of the compression stands at the end of the file, behind the last entry.
    assert tar.fileobj is not None
    rest = 0
    while piece := tar.fileobj.read(_PIECE):
        rest += len(piece)
        if rest > _TRUSTED:
            raise tarfile.ReadError("much follows its last entry")


def refusal_of(name: str) -> str:
    """Why no file of this name, with '/' between its parts, may be made in a folder; "" where it may."""
    if leaves_folder(name):
        return "path in the archive that leads outside"
    if not is_plain_name(name) or len(name.encode("utf-8", "replace")) > 1000 or not normal(name):
        return "name with control characters"
    return ""


class _Writer:
    """Writes entries below a folder and keeps count."""

    def __init__(self, archive: Path, folder: Path, report: Report, limits: ArchiveLimits) -> None:
        self._archive, self._folder, self._report, self._limits = archive, folder, report, limits
        self._packed = max(1, archive.stat().st_size)
        self._count = self._bytes = 0

    def add(self, name: str, kind: str, stream: IO[bytes] | None) -> None:
        self._count += 1
        if self._count > self._limits.entries:
            raise self._too_much(f"more than {self._limits.entries:,} entries")
        if kind == "folder":
            return
        reason = self._refusal(name, kind)
        if reason:
            self._report.add(Action.SET_ASIDE, reason, detail=ascii(name)[:200])
            return
        target = self._folder / normal(name)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as out:
                assert stream is not None
                self._copy(stream, out)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            self._report.add(Action.SET_ASIDE, "second entry of a name in the archive", detail=ascii(name)[:200])

    def _refusal(self, name: str, kind: str) -> str:
        if kind != "file":
            return "link in the archive" if kind == "link" else "entry of the archive that is no file"
        return refusal_of(name)

    def _copy(self, stream: IO[bytes], out: IO[bytes]) -> None:
        while piece := stream.read(_PIECE):
            self._bytes += len(piece)
            if self._bytes > self._limits.bytes:
                raise self._too_much(f"more than {self._limits.bytes:,} bytes")
            if self._bytes > _TRUSTED and self._bytes > self._limits.ratio * self._packed:
                raise self._too_much(f"more than {self._limits.ratio:g} times its own size")
            out.write(piece)

    def _too_much(self, what: str) -> FormatError:
        free = shutil.disk_usage(self._folder).free
        return FormatError(
            f"{self._archive.name} holds {what}, which is how archives attack.",
            hint=f"If you trust it, unpack it yourself ({free / 1e9:.0f} GB are free) and import the folder.",
        )
