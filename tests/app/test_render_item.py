"""Rendering of items and regions, of images of every size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image
from tests.support.video_clips import make_clip, number_in

from saccade.app.datasets import render_item
from saccade.app.ingest.importing import import_dataset
from saccade.core.errors import InvalidValueError, NotFoundError
from saccade.core.objects import Box, Object
from saccade.core.progress import NullProgress
from saccade.core.reader import Item
from saccade.core.report import FindingType
from saccade.core.schema import ClassInfo, Column, ImageRef, Kind
from saccade.media._pillow import ImageLimits
from saccade.media.loader import read_image
from saccade.store.maintenance.doctor import doctor
from saccade.store.maintenance.gc import collect_garbage
from saccade.store.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path / "home") as opened:
        yield opened


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images of more than 100,000 pixels need a pyramid."""
    monkeypatch.setattr(render_item, "IMAGE_LIMITS", ImageLimits(max_pixels=100_000))


@pytest.fixture
def pixels() -> Any:
    ys, xs = np.mgrid[:500, :700]
    return np.stack([xs * 255 // 700, ys * 255 // 500, (xs + ys) // 5], -1).astype(np.uint8)


@pytest.mark.parametrize("link", [False, True])
def test_region_of_large_image(
    workspace: Workspace, tmp_path: Path, small_limits: None, pixels: Any, link: bool
) -> None:
    source = tmp_path / "scans"
    source.mkdir()
    Image.fromarray(pixels).save(source / "a.png")
    pyvips.Image.new_from_array(pixels).tiffsave(str(source / "tiled.tif"), tile=True)
    version = import_dataset(workspace, source, "scans", link=link).version
    for key in ("a", "tiled"):
        region = render_item.render_item(workspace, version, key, region_xyxy=(100, 50, 400, 350.5))
        np.testing.assert_array_equal(region, pixels[50:351, 100:400])
        assert render_item.render_item(workspace, version, key, max_size=70).shape == (50, 70, 3)
    assert [path.stem for path in workspace.pyramid_cache.iterdir()] == [version.get("a")["image"].digest]
    with pytest.raises(InvalidValueError, match="outside the image"):
        render_item.render_item(workspace, version, "a", region_xyxy=(700, 0, 800, 10))
    assert doctor(workspace) == []
    assert collect_garbage(workspace).leftovers == 0
    workspace.datasets.remove("scans")
    collect_garbage(workspace)
    assert list(workspace.pyramid_cache.iterdir()) == []


def test_interrupted_pyramid_is_not_cached(
    workspace: Workspace, tmp_path: Path, small_limits: None, pixels: Any
) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.png")
    version = import_dataset(workspace, tmp_path / "a.png", "scans").version

    class Cancelled(NullProgress):
        def advance(self, steps: int = 1, now: str = "") -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_item.render_item(workspace, version, "a", max_size=50, progress=Cancelled())
    assert not workspace.pyramid_cache.exists() or list(workspace.pyramid_cache.iterdir()) == []
    assert render_item.render_item(workspace, version, "a", max_size=50).shape == (36, 50, 3)


def test_objects_are_drawn_at_their_position(workspace: Workspace, tmp_path: Path, pixels: Any) -> None:
    Image.fromarray(pixels * 0).save(tmp_path / "a.png")
    version = import_dataset(workspace, tmp_path / "a.png", "d").version
    item = next(version.items())
    things = (Object("1", "ship", Box(100, 100, 300, 200)),)
    schema = version.schema.with_columns(Column("objects", Kind.OBJECTS, (ClassInfo("ship", color="#ff0000"),)))
    labelled = [Item(item.key, {**item.values, "objects": things})]
    version = workspace.datasets.write("d", schema, labelled, mode="merge", message="labelled")
    drawn = render_item.render_item(
        workspace, version, "a", region_xyxy=(90, 90, 310, 210), max_size=110, with_objects=True
    )
    assert drawn.shape == (60, 110, 3)
    assert drawn[30, 5, 0] > 150  # the left side of the box
    assert not drawn[58, 2].any()
    plain = render_item.render_item(workspace, version, "a", region_xyxy=(90, 90, 310, 210))
    assert not plain.any()


def test_frames_and_pages(workspace: Workspace, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", 12)
    version = import_dataset(workspace, clip, "clip").version
    assert number_in(render_item.render_item(workspace, version, "clip/000007")) == 7
    pages = [Image.new("RGB", (30 + number, 20), (number * 40, 0, 0)) for number in range(3)]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    first = import_dataset(workspace, tmp_path / "scan.tif", "first")
    assert [(each.reason, each.detail) for each in first.report] == [
        ("only the first frame of several is used", "of 3")
    ]
    every = import_dataset(workspace, tmp_path / "scan.tif", "scan", options={"pages": "all"})
    assert not list(every.report)
    assert len(list(workspace.blobs.digests())) == 2
    refs: dict[str, ImageRef] = {item.key: item["image"] for item in every.version.items()}
    assert {key: (ref.frame, ref.width) for key, ref in refs.items()} == {
        "scan/0000": (0, 30),
        "scan/0001": (1, 31),
        "scan/0002": (2, 32),
    }
    assert read_image(every.version, refs["scan/0002"])[0, 0, 0] == 80
    with pytest.raises(NotFoundError):
        render_item.render_item(workspace, version, "nothing")


def test_import_warns_about_channels_and_ranges(workspace: Workspace, tmp_path: Path) -> None:
    source = tmp_path / "bands"
    source.mkdir()
    values = np.random.default_rng(0).normal(size=(20, 30, 6)).astype(np.float32)
    pyvips.Image.new_from_array(values).copy(interpretation="multiband").tiffsave(str(source / "a.tif"))
    result = import_dataset(workspace, source, "bands")
    assert {(each.reason, each.detail) for each in result.report if each.action is FindingType.WARNING} == {
        ("only the first three channels of several are shown", "of 6"),
        ("values without a fixed range are shown from the lowest to the highest", "float32x6"),
    }
    ref: ImageRef = result.version.get("a")["image"]
    assert ref.mode == "float32x6"
    assert read_image(result.version, ref).shape == (20, 30, 3)
