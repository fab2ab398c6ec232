"""``saccade datasets classes``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.support.command import Command

from saccade.core.objects import Box, Object
from saccade.core.reader import Item
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.store.workspace import Workspace


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    names = ("car", "a=b", "x[bold]", "bus")
    schema = Schema((Column("objects", Kind.OBJECTS, tuple(map(ClassInfo, names))), Column("tags", Kind.LABELS)))
    objects = tuple(Object(str(i), name, Box(0, 0, 1, 1)) for i, name in enumerate(names[:3]))
    with Workspace.create(tmp_path) as workspace:
        workspace.datasets.write("d", schema, [Item("k", {"objects": objects, "tags": ("car",)})], mode="create")
    return Command(capsys, monkeypatch, tmp_path)


def list_classes(run: Command, ref: str = "d") -> dict[tuple[str, str], Any]:
    return {(entry["column"], entry["name"]): entry for entry in run.json("datasets", "classes", ref)["classes"]}


def test_classes_are_listed_and_edited(run: Command) -> None:
    listed = run("datasets", "classes", "d")
    assert re.search(r"objects +x\[bold\] +#[0-9a-f]{6} +1 +1\n", listed.out)
    edited = run(
        "datasets",
        "classes",
        "d",
        "--add",
        "tram",
        "--rename",
        "a=b=c=d",
        "--rename",
        "car=auto",
        "--merge",
        "bus=tram",
        "--color",
        "auto=#ABCDEF",
        "--remove",
        "x[bold]",
        "--with-objects",
        "--message",
        "Why.",
    )
    assert edited.code == 0, edited.text
    assert "d@2 Why. 1 item changed." in edited.text
    classes = list_classes(run)
    assert [name for column, name in classes if column == "objects"] == ["auto", "c=d", "tram"]
    assert classes[("objects", "auto")]["color"] == classes[("tags", "auto")]["color"] == "#abcdef"
    assert ("objects", "bus") in list_classes(run, "d@1")
    assert run("datasets", "classes", "d", "--rename", "auto=car", "--column", "tags").code == 0
    assert {("objects", "auto"), ("tags", "car")} <= set(list_classes(run))


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["--remove", "car"], 1, "'car' cannot be removed: 1 object or label in 1 item has it"),
        (["--rename", "car=bus"], 1, "Merge 'car' into it"),
        (["--rename", "car"], 2, "has no '='"),
        (["--color", "car=red"], 1, "#rrggbb"),
        (["--merge", "car=missing"], 1, "no class 'missing'"),
        (["--add", "new", "--remove", "missing"], 1, "no class 'missing'"),
        (["--column", "nothing", "--rename", "car=x"], 1, "no column 'nothing'"),
    ],
)
def test_refused_edits_change_nothing(run: Command, args: list[str], code: int, message: str) -> None:
    refused = run("datasets", "classes", "d", *args)
    assert (refused.code, message in refused.text) == (code, True), refused.text
    assert "'d@1' is a version, not a branch" in run("datasets", "classes", "d@1", "--add", "x").text
    assert len(run.json("datasets", "log", "d")) == 1
