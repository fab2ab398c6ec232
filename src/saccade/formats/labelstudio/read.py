"""Reading Label Studio."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from saccade.core.errors import FormatError, InvalidValueError
from saccade.core.objects import AttributeValue, Object, Objects
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats._common.attributes import claim_object_id
from saccade.formats._common.boxes import report_duplicates
from saccade.formats._common.frames import LabelFrame, read_image_size, to_size_wh
from saccade.formats._common.json import Json, get_list, get_mapping, saccade_extra, to_float
from saccade.formats._common.json_stream import load_with_list
from saccade.formats._common.paths import (
    SourceTree,
    UniqueKeys,
    is_image_name,
    normal_form,
    normalize_path,
    strip_extension,
)
from saccade.formats._common.per_image import ImageGroups
from saccade.formats._common.spill import SpillSet
from saccade.formats.base import LocalFile, Reader, Record, RecordStream, SizeWH
from saccade.formats.labelstudio.regions import REGION_TYPES, read_geometry
from saccade.formats.labelstudio.write import LABELS, PREDICTIONS

# Label Studio puts a random prefix in front of the names of uploaded files.
_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")


class LabelStudioReader(Reader):
    """Reads the tasks of a file in two passes.

    Raises:
        FormatError: if the file is not a list.
    """

    def __init__(self, path: Path, report: ConversionReport) -> None:
        self._report = report
        self._tree = SourceTree(path.parent)
        self._tree.report_skipped(report)
        data, self._elements = load_with_list(path, "", report)
        if not isinstance(data, list):
            raise FormatError(f"{path.name} is not a list of tasks.", hint="Export the project as JSON.")
        self._images_by_name = ImageGroups(self._tree.iter_images(), lambda image: image.rpartition("/")[2])

    def _tasks(self) -> Iterator[Json]:
        return (task for task in self._elements if isinstance(task, dict))

    def open(self) -> RecordStream:
        class_names: set[str] = set()
        labels: set[str] = set()
        predicted_names: set[str] = set()
        has_predictions = False
        superseded = 0
        for task in self._tasks():
            annotations = _annotations(task)
            superseded += max(0, len(annotations) - 1)
            regions = _annotated_regions(task) or []
            class_names.update(filter(None, map(_class_name_of, regions)))
            labels.update(_choices(regions))
            predictions = _predicted_regions(task)
            has_predictions = has_predictions or predictions is not None
            predicted_names.update(filter(None, map(_class_name_of, predictions or ())))
        if superseded:
            self._report.add(FindingType.DROPPED, "all but the last annotation of a task", detail=f"{superseded}")
        columns = [Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, _classes(class_names))]
        if labels:
            columns.append(Column(LABELS, Kind.LABELS, _classes(labels)))
        if has_predictions:
            columns.append(Column(PREDICTIONS, Kind.OBJECTS, _classes(predicted_names)))
        return RecordStream(Schema(tuple(columns)), self._records(bool(labels), has_predictions), None)

    def _records(self, has_labels: bool, has_predictions: bool) -> Iterator[Record]:
        keys = UniqueKeys(self._report)
        used = SpillSet()
        for task in self._tasks():
            url = _image_url(task)
            image = self._find_image(url)
            if image is None or image in used:
                reason = "image file missing" if image is None else "second task of an image"
                self._report.add(FindingType.SKIPPED, reason, detail=repr(url)[:200])
                continue
            used.add(image)
            key = keys.claim(strip_extension(image.removeprefix("images/")), strip_extension(image))
            path = self._tree.path(image)
            media = LocalFile(path)
            regions = _annotated_regions(task)
            predictions = _predicted_regions(task) if has_predictions else None
            stated_wh = _stated_size_wh([*(regions or ()), *(predictions or ())])
            frame = LabelFrame.create(read_image_size(media), stated_wh, self._report, key, relative=True)
            values: dict[str, Any] = {"objects": None if regions is None else self._objects(regions, key, frame)}
            if has_labels and regions is not None:
                values[LABELS] = tuple(dict.fromkeys(_choices(regions)))
            if predictions is not None:
                values[PREDICTIONS] = self._objects(predictions, key, frame)
            yield Record(key, media, values, frame.image_wh)

    def _find_image(self, url: str) -> str | None:
        """Return the image file that a URL ends with, if there is only one.

        The path is decoded first; as it is written, it is the name of files of older exports of ours.
        """
        # With local file serving, the path is a query parameter; otherwise the query is a signature or the like.
        written = url.rpartition("?d=")[2] if "?d=" in url else url.partition("?")[0]
        paths = dict.fromkeys((unquote(written), written))
        return next((image for path in paths if (image := self._find_path(normalize_path(path)))), None)

    def _find_path(self, path: str) -> str | None:
        name = path.rpartition("/")[2]
        for candidate in (name, _UPLOAD_PREFIX.sub("", name)):
            images = self._images_by_name.get(candidate)
            # Of several images with this name, the one whose folders match too.
            images = [image for image in images if _ends_with(path, image) or _ends_with(image, path)] or images
            if len(images) == 1:
                return images[0]
        return None

    def _objects(self, regions: list[Json], key: str, frame: LabelFrame) -> Objects | None:
        objects: list[Object] = []
        used_ids: set[str] = set()
        shapes = [region for region in regions if region.get("type") != "choices"]
        for position, region in enumerate(shapes, 1):
            preferred = region.get("id")
            if not isinstance(preferred, str) or not preferred or preferred in used_ids:
                preferred = str(position)
            object_id = claim_object_id(preferred, used_ids)
            obj = self._object(region, object_id, key, frame.size_wh)
            if obj is None:
                # The id of a dropped region is free again.
                used_ids.remove(object_id)
            else:
                objects.append(obj)
        report_duplicates(objects, key, self._report)
        return frame.to_image(tuple(objects))

    def _object(self, region: Json, object_id: str, key: str, size_wh: SizeWH | None) -> Object | None:
        def drop(reason: str, detail: str) -> None:
            self._report.add(FindingType.DROPPED, reason, key=key, object_id=object_id, detail=detail[:200])

        type_name = str(region.get("type"))
        class_name = _class_name_of(region)
        if type_name not in REGION_TYPES:
            drop("region of a kind that is not known", type_name)
            return None
        if not class_name:
            drop("object without a class", type_name)
            return None
        try:
            geometry = read_geometry(region, size_wh)
        except InvalidValueError as error:
            drop("object without a usable shape", str(error))
            return None
        score = to_float(region.get("score"))
        extra = saccade_extra(get_mapping(region, "meta"))
        track = extra.get("track")
        return Object(
            object_id,
            class_name,
            geometry,
            score if math.isfinite(score) else None,
            track if isinstance(track, str) else None,
            _attributes(extra),
        )


def _classes(names: set[str]) -> tuple[ClassInfo, ...]:
    return tuple(map(ClassInfo, sorted(names)))


def _ends_with(path: str, end: str) -> bool:
    return normal_form(f"/{path}").endswith(normal_form(f"/{end}"))


def _annotations(task: Json) -> list[Json]:
    """Return the annotations that were not cancelled; old versions call them completions."""
    annotations = get_list(task, "annotations") + get_list(task, "completions")
    return [entry for entry in annotations if isinstance(entry, dict) and not entry.get("was_cancelled")]


def _annotated_regions(task: Json) -> list[Json] | None:
    """Return the regions of the last annotation; None if there is none."""
    annotations = _annotations(task)
    return _regions(annotations[-1]) if annotations else None


def _predicted_regions(task: Json) -> list[Json] | None:
    """Return the regions of the last prediction; those without a score get the prediction's. None if there is none."""
    predictions = [entry for entry in get_list(task, "predictions") if isinstance(entry, dict)]
    if not predictions:
        return None
    score = predictions[-1].get("score")
    return [{"score": score, **region} for region in _regions(predictions[-1])]


def _regions(annotation: Json) -> list[Json]:
    return [region for region in get_list(annotation, "result") if isinstance(region, dict)]


def _stated_size_wh(regions: list[Json]) -> SizeWH | None:
    """Return the size of the image that the first region with one states."""
    sizes = (to_size_wh(region.get("original_width"), region.get("original_height")) for region in regions)
    return next((size_wh for size_wh in sizes if size_wh is not None), None)


def _class_name_of(region: Json) -> str:
    type_name = str(region.get("type"))
    if type_name not in REGION_TYPES:
        return ""
    names = get_list(get_mapping(region, "value"), type_name)
    return names[0] if names and isinstance(names[0], str) else ""


def _choices(regions: list[Json]) -> Iterator[str]:
    for region in regions:
        if region.get("type") == "choices":
            choices = get_list(get_mapping(region, "value"), "choices")
            yield from (name for name in choices if isinstance(name, str) and name)


def _image_url(task: Json) -> str:
    """Return the URL of a task's image: the first text of its data that ends like one, or else the first text."""
    texts = [value for value in get_mapping(task, "data").values() if isinstance(value, str)]
    for text in texts:
        if is_image_name(text.partition("?")[0]) or is_image_name(text):
            return text
    return texts[0] if texts else ""


def _attributes(extra: Json) -> Mapping[str, AttributeValue]:
    attributes = get_mapping(extra, "attributes")
    return {name: value for name, value in attributes.items() if isinstance(value, str | bool | int | float)}
