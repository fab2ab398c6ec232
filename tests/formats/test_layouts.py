"""Layouts of other tools that no other test reads as a whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tests.support.video_clips import make_clip

from saccade.core.geometry import mask_from_array
from saccade.core.objects import Box, Object, Polygon
from saccade.core.registry import Registry
from saccade.formats.base import FORMATS, Format
from saccade.formats.detect import detect_format

Files = dict[str, str | bytes | None]
WriteSource = Callable[[Mapping[str, str | bytes | None]], Path]

TRIANGLE = ((1.0, 1.0), (5.0, 1.0), (5.0, 4.0))
CAT = Object("1", "cat", Box(1, 1, 5, 4))
OUTLINE = Object("1", "cat", Polygon.simple(TRIANGLE))


def _coco_of_roboflow() -> Files:
    """Roboflow writes a category for the whole project, which no object has."""
    categories = [
        {"id": 0, "name": "pets", "supercategory": "none"},
        {"id": 1, "name": "cat", "supercategory": "pets"},
    ]
    image = {"id": 0, "license": 1, "file_name": "a_png.rf.0a1b.png", "height": 6, "width": 8}
    box = {"id": 1, "image_id": 0, "category_id": 1, "bbox": [1, 1, 4, 3], "area": 12, "segmentation": [], "iscrowd": 0}
    data = {"info": {}, "licenses": [], "categories": categories, "images": [image], "annotations": [box]}
    files: Files = {}
    for split in ("train", "valid"):
        name = str(image["file_name"]).replace("a_", f"{split}_")
        files[f"{split}/_annotations.coco.json"] = json.dumps({**data, "images": [{**image, "file_name": name}]})
        files[f"{split}/{name}"] = None
    return files


def _voc_devkit() -> Files:
    box = "<bndbox><xmin>2</xmin><ymin>2</ymin><xmax>5</xmax><ymax>4</ymax></bndbox>"
    xml = f"<annotation><filename>a.png</filename><object><name>cat</name>{box}</object></annotation>"
    root = "VOCdevkit/VOC2007"
    lists = {f"{root}/ImageSets/Main/train.txt": "a\n", f"{root}/ImageSets/Main/val.txt": "b\n"}
    images = dict.fromkeys((f"{root}/JPEGImages/a.png", f"{root}/JPEGImages/b.png"))
    return {
        f"{root}/Annotations/a.xml": xml,
        f"{root}/Annotations/b.xml": xml.replace("a.png", "b.png"),
        **lists,
        **images,
    }


def _label_studio_completions() -> Files:
    """Versions before 1.0 call annotations completions."""
    value = {"x": 12.5, "y": 100 / 6, "width": 50, "height": 50, "rotation": 0, "rectanglelabels": ["cat"]}
    region = {"id": "1", "type": "rectanglelabels", "from_name": "l", "to_name": "i", "value": value}
    task = {"id": 1, "data": {"image": "/data/upload/a.png"}, "completions": [{"id": 1, "result": [region]}]}
    return {"result.json": json.dumps([task]), "a.png": None}


def _cityscapes_coarse() -> Files:
    data = {"imgHeight": 6, "imgWidth": 8, "objects": [{"label": "cat", "polygon": TRIANGLE}]}
    return {
        "leftImg8bit/train_extra/ulm/ulm_0_leftImg8bit.png": None,
        "gtCoarse/train_extra/ulm/ulm_0_gtCoarse_polygons.json": json.dumps(data),
    }


def _geojson_of_old_qupath() -> Files:
    geometry = {"type": "Polygon", "coordinates": [[*TRIANGLE, TRIANGLE[0]]]}
    feature = {"type": "Feature", "geometry": geometry, "properties": {"classification": {"name": "cat"}}}
    return {"a.png": None, "a.json": json.dumps([feature])}


def _kitti_in_images_and_labels() -> Files:
    line = "cat -1 -1 -10 1 1 5 4 -1 -1 -1 -1000 -1000 -1000 -10\n"
    return {"images/a.png": None, "labels/a.txt": line}


@pytest.mark.parametrize(
    ("files", "name", "expected", "splits"),
    [
        (_coco_of_roboflow(), "coco", [CAT, CAT], {"train", "valid"}),
        (_voc_devkit(), "voc", [CAT, CAT], {"train", "val"}),
        (_label_studio_completions(), "labelstudio", [CAT], {None}),
        (_cityscapes_coarse(), "cityscapes", [OUTLINE], {"train_extra"}),
        (_geojson_of_old_qupath(), "geojson", [OUTLINE], {None}),
        (_kitti_in_images_and_labels(), "kitti", [CAT], {None}),
    ],
    ids=["coco of roboflow", "voc devkit", "completions", "gtCoarse", "list of features", "kitti images and labels"],
)
def test_layouts(
    files: Files,
    name: str,
    expected: list[Object],
    splits: set[str | None],
    write_source: WriteSource,
    kit: SimpleNamespace,
    formats: Registry[Format],
) -> None:
    source = write_source(files)
    assert detect_format(source, formats)[0] == name
    result = kit.read_all(FORMATS.get(name), source)
    objects = [obj for objects in result.values("objects").values() for obj in objects]
    assert [(obj.id, obj.class_name, obj.geometry.type) for obj in objects] == [
        (obj.id, obj.class_name, obj.geometry.type) for obj in expected
    ]
    for obj, expected_obj in zip(objects, expected, strict=True):
        assert obj.geometry.bounds_xyxy() == pytest.approx(expected_obj.geometry.bounds_xyxy())
    assert set(result.values("split").values()) == splits
    assert {action for action, _ in result.reasons()} <= {"warning", "inferred"}


def test_cvat_beside_the_video(write_source: WriteSource, kit: SimpleNamespace) -> None:
    box = '<box frame="{}" keyframe="1" outside="{}" occluded="0" xtl="{}" ytl="1" xbr="{}" ybr="4"/>'
    shapes = box.format(0, 0, 1, 5) + box.format(4, 0, 5, 9) + box.format(5, 1, 5, 9)
    meta = "<meta><task><mode>interpolation</mode><source>clip.mp4</source></task></meta>"
    track = f'<track id="7" label="cat">{shapes}</track>'
    source = write_source({"annotations.xml": f"<annotations><version>1.1</version>{meta}{track}</annotations>"})
    make_clip(source / "clip.mp4", 6)
    result = kit.read_all(FORMATS.get("cvat"), source)
    objects_by_frame = result.values("objects")
    lefts = {key: [obj.geometry.bounds_xyxy()[0] for obj in objects] for key, objects in objects_by_frame.items()}
    assert lefts == {f"clip/{frame:06}": [frame + 1.0] if frame < 5 else [] for frame in range(6)}
    assert {obj.track for objects in objects_by_frame.values() for obj in objects} == {"7"}
    assert {record.frame for record in result.records.values()} == set(range(6))


def test_panoptic_pngs_beside_the_json(write_source: WriteSource, kit: SimpleNamespace) -> None:
    numbers = np.zeros((6, 8, 3), np.uint8)
    numbers[2:4, 1:5, 0] = 9
    png = BytesIO()
    Image.fromarray(numbers).save(png, "PNG")
    annotation = {"image_id": 1, "file_name": "a.png", "segments_info": [{"id": 9, "category_id": 1}]}
    data = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [annotation],
        "categories": [{"id": 1, "name": "cat"}],
    }
    photo = BytesIO()
    Image.new("RGB", (8, 6)).save(photo, "JPEG")
    files: Files = {
        "annotations/panoptic.json": json.dumps(data),
        "annotations/a.png": png.getvalue(),
        "images/a.jpg": photo.getvalue(),
    }
    result = kit.read_all(FORMATS.get("panoptic"), write_source(files))
    assert result.values("objects") == {"a": (Object("9", "cat", mask_from_array(numbers[..., 0] == 9)),)}
