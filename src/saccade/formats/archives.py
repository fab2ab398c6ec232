"""ZIP and tar archives as sources: unpacked into a folder, with limits against malicious archives.

Links, absolute paths, '..', names with control characters and second entries of a name are reported and skipped. More
entries, more bytes, or a higher compression ratio than the limits end the unpacking, as do an entry with a password
and a damaged archive. Archives inside an archive are ordinary files.
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
from typing import IO, Literal

from saccade.core.errors import FormatError
from saccade.core.report import ConversionReport, FindingType
from saccade.formats._common.paths import escapes_root, is_printable, normalize_path

_SUFFIXES = {".zip", ".tar", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz"}
_ARCHIVE_ERRORS = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,
)
_CHUNK_BYTES = 1 << 20
_MAX_NAME_BYTES = 1000
# The ratio is checked only beyond this size: small archives of plain images have high ratios.
_MIN_CHECKED_BYTES = 1 << 27

EntryKind = Literal["file", "folder", "link", "other"]
Entry = tuple[str, EntryKind, IO[bytes] | None]


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """Limits of the unpacked content.

    Attributes:
        ratio: unpacked bytes to the archive's size.
    """

    entries: int = 2_000_000
    bytes: int = 1 << 40
    ratio: float = 200.0


LIMITS = ArchiveLimits()


def is_archive(path: Path) -> bool:
    """Whether a file is a ZIP or tar archive, compressed or not, by its name and its content.

    The name counts because an archive may be appended to any file, such as an image.
    """
    if path.suffix.lower() not in _SUFFIXES or not path.is_file():
        return False
    try:
        return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
    except (OSError, *_ARCHIVE_ERRORS):
        return False


def unpack(archive: Path, folder: Path, report: ConversionReport, limits: ArchiveLimits = LIMITS) -> Path:
    """Unpack an archive.

    Args:
        folder: an empty folder.
        report: receives the entries that are skipped.

    Returns:
        ``folder``, or the only folder in it if the archive contains just that.

    Raises:
        FormatError: if the archive is damaged, has a password or exceeds the limits.
    """
    unpacker = _Unpacker(archive, folder, report, limits)
    try:
        with _open_entries(archive) as entries:
            for name, kind, stream in entries:
                unpacker.add(name, kind, stream)
    except _ARCHIVE_ERRORS as error:
        raise FormatError(f"{archive.name} is damaged or of an unsupported kind: {error}.") from None
    except RuntimeError as error:  # raised by zipfile for an entry with a password
        raise FormatError(f"{archive.name} cannot be unpacked: {error}.", hint="Unpack it yourself first.") from None
    # macOS adds this folder with metadata to its archives.
    top_level = [path for path in folder.iterdir() if path.name != "__MACOSX"]
    return top_level[0] if len(top_level) == 1 and top_level[0].is_dir() else folder


@contextmanager
def _open_entries(archive: Path) -> Iterator[Iterator[Entry]]:
    """Iterate over the entries; the content of each must be read before the next."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zip_file:
            yield _zip_entries(zip_file)
    else:
        with tarfile.open(archive, "r:*") as tar_file:
            yield _tar_entries(tar_file)


def _zip_entries(zip_file: zipfile.ZipFile) -> Iterator[Entry]:
    for info in zip_file.infolist():
        if info.is_dir():
            yield info.filename, "folder", None
        elif (info.external_attr >> 28) == 0xA:  # the Unix file type of a symbolic link
            yield info.filename, "link", None
        else:
            with zip_file.open(info) as stream:
                yield info.filename, "file", stream


def _tar_entries(tar_file: tarfile.TarFile) -> Iterator[Entry]:
    for info in tar_file:
        if info.isdir():
            yield info.name, "folder", None
        elif info.issym() or info.islnk():
            yield info.name, "link", None
        elif (stream := tar_file.extractfile(info)) is not None:
            yield info.name, "file", stream
        else:
            yield info.name, "other", None
    # Read on to the end: the checksum of the compression follows the last entry.
    assert tar_file.fileobj is not None
    trailing_bytes = 0
    while chunk := tar_file.fileobj.read(_CHUNK_BYTES):
        trailing_bytes += len(chunk)
        if trailing_bytes > _MIN_CHECKED_BYTES:
            raise tarfile.ReadError("too much data follows its last entry")


def check_entry_name(name: str) -> str:
    """Return why a file of this name, with '/' between its parts, may not be created in a folder; "" if it may."""
    if escapes_root(name):
        return "path in the archive that leads outside"
    is_too_long = len(name.encode("utf-8", "replace")) > _MAX_NAME_BYTES
    if not is_printable(name) or is_too_long or not normalize_path(name):
        return "name with control characters"
    return ""


class _Unpacker:
    """Writes entries into a folder, and enforces the limits."""

    def __init__(self, archive: Path, folder: Path, report: ConversionReport, limits: ArchiveLimits) -> None:
        self._archive = archive
        self._folder = folder
        self._report = report
        self._limits = limits
        self._packed_bytes = max(1, archive.stat().st_size)
        self._entries = 0
        self._bytes = 0

    def add(self, name: str, kind: EntryKind, stream: IO[bytes] | None) -> None:
        self._entries += 1
        if self._entries > self._limits.entries:
            raise self._limit_error(f"more than {self._limits.entries:,} entries")
        if kind == "folder":
            return
        if reason := self._skip_reason(name, kind):
            self._report.add(FindingType.SKIPPED, reason, detail=ascii(name)[:200])
            return
        target = self._folder / normalize_path(name)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as out:
                assert stream is not None
                self._copy(stream, out)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            reason = "second entry of a name in the archive"
            self._report.add(FindingType.SKIPPED, reason, detail=ascii(name)[:200])

    def _skip_reason(self, name: str, kind: EntryKind) -> str:
        if kind != "file":
            return "link in the archive" if kind == "link" else "entry of the archive that is no file"
        return check_entry_name(name)

    def _copy(self, stream: IO[bytes], out: IO[bytes]) -> None:
        while chunk := stream.read(_CHUNK_BYTES):
            self._bytes += len(chunk)
            if self._bytes > self._limits.bytes:
                raise self._limit_error(f"more than {self._limits.bytes:,} bytes")
            if self._bytes > _MIN_CHECKED_BYTES and self._bytes > self._limits.ratio * self._packed_bytes:
                raise self._limit_error(f"more than {self._limits.ratio:g} times its own size")
            out.write(chunk)

    def _limit_error(self, excess: str) -> FormatError:
        free = shutil.disk_usage(self._folder).free
        return FormatError(
            f"{self._archive.name} contains {excess}; it may be malicious.",
            hint=f"If you trust it, unpack it yourself ({free / 1e9:.0f} GB are free) and import the folder.",
        )
