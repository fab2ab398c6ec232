"""Detection: exactly one format matches a source, and every format gives a reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from saccade.core.errors import FormatError, NotFoundError
from saccade.core.registry import Registry
from saccade.formats import images
from saccade.formats.base import Format
from saccade.formats.detect import detect_format

WriteSource = Callable[[Mapping[str, str | bytes | None]], Path]

COCO = '{"images": [], "annotations": [], "categories": []}'
VOC = "<annotation><filename>1.jpg</filename></annotation>"
SOURCES: dict[str, tuple[str, dict[str, str | None]]] = {
    "coco at the root": ("coco", {"annotations.json": COCO, "images/1.png": None}),
    "coco of cocodataset.org": (
        "coco",
        {
            "annotations/instances_train2017.json": COCO,
            "annotations/captions_train2017.json": COCO,
            "train2017/1.png": None,
            "val2017/2.png": None,
        },
    ),
    "coco of roboflow": ("coco", {"train/_annotations.coco.json": COCO, "train/1.png": None}),
    "yolo with data.yaml": ("yolo", {"data.yaml": "names: [a]\ntrain: images\n", "images/1.png": None}),
    "yolo with splits outside": (
        "yolo",
        {"data.yaml": "names: [a]\n", "train/images/1.png": None, "train/labels/1.txt": ""},
    ),
    "yolo with classes.txt": ("yolo", {"classes.txt": "a\n", "images/1.png": None, "labels/1.txt": "0 .5 .5 1 1"}),
    "yolo flat": ("yolo", {"1.png": None, "1.txt": "0 .5 .5 1 1\n"}),
    "yolo of darknet": ("yolo", {"obj.data": "names = obj.names\n", "obj.names": "a\n", "1.png": None}),
    "voc": ("voc", {"Annotations/1.xml": VOC, "JPEGImages/1.png": None, "ImageSets/Main/train.txt": "1\n"}),
    "voc in a devkit": (
        "voc",
        {"VOCdevkit/VOC2007/Annotations/1.xml": VOC, "VOCdevkit/VOC2007/JPEGImages/1.png": None},
    ),
    "voc beside the images": ("voc", {"train/1.xml": VOC, "train/1.png": None}),
    "class folders": ("folders", {"cat/1.png": None, "dog/1.png": None}),
    "class folders with splits": (
        "folders",
        {"train/cat/1.png": None, "train/dog/1.png": None, "test/cat/2.png": None},
    ),
    "class folders, one class": ("folders", {"cat/1.png": None, "_unlabelled/2.png": None}),
    "plain images": ("images", {"1.png": None, "2.png": None, "notes.txt": "bring milk"}),
    "plain images in a folder": ("images", {"images/1.png": None}),
    "plain images by split": ("images", {"train/1.png": None, "test/2.png": None}),
    "images at the root and below": ("images", {"1.png": None, "a/2.png": None, "b/3.png": None}),
}


@pytest.mark.parametrize("name", SOURCES)
def test_exactly_one_format_matches(name: str, write_source: WriteSource, formats: Registry[Format]) -> None:
    expected, files = SOURCES[name]
    detected, detections = detect_format(write_source(files), formats)
    assert detected == expected
    assert [format_name for format_name, _ in detections] == formats.names()
    assert all(detection.reason for _, detection in detections)
    assert {format_name for format_name, detection in detections if detection.matches} - {"images"} == {expected} - {
        "images"
    }


@pytest.mark.parametrize(
    ("files", "name", "reason"),
    [
        ({"1.png": None}, "coco", "there is no JSON file"),
        ({"a.json": "[1]", "1.png": None}, "coco", "a.json has no images and annotations"),
        ({"1.png": None}, "yolo", "there is no data.yaml, no class names and no label text for an image"),
        ({"1.png": None, "1.txt": "a photo of a cat"}, "yolo", "no label text for an image"),
        ({"1.png": None}, "voc", "there is no XML file in it"),
        ({"1.png": None, "1.xml": "<svg/>"}, "voc", "1.xml is XML, but not an annotation"),
        ({"1.png": None}, "folders", "there are images outside the class folders"),
        ({"a/1.png": None}, "folders", "fewer than two folders contain images: ['a']"),
        ({"a/1.png": None, "b/1.png": None, "labels/1.txt": ""}, "folders", "it has a folder 'labels' for labels"),
        ({"notes.txt": "x"}, "images", "there are no images in it"),
    ],
)
def test_reasons_for_no_match(
    files: dict[str, str | None], name: str, reason: str, write_source: WriteSource, formats: Registry[Format]
) -> None:
    detection = formats.get(name).detect(write_source(files))
    assert not detection.matches
    assert reason in detection.reason


def test_an_empty_folder_is_named(tmp_path: Path, formats: Registry[Format]) -> None:
    with pytest.raises(FormatError, match=r"The folder .* is empty\."):
        detect_format(tmp_path, formats)


def test_single_files(write_source: WriteSource, formats: Registry[Format]) -> None:
    source = write_source({"a.json": COCO, "data.yaml": "names: [a]", "1.png": None, "x.bin": "x"})
    assert detect_format(source / "a.json", formats)[0] == "coco"
    assert detect_format(source / "data.yaml", formats)[0] == "yolo"
    assert detect_format(source / "1.png", formats)[0] == "images"
    with pytest.raises(FormatError, match=r"No format matches the file .*x\.bin") as error:
        detect_format(source / "x.bin", formats)
    assert "voc: " not in error.value.message
    assert "folder with the images" in error.value.hint


@pytest.mark.parametrize(
    ("name", "content", "format_name"),
    [
        ("1.xml", VOC, "voc"),
        ("boxes.csv", "image,class,xmin,ymin,xmax,ymax\n1.png,a,1,1,2,2\n", "csv"),
        ("via.json", '{"a": {"filename": "1.png", "regions": []}}', "via"),
        ("1.json", '{"shapes": [], "imagePath": "1.png"}', "labelme"),
    ],
)
def test_a_label_file_of_a_folder_names_the_folder(
    name: str, content: str, format_name: str, write_source: WriteSource, formats: Registry[Format]
) -> None:
    source = write_source({name: content, "1.png": None})
    with pytest.raises(FormatError, match=rf"{name} has labels of .* \({format_name}\)") as error:
        detect_format(source / name, formats)
    assert error.value.hint == f"Import the folder: saccade import {source.resolve()}"
    assert "\n" not in error.value.message


def test_unknown_and_missing_sources(tmp_path: Path, formats: Registry[Format]) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(FormatError, match="there are no images in it") as error:
        detect_format(tmp_path, formats)
    assert all(f"{name}: " in error.value.message for name in formats.names())
    with pytest.raises(NotFoundError, match="no file or folder"):
        detect_format(tmp_path / "missing", formats)


def test_ambiguous_source(write_source: WriteSource, formats: Registry[Format]) -> None:
    source = write_source({"annotations.json": COCO, "1.png": None, "1.txt": "0 .5 .5 1 1"})
    with pytest.raises(FormatError, match="could be coco or yolo") as error:
        detect_format(source, formats)
    assert "--format coco" in error.value.hint


def test_real_data(shared_data: Path, formats: Registry[Format]) -> None:
    assert detect_format(shared_data / "bccd", formats)[0] == "voc"
    assert detect_format(shared_data / "coco-eval" / "instances_val2014_100.json", formats)[0] == "coco"
    results = formats.get("coco").detect(shared_data / "coco-eval" / "instances_val2014_fakebbox100_results.json")
    assert not results.matches


def test_unsupported_label_files_are_reported(
    write_source: WriteSource, kit: SimpleNamespace, formats: Registry[Format]
) -> None:
    source = write_source({"1.png": None, "boxes.yaml": "images: [{file: 1.png, boxes: [", "notes/read.me": "x"})
    with pytest.raises(FormatError, match=r"images: boxes\.yaml may hold labels"):
        detect_format(source, formats)
    result = kit.read_all(images.FORMAT, source)
    assert [(str(finding.action), finding.reason, finding.detail) for finding in result.report] == [
        ("warning", "file that is not an image and is not read", "notes/read.me"),
        ("dropped", "file that may contain labels and was not read", "boxes.yaml"),
    ]


@pytest.mark.parametrize("text", ['[{"a": 1', "{", '{"notes": ["a",]}'])
@pytest.mark.parametrize("is_file", [False, True])
def test_broken_json_is_one_clear_error(text: str, is_file: bool, write_source: WriteSource) -> None:
    source = write_source({"labels.json": text})
    with pytest.raises(FormatError, match=r"labels\.json is not valid JSON") as error:
        detect_format(source / "labels.json" if is_file else source)
    assert "\n" not in str(error.value)
