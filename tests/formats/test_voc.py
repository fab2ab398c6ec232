"""Pascal VOC: the devkit, deviations of other tools, real files and hostile files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from saccade.core.errors import FormatError
from saccade.core.objects import Box, Keypoints, Mask, Object, Polygon
from saccade.core.schema import ClassInfo, Kind
from saccade.formats.voc import FORMAT

WriteSource = Callable[[Mapping[str, str | bytes | None]], Path]


def object_xml(corners: str, name: str = "dog", more: str = "") -> str:
    sides = zip(("xmin", "ymin", "xmax", "ymax"), corners.split(), strict=False)
    box = "".join(f"<{side}>{value}</{side}>" for side, value in sides)
    return f"<object><name>{name}</name>{more}<bndbox>{box}</bndbox></object>"


def xml(*things: str, name: str = "1.png", size: str = "8 6", head: str = "") -> str:
    width, height = size.split()
    sides = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation><filename>{name}</filename>{head}{sides}{''.join(things)}</annotation>"


def source_files(*things: str, **more: str) -> dict[str, str | bytes | None]:
    return {"Annotations/1.xml": xml(*things, **more), "JPEGImages/1.png": None}


def test_golden_file(golden: Path, write_source: WriteSource, kit: Any) -> None:
    """The files in tests/golden, value by value: pixels count from 1, both ends included."""
    files: dict[str, str | bytes | None] = {
        path.relative_to(golden / "voc").as_posix(): path.read_text()
        for path in (golden / "voc").rglob("*.*")
        if path.is_file()
    }
    images = dict.fromkeys(f"JPEGImages/00000{number}.png" for number in (1, 2, 3))
    result = kit.read_all(FORMAT, write_source({**files, **images}))
    assert result.schema["objects"].class_names == ("dog", "person")
    assert result.values("split") == {"000001": "train", "000002": "val", "000003": "val"}
    assert result.values("objects") == {
        "000001": (
            Object("1", "dog", Box(0, 1, 4, 6), attributes={"truncated": True, "pose": "Left"}),
            Object("2", "person", Box(2.5, 0, 8, 5.25), attributes={"difficult": True}),
        ),
        "000002": (),
        "000003": None,
    }
    (guess,) = result.report
    assert (guess.action, guess.detail) == ("inferred", "1, because no coordinate is below 1, as in the devkit")


LABELIMG = "<path>/home/a/1.png</path><source><database>Unknown</database></source>"
CVAT = "<source><database>Unknown</database><annotation>Unknown</annotation><image>Unknown</image></source>"
LABELME2VOC = "<database/><annotation/><image/>"


@pytest.mark.parametrize(
    ("files", "options", "box", "guess"),
    [
        (source_files(object_xml("1 2 4 6")), {}, (0, 1, 4, 6), "1, because no coordinate is below 1"),
        (source_files(object_xml("0 2 4 6")), {}, (0, 2, 4, 6), "0, because a coordinate is below 1"),
        (source_files(object_xml("1 2 4 6"), head=LABELIMG), {}, (1, 2, 4, 6), "0, because the files are by labelImg"),
        (source_files(object_xml("1 2 4 6"), head=CVAT), {}, (1, 2, 4, 6), "0, because the files are by CVAT"),
        (
            source_files(object_xml("1 2 4 6"), head=LABELME2VOC),
            {},
            (1, 2, 4, 6),
            "0, because the files are by labelme",
        ),
        (source_files(object_xml("1.0 2.0 4.0 6.0")), {}, (1, 2, 4, 6), "0, because most coordinates are written as"),
        (
            source_files(object_xml("1.25 2.5 4 6")),
            {},
            (1.25, 2.5, 4, 6),
            "0, because most coordinates are written as decimals",
        ),
        (source_files(object_xml("1 2 4 6")), {"origin": 0}, (1, 2, 4, 6), ""),
        (source_files(object_xml("1 2 4 6"), head=LABELIMG), {"origin": "1"}, (0, 1, 4, 6), ""),
    ],
)
def test_pixel_origin(
    files: dict[str, str | bytes | None],
    options: dict[str, Any],
    box: tuple[float, ...],
    guess: str,
    write_source: WriteSource,
    kit: Any,
) -> None:
    result = kit.read_all(FORMAT, write_source(files), **options)
    (obj,) = result.records["1"].values["objects"]
    assert obj.geometry.bounds_xyxy() == box
    findings = [finding for finding in result.report if finding.reason == "number of the first pixel"]
    assert [finding.detail.startswith(guess) for finding in findings] == ([True] if guess else [])
    # A known tool or a coordinate below 1 leaves no doubt.
    is_certain = guess.startswith(("0, because the files are by", "0, because a coordinate"))
    assert [finding.action for finding in findings] == ["warning" if is_certain else "inferred"] * len(findings)


@pytest.mark.parametrize(
    ("corners", "finding", "box"),
    [
        (object_xml("4 6 1 2"), ("repaired", "corners of a box swapped"), (1, 2, 4, 6)),
        (object_xml("3 3 3 3"), ("dropped", "box without area"), None),
        (object_xml("nan 3 4 4"), ("dropped", "box with numbers that are not finite"), None),
        (object_xml("1e999 3 4 4"), ("dropped", "box with numbers that are not finite"), None),
        (object_xml("x 3 4"), ("dropped", "box with numbers that are not finite"), None),
        (object_xml("9 3 12 4"), ("dropped", "box outside the image"), None),
        (object_xml("5 3 12 4"), ("clipped", "box over the edge of the image"), (5, 3, 8, 4)),
        (object_xml("1 1 2 2", name=" "), ("dropped", "object without a class"), None),
        (object_xml("0 0 5 5"), ("warning", "duplicate box"), (0, 0, 5, 5)),
        (object_xml("0 0 5 5.1"), ("warning", "boxes that almost coincide"), (0, 0, 5, 5.1)),
        (object_xml("1 1 1.1 1.1"), ("warning", "tiny box"), (1, 1, 1.1, 1.1)),
        (object_xml("1 1 2 2", more="<part><name>head</name></part>"), ("dropped", "field of objects"), (1, 1, 2, 2)),
    ],
)
def test_bad_boxes(
    corners: str, finding: tuple[str, str], box: tuple[float, ...] | None, write_source: WriteSource, kit: Any
) -> None:
    result = kit.read_all(FORMAT, write_source(source_files(object_xml("0 0 5 5"), corners)), origin=0)
    first, *others = result.records["1"].values["objects"]
    assert first == Object("1", "dog", Box(0, 0, 5, 5))
    assert result.reasons() == {finding: 1}
    assert [obj.geometry.bounds_xyxy() for obj in others] == ([] if box is None else [box])


def test_attributes_of_cvat(write_source: WriteSource, kit: Any) -> None:
    more = (
        "<occluded>1</occluded><attributes><attribute><name>breed</name><value>poodle</value></attribute></attributes>"
    )
    result = kit.read_all(FORMAT, write_source(source_files(object_xml("1 1 2 2", more=more))))
    assert result.records["1"].values["objects"][0].attributes == {"occluded": True, "breed": "poodle"}


def test_mismatched_files(write_source: WriteSource, kit: Any) -> None:
    source = write_source(
        {
            "Annotations/1.xml": xml(name="other.jpg", size="80 60"),
            "Annotations/2.xml": xml(name="2.png"),
            "Annotations/3.xml": xml(name="4.png"),
            "Annotations/5.xml": "<annotation>",
            "JPEGImages/1.png": None,
            "JPEGImages/4.png": None,
            "JPEGImages/5.png": None,
            "JPEGImages/6.png": None,
            "JPEGImages/6.jpg": None,
            "JPEGImages/7.png": b"no image",
            "ImageSets/Main/train.txt": "1\r\n3\r\n9\r\n",
            "ImageSets/Main/test.txt": "1\n",
        }
    )
    result = kit.read_all(FORMAT, source)
    assert result.values("objects") == {"1": (), "3": (), "6": None, "7": None}
    assert result.records["3"].media.path.name == "4.png"
    assert result.records["1"].size_wh == (8, 6)
    assert result.values("split")["1"] == "train"
    assert {(f.action, f.reason, f.key) for f in result.report} == {
        ("skipped", "annotation that cannot be read", "5"),
        ("skipped", "image file missing", "2"),
        ("skipped", "listed image that is not there", "9"),
        ("skipped", "second image of the same name", "6"),
        ("warning", "file name in the XML that differs", "1"),
        ("warning", "item in two splits", "1"),
        ("warning", "item in no split", "6"),
        ("warning", "item in no split", "7"),
        ("warning", "image that cannot be opened", "7"),
        ("inferred", "number of the first pixel", ""),
    }


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY x "xxxx"><!ENTITY y "&x;&x;&x;">]><annotation><filename>&y;</filename></annotation>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation><filename>&x;</filename></annotation>',
        '<!DOCTYPE a SYSTEM "http://localhost/x.dtd"><annotation></annotation>',
        "<annotation><filename>\x00</filename></annotation>",
        "<svg/>",
        "<annotation>" + "<a>" * 100_000,
        "",
    ],
)
def test_hostile_xml_is_skipped(text: str, write_source: WriteSource, kit: Any) -> None:
    result = kit.read_all(FORMAT, write_source({**source_files(), "Annotations/2.xml": text, "JPEGImages/2.png": None}))
    assert set(result.records) == {"1"}
    assert [f.key for f in result.report if f.reason == "annotation that cannot be read"] == ["2"]


def test_names_never_leave_the_source(write_source: WriteSource, kit: Any, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(kit.png())
    names = {"1": "../../secret.png", "2": str(tmp_path / "secret.png"), "3": "3.png"}
    source = write_source({f"Annotations/{stem}.xml": xml(name=name) for stem, name in names.items()})
    (source / "JPEGImages").mkdir()
    (source / "JPEGImages/3.png").symlink_to(tmp_path / "secret.png")
    result = kit.read_all(FORMAT, source)
    assert not result.records
    assert {(f.reason, f.key) for f in result.report if f.action == "skipped" and f.key} == {
        ("image file missing", "1"),
        ("image file missing", "2"),
        ("link that leads outside the source", "3"),
    }


def test_xml_beside_the_images_in_splits(write_source: WriteSource, kit: Any) -> None:
    source = write_source(
        {"train/1.xml": xml(object_xml("1 1 2 2")), "train/1.png": None, "test/1.xml": xml(), "test/1.png": None}
    )
    result = kit.read_all(FORMAT, source)
    assert result.values("split") == {"1": "test", "train/1": "train"}


def test_no_annotations(write_source: WriteSource, kit: Any) -> None:
    with pytest.raises(FormatError, match="no VOC annotation"):
        kit.read_all(FORMAT, write_source({"JPEGImages/1.png": None}))


@pytest.mark.parametrize("origin", ["0", "1"])
def test_round_trip(origin: str, kit: Any, tmp_path: Path) -> None:
    objects = (
        Object("1", "dog", Box(0.1, 0.2, 0.3, 5.1), attributes={"difficult": True, "n": 3, "x": 0.1, "ok": False}),
        Object("2", "cat & <co>", Box(0, 0, 8, 6), attributes={"truncated": False, "pose": " Left", "empty": ""}),
        Object("3", "dog", Box(1e-30, 1, 2, 3), attributes={"pose": "Rear", "occluded": "half"}),
    )
    records = [
        kit.record("a/b", objects=objects, split="train"),
        kit.record("c", objects=(), split="val"),
        kit.record("d", objects=None, split=None),
        kit.record("e", objects=None, split="fold 1"),
    ]
    reading = kit.dataset(records, ["cat & <co>", "dog"], split=Kind.TEXT)
    report = kit.write_all(FORMAT, reading, tmp_path / "out", origin=origin)
    assert len(report) == 0
    result = kit.read_all(FORMAT, tmp_path / "out")
    assert result.values("objects") == {"a/b": objects, "c": (), "d": None, "e": None}
    assert result.values("split") == {"a/b": "train", "c": "val", "d": None, "e": "fold 1"}
    assert result.schema["objects"].class_names == ("cat & <co>", "dog")
    assert {f.reason for f in result.report} == {"item in no split"}
    assert (tmp_path / "out/ImageSets/Main/trainval.txt").read_text() == "a/b\nc\n"


def test_losses_are_reported(kit: Any, tmp_path: Path) -> None:
    objects = (
        Object("x", "dog", Polygon.simple([(1, 1), (5, 1), (5, 4)]), 0.5, "t"),
        Object("y", "dog\n", Keypoints(((1, 1), (2, 2)), (0, 0))),
        Object("z", " cat", Box(1, 1, 2, 2), attributes={"a\x01": "b"}),
    )
    classes = [ClassInfo("dog", "animal", "#ff0000"), ClassInfo(" cat"), ClassInfo("dog\n"), ClassInfo("ant")]
    report = kit.write_all(FORMAT, kit.dataset([kit.record("k", objects=objects)], classes), tmp_path / "out")
    assert {(f.action, f.reason, f.object_id) for f in report} == {
        ("dropped", "detail of a class", ""),
        ("dropped", "score", "x"),
        ("dropped", "track", "x"),
        ("dropped", "shape of a polygon, written as its mask", "x"),
        ("dropped", "shape of a keypoints, written as its box", "y"),
        ("dropped", "object without area", "y"),
        ("repaired", "text that XML cannot hold", "z"),
        ("dropped", "class that no object has", ""),
        ("dropped", "order of the classes", ""),
        ("dropped", "ids of objects", ""),
    }
    result = kit.read_all(FORMAT, tmp_path / "out")
    assert result.records["k"].values["objects"] == (
        Object("1", "dog", Mask(8, 6, (13, 1, 5, 2, 4, 3, 20))),
        Object("2", "cat", Box(1, 1, 2, 2), attributes={"a_": "b"}),
    )
    boxes = kit.read_all(FORMAT, tmp_path / "out", shapes="boxes").values("objects")["k"]
    assert boxes[0] == Object("1", "dog", Box(1, 1, 5, 4))


def test_real_data(shared_data: Path, kit: Any) -> None:
    """The blood cell dataset: 364 images, the official splits, unchanged coordinates, and all flaws."""
    result = kit.read_all(FORMAT, shared_data / "bccd")
    splits = list(result.values("split").values())
    assert [splits.count(name) for name in ("train", "val", "test")] == [205, 87, 72]
    assert (len(result.records), result.total) == (364, 364)
    assert result.schema["objects"].class_names == ("Platelets", "RBC", "WBC")
    objects = [obj for image_objects in result.values("objects").values() for obj in image_objects]
    assert len(objects) == 4886
    first = result.records["BloodImage_00007"].values["objects"][0]
    assert first == Object("1", "WBC", Box(193, 92, 387, 285))
    assert result.reasons() == {
        ("warning", "number of the first pixel"): 1,
        ("dropped", "box without area"): 2,
        ("warning", "tiny box"): 2,
        ("warning", "box far smaller than others of its class"): 1,
        ("warning", "boxes that almost coincide"): 7,
    }
    where = {f.reason: sorted({g.key for g in result.report if g.reason == f.reason}) for f in result.report}
    assert where["box without area"] == ["BloodImage_00338", "BloodImage_00343"]
    assert where["tiny box"] == ["BloodImage_00125", "BloodImage_00150"]


def test_devkit_masks(write_source: WriteSource, kit: Any) -> None:
    """SegmentationObject has the numbers of the objects in the order of the XML file; 255 is void."""
    import numpy as np
    from PIL import Image

    from saccade.core.geometry import mask_to_array

    def object_xml(name: str, x1: int, y1: int, x2: int, y2: int) -> str:
        sides = f"<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
        return f"<object><name>{name}</name><bndbox>{sides}</bndbox></object>"

    things = (
        object_xml("cat", 3, 3, 12, 12)
        + object_xml("dog", 20, 5, 30, 20)
        + object_xml("cow", 1, 20, 8, 28)
        + object_xml("cat", 30, 1, 39, 9)
    )
    size = "<size><width>40</width><height>30</height><depth>3</depth></size>"
    xml = f"<annotation><filename>a.jpg</filename>{size}{things}</annotation>"
    source = write_source({"Annotations/a.xml": xml})
    (source / "JPEGImages").mkdir()
    (source / "SegmentationObject").mkdir()
    Image.new("RGB", (40, 30)).save(source / "JPEGImages" / "a.jpg")
    numbers = np.zeros((30, 40), np.uint8)
    numbers[2:12, 2:12] = 255  # the border
    numbers[3:11, 3:11] = 1
    numbers[5:20, 20:30] = 2
    numbers[0:3, 0:3] = 3  # nowhere near its box
    numbers[25, 39] = 9  # no such object
    Image.fromarray(numbers).save(source / "SegmentationObject" / "a.png")
    result = kit.read_all(FORMAT, source)
    first, second, third, fourth = result.values("objects")["a"]
    assert isinstance(first.geometry, Mask)
    assert isinstance(second.geometry, Mask)
    assert isinstance(third.geometry, Box)
    assert isinstance(fourth.geometry, Box)
    assert mask_to_array(first.geometry).sum() == 64
    assert result.reasons() == {
        ("dropped", "mask that does not lie where its box is"): 1,
        ("dropped", "mask without an object"): 1,
        ("inferred", "number of the first pixel"): 1,
    }
    boxes = kit.read_all(FORMAT, source, shapes="boxes")
    assert all(isinstance(obj.geometry, Box) for obj in boxes.values("objects")["a"])
    assert ("dropped", "folder that is not read") in boxes.reasons()
    Image.new("RGB", (40, 30)).save(source / "SegmentationObject" / "a.png")
    assert ("dropped", "masks that do not fit their image") in kit.read_all(FORMAT, source).reasons()
    (source / "SegmentationObject" / "a.png").write_bytes(b"no picture")
    assert ("dropped", "mask that cannot be read") in kit.read_all(FORMAT, source).reasons()


def test_the_list_of_cvat_without_subsets_is_no_split(write_source: WriteSource, kit: Any) -> None:
    source = write_source({**source_files(object_xml("1 2 4 6")), "ImageSets/Main/default.txt": "1\n"})
    result = kit.read_all(FORMAT, source)
    assert "split" not in result.schema
    assert {finding.action for finding in result.report} == {"inferred"}
