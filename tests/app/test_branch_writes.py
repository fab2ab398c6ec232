"""Use cases that write to a branch: edits, imports, pipeline steps and jobs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from saccade.app.datasets.bulk_edit import bulk_edit
from saccade.app.datasets.classes import edit_classes
from saccade.app.datasets.versions import merge_branch, restore_version
from saccade.app.ingest.importing import import_dataset
from saccade.app.jobs.registry import enqueue
from saccade.app.pipelines.run import run_pipeline
from saccade.core.class_edits import AddClass, MergeClass, RecolorClass, RemoveClass, RenameClass
from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError, SaccadeError, StaleVersionError
from saccade.core.objects import Box, Object
from saccade.core.reader import Item
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.pipeline.definition.graph import Graph, Step
from saccade.store.datasets.version import DatasetVersion
from saccade.store.workspace import Workspace

CELLS = Schema((Column("objects", Kind.OBJECTS, (ClassInfo("RBC"), ClassInfo("WBC"))), Column("note", Kind.TEXT)))
Edit = Callable[[Workspace, str, int | None], DatasetVersion]


def cell_item(key: str, *class_names: str) -> Item:
    objects = tuple(Object(str(index), name, Box(0, 0, 4, 4)) for index, name in enumerate(class_names))
    return Item(key, {"objects": objects, "note": key})


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """``cells`` at version 1 on the branches ``main`` and ``review``, with the alias ``gold`` and the tag ``v1``."""
    with Workspace.create(tmp_path / "home") as opened:
        items = [cell_item("a", "RBC", "WBC"), cell_item("b", "RBC")]
        opened.datasets.write("cells", CELLS, items, mode="create")
        opened.datasets.branch("cells", "review", "1")
        opened.datasets.alias("cells", "gold", 1)
        opened.datasets.alias("cells", "v1", 1, fixed=True)
        yield opened


def edit_with(*edits: Any) -> Edit:
    return lambda workspace, ref, expected: edit_classes(workspace, ref, edits, expected_version=expected)


def bulk(*arguments: Any) -> Edit:
    return lambda workspace, ref, expected: bulk_edit(workspace, ref, *arguments, expected_version=expected)


EDITS: dict[str, Edit] = {
    "rename": edit_with(RenameClass(name="RBC", new_name="Red cell")),
    "merge": edit_with(MergeClass(name="WBC", target="RBC")),
    "recolor": edit_with(RecolorClass(name="RBC", color="#c62828")),
    "add": edit_with(AddClass(name="Platelets")),
    "remove": edit_with(RemoveClass(name="WBC", with_objects=True)),
    "tag": bulk(["a"], "tag", "night"),
    "split": bulk(["a", "b"], "split", "val"),
    "delete": bulk(["b"], "delete"),
    "restore": lambda workspace, ref, expected: restore_version(workspace, ref, 1, expected_version=expected),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_edits_are_committed_to_the_branch(workspace: Workspace, edit: Edit) -> None:
    version = edit(workspace, "cells@review", 1)
    assert (version.ref, version.info.branch, version.info.parent) == ("cells@2", "review", 1)
    assert workspace.datasets.branches("cells") == {"main": 1, "review": 2}
    with pytest.raises(StaleVersionError):
        edit(workspace, "cells@review", 1)
    assert edit(workspace, "cells", 1).info.branch == "main"


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize(
    ("selector", "reason"), [("1", "a version"), ("gold", "an alias of version 1"), ("v1", "a tag of version 1")]
)
def test_fixed_versions_cannot_be_edited(workspace: Workspace, edit: Edit, selector: str, reason: str) -> None:
    with pytest.raises(InvalidValueError, match=f"'cells@{selector}' is {reason}, not a branch") as error:
        edit(workspace, f"cells@{selector}", None)
    assert error.value.hint is not None
    assert error.value.hint.startswith("Use cells or cells@BRANCH.")
    with pytest.raises(NotFoundError, match=r"no branch 'reviw'. Did you mean review\?"):
        edit(workspace, "cells@reviw", None)
    assert len(workspace.datasets.log("cells")) == 1


def test_untag_on_a_branch(workspace: Workspace) -> None:
    bulk_edit(workspace, "cells@review", ["a", "b"], "tag", "night")
    version = bulk_edit(workspace, "cells@review", ["a"], "untag", "night")
    assert {item.key: item["tags"] for item in version.items(["tags"])} == {"a": (), "b": ("night",)}
    assert "tags" not in workspace.datasets.open("cells").schema


def test_a_branch_with_edits_is_merged(workspace: Workspace) -> None:
    edit_classes(workspace, "cells@review", [RenameClass(name="RBC", new_name="Red cell")])
    workspace.datasets.write("cells", CELLS, [cell_item("c", "RBC")], mode="append")
    merged = merge_branch(workspace, "cells@review").version
    assert merged is not None
    assert [obj.class_name for item in merged.items() for obj in item["objects"]] == [
        "Red cell",
        "WBC",
        "Red cell",
        "Red cell",
    ]


def test_import_into_a_branch(workspace: Workspace, pictures: Path) -> None:
    datasets = workspace.datasets
    with pytest.raises(ConflictError, match="already exists"):
        import_dataset(workspace, pictures, "cells@review")
    appended = import_dataset(workspace, pictures, "cells@review", mode="append").version
    assert (appended.info.branch, len(appended)) == ("review", 12)
    assert "image" in appended.schema
    with pytest.raises(ConflictError, match="already exist"):
        import_dataset(workspace, pictures, "cells@review", mode="append")
    assert import_dataset(workspace, pictures, "cells@review", mode="merge").version.info.changed == 0
    assert len(import_dataset(workspace, pictures, "cells@review", mode="replace").version) == 10
    assert datasets.open("cells").keys() == ["a", "b"]
    for target, error in (
        ("cells@gold", InvalidValueError),
        ("cells@nope", NotFoundError),
        ("new@x", InvalidValueError),
    ):
        with pytest.raises(error):
            import_dataset(workspace, pictures, target, mode="replace")
    assert len(datasets.log("cells")) == 4


def test_pipelines_write_to_a_branch(workspace: Workspace) -> None:
    def run(target: str) -> None:
        read = Step("read", "dataset", {"name": "cells"})
        write = Step("write", "materialise", {"name": target}, {"data": ("read",)})
        run_pipeline(workspace, Graph("copy", (read, write)))

    bulk_edit(workspace, "cells@review", ["a"], "tag", "night")
    run("cells@review")
    assert workspace.datasets.branches("cells") == {"main": 1, "review": 3}
    assert "tags" not in workspace.datasets.open("cells@review").schema
    run("cells@review")
    assert workspace.datasets.branches("cells")["review"] == 3, "nothing has changed"


JOBS: dict[str, dict[str, Any]] = {
    "edit-items": {"action": "tag", "target": "x", "keys": ["a"]},
    "edit-classes": {"edits": [{"action": "add", "name": "x"}]},
    "import": {"source": {"url": "https://example.org/a.zip"}, "mode": "append"},
}


@pytest.mark.parametrize("kind", JOBS)
def test_jobs_name_a_branch(workspace: Workspace, kind: str) -> None:
    assert enqueue(workspace, kind, {**JOBS[kind], "dataset": "cells@review"}).state == "queued"
    for target, code in (("cells@1", "invalid-value"), ("cells@gold", "invalid-value"), ("cells@nope", "not-found")):
        with pytest.raises(SaccadeError) as error:
            enqueue(workspace, kind, {**JOBS[kind], "dataset": target})
        assert error.value.code == code, json.dumps([kind, target])
