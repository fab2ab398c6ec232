"""Warm-up: the server opens the most recent version of all projects before the first request."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.server.dependencies.version_cache import ProjectRegistry, VersionCache
from saccade.store.datasets.version import DatasetVersion
from saccade.store.table.row_index import Rows
from saccade.store.workspace import Workspace

SCHEMA = Schema((Column("depth", Kind.NUMBER),))


@pytest.fixture
def opened_versions(monkeypatch: pytest.MonkeyPatch) -> list[DatasetVersion]:
    """Record the versions whose items are read."""
    versions: list[DatasetVersion] = []
    items_at = DatasetVersion.items_at

    def record(version: DatasetVersion, positions: Rows) -> list[Item]:
        versions.append(version)
        return items_at(version, positions)

    monkeypatch.setattr(DatasetVersion, "items_at", record)
    return versions


def test_the_latest_version_is_opened(tmp_path: Path, opened_versions: list[DatasetVersion]) -> None:
    with Workspace.create(tmp_path / "home") as workspace:
        registry = ProjectRegistry(workspace)
        registry.warm_up()
        assert opened_versions == []
        workspace.projects.add("night")
        with Workspace.open(workspace.location, "night") as night:
            night.datasets.write("d", SCHEMA, [Item("a", {"depth": 1.0})], mode="create")
            workspace.datasets.write("other", SCHEMA, [], mode="create")
            night.datasets.write("d", SCHEMA, [Item("b", {"depth": 1.0})], mode="append")
        registry.warm_up()
        assert [version.ref for version in opened_versions] == ["d@2"]
        project = registry.get("night")
        assert project is not None
        assert project.versions.get("d") is opened_versions[0]


def test_a_damaged_version_does_not_prevent_the_start(tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "home") as workspace:
        workspace.datasets.write("d", SCHEMA, [Item("a", {"depth": 1.0})], mode="create")
        for table in (workspace.location / "datasets").glob("*.lance"):
            shutil.rmtree(table)
        registry = ProjectRegistry(workspace)
        registry.warm_up()
        project = registry.get("default")
        assert project is not None
        assert isinstance(project.versions, VersionCache)


def test_large_versions_are_not_opened(
    tmp_path: Path, opened_versions: list[DatasetVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("saccade.server.dependencies.version_cache._WARM_UP_MAX_ITEMS", 1)
    with Workspace.create(tmp_path / "home") as workspace:
        workspace.datasets.write("d", SCHEMA, [Item(key, {"depth": 1.0}) for key in "ab"], mode="create")
        ProjectRegistry(workspace).warm_up()
    assert opened_versions == []
