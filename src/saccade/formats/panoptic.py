"""COCO panoptic: a PNG for each image, in which every pixel belongs to one segment, and a JSON file about the segments.

Read: ``annotations/panoptic_SPLIT.json`` with the PNGs in the folder of that name, or beside; a segment's number is
red + 256 green + 65,536 blue. ``iscrowd`` becomes the attribute ``crowd``, the supercategory a class's parent, its
colour its colour. A segment that the JSON file does not name is left out and said. An image without an annotation is
not labelled.

Written: the same, with ``isthing`` true for every class. Every shape becomes a mask; where objects overlap, the later
one is seen, and what it covers is reported.

Source of the format: Kirillov et al., "Panoptic Segmentation" (2019), and https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from saccade.core.errors import FormatError, MediaError
from saccade.core.geometry import mask_from_array
from saccade.core.objects import AttributeValue, Object
from saccade.core.report import Action, Report
from saccade.core.schema import ClassInfo
from saccade.formats._common.index_mask import Painting, drop_beside_shape
from saccade.formats._common.json import Json, ListOut, list_of, load_json
from saccade.formats._common.json_stream import is_large
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import SPLIT_WORDS, stem_of, tree_of
from saccade.formats._common.per_image import ByImage, ImageIndex, ImagesOut, Out, SizeWH
from saccade.formats._common.spill import RoomySet
from saccade.formats.base import Detection, Reading
from saccade.formats.coco.indexed_file import LargeFile
from saccade.formats.masks import read_numbers

_COLOR = re.compile("#[0-9a-fA-F]{6}")
_encode = json.JSONEncoder(ensure_ascii=False).encode


class Panoptic:
    name: ClassVar[str] = "panoptic"
    title: ClassVar[str] = "COCO panoptic"
    holds: ClassVar[str] = "masks that do not overlap; crowd; parents and colours of classes; labelled or not"

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and COCO panoptic is a folder")
        found = next((file for file in tree_of(source).below("", (".json",)) if _names_segments(source / file)), None)
        if found is None:
            return Detection(False, "there is no JSON file with segments_info")
        return Detection(True, f"{found} has segments_info")

    def read(self, source: Path, report: Report, **options: Any) -> Reading:
        """Open a folder."""
        parse_options(NoOptions, options, "COCO panoptic")
        images = ByImage(source, report)
        files = [file for file in images.tree.below("", (".json",)) if _names_segments(images.tree.path(file))]
        if not files:
            raise FormatError(f"There is no JSON file with segments_info below {source}.")
        folders = tuple(f"{stem_of(file)}/" for file in files)
        images.index = ImageIndex(images.tree, lambda image: not image.startswith(folders))
        classes: dict[str, ClassInfo] = {}
        masks = RoomySet()
        for file in files:
            _Annotations(images, file, classes, masks, report).fill()

        def build(raw: Any, key: str, size_wh: SizeWH) -> Iterator[Object]:
            segments = {number: (name, is_crowd) for number, name, is_crowd in raw[1]}
            return _objects(images.tree.path(raw[0]), segments, key, size_wh, report)

        return images.reading(classes.values(), build, wanted=lambda image: image not in masks)

    def write(self, reading: Reading, destination: Path, report: Report, **options: Any) -> None:
        parse_options(NoOptions, options, "COCO panoptic")
        _Writer(reading, destination, report).write()


def _names_segments(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            tail = b""
            while piece := file.read(1 << 20):
                if b'"segments_info"' in tail + piece:
                    return True
                tail = piece[-20:]
    except OSError:
        pass
    return False


class _Annotations:
    """One JSON file."""

    def __init__(
        self, images: ByImage, file: str, classes: dict[str, ClassInfo], masks: RoomySet, report: Report
    ) -> None:
        self._images, self._file, self._report = images, file, report
        self._classes, self._masks = classes, masks
        path = images.tree.path(file)
        self._large = LargeFile(path, report) if is_large(path) else None
        data = self._large.rest if self._large else load_json(path, report)
        self._data: Json = data if isinstance(data, dict) else {}
        listed = _dicts(self._data, "annotations")
        self._by_image = {one.get("image_id"): one for one in listed if _is_key(one.get("image_id"))}
        words = re.findall("[a-z]+", file.rpartition("/")[2].lower())
        self._split = next((word for word in words if word in SPLIT_WORDS), None)

    def fill(self) -> None:
        categories = {one.get("id"): one for one in _dicts(self._data, "categories") if _is_key(one.get("id"))}
        names: dict[Any, str] = {}
        for number, one in categories.items():
            info = _class_info(one)
            if info is not None:
                names[number] = info.name
                self._classes.setdefault(info.name, info)
        for image in self._listed_images():
            entry = self._images.entry(str(image.get("file_name")), "images", place=self._file)
            if entry is None:
                continue
            entry.split = entry.split or self._split
            annotation = self._annotation(image.get("id"))
            if annotation is not None:
                entry.raw = self._raw(annotation, names, stem_of(str(image.get("file_name"))))

    def _listed_images(self) -> Iterator[Json]:
        if self._large is None:
            yield from _dicts(self._data, "images")
        else:
            yield from (one for one, _ in self._large.images() if isinstance(one, dict))

    def _annotation(self, image_id: Any) -> Json | None:
        """The last one of an image."""
        if self._large is None or not _is_key(image_id):
            return self._by_image.get(image_id) if _is_key(image_id) else None
        found = self._large.annotations(image_id)
        return next((one for one in reversed(found) if isinstance(one, dict)), None)

    def _raw(self, annotation: Json, names: Mapping[Any, str], key: str) -> list[Any] | None:
        """The file of the masks, and the numbers of those that the JSON file names with what each is."""
        folder, name = stem_of(self._file), str(annotation.get("file_name"))
        beside = folder.rpartition("/")[0]
        places = (f"{where}/{name}".lstrip("/") for where in (folder, beside, ""))
        found = next((path for path in places if path in self._images.tree.files), None)
        if found is None:
            self._report.add(Action.SET_ASIDE, "mask file missing", key=key, detail=name[:200])
            return None
        self._masks.add(found)
        segments: dict[int, tuple[str, bool]] = {}
        for one in _dicts(annotation, "segments_info"):
            category = one.get("category_id")
            if isinstance(one.get("id"), int) and _is_key(category):
                segments[one["id"]] = names.get(category, ""), bool(one.get("iscrowd"))
        return [found, [[number, *told] for number, told in segments.items()]]


def _dicts(data: Json, name: str) -> list[Json]:
    return [one for one in list_of(data, name) if isinstance(one, dict)]


def _is_key(value: Any) -> bool:
    return isinstance(value, int | str)


def _class_info(one: Json) -> ClassInfo | None:
    name, parent, color = one.get("name"), one.get("supercategory"), one.get("color")
    if not isinstance(name, str) or not name:
        return None
    fits = isinstance(color, list) and len(color) == 3 and all(isinstance(c, int) and 0 <= c < 256 for c in color)
    has_parent = isinstance(parent, str) and parent not in ("", name)
    shown = "#{:02x}{:02x}{:02x}".format(*color) if fits and color else None
    return ClassInfo(name, parent if has_parent else None, shown)


def _objects(
    path: Path, segments: Mapping[int, tuple[str, bool]], key: str, size_wh: SizeWH, report: Report
) -> Iterator[Object]:
    try:
        numbers, is_color = read_numbers(path)
    except MediaError as error:
        report.add(Action.DROPPED, "mask that cannot be read", key=key, detail=str(error))
        return
    if size_wh is not None and numbers.shape != (size_wh[1], size_wh[0]):
        detail = f"{numbers.shape[1]} x {numbers.shape[0]}"
        report.add(Action.DROPPED, "mask of another size than its image", key=key, detail=detail)
        return
    if is_color:  # red is the lowest byte here
        numbers = (numbers & 0xFF) << 16 | (numbers & 0xFF00) | numbers >> 16
    for number in np.unique(numbers).tolist():
        if number == 0:
            continue
        name, is_crowd = segments.get(number, ("", False))
        if not name:
            report.add(Action.DROPPED, "segment without a class", key=key, object_id=str(number))
            continue
        attributes: dict[str, AttributeValue] = {"crowd": True} if is_crowd else {}
        yield Object(str(number), name, mask_from_array(numbers == number), None, None, attributes)


class _Writer:
    def __init__(self, reading: Reading, destination: Path, report: Report) -> None:
        self._out = ImagesOut(reading, destination, report, details=("keypoints", "skeleton"))
        self._destination, self._report = destination, report
        self._files: dict[str, tuple[ListOut, ListOut]] = {}
        self._count = self._ids = 0

    def write(self) -> None:
        for one in self._out:
            self._count += 1
            if (one.split or "all") not in self._files:
                self._files[one.split or "all"] = ListOut(), ListOut()
            images, annotations = self._files[one.split or "all"]
            width, height = one.size_wh or (0, 0)
            name = one.image.removeprefix("images/")
            images.add(_encode({"id": self._count, "file_name": name, "width": width, "height": height}))
            if one.objects is not None and one.size_wh is not None:
                annotations.add(_encode(self._annotation(one)))
        categories = [self._category(name, number) for name, number in self._out.classes.numbers.items()]
        (self._destination / "annotations").mkdir(exist_ok=True)
        for split, (images, annotations) in (self._files or {"all": (ListOut(), ListOut())}).items():
            with (self._destination / "annotations" / f"panoptic_{split}.json").open("w", encoding="utf-8") as out:
                # A file without annotations is known by this word too.
                out.write('{"info": {"description": "segments_info"}, "segments_info": [], ')
                out.write(f'"categories": {_encode(categories)}, "images": ')
                images.copy_to(out)
                out.write(', "annotations": ')
                annotations.copy_to(out)
                out.write("}\n")
        if self._ids:
            self._report.add(Action.DROPPED, "ids of objects", detail=f"{self._ids} objects are numbered anew")

    def _category(self, name: str, number: int) -> Json:
        labels = self._out.columns.labels
        info = next((info for info in (labels.classes if labels else ()) if info.name == name), ClassInfo(name))
        code = info.color or ""
        color = [int(code[at : at + 2], 16) for at in (1, 3, 5)] if _COLOR.fullmatch(code) else None
        more: Json = {} if color is None else {"color": color}
        return {"id": number + 1, "name": name, "supercategory": info.parent or "", "isthing": 1, **more}

    def _annotation(self, one: Out) -> Json:
        from PIL import Image

        assert one.size_wh is not None
        painting = Painting(one.size_wh, one.key, self._report)
        for found in one.objects or ():
            painting.add(found)
        numbers, segments = np.zeros_like(painting.numbers), []
        for position, (number, found) in enumerate(painting.seen(), 1):
            self._ids += found.id != str(position)
            drop_beside_shape(found, one.key, self._report, kept=("crowd",))
            pixels = painting.numbers == number
            numbers[pixels] = position
            ys, xs = np.nonzero(pixels)
            x, y = int(xs.min()), int(ys.min())
            segments.append(
                {
                    "id": position,
                    "category_id": self._out.classes.number(found.class_name) + 1,
                    "area": len(xs),
                    "bbox": [x, y, int(xs.max()) + 1 - x, int(ys.max()) + 1 - y],
                    "iscrowd": int(found.attributes.get("crowd") is True),
                }
            )
        colors = np.stack([numbers & 0xFF, numbers >> 8 & 0xFF, numbers >> 16 & 0xFF], axis=-1).astype(np.uint8)
        path = self._destination / "annotations" / f"panoptic_{one.split or 'all'}" / f"{one.stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(colors).save(path)
        name = path.relative_to(self._destination / "annotations" / f"panoptic_{one.split or 'all'}").as_posix()
        return {"image_id": self._count, "file_name": name, "segments_info": segments}


FORMAT = Panoptic()
