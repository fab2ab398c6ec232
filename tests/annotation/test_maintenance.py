"""Label sets in backups, moved workspaces, copies of datasets and garbage collections."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from tests.annotation.conftest import ANN, BEN, box, edit, put, write_pictures

from saccade.annotation.commit import commit
from saccade.annotation.label_sets import LabelSets
from saccade.annotation.reader import LabelSetReader
from saccade.annotation.records import AppliedEdit, LabelClass, LabelSet
from saccade.core.objects import Box, Object
from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.store.catalog.tables import LabelClassRow, LabelEditRow, LabelItemRow, LabelObjectRow, LabelSetRow
from saccade.store.maintenance.backup import back_up, restore
from saccade.store.maintenance.doctor import doctor
from saccade.store.maintenance.gc import collect_garbage
from saccade.store.maintenance.transfer import pull_dataset, push_dataset
from saccade.store.workspace import Workspace

OBJECTS = Schema((Column("objects", Kind.OBJECTS),))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace with a label set ``mine`` of pictures: one commit, and later edits that are not committed."""
    with Workspace.create(tmp_path / "home") as workspace:
        write_pictures(workspace)
        label_sets = LabelSets(workspace)
        label_sets.create("mine", "pictures", classes=["bird"])
        label_sets.apply("mine", [put("a/p0", "n", "c3"), edit("a/p1", "patch", "1", {"geometry": box(3)})], ANN)
        commit(label_sets, "mine", author=ANN)
        edits = [
            put("a/p2", "m", attributes={"pose": "sits"}),
            edit("a/p1", "delete", "1"),
            edit("a/p3", "state", None, {"state": "skipped", "reason": "blurred"}),
        ]
        label_sets.apply("mine", edits, BEN)
        yield workspace


State = tuple[LabelSet, tuple[LabelClass, ...], list[AppliedEdit], list[Item], list[int]]


def state(workspace: Workspace) -> State:
    """Return everything that a label set has, with the sizes of its images."""
    label_sets = LabelSets(workspace)
    reader = LabelSetReader(label_sets, "mine")
    items = list(reader.items())
    sizes = [len(reader.read_media(item["image"])) for item in items]
    return label_sets.get("mine"), label_sets.classes("mine"), label_sets.history("mine"), items, sizes


def check_usable(workspace: Workspace, expected: State) -> None:
    """Check that the label set is complete, and that it can be edited, undone, committed and joined by another one."""
    assert doctor(workspace, deep=True) == []
    assert state(workspace) == expected
    label_sets = LabelSets(workspace)
    (result,), _ = label_sets.apply("mine", [edit("a/p1", "restore", "1")], BEN)
    assert result.seq == expected[0].seq + 1
    committed = commit(label_sets, "mine", author=BEN)
    assert (committed.version, committed.added) == ("pictures@3", 1)
    assert label_sets.create("new", "pictures").base == "pictures@3"
    label_sets.apply("new", [put("a/p0", "x")], ANN)
    assert label_sets.get("mine").uncommitted_edits == 0


def test_a_restored_backup_has_the_label_sets(home: Workspace, tmp_path: Path) -> None:
    expected = state(home)
    back_up(home, tmp_path / "copy")
    LabelSets(home).apply("mine", [put("a/p4", "later")], ANN)
    restore(tmp_path / "copy", tmp_path / "restored")
    with Workspace.open(tmp_path / "restored") as restored:
        check_usable(restored, expected)


@pytest.mark.slow
def test_label_sets_move_to_postgresql_and_back(home: Workspace, tmp_path: Path, postgresql: str) -> None:
    expected = state(home)
    back_up(home, tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "large", postgresql)
    with Workspace.open(tmp_path / "large") as large:
        assert not large.catalog.is_sqlite
        check_usable(large, expected)
        after = state(large)
        back_up(large, tmp_path / "small")
    with Workspace.open(tmp_path / "small") as small:
        assert small.catalog.is_sqlite
        assert state(small) == after


def test_a_workspace_that_was_moved_has_the_label_sets(home: Workspace, tmp_path: Path) -> None:
    expected = state(home)
    home.close()
    (tmp_path / "home").rename(tmp_path / "elsewhere")
    with Workspace.open(tmp_path / "elsewhere") as moved:
        check_usable(moved, expected)


def test_garbage_collection_keeps_the_base(home: Workspace) -> None:
    """The base of a set is an old version whose images no later version has."""
    empty = Schema((Column("image", Kind.IMAGE), *OBJECTS.columns))
    home.datasets.write("pictures", empty, [Item("none", {"image": None, "objects": None})], mode="replace")
    expected = state(home)
    unused = home.blobs.put_bytes(b"no item has this file")
    collect_garbage(home, cache=True)
    assert not home.blobs.exists(unused)
    with Workspace.open(home.location.parent) as again:
        assert again.datasets.open("pictures").keys() == ["none"]
        assert state(again) == expected
        assert doctor(again, deep=True) == []
    LabelSets(home).delete("mine", force=True)
    collect_garbage(home)
    assert doctor(home, deep=True) == []
    with home.catalog.read_tx() as session:
        for table in (LabelSetRow, LabelClassRow, LabelItemRow, LabelObjectRow, LabelEditRow):
            assert session.scalar(select(func.count()).select_from(table)) == 0


def test_a_copy_of_a_dataset_has_the_commits_without_the_label_sets(home: Workspace, tmp_path: Path) -> None:
    expected = state(home)
    push_dataset(home, "pictures", str(tmp_path / "pushed"))
    with Workspace.create(tmp_path / "other") as other:
        pull_dataset(other, str(tmp_path / "pushed"))
        values: dict[str, Any] = {item.key: item["objects"] for item in other.datasets.open("pictures").items()}
        assert [obj.class_name for obj in values["a/p0"]] == ["bird"]
        assert LabelSets(other).list() == []
        assert doctor(other, deep=True) == []
        cat = Object("c", "cat", Box(0, 0, 2, 2))
        other.datasets.write("pictures", OBJECTS, [Item("a/p4", {"objects": (cat,)})], mode="merge")
        push_dataset(other, "pictures", str(tmp_path / "pushed"))
    assert state(home) == expected
    pull_dataset(home, str(tmp_path / "pushed"))
    assert home.datasets.open("pictures").number == 3
    assert state(home) == expected, "the set has the new version only with its next commit"
    assert commit(LabelSets(home), "mine").version == "pictures@4"
    assert doctor(home, deep=True) == [], "no file of the merge is left over"
    merged = {item.key: item["objects"] for item in LabelSetReader(LabelSets(home), "mine").items()}
    assert merged["a/p4"] == (cat,)
    assert [obj.id for obj in merged["a/p2"] or ()] == ["m"]
