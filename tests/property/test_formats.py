"""Round trips of generated datasets: the result equals the original, except for what the reports list."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.support.small_limits import check_same_with_small_limits

from saccade.core.objects import (
    AttributeValue,
    Box,
    Ellipse,
    Geometry,
    Keypoints,
    Mask,
    Object,
    Objects,
    Points,
    Polygon,
    Polyline,
    RotatedBox,
)
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats import (
    boxes_yaml,
    cityscapes,
    coco,
    csv_boxes,
    cvat,
    datumaro,
    fiftyone,
    folders,
    geojson,
    huggingface,
    kitti,
    labelme,
    labelstudio,
    masks,
    openimages,
    panoptic,
    tfrecord,
    via,
    voc,
    yolo,
)
from saccade.formats.base import Format, Record, RecordStream
from saccade.formats.reading import read_source

SIZE_WH = (40, 30)
EXAMPLES = settings(max_examples=int(os.environ.get("SACCADE_EXAMPLES", "25")), deadline=None)


@cache
def png() -> bytes:
    out = BytesIO()
    Image.new("RGB", SIZE_WH).save(out, "PNG")
    return out.getvalue()


@dataclass(frozen=True)
class InMemory:
    name: str = "photo.PNG"
    path: Path | None = None

    def read(self) -> bytes:
        return png()


@dataclass(frozen=True)
class Unreadable(InMemory):
    """A file that is named like an image, but is none."""

    def read(self) -> bytes:
        return b"no image"


def _not_empty(text: str) -> bool:
    return bool(text.strip())


text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
odd_text = st.one_of(
    text,
    st.sampled_from(
        ["..", "../x", "/etc/x", ".hidden", "a\\b", "a.jpg/b", "x" * 300, "a//b", "images/1", "no", "1.0", "~"]
    ),
)
names = st.one_of(text.filter(_not_empty), st.sampled_from(["cat", "no", "null", "1.0", "a/b", "..", "Größe", "猫"]))


def boxes(width: float, height: float) -> st.SearchStrategy[Box]:
    """Boxes with area inside the image, with fractions."""
    pairs = [
        st.tuples(st.floats(0, side), st.floats(0, side)).map(sorted).filter(lambda pair: pair[0] < pair[1])
        for side in (width, height)
    ]
    return st.tuples(*pairs).map(lambda ranges: Box(ranges[0][0], ranges[1][0], ranges[0][1], ranges[1][1]))


numbers = st.floats(-10, 50)
points = st.tuples(numbers, numbers)
rings = st.lists(points, min_size=3, max_size=5)


def keypoints(parts: tuple[list[tuple[float, float]], Box | None, float | None]) -> Keypoints:
    where, box, area = parts
    return Keypoints(tuple(where), tuple(at % 3 for at in range(len(where))), box, area)


def mask(parts: list[int]) -> Mask:
    pixels = SIZE_WH[0] * SIZE_WH[1]
    counts: list[int] = []
    for count in parts:
        counts.append(min(count, pixels - sum(counts)))
    if len(counts) % 2:
        counts.append(0)
    return Mask(
        *SIZE_WH, (*counts, pixels - sum(counts)) if len(counts) % 2 == 0 else (*counts, 0, pixels - sum(counts))
    )


geometries: st.SearchStrategy[Geometry] = st.one_of(
    boxes(*SIZE_WH),
    st.builds(lambda a, b: Box(*map(min, a, b), *map(max, a, b)), points, points),
    st.lists(st.lists(rings, min_size=1, max_size=2), min_size=1, max_size=2).map(lambda parts: Polygon(_rings(parts))),
    st.lists(st.integers(0, 400), max_size=5).map(mask),
    st.tuples(st.lists(points, min_size=1, max_size=3), st.none() | boxes(*SIZE_WH), st.none() | st.floats(0, 1e6)).map(
        keypoints
    ),
    st.builds(RotatedBox, numbers, numbers, st.floats(0, 20), st.floats(0, 20), numbers),
    st.builds(Ellipse, numbers, numbers, st.floats(0, 20), st.floats(0, 20), numbers),
    st.lists(points, min_size=2, max_size=3).map(lambda where: Polyline(tuple(where))),
    st.lists(points, min_size=1, max_size=3).map(lambda where: Points(tuple(where))),
)


def _rings(parts: list[list[list[tuple[float, float]]]]) -> tuple[tuple[tuple[tuple[float, float], ...], ...], ...]:
    return tuple(tuple(tuple(ring) for ring in format) for format in parts)


values: st.SearchStrategy[AttributeValue] = st.one_of(
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8"), max_size=5),
)
attributes = st.dictionaries(
    st.one_of(st.sampled_from(["crowd", "difficult", "truncated", "occluded", "pose", "track_id"]), text),
    values,
    max_size=3,
)


@st.composite
def objects(draw: st.DrawFn, shapes: st.SearchStrategy[Geometry], plain: bool) -> Objects:
    """Objects; plain ones have only what every format supports: numbered ids, class and shape."""
    result = []
    for position, shape in enumerate(draw(st.lists(shapes, max_size=4)), 1):
        if plain:
            result.append(Object(str(position), draw(st.sampled_from(["cat", "dog"])), shape))
            continue
        suffix = str(position)
        words = text.map(lambda word, suffix=suffix: word + suffix)  # type: ignore[misc]
        object_id = draw(st.one_of(st.just(suffix), words))
        score, track = draw(st.none() | st.floats(0, 1)), draw(st.none() | text)
        result.append(Object(object_id, draw(names), shape, score, track, draw(attributes)))
    return tuple({obj.id: obj for obj in result}.values())


@st.composite
def datasets(
    draw: st.DrawFn, shapes: st.SearchStrategy[Geometry], *, plain: bool, size_wh: tuple[int, int] = SIZE_WH
) -> tuple[Schema, list[Record]]:
    """Some records with objects, none of them, or no labels; with splits or without."""
    has_split = draw(st.booleans())
    simple = st.from_regex("[a-z0-9]{1,6}(/[a-zéß ]{1,5}x)?", fullmatch=True)
    records = []
    for key in draw(st.lists(simple if plain else odd_text, unique=True, max_size=4)):
        row: dict[str, Any] = {"objects": draw(st.none() | objects(shapes, plain))}
        splits = st.sampled_from([None, "train", "val", "test", "fold1"])
        if has_split and (split := draw(splits if plain else splits | names)) is not None:
            row["split"] = split
        records.append(Record(key, InMemory(), row, size_wh))
    classes = {"cat", "dog"} | {obj.class_name for record in records for obj in record.values["objects"] or ()}
    columns = [Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, tuple(map(ClassInfo, sorted(classes))))]
    return Schema((*columns, *([Column("split", Kind.TEXT)] if has_split else []))), records


def round_trip(
    format: Format, schema: Schema, records: list[Record]
) -> tuple[Schema, dict[str, Record], ConversionReport, ConversionReport]:
    write_report, read_report = ConversionReport(), ConversionReport()
    with tempfile.TemporaryDirectory() as folder:
        format.write(RecordStream(schema, iter(records), len(records)), Path(folder), write_report)
        stream = read_source(format, Path(folder), read_report)
        results = {record.key: record for record in stream.records}
        assert stream.total == len(results)
        for record in results.values():
            assert record.media is not None
            assert record.media.read() in (png(), Unreadable().read())
        check_same_with_small_limits(format, Path(folder))
    return stream.schema, results, write_report, read_report


OF_OBJECTS: list[Format] = [
    coco.FORMAT,
    cvat.FORMAT,
    labelme.FORMAT,
    labelstudio.FORMAT,
    voc.FORMAT,
    yolo.FORMAT,
]
HARMLESS = {"duplicate box", "boxes that almost coincide", "tiny box", "item in no split", "number of the first pixel"}


@EXAMPLES
@given(datasets(boxes(1e9, 1e9), plain=True, size_wh=(10**9, 10**9)))
def test_coco_is_exact(dataset: tuple[Schema, list[Record]]) -> None:
    """Floats of any size are kept; the images cannot be read, so that only their stated size counts."""
    schema, records = dataset
    records = [replace(record, media=Unreadable()) for record in records]
    result_schema, results, write_report, read_report = round_trip(coco.FORMAT, schema, records)
    assert result_schema == schema
    assert {key: dict(record.values) for key, record in results.items()} == {
        record.key: dict(record.values) for record in records
    }
    unlabelled = [record.key for record in records if record.values["objects"] is None]
    assert [finding.key for finding in write_report] == unlabelled
    assert {finding.reason for finding in read_report} <= HARMLESS


@EXAMPLES
@given(datasets(boxes(*SIZE_WH), plain=True))
def test_voc_is_exact(dataset: tuple[Schema, list[Record]]) -> None:
    schema, records = dataset
    if all(record.values["objects"] is None for record in records):
        return
    result_schema, results, write_report, read_report = round_trip(voc.FORMAT, schema, records)
    used = {obj.class_name for record in records for obj in record.values["objects"] or ()}
    assert result_schema["objects"].class_names == tuple(sorted(used))
    assert {finding.detail for finding in write_report} == set(schema["objects"].class_names) - used
    assert {key: dict(record.values) for key, record in results.items()} == {
        record.key: dict(record.values) for record in records
    }
    assert {finding.reason for finding in read_report} <= HARMLESS


@EXAMPLES
@given(datasets(boxes(*SIZE_WH).filter(lambda box: box.area() > 1e-6), plain=True))
def test_yolo_is_exact_to_rounding(dataset: tuple[Schema, list[Record]]) -> None:
    schema, records = dataset
    result_schema, results, write_report, read_report = round_trip(yolo.FORMAT, schema, records)
    assert result_schema == schema
    assert len(write_report) == 0
    assert {finding.reason for finding in read_report} <= HARMLESS
    assert set(results) == {record.key for record in records}
    for record in records:
        result = results[record.key]
        assert result.values.get("split") == record.values.get("split")
        assert (result.values["objects"] is None) == (record.values["objects"] is None)
        for obj, expected in zip(result.values["objects"] or (), record.values["objects"] or (), strict=True):
            assert (obj.id, obj.class_name) == (expected.id, expected.class_name)
            assert obj.geometry.bounds_xyxy() == pytest.approx(expected.geometry.bounds_xyxy(), rel=1e-6, abs=1e-9)


@pytest.mark.slow
@EXAMPLES
@pytest.mark.parametrize(
    "format",
    [
        coco.FORMAT,
        cvat.FORMAT,
        labelme.FORMAT,
        voc.FORMAT,
        yolo.FORMAT,
        csv_boxes.FORMAT,
        openimages.FORMAT,
        via.FORMAT,
        kitti.FORMAT,
        cityscapes.FORMAT,
        geojson.FORMAT,
        datumaro.FORMAT,
        boxes_yaml.FORMAT,
        tfrecord.FORMAT,
        huggingface.FORMAT,
        masks.FORMAT,
        panoptic.FORMAT,
        fiftyone.FORMAT,
    ],
    ids=lambda format: format.name,
)
@given(dataset=datasets(geometries, plain=False))
def test_every_difference_is_reported(format: Format, dataset: tuple[Schema, list[Record]]) -> None:
    """Every difference between the original and the result has a finding with its key or object."""
    schema, records = dataset
    if format in _NEED_A_LABEL and all(record.values["objects"] is None for record in records):
        return
    _, results, write_report, read_report = round_trip(format, schema, records)
    renamed = {finding.key for finding in write_report if finding.reason == "key changed to be a file name"}
    assert len(results) == len(records)
    assert {record.key for record in records} - results.keys() == renamed
    for record in records:
        if record.key in renamed:
            continue
        result = results[record.key].values
        if result.get("split") != record.values.get("split"):
            assert {finding.reason for finding in write_report} & _SPLIT_LOSSES
        # An image all of whose objects were dropped on reading is not labelled.
        has_lost_all = any(finding.key == record.key and finding.object_id for finding in read_report)
        is_unlabelled = record.values["objects"] is None or (has_lost_all and not result["objects"])
        assert (result["objects"] is None) == is_unlabelled
        by_id = {obj.id: obj for obj in result["objects"] or ()}
        for obj, new_id in _unlisted(record, format, write_report, read_report):
            assert _same(by_id[new_id], obj, format)


_LEFT_OUT = {"object without area", "box outside the image", "shape that cannot be written"}
_SPLIT_LOSSES = {
    "split changed to be a file name",
    "split that is not train, val or test",
    "text that XML cannot hold",
    "split or labels of an image without labelled objects",
    "column that the format does not support",
    "split of an image that is not labelled",
    "split that is not train or test",
}
_KEEP_IDS = (
    coco.FORMAT,
    labelme.FORMAT,
    labelstudio.FORMAT,
    csv_boxes.FORMAT,
    geojson.FORMAT,
    boxes_yaml.FORMAT,
    huggingface.FORMAT,
    fiftyone.FORMAT,
)
_NEED_A_LABEL = (masks.FORMAT, voc.FORMAT, kitti.FORMAT, cityscapes.FORMAT, geojson.FORMAT)
"""Formats that are detected only if some image is labelled."""
_AS_THEY_ARE = (via.FORMAT, cityscapes.FORMAT, datumaro.FORMAT, masks.FORMAT, panoptic.FORMAT)
"""Formats that keep every number of a shape, but no ids."""


def _unlisted(
    record: Record, format: Format, write_report: ConversionReport, read_report: ConversionReport
) -> list[tuple[Object, str]]:
    """Return the objects without a finding, with the ids that they have when they are read back."""
    objects: Objects = record.values["objects"] or ()
    left_out = {
        finding.object_id for finding in write_report if finding.key == record.key and finding.reason in _LEFT_OUT
    }
    on_writing = {finding.object_id for finding in write_report if finding.key == record.key}
    on_reading = {
        finding.object_id
        for finding in read_report
        if finding.key == record.key and finding.action is not FindingType.WARNING
    }
    remaining = [obj for obj in objects if obj.id not in left_out]
    pairs = [(obj, obj.id if format in _KEEP_IDS else str(position)) for position, obj in enumerate(remaining, 1)]
    return [(obj, new_id) for obj, new_id in pairs if obj.id not in on_writing and new_id not in on_reading]


def _same(result: Object, original: Object, format: Format) -> bool:
    if format is labelstudio.FORMAT and type(result.geometry) is type(original.geometry):  # shares of 100, which round
        assert result.geometry.bounds_xyxy() == pytest.approx(original.geometry.bounds_xyxy(), rel=1e-6, abs=1e-6)
        assert result.geometry.area() == pytest.approx(original.geometry.area(), rel=1e-6, abs=1e-6)
        return result == replace(original, geometry=result.geometry)
    if format is fiftyone.FORMAT:  # shares of the sides, which round; what rounding puts over an edge is cut there
        assert result.geometry.type == original.geometry.type
        pairs = zip(result.geometry.bounds_xyxy(), original.geometry.bounds_xyxy(), strict=True)
        for (x, y), side in zip(pairs, SIZE_WH * 2, strict=True):
            at_edge = {x, y} & {0.0, float(side)} and abs(x - y) <= 1e-6 * side
            assert at_edge or x == pytest.approx(y, rel=1e-6, abs=1e-7)
        assert result.geometry.area() == pytest.approx(original.geometry.area(), rel=1e-5, abs=1e-6)
        return result == replace(original, geometry=result.geometry)
    if format in _KEEP_IDS:
        circles = isinstance(result.geometry, Ellipse) and isinstance(original.geometry, Ellipse)
        if circles:  # a radius is the distance of two points, which rounds
            assert result.geometry.bounds_xyxy() == pytest.approx(original.geometry.bounds_xyxy(), abs=1e-9)
        return result == (replace(original, geometry=result.geometry) if circles else original)
    if format in _AS_THEY_ARE or (format is voc.FORMAT and isinstance(result.geometry, Mask)):
        assert result.geometry.type == original.geometry.type
        assert not isinstance(original.geometry, Mask) or result.geometry == original.geometry
        assert result.geometry.bounds_xyxy() == pytest.approx(original.geometry.bounds_xyxy(), abs=1e-7)
        return result == replace(original, id=result.id, geometry=result.geometry)
    if format is cvat.FORMAT:
        turned = isinstance(result.geometry, RotatedBox | Ellipse) and isinstance(
            original.geometry, type(result.geometry)
        )
        if turned:  # CVAT has the sides of a box before it is turned, and angles from 0 to 360
            assert result.geometry.bounds_xyxy() == pytest.approx(original.geometry.bounds_xyxy(), abs=1e-7)
        return result == replace(original, id=result.id, geometry=result.geometry if turned else original.geometry)
    return (
        (result.class_name, result.attributes) == (original.class_name, original.attributes)
        and isinstance(original.geometry, Box)
        and result.score == pytest.approx(original.score)
        and result.geometry.bounds_xyxy() == pytest.approx(original.geometry.bounds_xyxy(), rel=1e-6, abs=1e-7)
    )


@EXAMPLES
@given(st.dictionaries(odd_text, st.tuples(st.none() | names, st.none() | names), max_size=5), st.booleans())
def test_folders_lose_nothing(dataset: Mapping[str, tuple[str | None, str | None]], has_split: bool) -> None:
    classes = tuple(ClassInfo(name) for name in dict.fromkeys(label for label, _ in dataset.values()) if name)
    columns = [Column("image", Kind.IMAGE), Column("label", Kind.LABEL, classes)]
    schema = Schema((*columns, *([Column("split", Kind.TEXT)] if has_split else [])))
    records = [
        Record(key, InMemory(), {"label": label, **({"split": split} if has_split and split else {})})
        for key, (label, split) in dataset.items()
    ]
    if not records:
        return
    result_schema, results, write_report, read_report = round_trip(folders.FORMAT, schema, records)
    renamed = {finding.key for finding in write_report if finding.reason == "key changed to be a file name"}
    assert result_schema == schema
    assert len(read_report) == 0
    assert len(results) == len(records)
    for record in records:
        if record.key not in renamed:
            assert dict(results[record.key].values) == dict(record.values)
