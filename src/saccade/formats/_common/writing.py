"""What the writers share: file names for keys, copies of media, and the account of what a format cannot hold."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import BinaryIO

from saccade.core.errors import SaccadeError
from saccade.core.objects import BoundsXYXY, Box, Object
from saccade.core.report import Action, Report
from saccade.core.schema import Column, Kind, Schema
from saccade.formats._common.paths import IMAGE_EXTENSIONS, is_plain_name
from saccade.formats._common.spill import RoomySet
from saccade.formats.base import MediaSource, Reading, Record

SPLIT = "split"
NO_SPLIT_FOLDER = "_no_split"
_LABEL_EXTENSIONS = (".txt", ".xml", ".json")
_MAX_NAME_BYTES = 200
_SIGNATURES = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"II*\x00", ".tif"),
    (b"MM\x00*", ".tif"),
)


def safe_component(name: str, reserved: Collection[str] = ()) -> str:
    """One folder or file name for any text: the text itself where it can be one, else as near as can be."""
    safe = "".join("_" if char in "/\\" or not is_plain_name(char) else char for char in name)
    if safe.startswith(".") or safe in reserved or not safe:
        safe = f"_{safe}"
    if len(safe.encode()) > _MAX_NAME_BYTES:
        digest = hashlib.sha256(safe.encode()).hexdigest()[:16]
        safe = safe.encode()[: _MAX_NAME_BYTES - 20].decode(errors="ignore") + f"-{digest}"
    return safe


class FileNames:
    """A relative path without extension for each key, unlike any other and safe to write.

    Args:
        reserved: folder names that mean something in the format and so may not be part of a key.
    """

    def __init__(self, report: Report, reserved: Collection[str] = ()) -> None:
        self._report = report
        self._reserved = frozenset(reserved)
        self._taken = RoomySet()

    def take(self, key: str) -> str:
        """The path for a key; one that had to differ from the key is reported."""
        *folders, last = key.split("/")
        name = "/".join([*(self._folder(folder) for folder in folders), safe_component(last)])
        number, free = 2, name
        while free in self._taken:
            free, number = f"{name}-{number}", number + 1
        self._taken.add(free)
        if free != key:
            self._report.add(Action.REPAIRED, "key changed to be a file name", key=key, detail=f"to {free!r}")
        return free

    def _folder(self, name: str) -> str:
        safe = safe_component(name, self._reserved)
        # A folder 'a.jpg' or 'a.txt' could stand where the image or labels of the key 'a' must go.
        ending = Path(safe).suffix.lower()
        return f"{safe}_" if ending in IMAGE_EXTENSIONS or ending in _LABEL_EXTENSIONS else safe


class Names:
    """A safe, unique folder name for each text of a small set (classes, splits)."""

    def __init__(self, report: Report, what: str, reserved: Collection[str] = ()) -> None:
        self._report = report
        self._what = what
        self._reserved = frozenset(reserved)
        self.given: dict[str, str] = {}
        self._taken: set[str] = set()

    def of(self, text: str) -> str:
        if text not in self.given:
            name = free = safe_component(text, self._reserved)
            number = 2
            while free in self._taken:
                free, number = f"{name}-{number}", number + 1
            self.given[text] = free
            self._taken.add(free)
            if free != text:
                reason = f"{self._what} changed to be a file name"
                self._report.add(Action.REPAIRED, reason, detail=f"{text!r} to {free!r}")
        return self.given[text]


def _open(media: MediaSource) -> BinaryIO:
    return media.path.open("rb") if media.path is not None else io.BytesIO(media.read())


def _extension(media: MediaSource, head: bytes) -> str:
    """The extension of the file's name where it is that of an image, else the one that its first bytes ask for."""
    suffix = Path(media.name).suffix
    if suffix.lower() in IMAGE_EXTENSIONS:
        return suffix
    return _ending(head)


def _ending(head: bytes) -> str:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ".webp"
    if head[4:12] in (b"ftypavif", b"ftypavis"):
        return ".avif"
    return next((ending for signature, ending in _SIGNATURES if head.startswith(signature)), "")


def ending_of(path: Path) -> str:
    """The extension that the content of an image or video file asks for; "" for anything else."""
    from saccade.media.video import is_video

    with path.open("rb") as file:
        head = file.read(1024)
    return _ending(head) or (".mp4" if is_video(head) else "")


def copy_media(record: Record, target_stem: Path, report: Report) -> Path | None:
    """Copy a record's image to ``target_stem`` plus its extension; None, and set aside, where that cannot be.

    Only what is wrong with the image is set aside: a destination that cannot be written raises OSError.
    """
    if record.media is None:
        report.add(Action.SET_ASIDE, "item without an image file", key=record.key)
        return None
    try:
        source = _open(record.media)
    except (OSError, SaccadeError) as error:
        report.add(Action.SET_ASIDE, "image file that cannot be read", key=record.key, detail=str(error))
        return None
    with source:
        extension = _extension(record.media, source.read(16))
        source.seek(0)
        if not extension:
            report.add(Action.SET_ASIDE, "file that is not an image", key=record.key, detail=repr(record.media.name))
            return None
        target = target_stem.with_name(target_stem.name + extension)
        with _new_file(target) as out:
            shutil.copyfileobj(source, out, 1 << 20)
    return target


def _new_file(path: Path) -> BinaryIO:
    try:
        return path.open("xb")
    except FileNotFoundError:  # the first in its folder
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("xb")


def image_size_wh(image: Path | bytes) -> tuple[int, int]:
    """Width and height of an image after EXIF orientation, from its header; MediaError where it is none."""
    from saccade.media.image import probe

    return probe(image).size_wh


def size_wh_of(record: Record) -> tuple[int, int] | None:
    """The size that the record states, else that of its file where there is one."""
    if record.size_wh is not None or record.media is None:
        return record.size_wh
    try:
        return image_size_wh(record.media.path or record.media.read())
    except (SaccadeError, OSError):
        return None


class Columns:
    """The columns of a reading that a format writes; values of all others are counted, and reported by ``finish``.

    Args:
        kinds: the kinds of label column that the format holds; the first such column is written.
        kept: further columns, by name, that the format writes itself.
    """

    def __init__(self, reading: Reading, report: Report, *kinds: Kind, kept: Mapping[str, Kind] | None = None) -> None:
        schema = reading.schema
        self._report = report
        self.labels: Column | None = next(iter(schema.of_kind(*kinds)), None) if kinds else None
        self.has_split = _is(schema, SPLIT, Kind.TEXT)
        self.kept = {name for name, kind in (kept or {}).items() if _is(schema, name, kind)}
        images = schema.of_kind(Kind.IMAGE)
        written = {column.name for column in (self.labels, *images[:1]) if column} | self.kept | {SPLIT}
        self._others = [column.name for column in schema.columns if column.name not in written]
        if SPLIT in schema and not self.has_split:
            self._others.append(SPLIT)
        self._lost: Counter[str] = Counter()
        if self.labels and self.labels.name != str(self.labels.kind):
            report.add(Action.DROPPED, "name of a column", detail=f"'{self.labels.name}' becomes '{self.labels.kind}'")

    def split_of(self, record: Record) -> str | None:
        value = record.values.get(SPLIT) if self.has_split else None
        return None if value is None else str(value)

    def drop_split(self) -> None:
        """Count splits among what is not written."""
        self._others += [SPLIT] if self.has_split else []
        self.has_split = False

    def count(self, record: Record) -> None:
        """Count the values of this record that are not written."""
        self._lost.update(name for name in self._others if record.values.get(name) is not None)

    def finish(self) -> None:
        for name in self._others:
            detail = f"'{name}' with {self._lost[name]} values"
            self._report.add(Action.DROPPED, "column that the format does not hold", detail=detail)

    def report_class_details(self, *names: str) -> None:
        """Report what classes have beyond their name: parent, color, keypoints, skeleton (those in ``names``)."""
        for info in self.labels.classes if self.labels else ():
            if found := [name for name in names if getattr(info, name)]:
                self._report.add(Action.DROPPED, "detail of a class", detail=f"'{info.name}': {', '.join(found)}")


def _is(schema: Schema, name: str, kind: Kind) -> bool:
    return name in schema and schema[name].kind is kind


class ObjectLosses:
    """Counts what of objects a format of one kind of geometry does not hold."""

    def __init__(
        self, report: Report, *, attributes: bool, tracks: bool = False, scores: bool = False, held: str = Box.type
    ) -> None:
        self._report = report
        self._tracks, self._scores, self._held = tracks, scores, held
        self._attributes = attributes
        self._ids = 0

    def note(self, key: str, found: Object, position: int, held: str = "") -> None:
        """Report what of an object is lost.

        Args:
            position: the id that the object gets when it is read again, counted from 1.
            held: the type of geometry that is written of this one, where it is another than the format's.
        """
        held = held or self._held
        self._ids += found.id != str(position)
        if found.score is not None and not self._scores:
            self._add("score", key, found, str(found.score))
        if found.track is not None and not self._tracks:
            self._add("track", key, found, found.track)
        if not self._attributes:
            for name, value in found.attributes.items():
                self._add("attribute", key, found, f"{name} = {value!r}")
        if found.geometry.type != held:
            was, becomes = found.geometry.type.replace("_", " "), held.replace("_", " ")
            self._add(f"shape of a {was}, written as its {becomes}", key, found, "")

    def bounds_xyxy(self, key: str, found: Object) -> BoundsXYXY | None:
        """The box to write, or None, reported, for a shape whose bounds have no area."""
        bounds = found.geometry.bounds_xyxy()
        if bounds[0] < bounds[2] and bounds[1] < bounds[3]:
            return bounds
        self._add("object without area", key, found, f"a {found.geometry.type.replace('_', ' ')}")
        return None

    def finish(self) -> None:
        if self._ids:
            self._report.add(Action.DROPPED, "ids of objects", detail=f"{self._ids} objects are numbered anew")

    def _add(self, reason: str, key: str, found: Object, detail: str) -> None:
        self._report.add(Action.DROPPED, reason, key=key, object_id=found.id, detail=detail)


class ClassNames:
    """The classes to write, in order: those of the column, then any that objects have beyond them."""

    def __init__(self, column: Column | None) -> None:
        self.numbers: dict[str, int] = {name: at for at, name in enumerate(column.class_names if column else ())}
        self.used: set[str] = set()

    def number(self, name: str) -> int:
        self.used.add(name)
        return self.numbers.setdefault(name, len(self.numbers))
