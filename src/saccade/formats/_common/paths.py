"""The files of a source folder, listed without leaving it, and the keys that their names give."""

from __future__ import annotations

import os
import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import numpy as np
import numpy.typing as npt

from saccade.core.errors import FormatError
from saccade.core.report import ConversionReport, FindingType
from saccade.formats._common.source_files import current_read_files
from saccade.formats._common.spill import SpillDict, SpillSet

IMAGE_EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp"}
    | {".ppm", ".pgm", ".pbm", ".jp2", ".j2k", ".avif", ".heic"}
)
VIDEO_EXTENSIONS = frozenset(
    {".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".vob"}
    | {".flv", ".ogv", ".ogg", ".wmv", ".asf", ".mxf"}
)
SPLIT_NAMES = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})

# Paths that are compressed together, and the number of paths up to which membership uses a set.
_BLOCK_PATHS = 4096
_MAX_IN_MEMORY = 65_536
# Control characters, and the lone surrogates by which Python represents bytes that are not UTF-8.
_NOT_PRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


_SURROGATE = re.compile("[\ud800-\udfff]")


def normal_form(text: str) -> str:
    """Return the composed form of a text, which is equal for all spellings of the same characters (Unicode NFC)."""
    return unicodedata.normalize("NFC", text)


def is_printable(name: str) -> bool:
    """Whether a name is Unicode text without control characters."""
    return not _NOT_PRINTABLE.search(name)


def replace_surrogates(text: str) -> str:
    """Replace lone surrogates, which no encoding can express, by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def is_image_name(name: str) -> bool:
    """Whether a file name has the extension of an image."""
    return _has_extension(name, IMAGE_EXTENSIONS)


def is_video_name(name: str) -> bool:
    """Whether a file name has the extension of a video."""
    return _has_extension(name, VIDEO_EXTENSIONS)


def _has_extension(name: str, extensions: frozenset[str]) -> bool:
    stem, dot, extension = name.rpartition(".")
    return f"{dot}{extension}".lower() in extensions and stem.rpartition("/")[2] != ""


def strip_extension(relative: str) -> str:
    """Return a path, with '/' between its parts, without its extension.

    >>> strip_extension("a/b.c.jpg")
    'a/b.c'
    """
    folder, slash, name = relative.rpartition("/")
    return folder + slash + (name.rpartition(".")[0] or name)


def escapes_root(name: str) -> bool:
    """Whether a path from a label file is absolute or contains '..'."""
    unified = name.replace("\\", "/")
    return unified.startswith("/") or bool(re.match("[A-Za-z]:/", unified)) or ".." in unified.split("/")


def normalize_path(relative: str) -> str:
    """Return a relative path with '/' between its parts, without '.' and empty parts."""
    return "/".join(part for part in relative.replace("\\", "/").split("/") if part not in ("", "."))


class PathList:
    """A compressed list of distinct paths without control characters; a million take about ten megabytes.

    Membership in a large list is tested by 64-bit hashes. Two of a million paths have the same hash once in many
    million lists.
    """

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._last: list[str] = []
        self._count = 0
        self._set: set[str] | None = None
        self._hashes: npt.NDArray[np.int64] | None = None

    def append(self, path: str) -> None:
        self._last.append(path)
        self._count += 1
        self._set = None
        self._hashes = None
        if len(self._last) == _BLOCK_PATHS:
            self._blocks.append(zlib.compress("\n".join(self._last).encode(), 1))
            self._last = []

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        for block in self._blocks:
            yield from zlib.decompress(block).decode().split("\n")
        yield from self._last

    def __contains__(self, path: object) -> bool:
        if self._count <= _MAX_IN_MEMORY:
            if self._set is None:
                self._set = set(self)
            return path in self._set
        if self._hashes is None:
            self._hashes = np.fromiter(map(hash, self), np.int64, self._count)
            self._hashes.sort()
        path_hash = hash(path)
        index = int(self._hashes.searchsorted(path_hash))
        return index < self._count and int(self._hashes[index]) == path_hash


class SourceTree:
    """The files below a folder, by relative paths with '/' between their parts, in order.

    Hidden files are skipped. Links are followed if they end inside the folder; links to folders only one level deep,
    so that cycles end.

    Attributes:
        files: the files.
        folders: the folders.
        outside_links: links that end outside the folder.
        bad_names: names with control characters, and folders that may not be read.

    Raises:
        FormatError: if there is no such folder.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            is_file = root.is_file()
            hint = f"Give the folder with the images and the labels, such as {root.parent}." if is_file else ""
            raise FormatError(f"{root} is {'a file' if is_file else 'not a folder'}.", hint=hint or "Check the path.")
        self.root = root
        self._real_root = os.path.realpath(root)
        self.files = PathList()
        self.folders: dict[str, None] = {}
        self.outside_links: dict[str, None] = {}
        self.bad_names: dict[str, None] = {}
        self._walk("", follow_links=True)
        self._normalized: SpillDict[str] | None = None
        read_files = current_read_files()
        if read_files is not None:
            read_files.trees.setdefault(root, self)

    def _walk(self, prefix: str, follow_links: bool) -> None:
        names: list[str] = []
        # Only entries that are no regular files are kept: there are few, while a folder may have a million files.
        special: dict[str, os.DirEntry[str]] = {}
        try:
            with os.scandir(self.root / prefix) as entries:
                for entry in entries:
                    names.append(entry.name)
                    if not entry.is_file(follow_symlinks=False) or not is_printable(entry.name):
                        special[entry.name] = entry
        except PermissionError:
            self.bad_names[prefix] = None
            return
        names.sort()
        for name in names:
            if name.startswith("."):
                continue
            if name in special:
                self._add_special(special[name], prefix + name, follow_links)
            else:
                self.files.append(prefix + name)

    def _add_special(self, entry: os.DirEntry[str], relative: str, follow_links: bool) -> None:
        if not is_printable(entry.name):
            self.bad_names[relative] = None
        elif entry.is_symlink() and not self._is_inside(relative):
            self.outside_links[relative] = None
        elif entry.is_dir():
            self.folders[relative] = None
            if not entry.is_symlink():
                self._walk(f"{relative}/", follow_links)
            elif follow_links and not self._links_to_parent(entry):
                self._walk(f"{relative}/", follow_links=False)
        elif entry.is_file():
            self.files.append(relative)

    @staticmethod
    def _links_to_parent(link: os.DirEntry[str]) -> bool:
        parent = os.path.realpath(Path(link.path).parent) + os.sep
        return parent.startswith(os.path.realpath(link.path) + os.sep)

    def _is_inside(self, relative: str) -> bool:
        real = os.path.realpath(self.root / relative)
        return real == self._real_root or real.startswith(self._real_root.rstrip(os.sep) + os.sep)

    def path(self, relative: str) -> Path:
        """Return the local path of a file."""
        return self.root / relative

    def linked_folders(self) -> set[str]:
        """Return the folders that links to folders lead to, whose files are listed twice."""
        links = (self.root / folder for folder in self.folders if (self.root / folder).is_symlink())
        return {Path(os.path.relpath(os.path.realpath(link), self._real_root)).as_posix() for link in links}

    def find(self, relative: str) -> str | None:
        """Return the file of this path; else the only one that differs from it in its Unicode normal form alone.

        File systems and tools decompose or compose accents, so that labels and files may spell a name differently.
        """
        if relative in self.files:
            return relative
        if relative.isascii():
            return None
        return self._by_normal_form().get(normal_form(relative)) or None

    def find_companion(self, image: str, relative: str) -> str | None:
        """Return the file of this path that belongs to an image, like :meth:`find`.

        If another image differs from this one in its normal form alone, only the exact path belongs to it.
        """
        file = self.find(relative)
        if file is None or file == relative:
            return file
        return file if self._by_normal_form().get(normal_form(image)) else None

    def find_folder(self, relative: str) -> str | None:
        """Return the folder of this path, or the only one that differs in its normal form; "" is the root."""
        if relative == "" or relative in self.folders:
            return relative
        if relative.isascii():
            return None
        folders = [folder for folder in self.folders if normal_form(folder) == normal_form(relative)]
        return folders[0] if len(folders) == 1 else None

    def _by_normal_form(self) -> SpillDict[str]:
        """The files with other than ASCII characters by their normal form; "" if several have the same."""
        if self._normalized is None:
            self._normalized = SpillDict()
            for file in self.files:
                if not file.isascii():
                    form = normal_form(file)
                    self._normalized[form] = "" if form in self._normalized else file
        return self._normalized

    def links_outside(self, relative: str) -> bool:
        """Whether the path, or a folder on it, is a link that ends outside."""
        parts = relative.split("/")
        return any("/".join(parts[:end]) in self.outside_links for end in range(1, len(parts) + 1))

    def files_below(self, folder: str, suffixes: Iterable[str] | None = None) -> Iterator[str]:
        """Iterate over the files in a folder and its subfolders; "" is the root.

        Args:
            suffixes: lower-case endings of the names; None for all files.
        """
        prefix = f"{folder}/" if folder else ""
        endings = None if suffixes is None else tuple(suffixes)
        for file in self.files:
            if file.startswith(prefix) and (endings is None or file.lower().endswith(endings)):
                yield file

    def iter_images(self, folder: str = "") -> Iterator[str]:
        """Iterate over the images in a folder and its subfolders; "" is the root."""
        return filter(is_image_name, self.files_below(folder))

    def subfolders(self, folder: str = "") -> list[str]:
        """Return the names of the folders directly in a folder."""
        prefix = f"{folder}/" if folder else ""
        below = (name[len(prefix) :] for name in self.folders if name.startswith(prefix))
        return [name for name in below if "/" not in name]

    def report_skipped(self, report: ConversionReport) -> None:
        """Report links that end outside, and names that cannot be used."""
        for relative in self.outside_links:
            report.add(FindingType.SKIPPED, "link that leads outside the source", detail=repr(relative))
        for relative in self.bad_names:
            is_text = not _SURROGATE.search(relative)
            reason = "name with control characters" if is_text else "file name that is not UTF-8"
            report.add(FindingType.SKIPPED, reason, detail=ascii(relative))


_cached_trees: ContextVar[dict[Path, SourceTree] | None] = ContextVar("cached trees", default=None)


@contextmanager
def tree_cache() -> Iterator[None]:
    """Cache the results of :func:`source_tree` within the block; no source may change meanwhile."""
    token = _cached_trees.set({})
    try:
        yield
    finally:
        _cached_trees.reset(token)


def source_tree(source: Path) -> SourceTree:
    """List the files below a folder, or return the list cached by :func:`tree_cache`."""
    cached = _cached_trees.get()
    if cached is None:
        return SourceTree(source)
    if source not in cached:
        cached[source] = SourceTree(source)
    return cached[source]


class UniqueKeys:
    """Assigns keys, each once."""

    def __init__(self, report: ConversionReport) -> None:
        self._report = report
        self._used = SpillSet()

    def claim(self, *candidates: str) -> str:
        """Return the first candidate that is free, or the last one with a number; report any but the first."""
        for key in candidates:
            if key not in self._used:
                return self._claim(key, candidates[0])
        number = 2
        while f"{candidates[-1]}-{number}" in self._used:
            number += 1
        return self._claim(f"{candidates[-1]}-{number}", candidates[0])

    def _claim(self, key: str, preferred: str) -> str:
        self._used.add(key)
        if key != preferred:
            detail = f"'{preferred}' is already used"
            self._report.add(FindingType.REPAIRED, "key made unique", key=key, detail=detail)
        return key
