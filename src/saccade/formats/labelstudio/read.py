"""Label Studio: the tasks of a project as JSON, with the regions that people and models drew.

Read: rectangle (turned ones too), polygon, ellipse, key point and brush regions, and choices of the whole image, which
become a column ``labels``. Of several annotations of a task the last that was not cancelled counts. What models drew
becomes a column ``predictions``, with scores. A task without an annotation is not labelled yet; one whose annotation is
empty is reviewed and empty. Pictures are looked for beside the file by the end of their address; those of uploads also
without the eight characters that Label Studio puts in front.

Written: ``tasks.json`` and ``images/``; import both into Label Studio with local file serving. Coordinates are shares
of 100. Attributes and tracks stand in the ``meta`` of a region, which Label Studio keeps.

Source of the format: https://labelstud.io/guide/export and https://labelstud.io/tags/.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

from saccade.core.errors import FormatError, InvalidValueError
from saccade.core.objects import AttributeValue, Object, Objects
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats._common.boxes import report_duplicates
from saccade.formats._common.json import Json, get_list, to_float
from saccade.formats._common.json_stream import load_with_list
from saccade.formats._common.media import try_image_size_wh
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import SourceTree, UniqueKeys, is_image_name, normalize_path, strip_extension
from saccade.formats._common.per_image import group_images
from saccade.formats._common.spill import SpillSet
from saccade.formats.base import Detection, Format, LocalFile, Reader, Record, RecordStream, Writer
from saccade.formats.labelstudio.regions import KINDS, geometry_of
from saccade.formats.labelstudio.write import LABELS, PREDICTIONS, LabelStudioWriter

_UPLOAD = re.compile(r"^[0-9a-f]{8}-")


class LabelStudio(Format):
    name: ClassVar[str] = "labelstudio"
    title: ClassVar[str] = "Label Studio"
    supports: ClassVar[str] = (
        "boxes, rotated boxes, polygons, masks, points, ellipses; labels of images; scores; attributes; predictions; "
        "labelled or not"
    )

    def detect(self, source: Path) -> Detection:
        try:
            found = _file_of(source)
        except FormatError as error:
            return Detection(False, error.message)
        return Detection(True, f"{found.name} is a list of tasks with data and annotations")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Open a folder or the JSON file."""
        parse_options(NoOptions, options, "Label Studio")
        return LabelStudioReader(_file_of(source), report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "Label Studio")
        return LabelStudioWriter(schema, destination, report)


def _file_of(source: Path) -> Path:
    """The JSON file of a source; FormatError where there is none."""
    if source.is_file():
        found = [source] if source.suffix.lower() == ".json" and _is_tasks(source) else []
    else:
        found = [path for path in sorted(source.glob("*.json")) if path.is_file() and _is_tasks(path)]
    if not found:
        raise FormatError("there is no JSON list of tasks in it", hint="Export the project as JSON.")
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise FormatError(f"There are several files of tasks: {names}.", hint="Name the one to import.")
    return found[0]


_STARTS = re.compile(rb'^\s*\[\s*\{(?=.*"data"\s*:)(?=.*"(annotations|predictions|completions)"\s*:)', re.DOTALL)


def _is_tasks(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(1 << 16)
    return bool(_STARTS.match(head))


class LabelStudioReader(Reader):
    """One opening of a source."""

    def __init__(self, path: Path, report: ConversionReport) -> None:
        self._report = report
        self._tree = SourceTree(path.parent)
        self._tree.report_skipped(report)
        data, self._listed = load_with_list(path, "", report)
        if not isinstance(data, list):
            raise FormatError(f"{path.name} is not a list of tasks.", hint="Export the project as JSON.")
        self._by_name = group_images(self._tree.iter_images(), lambda image: image.rpartition("/")[2])
        self._further = 0

    def _tasks(self) -> Iterator[Json]:
        return (task for task in self._listed if isinstance(task, dict))

    def open(self) -> RecordStream:
        classes: dict[str, None] = {}
        labels: dict[str, None] = {}
        guessed: dict[str, None] = {}
        has_predictions = False
        for task in self._tasks():
            regions = self._regions(task) or []
            classes.update(dict.fromkeys(name for region in regions if (name := _label_of(region))))
            labels.update(dict.fromkeys(_choices(regions)))
            drawn = _predicted(task)
            has_predictions = has_predictions or drawn is not None
            guessed.update(dict.fromkeys(name for region, _ in drawn or () if (name := _label_of(region))))
        if self._further:
            self._report.add(FindingType.DROPPED, "all but the last annotation of a task", detail=f"{self._further}")
        columns = [Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, tuple(map(ClassInfo, sorted(classes))))]
        columns += [Column(LABELS, Kind.LABELS, tuple(map(ClassInfo, sorted(labels))))] if labels else []
        if has_predictions:
            columns.append(Column(PREDICTIONS, Kind.OBJECTS, tuple(map(ClassInfo, sorted(guessed)))))
        return RecordStream(Schema(tuple(columns)), self._records(bool(labels), has_predictions), None)

    def _regions(self, task: Json) -> list[Json] | None:
        """The regions of the annotation that counts; None where there is none."""
        made = [one for one in get_list(task, "annotations") + get_list(task, "completions") if isinstance(one, dict)]
        made = [one for one in made if not one.get("was_cancelled")]
        self._further += max(0, len(made) - 1)
        return _results(made[-1]) if made else None

    def _records(self, has_labels: bool, has_predictions: bool) -> Iterator[Record]:
        keys, used = UniqueKeys(self._report), SpillSet()
        for task in self._tasks():
            address = _image_of(task)
            image = self._find(address)
            if image is None or image in used:
                reason = "image file missing" if image is None else "second task of an image"
                self._report.add(FindingType.SET_ASIDE, reason, detail=repr(address)[:200])
                continue
            used.add(image)
            stem = strip_extension(image.removeprefix("images/"))
            key = keys.claim(stem, strip_extension(image))
            path = self._tree.path(image)
            size = try_image_size_wh(path)
            regions = self._regions(task)
            values: dict[str, Any] = {"objects": None if regions is None else self._objects(regions, key, size)}
            if has_labels and regions is not None:
                values[LABELS] = tuple(dict.fromkeys(_choices(regions)))
            if has_predictions and (drawn := _predicted(task)) is not None:
                values[PREDICTIONS] = self._objects([_scored(*pair) for pair in drawn], key, size)
            yield Record(key, LocalFile(path), values, size)

    def _find(self, address: str) -> str | None:
        """The picture beside the file that an address ends with."""
        plain = normalize_path(unquote(address.rpartition("?d=")[2] if "?d=" in address else address.partition("?")[0]))
        name = plain.rpartition("/")[2]
        for wish in (name, _UPLOAD.sub("", name)):
            near = self._by_name.get(wish) or []
            whole = [image for image in near if f"/{plain}".endswith(f"/{image}") or f"/{image}".endswith(f"/{plain}")]
            if len(whole or near) == 1:
                return (whole or near)[0]
        return None

    def _objects(self, regions: list[Json], key: str, size: tuple[int, int] | None) -> Objects:
        made: dict[str, Object] = {}
        shapes = [region for region in regions if region.get("type") != "choices"]
        for position, region in enumerate(shapes, 1):
            given = region.get("id")
            object_id = given if isinstance(given, str) and given and given not in made else str(position)
            while object_id in made:
                object_id += "'"
            found = self._object(region, object_id, key, size)
            if found is not None:
                made[object_id] = found
        report_duplicates(tuple(made.values()), key, self._report)
        return tuple(made.values())

    def _object(self, region: Json, object_id: str, key: str, size: tuple[int, int] | None) -> Object | None:
        def add(action: FindingType, reason: str, detail: str) -> None:
            self._report.add(action, reason, key=key, object_id=object_id, detail=detail[:200])

        kind, name = str(region.get("type")), _label_of(region)
        if kind not in KINDS:
            add(FindingType.DROPPED, "region of a kind that is not known", kind)
            return None
        if not name:
            add(FindingType.DROPPED, "object without a class", kind)
            return None
        try:
            geometry = geometry_of(region, size)
        except InvalidValueError as error:
            add(FindingType.DROPPED, "object without a usable shape", str(error))
            return None
        score, meta = to_float(region.get("score")), region.get("meta")
        extra = meta.get("saccade") if isinstance(meta, dict) else None
        extra = extra if isinstance(extra, dict) else {}
        track = extra.get("track")
        return Object(
            object_id,
            name,
            geometry,
            score if math.isfinite(score) else None,
            track if isinstance(track, str) else None,
            _attributes(extra.get("attributes")),
        )


def _results(annotation: Json) -> list[Json]:
    return [one for one in get_list(annotation, "result") if isinstance(one, dict)]


def _predicted(task: Json) -> list[tuple[Json, Any]] | None:
    """The regions of the last prediction with its score; None where there is none."""
    made = [one for one in get_list(task, "predictions") if isinstance(one, dict)]
    return [(region, made[-1].get("score")) for region in _results(made[-1])] if made else None


def _scored(region: Json, score: Any) -> Json:
    return region if "score" in region else {**region, "score": score}


def _label_of(region: Json) -> str:
    value = region.get("value")
    names = value.get(KINDS.get(str(region.get("type")), "")) if isinstance(value, dict) else None
    return names[0] if isinstance(names, list) and names and isinstance(names[0], str) else ""


def _choices(regions: list[Json]) -> Iterator[str]:
    for region in regions:
        value = region.get("value")
        if region.get("type") == "choices" and isinstance(value, dict):
            yield from (name for name in get_list(value, "choices") if isinstance(name, str) and name)


def _image_of(task: Json) -> str:
    """The address of a task's image: the first of its data that ends like one, else the first text."""
    data = task.get("data")
    texts = [value for value in data.values() if isinstance(value, str)] if isinstance(data, dict) else []
    return next(
        (text for text in texts if is_image_name(text.partition("?")[0]) or is_image_name(text)), "".join(texts[:1])
    )


def _attributes(given: Any) -> Mapping[str, AttributeValue]:
    pairs = given.items() if isinstance(given, dict) else ()
    return {name: value for name, value in pairs if isinstance(value, str | bool | int | float)}


FORMAT = LabelStudio()
