"""Masks as PNGs: beside each image one whose pixels are numbers of classes, and one that tells objects apart.

Read: ``images`` with ``masks``, or ``JPEGImages`` with ``SegmentationClass`` and ``SegmentationObject`` (Pascal VOC,
and CVAT's segmentation mask); ``instances`` beside ``masks`` tells objects of one class apart. The classes stand in
``labelmap.txt`` (``name:r,g,b::``) or ``classes.txt`` (``number name``, or a name a line from 0); without either a
class is called after its number. 0 and black are background, 255 in a mask of numbers is void. An image without a
mask is not labelled; a mask of background alone means reviewed and empty.

Written: ``images``, ``masks`` (8 or 16 bits, numbers of classes), ``instances`` (16 bits, numbers of objects) and
``classes.txt``. Every shape becomes a mask; where objects overlap, the later one is seen, and what it covers is
reported.

Source of the layouts: Everingham et al., "The Pascal Visual Object Classes Challenge" (2010); https://docs.cvat.ai.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from saccade.core.errors import FormatError, MediaError
from saccade.core.geometry import mask_from_array
from saccade.core.objects import Object
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Schema
from saccade.formats._common.geometry import drop_object
from saccade.formats._common.index_mask import IndexMaskPainter, read_index_png, report_dropped_fields
from saccade.formats._common.losses import report_renumbered
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import SourceTree, replace_surrogates, source_tree, strip_extension
from saccade.formats._common.per_image import PerImageReader, PerImageWriter, WrittenImage
from saccade.formats._common.text import read_text
from saccade.formats.base import Detection, Format, Reader, RecordStream, SizeWH, Writer

_PAIRS = {"images": ("masks", "instances"), "JPEGImages": ("SegmentationClass", "SegmentationObject")}
_VOID = 255
_MOST_OBJECTS = 65_535
_COLOR = re.compile(r"(.*):(\d{1,3}),(\d{1,3}),(\d{1,3})(?::.*)?$")


class Masks(Format):
    name: ClassVar[str] = "masks"
    title: ClassVar[str] = "mask PNGs"
    supports: ClassVar[str] = "masks that do not overlap; labelled or not"

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and masks are read from a folder")
        tree = source_tree(source)
        found = next((mask for image in tree.iter_images() if (mask := _mask_of(image, tree, 0))), "")
        if not found:
            return Detection(False, "there is no folder of masks beside one of images")
        if "JPEGImages" in tree.folders and any(tree.files_below("Annotations", (".xml",))):
            return Detection(False, f"there is {found}, but Annotations too: name the format to read the masks")
        return Detection(True, f"there is {found}")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Open a folder."""
        parse_options(NoOptions, options, "masks")
        return MasksReader(source, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "masks")
        return MasksWriter(schema, destination, report)


class MasksReader(PerImageReader):
    def __init__(self, source: Path, report: ConversionReport) -> None:
        super().__init__(source, report, containers=_PAIRS)

    def open(self) -> RecordStream:
        table = _Classes(self.tree)
        names: set[str] = set()
        count = 0
        for image in self.index:
            mask = _mask_of(image, self.tree, 0)
            entry = self.labels_for(image) if mask else None
            if entry is not None:
                count += 1
                entry.raw = [mask, _mask_of(image, self.tree, 1)]
                names.update(_names_in(self.tree.path(mask), table))
        if not count:
            raise FormatError(f"There is no folder of masks beside one of images below {self.tree.root}.")
        listed = [name for name in table.names.values() if name] or sorted(names)
        classes = [*listed, *sorted(names - set(listed))]

        def build(raw: list[str], key: str, size_wh: SizeWH | None) -> Iterator[Object]:
            mask, instances = self.tree.path(raw[0]), self.tree.path(raw[1]) if raw[1] else None
            return _objects(mask, instances, key, size_wh, table, self.report)

        return self.stream(classes, build, include=lambda image: bool(_pair_of(image)))


def _pair_of(image: str) -> str:
    return next((part for part in image.split("/")[:-1] if part in _PAIRS), "")


def _mask_of(image: str, tree: SourceTree, which: int) -> str:
    """The mask (0) or the instances (1) of an image; "" where there are none."""
    folder = _pair_of(image)
    if not folder:
        return ""
    parts = image.split("/")
    at = parts.index(folder)
    path = strip_extension("/".join([*parts[:at], _PAIRS[folder][which], *parts[at + 1 :]])) + ".png"
    return path if path in tree.files else ""


class _Classes:
    """The names of classes by number, and by colour where there is a label map."""

    def __init__(self, tree: SourceTree) -> None:
        self.names: dict[int, str] = {}
        self.colors: dict[int, str] = {}
        for file in ("labelmap.txt", "classes.txt"):
            found = next(tree.files_below("", (file,)), None)
            if found is not None:
                self._read(read_text(tree.path(found)), is_map=file == "labelmap.txt")
                break

    def _read(self, text: str, *, is_map: bool) -> None:
        lines = [replace_surrogates(line.rstrip("\r")) for line in text.split("\n")]
        for at, line in enumerate(line for line in lines if line.strip() and not line.startswith("#")):
            color = _COLOR.fullmatch(line) if is_map else None
            number = re.match(r"(\d{1,5}) (.*)", line) if not is_map else None
            if color:
                code = int(color[2]) << 16 | int(color[3]) << 8 | int(color[4])
                self.colors[code] = "" if code == 0 else color[1]
                self.names[at] = "" if code == 0 else color[1]
            elif number:
                self.names[int(number[1])] = "" if number[1] == "0" else number[2]
            elif not is_map:
                self.names[at] = line if at or line.lower() not in ("background", "_background_") else ""

    def name(self, code: int, *, is_color: bool) -> str:
        """The class of a number or colour; "" for the background."""
        if is_color:
            return self.colors.get(code, "" if code == 0 else f"#{code:06x}")
        return self.names.get(code, "" if code in (0, _VOID) else f"class-{code}")


def _names_in(path: Path, table: _Classes) -> set[str]:
    try:
        pixels, is_color = read_index_png(path)
    except MediaError:
        return set()  # reported when it is read
    return {name for code in np.unique(pixels).tolist() if (name := table.name(code, is_color=is_color))}


def _objects(
    mask: Path, instances: Path | None, key: str, size_wh: SizeWH | None, table: _Classes, report: ConversionReport
) -> Iterator[Object]:
    try:
        classes, is_color = read_index_png(mask)
        things = read_index_png(instances)[0] if instances else np.zeros_like(classes)
    except MediaError as error:
        report.add(FindingType.DROPPED, "mask that cannot be read", key=key, detail=str(error))
        return
    shape = (size_wh[1], size_wh[0]) if size_wh else classes.shape
    if classes.shape != shape or things.shape != shape:
        detail = f"{classes.shape[1]} x {classes.shape[0]}"
        report.add(FindingType.DROPPED, "mask of another size than its image", key=key, detail=detail)
        return
    # Instances of one number in two classes are two objects.
    pairs = np.unique(np.stack([things.ravel(), classes.ravel()], axis=1), axis=0)
    position = 0
    for thing, code in pairs.tolist():
        name = table.name(code, is_color=is_color)
        if name:
            position += 1
            yield Object(str(position), name, mask_from_array((things == thing) & (classes == code)))


class MasksWriter(PerImageWriter):
    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        super().__init__(schema, destination, report, reserved=_PAIRS)
        self._ids = 0

    def write_labels(self, one: WrittenImage) -> None:
        if one.objects is not None and one.size_wh is not None:
            self._masks(one)

    def _finish(self) -> None:
        super()._finish()
        (self.destination / "masks").mkdir(exist_ok=True)
        report_renumbered(self.report, self._ids)
        lines = (f"{number + 1} {_line(name)}\n" for name, number in self.classes.indices.items())
        (self.destination / "classes.txt").write_text("".join(lines), encoding="utf-8")

    def _masks(self, one: WrittenImage) -> None:
        from PIL import Image

        assert one.size_wh is not None
        painting = IndexMaskPainter(one.size_wh, one.key, self.report)
        for found in one.objects or ():
            painting.add(found)
        classes, things = np.zeros((2, *painting.object_numbers.shape), np.uint16)
        for position, (number, found) in enumerate(painting.visible_objects(), 1):
            if position > _MOST_OBJECTS:
                drop_object(found, one.key, self.report, f"an image can have {_MOST_OBJECTS} objects")
                continue
            self._ids += found.id != str(position)
            report_dropped_fields(found, one.key, self.report)
            if _line(found.class_name) != found.class_name:
                detail = repr(found.class_name)
                self.report.add(
                    FindingType.DROPPED, "line breaks in a class", key=one.key, object_id=found.id, detail=detail
                )
            pixels = painting.object_numbers == number
            classes[pixels] = self.classes.index_of(found.class_name) + 1
            things[pixels] = position
        for folder, numbers in (("masks", classes), ("instances", things)):
            path = self.destination / folder / f"{one.stem}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            small = folder == "masks" and numbers.max(initial=0) < _VOID
            Image.fromarray(numbers.astype(np.uint8) if small else numbers).save(path)


def _line(name: str) -> str:
    """The name of a class on one line."""
    return name.replace("\n", " ").replace("\r", " ")


FORMAT = Masks()
