"""HTTP API: frames and timelines of videos."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.server.conftest import ServerHarness, error_of
from tests.support.video_clips import make_clip, number_in

from saccade.app.ingest.importing import import_dataset
from saccade.core.objects import Box, Object
from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import Column, Kind, Schema
from saccade.server.permissions import API

TICKS = [0, 1, 2, 10, 11, 12, 30, 31, 40, 41]
"""Times of a variable frame rate, in tenths of a second."""


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    make_clip(folder / "a.mp4", len(TICKS), ticks=TICKS, unit=Fraction(1, 10), options={"g": "4", "bf": "2"})
    make_clip(folder / "b.mp4", 3)
    return folder


def numbers_in(body: bytes) -> list[int | None]:
    """Return the number that each JPEG of a stream of frames shows, None for a length of 0."""
    numbers: list[int | None] = []
    while body:
        end = 4 + int.from_bytes(body[:4], "big")
        numbers.append(number_in(np.asarray(Image.open(BytesIO(body[4:end])))) if end > 4 else None)
        body = body[end:]
    return numbers


def test_timeline_and_frames_of_a_video(server: ServerHarness, clips: Path) -> None:
    import_dataset(server.workspace, clips, "films", format="videos", options={"frames": "none"})
    viewer = server.signed_in(Role.VIEWER)
    timeline = viewer.get(f"{API}/datasets/films/timeline", params={"key": "a"}).json()
    assert timeline["frames"] == list(range(10))
    assert timeline["times"] == [tick / 10 for tick in TICKS]
    assert timeline["end"] > timeline["times"][-1]
    assert (timeline["keys"], timeline["objects"]) == (None, None)
    frames = viewer.get(f"{API}/datasets/films@1/frames", params={"key": "a", "number": [2, 3, 7, 1, 99, 9]})
    assert numbers_in(frames.content) == [2, 3, 7, 1, None, 9]
    assert "immutable" in frames.headers["Cache-Control"]
    smaller = viewer.get(f"{API}/datasets/films/frames", params={"key": "a", "number": 0, "size": 32})
    assert Image.open(BytesIO(smaller.content[4:])).size == (32, 24)
    for number in ([], [-1], list(range(65))):
        assert viewer.get(f"{API}/datasets/films/frames", params={"key": "a", "number": number}).status_code == 422


def test_timeline_of_frames_that_are_items(server: ServerHarness, clips: Path) -> None:
    """Sampled frames, with objects on some, in a dataset whose order is not that of the frames."""
    import_dataset(server.workspace, clips, "sampled", format="videos", options={"every": "3"})
    sampled = server.workspace.datasets.open("sampled")
    labels: dict[str, Any] = {
        "a/000000": (),
        "a/000003": None,
        "a/000006": tuple(Object(str(index), "ship", Box(0, 0, 5, 5)) for index in range(3)),
    }
    schema = Schema((*sampled.schema.columns, Column("objects", Kind.OBJECTS)))
    items = [Item(item.key, {**item.values, "objects": labels.get(item.key)}) for item in sampled.items()]
    server.workspace.datasets.write("street", schema, items[::-1], mode="create")
    viewer = server.signed_in(Role.VIEWER)
    timeline = viewer.get(f"{API}/datasets/street/timeline", params={"key": "a/000003"}).json()
    assert timeline["frames"] == [0, 3, 6, 9]
    assert timeline["keys"] == ["a/000000", "a/000003", "a/000006", "a/000009"]
    assert timeline["objects"] == [0, None, 3, None]
    assert timeline["times"] == [0, 1, 3, 4.1]
    frame = viewer.get(f"{API}/datasets/street/frame", params={"key": "a/000003", "number": 6})
    assert number_in(np.asarray(Image.open(BytesIO(frame.content)))) == 6
    frames = viewer.get(f"{API}/datasets/street/frames", params={"key": "b/000000", "number": [0, 1, 2, 3]})
    assert numbers_in(frames.content) == [0, 1, 2, None]


def test_an_image_has_no_timeline(server: ServerHarness) -> None:
    viewer = server.signed_in(Role.VIEWER)
    key = server.workspace.datasets.open("harbour").keys()[0]
    for path in ("timeline", "frames?number=0"):
        response = viewer.get(f"{API}/datasets/harbour/{path}", params={"key": key, "number": 0})
        assert (response.status_code, error_of(response)) == (404, "not-found")
