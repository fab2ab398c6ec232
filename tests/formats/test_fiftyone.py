"""FiftyOne dataset folders, with files as in its documentation."""

from __future__ import annotations

import base64
import io
import json
import pickle
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from saccade.core.errors import FormatError
from saccade.core.geometry import mask_from_array
from saccade.core.objects import Box, Object, Points, Polygon, Polyline
from saccade.core.registry import Registry
from saccade.core.schema import Kind
from saccade.formats.base import Format
from saccade.formats.detect import detect_format
from saccade.formats.fiftyone import FORMAT

WriteSource = Callable[[Mapping[str, str | bytes | None]], Path]


def encoded_mask(array: Any, **options: Any) -> dict[str, Any]:
    out = io.BytesIO()
    np.save(out, array, **options)
    return {"$binary": {"base64": base64.b64encode(zlib.compress(out.getvalue())).decode(), "subType": "00"}}


def detection(label: str | None, bounding_box: list[float], **fields: Any) -> dict[str, Any]:
    return {
        "_id": {"$oid": "5f"},
        "_cls": "Detection",
        "attributes": {},
        "tags": [],
        "label": label,
        "bounding_box": bounding_box,
        **fields,
    }


def samples_json(*samples: Mapping[str, Any]) -> str:
    return json.dumps({"samples": samples})


def test_samples(write_source: WriteSource, kit: SimpleNamespace, formats: Registry[Format]) -> None:
    detections = [
        detection(
            "cat",
            [0.125, 0.5, 0.5, 0.5],
            confidence=0.5,
            index=3,
            wet=True,
            attributes={"old": {"_cls": "BooleanAttribute", "value": False}},
        ),
        detection("dog", [0.125, 0.5, 0.25, 0.5], mask=encoded_mask(np.array([[1, 0], [0, 1], [1, 1]], bool))),
        detection(None, [0, 0, 1, 1]),
        detection("dog", [0.125, 0.5, 0.25, 0.5], mask={"$binary": {"base64": "x"}}),
    ]
    field = {"_cls": "Detections", "detections": detections}
    source = write_source(
        {
            "samples.json": samples_json(
                {
                    "filepath": "data/1.png",
                    "tags": ["validation", "hard"],
                    "ground_truth": field,
                    "weather": {"_cls": "Classification", "label": "rain"},
                    "others": {"_cls": "Polylines", "polylines": []},
                },
                {"filepath": "data/2.png", "tags": [], "ground_truth": {"_cls": "Detections", "detections": []}},
                {"filepath": "data/3.png", "ground_truth": None},
                {"filepath": "/far/gone.png"},
            ),
            "metadata.json": "{}",
            "data/1.png": None,
            "data/2.png": None,
            "data/3.png": None,
        }
    )
    assert detect_format(source, formats)[0] == "fiftyone"
    result = kit.read_all(FORMAT, source)
    pixels = np.zeros((6, 8), bool)
    pixels[3:6, 1:3] = [[1, 0], [0, 1], [1, 1]]
    assert result.values("objects") == {
        "1": (
            Object("1", "cat", Box(1, 3, 5, 6), 0.5, "3", {"wet": True, "old": False}),
            Object("2", "dog", mask_from_array(pixels)),
        ),
        "2": (),
        "3": None,
    }
    assert result.values("weather") == {"1": "rain", "2": None, "3": None}
    assert (result.values("tags")["1"], result.values("split")["1"]) == (("hard",), "val")
    assert result.reasons() == {
        ("dropped", "object without a class"): 1,
        ("dropped", "object without a usable shape"): 1,
        ("dropped", "further field of objects"): 1,
        ("skipped", "image file missing"): 1,
    }


def test_lines_and_points(write_source: WriteSource, kit: SimpleNamespace) -> None:
    ring = [[0.125, 0.5], [0.5, 0.5], [0.5, 1]]
    polylines = [
        {"_cls": "Polyline", "label": "a", "points": [ring], "closed": True},
        {"_cls": "Polyline", "label": "b", "points": [ring], "closed": False},
    ]
    first = {"filepath": "1.png", "p": {"_cls": "Polylines", "polylines": polylines}}
    second = {"filepath": "2.png", "k": {"_cls": "Keypoint", "label": "c", "points": [[0.5, 0.5]]}}
    source = write_source({"samples.json": samples_json(first, second), "1.png": None, "2.png": None})
    corners = ((1.0, 3.0), (4.0, 3.0), (4.0, 6.0))
    assert kit.read_all(FORMAT, source).values("objects") == {
        "1": (Object("1", "a", Polygon.simple(corners)), Object("2", "b", Polyline(corners))),
        "2": None,
    }
    keypoints = kit.read_all(FORMAT, source, field="k").values("objects")
    assert keypoints == {"1": None, "2": (Object("1", "c", Points(((4, 3),))),)}
    with pytest.raises(FormatError, match="There are: p, k"):
        kit.read_all(FORMAT, source, field="x")


@pytest.mark.parametrize(
    ("kind", "values", "expected", "losses"),
    [
        (
            Kind.LABEL,
            ["hard", None, "val"],
            [("hard",), None, None],
            {"kind of a column": 1, "tag that names a split": 1},
        ),
        (
            Kind.LABELS,
            [("hard", "night"), None, ("val", "wet")],
            [("hard", "night"), None, ("wet",)],
            {"tag that names a split": 1},
        ),
    ],
)
def test_tags_are_written_whole(
    kind: Kind, values: list[Any], expected: list[Any], losses: dict[str, int], kit: SimpleNamespace, tmp_path: Path
) -> None:
    records = [kit.record(str(number), objects=(), tags=value) for number, value in enumerate(values)]
    report = kit.write_all(FORMAT, kit.dataset(records, tags=kind), tmp_path / "out")
    assert {reason: count for (_, reason), count in report.counts().items()} == losses
    result = kit.read_all(FORMAT, tmp_path / "out")
    assert list(result.values("tags").values()) == expected


@pytest.mark.slow
def test_masks_are_never_unpickled(write_source: WriteSource, kit: SimpleNamespace) -> None:
    class Malicious:
        def __reduce__(self) -> tuple[Any, ...]:
            return pytest.fail, ("unpickled",)

    arrays = [
        encoded_mask(np.array([[Malicious()]], object)),
        encoded_mask(np.zeros((2, 2, 2))),
        encoded_mask(np.zeros((0, 2))),
    ]
    arrays.append({"$binary": {"base64": base64.b64encode(zlib.compress(pickle.dumps(Malicious()))).decode()}})
    arrays.append({"$binary": {"base64": base64.b64encode(zlib.compress(bytes(1 << 27))).decode()}})
    detections = [detection("x", [0, 0, 1, 1], mask=array) for array in arrays]
    detections.append(detection("x", [0, 0, 1e309, 1], mask=encoded_mask(np.ones((2, 2), bool))))
    source = write_source(
        {
            "samples.json": samples_json({"filepath": "1.png", "f": {"_cls": "Detections", "detections": detections}}),
            "1.png": None,
        }
    )
    result = kit.read_all(FORMAT, source)
    assert result.values("objects") == {"1": None}
    assert result.reasons() == {("dropped", "object without a usable shape"): len(detections)}
