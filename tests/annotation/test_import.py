"""Import of labels into a label set: matching, changes of known objects, classes, and sources without images."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.annotation.conftest import ANN, edit, put, write_pictures

from saccade.annotation.label_sets import LabelSets
from saccade.annotation.reader import LabelSetReader
from saccade.annotation.records import AttributeSpec
from saccade.app.labels.exporting import export_label_set
from saccade.app.labels.importing import import_labels
from saccade.core.errors import FormatError, NotFoundError
from saccade.core.objects import Box, Objects
from saccade.core.report import FindingType


@pytest.fixture
def sets(label_sets: LabelSets) -> LabelSets:
    """The label sets ``one`` and ``two`` of the same five pictures; the second picture has a cat."""
    write_pictures(label_sets.workspace)
    label_sets.create("one", "pictures")
    label_sets.create("two", "pictures")
    return label_sets


def values(label_sets: LabelSets, name: str) -> dict[str, Objects | None]:
    return {item.key: item["objects"] for item in LabelSetReader(label_sets, name).items(["objects"])}


def coco(folder: Path, boxes: dict[str, list[tuple[Any, str, list[float]]]], **more: Any) -> Path:
    """Write a COCO file without images: for each image, the id, class and box (x, y, width, height) of objects."""
    names = list(dict.fromkeys(name for entries in boxes.values() for _, name, _ in entries))
    data = {
        "images": [{"id": n, "file_name": file, "width": 24, "height": 16} for n, file in enumerate(boxes, 1)],
        "categories": [{"id": n, "name": name} for n, name in enumerate(names, 1)],
        "annotations": [
            {"id": i, "image_id": n, "category_id": names.index(name) + 1, "bbox": box, "area": 1, "iscrowd": 0, **more}
            for n, entries in enumerate(boxes.values(), 1)
            for i, name, box in entries
        ],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "instances.json"
    path.write_text(json.dumps(data))
    return path


def test_known_objects_are_changed_and_others_added(sets: LabelSets, tmp_path: Path) -> None:
    sets.apply("one", [edit("a/p1", "patch", "1", {"score": 0.5, "attributes.pose": "sits"})], ANN)
    source = coco(
        tmp_path,
        {
            "a/p1.png": [(1, "dog", [2, 2, 6, 6]), (7, "bird", [0, 0, 4, 4])],
            "elsewhere/p2.png": [(8, "cat", [1, 1, 2, 2])],
            "p9.png": [(9, "cat", [1, 1, 2, 2])],
        },
    )
    checked = import_labels(sets, "one", source, check=True)
    assert sets.get("one").seq == 1, "only checked"
    assert "bird" not in [entry.name for entry in sets.classes("one")]
    result = import_labels(sets, "one", source)
    for report in (checked, result):
        assert (report.format, report.items, report.added, report.changed) == ("coco", 2, 2, 1)
        assert (report.unchanged, report.refused, report.classes) == (0, 0, ["bird"])
        assert report.unmatched == 1
    objects = values(sets, "one")
    (one, seven) = objects["a/p1"] or ()
    assert (one.class_name, one.geometry, one.score, one.attributes) == ("dog", Box(2, 2, 8, 8), 0.5, {"pose": "sits"})
    assert (seven.id, seven.class_name) == ("7", "bird")
    assert [obj.id for obj in objects["a/p2"] or ()] == ["8"]
    edits = sets.history("one", after=1)
    assert {applied.edit.group for applied in edits} == {result.group}, "one step of undo"
    assert [applied.edit.fields["source"] for applied in edits if applied.edit.kind == "put"] == ["import"] * 2
    again = import_labels(sets, "one", source)
    assert (again.added, again.changed, again.unchanged, again.classes) == (0, 0, 3, [])
    assert sets.get("one").seq == 4


def test_what_matches_nothing_is_reported(sets: LabelSets, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    export_label_set(sets, "one", folder, "coco")
    sets.create("some", "pictures", query='key == "a/p0"')
    result = import_labels(sets, "some", folder)
    assert (result.items, result.unmatched, result.added) == (0, 1, 0)
    assert [(finding.action, finding.key) for finding in result.report if "label set" in finding.reason] == [
        (FindingType.SKIPPED, "a/p1")
    ]


@pytest.mark.parametrize("format", ["coco", "yolo", "voc", "cvat", "labelme", "labelstudio"])
@pytest.mark.parametrize("with_images", [True, False])
def test_formats_with_and_without_images(sets: LabelSets, tmp_path: Path, format: str, with_images: bool) -> None:
    edits = [put("a/p0", "x", "c1"), put("a/p3", "y", "c2"), edit("a/p1", "delete", "1")]
    sets.apply("one", edits, ANN)
    folder = tmp_path / "out"
    export_label_set(sets, "one", folder, format)
    if not with_images:
        for image in folder.rglob("*.png"):
            image.unlink()
    result = import_labels(sets, "two", folder)
    assert (result.format, result.added, result.changed, result.unmatched) == (format, 2, 0, 0), list(result.report)
    assert result.report.losses()[0] <= 1, list(result.report)
    objects = values(sets, "two")
    expected = {"a/p0": ["cat"], "a/p1": ["cat"], "a/p2": None, "a/p3": ["dog"], "a/p4": None}
    assert {k: v and [obj.class_name for obj in v] for k, v in objects.items()} == expected
    for key in ("a/p0", "a/p3"):
        (obj,) = objects[key] or ()
        assert obj.geometry.bounds_xyxy() == pytest.approx((0, 0, 10, 10))


def test_one_file_of_a_tool(sets: LabelSets, tmp_path: Path) -> None:
    """CVAT exports one XML file, beside which a person may have any pictures."""
    sets.apply("one", [put("a/p0", "x", "c1")], ANN)
    export_label_set(sets, "one", tmp_path / "out", "cvat")
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    shutil.copy(tmp_path / "out" / "annotations.xml", downloads)
    shutil.copy(tmp_path / "out" / "images" / "a" / "p4.png", downloads / "other.png")
    result = import_labels(sets, "two", downloads / "annotations.xml")
    assert (result.format, result.added, result.unmatched) == ("cvat", 1, 0)


def test_refused_objects_do_not_stop_the_others(sets: LabelSets, tmp_path: Path) -> None:
    cat = next(entry for entry in sets.classes("one") if entry.name == "cat")
    sets.put_class("one", replace(cat, attributes=(AttributeSpec("pose", "select", ("1", "2")),)))
    source = coco(tmp_path / "a", {"a/p0.png": [(5, "cat", [0, 0, 4, 4])]}, attributes={"pose": 3})
    result = import_labels(sets, "one", source)
    assert (result.added, result.refused) == (0, 1)
    (finding,) = [finding for finding in result.report if "refused" in finding.reason]
    assert (finding.reason, finding.key, finding.object_id) == ("object refused (attribute-invalid)", "a/p0", "5")
    source = coco(tmp_path / "b", {"a/p0.png": [(5, "cat", [0, 0, 4, 4])]}, attributes={"pose": 2})
    assert import_labels(sets, "one", source).added == 1
    (obj,) = values(sets, "one")["a/p0"] or ()
    assert obj.attributes == {"pose": "2"}, "the choice that the number was read from"


def test_confirmed_empty_items(sets: LabelSets, tmp_path: Path) -> None:
    source = coco(tmp_path, {"a/p0.png": [], "a/p1.png": [], "a/p2.png": [(3, "cat", [0, 0, 4, 4])]})
    result = import_labels(sets, "one", source)
    assert (result.emptied, result.added) == (1, 1)
    states = {item.key: str(item.state) for item in sets.items("one")[2]}
    assert states == {
        "a/p0": "empty",
        "a/p1": "labelled",
        "a/p2": "in_progress",
        "a/p3": "unlabelled",
        "a/p4": "unlabelled",
    }


def test_mistakes(sets: LabelSets, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        import_labels(sets, "none", tmp_path)
    with pytest.raises(NotFoundError):
        import_labels(sets, "one", tmp_path / "none", format="coco")
    with pytest.raises(NotFoundError):
        import_labels(sets, "one", tmp_path, format="cocoa")
    (tmp_path / "notes.txt").write_text("no labels")
    with pytest.raises(FormatError):
        import_labels(sets, "one", tmp_path)
