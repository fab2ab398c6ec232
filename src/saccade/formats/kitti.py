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
from saccade.core.report import Action, Report
from saccade.formats._common.boxes import fit_box
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import stem_of, tree_of, whole_text
from saccade.formats._common.per_image import ByImage, ImagesOut, SizeWH
from saccade.formats._common.text import read_text, to_number
from saccade.formats._common.writing import ObjectLosses
from saccade.formats.base import Detection, Reading

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


class Kitti:
    name: ClassVar[str] = "kitti"
    title: ClassVar[str] = "KITTI"
    holds: ClassVar[str] = "boxes with truncation, occlusion and the place in space; scores; labelled or not"

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and KITTI is a folder")
        tree = tree_of(source)
        first = ""
        for label in map(_label_of, tree.each_image()):
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

    def read(self, source: Path, report: Report, **options: Any) -> Reading:
        """Open a folder."""
        parse_options(NoOptions, options, "KITTI")
        images = ByImage(source, report, containers=[*_PAIRS, "data"], splits=False)
        names: set[str] = set()
        count = 0
        for image in images.index:
            label = _label_of(image)
            top, _, rest = image.partition("/")
            entry = images.entry(image)
            assert entry is not None
            entry.split = _SPLITS.get(top)
            if entry.split:
                entry.key = _without_container(rest)
            if label in images.tree.files:
                count += 1
                lines = read_text(images.tree.path(label)).split("\n")
                entry.raw = [whole_text(line) for line in lines if line.strip()]
                names.update(line.split()[0] for line in entry.raw)
        if not count:
            raise FormatError(f"There is no text file in label_2 for an image below {source}.")
        return images.reading(sorted(names), lambda lines, key, size: _objects(lines, key, size, report))

    def write(self, reading: Reading, destination: Path, report: Report, **options: Any) -> None:
        parse_options(NoOptions, options, "KITTI")
        _Writer(reading, destination, report).write()


def _label_of(image: str) -> str:
    """The text file of an image, "" where the image is in no folder that has such."""
    parts = image.split("/")
    for at, part in enumerate(parts[:-1]):
        if part in _PAIRS:
            return stem_of("/".join([*parts[:at], _PAIRS[part], *parts[at + 1 :]])) + ".txt"
    return ""


def _without_container(path: str) -> str:
    first, slash, rest = stem_of(path).partition("/")
    return rest if slash and first in _PAIRS else stem_of(path)


def _is_line(parts: Sequence[str]) -> bool:
    return len(parts) in (15, 16) and all(math.isfinite(to_number(part)) for part in parts[1:])


def _objects(lines: Sequence[str], key: str, size_wh: SizeWH, report: Report) -> Iterator[Object]:
    for position, line in enumerate(lines, 1):
        parts, object_id = line.split(), str(position)
        if not _is_line(parts):
            report.add(Action.DROPPED, "line that cannot be read", key=key, object_id=object_id, detail=line[:100])
            continue
        corners = [to_number(part) for part in parts[4:8]]
        box = fit_box((corners[0], corners[1], corners[2], corners[3]), size_wh, report, key=key, object_id=object_id)
        if box is None:
            continue
        attributes: dict[str, AttributeValue] = {}
        for name, (at, unknown) in _FIELDS.items():
            value = to_number(parts[at])
            if value != unknown:
                attributes[name] = int(value) if name == "occluded" and value.is_integer() else value
        score = to_number(parts[15]) if len(parts) == 16 else None
        yield Object(object_id, parts[0], box, score, None, attributes)


class _Writer:
    def __init__(self, reading: Reading, destination: Path, report: Report) -> None:
        # Only train and test have a folder in KITTI.
        self._out = ImagesOut(reading, destination, report, folder="", splits="kept", reserved=[*_PAIRS, *_SPLITS])
        self._destination, self._report = destination, report
        self._losses = ObjectLosses(report, attributes=True, scores=True)
        self._names: dict[str, str] = {}
        self._taken: set[str] = set()

    def write(self) -> None:
        for one in self._out:
            folder = {"train": "training", "test": "testing"}.get(one.split or "", "unsplit" if one.split else "")
            if one.split is not None and folder == "unsplit":
                self._report.add(Action.DROPPED, "split that is not train or test", key=one.key, detail=one.split)
                folder = ""
            base = self._destination / folder
            image = base / "image_2" / one.image
            image.parent.mkdir(parents=True, exist_ok=True)
            (self._destination / one.image).replace(image)
            if one.objects is not None:
                label = base / "label_2" / f"{one.stem}.txt"
                label.parent.mkdir(parents=True, exist_ok=True)
                lines = [line for at, found in enumerate(one.objects, 1) if (line := self._line(one.key, found, at))]
                label.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        for left in sorted((path for path in self._destination.rglob("*") if path.is_dir()), reverse=True):
            if not any(left.iterdir()):
                left.rmdir()
        (self._destination / "label_2").mkdir(exist_ok=True)
        self._losses.finish()
        self._out.report_unused_classes()

    def _line(self, key: str, found: Object, position: int) -> str | None:
        self._losses.note(key, found, position)
        bounds = self._losses.bounds_xyxy(key, found)
        if bounds is None:
            return None
        self._out.classes.number(found.class_name)
        fields: dict[str, float] = {name: unknown for name, (_, unknown) in _FIELDS.items()}
        for name, value in found.attributes.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if is_number and value != fields.get(name, value):
                fields[name] = float(value) if isinstance(value, float) else int(value)
            else:
                detail = f"{name} = {value!r}"
                self._report.add(Action.DROPPED, "attribute", key=key, object_id=found.id, detail=detail)
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
            self._report.add(
                Action.REPAIRED, "class changed to have no spaces", key=key, object_id=found.id, detail=detail
            )
        return made


FORMAT = Kitti()
