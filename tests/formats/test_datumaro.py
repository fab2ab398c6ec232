"""Datumaro, with files as version 1.13 writes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from saccade.core.errors import FormatError
from saccade.core.objects import Box, Ellipse, Keypoints, Mask, Object, Points, Polygon, Polyline, RotatedBox
from saccade.core.registry import Registry
from saccade.core.schema import ClassInfo
from saccade.formats.base import Format
from saccade.formats.datumaro import FORMAT
from saccade.formats.detect import detect_format

WriteSource = Callable[[Mapping[str, str | bytes | None]], Path]
CATEGORIES = {
    "label": {
        "labels": [{"name": "cat", "parent": "animal", "attributes": []}, {"name": "dog", "parent": ""}],
        "label_groups": [],
        "attributes": [],
    },
    "points": {"items": [{"label_id": 0, "labels": ["a", "b"], "joints": [[0, 1]], "positions": []}]},
}


def annotation(
    type_name: str, label_id: int | None = 0, number: int = 0, group: int = 0, **fields: Any
) -> dict[str, Any]:
    return {"id": number, "type": type_name, "attributes": {}, "group": group, "label_id": label_id, **fields}


def subset(*items: Mapping[str, Any]) -> str:
    head = {"dm_format_version": "1.0", "media_type": 2, "infos": {}, "categories": CATEGORIES}
    return json.dumps({**head, "items": items})


def test_all_types_of_annotation(write_source: WriteSource, kit: SimpleNamespace, formats: Registry[Format]) -> None:
    triangle = [1.0, 1.0, 5.0, 1.0, 5.0, 4.0]
    annotations = [
        {
            **annotation("bbox", number=7, bbox=[1, 1, 4, 3]),
            "attributes": {"n": 3, "score": 0.5, "track_id": 4, "x": []},
        },
        annotation("rotated_bbox", rotated_bbox=[4, 3, 4, 2, 30]),
        annotation("polygon", 1, points=triangle),
        annotation("polygon", 1, group=5, points=triangle),
        annotation("polygon", 1, group=5, points=[0, 0, 1, 0, 1, 1]),
        annotation("mask", rle={"counts": "=24000a0", "size": [6, 8]}),
        annotation("polyline", points=[1, 1, 5, 1]),
        annotation("points", points=[1, 1, 5, 4], visibility=[2, 1]),
        annotation("points", points=[1, 1], visibility=[2]),
        annotation("ellipse", points=[1, 1, 5, 5]),
        annotation("label", 1),
        annotation("caption", None, caption="hello"),
        annotation("bbox", None, bbox=[1, 1, 4, 3]),
        annotation("cuboid_3d"),
        annotation("polygon", points=[1]),
        annotation("bbox"),
    ]
    source = write_source(
        {
            "annotations/train.json": subset(
                {"id": "a/1", "annotations": annotations, "attr": {"frame": 3}, "image": {"path": "a_1.png"}},
                {"id": "gone", "annotations": [], "image": {"path": "gone.png"}},
            ),
            "annotations/default.json": subset({"id": "2", "annotations": [], "image": {"path": "2.png"}}),
            "images/train/a_1.png": None,
            "images/default/2.png": None,
            "images/default/3.png": None,
        }
    )
    assert detect_format(source, formats)[0] == "datumaro"
    result = kit.read_all(FORMAT, source)
    ring = ((1.0, 1.0), (5.0, 1.0), (5.0, 4.0))
    assert result.values("objects") == {
        "a/1": (
            Object("7", "cat", Box(1, 1, 5, 4), 0.5, "4", {"n": 3}),
            Object("2", "cat", RotatedBox(4, 3, 4, 2, 30)),
            Object("3", "dog", Polygon.simple(ring)),
            Object("4", "dog", Polygon(((ring,), (((0, 0), (1, 0), (1, 1)),)))),
            Object("5", "cat", Mask(8, 6, (13, 2, 4, 2, 4, 2, 21))),
            Object("6", "cat", Polyline(((1, 1), (5, 1)))),
            Object("7'", "cat", Keypoints(((1, 1), (5, 4)), (2, 1))),
            Object("8", "cat", Points(((1, 1),))),
            Object("9", "cat", Ellipse(3, 3, 2, 2, 0)),
        ),
        "2": (),
        "default/3": None,
    }
    assert result.schema["objects"].classes == (
        ClassInfo("cat", "animal", keypoints=("a", "b"), skeleton=((0, 1),)),
        ClassInfo("dog"),
    )
    record = result.records["a/1"].values
    assert (record["labels"], record["caption"], record["attributes"], record["split"]) == (
        ("dog",),
        "hello",
        {"frame": 3},
        "train",
    )
    assert result.reasons() == {
        ("dropped", "attribute that is not text, a number or a boolean"): 1,
        ("dropped", "object without a class"): 1,
        ("dropped", "shape of a kind that is not known"): 1,
        ("dropped", "object without a usable shape"): 2,
        ("skipped", "image file missing"): 1,
    }


def test_items_without_an_id_are_named_after_their_images(write_source: WriteSource, kit: SimpleNamespace) -> None:
    """Ids that are missing, null, empty or no text must not become keys, nor the names of images."""
    box = annotation("bbox", bbox=[1, 1, 4, 3])
    items: list[dict[str, Any]] = [
        {"annotations": [box], "image": {"path": "a.png"}},
        {"id": None, "annotations": [], "image": {"path": "b/c.png"}},
        {"id": "", "annotations": [], "image": {"path": "d.png"}},
        {"id": ["e"], "annotations": [], "image": {"path": "e.png"}},
        {"id": 7, "annotations": [], "image": {"path": "f.png"}},
        {"annotations": []},
        {"id": None, "annotations": []},
    ]
    names = ("a", "b/c", "d", "e", "f", "None")
    images = {f"images/train/{name}.png": None for name in names}
    result = kit.read_all(FORMAT, write_source({"annotations/train.json": subset(*items), **images}))
    assert result.values("objects") == {
        "train/a": (Object("1", "cat", Box(1, 1, 5, 4)),),
        "train/b/c": (),
        "train/d": (),
        "train/e": (),
        "7": (),
        "train/None": None,
    }
    assert result.reasons() == {("skipped", "image file missing"): 2}


def test_json_that_is_not_datumaro(write_source: WriteSource, kit: SimpleNamespace) -> None:
    source = write_source({"annotations/train.json": '{"items": 3, "categories": {}}', "images/train/1.png": None})
    assert FORMAT.detect(source).reason == "annotations/train.json has no items and categories"
    with pytest.raises(FormatError, match="has items and categories"):
        kit.read_all(FORMAT, source)
