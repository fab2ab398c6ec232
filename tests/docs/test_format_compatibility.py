"""What an export keeps is what the page on format compatibility says; every format has its rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image
from tests.formats.conftest import InMemory
from tests.support.format_page import code_spans, table

from saccade.core.geometry import mask_from_array
from saccade.core.objects import (
    Box,
    Ellipse,
    Geometry,
    Keypoints,
    Object,
    Objects,
    Points,
    Polygon,
    Polyline,
    RotatedBox,
)
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats.base import FORMATS, Record, RecordStream
from saccade.formats.reading import read_source

WITHOUT_OBJECTS = {"folders", "images", "videos"}
SIZE_WH = (40, 30)
RING = ((4.0, 4.0), (20.0, 4.0), (20.0, 16.0), (5.0, 15.0))
OTHER_RING = ((25.0, 5.0), (35.0, 5.0), (35.0, 15.0))
HOLE = ((8.0, 8.0), (12.0, 8.0), (12.0, 12.0))
PIXELS = np.zeros((30, 40), np.bool_)
PIXELS[5:15, 5:20] = True
SHAPES: dict[str, Geometry] = {
    "box": Box(4, 4, 20, 16),
    "rotated box": RotatedBox(20, 15, 12, 8, 30),
    "polygon": Polygon.simple(RING),
    "with parts": Polygon(((RING,), (OTHER_RING,))),
    "with holes": Polygon(((RING, HOLE),)),
    "mask": mask_from_array(PIXELS),
    "line": Polyline(RING),
    "point": Points(((7.0, 8.0),)),
    "points": Points(RING),
    "keypoints": Keypoints(RING, (2, 1, 0, 2)),
    "circle": Ellipse(20, 15, 6, 6, 0.0),
    "ellipse": Ellipse(20, 15, 10, 6, 30.0),
}
ATTRIBUTES: dict[str, Any] = {"colour": "red", "size": 3, "wet": True}
KNOWN_ATTRIBUTES: dict[str, Any] = {
    **dict.fromkeys(("crowd", "depiction", "difficult", "ignored", "inside", "occluded", "truncated"), True),
    "visibility": 0.5,
}
KITTI_ATTRIBUTES: dict[str, Any] = {
    "truncated": 0.5,
    "occluded": 1,
    **dict.fromkeys(("alpha", "height_m", "length_m", "rotation_y", "width_m", "x_m", "y_m", "z_m"), 1.5),
}
COLUMNS: dict[str, tuple[Kind, Any]] = {
    "attributes": (Kind.TABLE, {"frame": 3}),
    "caption": (Kind.TEXT, "two cats"),
    "file_attributes": (Kind.TABLE, {"by": "me"}),
    "flags": (Kind.TABLE, {"night": True}),
    "label": (Kind.LABEL, "indoors"),
    "labels": (Kind.LABELS, ("fog", "night")),
    "metadata": (Kind.TABLE, {"camera": "a"}),
    "predictions": (Kind.OBJECTS, (Object("p", "cat", Box(10, 9, 20, 21), 0.5),)),
    "tags": (Kind.LABELS, ("hard",)),
}
SPLITS = ("train", "val", "test", "fold1")
CLASSES = (
    ClassInfo("dog", "animal", "#ff0000", ("a", "b", "c", "d"), ((0, 1),)),
    ClassInfo("cat", "animal", "#00ff00"),
    ClassInfo("ant"),
)
DETAILS = {"parent": "parents", "color": "colours", "keypoints": "keypoints", "skeleton": "skeletons"}


def test_every_format_has_a_row() -> None:
    for heading, expected in (("Layouts", set(FORMATS.names())), ("Shapes", set(FORMATS.names()) - WITHOUT_OBJECTS)):
        assert {code_spans(row["Format"])[0] for row in table(heading)} == expected
    assert [row["Format"] for row in table("Other data")] == [row["Format"] for row in table("Shapes")]


@cache
def photo() -> InMemory:
    out = BytesIO()
    Image.new("RGB", SIZE_WH).save(out, "PNG")
    return InMemory(out.getvalue())


class RoundTrip(NamedTuple):
    """Records that were written and read back, in the order of their keys."""

    schema: Schema
    records: list[Record]
    report: ConversionReport


@dataclass(frozen=True)
class Exporter:
    """Writes datasets in a format with the options of a row, and reads them back."""

    name: str
    options: dict[str, str]
    folder: Path

    @classmethod
    def of_row(cls, row: dict[str, str], folder: Path) -> Exporter:
        name, *options = code_spans(row["Format"])
        return cls(name, dict(option.split("=", 1) for option in options), folder)

    def round_trip(
        self,
        values: list[dict[str, Any]],
        classes: tuple[ClassInfo, ...] = (ClassInfo("cat"),),
        columns: Iterable[tuple[str, Kind]] = (),
    ) -> RoundTrip:
        """Write images with these values and one further labelled image, so that every format is recognised."""
        path = self.folder / str(len(list(self.folder.iterdir())))
        path.mkdir()
        schema = Schema(
            (
                Column("image", Kind.IMAGE),
                Column("objects", Kind.OBJECTS, classes),
                *(Column(name, kind) for name, kind in columns),
            )
        )
        keys = [f"{value.pop('sequence', 'one')}/{number:06}" for number, value in enumerate(values, 1)]
        records = [Record(key, photo(), value, SIZE_WH) for key, value in zip(keys, values, strict=True)]
        extra = (Object("1", "cat", Box(4, 4, 20, 16), None, "9"),)
        records.append(Record("zoo/000001", photo(), {"objects": extra}, SIZE_WH))
        report = ConversionReport()
        format = FORMATS.get(self.name)
        format.write(RecordStream(schema, iter(records), len(records)), path, report, **self.options)
        stream = read_source(format, path, ConversionReport())
        return RoundTrip(stream.schema, sorted(stream.records, key=lambda record: record.key)[:-1], report)

    def object(self, obj: Object) -> Object | None:
        """Return an object as it is read back; a loss must be reported."""
        trip = self.round_trip([{"objects": (obj,)}])
        objects: Objects = trip.records[0].values["objects"] or ()
        result = objects[0] if objects else None
        is_same = (
            result is not None
            and result.score == pytest.approx(obj.score)
            and (result.id, result.track, result.attributes) == (obj.id, obj.track, obj.attributes)
        )
        assert is_same or trip.report.losses()[0]
        return result


def is_kept(result: Geometry, original: Geometry) -> bool:
    """Whether a shape differs by rounding at most."""
    if type(result) is not type(original):
        return False
    if isinstance(result, Polygon) and isinstance(original, Polygon):
        rings = [[len(ring) for part in polygon.parts for ring in part] for polygon in (result, original)]
        if rings[0] != rings[1] or result.area() != pytest.approx(original.area(), rel=1e-5):
            return False
    return bool(result.bounds_xyxy() == pytest.approx(original.bounds_xyxy(), abs=1e-4))


def shape_cell(exporter: Exporter, name: str) -> str:
    obj = Object("1", "cat", SHAPES[name], None, "1")
    has_keypoints = name == "keypoints" or exporter.options.get("task") == "pose"
    keypoints = ("a", "b", "c", "d") if has_keypoints else ()
    trip = exporter.round_trip([{"objects": (obj,)}], (ClassInfo("cat", keypoints=keypoints),))
    objects = trip.records[0].values["objects"]
    if objects and is_kept(objects[0].geometry, obj.geometry):
        return "kept"
    # Whatever changes is reported for the object.
    assert {finding.object_id for finding in trip.report if finding.action is not FindingType.WARNING} >= {"1"}
    return str(objects[0].geometry.type).replace("_", " ") if objects else "–"


@pytest.mark.parametrize("row", table("Shapes"), ids=lambda row: row["Format"].replace("`", ""))
def test_shapes_that_an_export_keeps(row: dict[str, str], tmp_path: Path) -> None:
    exporter = Exporter.of_row(row, tmp_path)
    assert row == {"Format": row["Format"], **{name: shape_cell(exporter, name) for name in SHAPES}}


def listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "–"


@dataclass(frozen=True)
class DataCells:
    """Computes the cells of a row on other data than shapes."""

    exporter: Exporter
    geometry: Geometry

    def _object(self, object_id: str = "1", track: str | None = "1", **fields: Any) -> Object:
        return Object(object_id, "cat", self.geometry, fields.get("score"), track, fields.get("attributes", {}))

    def ids(self) -> str:
        result = self.exporter.object(self._object("x7"))
        return "kept" if result and result.id == "x7" else "–"

    def scores(self) -> str:
        result = self.exporter.object(self._object(score=0.5))
        return "kept" if result and result.score == pytest.approx(0.5) else "–"

    def tracks(self) -> str:
        results = [self.exporter.object(self._object(track=track)) for track in ("7", "t")]
        is_number_kept, is_text_kept = (
            obj is not None and obj.track == track for obj, track in zip(results, ("7", "t"), strict=True)
        )
        return ("kept" if is_text_kept else "numbers") if is_number_kept else "–"

    def attributes(self) -> str:
        if self._kept_attributes(ATTRIBUTES) == sorted(ATTRIBUTES):
            return "kept"
        names = {*self._kept_attributes(KNOWN_ATTRIBUTES), *self._kept_attributes(KITTI_ATTRIBUTES)}
        return listed(sorted(names))

    def _kept_attributes(self, attributes: dict[str, Any]) -> list[str]:
        kept = []
        # Each on its own: a crowd region may be left out as a whole.
        for name, value in attributes.items():
            result = self.exporter.object(self._object(attributes={name: value}))
            if result is not None and result.attributes.get(name) == value:
                kept.append(name)
        return sorted(kept)

    def splits(self) -> str:
        values = [{"objects": (self._object(),), "split": split} for split in SPLITS]
        trip = self.exporter.round_trip(values, columns=[("split", Kind.TEXT)])
        kept = {record.values.get("split") for record in trip.records} - {None}
        assert kept == set(SPLITS) or trip.report.losses()[0]
        return "any" if kept == set(SPLITS) else ", ".join(split for split in SPLITS if split in kept) or "–"

    def not_labelled(self) -> str:
        values: list[dict[str, Any]] = [{"objects": None}, {"objects": ()}, {"objects": (self._object(),)}]
        trip = self.exporter.round_trip(values)
        results = [record.values["objects"] for record in trip.records]
        assert results[1] == ()
        if results[0] is None:
            return "kept"
        assert trip.report.losses()[0]
        values = [{"objects": (self._object(),)}, {"objects": None, "sequence": "two"}]
        return "of sequences" if self.exporter.round_trip(values).records[1].values["objects"] is None else "–"

    def _classes(self) -> tuple[ClassInfo, ...]:
        objects = self._object(), Object("2", "dog", Box(22, 5, 30, 20), None, "2")
        trip = self.exporter.round_trip([{"objects": objects}], CLASSES)
        classes = trip.schema["objects"].classes
        assert classes == CLASSES or trip.report.losses()[0]
        return classes

    def class_list(self) -> str:
        names = [info.name for info in self._classes()]
        assert names in (["dog", "cat", "ant"], ["cat", "dog"])
        return "all" if len(names) == len(CLASSES) else "used, sorted"

    def class_details(self) -> str:
        classes = {info.name: info for info in self._classes()}
        details = [name for name in DETAILS if getattr(classes["dog"], name) == getattr(CLASSES[0], name)]
        return ", ".join(DETAILS[name] for name in details) or "–"

    def columns(self) -> str:
        kept = []
        for name, (kind, value) in COLUMNS.items():
            trip = self.exporter.round_trip([{"objects": (self._object(),), name: value}], columns=[(name, kind)])
            result: Any = trip.records[0].values.get(name)
            # Label Studio stores percentages, which round.
            same_objects = kind is Kind.OBJECTS and bool(result) and is_kept(result[0].geometry, value[0].geometry)
            if result == value or same_objects:
                kept.append(name)
            else:
                assert trip.report.losses()[0]
        return listed(kept)


@pytest.mark.parametrize("row", table("Other data"), ids=lambda row: row["Format"].replace("`", ""))
def test_other_data_that_an_export_keeps(row: dict[str, str], tmp_path: Path) -> None:
    shapes = next(cells for cells in table("Shapes") if cells["Format"] == row["Format"])
    geometry = next(geometry for name, geometry in SHAPES.items() if shapes[name] == "kept")
    cells = DataCells(Exporter.of_row(row, tmp_path), geometry)
    assert row == {
        "Format": row["Format"],
        "Ids": cells.ids(),
        "Scores": cells.scores(),
        "Tracks": cells.tracks(),
        "Attributes": cells.attributes(),
        "Splits": cells.splits(),
        "Not labelled": cells.not_labelled(),
        "Class list": cells.class_list(),
        "Class details": cells.class_details(),
        "Other columns": cells.columns(),
    }
