"""Commands that write to a branch of a dataset."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.command import Command

from saccade.core.objects import Box, Object
from saccade.core.reader import Item
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.store.workspace import Workspace


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """A workspace with the dataset ``cells``, its branch ``review`` and its alias ``gold``, at version 1."""
    schema = Schema((Column("objects", Kind.OBJECTS, (ClassInfo("RBC"), ClassInfo("WBC"))),))
    items = [
        Item(key, {"objects": tuple(Object(name, name, Box(0, 0, 4, 4)) for name in names)})
        for key, names in (("a", ("RBC", "WBC")), ("b", ("RBC",)), ("c", ()))
    ]
    with Workspace.create(tmp_path) as workspace:
        workspace.datasets.write("cells", schema, items, mode="create")
        workspace.datasets.branch("cells", "review", "1")
        workspace.datasets.alias("cells", "gold", 1)
    return Command(capsys, monkeypatch, tmp_path)


def heads(run: Command) -> dict[str, int]:
    with Workspace.open(run.workspace) as workspace:
        return workspace.datasets.branches("cells")


def test_classes_of_a_branch(run: Command) -> None:
    edited = run("datasets", "classes", "cells@review", "--rename", "RBC=Red cell", "--add", "Platelets")
    assert edited.code == 0, edited.text
    assert "cells@2 Classes: added Platelets, renamed RBC to Red cell." in edited.text
    names = [entry["name"] for entry in run.json("datasets", "classes", "cells@review")["classes"]]
    assert names == ["Red cell", "WBC", "Platelets"]
    assert heads(run) == {"main": 1, "review": 2}
    for fixed in ("cells@1", "cells@gold"):
        refused = run.fails("datasets", "classes", fixed, "--add", "x", code="invalid-value")
        assert f"saccade datasets branch {fixed} BRANCH" in refused.text
    run.fails("datasets", "classes", "cells@reviev", "--add", "x", code="not-found")
    assert run("datasets", "classes", "cells@gold").code == 0, "without edits, any version can be listed"
    assert heads(run) == {"main": 1, "review": 2}


def test_items_are_edited(run: Command) -> None:
    tagged = run("datasets", "edit-items", "cells@review", "--where", "len(objects) > 0", "--tag", "night")
    assert "cells@2 (review) Tagged 2 items as night. 2 items changed." in tagged.text
    assert run.json("datasets", "edit-items", "cells@review", "--key", "a", "--untag", "night") == {
        "dataset": "cells@3",
        "branch": "review",
        "items": 3,
        "removed": 0,
        "changed": 1,
    }
    assert run.json("datasets", "edit-items", "cells", "--all", "--split", "val")["changed"] == 3
    assert run.json("datasets", "edit-items", "cells@review", "--key", "b", "--key", "c", "--delete")["removed"] == 2
    assert heads(run) == {"main": 4, "review": 5}
    assert run.json("datasets", "query", "cells", 'split == "val"')["count"] == 3
    run.fails("datasets", "edit-items", "cells", "--where", "len(objects) > 9", "--tag", "x", code="not-found")
    run.fails("datasets", "edit-items", "cells@gold", "--all", "--tag", "x", code="invalid-value")
    for wrong in (["--tag", "x"], ["--all"], ["--all", "--tag", "x", "--delete"], ["--all", "--key", "a", "--delete"]):
        assert run("datasets", "edit-items", "cells", *wrong).code == 2
    assert heads(run) == {"main": 4, "review": 5}


def test_restore_and_merge_on_a_branch(run: Command) -> None:
    run("datasets", "edit-items", "cells@review", "--key", "c", "--delete")
    restored = run("datasets", "restore", "cells@gold", "--into", "review")
    assert "Restored cells@1 as cells@3 on the branch review." in restored.text
    run.fails("datasets", "restore", "cells@1", "--into", "gold", code="invalid-value")
    run("datasets", "classes", "cells@review", "--rename", "RBC=Red cell")
    assert "Merged cells@4 into cells@1 as cells@5" in run("datasets", "merge", "cells@review").text
    run.fails("datasets", "merge", "cells@review", "--into", "gold", code="invalid-value")
    assert [entry["name"] for entry in run.json("datasets", "classes", "cells")["classes"]] == ["Red cell", "WBC"]


def test_import_into_a_branch(run: Command, pictures: Path) -> None:
    refused = run.fails("import", pictures, "--dataset", "cells@review", code="conflict")
    assert "append" in refused.text
    appended = run("import", pictures, "--dataset", "cells@review", "--mode", "append", "--quiet")
    assert appended.code == 0, appended.text
    assert "saccade datasets stats cells@review" in appended.text
    assert run.json("datasets", "show", "cells@review")["items"] == 13
    run.fails("import", pictures, "--dataset", "cells@1", "--mode", "append", code="invalid-value")
    run.fails("import", pictures, "--dataset", "other", "--mode", "appendd", code="invalid-value")
    assert heads(run) == {"main": 1, "review": 2}


def test_diff_says_which_class_became_which(run: Command) -> None:
    run("datasets", "classes", "cells@review", "--rename", "RBC=Red cell", "--add", "Platelets")
    lines = [line.split() for line in run("datasets", "diff", "cells", "cells@review").out.splitlines()]
    assert ["objects", "class", "renamed", "RBC", "→", "Red", "cell"] in lines
    assert ["objects", "class", "added", "Platelets"] in lines
    schema = run.json("datasets", "diff", "cells@review", "cells")["schema"]
    assert schema["classes_renamed"] == {"objects": [{"action": "renamed", "before": ["Red cell"], "after": ["RBC"]}]}
    assert schema["classes_added"] == {}
    report = run.workspace / "diff.html"
    run("datasets", "diff", "cells", "cells@review", "--html", report)
    assert "Classes renamed in objects" in report.read_text("utf-8")
    assert "objects: RBC → Red cell" in report.read_text("utf-8")
    report.write_text("my notes")
    run.fails("datasets", "diff", "cells", "cells@review", "--html", report, code="conflict")
    assert report.read_text() == "my notes"
    assert run("datasets", "diff", "cells", "cells@review", "--html", report, "--overwrite").code == 0
    assert "Classes renamed in objects" in report.read_text("utf-8")


def test_log_of_a_branch(trained_command: Command) -> None:
    run = trained_command
    assert run("datasets", "branch", "harbour", "review").code == 0
    assert run("datasets", "classes", "harbour@review", "--rename", "tug=tow boat").code == 0
    assert [row["branch"] for row in run.json("datasets", "log", "harbour@review")] == ["review", "main"]
    assert [row["branch"] for row in run.json("datasets", "log", "harbour@main")] == ["main"]
    assert len(run.json("datasets", "log", "harbour")) == 2
    assert "no branch" in run.fails("datasets", "log", "harbour@other", code="not-found").text


def test_deleting_a_branch_with_changes_of_its_own(run: Command) -> None:
    run("datasets", "classes", "cells@review", "--add", "Platelets")
    refused = run.fails("datasets", "delete-branch", "cells@review", code="conflict").text
    assert "has 1 version that no other branch has; the latest is cells@2" in refused
    assert "--force" in refused
    assert heads(run) == {"main": 1, "review": 2}
    assert run("datasets", "delete-branch", "cells@review", "--force").code == 0
    assert heads(run) == {"main": 1}


def test_deleting_a_branch_without_changes_of_its_own(run: Command) -> None:
    run("datasets", "classes", "cells", "--add", "Platelets")
    assert run("datasets", "merge", "cells", "--into", "review").code == 0
    assert heads(run) == {"main": 2, "review": 3}
    assert run("datasets", "delete-branch", "cells@review").code == 0, "it only has what main has"


def test_deleting_a_merged_branch(run: Command) -> None:
    run("datasets", "classes", "cells@review", "--add", "Platelets")
    assert run("datasets", "merge", "cells@review").code == 0
    assert run("datasets", "delete-branch", "cells@review").code == 0


def test_the_branch_is_named(run: Command) -> None:
    unknown = run.fails("datasets", "classes", "cells@reveiw", code="not-found").text
    assert "has no branch or version 'reveiw'" in unknown
    assert "Did you mean review?" in unknown
    run("datasets", "classes", "cells@review", "--add", "Platelets")
    assert "cells@2 (review)" in run("datasets", "classes", "cells@review").text
    assert "NAME@BRANCH" in run("export", "--help").text
