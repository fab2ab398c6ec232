"""Labels survive the way from edits to a format and back by its reader, for all geometries that the format holds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.annotation.conftest import ANN, edit, put, write_pictures

from saccade.annotation.label_sets import LabelSets
from saccade.app.labels.exporting import export_label_set
from saccade.core.geometry_json import geometry_to_json
from saccade.core.objects import Box, Ellipse, Geometry, Keypoints, Mask, Points, Polygon, Polyline, RotatedBox
from saccade.core.report import ConversionReport
from saccade.formats.base import FORMATS
from saccade.formats.reading import read_source
from saccade.store.workspace import Workspace

EXAMPLES = settings(max_examples=int(os.environ.get("SACCADE_EXAMPLES", "10")), deadline=None)
WIDTH, HEIGHT = 24, 16
KEYS = ("a/p0", "a/p2", "a/p3")
HELD: tuple[tuple[str, dict[str, str], tuple[str, ...]], ...] = (
    ("coco", {}, ("box", "polygon", "keypoints", "mask")),
    ("yolo", {"task": "detect"}, ("box",)),
    ("yolo", {"task": "segment"}, ("polygon",)),
    ("yolo", {"task": "pose"}, ("keypoints",)),
    ("yolo", {"task": "obb"}, ("rotated_box",)),
    ("cvat", {}, ("box", "rotated_box", "polygon", "polyline", "points", "ellipse", "keypoints_only", "mask")),
    ("labelstudio", {}, ("box", "rotated_box", "polygon", "ellipse", "mask")),
)


def quarters(low: float, high: float) -> st.SearchStrategy[float]:
    return st.integers(int(low * 4), int(high * 4)).map(lambda value: value / 4)


x, y = quarters(0, WIDTH), quarters(0, HEIGHT)
point = st.tuples(x, y)
box = st.builds(
    lambda left, top, width, height: Box(left, top, left + width, top + height),
    quarters(0, 12),
    quarters(0, 8),
    quarters(1, 12),
    quarters(1, 8),
)
triple = st.lists(point, min_size=3, max_size=3, unique=True).map(tuple)
visibility = st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 2))
turned = (quarters(10, 14), quarters(7, 9), quarters(4, 6), quarters(1, 3), quarters(0.25, 1.5))
GEOMETRIES: dict[str, st.SearchStrategy[Geometry]] = {
    "box": box,
    "rotated_box": st.builds(RotatedBox, *turned),
    "polygon": box.map(lambda b: Polygon.simple([(b.x1, b.y1), (b.x2, b.y1), (b.x1, b.y2)])),
    "polyline": triple.map(Polyline),
    "points": triple.map(Points),
    "ellipse": st.builds(Ellipse, *turned),
    "keypoints": st.builds(Keypoints, triple, visibility, box),
    "keypoints_only": st.builds(Keypoints, triple, visibility),
    "mask": st.tuples(st.integers(0, 150), st.integers(1, 150)).map(
        lambda runs: Mask(WIDTH, HEIGHT, (*runs, WIDTH * HEIGHT - sum(runs)))
    ),
}


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelSets]:
    """The label set ``set`` of five pictures, with a class of three keypoints."""
    with Workspace.create(tmp_path_factory.mktemp("round-trip")) as workspace:
        write_pictures(workspace, size_wh=(WIDTH, HEIGHT))
        label_sets = LabelSets(workspace)
        label_sets.create("set", "pictures", start="empty")
        dog = label_sets.classes("set")[1]
        label_sets.put_class("set", replace(dog, keypoints=("nose", "tail", "paw"), skeleton=((0, 1), (1, 2))))
        yield label_sets


def numbers(value: Any) -> Any:
    """Return a geometry as JSON whose numbers are compared approximately: some formats store shares of the image."""
    if isinstance(value, dict):
        return {name: numbers(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [numbers(entry) for entry in value]
    return pytest.approx(value, abs=1e-4) if isinstance(value, float) else value


@pytest.mark.parametrize(
    ("format", "options", "kind"), [(name, options, kind) for name, options, kinds in HELD for kind in kinds]
)
@EXAMPLES
@given(data=st.data())
def test_geometries_survive(
    sets: LabelSets,
    tmp_path_factory: pytest.TempPathFactory,
    format: str,
    options: dict[str, str],
    kind: str,
    data: st.DataObject,
) -> None:
    label_class = "c2" if kind.startswith("keypoints") else "c1"
    expected = {}
    for number, key in enumerate(KEYS):
        first, last = (geometry_to_json(data.draw(GEOMETRIES[kind])) for _ in range(2))
        old = [edit(key, "delete", obj.id) for obj in sets.objects("set", [key])[key].objects]
        edits = [*old, put(key, str(number), label_class, geometry=first)]
        edits += [edit(key, "patch", str(number), {"geometry": last}), put(key, "gone", "c1")]
        edits += [edit(key, "delete", "gone")]
        results, _ = sets.apply("set", edits, ANN)
        assert not [result for result in results if result.status == "refused"]
        expected[key] = last
    folder = tmp_path_factory.mktemp("export") / "out"
    export_label_set(sets, "set", folder, format, options=options)
    stream = read_source(FORMATS.get(format), folder, ConversionReport())
    read = {record.key: record.values["objects"] for record in stream.records}
    shutil.rmtree(folder)
    names = {"c1": "cat", "c2": "dog"}
    for key, geometry in expected.items():
        (obj,) = read[key]
        assert obj.class_name == names[label_class]
        assert geometry_to_json(obj.geometry) == numbers(geometry), key
    assert {key: value for key, value in read.items() if key not in KEYS and value is not None} == {}
