"""What a server opens before anybody asks: of all projects, the version that was made last."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.server.dependencies.version_cache import Opened, Sites
from saccade.store.datasets.version import DatasetVersion
from saccade.store.table.row_index import Rows
from saccade.store.workspace import Workspace

SCHEMA = Schema((Column("depth", Kind.NUMBER),))


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[DatasetVersion]:
    """Versions of which items were read."""
    found: list[DatasetVersion] = []
    rows = DatasetVersion.rows

    def noted(version: DatasetVersion, places: Rows) -> list[Item]:
        found.append(version)
        return rows(version, places)

    monkeypatch.setattr(DatasetVersion, "rows", noted)
    return found


def test_the_version_that_was_made_last_is_open(tmp_path: Path, looked_at: list[DatasetVersion]) -> None:
    with Workspace.create(tmp_path / "home") as workspace:
        sites = Sites(workspace)
        sites.look_ahead()
        assert looked_at == []
        workspace.projects.add("night")
        with Workspace.open(workspace.location, "night") as night:
            night.datasets.write("d", SCHEMA, [Item("a", {"depth": 1.0})], mode="create")
            workspace.datasets.write("other", SCHEMA, [], mode="create")
            night.datasets.write("d", SCHEMA, [Item("b", {"depth": 1.0})], mode="append")
        sites.look_ahead()
        assert [version.ref for version in looked_at] == ["d@2"]
        found = sites.of("night")
        assert found is not None
        assert found[1].version("d") is looked_at[0]


def test_a_damaged_version_keeps_no_server_from_beginning(tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "home") as workspace:
        workspace.datasets.write("d", SCHEMA, [Item("a", {"depth": 1.0})], mode="create")
        for table in (workspace.location / "datasets").glob("*.lance"):
            shutil.rmtree(table)
        sites = Sites(workspace)
        sites.look_ahead()
        found = sites.of("default")
        assert found is not None
        assert isinstance(found[1], Opened)


def test_a_version_of_very_many_items_is_left_alone(
    tmp_path: Path, looked_at: list[DatasetVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("saccade.server.dependencies.version_cache._LOOKED_AT", 1)
    with Workspace.create(tmp_path / "home") as workspace:
        workspace.datasets.write("d", SCHEMA, [Item(key, {"depth": 1.0}) for key in "ab"], mode="create")
        Sites(workspace).look_ahead()
    assert looked_at == []
