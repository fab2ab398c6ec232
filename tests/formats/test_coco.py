"""COCO: the documented format, real files and hostile files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from saccade.core.errors import FormatError
from saccade.core.objects import Box, Ellipse, Keypoints, Mask, Object, Points, Polygon, Polyline, RotatedBox
from saccade.core.schema import ClassInfo, Kind
from saccade.formats.coco import FORMAT

WriteSource = Callable[[Mapping[str, str | bytes | None]], Path]

IMAGE = {"id": 1, "file_name": "1.png", "width": 8, "height": 6}


def source_files(*annotations: dict[str, Any], **more: Any) -> dict[str, str | bytes | None]:
    """Return the files of a source of one image with these annotations."""
    rows = [
        {"id": number, "image_id": 1, "category_id": 1, **annotation}
        for number, annotation in enumerate(annotations, 1)
    ]
    data = {"images": [IMAGE], "categories": [{"id": 1, "name": "cup"}], "annotations": rows, **more}
    return {"annotations.json": json.dumps(data), "images/1.png": None}


def test_golden_file(golden: Path, write_source: WriteSource, kit: Any) -> None:
    """The file in tests/golden, value by value."""
    text = (golden / "coco/annotations/instances_train2017.json").read_text()
    result = kit.read_all(
        FORMAT,
        write_source({"annotations/instances_train2017.json": text, "train2017/a.png": None, "train2017/b.png": None}),
    )
    assert result.schema.names == ("image", "objects", "split", "metadata")
    assert result.schema["objects"].classes == (
        ClassInfo("cup", "kitchen"),
        ClassInfo("person", None, None, ("nose", "hand", "foot"), ((0, 1), (1, 2))),
    )
    first = result.records["a"]
    assert (first.media.path.name, first.size_wh, first.values["split"]) == ("a.png", (8, 6), "train")
    assert first.values["metadata"] == {"camera": "left"}
    assert first.values["objects"] == (
        Object("1", "cup", Box(1, 2, 4, 5.5)),
        Object("2", "cup", Polygon((((((0, 0), (4, 0), (4, 3))),), (((5, 3), (8, 3), (8, 6), (5, 6)),)))),
        Object("3", "person", Mask(8, 6, (1, 4, 3, 2, 38)), attributes={"crowd": True}),
        Object("4", "person", Keypoints(((2.5, 1.5), (5, 4), (0, 0)), (2, 1, 0), Box(2, 1, 6, 5), 9.0)),
    )
    assert result.records["b"].values["objects"] == ()
    assert result.reasons() == {
        ("warning", "field of the file"): 2,
        ("warning", "category that is its own supercategory"): 1,
        ("warning", "field of images"): 4,
        ("dropped", "segmentation of an object with keypoints"): 1,
        ("inferred", "image without annotations taken as reviewed and empty"): 1,
    }


def test_descriptive_fields_of_a_file_are_no_loss(write_source: WriteSource, kit: Any) -> None:
    files = source_files({"bbox": [1, 1, 2, 2]}, info={"year": 2024}, licenses=[{"id": 1}], scenes=[{"id": 1}])
    findings = [
        (finding.action, finding.detail)
        for finding in kit.read_all(FORMAT, write_source(files)).report
        if finding.reason == "field of the file"
    ]
    assert sorted(findings) == [
        ("dropped", "'scenes' of annotations.json"),
        ("warning", "'info' of annotations.json"),
        ("warning", "'licenses' of annotations.json"),
    ]


def test_compressed_masks_match_pycocotools(write_source: WriteSource, kit: Any) -> None:
    masks = pytest.importorskip("pycocotools.mask")
    counts = (3, 2, 0, 1, 30, 10, 2)
    rle = masks.frPyObjects({"size": [6, 8], "counts": list(counts)}, 6, 8)
    row = {"segmentation": {"size": [6, 8], "counts": rle["counts"].decode()}}
    (obj,) = kit.read_all(FORMAT, write_source(source_files(row))).records["1"].values["objects"]
    assert obj.geometry == Mask(8, 6, counts)


@pytest.mark.parametrize(
    ("row", "finding", "box"),
    [
        ({"bbox": [1, 1, -2, 2]}, ("dropped", "box with negative size"), None),
        ({"bbox": [1, 1, 0, 2]}, ("dropped", "box without area"), None),
        ({"bbox": [float("nan"), 1, 2, 2]}, ("dropped", "box with numbers that are not finite"), None),
        ({"bbox": [1, 1, 10**400, 2]}, ("dropped", "box with numbers that are not finite"), None),
        ({"bbox": ["1", 1, 2, None]}, ("dropped", "box with numbers that are not finite"), None),
        ({"bbox": [20, 1, 2, 2]}, ("dropped", "box outside the image"), None),
        ({"bbox": [6, -1, 4, 4]}, ("clipped", "box over the edge of the image"), (6, 0, 8, 3)),
        ({"bbox": [1, 2, 3]}, ("dropped", "object without a usable shape"), None),
        ({}, ("dropped", "object without a usable shape"), None),
        ({"bbox": [1, 1, 2, 2], "category_id": 5}, ("dropped", "annotation of an unknown category"), None),
        ({"bbox": [1, 1, 2, 2], "category_id": []}, ("dropped", "annotation of an unknown category"), None),
        ({"bbox": [1, 1, 2, 2], "image_id": 5}, ("dropped", "annotation of an unknown image"), None),
        ({"bbox": [1, 1, 2, 2], "score": "high"}, ("dropped", "score that is not a finite number"), (1, 1, 3, 3)),
        ({"bbox": [1, 1, 2, 2], "area": 1}, ("dropped", "area that is not that of the box"), (1, 1, 3, 3)),
        ({"bbox": [1, 1, 2, 2], "colour": 1}, ("dropped", "field of annotations"), (1, 1, 3, 3)),
        (
            {"bbox": [1, 1, 2, 2], "attributes": {"a": [1]}},
            ("dropped", "attribute that is not text, a number or a boolean"),
            (1, 1, 3, 3),
        ),
        ({"bbox": [1, 1, 2, 2], "segmentation": [[1, 1, 2]]}, ("dropped", "polygon that cannot be read"), (1, 1, 3, 3)),
        (
            {"bbox": [1, 1, 2, 2], "segmentation": [[1, 1, 2, 2]]},
            ("dropped", "polygon of fewer than three points"),
            (1, 1, 3, 3),
        ),
        (
            {"bbox": [1, 1, 2, 2], "segmentation": {"size": [6, 8], "counts": [1]}},
            ("dropped", "mask that cannot be read"),
            (1, 1, 3, 3),
        ),
        (
            {"bbox": [1, 1, 2, 2], "segmentation": {"size": [6, 8], "counts": "é"}},
            ("dropped", "mask that cannot be read"),
            (1, 1, 3, 3),
        ),
        ({"segmentation": [[1, 1, 3, 1, 5, 1]]}, ("dropped", "shape without area"), None),
        (
            {"bbox": [1, 1, 2, 2], "segmentation": [[1, 1, 6, 1, 6, 5]]},
            ("warning", "box and shape disagree"),
            (1, 1, 6, 5),
        ),
        ({"segmentation": [[1, 1, 9, 1, 6, 5]]}, ("warning", "shape over the edge of the image"), (1, 1, 9, 5)),
        (
            {"segmentation": [[1, 1, 6, 1, 6, 5, 1, 1]]},
            ("repaired", "closing point of a polygon left out"),
            (1, 1, 6, 5),
        ),
        (
            {"segmentation": {"size": [2, 2], "counts": [0, 4]}},
            ("dropped", "mask of another size than its image"),
            None,
        ),
        (
            {"segmentation": {"size": [3, 4], "counts": [0, 3, 9]}},
            ("repaired", "mask of another size than its image, turned or scaled to it"),
            (0, 0, 2, 6),
        ),
        ({"keypoints": [1, 1], "bbox": [1, 1, 2, 2]}, ("dropped", "keypoints that cannot be read"), (1, 1, 3, 3)),
        (
            {"keypoints": [1, 1, 7], "bbox": [1, 1, 2, 2]},
            ("repaired", "visibility that is not 0, 1 or 2 taken as visible"),
            (1, 1, 3, 3),
        ),
    ],
)
def test_bad_annotations(
    row: dict[str, Any], finding: tuple[str, str], box: tuple[float, ...] | None, write_source: WriteSource, kit: Any
) -> None:
    good = {"bbox": [0, 0, 1, 1]}
    result = kit.read_all(FORMAT, write_source(source_files(good, row)))
    objects = result.records["1"].values["objects"]
    assert finding in result.reasons()
    assert objects[0] == Object("1", "cup", Box(0, 0, 1, 1))
    assert [obj.geometry.bounds_xyxy() for obj in objects[1:]] == ([] if box is None else [box])


def test_duplicate_ids(write_source: WriteSource, kit: Any) -> None:
    files = source_files({"bbox": [0, 0, 1, 1]}, {"bbox": [1, 1, 1, 1], "id": 1})
    data = json.loads(str(files["annotations.json"]))
    data["images"] += [IMAGE, {**IMAGE, "file_name": "2.png"}]
    data["categories"] += [{"id": 1, "name": "plate"}, {"id": 2, "name": "cup"}, {"name": "x"}, {"id": 3}]
    result = kit.read_all(FORMAT, write_source({**files, "annotations.json": json.dumps(data)}))
    assert [obj.id for obj in result.records["1"].values["objects"]] == ["1", "1-2"]
    assert result.schema["objects"].class_names == ("cup",)
    assert result.reasons() == {
        ("dropped", "category id used twice"): 1,
        ("repaired", "categories of the same name merged"): 1,
        ("dropped", "category without a name or id"): 2,
        ("dropped", "image id used twice"): 1,
        ("skipped", "image id used twice"): 1,
        ("warning", "annotation id used twice"): 1,
        ("repaired", "id of an object made unique"): 1,
    }


def test_invalid_unicode(write_source: WriteSource, kit: Any) -> None:
    files = source_files(
        {"bbox": [0, 0, 1, 1], "attributes": {"\ud83d\ude00": "\udc00"}}, categories=[{"id": 1, "name": "a\ud800"}]
    )
    result = kit.read_all(FORMAT, write_source(files))
    assert result.records["1"].values["objects"] == (
        Object("1", "a\ufffd", Box(0, 0, 1, 1), attributes={"\U0001f600": "\ufffd"}),
    )
    assert result.reasons() == {("repaired", "text that is not Unicode"): 1}


def test_names_never_leave_the_source(write_source: WriteSource, kit: Any, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(kit.png())
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "5.png").write_bytes(kit.png())
    names = [
        "../secret.png",
        str(tmp_path / "secret.png"),
        "C:\\secret.png",
        "link.png",
        "far/5.png",
        "a\x00.png",
        "x.png",
    ]
    rows = [{"id": at, "file_name": name, "width": 8, "height": 6} for at, name in enumerate([*names, "sub\\1.png"])]
    source = write_source({"a.json": json.dumps({"images": rows, "annotations": []}), "images/sub/1.png": None})
    (source / "images" / "link.png").symlink_to(tmp_path / "secret.png")
    (source / "images" / "far").symlink_to(tmp_path / "elsewhere")
    (source / "images" / "loop").symlink_to(source)
    for options in ({}, {"media": "optional"}):
        result = kit.read_all(FORMAT, source, **options)
        assert set(result.records) - {"x"} == {"sub/1"}
        reasons = result.reasons()
        assert reasons["skipped", "file name that leads outside the source"] == 3
        assert reasons["skipped", "link that leads outside the source"] == 4
        assert reasons["skipped", "name with control characters"] == 1
    assert ("skipped", "image file missing") not in reasons
    assert reasons["warning", "image file missing"] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"images": [}, "annotations": []}', "is not valid JSON"),
        ('{"images": ' + "[" * 200_000 + ', "annotations": []}', "nested too deeply"),
        ('{"images": 5, "annotations": []}', "has no list of images"),
        (b'{"images": [], "annotations": "\xff"}', "is not UTF-8: byte 0xff at position 31"),
        ("[]", "no COCO annotation file"),
        ("", "no COCO annotation file"),
    ],
)
def test_unreadable_files(text: str | bytes, message: str, write_source: WriteSource, kit: Any) -> None:
    with pytest.raises(FormatError, match=message):
        kit.read_all(FORMAT, write_source({"annotations.json": text}))


def test_options(write_source: WriteSource, kit: Any, tmp_path: Path) -> None:
    source = write_source({**source_files(), "images/2.png": None})
    with pytest.raises(FormatError, match=r"no option 'imagesdir'.*images_dir"):
        kit.read_all(FORMAT, source, imagesdir="x")
    with pytest.raises(FormatError, match="may not be 'some'"):
        kit.read_all(FORMAT, source, media="some")
    alone = tmp_path / "alone.json"
    alone.write_text((source / "annotations.json").read_text())
    result = kit.read_all(FORMAT, alone, images_dir=source / "images")
    assert result.records["1"].media.path == source / "images" / "1.png"
    assert result.reasons()["warning", "image files without an entry"] == 1


def test_multiple_files(write_source: WriteSource, kit: Any) -> None:
    """Each image of each split is a record; captions are skipped; keys that collide get their split as a prefix."""

    def text(name: str) -> str:
        rows = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]}]
        return json.dumps({"images": [IMAGE], "annotations": rows, "categories": [{"id": 1, "name": name}]})

    result = kit.read_all(
        FORMAT,
        write_source(
            {
                "annotations/instances_train2017.json": text("cup"),
                "annotations/instances_val2017.json": text("plate"),
                "annotations/captions_val2017.json": text("x"),
                "annotations/person_keypoints_val2017.json": text("x"),
                "train2017/1.png": None,
                "val2017/1.png": None,
            }
        ),
    )
    assert result.values("split") == {"1": "train", "val/1": "val"}
    assert [result.values("objects")[key][0].class_name for key in ("1", "val/1")] == ["cup", "plate"]
    assert result.total == 2
    assert result.reasons()["dropped", "file that may contain labels and was not read"] == 2
    assert result.reasons()["repaired", "key made unique"] == 1


SHAPES: tuple[tuple[Object, str | None], ...] = (
    (Object("1", "cup", Box(0.1, 0.2, 0.30000000000000004, 5.9)), None),
    (Object("x", "cup", Box(1, 1, 2, 2)), None),
    (Object("1", "cup", Polygon((((((0, 0), (4, 0), (4, 3))),), (((5, 3), (8, 3), (8, 6)),)))), None),
    (
        Object(
            "2", "cup", Polygon.simple([(0, 0), (4, 0.5), (4, 3)]), 0.5, "t1", {"colour": "red", "n": 3, "ok": False}
        ),
        None,
    ),
    (Object("3", "cup", Mask(8, 6, (0, 4, 44)), attributes={"crowd": True}), None),
    (Object("4", "person", Keypoints(((1, 2), (3, 4)), (2, 0))), None),
    (Object("5", "person", Keypoints(((1, 2), (3, 4)), (2, 0), Box(0, 0, 5, 5), 7.5)), None),
    (Object("6", "cup", RotatedBox(4, 3, 2, 1, 30)), "angle of a rotated box, written as a polygon"),
    (Object("7", "cup", Ellipse(4, 3, 2, 1, 30)), "roundness of an ellipse, written as a polygon"),
    (Object("8", "cup", Polyline(((0, 0), (1, 1)))), "polyline, for which COCO has no field"),
    (Object("9", "cup", Points(((0, 0),))), "points, for which COCO has no field"),
)


@pytest.mark.parametrize(("obj", "lost"), SHAPES)
def test_write_shapes(obj: Object, lost: str | None, kit: Any, tmp_path: Path) -> None:
    classes = (ClassInfo("cup", color="#102030"), ClassInfo("person", "animal", None, ("a", "b"), ((0, 1),)))
    report = kit.write_all(FORMAT, kit.dataset([kit.record("k", objects=(obj,))], classes), tmp_path / "out")
    result = kit.read_all(FORMAT, tmp_path / "out")
    assert result.schema["objects"].classes == classes
    assert [finding.reason for finding in report] == ([lost] if lost else [])
    if not lost:
        assert result.records["k"].values["objects"] == (obj,)
        assert len(result.report) == 0


def test_polygon_with_holes_becomes_a_mask(kit: Any, tmp_path: Path) -> None:
    ring, hole = ((1, 1), (7, 1), (7, 5), (1, 5)), ((3, 2), (5, 2), (5, 4), (3, 4))
    original = Object("1", "cup", Polygon(((ring, hole),)))
    report = kit.write_all(FORMAT, kit.dataset([kit.record("k", objects=(original,))], ["cup"]), tmp_path / "out")
    (obj,) = kit.read_all(FORMAT, tmp_path / "out").records["k"].values["objects"]
    assert isinstance(obj.geometry, Mask)
    assert obj.geometry.area() == original.geometry.area() == 20
    assert obj.geometry.bounds_xyxy() == original.geometry.bounds_xyxy()
    assert [finding.reason for finding in report] == ["polygon with holes written as a mask of whole pixels"]


def test_losses_are_reported(kit: Any, tmp_path: Path) -> None:
    records = [
        kit.record("a", objects=None, caption="hello", split="train"),
        kit.record("b", objects=(), caption=None, split=None, metadata={"camera": 1, "id": 5, "bad": float("nan")}),
    ]
    more = {"caption": Kind.TEXT, "split": Kind.TEXT, "metadata": Kind.TABLE}
    report = kit.write_all(FORMAT, kit.dataset(records, ["cup"], **more), tmp_path / "out")
    assert {(f.reason, f.key, f.detail.split(":")[0]) for f in report} == {
        ("'not labelled yet', which only Saccade reads back", "a", ""),
        ("metadata that cannot be written", "b", "id"),
        ("metadata that cannot be written", "b", "bad"),
        ("column that the format does not support", "", "'caption' with 1 value"),
    }
    result = kit.read_all(FORMAT, tmp_path / "out")
    assert result.values("objects") == {"a": None, "b": ()}
    assert result.values("split") == {"a": "train", "b": None}
    assert result.values("metadata") == {"a": None, "b": {"camera": 1}}
    assert len(result.report) == 0


def test_unreadable_media(kit: Any, tmp_path: Path) -> None:
    from saccade.formats.base import LocalFile, Record

    records = [
        Record("gone", LocalFile(tmp_path / "gone.png"), {"objects": ()}, (8, 6)),
        Record("text", kit.InMemory(b"hello", "a.txt"), {"objects": ()}, (8, 6)),
        Record("unnamed", kit.InMemory(kit.png(), "blob"), {"objects": ()}, (8, 6)),
        Record("none", None, {"objects": ()}, (8, 6)),
    ]
    report = kit.write_all(FORMAT, kit.dataset(records), tmp_path / "out")
    assert [(finding.action, finding.key) for finding in report] == [
        ("skipped", "gone"),
        ("skipped", "text"),
        ("warning", "none"),
    ]
    assert set(kit.read_all(FORMAT, tmp_path / "out", media="optional").records) == {"unnamed", "none"}
    assert (tmp_path / "out/images/unnamed.png").read_bytes() == kit.png()


def test_real_ground_truth(shared_data: Path, kit: Any) -> None:
    result = kit.read_all(FORMAT, shared_data / "coco-eval" / "instances_val2014_100.json", media="optional")
    objects = [obj for image_objects in result.values("objects").values() for obj in image_objects]
    assert (len(result.records), len(objects), len(result.schema["objects"].classes)) == (100, 839, 80)
    assert sum(obj.is_crowd for obj in objects) == 9
    assert sum(isinstance(obj.geometry, Mask) for obj in objects) == 9
    assert set(result.values("split").values()) == {"val"}
    assert all(record.media is None for record in result.records.values())
    assert result.reasons()["warning", "image file missing"] == 100


def test_real_masks_round_trip(shared_data: Path, kit: Any, tmp_path: Path) -> None:
    source = shared_data / "coco-eval" / "instances_val2014_100.json"
    first = kit.read_all(FORMAT, source, media="optional")
    reading = FORMAT.read(source, first.report, media="optional")
    kit.write_all(FORMAT, reading, tmp_path / "out")
    result = kit.read_all(FORMAT, tmp_path / "out", media="optional")
    assert result.values("objects") == first.values("objects")
    assert result.schema == first.schema


@pytest.mark.parametrize("name", ["instances_default", "person_keypoints_default"])
def test_the_default_subset_is_no_split(name: str, write_source: WriteSource, kit: Any) -> None:
    files = source_files({"bbox": [0, 0, 1, 1]})
    data = files.pop("annotations.json")
    result = kit.read_all(FORMAT, write_source({**files, f"annotations/{name}.json": data}))
    assert "split" not in result.schema
    assert len(result.records) == 1
