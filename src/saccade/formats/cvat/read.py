"""Reading CVAT, for images and for video."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from saccade.core.errors import FormatError
from saccade.core.objects import Object
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats._common.boxes import report_duplicates
from saccade.formats._common.encoding import open_xml
from saccade.formats._common.frames import ImageSize, LabelFrame, read_image_size, to_size_wh
from saccade.formats._common.media import try_image_size_wh
from saccade.formats._common.names import DEFAULT_SUBSET, SPLIT, safe_component
from saccade.formats._common.paths import SourceTree, UniqueKeys, is_video_name, normalize_path, strip_extension
from saccade.formats._common.per_image import ImageIndex
from saccade.formats._common.spill import SpillSet
from saccade.formats.base import LocalFile, Reader, Record, RecordStream
from saccade.formats.cvat.shapes import SHAPES, CvatLabels, ShapeReader, Track, read_track
from saccade.formats.cvat.write import LABELS

_FRAME_NUMBER = re.compile(r"(\d+)$")


@dataclass
class _Header:
    """What a first pass over the file finds."""

    labels: CvatLabels
    subsets: set[str] = field(default_factory=set)
    tags: set[str] = field(default_factory=set)
    has_images: bool = False
    classes: set[str] = field(default_factory=set)
    tracks: list[Track] = field(default_factory=list)


class CvatReader(Reader):
    """Reads an XML file in two passes, an image at a time."""

    def __init__(self, path: Path, report: ConversionReport) -> None:
        self._path = path
        self._report = report
        self._tree = SourceTree(path.parent)
        self._tree.report_skipped(report)
        self._images = ImageIndex(self._tree)
        self._header = self._scan_header()
        subsets = self._header.subsets | ({DEFAULT_SUBSET} if self._header.subsets else set())
        self._subset_folders = {safe_component(subset) for subset in subsets}
        self._repeated_paths = self._find_repeated_paths()

    def open(self) -> RecordStream:
        header = self._header
        labels = header.labels
        names = [*labels.classes, *sorted(name for name in header.classes if name not in labels.classes)]
        classes = tuple(ClassInfo(name, None, labels.colors.get(name), labels.keypoints_of(name)) for name in names)
        columns = [Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, classes)]
        if header.tags:
            columns.append(Column(LABELS, Kind.LABELS, tuple(map(ClassInfo, sorted(header.tags)))))
        if header.subsets - {DEFAULT_SUBSET}:
            columns.append(Column(SPLIT, Kind.TEXT))
        schema = Schema(tuple(columns))
        if header.tracks or (labels.of_video and not header.has_images):
            return RecordStream(schema, self._frame_records(), None)
        return RecordStream(schema, self._image_records(), sum(1 for _ in self._images))

    def _scan_header(self) -> _Header:
        header = _Header(CvatLabels())
        for element in self._iter_elements():
            if element.tag == "meta":
                header.labels = CvatLabels.from_meta(element)
            elif element.tag == "track":
                header.tracks.append(read_track(element, self._report))
                header.classes.add(element.get("label") or "")
            else:
                header.has_images = True
                if subset := element.get("subset"):
                    header.subsets.add(subset)
                header.tags.update(tag.get("label") or "" for tag in element.iter("tag"))
                header.classes.update(shape.get("label") or "" for shape in _shapes(element))
        header.tags.discard("")
        header.classes.discard("")
        return header

    def _iter_elements(self) -> Iterator[Element]:
        """Iterate over the elements below the root; each is freed after use."""
        depth = 0
        root: Element | None = None
        try:
            with open_xml(self._path) as file:
                for event, element in iterparse(file, events=("start", "end"), forbid_dtd=True):
                    root = element if root is None else root
                    depth += 1 if event == "start" else -1
                    if event == "end" and depth == 1:
                        if element.tag in ("meta", "image", "track"):
                            yield element
                        # Without this, the root would collect all elements.
                        root.clear()
        except (ParseError, DefusedXmlException, ValueError, LookupError, RecursionError) as error:
            raise FormatError(f"{self._path.name} cannot be read: {error or type(error).__name__}.") from None

    def _find_image(self, name: str, subset: str) -> str | None:
        """Return the image file of a name in the XML file; exports of projects have a folder for each subset."""
        path = normalize_path(name)
        # An image without a subset lies in no folder of one.
        below_subset = (f"images/{subset}/{path}", f"{subset}/{path}") if subset else ()
        candidates = map(normalize_path, (*below_subset, f"images/{path}", path))
        exact = next((image for candidate in candidates if (image := self._images.find_path(candidate))), None)
        return exact or self._images.find_by_suffix(path) or None

    def _find_repeated_paths(self) -> SpillSet:
        """Find the paths below the folders of subsets that several subsets have."""
        paths = SpillSet()
        repeated = SpillSet()
        if self._subset_folders:
            for image in self._images:
                path = self._below_subset(_below_images(image))
                if path in paths:
                    repeated.add(path)
                paths.add(path)
        return repeated

    def _image_records(self) -> Iterator[Record]:
        keys = UniqueKeys(self._report)
        used = SpillSet()
        empty_images = 0
        for element in self._iter_elements():
            if element.tag != "image":
                continue
            name = element.get("name") or ""
            image = self._find_image(name, element.get("subset") or "")
            if image is None or image in used:
                reason = "image file missing" if image is None else "second annotation of an image"
                self._report.add(FindingType.SKIPPED, reason, detail=repr(name)[:200])
                continue
            used.add(image)
            key_path = self._key_path(image, normalize_path(name) if element.get("subset") else "")
            key = keys.claim(strip_extension(key_path), strip_extension(_below_images(image)))
            record = self._image_record(element, image, key)
            empty_images += record.values["objects"] == () and not record.values.get(LABELS)
            yield record
        if empty_images:
            reason = "image without shapes, taken as reviewed and empty"
            self._report.add(FindingType.INFERRED, reason, detail=f"{empty_images} images")
        for image in self._images:
            if image not in used:
                key = keys.claim(strip_extension(self._key_path(image)), strip_extension(_below_images(image)))
                yield Record(key, LocalFile(self._tree.path(image)), {"objects": None})

    def _key_path(self, image: str, name: str = "") -> str:
        """Return the path of an image without the folder of its subset, unless another subset has the same path.

        Args:
            name: its name in the XML file if that has a subset, and so states the path below its folder.
        """
        path = _below_images(image)
        is_named = bool(name) and f"/{path}".endswith(f"/{name}")
        below_subset = name if is_named else self._below_subset(path)
        return path if below_subset in self._repeated_paths else below_subset

    def _below_subset(self, path: str) -> str:
        folder, slash, rest = path.partition("/")
        return rest if slash and folder in self._subset_folders else path

    def _image_record(self, element: Element, image: str, key: str) -> Record:
        media = LocalFile(self._tree.path(image))
        stated_wh = to_size_wh(element.get("width"), element.get("height"))
        frame = LabelFrame.create(read_image_size(media), stated_wh, self._report, key)
        reader = ShapeReader(self._report, key, frame.size_wh, self._header.labels)
        shapes = enumerate(_shapes(element), 1)
        objects = [obj for position, shape in shapes if (obj := reader.read(shape, str(position)))]
        report_duplicates(objects, key, self._report)
        values: dict[str, Any] = {"objects": frame.to_image(tuple(objects))}
        if self._header.tags:
            values[LABELS] = tuple(dict.fromkeys(tag.get("label") or "" for tag in element.iter("tag")))
        if (subset := element.get("subset")) and subset != DEFAULT_SUBSET:
            values[SPLIT] = subset
        return Record(key, media, values, frame.image_wh)

    def _frame_records(self) -> Iterator[Record]:
        """Iterate over the frames of a video, which are numbered pictures or a video file beside the XML file."""
        pictures = {
            int(match.group(1)): image
            for image in self._images
            if (match := _FRAME_NUMBER.search(strip_extension(image)))
        }
        video = None if pictures else self._find_video()
        if video:
            frames = list(_iter_video_frames(video))
        else:
            frames = [(number, self._picture_record(image)) for number, image in sorted(pictures.items())]
        frame_count = max((track.last for track in self._header.tracks), default=-1) + 1
        existing = {number for number, _ in frames}
        if missing := sum(number not in existing for number in range(frame_count)):
            detail = f"{missing} of {frame_count}"
            self._report.add(FindingType.SKIPPED, "frame without a picture", detail=detail)
        keys = UniqueKeys(self._report)
        labels = self._header.labels
        for number, record in frames:
            key = keys.claim(record.key, record.key)
            frame = LabelFrame.create(self._frame_size(record), labels.stated_wh, self._report, key)
            reader = ShapeReader(self._report, key, frame.size_wh, labels)
            objects: list[Object] = []
            for track in self._header.tracks:
                shape = track.shape_at(number)
                if shape is not None and (obj := reader.read(shape, track.id, track.id)):
                    objects.append(obj)
            yield replace(record, key=key, values={"objects": frame.to_image(tuple(objects))})

    @staticmethod
    def _frame_size(record: Record) -> ImageSize | None:
        """Return the sizes of a picture; or that of a video, whose frames are decoded as displayed."""
        if record.frame is not None:
            return None if record.size_wh is None else ImageSize(record.size_wh)
        assert record.media is not None
        return read_image_size(record.media)

    def _picture_record(self, image: str) -> Record:
        path = self._tree.path(image)
        key = strip_extension(_below_images(image))
        size_wh = try_image_size_wh(path)
        return Record(key, LocalFile(path), size_wh=size_wh, group=key.rpartition("/")[0] or "video")

    def _find_video(self) -> Path | None:
        """Return the only video beside the file, or of several the one that the file names."""
        videos = [name for name in self._tree.files if is_video_name(name)]
        named = [name for name in videos if name.rpartition("/")[2] == self._header.labels.source]
        candidates = named or videos
        return self._tree.path(candidates[0]) if len(candidates) == 1 else None


def _iter_video_frames(path: Path) -> Iterator[tuple[int, Record]]:
    from saccade.media.video import Video

    with Video(path) as video:
        size_wh = video.probe().size_wh
        count = len(video)
    for frame in range(count):
        yield frame, Record(f"{path.stem}/{frame:06}", LocalFile(path), {}, size_wh, frame, path.stem)


def _below_images(image: str) -> str:
    return image.removeprefix("images/")


def _shapes(element: Element) -> Iterator[Element]:
    return (shape for shape in element if shape.tag in SHAPES)
