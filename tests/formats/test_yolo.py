"""YOLO: the forms of data.yaml, good and bad label lines, and hostile files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from saccade.core.errors import FormatError
from saccade.core.objects import Box, Keypoints, Object, Polygon, RotatedBox
from saccade.core.schema import ClassInfo, Kind
from saccade.formats.yolo import FORMAT

WriteSource = Callable[[Mapping[str, str | bytes | None]], Path]
YAML = "names: [cup, plate]\ntrain: images\n"


def source_files(lines: str, yaml: str = YAML) -> dict[str, str | bytes | None]:
    return {"data.yaml": yaml, "images/1.png": None, "labels/1.txt": lines}


def test_golden_file(golden: Path, write_source: WriteSource, kit: Any) -> None:
    """The files in tests/golden, value by value, in images of 8 x 6."""
    files: dict[str, str | bytes | None] = {
        path.relative_to(golden / "yolo").as_posix(): path.read_text() for path in (golden / "yolo").rglob("*.*")
    }
    images = dict.fromkeys(f"images/{name}.png" for name in ("train/a", "train/b", "train/d", "val/c"))
    result = kit.read_all(FORMAT, write_source({**files, **images}))
    assert result.schema["objects"].class_names == ("cup", "no")
    assert result.values("split") == {"a": "train", "b": "train", "d": "train", "c": "val"}
    assert result.values("objects") == {
        "a": (Object("1", "cup", Box(3, 1.5, 5, 4.5)), Object("2", "no", Box(0, 0, 2, 3), 0.9)),
        "b": (),
        "d": None,
        "c": (Object("1", "no", Polygon.simple([(0, 0), (4, 0), (4, 6)])),),
    }
    assert len(result.report) == 0


@pytest.mark.parametrize(
    ("line", "finding", "box"),
    [
        ("0 0.5 0.5 0.5", ("dropped", "line with a wrong number of values"), None),
        ("0 0.5 0.5 0.5 1 0.5 0.5 0.5", ("dropped", "line with a wrong number of values"), None),
        ("2 0.5 0.5 0.5 1", ("dropped", "class number out of range"), None),
        ("-1 0.5 0.5 0.5 1", ("dropped", "class number out of range"), None),
        ("0.5 0.5 0.5 0.5 1", ("dropped", "class number out of range"), None),
        ("nan 0.5 0.5 0.5 1", ("dropped", "class number out of range"), None),
        ("0 nan 0.5 0.5 1", ("dropped", "line with numbers that are not finite"), None),
        ("0 0.5 0.5 inf 1", ("dropped", "line with numbers that are not finite"), None),
        ("cup 0.5 0.5 0.5 1", ("dropped", "line that is not numbers"), None),
        ("0 4 3 2 2", ("dropped", "coordinates that are not in 0 to 1"), None),
        ("0 0.5 0.5 0.5 -0.5", ("dropped", "coordinates that are not in 0 to 1"), None),
        ("0 0.5 0.5 0 1", ("dropped", "box without area"), None),
        ("0 1 0.5 0.5 1", ("clipped", "box over the edge of the image"), (6, 0, 8, 6)),
        ("0 0.5 0.5 0.25 0.5", ("warning", "duplicate box"), (3, 1.5, 5, 4.5)),
        ("0 0 0 1 1 0.5 0.5", ("dropped", "shape without area"), None),
    ],
)
def test_bad_lines(
    line: str, finding: tuple[str, str], box: tuple[float, ...] | None, write_source: WriteSource, kit: Any
) -> None:
    result = kit.read_all(FORMAT, write_source(source_files(f"0 0.5 0.5 0.25 0.5\n\n{line}\n")))
    first, *others = result.records["1"].values["objects"]
    assert first == Object("1", "cup", Box(3, 1.5, 5, 4.5))
    assert result.reasons() == {finding: 1}
    assert [(obj.id, obj.geometry.bounds_xyxy()) for obj in others] == ([] if box is None else [("2", box)])


def test_rounding_over_the_edge_is_not_reported(write_source: WriteSource, kit: Any) -> None:
    result = kit.read_all(FORMAT, write_source(source_files("0 0.833334 0.5 0.333333 1.000001\n")))
    (obj,) = result.records["1"].values["objects"]
    assert obj.geometry.bounds_xyxy()[1:] == (0.0, 8.0, 6.0)
    assert len(result.report) == 0


def test_keypoints(write_source: WriteSource, kit: Any) -> None:
    lines = "0 0.5 0.5 0.5 0.5 0.25 0.5 2 0 0 0\n"
    result = kit.read_all(FORMAT, write_source(source_files(lines, YAML + "kpt_shape: [2, 3]\n")))
    (obj,) = result.records["1"].values["objects"]
    assert obj.geometry == Keypoints(((2, 3), (0, 0)), (2, 0), Box(2, 1.5, 6, 4.5))


LAYOUTS: dict[str, dict[str, str | None]] = {
    "images/train": {
        "data.yaml": "train: images/train\nval: images/val\nnames: {0: cup}",
        "images/train/1.png": None,
        "labels/train/1.txt": "0 .5 .5 1 1",
        "images/val/2.png": None,
    },
    "train/images as roboflow writes it": {
        "data.yaml": "train: ../train/images\nval: ../valid/images\nnames: ['cup']\nnc: 1",
        "train/images/1.png": None,
        "train/labels/1.txt": "0 .5 .5 1 1",
        "valid/images/2.png": None,
    },
    "lists of folders": {
        "data.yaml": "path: .\ntrain: [images/a, images/b]\nval:\n  - images/c\nnames: [cup]",
        "images/b/1.png": None,
        "labels/b/1.txt": "0 .5 .5 1 1",
        "images/c/2.png": None,
    },
    "text files": {
        "data.yaml": "train: train.txt\nval: lists/val.txt\nnames: [cup]",
        "train.txt": "./images/train/1.png\n",
        "lists/val.txt": "images/val/2.png\n\n",
        "images/train/1.png": None,
        "labels/train/1.txt": "0 .5 .5 1 1",
        "images/val/2.png": None,
    },
    "no data.yaml": {
        "classes.txt": "cup\n",
        "images/train/1.png": None,
        "labels/train/1.txt": "0 .5 .5 1 1",
        "images/val/2.png": None,
    },
    "darknet as cvat writes it": {
        "obj.data": "classes = 1\ntrain = data/train.txt\nvalid = data/val.txt\nnames = data/obj.names\n",
        "obj.names": "cup\n",
        "train.txt": "data/obj_train_data/1.png\n",
        "val.txt": "data/obj_train_data/2.png\n",
        "obj_train_data/1.png": None,
        "obj_train_data/1.txt": "0 .5 .5 1 1",
        "obj_train_data/2.png": None,
    },
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(name: str, write_source: WriteSource, kit: Any) -> None:
    result = kit.read_all(FORMAT, write_source(LAYOUTS[name]))
    by_name = {key.rsplit("/", 1)[-1]: record.values for key, record in result.records.items()}
    assert by_name == {
        "1": {"objects": (Object("1", "cup", Box(0, 0, 8, 6)),), "split": "train"},
        "2": {"objects": None, "split": "val"},
    }
    assert [finding.reason for finding in result.report] == (
        ["folder of a split that is not in the source"] if name == "lists of folders" else []
    )


def test_flat_layout_without_names(write_source: WriteSource, kit: Any) -> None:
    result = kit.read_all(FORMAT, write_source({"1.png": None, "1.txt": "2 .5 .5 1 1", "a/1.png": None, "a/1.txt": ""}))
    assert result.schema.names == ("image", "objects")
    assert result.schema["objects"].class_names == ("0", "1", "2")
    assert result.values("objects") == {"1": (Object("1", "2", Box(0, 0, 8, 6)),), "a/1": ()}
    assert [finding.action for finding in result.report] == ["inferred"]


def test_names(write_source: WriteSource, kit: Any) -> None:
    """Names stay text, never booleans or numbers; gaps and repetitions are reported."""
    yaml = "names: {0: yes, 1: 1.0, 3: yes, 4: ''}\nnc: 2\ntrain: images\n"
    result = kit.read_all(FORMAT, write_source(source_files("", yaml)))
    assert result.schema["objects"].class_names == ("yes", "1.0", "class 2", "yes (3)", "class 4")
    assert result.reasons() == {
        ("inferred", "name of a class that data.yaml leaves out"): 1,
        ("warning", "number of classes that disagrees"): 1,
        ("repaired", "name of a class that is empty or repeated"): 2,
    }


def test_splits_and_mismatched_files(write_source: WriteSource, kit: Any) -> None:
    result = kit.read_all(
        FORMAT,
        write_source(
            {
                "data.yaml": "names: [cup]\ntrain: images\nval: images/b\ntest: far\n",
                "images/a.png": None,
                "images/b/a.png": None,
                "images/broken.png": b"no image",
                "labels/broken.txt": "0 .5 .5 1 1",
                "labels/lost.txt": "0 .5 .5 1 1",
            }
        ),
    )
    assert result.values("split") == {"a": "train", "b/a": "train"}
    assert {(f.action, f.reason, f.key or f.detail) for f in result.report} == {
        ("warning", "image in two splits", "a"),
        ("skipped", "folder of a split that is not in the source", "test: 'far'"),
        ("skipped", "label file without an image", "labels/lost.txt"),
        ("skipped", "image that cannot be opened", "broken"),
    }


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("names: !!python/object/apply:os.system ['true']\n", "cannot be read safely|can be read safely"),
        ("names: [a]\ntrain: !!python/name:os.system\n", "can be read safely"),
        ("names: [a\n", "can be read safely"),
        ("names: " + "[" * 50_000, "can be read safely"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nnames: [*b]\n", "must be text"),
        ("names: 5\n", "needs 'names'"),
        ("names: {a: b}\n", "need whole numbers"),
        ("names: {999999999: b}\n", "must lie in 0 to 99999"),
    ],
)
def test_hostile_yaml(yaml: str, message: str, write_source: WriteSource, kit: Any) -> None:
    with pytest.raises(FormatError, match=message):
        kit.read_all(FORMAT, write_source(source_files("", yaml)))


def test_names_never_leave_the_source(write_source: WriteSource, kit: Any, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    for name in ("secret.png", "far/1.png"):
        (tmp_path / name).write_bytes(kit.png())
    yaml = f"names: [cup]\npath: ..\ntrain: [images, {tmp_path}/far, ../far]\nval: list.txt\n"
    lines = f"../secret.png\n{tmp_path}/secret.png\nimages/link.png\n"
    source = write_source({**source_files("", yaml), "list.txt": lines})
    (source / "images/link.png").symlink_to(tmp_path / "secret.png")
    (source / "images/far").symlink_to(tmp_path / "far")
    result = kit.read_all(FORMAT, source)
    assert set(result.records) == {"1"}
    assert result.reasons() == {
        ("skipped", "folder of a split that is not in the source"): 2,
        ("skipped", "file name that leads outside the source"): 3,
        ("skipped", "link that leads outside the source"): 2,
    }


def test_round_trip(kit: Any, tmp_path: Path) -> None:
    objects = (Object("1", "plate: no", Box(0.1, 0.2, 7.7, 5.3)), Object("2", "yes", Box(1 / 3, 0, 8, 6)))
    records = [
        kit.record("a/images/b", objects=objects, split="train"),
        kit.record("c", objects=(), split="null"),
        kit.record("d", objects=None, split=None),
    ]
    reading = kit.dataset(records, ["yes", "plate: no", "unused"], split=Kind.TEXT)
    report = kit.write_all(FORMAT, reading, tmp_path / "out")
    assert [(f.reason, f.key) for f in report] == [("key changed to be a file name", "a/images/b")]
    result = kit.read_all(FORMAT, tmp_path / "out")
    assert result.values("split") == {"a/_images/b": "train", "c": "null", "d": None}
    assert result.schema["objects"].class_names == ("yes", "plate: no", "unused")
    for result_obj, obj in zip(result.records["a/_images/b"].values["objects"], objects, strict=True):
        assert result_obj.geometry.bounds_xyxy() == pytest.approx(obj.geometry.bounds_xyxy(), rel=1e-9)
    assert result.values("objects")["c"] == ()
    assert result.values("objects")["d"] is None
    assert len(result.report) == 0


def test_without_splits(kit: Any, tmp_path: Path) -> None:
    kit.write_all(FORMAT, kit.dataset([kit.record("a", objects=())], ["cup"]), tmp_path / "out")
    assert (tmp_path / "out/labels/a.txt").read_text() == ""
    result = kit.read_all(FORMAT, tmp_path / "out")
    assert result.schema.names == ("image", "objects")
    assert result.values("objects") == {"a": ()}


def test_losses_are_reported(kit: Any, tmp_path: Path) -> None:
    objects = (
        Object("x", "cup", RotatedBox(4, 3, 2, 2, 45), 0.5, "t", {"colour": "red"}),
        Object("2", "cup", Box(-1, 0, 2, 2)),
        Object("3", "cup", Box(9, 0, 10, 2)),
        Object("4", "cup", Box(1, 1, 1, 2)),
    )
    records = [kit.record("k", objects=objects, caption="hello")]
    reading = kit.dataset(records, [ClassInfo("cup", "kitchen")], caption=Kind.TEXT)
    report = kit.write_all(FORMAT, reading, tmp_path / "out")
    assert {(f.action, f.reason, f.object_id) for f in report} == {
        ("dropped", "detail of a class", ""),
        ("dropped", "score", "x"),
        ("dropped", "track", "x"),
        ("dropped", "attribute", "x"),
        ("dropped", "shape of a rotated box, written as its box", "x"),
        ("clipped", "box over the edge of the image", "2"),
        ("dropped", "box outside the image", "3"),
        ("dropped", "object without area", "4"),
        ("dropped", "ids of objects", ""),
        ("dropped", "column that the format does not support", ""),
    }
    result = kit.read_all(FORMAT, tmp_path / "out")
    assert [obj.geometry.bounds_xyxy() for obj in result.records["k"].values["objects"]] == [
        pytest.approx((4 - 2**0.5, 3 - 2**0.5, 4 + 2**0.5, 3 + 2**0.5)),
        pytest.approx((0, 0, 2, 2)),
    ]


LINE = "0 .5 .5 .5 .5\n"


@pytest.mark.parametrize(
    ("yaml", "more", "split"),
    [
        ("names: [a]", {}, None),
        ("names: [a]\npath: /home/me/data", {}, None),
        ("names: [a]\npath: /home/me/data\ntrain: images/", {}, "train"),
        ("names: [a]\ntrain: /home/me/data/images", {}, "train"),
        ("names: [a]\npath: C:\\me\\data\nval: train.txt", {"train.txt": "C:\\me\\data\\images\\1.png\n"}, "val"),
        ("names: [a]\ntrain: list.txt", {"list.txt": "/home/me/data/images/1.png\n"}, "train"),
        ("names: [a]\ntrain: ../elsewhere/photos", {}, None),
    ],
)
def test_images_of_another_computer(
    yaml: str, more: dict[str, str], split: str | None, write_source: WriteSource, kit: Any
) -> None:
    source = write_source({"data.yaml": yaml, "images/1.png": None, "labels/1.txt": LINE, **more})
    result = kit.read_all(FORMAT, source)
    assert [obj.class_name for obj in result.records["1"].values["objects"]] == ["a"]
    assert result.records["1"].values.get("split") == split
    assert result.report.losses()[0] == 0


def test_images_are_found_by_split_folders(write_source: WriteSource, kit: Any) -> None:
    files = {f"{split}/{name}" for split in ("train", "valid") for name in ("images/1.png", "labels/1.txt")}
    contents = {file: LINE if file.endswith(".txt") else None for file in files}
    result = kit.read_all(FORMAT, write_source({"data.yaml": "names: [a]\ntrain: /x/y", **contents}))
    assert sorted(result.values("split").values()) == ["train", "valid"]
    assert result.reasons() == {
        ("repaired", "key made unique"): 1,
        ("warning", "split of data.yaml that is not in the source"): 1,
        ("warning", "images that data.yaml does not name, found by their folders"): 1,
    }


def test_a_linked_folder_of_images_counts_once(write_source: WriteSource, kit: Any) -> None:
    source = write_source({"data.yaml": "names: [a]", "photos/1.png": None, "labels/1.txt": LINE})
    (source / "images").symlink_to("photos")
    result = kit.read_all(FORMAT, source)
    assert [len(objects) for objects in result.values("objects").values()] == [1]


def test_crowd_regions_are_left_out(kit: Any, tmp_path: Path) -> None:
    objects = (
        Object("1", "a", Box(0, 0, 4, 3)),
        Object("2", "a", Box(0, 0, 8, 6), attributes={"crowd": True}),
        Object("3", "a", Box(2, 2, 5, 5)),
    )
    report = kit.write_all(FORMAT, kit.dataset([kit.record("1", objects=objects)], ["a"]), tmp_path)
    assert len((tmp_path / "labels/1.txt").read_text().splitlines()) == 2
    counts = {reason: count for (action, reason), count in report.counts().items() if action == "dropped"}
    assert counts["crowd region, which would be an ordinary object in YOLO"] == 1
    assert "attribute" not in counts
