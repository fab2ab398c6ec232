"""Reading Datumaro."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from saccade.core.errors import FormatError
from saccade.core.objects import Object
from saccade.core.report import ConversionReport
from saccade.core.schema import ClassInfo, Column, Kind
from saccade.formats._common.attributes import claim_object_id
from saccade.formats._common.frames import to_size_wh
from saccade.formats._common.json import Json, get_list, get_mapping, saccade_extra
from saccade.formats._common.per_image import ImageLabels, PerImageReader
from saccade.formats.base import RecordStream, SizeWH
from saccade.formats.datumaro.detect import candidate_files, load_annotations
from saccade.formats.datumaro.shapes import ShapeReader
from saccade.formats.datumaro.write import ATTRIBUTES, CAPTION, DEFAULT_SUBSET, LABELS, UNLABELLED


class DatumaroReader(PerImageReader):
    """Reads the annotation files of a folder, one after another.

    Raises:
        FormatError: if there is no annotation file.
    """

    def __init__(self, source: Path, report: ConversionReport) -> None:
        super().__init__(source, report, split_folders=False)
        self._classes: dict[str, ClassInfo] = {}
        self._extra_columns: dict[str, Column] = {}
        # Class names by label id, of each annotation file.
        self._file_class_names: list[list[str]] = []
        loaded = ((file, load_annotations(self.tree.path(file), report)) for file in candidate_files(self.tree))
        self._files = {file: annotations for file, annotations in loaded if annotations is not None}
        if not self._files:
            raise FormatError(f"No JSON file in a folder annotations below {source} has items and categories.")

    def open(self) -> RecordStream:
        for file, (categories, items) in self._files.items():
            self._file_class_names.append(self._read_categories(categories))
            subset = file.rpartition("/")[2].removesuffix(".json")
            for item in items:
                labels = self._labels_of(item, subset, file) if isinstance(item, dict) else None
                if labels is not None:
                    self._fill(labels, item, subset)
        return self.stream(self._classes.values(), self._objects, columns=self._extra_columns.values())

    def _read_categories(self, categories: Json) -> list[str]:
        """Add the classes of a file; return their names by label id."""
        categories_of_labels = _mappings(get_mapping(categories, "label"), "labels")
        names = [str(category.get("name", "")) for category in categories_of_labels]
        parents = {
            str(category.get("name", "")): str(category.get("parent") or "") for category in categories_of_labels
        }
        for name in names:
            if name:
                self._classes.setdefault(name, ClassInfo(name, parents[name] or None))
        for entry in _mappings(get_mapping(categories, "points"), "items"):
            if name := _class_name(entry, names):
                keypoints, skeleton = _read_skeleton(entry)
                self._classes[name] = replace(self._classes[name], keypoints=keypoints, skeleton=skeleton)
        return names

    def _labels_of(self, item: Json, subset: str, file: str) -> ImageLabels | None:
        folder = file.split("annotations/", maxsplit=1)[0] + f"images/{subset}"
        path = get_mapping(item, "image").get("path")
        has_path = isinstance(path, str) and path and self.index.find(path, folder)
        return self.labels_for(str(path) if has_path else _item_id(item), folder, location=file)

    def _fill(self, labels: ImageLabels, item: Json, subset: str) -> None:
        # Without an id, the key is the path of the image.
        labels.key = _item_id(item) or None
        labels.split = None if subset == DEFAULT_SUBSET else subset
        size = get_list(get_mapping(item, "image"), "size")
        labels.stated_wh = to_size_wh(size[1], size[0]) if len(size) == 2 else None
        shapes = []
        image_labels: dict[str, None] = {}
        captions = []
        for annotation in _mappings(item, "annotations"):
            match annotation.get("type"):
                case "label":
                    if name := _class_name(annotation, self._file_class_names[-1]):
                        image_labels[name] = None
                case "caption":
                    captions.append(str(annotation.get("caption", "")))
                case _:
                    shapes.append(annotation)
        if image_labels:
            self._set_value(labels, Column(LABELS, Kind.LABELS, tuple(self._classes.values())), tuple(image_labels))
        if captions:
            self._set_value(labels, Column(CAPTION, Kind.TEXT), "\n".join(captions))
        if attributes := get_mapping(item, "attr"):
            self._set_value(labels, Column(ATTRIBUTES, Kind.TABLE), attributes)
        if saccade_extra(item) != UNLABELLED:
            labels.raw = [shapes, len(self._file_class_names) - 1]

    def _set_value(self, labels: ImageLabels, column: Column, value: Any) -> None:
        self._extra_columns.setdefault(column.name, column)
        labels.values[column.name] = value

    def _objects(self, raw: tuple[list[Json], int], key: str, size_wh: SizeWH | None) -> Iterator[Object]:
        annotations, file_index = raw
        class_names = self._file_class_names[file_index]
        reader = ShapeReader(self.report, key, size_wh)
        used_ids: set[str] = set()
        for position, annotation in enumerate(_group_polygons(annotations), 1):
            number = annotation.get("id")
            # Datumaro writes 0 for an annotation without an id.
            is_free = isinstance(number, int) and number and str(number) not in used_ids
            object_id = claim_object_id(str(number if is_free else position), used_ids)
            obj = reader.read(annotation, object_id, _class_name(annotation, class_names))
            if obj is not None:
                yield obj


def _mappings(data: Json, name: str) -> list[Json]:
    return [value for value in get_list(data, name) if isinstance(value, dict)]


def _item_id(item: Json) -> str:
    """Return the id of an item, or "" if it has none."""
    item_id = item.get("id")
    return str(item_id) if isinstance(item_id, str | int) else ""


def _class_name(entry: Json, names: list[str]) -> str:
    """Return the class of an entry's label id, or "" if it has none."""
    label_id = entry.get("label_id")
    return names[label_id] if isinstance(label_id, int) and 0 <= label_id < len(names) else ""


def _read_skeleton(entry: Json) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...]]:
    """Return the names of the keypoints, and the pairs of their indices that are joined."""
    names = tuple(str(name) for name in get_list(entry, "labels"))
    pairs = []
    for joint in get_list(entry, "joints"):
        if isinstance(joint, list) and len(joint) == 2 and all(isinstance(index, int) for index in joint):
            first, second = map(int, joint)
            if min(first, second) >= 0 and max(first, second) < len(names):
                pairs.append((first, second))
    return names, tuple(pairs)


def _group_polygons(annotations: list[Json]) -> list[Json]:
    """Join polygons of one label and group to one annotation, whose ``parts`` are their points."""
    joined: list[Json] = []
    groups: dict[tuple[int | None, int], Json] = {}
    for annotation in annotations:
        label_id = annotation.get("label_id")
        group = annotation.get("group")
        if (
            annotation.get("type") != "polygon"
            or not (isinstance(group, int) and group)
            or not (label_id is None or isinstance(label_id, int))
        ):
            joined.append(annotation)
        elif (label_id, group) in groups:
            groups[label_id, group]["parts"].append(annotation.get("points"))
        else:
            groups[label_id, group] = {**annotation, "parts": [annotation.get("points")]}
            joined.append(groups[label_id, group])
    return joined
