"""HTML report of the differences between two versions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.support.command import Command

from saccade.app.datasets.diff_report import render_diff_report
from saccade.core.objects import Box, Object, Polygon
from saccade.core.reader import Item
from saccade.core.schema import Column, ImageRef, Kind, Schema
from saccade.media.image import encode
from saccade.store.workspace import Workspace

SCHEMA = Schema((Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS), Column("note", Kind.TEXT)))
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two versions of "d": an object added, one removed, one moved and one renamed; an item added and one removed."""
    import numpy as np

    workspace = Workspace.create(tmp_path / "w")
    data = encode(np.full((60, 80, 3), 90, np.uint8), "jpeg")
    image = ImageRef(workspace.blobs.put_bytes(data), len(data), "a.jpg", 80, 60, "jpeg")
    ship, tug = Object("1", "ship", Box(5, 5, 30, 20)), Object("2", "tug", Box(40, 5, 60, 20))
    old = (ship, tug, Object("3", "ship", Polygon.simple(((5, 30), (20, 30), (10, 50)))))
    moved = Object("1", "ship", Box(6, 6, 30, 20))
    new = (moved, Object("2", HOSTILE, Box(40, 5, 60, 20)), Object("4", "ferry", Box(50, 40, 70, 55)))
    same = Item("same", {"image": image, "objects": (ship,), "note": "n"})
    gone = Item("gone", {"image": image, "objects": ()})
    first = [Item(HOSTILE, {"image": image, "objects": old}), same, gone]
    workspace.datasets.write("d", SCHEMA, first, mode="create")
    second = [Item(HOSTILE, {"image": image, "objects": new, "note": "x"}), same, Item("came", {"image": None})]
    workspace.datasets.write("d", SCHEMA, second, mode="replace")
    return workspace


def page_of(workspace: Workspace, first: str, second: str) -> str:
    before, after = workspace.datasets.open(first), workspace.datasets.open(second)
    return render_diff_report(before, after, workspace.datasets.diff(first, second))


def test_report_shows_every_change(workspace: Workspace) -> None:
    page = page_of(workspace, "d@1", "d@2")
    pictures = page[page.index('id="objects-objects"') : page.index('id="added-items"')]
    drawn = re.findall(r'<path class="shape ([a-z ]+)" fill-rule', pictures)
    assert sorted(drawn) == ["added", "changed", "changed", "changed was", "changed was", "removed wash"]
    assert "ship (geometry), tug → &lt;script&gt;" in pictures
    assert ">+1 −1 ~2<" in pictures
    assert "This item has no image." in page
    assert page.count('<th scope="row">removed</th>') == 1
    assert "<script" not in page
    assert "objects (+1 −1 ~2), note" in page


def test_identical_versions(workspace: Workspace) -> None:
    page = page_of(workspace, "d@2", "d@2")
    assert "The two versions are identical." in page
    assert "<svg viewBox" not in page


def test_command_writes_report(workspace: Workspace, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "diff.html"
    result = command("--help") and command("datasets", "diff", "d@1", "d@2", "--html", out, "-w", workspace.location)
    assert "1 added, 1 removed, 1 changed" in result.text
    assert out.read_text("utf-8").startswith("<!DOCTYPE html>")
    again = command.json("datasets", "diff", "d@1", "d@2", "--html", out, "--overwrite", "-w", workspace.location)
    assert again["counts"]["added"] == 1
