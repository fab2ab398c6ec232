"""Files that are predicted on: each has a key of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.app.ml.image_sources import pictures_of_files


def keys(*names: str) -> list[str]:
    return [picture.key for picture in pictures_of_files([Path("/photos") / name for name in names], Path("/photos"))]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.jpg", "b/a.jpg"], ["a", "b/a"]),
        (["a.jpg", "a.png"], ["a.jpg", "a.png"]),
        (["a.jpg", "a.png", "a.jpg.png"], ["a.jpg", "a.png", "a.jpg.png"]),
        (["a.jpg.png"], ["a.jpg"]),
    ],
)
def test_suffixes_stay_where_they_tell_files_apart(names: list[str], expected: list[str], tmp_path: Path) -> None:
    files = [tmp_path / name for name in names]
    assert [picture.key for picture in pictures_of_files(files, tmp_path)] == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["a", "a.jpg", "a.png", "a.jpg.png", "a.jpg.png.jpg", "b/a.jpg"]), unique=True))
def test_no_two_files_share_a_key(names: list[str]) -> None:
    found = keys(*names) if names else []
    assert len(set(found)) == len(names)
