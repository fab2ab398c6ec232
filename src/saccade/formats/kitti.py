"""KITTI: a text file of objects for each image.

Read: ``image_2`` with ``label_2`` (also ``images`` with ``labels``), below training and testing too, which become the
splits train and test. A line is type, truncation, occlusion, alpha, the box, the object's height, width, length,
place and rotation in metres and radians, and in results a score. What is not the box becomes attributes, unless it
says that it is not known; ``DontCare`` is a class like any other. An image without a text file is not labelled; an
empty file means reviewed and empty.

Written: the same. A class's spaces become '_', since a line is parted by spaces.

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
from saccade.formats._common.text import parse_float, read_text
from saccade.formats.base import Detection, Format, Reader, RecordStream, SizeWH, Writer

_PAIRS = {"image_2": "label_2", "image_02": "label_02", "images": "labels"}
_SPLITS = {"training": "train", "testing": "test"}
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
"""Where a line holds each attribute, and the number that says that it is not known."""


class Kitti(Format):
    name: ClassVar[str] = "kitti"
    title: ClassVar[str] = "KITTI"
    supports: ClassVar[str] = "boxes with truncation, occlusion and the place in space; scores; labelled or not"

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and KITTI is a folder")
        tree = source_tree(source)
        first = ""
        for label in map(_label_of, tree.iter_images()):
            if label not in tree.files:
                continue
            first = first or label
            for line in read_text(source / label).split("\n"):
                if line.strip():
                    fits = _is_line(line.split())
                    return Detection(fits, f"a line of {label} has {len(line.split())} parts")
        if not first:
            return Detection(False, "there is no text file in label_2 for an image in image_2")
        return Detection("label_2" in first, f"the text files in {first.rpartition('/')[0]} are empty")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Open a folder."""
        parse_options(NoOptions, options, "KITTI")
        return KittiReader(source, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "KITTI")
        return KittiWriter(schema, destination, report)


class KittiReader(PerImageReader):
    def __init__(self, source: Path, report: ConversionReport) -> None:
        super().__init__(source, report, containers=[*_PAIRS, "data"], split_folders=False)

    def open(self) -> RecordStream:
        names: set[str] = set()
        count = 0
        for image in self.index:
            label = _label_of(image)
            top, _, rest = image.partition("/")
            entry = self.labels_for(image)
            assert entry is not None
            entry.split = _SPLITS.get(top)
            if entry.split:
                entry.key = _without_container(rest)
            if label in self.tree.files:
                count += 1
                lines = read_text(self.tree.path(label)).split("\n")
                entry.raw = [replace_surrogates(line) for line in lines if line.strip()]
                names.update(line.split()[0] for line in entry.raw)
        if not count:
            raise FormatError(f"There is no text file in label_2 for an image below {self.tree.root}.")
        return self.stream(sorted(names), lambda lines, key, size: _objects(lines, key, size, self.report))


def _label_of(image: str) -> str:
    """The text file of an image, "" where the image is in no folder that has such."""
    parts = image.split("/")
    for at, part in enumerate(parts[:-1]):
        if part in _PAIRS:
            return strip_extension("/".join([*parts[:at], _PAIRS[part], *parts[at + 1 :]])) + ".txt"
    return ""


def _without_container(path: str) -> str:
    first, slash, rest = strip_extension(path).partition("/")
    return rest if slash and first in _PAIRS else strip_extension(path)


def _is_line(parts: Sequence[str]) -> bool:
    return len(parts) in (15, 16) and all(math.isfinite(parse_float(part)) for part in parts[1:])


def _objects(lines: Sequence[str], key: str, size_wh: SizeWH | None, report: ConversionReport) -> Iterator[Object]:
    for position, line in enumerate(lines, 1):
        parts, object_id = line.split(), str(position)
        if not _is_line(parts):
            report.add(FindingType.DROPPED, "line that cannot be read", key=key, object_id=object_id, detail=line[:100])
            continue
        corners = [parse_float(part) for part in parts[4:8]]
        box = fit_box((corners[0], corners[1], corners[2], corners[3]), size_wh, report, key=key, object_id=object_id)
        if box is None:
            continue
        attributes: dict[str, AttributeValue] = {}
        for name, (at, unknown) in _FIELDS.items():
            value = parse_float(parts[at])
            if value != unknown:
                attributes[name] = int(value) if name == "occluded" and value.is_integer() else value
        score = parse_float(parts[15]) if len(parts) == 16 else None
        yield Object(object_id, parts[0], box, score, None, attributes)


class KittiWriter(PerImageWriter):
    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        # Only train and test have a folder in KITTI.
        super().__init__(schema, destination, report, folder="", split_folders="custom", reserved=[*_PAIRS, *_SPLITS])
        self._losses = LossCounter(report, attributes=True, scores=True)
        self._names: dict[str, str] = {}
        self._taken: set[str] = set()

    def write_labels(self, one: WrittenImage) -> None:
        folder = {"train": "training", "test": "testing"}.get(one.split or "", "unsplit" if one.split else "")
        if one.split is not None and folder == "unsplit":
            self.report.add(FindingType.DROPPED, "split that is not train or test", key=one.key, detail=one.split)
            folder = ""
        base = self.destination / folder
        image = base / "image_2" / one.image_path
        image.parent.mkdir(parents=True, exist_ok=True)
        (self.destination / one.image_path).replace(image)
        if one.objects is not None:
            label = base / "label_2" / f"{one.stem}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            lines = [line for at, found in enumerate(one.objects, 1) if (line := self._line(one.key, found, at))]
            label.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def _finish(self) -> None:
        super()._finish()
        for left in sorted((path for path in self.destination.rglob("*") if path.is_dir()), reverse=True):
            if not any(left.iterdir()):
                left.rmdir()
        (self.destination / "label_2").mkdir(exist_ok=True)
        self._losses.report()
        self.classes.report_unlisted(self.report)

    def _line(self, key: str, found: Object, position: int) -> str | None:
        self._losses.count(key, found, position)
        bounds = self._losses.bounds_xyxy(key, found)
        if bounds is None:
            return None
        self.classes.index_of(found.class_name)
        fields: dict[str, float] = {name: unknown for name, (_, unknown) in _FIELDS.items()}
        for name, value in found.attributes.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if is_number and value != fields.get(name, value):
                fields[name] = float(value) if isinstance(value, float) else int(value)
            else:
                detail = f"{name} = {value!r}"
                self.report.add(FindingType.DROPPED, "attribute", key=key, object_id=found.id, detail=detail)
        values = list(fields.values())
        parts = [*values[:3], *bounds, *values[3:], *([] if found.score is None else [found.score])]
        return " ".join([self._name(key, found), *map(repr, parts)])

    def _name(self, key: str, found: Object) -> str:
        """The class without spaces; two classes never become one."""
        if found.class_name not in self._names:
            name = free = "_".join(found.class_name.split()) or "_"
            number = 2
            while free in self._taken:
                free, number = f"{name}-{number}", number + 1
            self._names[found.class_name] = free
            self._taken.add(free)
        made = self._names[found.class_name]
        if made != found.class_name:
            detail = f"{found.class_name!r} to {made!r}"
            self.report.add(
                FindingType.REPAIRED, "class changed to have no spaces", key=key, object_id=found.id, detail=detail
            )
        return made


FORMAT = Kitti()
