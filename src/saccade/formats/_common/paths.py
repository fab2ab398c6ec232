"""The files of a source, seen without ever leaving it, and the keys that their names give."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import numpy as np
import numpy.typing as npt

from saccade.core.errors import FormatError
from saccade.core.report import Action, Report
from saccade.formats._common.spill import RoomySet

IMAGE_EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp"}
    | {".ppm", ".pgm", ".pbm", ".jp2", ".j2k", ".avif", ".heic"}
)
VIDEO_EXTENSIONS = frozenset(
    {".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".vob"}
    | {".flv", ".ogv", ".ogg", ".wmv", ".asf", ".mxf"}
)
SPLIT_WORDS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})

_BLOCK, _FEW = 4096, 65_536
# Control characters, and the halves of surrogate pairs that stand for bytes which are not UTF-8.
_NOT_PLAIN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def is_plain_name(name: str) -> bool:
    """Whether a name is text without control characters."""
    return not _NOT_PLAIN.search(name)


def whole_text(text: str) -> str:
    """The text with each half of a surrogate pair, which no file can hold, replaced by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def is_image_name(name: str) -> bool:
    """Whether a file name ends like that of an image."""
    stem, dot, ending = name.rpartition(".")
    return f"{dot}{ending}".lower() in IMAGE_EXTENSIONS and stem.rpartition("/")[2] != ""


def is_video_name(name: str) -> bool:
    """Whether a file name ends like that of a video."""
    stem, dot, ending = name.rpartition(".")
    return f"{dot}{ending}".lower() in VIDEO_EXTENSIONS and stem.rpartition("/")[2] != ""


def stem_of(relative: str) -> str:
    """A path with '/' without its extension.

    >>> stem_of("a/b.c.jpg")
    'a/b.c'
    """
    head, slash, last = relative.rpartition("/")
    return head + slash + (last.rpartition(".")[0] or last)


def leaves_folder(name: str) -> bool:
    """Whether a path written in a label file is absolute or climbs out of its folder by '..'."""
    unified = name.replace("\\", "/")
    return unified.startswith("/") or bool(re.match("[A-Za-z]:/", unified)) or ".." in unified.split("/")


def normal(relative: str) -> str:
    """A relative path with '/' between its parts, without '.' and empty parts."""
    return "/".join(part for part in relative.replace("\\", "/").split("/") if part not in ("", "."))


class PathList:
    """Paths in order, of which a million take some ten megabytes; without control characters, and none twice.

    Of many, whether one is among them is told by 64 bits of its hash, which two of a million share once in many million
    times.
    """

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._last: list[str] = []
        self._count = 0
        self._few: set[str] | None = None
        self._hashes: npt.NDArray[np.int64] | None = None

    def append(self, path: str) -> None:
        self._last.append(path)
        self._count += 1
        self._few = self._hashes = None
        if len(self._last) == _BLOCK:
            self._blocks.append(zlib.compress("\n".join(self._last).encode(), 1))
            self._last = []

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        for block in self._blocks:
            yield from zlib.decompress(block).decode().split("\n")
        yield from self._last

    def __contains__(self, path: object) -> bool:
        if self._count <= _FEW:
            if self._few is None:
                self._few = set(self)
            return path in self._few
        if self._hashes is None:
            self._hashes = np.fromiter(map(hash, self), np.int64, self._count)
            self._hashes.sort()
        number = hash(path)
        at = int(self._hashes.searchsorted(number))
        return at < self._count and int(self._hashes[at]) == number


class Tree:
    """The files below a folder, by their path relative to it with '/' between the parts.

    Links are followed only where they end inside the folder, and folder links only one deep, so that loops end. What
    leads outside is kept in ``outside``, names with control characters in ``unreadable``. Hidden files are not seen.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise FormatError(f"{root} is not a folder.", hint="Check the path.")
        self.root = root
        self._real_root = os.path.realpath(root)
        self.files = PathList()
        self.folders: dict[str, None] = {}
        self.outside: dict[str, None] = {}
        self.unreadable: dict[str, None] = {}
        self._walk("", follow_links=True)

    def _walk(self, prefix: str, follow_links: bool) -> None:
        names: list[str] = []
        special: dict[str, os.DirEntry[str]] = {}
        try:
            with os.scandir(self.root / prefix) as found:
                for entry in found:
                    names.append(entry.name)
                    if not entry.is_file(follow_symlinks=False) or not is_plain_name(entry.name):
                        special[entry.name] = entry
        except PermissionError:
            self.unreadable[prefix] = None
            return
        names.sort()
        for name in names:
            if name.startswith("."):
                continue
            if name in special:
                self._place(special[name], prefix + name, follow_links)
            else:
                self.files.append(prefix + name)

    def _place(self, entry: os.DirEntry[str], relative: str, follow_links: bool) -> None:
        if not is_plain_name(entry.name):
            self.unreadable[relative] = None
        elif entry.is_symlink() and not self._is_inside(relative):
            self.outside[relative] = None
        elif entry.is_dir():
            self.folders[relative] = None
            if not entry.is_symlink():
                self._walk(f"{relative}/", follow_links)
            elif follow_links and not self._leads_up(entry):
                self._walk(f"{relative}/", follow_links=False)
        elif entry.is_file():
            self.files.append(relative)

    @staticmethod
    def _leads_up(link: os.DirEntry[str]) -> bool:
        parent = os.path.realpath(Path(link.path).parent) + os.sep
        return parent.startswith(os.path.realpath(link.path) + os.sep)

    def _is_inside(self, relative: str) -> bool:
        real = os.path.realpath(self.root / relative)
        return real == self._real_root or real.startswith(self._real_root.rstrip(os.sep) + os.sep)

    def path(self, relative: str) -> Path:
        """The file on this machine."""
        return self.root / relative

    def leads_outside(self, relative: str) -> bool:
        """Whether the path, or a folder on its way, is a link that ends outside."""
        parts = relative.split("/")
        return any("/".join(parts[:end]) in self.outside for end in range(1, len(parts) + 1))

    def below(self, folder: str, endings: Iterable[str] | None = None) -> Iterator[str]:
        """The files in a folder and those inside it, in order; ``""`` is the root."""
        prefix = f"{folder}/" if folder else ""
        wanted = None if endings is None else tuple(endings)
        for file in self.files:
            if file.startswith(prefix) and (wanted is None or file.lower().endswith(wanted)):
                yield file

    def images(self, folder: str = "") -> list[str]:
        """The images in a folder and those inside it, in order."""
        return list(self.each_image(folder))

    def each_image(self, folder: str = "") -> Iterator[str]:
        """The same, one after another."""
        prefix = f"{folder}/" if folder else ""
        return (file for file in self.files if file.startswith(prefix) and is_image_name(file))

    def folders_in(self, folder: str = "") -> list[str]:
        """The names of the folders directly in a folder."""
        prefix = f"{folder}/" if folder else ""
        inside = (name[len(prefix) :] for name in self.folders if name.startswith(prefix))
        return [name for name in inside if "/" not in name]

    def report_unusable(self, report: Report) -> None:
        """Set aside what leads outside or has a name that cannot be used."""
        for relative in self.outside:
            report.add(Action.SET_ASIDE, "link that leads outside the source", detail=repr(relative))
        for relative in self.unreadable:
            report.add(Action.SET_ASIDE, "name with control characters", detail=ascii(relative))


_kept: ContextVar[dict[Path, Tree] | None] = ContextVar("kept trees", default=None)


@contextmanager
def trees_kept() -> Iterator[None]:
    """Within this, :func:`tree_of` walks through a folder once; for many looks at a source that stays as it is."""
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def tree_of(source: Path) -> Tree:
    """The files below a folder, which is walked through anew but within :func:`trees_kept`."""
    kept = _kept.get()
    if kept is None:
        return Tree(source)
    if source not in kept:
        kept[source] = Tree(source)
    return kept[source]


class Keys:
    """Gives out keys, each once."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._taken = RoomySet()

    def take(self, *wishes: str) -> str:
        """The first wish that is free, else the last one with a number; anything but the first is reported."""
        for wish in wishes:
            if wish not in self._taken:
                return self._give(wish, wishes[0])
        number = 2
        while f"{wishes[-1]}-{number}" in self._taken:
            number += 1
        return self._give(f"{wishes[-1]}-{number}", wishes[0])

    def _give(self, key: str, wish: str) -> str:
        self._taken.add(key)
        if key != wish:
            self._report.add(Action.REPAIRED, "key made unique", key=key, detail=f"'{wish}' is taken")
        return key
