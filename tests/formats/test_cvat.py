"""CVAT: exported files of images and of videos, and hostile files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from xml.etree.ElementTree import parse

import numpy as np
import pytest

from saccade.core.errors import FormatError
from saccade.core.geometry import mask_from_array, mask_to_array
from saccade.core.objects import Box, Ellipse, Keypoints, Object, Points, Polygon, Polyline, RotatedBox
from saccade.core.schema import ClassInfo, Kind
from saccade.formats.cvat import FORMAT
from saccade.formats.voc import FORMAT as VOC

WriteSource = Callable[[Mapping[str, str | bytes | None]], Path]

META = """<meta><task><id>7</id><labels>
<label><name>ship</name><color>#FF00AA</color><type>any</type><attributes>
<attribute><name>moored</name><mutable>False</mutable><input_type>checkbox</input_type></attribute>
<attribute><name>decks</name><mutable>False</mutable><input_type>number</input_type></attribute>
<attribute><name>flag</name><mutable>False</mutable><input_type>select</input_type></attribute></attributes></label>
<label><name>man</name><type>skeleton</type></label>
<label><name>head</name><type>points</type><parent>man</parent></label>
<label><name>foot</name><type>points</type><parent>man</parent></label>
</labels></task></meta>"""


def xml(*parts: str, meta: str = META) -> str:
    body = "".join(parts)
    return f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>{meta}{body}</annotations>'


def image(*shapes: str, name: str = "a.png", more: str = "") -> str:
    return f'<image id="0" name="{name}" width="8" height="6" {more}>{"".join(shapes)}</image>'


BOX = '<box label="ship" source="manual" occluded="{}" xtl="1" ytl="2" xbr="5" ybr="4" z_order="{}"{}>{}</box>'


def read_one(kit: SimpleNamespace, write_source: WriteSource, *shapes: str) -> tuple[Object, ...]:
    objects: tuple[Object, ...] = (
        kit.read_all(FORMAT, write_source({"annotations.xml": xml(image(*shapes)), "images/a.png": None}))
        .records["a"]
        .values["objects"]
    )
    return objects


def test_every_shape(write_source: WriteSource, kit: SimpleNamespace) -> None:
    objects = read_one(
        kit,
        write_source,
        BOX.format(0, 0, "", ""),
        BOX.format(0, 0, ' rotation="30.0"', ""),
        '<polygon label="ship" points="1.0,1.0;5,1;5,5"/>',
        '<polyline label="ship" points="1,1;2,2;3,1"/>',
        '<points label="ship" points="1,1;2,2"/>',
        '<ellipse label="ship" cx="4" cy="3" rx="2" ry="1"/>',
        '<mask label="ship" rle="1, 2, 1, 2" left="2" top="1" width="3" height="2"/>',
        '<skeleton label="man"><points label="foot" outside="0" occluded="1" points="3,5"/>'
        '<points label="head" outside="0" occluded="0" points="3,1"/></skeleton>',
        '<skeleton label="man"><points label="foot" outside="1" occluded="0" points="3,5"/></skeleton>',
    )
    assert [obj.geometry for obj in objects[:6]] == [
        Box(1, 2, 5, 4),
        RotatedBox(3, 3, 4, 2, 30),
        Polygon.simple([(1, 1), (5, 1), (5, 5)]),
        Polyline(((1, 1), (2, 2), (3, 1))),
        Points(((1, 1), (2, 2))),
        Ellipse(4, 3, 2, 1, 0),
    ]
    pixels = np.zeros((6, 8), bool)
    pixels[1, 3:5] = pixels[2, 3:5] = True
    assert objects[6].geometry == mask_from_array(pixels)
    assert objects[7].geometry == Keypoints(((3, 1), (3, 5)), (2, 1))
    assert objects[8].geometry == Keypoints(((0, 0), (3, 5)), (0, 0))


def test_attribute_types_come_from_the_header(write_source: WriteSource, kit: SimpleNamespace) -> None:
    attributes = (
        '<attribute name="moored">true</attribute><attribute name="decks">3</attribute>'
        '<attribute name="flag">12</attribute><attribute name="other">1</attribute>'
    )
    (obj,) = read_one(kit, write_source, BOX.format(1, 2, ' group_id="4"', attributes).replace("manual", "auto"))
    assert dict(obj.attributes) == {
        "occluded": True,
        "z_order": 2,
        "group_id": 4,
        "source": "auto",
        "moored": True,
        "decks": 3,
        "flag": "12",
        "other": "1",
    }


def test_classes_splits_tags_and_unlabelled_images(write_source: WriteSource, kit: SimpleNamespace) -> None:
    source = write_source(
        {
            "annotations.xml": xml(
                image('<tag label="night" source="manual"/>', name="a.png", more='subset="train"'),
                image(name="sub/b.png", more='subset="val"'),
                image(name="lost.png"),
            ),
            "images/a.png": None,
            "images/sub/b.png": None,
            "images/c.png": None,
        }
    )
    result = kit.read_all(FORMAT, source)
    ship, man = result.schema["objects"].classes
    assert (ship.name, ship.color, man.keypoints) == ("ship", "#ff00aa", ("head", "foot"))
    assert result.values("objects") == {"a": (), "sub/b": (), "c": None}
    assert result.values("split") == {"a": "train", "sub/b": "val", "c": None}
    assert result.values("labels") == {"a": ("night",), "sub/b": (), "c": None}
    assert result.reasons() == {
        ("skipped", "image file missing"): 1,
        ("inferred", "image without shapes, taken as reviewed and empty"): 1,
    }


def track(*shapes: str, label: str = "ship", number: int = 0) -> str:
    return f'<track id="{number}" label="{label}" source="manual">{"".join(shapes)}</track>'


def at(frame: int, x: float, outside: int = 0, keyframe: int = 1) -> str:
    sides = f'xtl="{x}" ytl="1" xbr="{x + 2}" ybr="3"'
    return f'<box frame="{frame}" keyframe="{keyframe}" outside="{outside}" occluded="0" {sides} z_order="0"/>'


def test_video_tracks(write_source: WriteSource, kit: SimpleNamespace) -> None:
    tracks = track(at(0, 0), at(4, 4), at(5, 4, outside=1)) + track(at(2, 1), number=3)
    frames = {f"images/frame_{number:06}.PNG": None for number in range(7)}
    result = kit.read_all(FORMAT, write_source({"annotations.xml": xml(tracks), **frames}))
    objects_by_frame = {
        key: [(obj.track, obj.geometry.bounds_xyxy()[0]) for obj in record.values["objects"]]
        for key, record in result.records.items()
    }
    both = [[("0", x), ("3", 1)] for x in (2, 3, 4)]
    assert list(objects_by_frame.values()) == [[("0", 0)], [("0", 1)], *both, [("3", 1)], [("3", 1)]]


HOSTILE = [
    ('<box label="ship" xtl="1" ytl="nan" xbr="5" ybr="4"/>', "object without a usable shape"),
    ('<box label="ship" xtl="1" xbr="5" ybr="4"/>', "object without a usable shape"),
    ('<box label="" xtl="1" ytl="1" xbr="5" ybr="4"/>', "object without a class"),
    ('<polygon label="ship" points="1,1;2"/>', "object without a usable shape"),
    ('<polygon label="ship" points=""/>', "object without a usable shape"),
    ('<polygon label="ship" points="1,1;2,x;3,3"/>', "object without a usable shape"),
    ('<mask label="ship" rle="1, 2" left="0" top="0" width="9999999" height="9999999"/>', "object without a usable"),
    ('<mask label="ship" rle="1, -2" left="0" top="0" width="1" height="1"/>', "object without a usable shape"),
    ('<mask label="ship" rle="0, 8" left="7" top="0" width="4" height="2"/>', "object without a usable shape"),
    ('<mask label="ship" rle="" left="0" top="0" width="1" height="1"/>', "object without a usable shape"),
    ('<ellipse label="ship" cx="1" cy="1" rx="-3" ry="1"/>', "object without a usable shape"),
    ('<cuboid label="ship" xtl1="1"/>', "shape of a kind that is not known"),
    ('<skeleton label="man"/>', ""),
]


@pytest.mark.parametrize(("shape", "reason"), HOSTILE, ids=[f"{at} {reason}" for at, (_, reason) in enumerate(HOSTILE)])
def test_bad_shapes_are_reported(shape: str, reason: str, write_source: WriteSource, kit: SimpleNamespace) -> None:
    source = write_source({"annotations.xml": xml(image(shape, BOX.format(0, 0, "", ""))), "images/a.png": None})
    result = kit.read_all(FORMAT, source)
    assert Box(1, 2, 5, 4) in [obj.geometry for obj in result.records["a"].values["objects"]]
    assert any(reason in finding.reason for finding in result.report) or not reason


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    "text",
    [
        "<annotations>",
        "<annotations><image></annotations>",
        BOMB + xml().split("\n", 1)[1],
        '<!DOCTYPE x SYSTEM "file:///etc/passwd">' + xml().split("\n", 1)[1],
    ],
)
def test_bad_files(text: str, write_source: WriteSource, kit: SimpleNamespace) -> None:
    with pytest.raises(FormatError, match="cannot be read"):
        kit.read_all(FORMAT, write_source({"annotations.xml": text, "images/a.png": None}))


def test_names_never_leave_the_folder(write_source: WriteSource, kit: SimpleNamespace) -> None:
    text = xml(image(name="../../secret.png"), image(name="/etc/x.png"))
    source = write_source({"annotations.xml": text, "images/a.png": None})
    result = kit.read_all(FORMAT, source)
    assert result.values("objects") == {"a": None}
    assert result.reasons()[("skipped", "image file missing")] == 2


def test_detection_distinguishes_voc_and_cvat(write_source: WriteSource) -> None:
    source = write_source({"annotations.xml": xml(image()), "images/a.png": None})
    assert FORMAT.detect(source).matches
    assert FORMAT.detect(source / "annotations.xml").matches
    assert not VOC.detect(source).matches
    assert not FORMAT.detect(source / "images").matches


def test_ambiguous_files(write_source: WriteSource) -> None:
    source = write_source({"a.xml": xml(image()), "b.xml": xml(image())})
    assert "several" in FORMAT.detect(source).reason


def test_written_xml(kit: SimpleNamespace, tmp_path: Path) -> None:
    hole = Polygon(((((0, 0), (6, 0), (6, 6), (0, 6)), ((2, 2), (4, 2), (4, 4), (2, 4))),))
    objects = (
        Object("1", "ship", RotatedBox(4, 3, 2, 2, -30), attributes={"moored": True, "decks": 2, "note": "x"}),
        Object("2", "ship", hole),
    )
    record = kit.record("a/b", objects=objects, split="train")
    info = ClassInfo("ship", color="#112233")
    reading = kit.dataset([record], [info], split=Kind.TEXT)
    report = kit.write_all(FORMAT, reading, tmp_path)
    root = parse(tmp_path / "annotations.xml").getroot()
    element = root.find("image")
    assert element is not None
    assert (element.get("name"), element.get("subset"), element.get("width")) == ("a/b.png", "train", "8")
    box, mask = (shape for shape in element if shape.tag in ("box", "mask"))
    assert (box.get("rotation"), box.get("xtl"), box.get("label")) == ("330.0", "3.0", "ship")
    named = [element for element in root.iter("attribute") if element.find("name") is not None]
    types = {element.findtext("name"): element.findtext("input_type") for element in named}
    assert types == {"moored": "checkbox", "decks": "number", "note": "text"}
    result = kit.read_all(FORMAT, tmp_path)
    geometry = result.records["a/b"].values["objects"][1].geometry
    assert mask_to_array(geometry).sum() == 32
    assert mask.get("width") == "6"
    assert {finding.reason for finding in report} == {"shape of a polygon, written as mask"}


def test_unknown_encoding(write_source: WriteSource, kit: SimpleNamespace) -> None:
    text = '<?xml version="1.0" encoding="u9"?>\n<annotations><version>1.1</version></annotations>'
    source = write_source({"annotations.xml": text, "images/1.png": None})
    with pytest.raises(FormatError, match=r"annotations\.xml cannot be read: unknown encoding"):
        kit.read_all(FORMAT, source)


def test_splits_are_subsets_of_a_project(tmp_path: Path, kit: SimpleNamespace) -> None:
    records = [
        kit.record("a", objects=(), split="train"),
        kit.record("train/a", objects=(), split="train"),
        kit.record("b", objects=(), split="val"),
        kit.record("c", objects=()),
        kit.record("d", objects=None),
    ]
    stream = kit.dataset(records, split=Kind.TEXT)
    assert ("dropped", "split whose name means none in CVAT") not in kit.write_all(FORMAT, stream, tmp_path).counts()
    root = parse(tmp_path / "annotations.xml").getroot()
    # Datumaro reads a project once for each <subset> in its header, and images from the folder of the subset.
    assert root.find("meta/project") is not None
    assert [subset.text for subset in root.iterfind("meta//subset")] == ["train", "val", "default"]
    assert [(image.get("subset"), image.get("name")) for image in root.iterfind("image")] == [
        ("train", "a.png"),
        ("train", "train/a.png"),
        ("val", "b.png"),
        ("default", "c.png"),
    ]
    assert sorted(path.relative_to(tmp_path / "images").as_posix() for path in tmp_path.rglob("*.png")) == [
        "d.png",
        "default/c.png",
        "train/a.png",
        "train/train/a.png",
        "val/b.png",
    ]
    result = kit.read_all(FORMAT, tmp_path)
    assert result.values("split") == {"a": "train", "train/a": "train", "b": "val", "c": None, "d": None}


def test_a_split_called_default_is_reported(tmp_path: Path, kit: SimpleNamespace) -> None:
    stream = kit.dataset([kit.record("a", objects=(), split="default")], split=Kind.TEXT)
    report = kit.write_all(FORMAT, stream, tmp_path)
    assert report.counts()["dropped", "split whose name means none in CVAT"] == 1
    assert "split" not in kit.read_all(FORMAT, tmp_path).schema


def test_names_without_the_folder_of_their_subset(write_source: WriteSource, kit: SimpleNamespace) -> None:
    images = '<image id="0" name="a.png" subset="train"/><image id="1" name="a.png" subset="val"/>'
    xml = f"<annotations><meta><project/></meta>{images}</annotations>"
    source = write_source({"annotations.xml": xml, "images/train/a.png": None, "images/val/a.png": None})
    assert kit.read_all(FORMAT, source).values("split") == {"train/a": "train", "val/a": "val"}
