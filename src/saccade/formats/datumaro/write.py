"""Writing Datumaro: the items are collected in temporary files, since the categories stand before them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from saccade.core.objects import Object
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Kind, Schema
from saccade.formats._common.geometry import coerce_geometry
from saccade.formats._common.json import Json, JsonArrayWriter
from saccade.formats._common.losses import report_renumbered
from saccade.formats._common.names import NO_SPLIT_FOLDER
from saccade.formats._common.per_image import PerImageWriter, WrittenImage
from saccade.formats.datumaro.shapes import encode_geometry, target_type

DEFAULT_SUBSET = "default"
LABELS = "labels"
CAPTION = "caption"
ATTRIBUTES = "attributes"
UNLABELLED = {"labelled": False}


class DatumaroWriter(PerImageWriter):
    """Writes ``annotations/SUBSET.json`` and ``images/SUBSET/``."""

    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        extra = {CAPTION: Kind.TEXT, ATTRIBUTES: Kind.TABLE, LABELS: Kind.LABELS}
        super().__init__(schema, destination, report, split_folders="all", extra=extra, details=("color",))
        self._items_by_subset: dict[str, JsonArrayWriter] = {}
        self._renumbered = 0

    def write_labels(self, image: WrittenImage) -> None:
        folder = image.image_path.split("/")[1] if self.columns.has_split else NO_SPLIT_FOLDER
        subset = DEFAULT_SUBSET if folder == NO_SPLIT_FOLDER else folder
        if subset not in self._items_by_subset:
            self._items_by_subset[subset] = JsonArrayWriter()
        self._items_by_subset[subset].add(json.dumps(self._item(image), ensure_ascii=False))

    def _finish(self) -> None:
        super()._finish()
        if not self._items_by_subset:
            self._items_by_subset[DEFAULT_SUBSET] = JsonArrayWriter()
        report_renumbered(self.report, self._renumbered)
        folder = self.destination / "annotations"
        folder.mkdir()
        head = {"dm_format_version": "1.0", "media_type": 2, "infos": {}, "categories": self._categories()}
        for subset, items in self._items_by_subset.items():
            with (folder / f"{subset}.json").open("w", encoding="utf-8") as out:
                out.write(json.dumps(head, ensure_ascii=False).removesuffix("}") + ', "items": ')
                items.copy_to(out)
                out.write("}\n")
        self._move_images_without_split()

    def _move_images_without_split(self) -> None:
        """Move images without a split to the folder in which Datumaro looks for those of its default subset."""
        images = self.destination / "images"
        if not self.columns.has_split and images.is_dir():
            images.rename(self.destination / DEFAULT_SUBSET)
            images.mkdir()
            (self.destination / DEFAULT_SUBSET).rename(images / DEFAULT_SUBSET)
        elif (images / NO_SPLIT_FOLDER).is_dir():
            (images / NO_SPLIT_FOLDER).rename(images / DEFAULT_SUBSET)

    def _categories(self) -> Json:
        classes = {info.name: info for info in (self.columns.labels.classes if self.columns.labels else ())}
        labels = []
        points = []
        for name, label_id in self.classes.indices.items():
            info = classes.get(name)
            labels.append({"name": name, "parent": (info.parent or "") if info else "", "attributes": []})
            if info and info.keypoints:
                skeleton = {"labels": info.keypoints, "joints": info.skeleton, "positions": []}
                points.append({"label_id": label_id, **skeleton})
        categories: Json = {"label": {"labels": labels, "label_groups": [], "attributes": []}}
        if points:
            categories["points"] = {"items": points}
        return categories

    def _item(self, image: WrittenImage) -> Json:
        annotations: list[Json] = []
        object_count = 0
        for obj in image.objects or ():
            of_object = self._annotations(obj, object_count + 1, image)
            object_count += bool(of_object)
            annotations += of_object
        values = image.record.values
        columns = self.columns.extra
        if LABELS in columns:
            label_ids = [self.classes.index_of(name) for name in values.get(LABELS) or ()]
            annotations += [_annotation("label", label_id) for label_id in label_ids]
        if CAPTION in columns and values.get(CAPTION):
            annotations.append({"id": 0, "type": "caption", "attributes": {}, "group": 0, "caption": values[CAPTION]})
        # Ids and paths are relative to the folder of the subset.
        item_id = image.stem.split("/", 1)[1] if self.columns.has_split else image.stem
        path = image.image_path.split("/", 2 if self.columns.has_split else 1)[-1]
        item: Json = {"id": item_id, "annotations": annotations, "image": {"path": path}}
        if image.size_wh:
            width, height = image.size_wh
            item["image"]["size"] = [height, width]
        if ATTRIBUTES in columns and isinstance(values.get(ATTRIBUTES), dict):
            item["attr"] = values[ATTRIBUTES]
        if image.objects is None:
            item["saccade"] = UNLABELLED
        return item

    def _annotations(self, obj: Object, position: int, image: WrittenImage) -> list[Json]:
        geometry = coerce_geometry(obj, target_type(obj.geometry), image.size_wh, image.key, self.report)
        if geometry is None:
            return []
        self._renumbered += obj.id != str(position)
        label_id = self.classes.index_of(obj.class_name)
        attributes = self._attributes(obj, image.key)
        type_name, parts = encode_geometry(geometry)
        group = position if len(parts) > 1 else 0
        common = {"id": position, "attributes": attributes, "group": group, "z_order": 0}
        return [_annotation(type_name, label_id, **common, **fields) for fields in parts]

    def _attributes(self, obj: Object, key: str) -> Json:
        attributes: Json = {}
        for name, value in obj.attributes.items():
            if name in ("score", "track_id") or (isinstance(value, float) and not math.isfinite(value)):
                detail = f"{name} = {value!r}"
                self.report.add(FindingType.DROPPED, "attribute", key=key, object_id=obj.id, detail=detail)
            else:
                attributes[name] = value
        if obj.score is not None:
            attributes["score"] = obj.score
        if obj.track is not None:
            attributes["track_id"] = obj.track
        return attributes


def _annotation(type_name: str, label_id: int, **fields: Any) -> Json:
    return {"id": 0, "type": type_name, "attributes": {}, "group": 0, "label_id": label_id, **fields}
