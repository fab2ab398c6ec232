"""Round trips of generated datasets: what is read again is what was written, less exactly what the reports list."""

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
from tests.support.small_limits import check_read_alike

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
from saccade.core.report import Action, Report
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
from saccade.formats.base import Format, Reading, Record

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
    return st.tuples(*pairs).map(lambda each: Box(each[0][0], each[1][0], each[0][1], each[1][1]))


numbers = st.floats(-10, 50)
points = st.tuples(numbers, numbers)
rings = st.lists(points, min_size=3, max_size=5)


def keypoints(drawn: tuple[list[tuple[float, float]], Box | None, float | None]) -> Keypoints:
    where, box, area = drawn
    return Keypoints(tuple(where), tuple(at % 3 for at in range(len(where))), box, area)


def mask(drawn: list[int]) -> Mask:
    pixels = SIZE_WH[0] * SIZE_WH[1]
    counts: list[int] = []
    for count in drawn:
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
    return tuple(tuple(tuple(ring) for ring in part) for part in parts)


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
    """Objects; plain ones have only what every format holds: numbered ids, class and shape."""
    made = []
    for at, shape in enumerate(draw(st.lists(shapes, max_size=4)), 1):
        if plain:
            made.append(Object(str(at), draw(st.sampled_from(["cat", "dog"])), shape))
            continue
        object_id = draw(st.one_of(st.just(str(at)), text.map(lambda word, at=at: f"{word}{at}")))  # type: ignore[misc]
        score, track = draw(st.none() | st.floats(0, 1)), draw(st.none() | text)
        made.append(Object(object_id, draw(names), shape, score, track, draw(attributes)))
    return tuple({each.id: each for each in made}.values())


@st.composite
def datasets(
    draw: st.DrawFn, shapes: st.SearchStrategy[Geometry], *, plain: bool, size_wh: tuple[int, int] = SIZE_WH
) -> tuple[Schema, list[Record]]:
    """Some records with objects, none of them, or no labels; with splits or without."""
    has_split = draw(st.booleans())
    simple = st.from_regex("[a-z0-9]{1,6}(/[a-zéß ]{1,5}x)?", fullmatch=True)
    records = []
    for key in draw(st.lists(simple if plain else odd_text, unique=True, max_size=4)):
        each: dict[str, Any] = {"objects": draw(st.none() | objects(shapes, plain))}
        splits = st.sampled_from([None, "train", "val", "test", "fold1"])
        if has_split and (split := draw(splits if plain else splits | names)) is not None:
            each["split"] = split
        records.append(Record(key, InMemory(), each, size_wh))
    classes = {"cat", "dog"} | {made.class_name for each in records for made in each.values["objects"] or ()}
    columns = [Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, tuple(map(ClassInfo, sorted(classes))))]
    return Schema((*columns, *([Column("split", Kind.TEXT)] if has_split else []))), records


def round_trip(part: Format, schema: Schema, records: list[Record]) -> tuple[Schema, dict[str, Record], Report, Report]:
    written, read = Report(), Report()
    with tempfile.TemporaryDirectory() as folder:
        part.write(Reading(schema, iter(records), len(records)), Path(folder), written)
        reading = part.read(Path(folder), read)
        found = {each.key: each for each in reading.records}
        assert reading.total == len(found)
        for each in found.values():
            assert each.media is not None
            assert each.media.read() == png()
        check_read_alike(part, Path(folder))
    return reading.schema, found, written, read


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
def test_coco_is_exact(made: tuple[Schema, list[Record]]) -> None:
    schema, records = made
    got, found, written, read = round_trip(coco.FORMAT, schema, records)
    assert got == schema
    assert {key: dict(each.values) for key, each in found.items()} == {each.key: dict(each.values) for each in records}
    unlabelled = [each.key for each in records if each.values["objects"] is None]
    assert [finding.key for finding in written] == unlabelled
    assert {finding.reason for finding in read} <= HARMLESS


@EXAMPLES
@given(datasets(boxes(*SIZE_WH), plain=True))
def test_voc_is_exact(made: tuple[Schema, list[Record]]) -> None:
    schema, records = made
    if all(each.values["objects"] is None for each in records):
        return
    got, found, written, read = round_trip(voc.FORMAT, schema, records)
    used = {one.class_name for each in records for one in each.values["objects"] or ()}
    assert got["objects"].class_names == tuple(sorted(used))
    assert {finding.detail for finding in written} == set(schema["objects"].class_names) - used
    assert {key: dict(each.values) for key, each in found.items()} == {each.key: dict(each.values) for each in records}
    assert {finding.reason for finding in read} <= HARMLESS


@EXAMPLES
@given(datasets(boxes(*SIZE_WH).filter(lambda box: box.area() > 1e-6), plain=True))
def test_yolo_is_exact_to_rounding(made: tuple[Schema, list[Record]]) -> None:
    schema, records = made
    got, found, written, read = round_trip(yolo.FORMAT, schema, records)
    assert got == schema
    assert len(written) == 0
    assert {finding.reason for finding in read} <= HARMLESS
    assert set(found) == {each.key for each in records}
    for each in records:
        again = found[each.key]
        assert again.values.get("split") == each.values.get("split")
        assert (again.values["objects"] is None) == (each.values["objects"] is None)
        for one, other in zip(again.values["objects"] or (), each.values["objects"] or (), strict=True):
            assert (one.id, one.class_name) == (other.id, other.class_name)
            assert one.geometry.bounds_xyxy() == pytest.approx(other.geometry.bounds_xyxy(), rel=1e-6, abs=1e-9)


@pytest.mark.slow
@EXAMPLES
@pytest.mark.parametrize(
    "part",
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
    ids=lambda part: part.name,
)
@given(made=datasets(geometries, plain=False))
def test_every_difference_is_listed(part: Format, made: tuple[Schema, list[Record]]) -> None:
    """Anything goes in; whatever is not the same when it comes out has a finding with its key or object."""
    schema, records = made
    if part in _NEED_A_LABEL and all(each.values["objects"] is None for each in records):
        return
    _, found, written, read = round_trip(part, schema, records)
    renamed = {finding.key for finding in written if finding.reason == "key changed to be a file name"}
    assert len(found) == len(records)
    assert {each.key for each in records} - found.keys() == renamed
    for each in records:
        if each.key in renamed:
            continue
        again = found[each.key].values
        if again.get("split") != each.values.get("split"):
            assert {finding.reason for finding in written} & _SPLIT_LOSSES
        assert (again["objects"] is None) == (each.values["objects"] is None)
        by_id = {one.id: one for one in again["objects"] or ()}
        for one, new_id in _unlisted(each, part, written, read):
            assert _same(by_id[new_id], one, part)


_LEFT_OUT = {"object without area", "box outside the image", "shape that cannot be written"}
_SPLIT_LOSSES = {
    "split changed to be a file name",
    "split that is not train, val or test",
    "text that XML cannot hold",
    "split or labels of an image without labelled objects",
    "column that the format does not hold",
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
"""Formats that are known by the labels of some image."""
_AS_THEY_ARE = (via.FORMAT, cityscapes.FORMAT, datumaro.FORMAT, masks.FORMAT, panoptic.FORMAT)
"""Formats that keep every number of a shape, but no ids."""


def _unlisted(record: Record, part: Format, written: Report, read: Report) -> list[tuple[Object, str]]:
    """The objects without a finding, each with the id that it has when it is read again."""
    objects: Objects = record.values["objects"] or ()
    out = {one.object_id for one in written if one.key == record.key and one.reason in _LEFT_OUT}
    on_writing = {one.object_id for one in written if one.key == record.key}
    on_reading = {one.object_id for one in read if one.key == record.key and one.action is not Action.NOTICED}
    kept = [one for one in objects if one.id not in out]
    pairs = [(one, one.id if part in _KEEP_IDS else str(at)) for at, one in enumerate(kept, 1)]
    return [(one, new) for one, new in pairs if one.id not in on_writing and new not in on_reading]


def _same(one: Object, other: Object, part: Format) -> bool:
    if part is labelstudio.FORMAT and type(one.geometry) is type(other.geometry):  # shares of 100, which round
        assert one.geometry.bounds_xyxy() == pytest.approx(other.geometry.bounds_xyxy(), rel=1e-6, abs=1e-6)
        assert one.geometry.area() == pytest.approx(other.geometry.area(), rel=1e-6, abs=1e-6)
        return one == replace(other, geometry=one.geometry)
    if part is fiftyone.FORMAT:  # shares of the sides, which round; what rounding puts over an edge is cut there
        assert one.geometry.type == other.geometry.type
        pairs = zip(one.geometry.bounds_xyxy(), other.geometry.bounds_xyxy(), strict=True)
        for (x, y), side in zip(pairs, SIZE_WH * 2, strict=True):
            at_edge = {x, y} & {0.0, float(side)} and abs(x - y) <= 1e-6 * side
            assert at_edge or x == pytest.approx(y, rel=1e-6, abs=1e-7)
        assert one.geometry.area() == pytest.approx(other.geometry.area(), rel=1e-5, abs=1e-6)
        return one == replace(other, geometry=one.geometry)
    if part in _KEEP_IDS:
        circles = isinstance(one.geometry, Ellipse) and isinstance(other.geometry, Ellipse)
        if circles:  # a radius is the distance of two points, which rounds
            assert one.geometry.bounds_xyxy() == pytest.approx(other.geometry.bounds_xyxy(), abs=1e-9)
        return one == (replace(other, geometry=one.geometry) if circles else other)
    if part in _AS_THEY_ARE or (part is voc.FORMAT and isinstance(one.geometry, Mask)):
        assert one.geometry.type == other.geometry.type
        assert not isinstance(other.geometry, Mask) or one.geometry == other.geometry
        assert one.geometry.bounds_xyxy() == pytest.approx(other.geometry.bounds_xyxy(), abs=1e-7)
        return one == replace(other, id=one.id, geometry=one.geometry)
    if part is cvat.FORMAT:
        turned = isinstance(one.geometry, RotatedBox | Ellipse) and isinstance(other.geometry, type(one.geometry))
        if turned:  # CVAT has the sides of a box before it is turned, and angles from 0 to 360
            assert one.geometry.bounds_xyxy() == pytest.approx(other.geometry.bounds_xyxy(), abs=1e-7)
        return one == replace(other, id=one.id, geometry=one.geometry if turned else other.geometry)
    return (
        (one.class_name, one.attributes) == (other.class_name, other.attributes)
        and isinstance(other.geometry, Box)
        and one.score == pytest.approx(other.score)
        and one.geometry.bounds_xyxy() == pytest.approx(other.geometry.bounds_xyxy(), rel=1e-6, abs=1e-7)
    )


@EXAMPLES
@given(st.dictionaries(odd_text, st.tuples(st.none() | names, st.none() | names), max_size=5), st.booleans())
def test_folders_lose_nothing(made: Mapping[str, tuple[str | None, str | None]], has_split: bool) -> None:
    classes = tuple(ClassInfo(name) for name in dict.fromkeys(label for label, _ in made.values()) if name)
    columns = [Column("image", Kind.IMAGE), Column("label", Kind.LABEL, classes)]
    schema = Schema((*columns, *([Column("split", Kind.TEXT)] if has_split else [])))
    records = [
        Record(key, InMemory(), {"label": label, **({"split": split} if has_split and split else {})})
        for key, (label, split) in made.items()
    ]
    if not records:
        return
    got, found, written, read = round_trip(folders.FORMAT, schema, records)
    renamed = {finding.key for finding in written if finding.reason == "key changed to be a file name"}
    assert got == schema
    assert len(read) == 0
    assert len(found) == len(records)
    for each in records:
        if each.key not in renamed:
            assert dict(found[each.key].values) == dict(each.values)
