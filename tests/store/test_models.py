"""Models: versions, aliases and files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.store.conftest import SCHEMA

from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError, WorkspaceError
from saccade.store.maintenance.doctor import doctor
from saccade.store.registry.models import ModelVersion
from saccade.store.workspace import Workspace


def add(workspace: Workspace, name: str = "ships", weights: bytes = b"weights", **overrides: object) -> ModelVersion:
    files: dict[str, Path | bytes] = {"weights.safetensors": weights, "labels/map.json": b"{}"}
    arguments = {"files": files, "manifest": {"classes": ("a", "b")}, "metrics": {"map": 0.5}, **overrides}
    return workspace.models.add(name, **arguments)  # type: ignore[arg-type]  # the tests pass valid arguments


def test_versions_are_numbered_and_store_their_values(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"from a file")
    add(workspace)
    second = add(workspace, files={"w": tmp_path / "w"}, metrics={"map": np.float32(0.5), "ap": float("nan")})
    assert second.ref == "ships@2"
    version = workspace.models.open("ships")
    assert version == second
    assert version.read_file("w") == b"from a file"
    if workspace.blobs.is_local:
        assert version.path("w").read_bytes() == b"from a file"
    assert version.metrics == {"map": 0.5, "ap": None}
    assert workspace.models.open("ships@1").manifest == {"classes": ["a", "b"]}
    assert [version.number for version in workspace.models.versions("ships")] == [2, 1]
    add(workspace, "boats")
    assert [version.ref for version in workspace.models.list()] == ["boats@1", "ships@2"]
    assert doctor(workspace) == []


def test_not_found_errors_say_what_to_do(workspace: Workspace) -> None:
    add(workspace)
    for ref, text in (
        ("shps", "Did you mean ships?"),
        ("ships@4", "no version '4'"),
        ("ships@production", "saccade models promote ships@1 production"),
    ):
        with pytest.raises(NotFoundError) as caught:
            workspace.models.open(ref)
        assert text in str(caught.value)
    with pytest.raises(NotFoundError, match=r"no file 'weights\.pt'\. Did you mean weights\.safetensors\?"):
        workspace.models.open("ships").read_file("weights.pt")


def test_promoting_moves_an_alias_and_is_recorded(workspace: Workspace) -> None:
    add(workspace)
    add(workspace)
    assert workspace.models.promote("ships@1", "production", author="ann") is None
    assert workspace.models.promote("ships", "production", author="bob") == 1
    assert workspace.models.promote("ships@production", "staging") is None
    assert workspace.models.open("ships@production").aliases == ("production", "staging")
    assert workspace.models.open("ships@1").aliases == ()
    changes = workspace.models.alias_changes("ships")
    assert [(c.alias, c.previous, c.number, c.author) for c in changes] == [
        ("production", None, 1, "ann"),
        ("production", 1, 2, "bob"),
        ("staging", None, 2, ""),
    ]
    with pytest.raises(InvalidValueError, match="already selects a version"):
        workspace.models.promote("ships", "latest")


@pytest.mark.parametrize("name", ["", "/abs", "../up", "a/../../b", "a\\b", "C:x", "manifest.json"])
def test_file_names_outside_of_the_folder_are_rejected(workspace: Workspace, name: str) -> None:
    with pytest.raises(InvalidValueError, match="may not contain a file"):
        add(workspace, files={name: b""})
    assert workspace.models.list() == []


def test_an_unknown_run_or_dataset_is_rejected(workspace: Workspace) -> None:
    for overrides in ({"run_id": "none"}, {"inputs": ["none"]}):
        with pytest.raises(NotFoundError):
            add(workspace, **overrides)
    assert workspace.models.list() == []
    assert add(workspace).ref == "ships@1"


def test_export_writes_all_files_to_an_empty_folder(workspace: Workspace, tmp_path: Path) -> None:
    workspace.datasets.write("d", SCHEMA, [], mode="create")
    add(workspace, inputs=["d"], licence="Apache-2.0")
    target = tmp_path / "deep" / "out"
    workspace.models.export("ships", target)
    assert (target / "weights.safetensors").read_bytes() == b"weights"
    assert (target / "labels" / "map.json").read_bytes() == b"{}"
    written = json.loads((target / "manifest.json").read_text())
    assert (written["name"], written["version"], written["inputs"]) == ("ships", 1, ["d@1"])
    assert written["licence"] == "Apache-2.0"
    with pytest.raises(ConflictError, match="output of an earlier command"):
        workspace.models.export("ships", target)
    workspace.models.export("ships", target, overwrite=True)
    assert (target / "weights.safetensors").read_bytes() == b"weights"
    (tmp_path / "empty").mkdir()
    workspace.models.export("ships", tmp_path / "empty")
    assert (tmp_path / "empty" / "manifest.json").exists()


def test_a_failed_export_leaves_no_files(workspace: Workspace, tmp_path: Path) -> None:
    version = add(workspace)
    workspace.blobs.delete(version.files["labels/map.json"])
    with pytest.raises(NotFoundError, match="no blob"):
        workspace.models.export("ships", tmp_path / "out")
    (tmp_path / "file").touch()
    with pytest.raises(WorkspaceError, match="cannot be written"):
        workspace.models.export("ships", tmp_path / "file" / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "home"]


def test_remove_one_version_or_all(workspace: Workspace) -> None:
    workspace.datasets.write("d", SCHEMA, [], mode="create")
    for _ in range(3):
        add(workspace, inputs=["d"])
    workspace.models.promote("ships@3", "production")
    with pytest.raises(ConflictError, match="in use as ships@production"):
        workspace.models.remove("ships@3")
    workspace.models.remove("ships@1")
    workspace.models.remove("ships@production", force=True)
    assert [version.number for version in workspace.models.versions("ships")] == [2]
    with pytest.raises(ConflictError, match="used by model ships@2"):
        workspace.datasets.remove("d")
    workspace.models.remove("ships")
    assert workspace.models.list() == []
    with pytest.raises(NotFoundError, match="no model 'ships'"):
        workspace.models.open("ships")
    workspace.datasets.remove("d")
    assert add(workspace).ref == "ships@4", "numbers are never reused"
