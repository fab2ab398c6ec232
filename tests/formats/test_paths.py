"""Source trees list all files of a folder, in order, and never leave it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saccade.formats._common import paths as paths_module
from saccade.formats._common.paths import PathList, SourceTree


@given(st.lists(st.text("ab/é.", min_size=1, max_size=6), unique=True, max_size=30), st.integers(1, 5), st.booleans())
def test_path_list(paths: list[str], block: int, many: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths_module, "_BLOCK_PATHS", block)
        patch.setattr(paths_module, "_MAX_IN_MEMORY", 0 if many else 100)
        path_list = PathList()
        for number, path in enumerate(paths):
            assert path not in path_list
            path_list.append(path)
            assert path in path_list
            assert len(path_list) == number + 1
        assert list(path_list) == paths


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_are_followed_inside_only(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "other"
    for path in (root / "a" / "b.jpg", root / "a.jpg", root / "c.png", root / ".hidden.jpg", outside / "secret.jpg"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (root / "bad\nname.jpg").write_bytes(b"x")
    (root / "inside.jpg").symlink_to(root / "a" / "b.jpg")
    (root / "out.jpg").symlink_to(outside / "secret.jpg")
    (root / "folder").symlink_to(root / "a")
    (root / "away").symlink_to(outside)
    (root / "a" / "loop").symlink_to(root)
    os.mkfifo(root / "pipe.jpg")
    tree = SourceTree(root)
    assert list(tree.files) == ["a/b.jpg", "a.jpg", "c.png", "folder/b.jpg", "inside.jpg"]
    assert list(tree.outside_links) == ["away", "out.jpg"]
    assert list(tree.bad_names) == ["bad\nname.jpg"]
    assert list(tree.folders) == ["a", "a/loop", "folder", "folder/loop"]
    assert list(tree.iter_images("a")) == ["a/b.jpg"]
