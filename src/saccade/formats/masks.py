"""Mask PNGs: beside each image a PNG of class numbers, and one of object numbers.

Read: ``images`` with ``masks``, or ``JPEGImages`` with ``SegmentationClass`` and ``SegmentationObject`` (Pascal VOC,
and CVAT's segmentation mask); ``instances`` beside ``masks`` separates objects of one class. The classes are in
``labelmap.txt`` (``name:r,g,b::``), ``classes.txt`` (``number name``, or a name a line from 0), or ``class_names.txt``
or ``labels.txt`` as labelme2voc has them; without any of them a class is called after its number. 0 and black are
background, 255 in a mask of numbers is void. An image without a mask is not labelled yet; one whose mask is only
background is reviewed and empty. A mask of another size than its image is turned by the EXIF orientation or scaled, if
the sizes leave no doubt.

Written: ``images``, ``masks`` (8 or 16 bits, class numbers), ``instances`` (16 bits, object numbers) and
``classes.txt``. Every shape becomes a mask; if objects overlap, the later one is visible, and the hidden parts are
reported.

Source of the layouts: Everingham et al., "The Pascal Visual Object Classes Challenge" (2010); https://docs.cvat.ai.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from saccade.core.errors import FormatError, MediaError
from saccade.core.geometry import distinct_values, masks_from_labels
from saccade.core.objects import Object
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Schema
from saccade.formats._common.geometry import drop_object
from saccade.formats._common.index_mask import IndexMaskPainter, read_index_png, report_dropped_fields
from saccade.formats._common.losses import report_renumbered, report_unsized_objects
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import SourceTree, replace_surrogates, source_tree, strip_extension
from saccade.formats._common.per_image import PerImageReader, PerImageWriter, WrittenImage
from saccade.formats._common.text import read_text
from saccade.formats.base import Detection, Format, Reader, RecordStream, SizeWH, Writer

_NAME_FILES = ("labelmap.txt", "classes.txt", "class_names.txt", "labels.txt")
_MASK_FOLDERS = {"images": "masks", "JPEGImages": "SegmentationClass"}
_INSTANCE_FOLDERS = {"images": "instances", "JPEGImages": "SegmentationObject"}
_VOID = 255
# Instances are written as 16-bit PNGs, with 0 for the background.
_MAX_OBJECTS = 65_535
_COLOR_LINE = re.compile(r"(.*):(\d{1,3}),(\d{1,3}),(\d{1,3})(?::.*)?$")


class Masks(Format):
    name: ClassVar[str] = "masks"
    title: ClassVar[str] = "mask PNGs"
    supports: ClassVar[str] = "masks that do not overlap; labelled or not"

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and masks are read from a folder")
        tree = source_tree(source)
        first = next((mask for image in tree.iter_images() if (mask := _png_of(image, tree, _MASK_FOLDERS))), "")
        if not first:
            return Detection(False, "there is no folder of masks beside a folder of images")
        # A Pascal VOC set also has masks, for some of its images.
        if "JPEGImages" in tree.folders and any(tree.files_below("Annotations", (".xml",))):
            return Detection(False, f"there is {first}, but Annotations too: name the format to read the masks")
        return Detection(True, f"there is {first}")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        parse_options(NoOptions, options, "masks")
        return MasksReader(source, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "masks")
        return MasksWriter(schema, destination, report)


class MasksReader(PerImageReader):
    def __init__(self, source: Path, report: ConversionReport) -> None:
        super().__init__(source, report, containers=_MASK_FOLDERS)
        self._classes = _ClassTable(self.tree)

    def open(self) -> RecordStream:
        names: set[str] = set()
        mask_count = 0
        for image in self.index:
            mask = _png_of(image, self.tree, _MASK_FOLDERS)
            labels = self.labels_for(image) if mask else None
            if labels is not None:
                mask_count += 1
                labels.raw = [mask, _png_of(image, self.tree, _INSTANCE_FOLDERS)]
                names.update(self._class_names(mask))
        if not mask_count:
            raise FormatError(f"There is no folder of masks beside a folder of images below {self.tree.root}.")
        listed = [name for name in self._classes.names.values() if name] or sorted(names)
        classes = [*listed, *sorted(names - set(listed))]
        return self.stream(classes, self._objects, include=lambda image: bool(_image_folder(image)))

    def _class_names(self, mask: str) -> set[str]:
        try:
            pixels, is_color = read_index_png(self.tree.path(mask))
        except MediaError:
            # Reported when the objects are read.
            return set()
        names = {self._classes.name(code, is_color=is_color) for code in distinct_values(pixels)}
        return names - {""}

    def _objects(self, pngs: list[str], key: str, _size_wh: SizeWH | None) -> Iterator[Object]:
        class_mask, instances = pngs
        try:
            class_codes, is_color = read_index_png(self.tree.path(class_mask))
            object_numbers = read_index_png(self.tree.path(instances))[0] if instances else None
        except MediaError as error:
            self.report.add(FindingType.DROPPED, "mask that cannot be read", key=key, detail=str(error))
            return
        if object_numbers is not None and object_numbers.shape != class_codes.shape:
            detail = f"{object_numbers.shape[1]} x {object_numbers.shape[0]}"
            reason = "instances of another size than the mask"
            self.report.add(FindingType.DROPPED, reason, key=key, detail=detail)
            return
        # An instance number that occurs in two classes is two objects.
        labels = [class_codes] if object_numbers is None else [object_numbers, class_codes]
        position = 0
        for numbers, mask in masks_from_labels(*labels):
            name = self._classes.name(numbers[-1], is_color=is_color)
            if name:
                position += 1
                yield Object(str(position), name, mask)


def _image_folder(image: str) -> str:
    """Return the name of the folder of images that an image is in, or "" if there is none."""
    return next((part for part in image.split("/")[:-1] if part in _MASK_FOLDERS), "")


def _png_of(image: str, tree: SourceTree, folders: dict[str, str]) -> str:
    """Return the PNG of an image in the folder beside its own, or "" if there is none.

    Args:
        folders: names of the folders by the name of the folder of images.
    """
    folder = _image_folder(image)
    if not folder:
        return ""
    parts = image.split("/")
    index = parts.index(folder)
    path = strip_extension("/".join([*parts[:index], folders[folder], *parts[index + 1 :]])) + ".png"
    return tree.find_companion(image, path) or ""


class _ClassTable:
    """The names of classes by number, and by colour if there is a label map; the background has the name ""."""

    def __init__(self, tree: SourceTree) -> None:
        self.names: dict[int, str] = {}
        self._name_by_color: dict[int, str] = {}
        for file_name in _NAME_FILES:
            file = next(tree.files_below("", (file_name,)), None)
            if file is not None:
                self._parse(read_text(tree.path(file)), is_label_map=file_name == "labelmap.txt")
                break

    def _parse(self, text: str, *, is_label_map: bool) -> None:
        lines = [replace_surrogates(line.rstrip("\r")) for line in text.split("\n")]
        # A comment has no number, but a blank line does: the numbers of the lines after it are counted with it.
        lines = [line for line in lines if not line.startswith("#")]
        # The label list of labelme2voc begins with a line for the pixels to be ignored, which has the number -1.
        first = -1 if lines and lines[0].strip() == "__ignore__" else 0
        for index, line in enumerate(lines, first):
            if not line.strip() or index < 0:
                continue
            color_match = _COLOR_LINE.fullmatch(line) if is_label_map else None
            number_match = re.match(r"(\d{1,5}) (.*)", line) if not is_label_map else None
            if color_match:
                color = int(color_match[2]) << 16 | int(color_match[3]) << 8 | int(color_match[4])
                self._name_by_color[color] = "" if color == 0 else color_match[1]
                self.names[index] = "" if color == 0 else color_match[1]
            elif number_match:
                self.names[int(number_match[1])] = "" if number_match[1] == "0" else number_match[2]
            elif not is_label_map:
                is_background = index == 0 and line.lower() in ("background", "_background_")
                self.names[index] = "" if is_background else line

    def name(self, code: int, *, is_color: bool) -> str:
        """Return the class of a number or colour, or "" for the background."""
        if is_color:
            return self._name_by_color.get(code, "" if code == 0 else f"#{code:06x}")
        return self.names.get(code, "" if code in (0, _VOID) else f"class-{code}")


class MasksWriter(PerImageWriter):
    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        super().__init__(schema, destination, report, reserved=_MASK_FOLDERS)
        self._renumbered = 0

    def write_labels(self, image: WrittenImage) -> None:
        if image.objects is None:
            return
        if image.size_wh is None:
            report_unsized_objects(image.objects, image.key, self.report)
            return
        painter = IndexMaskPainter(image.size_wh, image.key, self.report)
        for obj in image.objects:
            painter.add(obj)
        class_numbers = np.zeros(painter.object_numbers.shape, np.uint16)
        instances = np.zeros(painter.object_numbers.shape, np.uint16)
        for position, (number, obj) in enumerate(painter.visible_objects(), 1):
            if position > _MAX_OBJECTS:
                drop_object(obj, image.key, self.report, f"an image can have {_MAX_OBJECTS} objects")
                continue
            self._renumbered += obj.id != str(position)
            report_dropped_fields(obj, image.key, self.report)
            if _on_one_line(obj.class_name) != obj.class_name:
                reason = "line breaks in a class"
                detail = repr(obj.class_name)
                self.report.add(FindingType.DROPPED, reason, key=image.key, object_id=obj.id, detail=detail)
            pixels = painter.object_numbers == number
            class_numbers[pixels] = self.classes.index_of(obj.class_name) + 1
            instances[pixels] = position
        # Tools expect 8 bits; 16 are needed only if a number would mean void.
        fits_8_bits = class_numbers.max(initial=0) < _VOID
        self._save_png("masks", image.stem, class_numbers.astype(np.uint8) if fits_8_bits else class_numbers)
        self._save_png("instances", image.stem, instances)

    def _save_png(self, folder: str, stem: str, numbers: npt.NDArray[Any]) -> None:
        from PIL import Image

        path = self.destination / folder / f"{stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(numbers).save(path)

    def _finish(self) -> None:
        super()._finish()
        (self.destination / "masks").mkdir(exist_ok=True)
        report_renumbered(self.report, self._renumbered)
        lines = (f"{number + 1} {_on_one_line(name)}\n" for name, number in self.classes.indices.items())
        (self.destination / "classes.txt").write_text("".join(lines), encoding="utf-8")


def _on_one_line(name: str) -> str:
    return name.replace("\n", " ").replace("\r", " ")


FORMAT = Masks()
