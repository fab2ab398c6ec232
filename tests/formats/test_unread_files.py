"""Files that may hold labels are read, or reported as a loss; images whose labels were lost are not labelled."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest

from saccade.core.errors import FormatError
from saccade.core.objects import Box, Keypoints, Object, RotatedBox
from saccade.core.registry import Registry
from saccade.core.schema import ClassInfo
from saccade.formats import coco, cvat, folders, images, labelme, labelstudio, masks, yolo
from saccade.formats.base import Format
from saccade.formats.detect import detect_format

WriteSource = Callable[[Mapping[str, str | bytes | None]], Path]
UNREAD = ("dropped", "file that may contain labels and was not read")
YOLO = {"data.yaml": "names: [cat, dog]\ntrain: images\n", "images/1.png": None, "labels/1.txt": "0 .5 .5 .5 .5\n"}


@pytest.mark.parametrize(
    "name", ["extra/1.json", "boxes/1.xml", "table.csv", "x.tfrecord", "other/1.txt", "class_list.names", "masks/1.png"]
)
def test_unread_label_file_is_a_loss(name: str, write_source: WriteSource, kit: SimpleNamespace) -> None:
    result = kit.read_all(yolo.FORMAT, write_source({**YOLO, name: None if name.endswith(".png") else "x"}))
    assert [finding.detail for finding in result.report if (finding.action, finding.reason) == UNREAD] == [name]
    assert result.report.losses()[0] >= 1


@pytest.mark.parametrize("name", ["README.txt", "LICENSE.txt", "readme.roboflow.txt", "requirements.txt", "notes.txt"])
def test_known_companions_are_no_loss(name: str, write_source: WriteSource, kit: SimpleNamespace) -> None:
    assert not len(kit.read_all(yolo.FORMAT, write_source({**YOLO, name: "x"})).report)


@pytest.mark.parametrize("name", ["1.txt", "labels.csv", "boxes.npz", "a/1.json"])
def test_images_and_folders_are_not_detected_beside_labels(
    name: str, write_source: WriteSource, formats: Registry[Format]
) -> None:
    for files in ({"1.png": None, "2.png": None}, {"a/1.png": None, "b/2.png": None}):
        source = write_source({**files, name: "what, is this"})
        assert not images.FORMAT.detect(source).matches
        assert not folders.FORMAT.detect(source).matches
        with pytest.raises(FormatError, match="may hold labels"):
            detect_format(source, formats)


def test_stray_image_beside_class_folders(
    write_source: WriteSource, kit: SimpleNamespace, formats: Registry[Format]
) -> None:
    source = write_source({"a/1.png": None, "a/2.png": None, "b/3.png": None, "b/deep/4.png": None, "stray.png": None})
    assert detect_format(source, formats)[0] == "folders"
    result = kit.read_all(folders.FORMAT, source)
    assert result.values("label") == {"1": "a", "2": "a", "3": "b", "deep/4": "b"}
    assert result.reasons() == {("skipped", "image outside the class folders"): 1}


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("Images/1.png", "Annotations/1.txt"),
        ("images/1.png", "Labels/1.txt"),
        ("train/images/1.png", "train/annotations/1.txt"),
    ],
)
def test_yolo_in_other_label_folders(
    image: str, label: str, write_source: WriteSource, kit: SimpleNamespace, formats: Registry[Format]
) -> None:
    source = write_source({"obj.names": "cat\ndog\n", image: None, label: "1 .5 .5 .5 .5\n"})
    assert detect_format(source, formats)[0] == "yolo"
    result = kit.read_all(yolo.FORMAT, source)
    ((key, objects),) = result.values("objects").items()
    assert objects == (Object("1", "dog", Box(2, 1.5, 6, 4.5)),), key
    assert not result.report.losses()[0]


def test_label_files_of_dota(write_source: WriteSource, kit: SimpleNamespace, formats: Registry[Format]) -> None:
    text = "imagesource:GoogleEarth\ngsd:0.5\n1 1 5 1 5 3 1 3 small car 1\n0 0 0 2 2 2 2 0 cat 0\nbroken\n"
    source = write_source(
        {
            "data.yaml": "names: [cat]\ntrain: ../train/images\n",
            "train/images/1.png": None,
            "train/labelTxt/1.txt": text,
        }
    )
    assert detect_format(source, formats)[0] == "yolo"
    result = kit.read_all(yolo.FORMAT, source)
    assert result.schema["objects"].class_names == ("cat", "small car")
    first, second = result.values("objects")["1"]
    assert first == Object("1", "small car", RotatedBox(3, 2, 4, 2, 0), None, None, {"difficult": True})
    assert (second.class_name, second.geometry.bounds_xyxy()) == ("cat", (0, 0, 2, 2))
    assert result.reasons() == {("dropped", "line that is not corners and a class"): 1}


def test_blank_lines_of_a_class_list_count(write_source: WriteSource, kit: SimpleNamespace) -> None:
    source = write_source({"classes.txt": "cat\n\ndog\n\n", "images/1.png": None, "labels/1.txt": "2 .5 .5 .5 .5\n"})
    result = kit.read_all(yolo.FORMAT, source)
    assert [obj.class_name for obj in result.values("objects")["1"]] == ["dog"]
    assert result.schema["objects"].class_names == ("cat", "class 1", "dog")


@pytest.mark.parametrize(
    ("file", "text"),
    [("class_names.txt", "_background_\ncat\n\ndog\n"), ("labels.txt", "__ignore__\n_background_\ncat\nx\ndog\n")],
)
def test_class_lists_of_labelme2voc(file: str, text: str, write_source: WriteSource, kit: SimpleNamespace) -> None:
    from io import BytesIO

    import numpy as np
    from PIL import Image

    pixels = np.zeros((6, 8), np.uint8)
    pixels[1:3, 1:3] = 1
    pixels[4:6, 4:8] = 3
    out = BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    files = {"JPEGImages/1.png": None, "SegmentationClass/1.png": out.getvalue(), file: text}
    result = kit.read_all(masks.FORMAT, write_source(files))
    assert [obj.class_name for obj in result.values("objects")["1"]] == ["cat", "dog"]
    assert not result.report.losses()[0]


def test_group_zero_of_labelme(write_source: WriteSource, kit: SimpleNamespace) -> None:
    shape = {"label": "a", "points": [[1, 1], [4, 4]], "shape_type": "rectangle", "description": "", "difficult": False}
    shapes = [{**shape, "group_id": group} for group in (0, 1, None)]
    data = json.dumps({"shapes": shapes, "imagePath": "1.png", "imageData": None})
    result = kit.read_all(labelme.FORMAT, write_source({"1.json": data, "1.png": None}))
    assert [dict(obj.attributes) for obj in result.values("objects")["1"]] == [{"group_id": 0}, {"group_id": 1}, {}]


@pytest.mark.parametrize("track_id", [0, 7, "t"])
def test_track_of_coco(track_id: object, write_source: WriteSource, kit: SimpleNamespace) -> None:
    entry = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 3, 3], "track_id": track_id}
    data = {"images": [{"id": 1, "file_name": "1.png"}], "annotations": [entry], "categories": [{"id": 1, "name": "a"}]}
    result = kit.read_all(coco.FORMAT, write_source({"a.json": json.dumps(data), "1.png": None}))
    assert [obj.track for obj in result.values("objects")["1"]] == [str(track_id)]
    assert not result.report.losses()[0]


def test_coco_annotations_of_unknown_images(write_source: WriteSource, kit: SimpleNamespace) -> None:
    """An image is not reviewed and empty if some annotations belong to no image, or there are none at all."""
    names = [{"id": 1, "file_name": "1.png"}, {"id": 2, "file_name": "2.png"}]
    box = {"category_id": 1, "bbox": [1, 1, 3, 3]}
    data = {
        "images": names,
        "annotations": [{**box, "id": 1, "image_id": 1}, {**box, "id": 2, "image_id": "2"}],
        "categories": [{"id": 1, "name": "a"}],
    }
    files = {"1.png": None, "2.png": None}
    result = kit.read_all(coco.FORMAT, write_source({"a.json": json.dumps(data), **files}))
    assert result.values("objects")["2"] is None
    del data["annotations"]
    result = kit.read_all(coco.FORMAT, write_source({"a.json": json.dumps(data), **files}))
    assert result.values("objects") == {"1": None, "2": None}


def test_image_that_lost_all_objects_is_not_labelled(write_source: WriteSource, kit: SimpleNamespace) -> None:
    lines = {"labels/1.txt": "9 .5 .5 .5 .5\n", "labels/2.txt": "", "labels/3.txt": "9 1 1 1 1\n0 .5 .5 .5 .5\n"}
    pictures = {f"images/{number}.png": None for number in (1, 2, 3)}
    result = kit.read_all(yolo.FORMAT, write_source({"data.yaml": YOLO["data.yaml"], **pictures, **lines}))
    objects = result.values("objects")
    assert (objects["1"], objects["2"], len(objects["3"])) == (None, (), 1)


def test_subsets_of_a_cvat_project(write_source: WriteSource, kit: SimpleNamespace) -> None:
    box = '<box label="a" xtl="1" ytl="1" xbr="4" ybr="4"/>'
    elements = "".join(f'<image id="0" name="x.png" subset="{subset}">{box}</image>' for subset in ("Train", "Test"))
    text = f"<annotations><meta/>{elements}</annotations>"
    files = {"annotations.xml": text, "images/Train/x.png": None, "images/Test/x.png": None}
    result = kit.read_all(cvat.FORMAT, write_source(files))
    # Both images have their folder in the key, in whatever order they are read.
    assert result.values("split") == {"Train/x": "Train", "Test/x": "Test"}
    assert all(len(objects) == 1 for objects in result.values("objects").values())
    assert not result.report.losses()[0]


def test_skeleton_with_tracks_of_its_points(write_source: WriteSource, kit: SimpleNamespace) -> None:
    def points(label: str, *places: str) -> str:
        shapes = "".join(
            f'<points frame="{2 * index}" outside="{int(place.endswith("!"))}" points="{place.strip("!")}"/>'
            for index, place in enumerate(places)
        )
        return f'<track id="{label}" label="{label}">{shapes}</track>'

    names = "".join(f"<label><name>{name}</name><parent>body</parent></label>" for name in ("l", "r"))
    track = f'<track id="3" label="body">{points("l", "1,1", "5,3")}{points("r", "2,2", "2,4!")}</track>'
    meta = f"<meta><task><labels><label><name>body</name></label>{names}</labels></task></meta>"
    files = {"annotations.xml": f"<annotations>{meta}{track}</annotations>"}
    result = kit.read_all(cvat.FORMAT, write_source({**files, **{f"frame_{number}.png": None for number in range(3)}}))
    geometry = {key: objects[0].geometry for key, objects in result.values("objects").items()}
    assert geometry == {
        "frame_0": Keypoints(((1, 1), (2, 2)), (2, 2)),
        "frame_1": Keypoints(((3, 2), (2, 2)), (2, 2)),
        "frame_2": Keypoints(((5, 3), (2, 4)), (2, 0)),
    }


@pytest.mark.parametrize("stem", ["p%20q", "50%", "a b", "x?y#z", "ä"])
def test_label_studio_encodes_urls(stem: str, tmp_path: Path, kit: SimpleNamespace) -> None:
    stream = kit.dataset([kit.record(stem, objects=(Object("1", "a", Box(1, 1, 4, 4)),))], [ClassInfo("a")])
    report = kit.write_all(labelstudio.FORMAT, stream, tmp_path / "out")
    assert not report.losses()[0]
    url = json.loads((tmp_path / "out" / "tasks.json").read_text())[0]["data"]["image"]
    assert url == f"/data/local-files/?d=images/{quote(stem)}.png"
    assert set(kit.read_all(labelstudio.FORMAT, tmp_path / "out").records) == {stem}


def test_label_studio_reads_unencoded_names(write_source: WriteSource, kit: SimpleNamespace) -> None:
    tasks = [{"data": {"image": "/data/local-files/?d=p%20q.png"}, "annotations": [{"result": []}]}]
    alone = write_source({"tasks.json": json.dumps(tasks), "p%20q.png": None})
    assert set(kit.read_all(labelstudio.FORMAT, alone).records) == {"p%20q"}
    both = write_source({"tasks.json": json.dumps(tasks), "p%20q.png": None, "p q.png": None})
    assert set(kit.read_all(labelstudio.FORMAT, both).records) == {"p q"}


@pytest.mark.parametrize(("width", "height", "x", "y"), [(20, 50, 10, 10), (-20, -50, 30, 60), (20, -50, 10, 60)])
def test_label_studio_rectangle_drawn_backwards(
    width: int, height: int, x: int, y: int, write_source: WriteSource, kit: SimpleNamespace
) -> None:
    value = {"x": x, "y": y, "width": width, "height": height, "rectanglelabels": ["a"]}
    region = {"id": "r", "type": "rectanglelabels", "value": value}
    tasks = [{"data": {"image": "1.png"}, "annotations": [{"result": [region]}]}]
    result = kit.read_all(labelstudio.FORMAT, write_source({"tasks.json": json.dumps(tasks), "1.png": None}))
    ((obj,),) = result.values("objects").values()
    assert obj.geometry.bounds_xyxy() == pytest.approx((0.8, 0.6, 2.4, 3.6))


def test_list_of_another_computer_in_another_normal_form(write_source: WriteSource, kit: SimpleNamespace) -> None:
    """Absolute paths are found by their ends, also if the accents are composed in another way."""
    on_disk, in_list = (unicodedata.normalize(form, "café") for form in ("NFD", "NFC"))
    files = {
        "data.yaml": "names: [cat]\npath: /home/a/set\ntrain: train.txt\nval: valid/images\n",
        "train.txt": f"/home/a/set/images/{in_list}.png\n",
        f"images/{on_disk}.png": None,
        f"labels/{on_disk}.txt": "0 .5 .5 .5 .5\n",
        "val/images/2.png": None,
        "val/labels/2.txt": "0 .5 .5 .5 .5\n",
    }
    result = kit.read_all(yolo.FORMAT, write_source(files))
    assert sorted(result.values("split").values()) == ["train", "val"]
    assert all(len(objects) == 1 for objects in result.values("objects").values())
    assert not result.report.losses()[0]


def test_default_subset_in_another_normal_form(write_source: WriteSource, kit: SimpleNamespace) -> None:
    on_disk, in_xml = (unicodedata.normalize(form, "café") for form in ("NFD", "NFC"))
    box = '<box label="a" xtl="1" ytl="1" xbr="4" ybr="4"/>'
    image = f'<image id="0" name="{in_xml}.png" subset="default" width="8" height="6">{box}</image>'
    files = {"annotations.xml": f"<annotations><meta/>{image}</annotations>", f"images/default/{on_disk}.png": None}
    result = kit.read_all(cvat.FORMAT, write_source(files))
    assert "split" not in result.schema
    assert [unicodedata.normalize("NFC", key) for key in result.records] == [in_xml]
    assert not result.report.losses()[0]
