"""LabelMe: a JSON file beside each image, with its shapes.

Read: rectangle, polygon, circle, line, linestrip, point, points and mask (a PNG in base64), and the ``rotation`` of
X-AnyLabeling; from folders, with train, val and test as splits where the top folders are called so. ``flags`` and
``attributes`` of a shape, its ``description`` and ``group_id`` become attributes. The image is the file of
``imagePath``, the one of the same name, or the one that ``imageData`` holds. An image without a JSON file is not
labelled yet; one whose file has no shapes is reviewed and empty. Flags of images are kept in a column ``flags``.

Written: the images with a JSON file beside each that is labelled, in a folder for each of the splits train, val and
test. Ids, tracks and whatever else LabelMe has no place for stand under the extra key ``saccade`` of a shape, which
LabelMe keeps. Rotated boxes and ellipses that are no circles become polygons; polygons with holes or several parts
become masks.

Source of the format: https://github.com/wkentaro/labelme.
"""

from __future__ import annotations

import base64
import binascii
import math
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from saccade.core.errors import FormatError, InvalidValueError, SaccadeError
from saccade.core.geometry import mask_from_array, rotated_box_from_corners
from saccade.core.objects import (
    AttributeValue,
    Ellipse,
    Geometry,
    Mask,
    Object,
    Objects,
    Point,
    Points,
    Polygon,
    Polyline,
)
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats._common.attributes import scalar_attributes
from saccade.formats._common.boxes import fit_box, report_duplicates
from saccade.formats._common.json import Json, contains_tokens, get_list, load_json, saccade_extra, to_float
from saccade.formats._common.media import image_size_wh
from saccade.formats._common.names import SPLIT
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import (
    SPLIT_NAMES,
    SourceTree,
    UniqueKeys,
    is_image_name,
    normalize_path,
    replace_surrogates,
    source_tree,
    strip_extension,
)
from saccade.formats._common.per_image import group_images
from saccade.formats._common.spill import SpillSet, SpillTable, temporary_database
from saccade.formats.base import Detection, Format, LocalFile, MediaSource, Reader, Record, RecordStream, Writer
from saccade.formats.labelme.write import FLAGS, LabelMeWriter


class LabelMe(Format):
    name: ClassVar[str] = "labelme"
    title: ClassVar[str] = "LabelMe"
    supports: ClassVar[str] = "boxes, polygons, masks, circles, lines, points; attributes; labelled or not"

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and LabelMe is a folder")
        found = next(source_tree(source).files_below("", (".json",)), None)
        if found is None:
            return Detection(False, "there is no JSON file in it")
        if _is_labels(source / found):
            return Detection(True, f"{found} has shapes and an imagePath")
        return Detection(False, f"{found} has no shapes with an imagePath")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Open a folder."""
        parse_options(NoOptions, options, "LabelMe")
        return LabelMeReader(source, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "LabelMe")
        return LabelMeWriter(schema, destination, report)


def _is_labels(path: Path) -> bool:
    if not contains_tokens(path, '"shapes"', '"imagePath"'):
        return False
    try:
        data = load_json(path, ConversionReport())
    except (FormatError, OSError):
        return False
    return isinstance(data, dict) and isinstance(data.get("shapes"), list) and "imagePath" in data


@dataclass(frozen=True)
class Embedded:
    """An image that a label file holds."""

    name: str
    data: bytes
    path: Path | None = None

    def read(self) -> bytes:
        return self.data


@dataclass(frozen=True)
class _Entry:
    """An image with the file of its labels, where it has one; ``image`` is "" where the labels hold it."""

    key: str
    image: str
    labels: str
    split: str | None


class LabelMeReader(Reader):
    """One opening of a source."""

    def __init__(self, source: Path, report: ConversionReport) -> None:
        self._report = report
        self._tree = SourceTree(source)
        self._tree.report_skipped(report)
        self._splits = any(folder in SPLIT_NAMES for folder in self._tree.subfolders())
        self._names: set[str] = set()
        self._has_flags = False
        self._by_stem = group_images(self._tree.iter_images(), strip_extension)
        self._db = temporary_database(self)
        self._entries = SpillTable(self._db, "entries", ("key", "image", "labels", "split"))
        for entry in self._find_entries():
            self._entries.add(entry.key, entry.image, entry.labels, entry.split)

    def open(self) -> RecordStream:
        columns = [
            Column("image", Kind.IMAGE),
            Column("objects", Kind.OBJECTS, tuple(map(ClassInfo, sorted(self._names)))),
        ]
        columns += [Column(FLAGS, Kind.TABLE)] if self._has_flags else []
        columns += [Column(SPLIT, Kind.TEXT)] if self._splits else []
        return RecordStream(Schema(tuple(columns)), self._records(), len(self._entries))

    def _find_entries(self) -> Iterator[_Entry]:
        keys, used = UniqueKeys(self._report), SpillSet()
        found = SpillTable(self._db, "found", ("image", "labels"))
        for labels in self._tree.files_below("", (".json",)):
            data = self._load(labels)
            if data is None:
                continue
            self._names.update(name for shape in get_list(data, "shapes") if (name := _label(shape)))
            self._has_flags = self._has_flags or bool(_set_flags(data))
            image = self._image_of(labels, data)
            if image is None:
                self._report.add(
                    FindingType.SET_ASIDE, "image file missing", detail=f"{data.get('imagePath')!r} of {labels}"[:200]
                )
            elif image and image in used:
                self._report.add(FindingType.SET_ASIDE, "second annotation of an image", detail=f"{labels} of {image}")
            else:
                used.add(image)
                found.add(image, labels)
        for path in self._tree.iter_images():
            if path not in used:
                found.add(path, "")
        found.flush()
        by_name = "SELECT image, labels FROM found ORDER BY CASE image WHEN '' THEN labels ELSE image END"
        for path, labels in self._db.execute(by_name):
            stem, split = strip_extension(path or labels), None
            if self._splits and stem.partition("/")[0] in SPLIT_NAMES:
                split, _, stem = stem.partition("/")
            yield _Entry(keys.claim(stem, strip_extension(path or labels)), path, labels, split)

    def _load(self, labels: str) -> Json | None:
        try:
            data = load_json(self._tree.path(labels), self._report)
        except (FormatError, OSError) as error:
            self._report.add(
                FindingType.SET_ASIDE, "annotation that cannot be read", key=strip_extension(labels), detail=str(error)
            )
            return None
        if isinstance(data, dict) and isinstance(data.get("shapes"), list):
            return data
        self._report.add(FindingType.WARNING, "JSON file without shapes", detail=labels)
        return None

    def _image_of(self, labels: str, data: Json) -> str | None:
        """The image of a label file, "" where it is in the file, None where there is none."""
        folder, path = labels.rpartition("/")[0], data.get("imagePath")
        wishes = []
        if isinstance(path, str):  # what leads outside is none of the images that the source has
            wishes.append(posixpath.normpath(f"{folder}/{path}".replace("\\", "/")).lstrip("/"))
        wishes += self._by_stem.get(strip_extension(labels)) or []
        if isinstance(path, str):
            last = normalize_path(path).rpartition("/")[2]
            wishes.append(normalize_path(f"{folder}/{last}"))
        found = next((wish for wish in wishes if is_image_name(wish) and wish in self._tree.files), None)
        return found if found is not None else ("" if data.get("imageData") else None)

    def _records(self) -> Iterator[Record]:
        for entry in (_Entry(*row) for _, *row in self._entries):
            data = self._load(entry.labels) if entry.labels else None
            media = self._media(entry, data)
            if media is None:
                continue
            size = self._size_wh(entry, media, data)
            values: dict[str, Any] = {"objects": None if data is None else self._objects(data, entry.key, size)}
            if self._has_flags and data is not None and (flags := _set_flags(data)):
                values[FLAGS] = flags
            if entry.split is not None:
                values[SPLIT] = entry.split
            yield Record(entry.key, media, values, size)

    def _media(self, entry: _Entry, data: Json | None) -> MediaSource | None:
        if entry.image:
            return LocalFile(self._tree.path(entry.image))
        try:
            content = base64.b64decode(str((data or {}).get("imageData")), validate=True)
        except (binascii.Error, ValueError):
            self._report.add(FindingType.SET_ASIDE, "imageData that is not base64", key=entry.key)
            return None
        name = str((data or {}).get("imagePath") or entry.key).replace("\\", "/").rpartition("/")[2]
        return Embedded(replace_surrogates(name), content)

    def _size_wh(self, entry: _Entry, media: MediaSource, data: Json | None) -> tuple[int, int] | None:
        try:
            return image_size_wh(media.path or media.read())
        except (SaccadeError, OSError):
            stated = (data or {}).get("imageWidth"), (data or {}).get("imageHeight")
            width, height = (side if isinstance(side, int) and side > 0 else 0 for side in stated)
            return (width, height) if width and height else None

    def _objects(self, data: Json, key: str, size_wh: tuple[int, int] | None) -> Objects:
        made: dict[str, Object] = {}
        for position, shape in enumerate(get_list(data, "shapes"), 1):
            extra = saccade_extra(shape) if isinstance(shape, dict) else {}
            wish = extra.get("id")
            object_id = wish if isinstance(wish, str) and wish and wish not in made else str(position)
            while object_id in made:
                object_id += "'"
            found = _ShapeReader(self._report, key, object_id, size_wh).read(shape)
            if found is not None:
                made[object_id] = found
        report_duplicates(tuple(made.values()), key, self._report)
        return tuple(made.values())


def _label(shape: Any) -> str:
    label = shape.get("label") if isinstance(shape, dict) else None
    return label if isinstance(label, str) else ""


def _set_flags(data: Json) -> Json:
    flags = data.get("flags")
    return {name: value for name, value in flags.items() if value} if isinstance(flags, dict) else {}


@dataclass(frozen=True)
class _ShapeReader:
    """Reads one shape of one image."""

    report: ConversionReport
    key: str
    object_id: str
    size_wh: tuple[int, int] | None

    def _add(self, action: FindingType, reason: str, detail: str = "") -> None:
        self.report.add(action, reason, key=self.key, object_id=self.object_id, detail=detail[:200])

    def read(self, shape: Any) -> Object | None:
        if not _label(shape):
            self._add(FindingType.DROPPED, "object without a class")
            return None
        try:
            geometry = self._geometry(shape)
        except (InvalidValueError, SaccadeError) as error:
            self._add(FindingType.DROPPED, "object without a usable shape", str(error))
            return None
        if geometry is None:
            return None
        score, track = shape.get("score"), saccade_extra(shape).get("track")
        return Object(
            self.object_id,
            _label(shape),
            geometry,
            float(score) if math.isfinite(to_float(score)) else None,
            track if isinstance(track, str) else None,
            self._attributes(shape),
        )

    def _geometry(self, shape: Json) -> Geometry | None:
        points = self._points(shape)
        kind = shape.get("shape_type") or "polygon"
        if kind == "rectangle" and len(points) >= 2:
            xs, ys = zip(*points, strict=True)
            corners = (min(xs), min(ys), max(xs), max(ys))
            return fit_box(corners, self.size_wh, self.report, key=self.key, object_id=self.object_id)
        if kind == "circle" and len(points) == 2:
            radius = math.dist(*points)
            return Ellipse(*points[0], radius, radius, 0.0)
        if kind == "rotation" and len(points) == 4:
            return rotated_box_from_corners(points)
        if kind == "mask" and len(points) == 2:
            return self._mask(shape, points)
        return self._of_points(kind, points)

    def _of_points(self, kind: str, points: Sequence[Point]) -> Geometry | None:
        match kind:
            case "polygon":
                return Polygon.simple(points)
            case "line" | "linestrip":
                return Polyline(tuple(points))
            case "point" | "points":
                return Points(tuple(points))
            case _:
                self._add(FindingType.DROPPED, "shape of a kind that is not known", f"{kind!r} of {len(points)} points")
                return None

    def _points(self, shape: Json) -> list[Point]:
        made = []
        for pair in get_list(shape, "points"):
            if not isinstance(pair, list) or len(pair) != 2 or not all(math.isfinite(to_float(one)) for one in pair):
                raise InvalidValueError(f"A point is two finite numbers, not {pair!r}.")
            made.append((to_float(pair[0]), to_float(pair[1])))
        return made

    def _mask(self, shape: Json, points: Sequence[Point]) -> Mask:
        if self.size_wh is None:
            raise InvalidValueError("A mask needs an image of known size.")
        part = _mask_pixels(shape.get("mask"))
        width, height = self.size_wh
        left, top = round(points[0][0]), round(points[0][1])
        pixels = np.zeros((height, width), np.bool_)
        seen = part[max(0, -top) : max(0, height - top), max(0, -left) : max(0, width - left)]
        y, x = max(0, top), max(0, left)
        pixels[y : y + seen.shape[0], x : x + seen.shape[1]] = seen
        if seen.sum() < part.sum():
            self._add(FindingType.CLIPPED, "mask over the edge of the image")
        return mask_from_array(pixels)

    def _attributes(self, shape: Json) -> Mapping[str, AttributeValue]:
        given: Json = {}
        for name in ("flags", "attributes"):
            given.update(shape[name] if isinstance(shape.get(name), dict) else {})
        for name in ("description", "group_id", "difficult"):
            if shape.get(name) not in (None, "", False):
                given[name] = shape[name]
        return scalar_attributes(given, self.report, key=self.key, object_id=self.object_id)


def _mask_pixels(encoded: Any) -> Any:
    """The pixels of a mask from its PNG in base64; InvalidValueError where it is none."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(BytesIO(base64.b64decode(str(encoded), validate=True)), formats=["PNG"]) as image:
            if image.width * image.height > 1 << 28:
                raise InvalidValueError(f"A mask of {image.width} x {image.height} pixels is too large.")
            return np.asarray(image.convert("L")) > 0
    except UnidentifiedImageError:  # whose text names an object of this process
        raise InvalidValueError("The mask is no PNG in base64.") from None
    except (binascii.Error, ValueError, OSError, Image.DecompressionBombError) as error:
        raise InvalidValueError(f"The mask is no PNG in base64: {error}.") from None


FORMAT = LabelMe()
