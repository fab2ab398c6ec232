"""Branches, aliases, restore and diffs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pytest
from tests.store.conftest import SCHEMA, item

from saccade.core.class_edits import AddClass, ClassEdit, MergeClass, RenameClass, plan_class_edits
from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError
from saccade.core.objects import Box, Object
from saccade.core.reader import Item
from saccade.core.records.datasets import ObjectsChange
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.store.maintenance.doctor import doctor
from saccade.store.table.row_index import RowIndex, Rows
from saccade.store.table.snapshot import Snapshot
from saccade.store.workspace import Workspace


def test_branches_diverge_and_share_history(workspace: Workspace) -> None:
    datasets = workspace.datasets
    datasets.write("d", SCHEMA, [item("a"), item("b")], mode="create")
    datasets.write("d", SCHEMA, [item("c")], mode="append")
    datasets.branch("d", "trial", "d@1")
    datasets.write("d", SCHEMA, [item("x")], mode="append", branch="trial")
    datasets.write("d", SCHEMA, [item("a", 9)], mode="merge")
    datasets.delete_items("d", ["b"], "", branch="trial")
    assert datasets.open("d@trial").keys() == ["a", "x"]
    assert datasets.open("d").keys() == datasets.open("d@main").keys() == ["a", "b", "c"]
    assert datasets.open("d@trial").get("a")["number"] == 0
    assert datasets.branches("d") == {"main": 4, "trial": 5}
    assert [version.number for version in datasets.log("d", "trial")] == [5, 3, 1]
    assert [version.number for version in datasets.log("d", "main")] == [4, 2, 1]
    assert [version.branch for version in datasets.log("d")] == ["trial", "main", "trial", "main", "main"]
    assert datasets.diff("d@main", "d@trial").counts == {"added": 1, "removed": 2, "changed": 1}
    assert doctor(workspace) == []


def test_branch_and_alias_names_do_not_collide(workspace: Workspace) -> None:
    datasets = workspace.datasets
    datasets.write("d", SCHEMA, [], mode="create")
    datasets.branch("d", "trial", "latest")
    datasets.alias("d", "good", 1)
    for name in ("trial", "main", "good"):
        with pytest.raises(ConflictError, match=f"already has an? (branch|alias) '{name}'"):
            datasets.branch("d", name, "d")
    with pytest.raises(ConflictError, match="already has a branch 'trial'"):
        datasets.alias("d", "trial", 1)
    for name in ("latest", "7", "a b"):
        with pytest.raises(InvalidValueError, match="may not be called"):
            datasets.alias("d", name, 1)
    with pytest.raises(NotFoundError, match=r"no branch 'tril'. Did you mean trial\?"):
        datasets.write("d", SCHEMA, [], mode="append", branch="tril")
    with pytest.raises(InvalidValueError, match="starts on the branch 'main'"):
        datasets.write("e", SCHEMA, [], mode="create", branch="trial")


def test_aliases_move(workspace: Workspace) -> None:
    datasets = workspace.datasets
    for number in (1, 2):
        datasets.write("d", SCHEMA, [item("a", number)], mode="replace")
    assert datasets.alias("d", "good", 1) is None
    assert datasets.open("d@good").number == 1
    assert datasets.alias("d", "good", 2) == 1
    assert datasets.aliases("d") == {"good": 2}
    with pytest.raises(NotFoundError, match="no version '3'"):
        datasets.alias("d", "good", 3)
    datasets.delete_alias("d", "good")
    assert datasets.aliases("d") == {}
    with pytest.raises(NotFoundError, match="no alias 'good'"):
        datasets.delete_alias("d", "good")


def test_restore_commits_a_version_equal_to_the_old_one(workspace: Workspace) -> None:
    datasets = workspace.datasets
    old = list(datasets.write("d", SCHEMA, [item("a"), item("b")], mode="create").items())
    datasets.write("d", SCHEMA, [item("a", 5), item("c")], mode="merge")
    restored = datasets.restore("d", 1, "back")
    assert list(restored.items()) == old
    info = restored.info
    assert (info.number, info.parent, info.message, info.removed, info.changed) == (3, 2, "back", 1, 1)
    assert datasets.diff("d@1", "d@3").counts == {"added": 0, "removed": 0, "changed": 0}
    datasets.write("d", SCHEMA, [item("z")], mode="append")
    assert datasets.open("d").keys() == ["a", "b", "z"]
    with pytest.raises(NotFoundError, match="no version '9'"):
        datasets.restore("d", 9, "")


def box(name: str, x2: float, kind: str = "cell") -> Object:
    return Object(name, kind, Box(0, 0, x2, 1))


def test_diff_names_items_columns_and_objects(workspace: Workspace) -> None:
    datasets = workspace.datasets
    schema = Schema((Column("objects", Kind.OBJECTS, (ClassInfo("cell"),)), Column("note", Kind.TEXT)))
    datasets.write(
        "d",
        schema,
        [
            Item("same", {"objects": (box("1", 1),), "note": "n"}),
            Item("boxes", {"objects": (box("1", 1), box("2", 2), box("3", 3))}),
            Item("note", {"objects": None, "note": "old"}),
            Item("emptied", {"objects": None}),
            Item("gone"),
        ],
        mode="create",
    )
    changed = Schema((schema["objects"], Column("rank", Kind.NUMBER)))
    datasets.write(
        "d",
        changed,
        [
            Item("new"),
            Item("same", {"objects": (box("1", 1),)}),
            Item("boxes", {"objects": (box("1", 1), box("2", 9, "virus"), box("4", 4)), "rank": 1}),
            Item("note", {"objects": None}),
            Item("emptied", {"objects": ()}),
        ],
        mode="replace",
    )
    diff = datasets.diff("d@1", "d")
    assert (diff.before, diff.after) == ("d@1", "d@2")
    assert (diff.added, diff.removed) == (["new"], ["gone"])
    assert {key: change.columns for key, change in diff.changed.items()} == {
        "same": ("note",),
        "boxes": ("objects", "rank"),
        "note": ("note",),
        "emptied": ("objects",),
    }
    assert diff.changed["boxes"].objects == {"objects": ObjectsChange(("4",), ("3",), ("2",))}
    assert diff.changed["emptied"].objects == {"objects": ObjectsChange((), (), ())}
    assert diff.changed["note"].objects == {}
    assert diff.counts == {"added": 1, "removed": 1, "changed": 4}
    assert (diff.schema.columns_added, diff.schema.columns_removed) == (("rank",), ("note",))
    assert diff.schema.classes_added == {"objects": ("virus",)}
    assert datasets.diff("d@2", "d@1").schema.classes_removed == {"objects": ("virus",)}
    assert diff.to_json()["counts"] == diff.counts
    assert not datasets.diff("d@1", "d@1").schema


def relabel(workspace: Workspace, ref: str, *edits: ClassEdit) -> None:
    workspace.datasets.relabel(ref, lambda schema: plan_class_edits(schema, edits))


def renamed_classes(workspace: Workspace, before: str, after: str) -> list[str]:
    """Describe the class changes of the column ``objects`` between two versions."""
    schema = workspace.datasets.diff(before, after).schema
    renamed = [f"{change.action} {change}" for change in schema.classes_renamed.get("objects", ())]
    added = [f"added {name}" for name in schema.classes_added.get("objects", ())]
    return renamed + added + [f"removed {name}" for name in schema.classes_removed.get("objects", ())]


def test_diff_follows_renamed_classes_across_branches(workspace: Workspace) -> None:
    datasets = workspace.datasets
    classes = tuple(map(ClassInfo, ("RBC", "WBC", "platelet", "Platelets")))
    schema = Schema((Column("objects", Kind.OBJECTS, classes),))
    datasets.write("d", schema, [Item("a", {"objects": (box("1", 1, "RBC"), box("2", 1, "WBC"))})], mode="create")
    datasets.branch("d", "review", "1")
    relabel(workspace, "d@review", RenameClass(name="RBC", new_name="red"))
    relabel(workspace, "d@review", RenameClass(name="red", new_name="Red cell"))
    relabel(workspace, "d@review", MergeClass(name="platelet", target="Platelets"))
    relabel(workspace, "d", RenameClass(name="WBC", new_name="White cell"), AddClass(name="other"))
    merge_of_platelets = "merged platelet → Platelets"
    assert renamed_classes(workspace, "d@1", "d@review") == ["renamed RBC → Red cell", merge_of_platelets]
    assert renamed_classes(workspace, "d@review", "d@1") == [
        "renamed Red cell → RBC",
        "split Platelets → platelet, Platelets",
    ]
    assert renamed_classes(workspace, "d", "d@review") == [
        "renamed RBC → Red cell",
        "renamed White cell → WBC",
        merge_of_platelets,
        "removed other",
    ]
    merged = datasets.merge("d@review").version
    assert merged is not None
    assert renamed_classes(workspace, "d@review", "d") == ["renamed WBC → White cell", "added other"]
    assert renamed_classes(workspace, "d@5", "d") == ["renamed RBC → Red cell", merge_of_platelets]
    assert [column.class_names[0] for column in datasets.column_history("d", "objects", 4, merged.number)] == [
        "Red cell",
        "Red cell",
    ], "a history passes through the merge"
    datasets.restore("d", 1)
    assert "renamed Red cell → RBC" in renamed_classes(workspace, merged.ref, "d")
    assert renamed_classes(workspace, "d@1", "d") == []
    json_change = datasets.diff("d@1", "d@2").to_json()["schema"]["classes_renamed"]
    assert json_change == {"objects": [{"action": "renamed", "before": ["RBC"], "after": ["red"]}]}


def test_diff_of_a_column_with_another_kind(workspace: Workspace) -> None:
    for kind, value in ((Kind.TEXT, "1"), (Kind.NUMBER, 1.0)):
        schema = Schema((Column("c", kind),))
        workspace.datasets.write("d", schema, [Item("a", {"c": value}), Item("none")], mode="replace")
    diff = workspace.datasets.diff("d@1", "d@2")
    assert diff.schema.kinds_changed == {"c": ("text", "number")}
    assert list(diff.changed) == ["a"]


def test_diff_does_not_read_rows_that_versions_share(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = workspace.datasets
    datasets.write("d", SCHEMA, [item(f"k{index}") for index in range(50)], mode="create")
    datasets.write("d", SCHEMA, [item("k7", 1), item("k8")], mode="merge")
    row_counts: list[int] = []
    for cls in (RowIndex, Snapshot):

        def counting_take(
            self: Any, rows: Rows, columns: Sequence[str], take: Callable[..., pa.Table] = cls.take
        ) -> pa.Table:
            row_counts.append(len(rows))
            return take(self, rows, columns)

        monkeypatch.setattr(cls, "take", counting_take)
    diff = datasets.diff("d@1", "d@2")
    assert diff.counts["changed"] == 1
    assert row_counts == [1, 1, 1, 1], "the key of the changed row in both versions, and then the row itself"


def test_diff_of_two_datasets(workspace: Workspace) -> None:
    workspace.datasets.write("d", SCHEMA, [item("a"), item("b", 1)], mode="create")
    workspace.datasets.write("e", SCHEMA, [item("b", 2), item("a")], mode="create")
    assert list(workspace.datasets.diff("d", "e").changed) == ["b"]
