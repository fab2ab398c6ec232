"""The files below a folder: all of them, in order, never outside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saccade.formats._common import paths as paths_module
from saccade.formats._common.paths import PathList, Tree


@given(st.lists(st.text("ab/é.", min_size=1, max_size=6), unique=True, max_size=30), st.integers(1, 5), st.booleans())
def test_a_list_of_paths_is_a_list(paths: list[str], block: int, many: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths_module, "_BLOCK", block)
        patch.setattr(paths_module, "_FEW", 0 if many else 100)
        made = PathList()
        for number, path in enumerate(paths):
            assert path not in made
            made.append(path)
            assert path in made
            assert len(made) == number + 1
        assert list(made) == paths


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_are_followed_inside_and_never_outside(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    for path in (root / "a" / "b.jpg", root / "a.jpg", root / "c.png", root / ".hidden.jpg", other / "secret.jpg"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (root / "bad\nname.jpg").write_bytes(b"x")
    (root / "inside.jpg").symlink_to(root / "a" / "b.jpg")
    (root / "out.jpg").symlink_to(other / "secret.jpg")
    (root / "folder").symlink_to(root / "a")
    (root / "away").symlink_to(other)
    (root / "a" / "loop").symlink_to(root)
    os.mkfifo(root / "pipe.jpg")
    tree = Tree(root)
    assert list(tree.files) == ["a/b.jpg", "a.jpg", "c.png", "folder/b.jpg", "inside.jpg"]
    assert list(tree.outside) == ["away", "out.jpg"]
    assert list(tree.unreadable) == ["bad\nname.jpg"]
    assert list(tree.folders) == ["a", "a/loop", "folder", "folder/loop"]
    assert tree.images("a") == ["a/b.jpg"]
