"""Notebook displays of datasets, and their conversion to other Python libraries."""

from __future__ import annotations

import base64
import io
import pickle
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import saccade
from saccade.app.datasets.classes import edit_classes
from saccade.core.class_edits import RenameClass
from saccade.core.errors import InvalidValueError, MissingExtraError
from saccade.core.geometry import mask_from_array
from saccade.core.objects import Box, Mask, Object, Objects, Polygon
from saccade.core.reader import Item
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Column, ImageRef, Kind, Schema
from saccade.html_report.notebook import item_html
from saccade.store.datasets.version import DatasetVersion
from saccade.store.workspace import Workspace

HOSTILE = "<script>alert('x')</script>\"&"
SCHEMA = Schema(
    (
        Column("image", Kind.IMAGE),
        Column("objects", Kind.OBJECTS, (ClassInfo("cat", color="#12ab34"), ClassInfo(HOSTILE))),
        Column("label", Kind.LABEL, (ClassInfo("day"), ClassInfo("night"))),
        Column("number", Kind.NUMBER),
    )
)


@pytest.fixture
def version(tmp_path: Path) -> Iterator[DatasetVersion]:
    """Eight items with images of distinct colours; the last but one is unlabelled, the last has no image."""
    with Workspace.create(tmp_path / "home") as workspace:
        items = []
        for number in range(7):
            buffer = io.BytesIO()
            Image.new("RGB", (400, 300), (number * 30, 100, 50)).save(buffer, "png")
            digest = workspace.blobs.put_bytes(buffer.getvalue())
            ref = ImageRef(digest, len(buffer.getvalue()), f"{number}.png", 400, 300, "png")
            objects: Objects | None = (
                Object("1", "cat", Box(10, 20, 110, 220)),
                Object("2", HOSTILE, Polygon.simple([(0, 0), (40, 0), (0, 30)]), score=0.5),
            )
            objects = objects if number < 6 else None
            label = "day" if number < 6 else None
            values = {"image": ref, "objects": objects, "label": label, "number": float(number)}
            items.append(Item(f"item {number}", values))
        items.append(Item(HOSTILE, {"label": "night"}))
        yield workspace.datasets.write("d", SCHEMA, items, mode="create")


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "xlink:href")]
        if tag not in ("image", "path", "br", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("image", "path", "br", "circle"):
            assert self.open.pop() == tag


def parse(html: str) -> _Parser:
    """Check that the HTML is balanced, has no scripts, and refers to nothing outside itself."""
    parser = _Parser()
    parser.feed(html)
    assert not parser.open
    assert "script" not in parser.tags
    assert all(link.startswith("data:image/jpeg;base64,") for link in parser.links)
    assert "url(" not in html
    return parser


def test_a_dataset_shows_thumbnails_with_objects(version: DatasetVersion) -> None:
    html = version._repr_html_()
    parser = parse(html)
    assert parser.tags.count("figure") == 6
    assert len(parser.links) == 6
    assert "--stroke:#12ab34" in html
    assert len(html) < 100_000
    thumbnail = Image.open(io.BytesIO(base64.b64decode(parser.links[5].partition(",")[2])))
    assert max(thumbnail.size) <= 240
    pixel: Any = thumbnail.getpixel((5, 5))
    assert abs(pixel[0] - 150) < 6
    assert 'd="M10.00 20.00L110.00 20.00L110.00 220.00L10.00 220.00Z"' in html


def test_slices_items_and_diffs_are_shown(version: DatasetVersion, tmp_path: Path) -> None:
    html = version[6:]._repr_html_()
    assert parse(html).tags.count("figure") == 2
    assert HOSTILE not in html
    item = version[0]._repr_html_()
    assert len(parse(item).links) == 1
    assert "0.png, 400 x 300" in item
    assert parse(next(version.items())._repr_html_()).links == [], "an item without a version has no image"
    with Workspace.open(tmp_path / "home") as workspace:
        workspace.datasets.delete_items("d", [HOSTILE])
        diff = workspace.datasets.diff("d@1", "d@2")._repr_html_()
        workspace.datasets.write("d", SCHEMA, [Item("item 0", {"number": 5.0})], mode="merge")
        changed = workspace.datasets.diff("d@2", "d@3")._repr_html_()
        edit_classes(workspace, "d", [RenameClass(name="cat", new_name="tiger")])
        renamed = workspace.datasets.diff("d@3", "d@4")._repr_html_()
    parse(diff)
    assert "&lt;script&gt;" in diff
    assert "item 0 (image, objects, label, number)" in changed
    assert "cat → tiger" in renamed


def test_a_missing_image_does_not_hide_the_others(version: DatasetVersion, tmp_path: Path) -> None:
    ref: Any = version[2]["image"]
    content = version.read_media(ref)
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.read_bytes() == content:
            path.unlink()
    html = version._repr_html_()
    assert len(parse(html).links) == 5
    assert "Image not available" in html


def test_import_reports_are_shown() -> None:
    report = ConversionReport()
    assert "No findings" in report._repr_html_()
    for number in range(3):
        report.add(FindingType.DROPPED, "box without area", key=f"{HOSTILE}{number}", detail="width 0")
    html = report._repr_html_()
    parse(html)
    assert "<td>box without area</td><td>3</td>" in html


@given(st.text(min_size=1), st.text(min_size=1), st.text())
def test_any_text_is_escaped(key: str, class_name: str, note: str) -> None:
    item = Item(key, {"objects": (Object("1", class_name, Box(0, 0, 1, 1)),), "note": note})
    parser = parse(item_html(item))
    assert set(parser.tags) <= {"style", "div", "table", "tr", "td"}


@pytest.mark.usefixtures("notebook_libraries")
def test_pandas(version: DatasetVersion) -> None:
    pytest.importorskip("pandas")
    frame = version.to_pandas()
    assert list(frame.index) == version.keys()
    assert list(frame.columns) == list(SCHEMA.names)
    assert frame.loc["item 3", "number"] == 3.0
    objects = version.to_pandas("objects")
    assert len(objects) == 12
    assert objects.iloc[0].to_dict() | {"score": None, "track": None} == {
        "key": "item 0",
        "id": "1",
        "class": "cat",
        "type": "box",
        "x1": 10.0,
        "y1": 20.0,
        "x2": 110.0,
        "y2": 220.0,
        "area": 20000.0,
        "score": None,
        "track": None,
    }
    with pytest.raises(InvalidValueError, match="label"):
        version.to_pandas("label")


def negate(sample: dict[str, Any]) -> dict[str, Any]:
    return sample | {"number": None if sample["number"] is None else -sample["number"]}


def test_torch_samples(version: DatasetVersion) -> None:
    torch = pytest.importorskip("torch")
    dataset = version.to_torch(transform=negate)
    assert isinstance(dataset, torch.utils.data.Dataset)
    assert len(dataset) == 8
    sample = dataset[2]
    assert (sample["key"], sample["label"], sample["number"]) == ("item 2", 0, -2.0)
    assert (sample["image"].shape, sample["image"].dtype) == ((3, 300, 400), torch.uint8)
    assert sample["image"][:, 0, 0].tolist() == [60, 100, 50]
    assert sample["objects"]["boxes"].tolist() == [[10, 20, 110, 220], [0, 0, 40, 30]]
    assert sample["objects"]["labels"].tolist() == [0, 1]
    assert (dataset[6]["objects"], dataset[6]["label"], dataset[7]["image"]) == (None, -1, None)
    assert len(pickle.dumps(dataset)) < 10_000, "pickled as a reference"


@pytest.mark.slow
def test_torch_workers_reopen_the_version(version: DatasetVersion) -> None:
    torch = pytest.importorskip("torch")
    loader = torch.utils.data.DataLoader(
        version.to_torch(), num_workers=1, collate_fn=list, multiprocessing_context="spawn"
    )
    assert [sample["key"] for (sample,) in loader] == version.keys()


@pytest.mark.usefixtures("notebook_libraries")
def test_hugging_face(version: DatasetVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hf = pytest.importorskip("datasets")
    monkeypatch.setattr(hf.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    rows = version.to_hf()
    assert rows["key"][:] == version.keys()
    assert np.asarray(rows[1]["image"])[0, 0].tolist() == [30, 100, 50]
    assert rows[1]["label"] == 0
    assert rows.features["label"].names == ["day", "night"]
    assert rows[1]["objects"][0]["bbox"] == [10, 20, 110, 220]
    assert (rows[6]["objects"], rows[7]["image"]) == (None, None)


def test_supervision(version: DatasetVersion) -> None:
    pytest.importorskip("supervision")
    dataset = version.to_supervision()
    assert len(dataset) == 7
    key, image, detections = dataset[1]
    assert (key, image[0, 0].tolist()) == ("item 1", [50, 100, 30])
    assert detections.xyxy.tolist() == [[10, 20, 110, 220], [0, 0, 40, 30]]
    assert detections.data["class_name"].tolist() == ["cat", HOSTILE]
    objects = saccade.from_supervision(detections)
    assert [(obj.id, obj.class_name) for obj in objects] == [("1", "cat"), ("2", HOSTILE)]
    assert objects[0].geometry == Box(10, 20, 110, 220)
    train, test = dataset.split(0.5, random_state=1)
    assert {key for key, _, _ in [*train, *test]} == {f"item {number}" for number in range(7)}


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 4), st.floats(0, 1, width=32))))
def test_masks_survive_a_round_trip_through_supervision(rows: list[tuple[int, int, int, float]]) -> None:
    pytest.importorskip("supervision")
    from saccade.app.datasets.converters import objects_to_detections

    objects = []
    for number, (x, y, size, score) in enumerate(rows):
        array = np.zeros((8, 9), bool)
        array[y : y + size, x : x + size] = True
        mask: Mask = mask_from_array(array)
        objects.append(Object(f"o{number}", "ab"[x % 2], mask, score))
    detections = objects_to_detections(tuple(objects), ["a", "b"])
    assert saccade.from_supervision(detections, ["a", "b"]) == tuple(objects)


@pytest.mark.parametrize(
    ("method", "library"),
    [("to_pandas", "pandas"), ("to_hf", "datasets"), ("to_torch", "torch"), ("to_supervision", "supervision")],
)
def test_a_missing_library_is_named(
    version: DatasetVersion, monkeypatch: pytest.MonkeyPatch, method: str, library: str
) -> None:
    for name in [name for name in sys.modules if re.fullmatch(r"saccade\.app\.datasets\.\w+_dataset", name)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=method) as error:
        getattr(version, method)()
    assert "pip install" in error.value.hint


def test_the_public_names_are_those_of_the_reference() -> None:
    assert dir(saccade) == sorted(saccade.__all__)
