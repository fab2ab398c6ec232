"""Keys of the images to predict on."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.app.ml.image_sources import list_images


def keys(*names: str) -> list[str]:
    return [picture.key for picture in list_images([Path("/photos") / name for name in names], Path("/photos"))]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.jpg", "b/a.jpg"], ["a", "b/a"]),
        (["a.jpg", "a.png"], ["a.jpg", "a.png"]),
        (["a.jpg", "a.png", "a.jpg.png"], ["a.jpg", "a.png", "a.jpg.png"]),
        (["a.jpg.png"], ["a.jpg"]),
    ],
)
def test_suffixes_are_kept_if_keys_would_collide(names: list[str], expected: list[str], tmp_path: Path) -> None:
    files = [tmp_path / name for name in names]
    assert [picture.key for picture in list_images(files, tmp_path)] == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["a", "a.jpg", "a.png", "a.jpg.png", "a.jpg.png.jpg", "b/a.jpg"]), unique=True))
def test_keys_are_unique(names: list[str]) -> None:
    image_keys = keys(*names) if names else []
    assert len(set(image_keys)) == len(names)
