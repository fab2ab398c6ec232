"""COCO: what its documentation says, and what real and hostile files hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from saccade.core.errors import FormatError
from saccade.core.objects import Box, Ellipse, Keypoints, Mask, Object, Points, Polygon, Polyline, RotatedBox
from saccade.core.schema import ClassInfo, Kind
from saccade.formats.coco import FORMAT, read_results

Lay = Callable[[Mapping[str, str | bytes | None]], Path]

IMAGE = {"id": 1, "file_name": "1.png", "width": 8, "height": 6}


def one(*annotations: dict[str, Any], **more: Any) -> dict[str, str | bytes | None]:
    """A source of one image with these annotations."""
    rows = [{"id": at, "image_id": 1, "category_id": 1, **each} for at, each in enumerate(annotations, 1)]
    data = {"images": [IMAGE], "categories": [{"id": 1, "name": "cup"}], "annotations": rows, **more}
    return {"annotations.json": json.dumps(data), "images/1.png": None}


def test_by_hand(golden: Path, lay: Lay, kit: Any) -> None:
    """The file in tests/golden, value by value."""
    text = (golden / "coco/annotations/instances_train2017.json").read_text()
    found = kit.read_all(
        FORMAT, lay({"annotations/instances_train2017.json": text, "train2017/a.png": None, "train2017/b.png": None})
    )
    assert found.schema.names == ("image", "objects", "split", "metadata")
    assert found.schema["objects"].classes == (
        ClassInfo("cup", "kitchen"),
        ClassInfo("person", None, None, ("nose", "hand", "foot"), ((0, 1), (1, 2))),
    )
    first = found.records["a"]
    assert (first.media.path.name, first.size_wh, first.values["split"]) == ("a.png", (8, 6), "train")
    assert first.values["metadata"] == {"camera": "left"}
    assert first.values["objects"] == (
        Object("1", "cup", Box(1, 2, 4, 5.5)),
        Object("2", "cup", Polygon((((((0, 0), (4, 0), (4, 3))),), (((5, 3), (8, 3), (8, 6), (5, 6)),)))),
        Object("3", "person", Mask(8, 6, (1, 4, 3, 2, 38)), attributes={"crowd": True}),
        Object("4", "person", Keypoints(((2.5, 1.5), (5, 4), (0, 0)), (2, 1, 0), Box(2, 1, 6, 5), 9.0)),
    )
    assert found.records["b"].values["objects"] == ()
    assert found.reasons() == {
        ("dropped", "field of the file"): 2,
        ("dropped", "category that is its own supercategory"): 1,
        ("dropped", "field of images"): 4,
        ("dropped", "segmentation of an object with keypoints"): 1,
        ("guessed", "image without annotations taken as reviewed and empty"): 1,
    }


def test_compressed_masks_are_those_of_pycocotools(lay: Lay, kit: Any) -> None:
    masks = pytest.importorskip("pycocotools.mask")
    counts = (3, 2, 0, 1, 30, 10, 2)
    rle = masks.frPyObjects({"size": [6, 8], "counts": list(counts)}, 6, 8)
    row = {"segmentation": {"size": [6, 8], "counts": rle["counts"].decode()}}
    (made,) = kit.read_all(FORMAT, lay(one(row))).records["1"].values["objects"]
    assert made.geometry == Mask(8, 6, counts)


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
            ("dropped", "attribute that is no text, number or truth value"),
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
            ("noticed", "box and shape disagree"),
            (1, 1, 6, 5),
        ),
        ({"segmentation": [[1, 1, 9, 1, 6, 5]]}, ("noticed", "shape over the edge of the image"), (1, 1, 9, 5)),
        (
            {"segmentation": [[1, 1, 6, 1, 6, 5, 1, 1]]},
            ("repaired", "closing point of a polygon left out"),
            (1, 1, 6, 5),
        ),
        (
            {"segmentation": {"size": [2, 2], "counts": [0, 4]}},
            ("noticed", "mask of another size than the image"),
            (0, 0, 2, 2),
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
    row: dict[str, Any], finding: tuple[str, str], box: tuple[float, ...] | None, lay: Lay, kit: Any
) -> None:
    good = {"bbox": [0, 0, 1, 1]}
    found = kit.read_all(FORMAT, lay(one(good, row)))
    objects = found.records["1"].values["objects"]
    assert finding in found.reasons()
    assert objects[0] == Object("1", "cup", Box(0, 0, 1, 1))
    assert [made.geometry.bounds_xyxy() for made in objects[1:]] == ([] if box is None else [box])


def test_ids_used_twice(lay: Lay, kit: Any) -> None:
    files = one({"bbox": [0, 0, 1, 1]}, {"bbox": [1, 1, 1, 1], "id": 1})
    data = json.loads(str(files["annotations.json"]))
    data["images"] += [IMAGE, {**IMAGE, "file_name": "2.png"}]
    data["categories"] += [{"id": 1, "name": "plate"}, {"id": 2, "name": "cup"}, {"name": "x"}, {"id": 3}]
    found = kit.read_all(FORMAT, lay({**files, "annotations.json": json.dumps(data)}))
    assert [made.id for made in found.records["1"].values["objects"]] == ["1", "1-2"]
    assert found.schema["objects"].class_names == ("cup",)
    assert found.reasons() == {
        ("dropped", "category id used twice"): 1,
        ("repaired", "categories of the same name merged"): 1,
        ("dropped", "category without a name or id"): 2,
        ("dropped", "image id used twice"): 1,
        ("set_aside", "image id used twice"): 1,
        ("noticed", "annotation id used twice"): 1,
        ("repaired", "id of an object made unique"): 1,
    }


def test_text_that_is_not_unicode(lay: Lay, kit: Any) -> None:
    files = one(
        {"bbox": [0, 0, 1, 1], "attributes": {"\ud83d\ude00": "\udc00"}}, categories=[{"id": 1, "name": "a\ud800"}]
    )
    found = kit.read_all(FORMAT, lay(files))
    assert found.records["1"].values["objects"] == (
        Object("1", "a\ufffd", Box(0, 0, 1, 1), attributes={"\U0001f600": "\ufffd"}),
    )
    assert found.reasons() == {("repaired", "text that is not Unicode"): 1}


def test_names_never_lead_outside(lay: Lay, kit: Any, tmp_path: Path) -> None:
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
    source = lay({"a.json": json.dumps({"images": rows, "annotations": []}), "images/sub/1.png": None})
    (source / "images" / "link.png").symlink_to(tmp_path / "secret.png")
    (source / "images" / "far").symlink_to(tmp_path / "elsewhere")
    (source / "images" / "loop").symlink_to(source)
    for options in ({}, {"media": "optional"}):
        found = kit.read_all(FORMAT, source, **options)
        assert set(found.records) - {"x"} == {"sub/1"}
        reasons = found.reasons()
        assert reasons["set_aside", "file name that leads outside the source"] == 3
        assert reasons["set_aside", "link that leads outside the source"] == 4
        assert reasons["set_aside", "name with control characters"] == 1
    assert ("set_aside", "image file missing") not in reasons
    assert reasons["noticed", "image file missing"] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"images": [}, "annotations": []}', "is not JSON that can be read"),
        ('{"images": ' + "[" * 200_000 + ', "annotations": []}', "nested too deep"),
        ('{"images": 5, "annotations": []}', "has no list of images"),
        (b'{"images": [], "annotations": "\xff"}', "is not JSON that can be read"),
        ("[]", "no COCO annotation file"),
        ("", "no COCO annotation file"),
    ],
)
def test_files_that_cannot_be_read(text: str | bytes, message: str, lay: Lay, kit: Any) -> None:
    with pytest.raises(FormatError, match=message):
        kit.read_all(FORMAT, lay({"annotations.json": text}))


def test_options(lay: Lay, kit: Any, tmp_path: Path) -> None:
    source = lay({**one(), "images/2.png": None})
    with pytest.raises(FormatError, match=r"no option 'imagesdir'.*images_dir"):
        kit.read_all(FORMAT, source, imagesdir="x")
    with pytest.raises(FormatError, match="may not be 'some'"):
        kit.read_all(FORMAT, source, media="some")
    alone = tmp_path / "alone.json"
    alone.write_text((source / "annotations.json").read_text())
    found = kit.read_all(FORMAT, alone, images_dir=source / "images")
    assert found.records["1"].media.path == source / "images" / "1.png"
    assert found.reasons()["noticed", "image files without an entry"] == 1


def test_several_files(lay: Lay, kit: Any) -> None:
    """One record for each image and split; captions are passed over; keys that collide get their split in front."""

    def text(name: str) -> str:
        rows = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]}]
        return json.dumps({"images": [IMAGE], "annotations": rows, "categories": [{"id": 1, "name": name}]})

    found = kit.read_all(
        FORMAT,
        lay(
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
    assert found.values("split") == {"1": "train", "val/1": "val"}
    assert [found.values("objects")[key][0].class_name for key in ("1", "val/1")] == ["cup", "plate"]
    assert found.total == 2
    assert found.reasons()["noticed", "annotation file that was not read"] == 2
    assert found.reasons()["repaired", "key made unique"] == 1


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


@pytest.mark.parametrize(("given", "lost"), SHAPES)
def test_shapes_written(given: Object, lost: str | None, kit: Any, tmp_path: Path) -> None:
    classes = (ClassInfo("cup", color="#102030"), ClassInfo("person", "animal", None, ("a", "b"), ((0, 1),)))
    report = kit.write_all(FORMAT, kit.dataset([kit.record("k", objects=(given,))], classes), tmp_path / "out")
    found = kit.read_all(FORMAT, tmp_path / "out")
    assert found.schema["objects"].classes == classes
    assert [finding.reason for finding in report] == ([lost] if lost else [])
    if not lost:
        assert found.records["k"].values["objects"] == (given,)
        assert len(found.report) == 0


def test_a_polygon_with_holes_becomes_its_pixels(kit: Any, tmp_path: Path) -> None:
    ring, hole = ((1, 1), (7, 1), (7, 5), (1, 5)), ((3, 2), (5, 2), (5, 4), (3, 4))
    given = Object("1", "cup", Polygon(((ring, hole),)))
    report = kit.write_all(FORMAT, kit.dataset([kit.record("k", objects=(given,))], ["cup"]), tmp_path / "out")
    (made,) = kit.read_all(FORMAT, tmp_path / "out").records["k"].values["objects"]
    assert isinstance(made.geometry, Mask)
    assert made.geometry.area() == given.geometry.area() == 20
    assert made.geometry.bounds_xyxy() == given.geometry.bounds_xyxy()
    assert [finding.reason for finding in report] == ["polygon with holes written as a mask of whole pixels"]


def test_what_is_lost_is_counted(kit: Any, tmp_path: Path) -> None:
    records = [
        kit.record("a", objects=None, caption="hello", split="train"),
        kit.record("b", objects=(), caption=None, split=None, metadata={"camera": 1, "id": 5, "bad": float("nan")}),
    ]
    more = {"caption": Kind.TEXT, "split": Kind.TEXT, "metadata": Kind.TABLE}
    report = kit.write_all(FORMAT, kit.dataset(records, ["cup"], **more), tmp_path / "out")
    assert {(f.reason, f.key, f.detail.split(":")[0]) for f in report} == {
        ("'not labelled yet', which only Saccade reads back", "a", ""),
        ("metadata that has no place", "b", "id"),
        ("metadata that has no place", "b", "bad"),
        ("column that the format does not hold", "", "'caption' with 1 values"),
    }
    found = kit.read_all(FORMAT, tmp_path / "out")
    assert found.values("objects") == {"a": None, "b": ()}
    assert found.values("split") == {"a": "train", "b": None}
    assert found.values("metadata") == {"a": None, "b": {"camera": 1}}
    assert len(found.report) == 0


def test_media_that_cannot_be_read(kit: Any, tmp_path: Path) -> None:
    from saccade.formats.base import LocalFile, Record

    records = [
        Record("gone", LocalFile(tmp_path / "gone.png"), {"objects": ()}, (8, 6)),
        Record("text", kit.InMemory(b"hello", "a.txt"), {"objects": ()}, (8, 6)),
        Record("unnamed", kit.InMemory(kit.png(), "blob"), {"objects": ()}, (8, 6)),
        Record("none", None, {"objects": ()}, (8, 6)),
    ]
    report = kit.write_all(FORMAT, kit.dataset(records), tmp_path / "out")
    assert [(finding.action, finding.key) for finding in report] == [
        ("set_aside", "gone"),
        ("set_aside", "text"),
        ("noticed", "none"),
    ]
    assert set(kit.read_all(FORMAT, tmp_path / "out", media="optional").records) == {"unnamed", "none"}
    assert (tmp_path / "out/images/unnamed.png").read_bytes() == kit.png()


def test_real_ground_truth(shared_data: Path, kit: Any) -> None:
    found = kit.read_all(FORMAT, shared_data / "coco-eval" / "instances_val2014_100.json", media="optional")
    objects = [made for each in found.values("objects").values() for made in each]
    assert (len(found.records), len(objects), len(found.schema["objects"].classes)) == (100, 839, 80)
    assert sum(made.is_crowd for made in objects) == 9
    assert sum(isinstance(made.geometry, Mask) for made in objects) == 9
    assert set(found.values("split").values()) == {"val"}
    assert all(each.media is None for each in found.records.values())
    assert found.reasons()["noticed", "image file missing"] == 100


def test_real_results(shared_data: Path, kit: Any) -> None:
    from saccade.core.report import Report

    truth = shared_data / "coco-eval" / "instances_val2014_100.json"
    for name, shape in (("bbox", Box), ("segm", Mask)):
        report = Report()
        results = read_results(
            shared_data / "coco-eval" / f"instances_val2014_fake{name}100_results.json", truth, report
        )
        objects = [made for each in results.values() for made in each]
        assert (len(results), len(objects), len(report)) == (100, 734, 0)
        assert all(isinstance(made.geometry, shape) and made.score is not None for made in objects)
    keypoints = shared_data / "coco-keypoints"
    (found,) = read_results(keypoints / "dt_dataset.json", keypoints / "gt_dataset.json", Report()).values()
    assert len(found) == 128
    assert all(isinstance(made.geometry, Keypoints) for made in found)
    with pytest.raises(FormatError, match="not a list of detections"):
        read_results(truth, truth, Report())


def test_real_masks_survive_a_round_trip(shared_data: Path, kit: Any, tmp_path: Path) -> None:
    source = shared_data / "coco-eval" / "instances_val2014_100.json"
    first = kit.read_all(FORMAT, source, media="optional")
    reading = FORMAT.read(source, first.report, media="optional")
    kit.write_all(FORMAT, reading, tmp_path / "out")
    again = kit.read_all(FORMAT, tmp_path / "out", media="optional")
    assert again.values("objects") == first.values("objects")
    assert again.schema == first.schema
