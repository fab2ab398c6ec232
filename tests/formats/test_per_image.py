"""Formats based on PerImageReader: VIA, KITTI, Cityscapes and GeoJSON, as other tools write them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from saccade.core.errors import FormatError
from saccade.core.objects import Box, Ellipse, Object, Points, Polygon, Polyline
from saccade.core.registry import Registry
from saccade.formats import cityscapes, geojson, kitti, via
from saccade.formats.base import Format
from saccade.formats.detect import detect_format

WriteSource = Callable[[Mapping[str, str | bytes | None]], Path]
TRIANGLE = ((1.0, 1.0), (5.0, 1.0), (5.0, 4.0))


def region(name: str, attributes: Mapping[str, Any], **shape: Any) -> dict[str, Any]:
    return {"shape_attributes": {"name": name, **shape}, "region_attributes": attributes}


def test_via_2_with_every_shape(write_source: WriteSource, kit: SimpleNamespace, formats: Registry[Format]) -> None:
    regions = [
        region("rect", {"type": "cat", "sure": "no"}, x=1, y=1, width=4, height=3),
        region("circle", {"type": "cat"}, cx=4, cy=3, r=2),
        region("ellipse", {"type": "cat"}, cx=4, cy=3, rx=2, ry=1, theta=math.pi / 2),
        region(
            "polygon",
            {"type": "dog", "is": {"wet": True, "old": True, "red": False}},
            all_points_x=[1, 5, 5],
            all_points_y=[1, 1, 4],
        ),
        region("polyline", {"type": "dog"}, all_points_x=[1, 5], all_points_y=[1, 1]),
        region("point", {"type": "dog"}, cx=1, cy=2),
        region("rect", {"type": ""}, x=1, y=1, width=4, height=3),
        region("cloud", {"type": "dog"}),
        region("polygon", {"type": "dog"}, all_points_x=[1], all_points_y=[1, 2]),
        region("rect", {"type": "dog"}, x="NaN", y=1, width=4, height=3),
    ]
    images = {
        "1.png99": {"filename": "1.png", "size": 99, "regions": regions, "file_attributes": {"by": "me", "x": ""}},
        "2.png99": {"filename": "2.png", "size": 99, "regions": [], "file_attributes": {}},
        "gone.png9": {"filename": "gone.png", "size": 9, "regions": [], "file_attributes": {}},
    }
    source = write_source(
        {
            "via_project.json": json.dumps({"_via_settings": {}, "_via_img_metadata": images}),
            "1.png": None,
            "2.png": None,
            "3.png": None,
        }
    )
    assert detect_format(source, formats)[0] == "via"
    result = kit.read_all(via.FORMAT, source)
    assert result.values("objects") == {
        "1": (
            Object("1", "cat", Box(1, 1, 5, 4), attributes={"sure": "no"}),
            Object("2", "cat", Ellipse(4, 3, 2, 2, 0)),
            Object("3", "cat", Ellipse(4, 3, 2, 1, 90)),
            Object("4", "dog", Polygon.simple(TRIANGLE), attributes={"is": "wet, old"}),
            Object("5", "dog", Polyline(((1, 1), (5, 1)))),
            Object("6", "dog", Points(((1, 2),))),
        ),
        "2": (),
        "3": None,
    }
    assert result.values("file_attributes") == {"1": {"by": "me"}, "2": None, "3": None}
    assert result.reasons() == {
        ("dropped", "object without a class"): 1,
        ("dropped", "shape of a kind that is not known"): 1,
        ("dropped", "object without a usable shape"): 1,
        ("dropped", "box with numbers that are not finite"): 1,
        ("skipped", "image file missing"): 1,
    }
    named = kit.read_all(via.FORMAT, source, attribute="sure")
    assert [obj.class_name for obj in named.records["1"].values["objects"]] == ["no"]
    with pytest.raises(FormatError, match="No region has the attribute 'kind'"):
        kit.read_all(via.FORMAT, source, attribute="kind")


def test_via_1_annotations_without_a_project(write_source: WriteSource, kit: SimpleNamespace) -> None:
    regions = {"0": region("rect", {"class": "cat"}, x=1, y=1, width=4, height=3)}
    images = {"1.png99": {"fileref": "", "filename": "1.png", "size": 99, "base64_img_data": "", "regions": regions}}
    result = kit.read_all(via.FORMAT, write_source({"via.json": json.dumps(images), "1.png": None}))
    assert result.values("objects") == {"1": (Object("1", "cat", Box(1, 1, 5, 4)),)}


LINE = "Car 0.00 1 -1.57 1 1 5 4 1.65 1.67 3.64 -0.65 1.71 46.70 -1.59"


def test_kitti_as_published(write_source: WriteSource, kit: SimpleNamespace, formats: Registry[Format]) -> None:
    source = write_source(
        {
            "training/image_2/000000.png": None,
            "training/image_2/000001.png": None,
            "testing/image_2/000000.png": None,
            "training/label_2/000000.txt": "\n".join(
                [LINE, "DontCare -1 -1 -10 2 2 3 3 -1 -1 -1 -1000 -1000 -1000 -10", "Car 1"]
            ),
            "training/label_2/000001.txt": "",
        }
    )
    assert detect_format(source, formats)[0] == "kitti"
    result = kit.read_all(kitti.FORMAT, source)
    car = {
        "truncated": 0.0,
        "occluded": 1,
        "alpha": -1.57,
        "height_m": 1.65,
        "width_m": 1.67,
        "length_m": 3.64,
        "x_m": -0.65,
        "y_m": 1.71,
        "z_m": 46.7,
        "rotation_y": -1.59,
    }
    second = "training/image_2/000000"  # the name that both splits have goes to the first
    assert result.values("objects") == {
        second: (Object("1", "Car", Box(1, 1, 5, 4), attributes=car), Object("2", "DontCare", Box(2, 2, 3, 3))),
        "000001": (),
        "000000": None,
    }
    assert result.values("split") == {"000000": "test", "000001": "train", second: "train"}
    assert result.reasons() == {("dropped", "line that cannot be read"): 1, ("repaired", "key made unique"): 1}
    results = write_source({"image_2/1.png": None, "label_2/1.txt": f"{LINE} 0.75\n"})
    assert kitti.FORMAT.detect(results).matches


def test_cityscapes_as_published(write_source: WriteSource, kit: SimpleNamespace, formats: Registry[Format]) -> None:
    objects = [
        {"label": "road", "polygon": [[1, 1], [5, 1], [5, 4]]},
        {"label": "cargroup", "polygon": [[1, 1], [5, 1], [5, 4]]},
        {"label": "car", "polygon": [[1, 1], [5, 1], [5, 4]], "deleted": 1},
        {"label": "car", "polygon": [[1, 1]]},
        {"polygon": [[1, 1], [5, 1], [5, 4]]},
    ]
    source = write_source(
        {
            "leftImg8bit/train/ulm/ulm_0_leftImg8bit.png": None,
            "leftImg8bit/val/bonn/bonn_0_leftImg8bit.png": None,
            "gtFine/train/ulm/ulm_0_gtFine_polygons.json": json.dumps(
                {"imgHeight": 6, "imgWidth": 8, "objects": objects}
            ),
            "gtFine/train/ulm/ulm_0_gtFine_labelIds.png": None,
        }
    )
    assert detect_format(source, formats)[0] == "cityscapes"
    result = kit.read_all(cityscapes.FORMAT, source)
    assert result.values("objects") == {
        "ulm/ulm_0": (
            Object("1", "road", Polygon.simple(TRIANGLE)),
            Object("2", "car", Polygon.simple(TRIANGLE), attributes={"crowd": True}),
        ),
        "bonn/bonn_0": None,
    }
    assert result.values("split") == {"ulm/ulm_0": "train", "bonn/bonn_0": "val"}
    assert result.reasons() == {
        ("dropped", "object without a usable shape"): 1,
        ("dropped", "object without a class"): 1,
    }


def test_cityscapes_labels_lie_in_the_folder_of_their_image(write_source: WriteSource, kit: SimpleNamespace) -> None:
    """Images of one name in two folders have their own labels, or none."""
    texts = {
        name: json.dumps({"objects": [{"label": name, "polygon": [[1, 1], [5, 1], [5, 4]]}]})
        for name in ("ulm", "bonn", "far")
    }
    images = ("train/ulm/1", "train/bonn/1", "val/jena/1", "train/ulm/2")
    files = {
        **{f"leftImg8bit/{image}_leftImg8bit.png": None for image in images},
        "gtFine/train/ulm/1_gtFine_polygons.json": texts["ulm"],
        "gtFine/train/bonn/1_gtFine_polygons.json": texts["bonn"],
        "elsewhere/2_gtFine_polygons.json": texts["far"],
    }
    result = kit.read_all(cityscapes.FORMAT, write_source(files))
    names = {key: objects and objects[0].class_name for key, objects in result.values("objects").items()}
    assert names == {"ulm/1": "ulm", "bonn/1": "bonn", "jena/1": None, "ulm/2": "far"}
    assert not result.reasons()


def feature(kind: str, coordinates: Any, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": properties}


def test_geojson_of_qupath(write_source: WriteSource, kit: SimpleNamespace, formats: Registry[Format]) -> None:
    ring = [[1, 1], [5, 1], [5, 4], [1, 1]]
    features = [
        {
            **feature("Polygon", [ring], objectType="annotation", classification={"name": "Tumor", "color": [1, 2, 3]}),
            "id": "ab-cd",
        },
        feature("MultiPolygon", [[ring], [ring, [[2, 2], [3, 2], [3, 3], [2, 2]]]], label="cell", area=2.5),
        feature("LineString", [[1, 1], [5, 1]], name="edge"),
        feature("Point", [1, 2], isLocked=False),
        feature("Polygon", [[[1, 1]]]),
        feature("Sphere", []),
        {"type": "Feature", "geometry": None, "properties": None},
    ]
    text = json.dumps({"type": "FeatureCollection", "features": features})
    source = write_source({"a/1.png": None, "a/1.geojson": text, "2.png": None, "3.geojson": text})
    assert detect_format(source, formats)[0] == "geojson"
    result = kit.read_all(geojson.FORMAT, source)
    hole = ((2.0, 2.0), (3.0, 2.0), (3.0, 3.0))
    assert result.values("objects") == {
        "a/1": (
            Object("ab-cd", "Tumor", Polygon.simple(TRIANGLE)),
            Object("2", "cell", Polygon(((TRIANGLE,), (TRIANGLE, hole))), attributes={"area": 2.5}),
            Object("3", "edge", Polyline(((1, 1), (5, 1)))),
            Object("4", "object", Points(((1, 2),))),
        ),
        "2": None,
    }
    assert result.reasons() == {
        ("dropped", "object without a usable shape"): 1,
        ("dropped", "shape of a kind that is not known"): 2,
        ("skipped", "image file missing"): 1,
    }


@pytest.mark.parametrize(
    "format", [via.FORMAT, kitti.FORMAT, cityscapes.FORMAT, geojson.FORMAT], ids=lambda format: format.name
)
def test_other_sources(format: Format, write_source: WriteSource, kit: SimpleNamespace) -> None:
    source = write_source({"1.png": None, "x.json": "[" * 10_000, "label_2/1.txt": "", "y.json": "{}"})
    assert not format.detect(source).matches
    assert not format.detect(source / "1.png").matches
    with pytest.raises(FormatError):
        kit.read_all(format, source)
