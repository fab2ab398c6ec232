"""CVAT: an XML file of the shapes of all images, or of the tracks of a video's frames.

Read: "CVAT for images 1.1" (box, with ``rotation`` too, polygon, polyline, points, ellipse, mask, skeleton and tag)
and "CVAT for video 1.1", beside which must lie the video itself or its frames as pictures; a track is interpolated
between the frames that the file names. Attributes take the type that the head of the file states. ``occluded``,
``z_order``, ``group_id`` and a ``source`` other than manual become attributes; tags become a column ``labels``.
``subset`` is the split. An image that the file names without shapes is taken as reviewed and empty, which is
reported, because CVAT does not tell that from not labelled yet; one that it does not name is not labelled yet.

Written: ``annotations.xml`` for images, and ``images/``. Polygons with holes or several parts become masks. With
``--option layout=video`` the items are the frames of one video, in their order, and objects of one track and folder are
a track; every shape is a key frame, so nothing is interpolated.

Source of the format: https://docs.cvat.ai/docs/manual/advanced/xml_format/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from saccade.core.errors import FormatError, SaccadeError
from saccade.core.objects import Object
from saccade.core.report import Action, Report
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats._common.boxes import notice_duplicates
from saccade.formats._common.options import NoOptions, one_of, parse_options
from saccade.formats._common.paths import Keys, Tree, is_video_name, normal, stem_of
from saccade.formats._common.per_image import ImageIndex
from saccade.formats._common.spill import RoomySet
from saccade.formats._common.writing import SPLIT, image_size_wh
from saccade.formats.base import Detection, LocalFile, Reading, Record
from saccade.formats.cvat.shapes import SHAPES, Labels, ShapeReader, Track, read_track
from saccade.formats.cvat.write import LABELS, write_cvat
from saccade.formats.cvat.write_video import write_cvat_video

_ROOT = re.compile(rb"<annotations[\s>]")
_FRAME = re.compile(r"(\d+)$")


class Cvat:
    name: ClassVar[str] = "cvat"
    title: ClassVar[str] = "CVAT"
    holds: ClassVar[str] = (
        "boxes, rotated boxes, polygons, masks, polylines, points, keypoints, ellipses, tags; attributes; splits; "
        "labelled or not"
    )

    def detect(self, source: Path) -> Detection:
        try:
            found = _file_of(source)
        except FormatError as error:
            return Detection(False, error.message)
        return Detection(True, f"{found.name} has CVAT's annotations")

    def read(self, source: Path, report: Report, **options: Any) -> Reading:
        """Open a folder or the XML file."""
        parse_options(NoOptions, options, "CVAT")
        return _CvatReading(_file_of(source), report).open()

    def write(self, reading: Reading, destination: Path, report: Report, **options: Any) -> None:
        chosen = parse_options(WriteOptions, options, "CVAT")
        write = {"images": write_cvat, "video": write_cvat_video}[one_of("layout", chosen.layout, ("images", "video"))]
        write(reading, destination, report)


def _file_of(source: Path) -> Path:
    """The XML file of a source; FormatError where there is none."""
    if source.is_file():
        found = [source] if _is_cvat(source) else []
    else:
        tree = Tree(source)
        found = [path for path in map(tree.path, tree.below("", (".xml",))) if path.parent == source and _is_cvat(path)]
    if not found:
        raise FormatError("there is no XML file with <annotations> in it", hint="Look for CVAT's annotations.xml.")
    if len(found) > 1:
        raise FormatError(
            f"There are several CVAT files: {', '.join(path.name for path in found)}.", hint="Name the one to import."
        )
    return found[0]


def _is_cvat(path: Path) -> bool:
    with path.open("rb") as file:
        return bool(_ROOT.search(file.read(4096)))


@dataclass(frozen=True)
class WriteOptions:
    """``layout``: images, or video for tracks through frames."""

    layout: str = "images"


@dataclass
class _Head:
    """What a first look at the file finds."""

    labels: Labels
    splits: bool = False
    tags: set[str] = field(default_factory=set)
    has_images: bool = False
    classes: set[str] = field(default_factory=set)
    tracks: list[Track] = field(default_factory=list)


class _CvatReading:
    """One opening of a source: the file is gone through twice, an image at a time."""

    def __init__(self, path: Path, report: Report) -> None:
        self._path, self._report = path, report
        self._tree = Tree(path.parent)
        self._tree.report_unusable(report)
        self._images = ImageIndex(self._tree)
        self._head = self._look()

    def open(self) -> Reading:
        head = self._head
        names = list(head.labels.classes)
        names += sorted(name for name in head.classes if name not in head.labels.classes)
        objects = tuple(
            ClassInfo(name, None, head.labels.colors.get(name), head.labels.points_of(name)) for name in names
        )
        columns = [Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, objects)]
        if head.tags:
            columns.append(Column(LABELS, Kind.LABELS, tuple(map(ClassInfo, sorted(head.tags)))))
        columns += [Column(SPLIT, Kind.TEXT)] if head.splits else []
        if head.tracks or (head.labels.of_video and not head.has_images):
            return Reading(Schema(tuple(columns)), self._frames(), None)
        return Reading(Schema(tuple(columns)), self._records(), sum(1 for _ in self._images))

    def _look(self) -> _Head:
        head = _Head(Labels())
        for element in self._elements():
            if element.tag == "meta":
                head.labels = Labels.of(element)
            elif element.tag == "track":
                head.tracks.append(read_track(element, self._report))
                head.classes.add(element.get("label") or "")
            else:
                head.has_images = True
                head.splits = head.splits or bool(element.get("subset"))
                head.tags.update(tag.get("label") or "" for tag in element.iter("tag"))
                head.classes.update(shape.get("label") or "" for shape in element if shape.tag in SHAPES)
        head.tags.discard("")
        head.classes.discard("")
        return head

    def _elements(self) -> Iterator[Element]:
        """The parts of the file, each thrown away after use."""
        depth = 0
        root: Element | None = None
        try:
            for event, element in iterparse(self._path, events=("start", "end"), forbid_dtd=True):
                root = element if root is None else root
                depth += 1 if event == "start" else -1
                if event == "end" and depth == 1:
                    if element.tag in ("meta", "image", "track"):
                        yield element
                    root.clear()
        except (ParseError, DefusedXmlException, ValueError, LookupError, RecursionError) as error:
            raise FormatError(f"{self._path.name} cannot be read: {error or type(error).__name__}.") from None

    def _file_of_name(self, name: str) -> str | None:
        """The image file of a name in the XML."""
        plain = normal(name)
        wish = next((wish for wish in (f"images/{plain}", plain) if wish in self._images), None)
        return wish or self._images.ending(plain) or None

    def _records(self) -> Iterator[Record]:
        keys, used, empty = Keys(self._report), RoomySet(), 0
        for element in self._elements():
            if element.tag != "image":
                continue
            name = element.get("name") or ""
            image = self._file_of_name(name)
            if image is None or image in used:
                reason = "image file missing" if image is None else "second annotation of an image"
                self._report.add(Action.SET_ASIDE, reason, detail=repr(name)[:200])
                continue
            used.add(image)
            record = self._record(element, image, keys.take(stem_of(_key_path(image)), stem_of(image)))
            empty += not record.values["objects"] and not record.values.get(LABELS)
            yield record
        if empty:
            reason = "image without shapes, taken as reviewed and empty"
            self._report.add(Action.GUESSED, reason, detail=f"{empty} images")
        for image in self._images:
            if image not in used:
                key = keys.take(stem_of(_key_path(image)), stem_of(image))
                yield Record(key, LocalFile(self._tree.path(image)), {"objects": None})

    def _record(self, element: Element, image: str, key: str) -> Record:
        path = self._tree.path(image)
        size = self._size_wh(path, element)
        reader = ShapeReader(self._report, key, size, self._head.labels)
        objects = [found for at, shape in enumerate(_shapes(element), 1) if (found := reader.read(shape, str(at)))]
        notice_duplicates(objects, key, self._report)
        values: dict[str, Any] = {"objects": tuple(objects)}
        if self._head.tags:
            values[LABELS] = tuple(dict.fromkeys(tag.get("label") or "" for tag in element.iter("tag")))
        if subset := element.get("subset"):
            values[SPLIT] = subset
        return Record(key, LocalFile(path), values, size)

    def _size_wh(self, path: Path, element: Element | None = None) -> tuple[int, int] | None:
        try:
            return image_size_wh(path)
        except (SaccadeError, OSError):
            sides = [element.get(side) or "" for side in ("width", "height")] if element is not None else []
            return (int(sides[0]), int(sides[1])) if all(side.isdecimal() for side in sides) and sides else None

    def _frames(self) -> Iterator[Record]:
        """The frames of a video, which lies beside the file itself or as numbered pictures."""
        numbered = {int(match.group(1)): image for image in self._images if (match := _FRAME.search(stem_of(image)))}
        film = None if numbered else self._film()
        count = max((track.last for track in self._head.tracks), default=-1) + 1
        frames = list(_frames_of(film)) if film else [self._picture(*pair) for pair in sorted(numbered.items())]
        there = {frame for frame, _ in frames}
        if missing := sum(frame not in there for frame in range(count)):
            self._report.add(Action.SET_ASIDE, "frame without a picture", detail=f"{missing} of {count}")
        keys = Keys(self._report)
        for frame, record in frames:
            key = keys.take(record.key, record.key)
            reader = ShapeReader(self._report, key, record.size_wh, self._head.labels)
            objects: list[Object] = []
            for track in self._head.tracks:
                if (shape := track.at(frame)) is not None and (found := reader.read(shape, track.id, track.id)):
                    objects.append(found)
            yield replace(record, key=key, values={"objects": tuple(objects)})

    def _picture(self, frame: int, image: str) -> tuple[int, Record]:
        path, key = self._tree.path(image), stem_of(_key_path(image))
        return frame, Record(key, LocalFile(path), size_wh=self._size_wh(path), group=key.rpartition("/")[0] or "video")

    def _film(self) -> Path | None:
        """The video beside the file; the one that the file names where there are several."""
        found = [name for name in self._tree.files if is_video_name(name)]
        named = [name for name in found if name.rpartition("/")[2] == self._head.labels.source]
        return self._tree.path((named or found)[0]) if len(named or found) == 1 else None


def _frames_of(film: Path) -> Iterator[tuple[int, Record]]:
    from saccade.media.video import Video

    with Video(film) as video:
        size_wh, count = video.probe().size_wh, len(video)
    for frame in range(count):
        yield frame, Record(f"{film.stem}/{frame:06}", LocalFile(film), {}, size_wh, frame, film.stem)


def _key_path(image: str) -> str:
    return image.removeprefix("images/")


def _shapes(element: Element) -> Iterator[Element]:
    return (shape for shape in element if shape.tag in SHAPES)


FORMAT = Cvat()
