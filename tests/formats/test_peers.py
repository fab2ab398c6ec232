"""Other libraries read the same boxes from our files."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saccade.core.objects import Box, Mask, Object, Polygon
from saccade.core.registry import Registry
from saccade.core.schema import ClassInfo, Kind
from saccade.formats.base import Format, RecordStream

SIZE_WH = (80, 60)
OBJECTS = {
    "a": (Object("1", "cat", Box(10, 20, 30, 45)), Object("2", "dog", Box(0, 0, 80, 60))),
    "b": (),
    "c": (Object("1", "dog", Box(12.25, 7.5, 33.125, 59.75)),),
}


def boxes(kit: Any, **values: str) -> RecordStream:
    records = [kit.record(key, SIZE_WH, objects=objects, **values) for key, objects in OBJECTS.items()]
    stream: RecordStream = kit.dataset(records, ["cat", "dog"], **dict.fromkeys(values, Kind.TEXT))
    return stream


def found_by_supervision(dataset: Any) -> dict[str, list[tuple[str, tuple[float, ...]]]]:
    return {
        Path(path).stem: [
            (dataset.classes[number], tuple(xyxy.tolist()))
            for xyxy, number in zip(detections.xyxy, detections.class_id if len(detections) else (), strict=True)
        ]
        for path, _, detections in dataset
    }


def expected() -> dict[str, list[tuple[str, Any]]]:
    return {
        key: [(obj.class_name, pytest.approx(obj.geometry.bounds_xyxy(), abs=1e-4)) for obj in objects]
        for key, objects in OBJECTS.items()
    }


@pytest.fixture(scope="module")
def supervision() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("supervision")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["coco", "yolo", "voc"])
def test_supervision(name: str, kit: Any, formats: Registry[Format], supervision: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    values = {} if name == "coco" else {"split": "train"}
    kit.write_all(formats.get(name), boxes(kit, **values), out)
    match name:
        case "coco":
            dataset = supervision.DetectionDataset.from_coco(str(out / "images"), str(out / "annotations.json"))
        case "yolo":
            folders = str(out / "images/train"), str(out / "labels/train")
            dataset = supervision.DetectionDataset.from_yolo(*folders, str(out / "data.yaml"))
        case _:
            dataset = supervision.DetectionDataset.from_pascal_voc(str(out / "JPEGImages"), str(out / "Annotations"))
    assert found_by_supervision(dataset) == expected()


# Its compiled part does not know the copy keyword of numpy 2 yet.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_pycocotools(kit: Any, formats: Registry[Format], tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    mask = Mask(80, 60, (100, 50, 4650))
    objects = (
        Object("1", "cat", Box(10, 20, 30, 45)),
        Object("2", "dog", mask, attributes={"crowd": True}),
        Object("3", "dog", Polygon.simple([(10, 10), (30, 10), (30, 40), (10, 40)])),
    )
    reading = kit.dataset([kit.record("a", SIZE_WH, objects=objects)], [ClassInfo("cat"), ClassInfo("dog")])
    kit.write_all(formats.get("coco"), reading, tmp_path / "out")
    with contextlib.redirect_stdout(io.StringIO()):
        opened = coco.COCO(str(tmp_path / "out/annotations.json"))
    box, crowd, polygon = opened.loadAnns([1, 2, 3])
    assert [opened.cats[annotation["category_id"]]["name"] for annotation in (box, crowd, polygon)] == [
        "cat",
        "dog",
        "dog",
    ]
    assert box["bbox"] == [10, 20, 20, 25]
    assert opened.getAnnIds(iscrowd=True) == [2]
    pixels = np.zeros(60 * 80, dtype=np.uint8)
    pixels[100:150] = 1
    assert np.array_equal(opened.annToMask(crowd), pixels.reshape((60, 80), order="F"))
    assert opened.annToMask(polygon).sum() == polygon["area"] == 600
