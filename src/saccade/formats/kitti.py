"""KITTI: a text file of objects for each image.

Read: ``image_2`` with ``label_2`` (also ``images`` with ``labels``), also below training and testing, which become the
splits train and test. A line is type, truncation, occlusion, alpha, the box, the object's height, width, length,
location and rotation in metres and radians, and in results a score. All fields but the box become attributes, except
those with the value for "unknown"; ``DontCare`` is a class like any other. An image without a text file is not labelled
yet; one with an empty file is reviewed and empty.

Written: the same. Spaces in a class become '_', since spaces separate the fields of a line.

Source of the format: Geiger et al., "Are we ready for autonomous driving?" (2012), and the development kit's readme.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from saccade.core.errors import FormatError
from saccade.core.objects import AttributeValue, Object
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Schema
from saccade.formats._common.boxes import fit_box
from saccade.formats._common.losses import LossCounter
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import replace_surrogates, source_tree, strip_extension
from saccade.formats._common.per_image import PerImageReader, PerImageWriter, WrittenImage
from saccade.formats._common.text import parse_float, read_text, try_read_text
from saccade.formats.base import Detection, Format, Reader, RecordStream, SizeWH, Writer

_LABEL_FOLDERS = {"image_2": "label_2", "image_02": "label_02", "images": "labels"}
_SPLITS = {"training": "train", "testing": "test"}
_SPLIT_FOLDERS = {split: folder for folder, split in _SPLITS.items()}
_FIELDS = {
    "truncated": (1, -1.0),
    "occluded": (2, -1.0),
    "alpha": (3, -10.0),
    "height_m": (8, -1.0),
    "width_m": (9, -1.0),
    "length_m": (10, -1.0),
    "x_m": (11, -1000.0),
    "y_m": (12, -1000.0),
    "z_m": (13, -1000.0),
    "rotation_y": (14, -10.0),
}
"""Index in a line of each attribute, and the value that means "unknown"."""


class Kitti(Format):
    name: ClassVar[str] = "kitti"
    title: ClassVar[str] = "KITTI"
    supports: ClassVar[str] = "boxes with truncation, occlusion and the location in space; scores; labelled or not"

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and KITTI is a folder")
        tree = source_tree(source)
        first_file = ""
        for label_file in map(_label_file, tree.iter_images()):
            if label_file not in tree.files:
                continue
            first_file = first_file or label_file
            for line in read_text(source / label_file).split("\n"):
                if line.strip():
                    fields = line.split()
                    return Detection(_is_valid(fields), f"a line of {label_file} has {len(fields)} fields")
        if not first_file:
            return Detection(False, "there is no text file in label_2 for an image in image_2")
        # Empty files in images/ and labels/ could be YOLO as well.
        return Detection("label_2" in first_file, f"the text files in {first_file.rpartition('/')[0]} are empty")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        parse_options(NoOptions, options, "KITTI")
        return KittiReader(source, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "KITTI")
        return KittiWriter(schema, destination, report)


class KittiReader(PerImageReader):
    def __init__(self, source: Path, report: ConversionReport) -> None:
        super().__init__(source, report, containers=[*_LABEL_FOLDERS, "data"], split_folders=False)

    def open(self) -> RecordStream:
        names: set[str] = set()
        file_count = 0
        for image in self.index:
            label_file = _label_file(image)
            top_folder, _, rest = image.partition("/")
            labels = self.labels_for(image)
            assert labels is not None
            labels.split = _SPLITS.get(top_folder)
            if labels.split:
                labels.key = _strip_container(rest)
            file = self.tree.find_companion(image, label_file)
            if file is not None:
                file_count += 1
                text = try_read_text(self.tree.path(file), labels.key or strip_extension(image), self.report)
                if text is None:
                    continue
                labels.raw = [replace_surrogates(line) for line in text.split("\n") if line.strip()]
                names.update(line.split()[0] for line in labels.raw)
        if not file_count:
            raise FormatError(f"There is no text file in label_2 for an image below {self.tree.root}.")
        return self.stream(sorted(names), self._objects)

    def _objects(self, lines: Sequence[str], key: str, size_wh: SizeWH | None) -> Iterator[Object]:
        for position, line in enumerate(lines, 1):
            fields = line.split()
            object_id = str(position)
            if not _is_valid(fields):
                reason = "line that cannot be read"
                self.report.add(FindingType.DROPPED, reason, key=key, object_id=object_id, detail=line[:100])
                continue
            x1, y1, x2, y2 = (parse_float(field) for field in fields[4:8])
            box = fit_box((x1, y1, x2, y2), size_wh, self.report, key=key, object_id=object_id)
            if box is None:
                continue
            attributes: dict[str, AttributeValue] = {}
            for name, (index, unknown) in _FIELDS.items():
                value = parse_float(fields[index])
                if value != unknown:
                    attributes[name] = int(value) if name == "occluded" and value.is_integer() else value
            score = parse_float(fields[15]) if len(fields) == 16 else None
            yield Object(object_id, fields[0], box, score, None, attributes)


def _label_file(image: str) -> str:
    """Return the path of an image's text file, or "" if the image is not in a folder of images."""
    parts = image.split("/")
    for index, part in enumerate(parts[:-1]):
        if part in _LABEL_FOLDERS:
            return strip_extension("/".join([*parts[:index], _LABEL_FOLDERS[part], *parts[index + 1 :]])) + ".txt"
    return ""


def _strip_container(path: str) -> str:
    first, slash, rest = strip_extension(path).partition("/")
    return rest if slash and first in _LABEL_FOLDERS else strip_extension(path)


def _is_valid(fields: Sequence[str]) -> bool:
    return len(fields) in (15, 16) and all(math.isfinite(parse_float(field)) for field in fields[1:])


class KittiWriter(PerImageWriter):
    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        # Only train and test have a folder in KITTI.
        reserved = [*_LABEL_FOLDERS, *_SPLITS]
        super().__init__(schema, destination, report, folder="", split_folders="custom", reserved=reserved)
        self._losses = LossCounter(report, attributes=True, scores=True)
        self._written_names: dict[str, str] = {}
        self._used_names: set[str] = set()

    def write_labels(self, image: WrittenImage) -> None:
        folder = _SPLIT_FOLDERS.get(image.split or "", "")
        if image.split and not folder:
            self.report.add(FindingType.DROPPED, "split that is not train or test", key=image.key, detail=image.split)
        base = self.destination / folder
        image_file = base / "image_2" / image.image_path
        image_file.parent.mkdir(parents=True, exist_ok=True)
        (self.destination / image.image_path).replace(image_file)
        if image.objects is not None:
            label_file = base / "label_2" / f"{image.stem}.txt"
            label_file.parent.mkdir(parents=True, exist_ok=True)
            lines = [
                line
                for position, obj in enumerate(image.objects, 1)
                if (line := self._format_line(image.key, obj, position))
            ]
            label_file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def _finish(self) -> None:
        super()._finish()
        # The images were moved out of the folders that the base class created.
        for folder in sorted((path for path in self.destination.rglob("*") if path.is_dir()), reverse=True):
            if not any(folder.iterdir()):
                folder.rmdir()
        (self.destination / "label_2").mkdir(exist_ok=True)
        self._losses.report()
        self.classes.report_unlisted(self.report)

    def _format_line(self, key: str, obj: Object, position: int) -> str | None:
        self._losses.count(key, obj, position)
        bounds = self._losses.bounds_xyxy(key, obj)
        if bounds is None:
            return None
        self.classes.index_of(obj.class_name)
        fields: dict[str, float] = {name: unknown for name, (_, unknown) in _FIELDS.items()}
        for name, value in obj.attributes.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            # A value that means "unknown" cannot be written: it would be read back as no attribute.
            if is_number and value != fields.get(name, value):
                fields[name] = float(value) if isinstance(value, float) else int(value)
            else:
                detail = f"{name} = {value!r}"
                self.report.add(FindingType.DROPPED, "attribute", key=key, object_id=obj.id, detail=detail)
        values = list(fields.values())
        scores = [] if obj.score is None else [obj.score]
        numbers = [*values[:3], *bounds, *values[3:], *scores]
        return " ".join([self._class_name(key, obj), *map(repr, numbers)])

    def _class_name(self, key: str, obj: Object) -> str:
        """Return the class without spaces; different classes keep different names."""
        if obj.class_name not in self._written_names:
            name = "_".join(obj.class_name.split()) or "_"
            unique = name
            number = 2
            while unique in self._used_names:
                unique = f"{name}-{number}"
                number += 1
            self._written_names[obj.class_name] = unique
            self._used_names.add(unique)
        written_name = self._written_names[obj.class_name]
        if written_name != obj.class_name:
            reason = "class changed to have no spaces"
            detail = f"{obj.class_name!r} to {written_name!r}"
            self.report.add(FindingType.REPAIRED, reason, key=key, object_id=obj.id, detail=detail)
        return written_name


FORMAT = Kitti()
